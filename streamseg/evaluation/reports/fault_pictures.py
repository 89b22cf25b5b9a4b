"""A frame's truth, prediction and errors side by side."""

from collections.abc import Container, Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ...frames import Segment
from ...rle import measure_map
from ...sinks.render import draw_overlay
from ..metrics.compared_frame import ComparedFrame, by_id
from ..metrics.overlaps import Ids
from ..metrics.panoptic_quality import SegmentInfo
from .page import Picture

__all__ = ["ERRORS", "GAP", "draw_comparison", "draw_segments", "draw_text", "text_width"]

Color = tuple[int, int, int]

ERRORS: dict[str, Color] = {
    "right": (226, 232, 226),
    "right category, other instance": (240, 180, 60),
    "wrong category": (214, 64, 64),
    "nothing predicted": (92, 64, 150),
    "void": (150, 150, 150),
}
RIGHT, INSTANCE, CATEGORY, MISSED, VOID = range(5)
UNNAMED = " "  # a label of which nothing is drawn
GROUND = 235  # grey below the colours
GAP = 8
WIDTH = 480  # of each of the three
INK: Color = (31, 41, 55)


def draw_comparison(frame: ComparedFrame, labels: Mapping[int, str]) -> Picture:
    """(h, w, 3) uint8: truth, prediction, and errors, each as wide as `WIDTH`."""
    panels = (
        _draw_map(frame.truth_ids, frame.truth, labels),
        _draw_map(frame.predicted_ids, frame.predicted, labels),
        _draw_errors(frame),
    )
    height = max(panel.shape[0] for panel in panels)
    gap = np.full((height, GAP, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def draw_segments(
    ids: npt.NDArray[np.int32], segments: Sequence[SegmentInfo], labels: Mapping[int, str], *, things: Container[int]
) -> Picture:
    """A map on grey, (H, W, 3) uint8: colours by id; things in full colour, with their names and ids.

    Args:
        ids: (H, W); what is not listed is void.
        segments: what the ids mean.
        labels: names of the categories.
        things: which ids are things.
    """
    listed = by_id(segments)
    ids = np.where(np.isin(ids, list(listed)), ids, 0).astype(np.int32)
    shown = [
        Segment(id_, category, name if id_ in things else UNNAMED, id_ in things, 1.0, extent.area, extent.bbox)
        for id_, category, name, extent in (
            (id_, category, f"{labels.get(category, category)} #{id_}", extent)
            for id_, extent in measure_map(ids).items()
            if id_ in listed
            for category in [listed[id_].category_id]
        )
    ]
    ground = np.full((*ids.shape, 3), GROUND, np.uint8)
    return draw_overlay(ground, ids, shown, show_scores=False, opacity=0.85)


def draw_text(picture: Picture, text: str, x: int, y: int, *, size: int = 16, bold: bool = False) -> None:
    """Write on a picture, in place; `y` is the baseline."""
    cv2.putText(picture, text, (x, y), INK, cv2.FontFace("sans"), size, 700 if bold else 400)


def text_width(text: str, size: int = 16) -> int:
    """In pixels, as `draw_text` writes it when not bold."""
    _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace("sans"), size, 400)
    return int(width)


def _draw_map(ids: Ids, segments: Sequence[SegmentInfo], labels: Mapping[int, str]) -> Picture:
    listed = by_id(segments)
    return draw_segments(_scaled(np.asarray(ids, np.int32)), segments, labels, things=set(listed))


def _draw_errors(frame: ComparedFrame) -> Picture:
    truth, predicted = by_id(frame.truth), by_id(frame.predicted)
    partner = _partners(frame)
    pairs = zip(frame.overlaps.ground_truth_ids.tolist(), frame.overlaps.predicted_ids.tolist(), strict=True)
    of_pair = {
        (true, guess): _kind(truth.get(true), predicted.get(guess), partner.get(true) == guess) for true, guess in pairs
    }
    keys = _scaled(np.asarray(frame.truth_ids, np.int32)), _scaled(np.asarray(frame.predicted_ids, np.int32))
    joint = keys[0].astype(np.int64) << 32 | keys[1]
    found, places = np.unique(joint, return_inverse=True)
    colors = list(ERRORS.values())
    palette = np.array([colors[of_pair[key >> 32, key & 0xFFFFFFFF]] for key in found.tolist()], np.uint8)
    picture: Picture = palette[places.reshape(joint.shape)]
    return picture


def _kind(true: SegmentInfo | None, guess: SegmentInfo | None, partners: bool) -> int:
    if true is None:
        return VOID
    if guess is None:
        return MISSED
    if true.category_id != guess.category_id:
        return CATEGORY
    return RIGHT if partners or true.iscrowd else INSTANCE


def _partners(frame: ComparedFrame) -> dict[int, int]:
    """For each true id the predicted one that shares the most pixels."""
    best: dict[int, tuple[int, int]] = {}
    overlaps = frame.overlaps
    for true, guess, pixels in zip(
        overlaps.ground_truth_ids.tolist(), overlaps.predicted_ids.tolist(), overlaps.pixels.tolist(), strict=True
    ):
        if guess and pixels > best.get(true, (0, 0))[0]:
            best[true] = pixels, guess
    return {true: guess for true, (_, guess) in best.items()}


def _scaled(ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """To the width of a panel, without mixing ids."""
    height, width = ids.shape
    rows = (np.arange(max(1, round(height * WIDTH / width))) * width // WIDTH).clip(0, height - 1)
    columns = np.arange(WIDTH) * width // WIDTH
    return np.ascontiguousarray(ids[rows][:, columns])
