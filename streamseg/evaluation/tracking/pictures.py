"""Pseudo-video from real pictures with panoptic truth: a camera that pans and zooms over them, things of theirs that
cross the view, cuts between them.

The truth is exact, because it moves with the pixels. Motion is a function of time and a seed; the pictures do not
change, so it is tracking that is tried here and not seeing, with oracle queries.
"""

import json
import math
from collections.abc import Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import EvaluationError
from ...vocabulary import Vocabulary
from ...world.motion import Swing
from ...world.seeds import generator
from ...world.snapshot import Camera, WorldSegment
from ...world.video import WorldFrame
from .scenarios import SEEDS_PER_SCENARIO, SIZE_HW, Sequence

__all__ = [
    "PICTURE_SCENARIOS",
    "AnnotatedPicture",
    "PictureScenario",
    "PictureVideo",
    "picture_sequences",
    "read_pictures",
]

IDS_PER_PICTURE = 1000  # identities of each picture's segments; things that cross have theirs behind
LEAST_CROSSING_AREA = 1500  # of a thing that may cross the view, in pixels of its picture
CROSSING_HEIGHT = 0.55  # of the view

Ids = npt.NDArray[np.int32]
Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedPicture:
    """A picture with its truth.

    Attributes:
        rgb: (H, W, 3) uint8.
        ids: (H, W) int32, segments from 1 on; 0 for void and crowds.
        names: of each id, and whether it is a thing.
    """

    rgb: Rgb
    ids: Ids
    names: dict[int, tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class PictureScenario:
    """What the camera does. Lengths are in heights of the view.

    Attributes:
        name: in tables.
        text: what is hard.
        pan: how far the camera goes, of what the picture has room for.
        zoom: natural logarithm of the largest zoom.
        crossing: things that cross in front of the others.
        shots: between cuts; pictures take turns.
    """

    name: str
    text: str
    pan: float = 0.2
    zoom: float = 0.1
    crossing: int = 0
    shots: int = 1


PICTURE_SCENARIOS = (
    PictureScenario("pan", "the camera pans over a picture", pan=1.0),
    PictureScenario("zoom", "the camera zooms in and out", pan=0.3, zoom=0.9),
    PictureScenario("occluders", "things of the other picture cross the view", crossing=3),
    PictureScenario("picture cuts", "cuts between two pictures, and back", shots=6),
)


def picture_sequences(folder: Path, seeds: int = SEEDS_PER_SCENARIO) -> list[Sequence]:
    """The sequences of all picture scenarios.

    Raises:
        EvaluationError: the folder does not hold a COCO panoptic sample.
    """
    pictures = tuple(read_pictures(folder))
    return [
        Sequence(scenario.name, number, PictureVideo(scenario, pictures, number), "coco", ("coco",), repr(scenario))
        for scenario in PICTURE_SCENARIOS
        for number in range(seeds)
    ]


def read_pictures(folder: Path) -> Iterator[AnnotatedPicture]:
    """The pictures of a COCO panoptic sample: `panoptic_examples.json`, with the folders beside it.

    Raises:
        EvaluationError: something is missing or damaged.
    """
    try:
        document = json.loads((folder / "panoptic_examples.json").read_text(encoding="utf-8"))
        categories = json.loads((folder / "panoptic_coco_categories.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"cannot read {folder} ({error}), expected COCO's panoptic sample data") from None
    isthing = {entry["id"]: bool(entry["isthing"]) for entry in categories}
    labels = {category.id: category.label for category in Vocabulary.load("coco").categories}
    files = {entry["id"]: entry["file_name"] for entry in document["images"]}
    for annotation in document["annotations"]:
        rgb = _picture(folder / "input_images" / files[annotation["image_id"]])
        colors = _picture(folder / "panoptic_examples" / annotation["file_name"]).astype(np.int32)
        ids = colors[..., 0] + 256 * colors[..., 1] + 65536 * colors[..., 2]
        yield _annotated(rgb, ids, annotation["segments_info"], labels, isthing)


@dataclass(frozen=True)
class PictureVideo:
    """A `Video` over pictures, deterministic in its fields."""

    scenario: PictureScenario
    pictures: Several[AnnotatedPicture]
    seed: int
    size_hw: tuple[int, int] = SIZE_HW
    fps: Fraction = Fraction(12)
    frames: int = 72

    def __len__(self) -> int:
        return self.frames

    def frame(self, index: int) -> WorldFrame:
        """The frame with this number, and its truth."""
        seconds, shot = float(index / self.fps), self._shot(index)
        place = (shot + self.seed) % len(self.pictures)
        camera = self._camera(shot, seconds)
        view = self._view(place, camera)
        rgb, ids = self._seen(place, view)
        areas = self._whole_areas(place, view)
        for number in range(self.scenario.crossing):
            self._cross(number, seconds, rgb, ids, areas)
        segments = self._segments(ids, areas)
        is_cut = index > 0 and self._shot(index - 1) != shot
        return WorldFrame(index, seconds, rgb, ids, segments, camera, place, is_cut, "")

    def _shot(self, index: int) -> int:
        return index * self.scenario.shots // self.frames

    def _camera(self, shot: int, seconds: float) -> Camera:
        """Where it looks: x and y from -1 to 1 of what the picture has room for, zoom from 1 on."""
        rng = generator("picture camera", self.scenario.name, self.seed, shot)
        pan, zoom = self.scenario.pan, self.scenario.zoom
        x, y = (Swing.random(rng, 0.0, pan, 0.8 * pan)(seconds) for _ in range(2))
        return Camera(x, y, 1.3 * math.exp(abs(Swing.random(rng, 0.0, zoom, 0.5 * zoom)(seconds))), 0.0)

    def _view(self, place: int, camera: Camera) -> npt.NDArray[np.float64]:
        """(2, 3) from the picture's pixels to the view's."""
        height, width = self.pictures[place].ids.shape
        tall, wide = self.size_hw
        scale = camera.zoom * max(tall / height, wide / width)
        left = (width * scale - wide) / 2 * (1 + camera.x)
        top = (height * scale - tall) / 2 * (1 + camera.y)
        return np.array([[scale, 0, -left], [0, scale, -top]])

    def _seen(self, place: int, view: npt.NDArray[np.float64]) -> tuple[Rgb, Ids]:
        picture, size = self.pictures[place], self.size_hw[::-1]
        rgb = cv2.warpAffine(picture.rgb, view, size, flags=cv2.INTER_LINEAR)
        ids = cv2.warpAffine(picture.ids.astype(np.uint16), view, size, flags=cv2.INTER_NEAREST).astype(np.int32)
        return rgb.astype(np.uint8), np.where(ids > 0, ids + place * IDS_PER_PICTURE, 0).astype(np.int32)

    def _whole_areas(self, place: int, view: npt.NDArray[np.float64]) -> dict[int, float]:
        """How large each segment would be if all of it were to be seen, in pixels of the view."""
        ids, counts = np.unique(self.pictures[place].ids, return_counts=True)
        scale = float(view[0, 0] ** 2)
        pairs = zip(ids.tolist(), counts.tolist(), strict=True)
        return {id_ + place * IDS_PER_PICTURE: count * scale for id_, count in pairs if id_}

    def _cross(self, number: int, seconds: float, rgb: Rgb, ids: Ids, areas: dict[int, float]) -> None:
        """Paint a picture's thing over the view, somewhere on its way to and fro."""
        picture = self._crossing_picture(number)
        candidates = [
            id_
            for id_, (_, isthing) in picture.names.items()
            if isthing and (picture.ids == id_).sum() >= LEAST_CROSSING_AREA
        ]
        if not candidates:
            return
        rng = generator("picture crossing", self.scenario.name, self.seed, number)
        id_ = candidates[int(rng.integers(len(candidates)))]
        mask = (picture.ids == id_).astype(np.uint8)
        left, top, wide, tall = cv2.boundingRect(mask)
        height, width = self.size_hw
        scale = CROSSING_HEIGHT * height / tall
        x = Swing.random(rng, 0.5 * width, 0.6 * width, 0.5 * height)(seconds) - scale * wide / 2
        y = rng.uniform(0.3, 0.7) * height - scale * tall / 2
        view = np.array([[scale, 0, x - scale * left], [0, scale, y - scale * top]])
        painted = cv2.warpAffine(mask, view, (width, height), flags=cv2.INTER_NEAREST) > 0
        rgb[painted] = cv2.warpAffine(picture.rgb, view, (width, height), flags=cv2.INTER_LINEAR)[painted]
        shown = (len(self.pictures) + number) * IDS_PER_PICTURE + id_
        ids[painted] = shown
        areas[shown] = float(mask.sum()) * scale**2

    def _crossing_picture(self, number: int) -> AnnotatedPicture:
        """Whose things cross: the other picture's first."""
        return self.pictures[(self.seed + 1 + number) % len(self.pictures)]

    def _segments(self, ids: Ids, areas: dict[int, float]) -> tuple[WorldSegment, ...]:
        known, counts = np.unique(ids, return_counts=True)
        return tuple(
            WorldSegment(id_, label, isthing, False, area, min(1.0, area / areas[id_]) if isthing else 1.0)
            for id_, area in zip(known.tolist(), counts.tolist(), strict=True)
            if id_
            for label, isthing in (self._name(id_),)
        )

    def _name(self, id_: int) -> tuple[str, bool]:
        """What an id of the view is called."""
        place, own = divmod(id_, IDS_PER_PICTURE)
        count = len(self.pictures)
        picture = self.pictures[place] if place < count else self._crossing_picture(place - count)
        return picture.names[own]


def _annotated(
    rgb: Rgb, colors: Ids, segments: Several[Any], labels: dict[int, str], isthing: dict[int, bool]
) -> AnnotatedPicture:
    """Segments numbered from 1 in the order of their listing; crowds are void."""
    ids = np.zeros_like(colors)
    names: dict[int, tuple[str, bool]] = {}
    for segment in segments:
        if not segment["iscrowd"]:
            number, category = len(names) + 1, segment["category_id"]
            ids[colors == segment["id"]] = number
            names[number] = labels[category], isthing[category]
    return AnnotatedPicture(rgb, ids, names)


def _picture(path: Path) -> Rgb:
    found = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if found is None:
        raise EvaluationError(f"cannot read picture {path}, expected one of COCO's panoptic sample data")
    return np.ascontiguousarray(found[..., ::-1]).astype(np.uint8)
