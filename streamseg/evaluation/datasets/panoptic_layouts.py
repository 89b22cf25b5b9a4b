"""Data sets with panoptic truth, as they are downloaded and prepared: COCO, ADE20K, Cityscapes, Mapillary, VIPSeg.

Preparation is that of Mask2Former and FC-CLIP (`datasets/README.md` of their repositories). Each function takes the
folder that a user names, which is the data set's own or the one above it, and the metrics that will be asked for.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import EvaluationError
from ...vocabulary import Vocabulary
from ..metrics.panoptic_quality import SegmentInfo
from .annotations import LabelCoding, existing, home_of, read_document
from .instance_truth import InstanceTruth
from .samples import Sample, Samples

__all__ = ["ade20k", "cityscapes", "coco", "mapillary", "vipseg"]

CITYSCAPES_LABELS = range(-1, 34)  # what labelIds.png may hold; -1, licence plate, is 255 in 8 bits
CITYSCAPES_SUFFIX = "_leftImg8bit.png"


def coco(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:
    """`val2017/`, `annotations/panoptic_val2017.json` and `instances_val2017.json`, `panoptic_val2017/`.

    Semantic truth is read off the panoptic maps, which is how the published evaluation makes its own.
    """
    home = home_of(root, "coco")
    pictures = existing("the pictures of COCO 2017 val", home / "val2017", home / "images/val2017")
    masks = existing(
        "the panoptic PNGs of COCO 2017 val, unpacked from panoptic_annotations_trainval2017.zip",
        home / "panoptic_val2017",
        home / "annotations/panoptic_val2017",
    )
    document = home / "annotations/panoptic_val2017.json"
    samples = list(_annotated(document, masks, pictures, vocabulary))
    return Samples(samples, instances=_instances(home / "annotations/instances_val2017.json", metrics))


def ade20k(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:
    """`images/validation/`, `ade20k_panoptic_val` (PNGs and .json), `ade20k_instance_val.json`, and labels.

    Labels as prepared (`annotations_detectron2`, classes from 0) or as downloaded (`annotations`, from 1, 0 nothing).
    """
    home = home_of(root, "ADEChallengeData2016")
    pictures = existing("the pictures of ADE20K's validation split", home / "images/validation")
    prepared, downloaded = home / "annotations_detectron2/validation", home / "annotations/validation"
    labels = existing("pictures of labels", prepared, downloaded) if "miou" in metrics else None
    if labels == prepared:
        coding = LabelCoding.positions(len(vocabulary), ignored=255)
    else:
        coding = LabelCoding.positions(len(vocabulary), ignored=0, first=1)
    masks = existing("panoptic PNGs, which prepare_ade20k_pan_seg.py makes", home / "ade20k_panoptic_val")
    samples = list(_annotated(home / "ade20k_panoptic_val.json", masks, pictures, vocabulary, labels=labels))
    return Samples(samples, coding, _instances(home / "ade20k_instance_val.json", metrics))


def mapillary(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:
    """`validation/` of Vistas 1.2: `images/`, `labels/`, `panoptic/` with `panoptic_2018.json`."""
    home = home_of(root, "mapillary_vistas", "mapillary-vistas-dataset_public_v1.2") / "validation"
    pictures = existing("the pictures of Mapillary Vistas 1.2", home / "images")
    masks = existing("the panoptic PNGs of Mapillary Vistas 1.2", home / "panoptic")
    labels = existing("the labels of Mapillary Vistas 1.2", home / "labels") if "miou" in metrics else None
    samples = list(_annotated(masks / "panoptic_2018.json", masks, pictures, vocabulary, labels=labels))
    return Samples(samples, LabelCoding.positions(len(vocabulary), ignored=len(vocabulary)))


def cityscapes(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:
    """`leftImg8bit/val/<city>/` and `gtFine/`, with `cityscapes_panoptic_val` (PNGs and .json) as its own script makes
    them, and `val/<city>/*_labelIds.png`, `*_instanceIds.png`."""
    home = home_of(root, "cityscapes")
    pictures = existing("the pictures of Cityscapes", home / "leftImg8bit/val")
    truth = existing("the fine annotations of Cityscapes", home / "gtFine/val")
    script = "which createPanopticImgs.py of cityscapesScripts makes"
    masks = existing(f"panoptic PNGs, {script}", home / "gtFine/cityscapes_panoptic_val")
    document = existing(f"a panoptic document, {script}", home / "gtFine/cityscapes_panoptic_val.json")
    files = {
        path.name.removesuffix(CITYSCAPES_SUFFIX): path for path in sorted(pictures.glob(f"*/*{CITYSCAPES_SUFFIX}"))
    }
    samples = []
    for entry in _entries(document):
        name = str(entry["image_id"])
        if name not in files:
            raise EvaluationError(
                f"no {pictures}/*/{name}{CITYSCAPES_SUFFIX}, expected the picture that {document} lists"
            )
        stem = truth / files[name].parent.name / f"{name}_gtFine"
        samples.append(
            Sample(
                name,
                files[name],
                name,
                masks / str(entry["file_name"]),
                _segments(entry, document, vocabulary),
                Path(f"{stem}_labelIds.png") if "miou" in metrics else None,
                Path(f"{stem}_instanceIds.png") if "ap" in metrics else None,
            )
        )
    values = tuple(category.id for category in vocabulary.categories)
    return Samples(samples, LabelCoding(values, frozenset({*CITYSCAPES_LABELS, 255}.difference(values))))


def vipseg(root: Path) -> Samples:
    """`images/<video>/`, `panomasksRGB/<video>/` and `panoptic_gt_VIPSeg_val.json`; words are the document's own."""
    home = home_of(root, "VIPSeg_720P", "VIPSeg", "vipseg")
    pictures = existing("the frames of VIPSeg", home / "images", home / "imgs")
    masks = existing("the panoptic PNGs of VIPSeg", home / "panomasksRGB", home / "panomasksRGB_720P")
    document = existing(
        "the panoptic document of VIPSeg's validation split",
        home / "panoptic_gt_VIPSeg_val.json",
        home / "panoptic_gt.json",
    )
    content = read_document(document, ("annotations", "categories"))
    try:
        listed = {int(entry["id"]): (str(entry["name"]), bool(entry["isthing"])) for entry in content["categories"]}
        samples = list(_video_frames(content, document, masks, pictures, listed))
    except (KeyError, TypeError, AttributeError) as error:
        raise _wrong_format(document, error) from None
    return Samples(_require_some(samples, document), labels=listed)


