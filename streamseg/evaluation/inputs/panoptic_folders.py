"""Panoptic data sets on disk: one JSON document and a PNG per frame, of ground truth or of predictions.

Two layouts are told apart by what the document holds.

    COCO panoptic   annotations: [{image_id, file_name, segments_info}], categories
    VIPSeg          videos: [{video_id, images}], annotations: [{video_id, annotations: [as above]}], categories

`segments_info` lists {id, category_id, area, iscrowd}. A PNG is 8 bit RGB with id = R + 256 G + 65536 B; 0 is void. The
PNGs lie in `panomasksRGB/` or `pan_pred/`, in a folder called like the document, or beside it; VIPSeg's in a folder per
video there. What `streamseg segment` writes is of the first kind.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ...errors import EvaluationError
from ..metrics.panoptic_quality import PanopticQuality, PanopticScores, SegmentInfo

__all__ = ["AnnotatedFrame", "FramePair", "PanopticFolder", "paired_frames", "score_folders"]

DOCUMENTS = ("panoptic_gt.json", "pred.json", "panoptic.json")
PICTURE_FOLDERS = ("panomasksRGB", "pan_pred")

FrameKey = tuple[str | None, int | str]


@dataclass(frozen=True, slots=True)
class AnnotatedFrame:
    """One frame's entry in the document.

    Attributes:
        video: its video's id; None in COCO's layout.
        image: its own id, unique within the video.
        png: where its map lies, within the folder of PNGs.
        segments: in the order of the document.
    """

    video: str | None
    image: int | str
    png: Path
    segments: tuple[SegmentInfo, ...]

    @property
    def key(self) -> FrameKey:
        return self.video, self.image


@dataclass(frozen=True, slots=True, eq=False)
class FramePair:
    """A frame's truth and prediction: (H, W) int32 ids and what they mean."""

    video: str | None
    image: int | str
    ground_truth_ids: npt.NDArray[np.int32]
    ground_truth_segments: tuple[SegmentInfo, ...]
    predicted_ids: npt.NDArray[np.int32]
    predicted_segments: tuple[SegmentInfo, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PanopticFolder:
    """A document that was read, and where its PNGs are.

    Attributes:
        document: the JSON file.
        pictures: the folder of PNGs.
        frames: in the order of the document, which in VIPSeg's layout is that of time.
        categories: whether each category id is a thing; empty where the document has no list, as predictions may.
        labels: the name of each category id.
    """

    document: Path
    pictures: Path
    frames: Mapping[FrameKey, AnnotatedFrame]
    categories: Mapping[int, bool]
    labels: Mapping[int, str]

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a folder, or the JSON document in it.

        Raises:
            EvaluationError: nothing there, or not one of the two layouts.
        """
        document = _find_document(Path(path))
        content = _read_json(document)
        try:
            frames = list(_frames(content))
            listed = {index(entry["id"]): entry for entry in content.get("categories", [])}
            categories = {key: bool(entry["isthing"]) for key, entry in listed.items()}
            labels = {key: str(entry.get("name", key)) for key, entry in listed.items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise EvaluationError(
                f"{document} is no panoptic document ({type(error).__name__}: {error}), expected COCO's panoptic "
                "format or VIPSeg's: annotations with image_id, file_name and segments_info"
            ) from None
        by_key = {frame.key: frame for frame in frames}
        if len(by_key) != len(frames):
            raise EvaluationError(
                f"{document} annotates {len(by_key)} images in {len(frames)} entries, expected one for each: "
                "remove those that repeat"
            )
        return cls(document, _find_pictures(document), by_key, categories, labels)

    def ids(self, png: Path) -> npt.NDArray[np.int32]:
        """(H, W) int32, each pixel's segment.

        Raises:
            EvaluationError: the PNG is missing, damaged, or not 8 bit RGB.
        """
        path = self.pictures / png
        try:
            with Image.open(path) as image:
                mode, pixels = image.mode, np.asarray(image)
        except (OSError, UnidentifiedImageError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise EvaluationError(
                f"cannot read {path} ({reason}), expected the PNG that {self.document} lists"
            ) from None
        if mode != "RGB":
            raise EvaluationError(f"{path} is of mode {mode}, expected 8 bit RGB with id = R + 256 G + 65536 B")
        packed = np.zeros((*pixels.shape[:2], 4), np.uint8)
        packed[..., :3] = pixels
        return packed.view("<u4")[..., 0].astype(np.int32, copy=False)


def paired_frames(ground_truth: PanopticFolder, predictions: PanopticFolder) -> Iterator[FramePair]:
    """Truth and prediction of every annotated frame, in the order of the ground truth, one frame in memory at a time.

    Frames are paired by their ids. Predictions beyond the ground truth are passed over, as in the reference code.

    Raises:
        EvaluationError: a frame has no prediction, or a PNG cannot be read.
    """
    missing = [key for key in ground_truth.frames if key not in predictions.frames]
    if missing:
        raise EvaluationError(
            f"{predictions.document} lacks {len(missing)} of {len(ground_truth.frames)} frames, first "
            f"{_shown(missing[0])}, expected a prediction for each in {ground_truth.document}"
        )
    for key, truth in ground_truth.frames.items():
        predicted = predictions.frames[key]
        # Within a video, both sides' files are called as the ground truth calls them.
        png = predicted.png if truth.video is None else truth.png
        yield FramePair(
            truth.video,
            truth.image,
            ground_truth.ids(truth.png),
            truth.segments,
            predictions.ids(png),
            predicted.segments,
        )


def score_folders(
    ground_truth: PanopticFolder,
    predictions: PanopticFolder,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> PanopticScores:
    """Panoptic quality over all frames.

    Args:
        ground_truth: its categories are scored.
        predictions: of the same frames.
        progress: called as progress(done, total).

    Raises:
        EvaluationError: as `paired_frames` and `PanopticQuality.add`, naming the frame; or no list of categories.
    """
    if not ground_truth.categories:
        raise EvaluationError(f"{ground_truth.document} has no categories, expected a list of id, name and isthing")
    quality = PanopticQuality(ground_truth.categories)
    for done, pair in enumerate(paired_frames(ground_truth, predictions), start=1):
        try:
            quality.add(pair.ground_truth_ids, pair.ground_truth_segments, pair.predicted_ids, pair.predicted_segments)
        except EvaluationError as error:
            raise EvaluationError(f"frame {_shown((pair.video, pair.image))}: {error}") from None
        if progress is not None:
            progress(done, len(ground_truth.frames))
    return quality.result()


def _find_document(path: Path) -> Path:
    if path.suffix == ".json" and path.is_file():
        return path
    if not path.is_dir():
        raise EvaluationError(f"{path} is not there, expected a folder with a panoptic JSON document, or that document")
    known = [path / name for name in DOCUMENTS if (path / name).is_file()]
    found = known or sorted(path.glob("*.json"))
    if len(found) != 1:
        listed = ", ".join(candidate.name for candidate in found) or "none"
        raise EvaluationError(
            f"{path} holds {len(found)} JSON documents ({listed}), expected one: name the file itself"
        )
    return found[0]


def _find_pictures(document: Path) -> Path:
    for name in (document.stem, *PICTURE_FOLDERS):
        if (document.parent / name).is_dir():
            return document.parent / name
    return document.parent


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EvaluationError(f"cannot read {path} ({error}), expected a JSON document") from None
    if not isinstance(content, dict):
        raise EvaluationError(f"{path} holds a {type(content).__name__}, expected an object with annotations")
    return content


def _frames(content: Mapping[str, Any]) -> Iterator[AnnotatedFrame]:
    images = {
        (video["video_id"], image["id"]): image["file_name"]
        for video in content.get("videos", [])
        for image in video["images"]
    }
    for entry in content["annotations"]:
        if "segments_info" in entry:
            yield AnnotatedFrame(None, entry["image_id"], Path(entry["file_name"]), _segments(entry))
            continue
        video = entry["video_id"]
        for frame in entry["annotations"]:
            name = images.get((video, frame["image_id"])) or frame["file_name"]
            png = Path(str(video), name).with_suffix(".png")
            yield AnnotatedFrame(video, frame["image_id"], png, _segments(frame))


def _segments(entry: Mapping[str, Any]) -> tuple[SegmentInfo, ...]:
    return tuple(
        SegmentInfo(
            index(segment["id"]),
            index(segment["category_id"]),
            segment.get("iscrowd", 0) == 1,
            segment.get("area"),
            segment.get("score"),
        )
        for segment in entry["segments_info"]
    )


def _shown(key: FrameKey) -> str:
    video, image = key
    return f"{image}" if video is None else f"{video}/{image}"
