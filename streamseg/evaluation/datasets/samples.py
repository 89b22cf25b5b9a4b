"""Annotated pictures of a data set, as the layouts find them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..metrics.panoptic_quality import SegmentInfo
from .annotations import LabelCoding
from .instance_truth import InstanceTruth

__all__ = ["Sample", "Samples"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture and where its truth lies.

    Attributes:
        name: what messages call it.
        picture: the file.
        image_id: how documents of instances call it.
        panoptic: its panoptic PNG.
        segments: what the PNG's ids mean.
        labels: its picture of labels; None where classes are read off the panoptic map.
        instance_ids: its picture of instances, in Cityscapes' coding.
        video: whose frame it is; None for pictures without time.
    """

    name: str
    picture: Path
    image_id: int | str = 0
    panoptic: Path | None = None
    segments: tuple[SegmentInfo, ...] = ()
    labels: Path | None = None
    instance_ids: Path | None = None
    video: str | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """All pictures of a split.

    Attributes:
        all: in the order of the data set.
        coding: what the values in pictures of labels mean.
        instances: the true instances of each picture, in COCO's format.
        labels: categories that only the data set's own document knows, by id, as (name, whether a thing); empty where
            a built-in vocabulary has them.
    """

    all: Sequence[Sample]
    coding: LabelCoding | None = None
    instances: InstanceTruth | None = None
    labels: Mapping[int, tuple[str, bool]] | None = None

    def first(self, count: int | None) -> "Samples":
        """The first so many pictures; all for None."""
        return self if count is None else replace(self, all=self.all[:count])
