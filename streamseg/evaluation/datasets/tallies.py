"""All scores of a data set, picture by picture: tallies that add up."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import EvaluationError
from ...vocabulary import Vocabulary
from ..metrics.panoptic_quality import PanopticQuality, PanopticScores, SegmentInfo
from .annotations import IGNORED, read_ids, read_labels
from .cityscapes_instances import CityscapesPrecision
from .instances import CocoPrecision
from .predictions import Prediction
from .protocols import Protocol
from .samples import Sample, Samples
from .semantic import ClassTable

__all__ = ["PictureTallies", "panoptic_numbers"]

Ids = npt.NDArray[np.int32]
Numbers = dict[str, float | None]


class PictureTallies:
    """Tallies of pictures without time.

    Args:
        protocol: of the data set.
        vocabulary: its words.
        metrics: which of the protocol's are wanted.
    """

    def __init__(self, protocol: Protocol, vocabulary: Vocabulary, metrics: Collection[str]) -> None:
        self.vocabulary = vocabulary
        self.pictures = 0
        kinds = {category.id: category.isthing for category in vocabulary.categories}
        self._quality = PanopticQuality(kinds) if "pq" in metrics else None
        self._classes = ClassTable(vocabulary, protocol.classes) if "miou" in metrics else None
        self._coco = CocoPrecision(vocabulary) if "ap" in metrics and protocol.precision == "coco" else None
        by_script = "ap" in metrics and protocol.precision == "cityscapes"
        self._cityscapes = CityscapesPrecision(vocabulary) if by_script else None

    def add(self, samples: Samples, sample: Sample, prediction: Prediction) -> None:
        """Compare one picture.

        Raises:
            EvaluationError: its truth cannot be read, or does not fit; the message names the picture.
        """
        try:
            self._add(samples, sample, prediction)
        except EvaluationError as error:
            raise EvaluationError(f"picture {sample.name}: {error}") from None

    def absorb(self, other: "PictureTallies") -> None:
        """Add other pictures, of the same data set, which come after these."""
        self.pictures += other.pictures
        for ours, theirs in zip(self._all(), other._all(), strict=True):
            if ours is not None:
                ours.absorb(theirs)

    def scores(self) -> Numbers:
        """Fractions by name, as the published logs call them."""
        numbers: Numbers = {} if self._quality is None else panoptic_numbers(self._quality.result())
        for tally in (self._coco, self._cityscapes, self._classes):
            if tally is not None:
                numbers |= tally.scores()
        return numbers

    def per_class(self) -> dict[str, Numbers]:
        """Fractions by label, where a category has any."""
        columns: dict[str, Mapping[int, float | None]] = {}
        if self._quality is not None:
            result = self._quality.result().per_class
            columns["PQ"] = {key: entry.pq if entry.occurs else None for key, entry in result.items()}
        precision = self._coco or self._cityscapes
        if precision is not None:
            columns["AP"] = precision.per_class()
        if self._classes is not None:
            columns["IoU"] = self._classes.per_class()
        return {
            category.label: {name: column.get(category.id) for name, column in columns.items()}
            for category in self.vocabulary.categories
        }

    def _add(self, samples: Samples, sample: Sample, prediction: Prediction) -> None:
        self.pictures += 1
        ids = read_ids(sample.panoptic) if sample.panoptic and (self._quality or not sample.labels) else None
        if self._quality is not None and ids is not None:
            found = prediction.panoptic()
            segments = [SegmentInfo(segment.id, segment.category_id) for segment in found.segments]
            self._quality.add(ids, sample.segments, found.ids, segments)
        if self._classes is not None:
            self._classes.add(self._true_classes(samples, sample, ids), prediction.classes())
        if self._coco is not None and samples.instances is not None:
            self._coco.add(samples.instances.of(sample.image_id), prediction.instances())
        if self._cityscapes is not None and sample.instance_ids is not None:
            self._cityscapes.add(read_labels(sample.instance_ids), prediction.instances())

    def _true_classes(self, samples: Samples, sample: Sample, ids: Ids | None) -> Ids:
        if sample.labels is not None and samples.coding is not None:
            return samples.coding.decode(read_labels(sample.labels), sample.labels)
        if ids is None:
            raise EvaluationError("it has neither labels nor a panoptic map, expected one of them")
        return _classes_of_segments(ids, sample.segments, self.vocabulary)

    def _all(self) -> tuple[Any, ...]:
        return self._quality, self._classes, self._coco, self._cityscapes


def panoptic_numbers(scores: PanopticScores) -> Numbers:
    """Of all categories, of things, and of stuff."""
    numbers: Numbers = {}
    groups: dict[str, Callable[[PanopticScores], Any]] = {
        "": lambda result: result.all,
        "_th": lambda result: result.things,
        "_st": lambda result: result.stuff,
    }
    for suffix, choose in groups.items():
        group = choose(scores)
        for name in ("pq", "sq", "rq"):
            numbers[name.upper() + suffix] = None if group is None else getattr(group, name)
    return numbers


def _classes_of_segments(ids: Ids, segments: Collection[SegmentInfo], vocabulary: Vocabulary) -> Ids:
    """Crowds have a class, too; what no segment is listed for has none."""
    position = {category.id: place for place, category in enumerate(vocabulary.categories)}
    classes = {segment.id: position[segment.category_id] for segment in segments}
    present, place = np.unique(ids, return_inverse=True)
    table = np.array([classes.get(id_, IGNORED) for id_ in present.tolist()], np.int32)
    return table[place].reshape(ids.shape)
