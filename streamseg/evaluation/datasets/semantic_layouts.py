"""Data sets with semantic truth alone: a folder of pictures beside a folder of labels.

PASCAL VOC is taken as downloaded, too; ADE20K-full and PASCAL Context have to be prepared, as FC-CLIP's
`datasets/README.md` says.
"""

from collections.abc import Collection
from pathlib import Path

from ...errors import EvaluationError
from ...vocabulary import Vocabulary
from .annotations import LabelCoding, existing, home_of
from .samples import Sample, Samples

__all__ = ["ade20k_full", "coco_stuff", "pascal_context_59", "pascal_context_459", "pascal_voc_20", "pascal_voc_21"]

NOTHING_8, NOTHING_16 = 255, 65535


def ade20k_full(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:  # noqa: ARG001
    """`images_detectron2/validation/*.jpg` and `annotations_detectron2/validation/*.tif`, 16 bit."""
    home = home_of(root, "ADE20K_2021_17_01")
    script = "which prepare_ade20k_full_sem_seg.py makes"
    return _folders(
        existing(f"pictures, {script}", home / "images_detectron2/validation"),
        existing(f"labels, {script}", home / "annotations_detectron2/validation"),
        ".tif",
        LabelCoding.positions(len(vocabulary), ignored=NOTHING_16),
    )


def pascal_context_59(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:  # noqa: ARG001
    """`pascal_ctx_d2/images/validation/` and `annotations_ctx59/validation/*.png`."""
    coding = LabelCoding.positions(len(vocabulary), ignored=NOTHING_8)
    return _context(root, "annotations_ctx59", ".png", coding, "prepare_pascal_ctx_sem_seg.py")


def pascal_context_459(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:  # noqa: ARG001
    """`pascal_ctx_d2/images/validation/` and `annotations_ctx459/validation/*.tif`, 16 bit."""
    coding = LabelCoding.positions(len(vocabulary), ignored=NOTHING_16)
    return _context(root, "annotations_ctx459", ".tif", coding, "prepare_pascal_ctx_full_sem_seg.py")


def pascal_voc_21(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:  # noqa: ARG001
    """`pascal_voc_d2/` with `annotations_pascal21`, or `VOCdevkit/VOC2012` as downloaded."""
    coding = LabelCoding.positions(len(vocabulary), ignored=NOTHING_8)
    return _voc(root, "annotations_pascal21", prepared=coding, downloaded=coding)


def pascal_voc_20(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:  # noqa: ARG001
    """The same without the class background, whose pixels are ignored."""
    prepared = LabelCoding.positions(len(vocabulary), ignored=NOTHING_8)
    downloaded = LabelCoding(tuple(range(1, len(vocabulary) + 1)), frozenset({0, NOTHING_8}))
    return _voc(root, "annotations_pascal20", prepared=prepared, downloaded=downloaded)


def coco_stuff(root: Path, vocabulary: Vocabulary, metrics: Collection[str]) -> Samples:  # noqa: ARG001
    """COCO-Stuff 164k: `val2017/`, and `stuffthingmaps_detectron2/val2017` (classes in order) or, as downloaded,
    `stuffthingmaps/val2017` (one less than the category's id)."""
    home = home_of(root, "coco")
    pictures = existing("the pictures of COCO 2017 val", home / "val2017", home / "images/val2017")
    prepared, downloaded = home / "stuffthingmaps_detectron2/val2017", home / "stuffthingmaps/val2017"
    labels = existing("the labels of COCO-Stuff 164k", prepared, downloaded)
    if labels == prepared:
        return _folders(pictures, labels, ".png", LabelCoding.positions(len(vocabulary), ignored=NOTHING_8))
    values = tuple(category.id - 1 for category in vocabulary.categories)
    return _folders(pictures, labels, ".png", LabelCoding(values, frozenset({NOTHING_8})))


def _context(root: Path, annotations: str, suffix: str, coding: LabelCoding, script: str) -> Samples:
    home = home_of(root, "pascal_ctx_d2")
    return _folders(
        existing("pictures, which prepare_pascal_ctx_sem_seg.py makes", home / "images/validation"),
        existing(f"labels, which {script} makes", home / annotations / "validation"),
        suffix,
        coding,
    )


def _voc(root: Path, annotations: str, *, prepared: LabelCoding, downloaded: LabelCoding) -> Samples:
    home = home_of(root, "pascal_voc_d2")
    if (home / annotations / "validation").is_dir():
        pictures = existing("pictures, which prepare_pascal_voc_sem_seg.py makes", home / "images/validation")
        return _folders(pictures, home / annotations / "validation", ".png", prepared)
    raw = home_of(home_of(root, "VOCdevkit"), "VOC2012")
    split = existing(
        "the list of PASCAL VOC 2012's validation split, or labels that prepare_pascal_voc_sem_seg.py makes",
        raw / "ImageSets/Segmentation/val.txt",
        home / annotations / "validation",
    )
    samples = [
        Sample(name, raw / "JPEGImages" / f"{name}.jpg", labels=raw / "SegmentationClass" / f"{name}.png")
        for name in split.read_text(encoding="utf-8").split()
    ]
    return Samples(_require_some(samples, split), downloaded)


def _folders(pictures: Path, labels: Path, suffix: str, coding: LabelCoding) -> Samples:
    """One sample for each file of labels, in the order of their names."""
    files = sorted(path for path in labels.iterdir() if path.suffix == suffix)
    samples = [Sample(path.stem, pictures / f"{path.stem}.jpg", labels=path) for path in files]
    return Samples(_require_some(samples, labels, suffix), coding)


def _require_some(samples: list[Sample], where: Path, suffix: str = "") -> list[Sample]:
    if not samples:
        raise EvaluationError(f"{where} lists no{' ' + suffix if suffix else ''} labels, expected at least one picture")
    return samples