def _video_frames(
    content: Mapping[str, Any], document: Path, masks: Path, pictures: Path, categories: Mapping[int, object]
) -> Iterator[Sample]:
    for video in content["annotations"]:
        name = str(video["video_id"])
        for frame in video["annotations"]:
            stem = Path(str(frame.get("file_name") or frame["image_id"])).stem
            yield Sample(
                f"{name}/{stem}",
                pictures / name / f"{stem}.jpg",
                panoptic=masks / name / f"{stem}.png",
                segments=_read_segments(frame, document, categories),
                video=name,
            )


def _annotated(
    document: Path, masks: Path, pictures: Path, vocabulary: Vocabulary, *, labels: Path | None = None
) -> Iterator[Sample]:
    """The entries of a document in COCO's panoptic format; pictures and labels are called as the PNGs are."""
    existing("a panoptic document in COCO's format", document)
    for entry in _entries(document, vocabulary):
        name = Path(str(entry["file_name"])).stem
        yield Sample(
            name,
            pictures / f"{name}.jpg",
            entry["image_id"],
            masks / f"{name}.png",
            _segments(entry, document, vocabulary),
            None if labels is None else labels / f"{name}.png",
        )


def _entries(document: Path, vocabulary: Vocabulary | None = None) -> list[Mapping[str, Any]]:
    content = read_document(document)
    entries = content["annotations"]
    for entry in entries:
        missing = {"file_name", "image_id", "segments_info"}.difference(entry if isinstance(entry, dict) else {})
        if missing:
            raise EvaluationError(f"an annotation of {document} lacks {sorted(missing)[0]!r}, expected COCO's format")
    if vocabulary is not None:
        _require_same_kinds(content.get("categories") or [], document, vocabulary)
    return _require_some(entries, document)


def _require_same_kinds(categories: list[Any], document: Path, vocabulary: Vocabulary) -> None:
    """That ids mean something else shows where one list calls a thing what the other calls stuff."""
    ours = {category.id: category for category in vocabulary.categories}
    for entry in categories:
        known = ours.get(entry["id"]) if isinstance(entry, dict) and "id" in entry else None
        if known is not None and bool(entry.get("isthing")) != known.isthing:
            raise EvaluationError(
                f"{document} calls {entry.get('name')!r} {_kind(not known.isthing)}, but category {known.id} of "
                f"vocabulary {vocabulary.name!r} is {known.label!r}, {_kind(known.isthing)}: expected the published one"
            )


def _segments(entry: Mapping[str, Any], document: Path, vocabulary: Vocabulary) -> tuple[SegmentInfo, ...]:
    try:
        return _read_segments(entry, document, {category.id: None for category in vocabulary.categories})
    except (KeyError, TypeError) as error:
        raise _wrong_format(document, error) from None


def _read_segments(
    entry: Mapping[str, Any], document: Path, categories: Mapping[int, object]
) -> tuple[SegmentInfo, ...]:
    found = tuple(
        SegmentInfo(int(info["id"]), int(info["category_id"]), bool(info.get("iscrowd", 0)), info.get("area"))
        for info in entry["segments_info"]
    )
    for segment in found:
        if segment.category_id not in categories:
            raise EvaluationError(
                f"segment {segment.id} in {document} has category {segment.category_id}, expected one of the "
                f"{len(categories)} that are scored: is it prepared with the original ids?"
            )
    return found


def _instances(path: Path, metrics: Collection[str]) -> InstanceTruth | None:
    return InstanceTruth(existing("instances in COCO's format", path)) if "ap" in metrics else None


def _require_some(entries: list[Any], document: Path) -> list[Any]:
    if not entries:
        raise EvaluationError(f"{document} annotates nothing, expected at least one picture")
    return entries


def _wrong_format(document: Path, error: Exception) -> EvaluationError:
    return EvaluationError(f"{document} is not in the expected format ({type(error).__name__}: {error})")


def _kind(isthing: bool) -> str:
    return "a thing" if isthing else "stuff"
