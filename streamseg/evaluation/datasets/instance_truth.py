"""True instances in COCO's format: polygons, run lengths, crowds."""

from collections import defaultdict
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import ConfigError, EvaluationError
from .annotations import read_document

__all__ = ["InstanceTruth", "mask_tools"]

Annotation = dict[str, Any]


def mask_tools() -> ModuleType:
    """pycocotools' functions on run lengths, which average precision is defined by.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module("pycocotools.mask")
    except ImportError:
        raise ConfigError(
            "average precision needs pycocotools: pip install pycocotools, or choose other --metrics"
        ) from None


class InstanceTruth:
    """The annotations of each image of a document such as `instances_val2017.json`.

    Args:
        path: the document.

    Raises:
        EvaluationError: it cannot be read, or is not in COCO's format.
    """

    def __init__(self, path: Path) -> None:
        document = read_document(path, ("images", "annotations"))
        self.path = path
        self._tools = mask_tools()
        self._annotations: dict[int | str, list[Mapping[str, Any]]] = defaultdict(list)
        try:
            self._sizes = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
            for annotation in document["annotations"]:
                self._annotations[annotation["image_id"]].append(annotation)
        except (KeyError, TypeError) as error:
            raise EvaluationError(
                f"{path} is no document of instances ({type(error).__name__}: {error}), expected COCO's format"
            ) from None

    def of(self, image_id: int | str) -> list[Annotation]:
        """What pycocotools needs to know of each instance of an image; masks as run lengths.

        Raises:
            EvaluationError: the document does not know the image, or an annotation cannot be read.
        """
        if image_id not in self._sizes:
            raise EvaluationError(f"{self.path} has no image {image_id!r}, expected those of the panoptic document")
        try:
            return [self._read(annotation, self._sizes[image_id]) for annotation in self._annotations[image_id]]
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(
                f"an annotation of image {image_id!r} in {self.path} cannot be read ({type(error).__name__}: {error})"
            ) from None

    def _read(self, annotation: Mapping[str, Any], size_hw: tuple[int, int]) -> Annotation:
        crowd = int(annotation.get("iscrowd", 0))
        return {
            "id": annotation["id"],
            "category_id": annotation["category_id"],
            "area": annotation["area"],
            "iscrowd": crowd,
            "ignore": crowd,
            "segmentation": self._run_lengths(annotation["segmentation"], *size_hw),
        }

    def _run_lengths(self, segmentation: Any, height: int, width: int) -> Any:
        """Polygons are filled as pycocotools fills them; a dict holds counts, as a list or packed."""
        if isinstance(segmentation, list):
            return self._tools.merge(self._tools.frPyObjects(segmentation, height, width))
        if isinstance(segmentation["counts"], list):
            return self._tools.frPyObjects(segmentation, height, width)
        return segmentation
