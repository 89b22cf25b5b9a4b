"""Scores that the authors of FC-CLIP published, in percent.

From the table of models in the README of their repository (bytedance/fc-clip), which extends the paper's (Yu et al.,
NeurIPS 2023, arXiv 2308.02487, tables 1 to 4). All models are trained on COCO panoptic; everywhere else they are
zero-shot.
"""

from collections.abc import Mapping

__all__ = ["published_scores"]

COLUMNS = (
    ("ade20k", "PQ"),
    ("ade20k", "AP"),
    ("ade20k", "mIoU"),
    ("cityscapes", "PQ"),
    ("cityscapes", "AP"),
    ("cityscapes", "mIoU"),
    ("mapillary", "PQ"),
    ("mapillary", "mIoU"),
    ("ade20k-full", "mIoU"),
    ("pascal-context-59", "mIoU"),
    ("pascal-context-459", "mIoU"),
    ("pascal-voc-21", "mIoU"),
    ("pascal-voc-20", "mIoU"),
    ("coco", "PQ"),
    ("coco", "AP"),
    ("coco", "mIoU"),
)
ROWS: Mapping[str, tuple[float, ...]] = {
    "fcclip-r50": (17.9, 9.5, 23.3, 40.3, 21.6, 53.2, 15.9, 24.4, 7.1, 50.5, 12.9, 75.9, 89.5, 50.7, 40.7, 58.8),
    "fcclip-r101": (19.1, 10.2, 24.0, 40.9, 24.1, 53.9, 16.7, 23.2, 7.7, 48.9, 12.3, 77.6, 91.3, 51.4, 41.6, 58.9),
    "fcclip-r50x4": (21.8, 11.7, 26.8, 42.2, 23.8, 54.6, 17.4, 24.6, 8.7, 54.0, 13.1, 79.0, 92.9, 52.1, 42.8, 60.4),
    "fcclip-r50x16": (22.5, 13.6, 29.4, 42.0, 25.6, 56.0, 17.8, 26.1, 10.3, 56.4, 15.7, 80.7, 94.5, 54.4, 45.0, 63.3),
    "fcclip-r50x64": (22.8, 13.6, 28.4, 42.7, 27.4, 55.1, 18.2, 27.3, 10.8, 55.7, 16.2, 80.3, 95.1, 55.6, 46.4, 65.3),
    "fcclip-convnext-large": (
        *(26.8, 16.8, 34.1, 44.0, 26.8, 56.2, 18.3, 27.8),
        *(14.8, 58.4, 18.2, 81.8, 95.4, 54.4, 44.6, 63.7),
    ),
}


def published_scores(dataset: str, model: str) -> dict[str, float]:
    """By metric; empty where nothing was published."""
    row = ROWS.get(model)
    if row is None:
        return {}
    return {metric: value for (name, metric), value in zip(COLUMNS, row, strict=True) if name == dataset}
