"""HOTA, CLEAR and identity metrics of things, over many videos, in the four ways that the field reports them.

agnostic    all things are one class, so a change of category is no fault
per_class   each category by itself, then their plain mean, and their pooled counts
plain       everything counts
ignore      predictions that lie mostly in void or crowd are no false positives, as in MOTS
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .clear import ClearCounts, ClearVideo
from .compared_frame import ComparedFrame
from .detections import DetectionLog, Detections
from .hota import HotaCounts, HotaVideo
from .identity import IdentityCounts, IdentityVideo

__all__ = ["SETTINGS", "TrackingCounts", "TrackingMetrics", "TrackingScores"]

SETTINGS = ("agnostic_plain", "agnostic_ignore", "per_class_plain", "per_class_ignore")
THING = "thing"  # what the one class is called
ALPHA_FIELDS = ("HOTA", "DetA", "AssA", "LocA")
ORDER = (
    ["HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA"]
    + [f"{name}_alpha" for name in (*ALPHA_FIELDS, "HOTA_TP")]
    + ["MOTA", "MOTP", "sMOTA", "CLR_TP", "CLR_FN", "CLR_FP", "IDSW", "MT", "PT", "ML", "Frag"]
    + ["IDF1", "IDP", "IDR", "IDTP", "IDFN", "IDFP"]
)
WHOLE = {"HOTA_TP_alpha", "CLR_TP", "CLR_FN", "CLR_FP", "IDSW", "MT", "PT", "ML", "Frag", "IDTP", "IDFN", "IDFP"}

Key = int | None  # a category, or None for all things as one class


@dataclass(frozen=True, slots=True)
class TrackingCounts:
    """Everything that is counted of one class; counts of videos add up."""

    hota: HotaCounts = field(default_factory=HotaCounts)
    clear: ClearCounts = field(default_factory=ClearCounts)
    identity: IdentityCounts = field(default_factory=IdentityCounts)

    def __add__(self, other: "TrackingCounts") -> "TrackingCounts":
        return TrackingCounts(self.hota + other.hota, self.clear + other.clear, self.identity + other.identity)

    def to_dict(self, *, single: bool = False) -> dict[str, Any]:
        """For JSON, under TrackEval's names. Of a single video without truth, MOTA is 0 as there."""
        by_alpha = self.hota.scores()
        clear = self.clear.scores()
        if single and not self.clear.tp + self.clear.fn:
            clear = dict.fromkeys(clear, 0.0)
        values: dict[str, Any] = {name: float(value.mean()) for name, value in by_alpha.items()}
        values |= {f"{name}_alpha": by_alpha[name].tolist() for name in ALPHA_FIELDS}
        values |= {"HOTA_TP_alpha": self.hota.tp.tolist()}
        values |= {**clear, **self.clear.whole(), **self.identity.scores(), **self.identity.whole()}
        return {name: values[name] for name in ORDER}


@dataclass(frozen=True, slots=True)
class TrackingScores:
    """Scores of many videos.

    Attributes:
        agnostic: counts by "plain" and "ignore".
        per_class: the same by category, for every thing there is.
        labels: what categories are called in documents.
    """

    agnostic: Mapping[str, TrackingCounts]
    per_class: Mapping[str, Mapping[int, TrackingCounts]]
    labels: Mapping[int, str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, keyed by setting."""
        document: dict[str, Any] = {
            f"agnostic_{ignore}": {"combined": {THING: counts.to_dict()}} for ignore, counts in self.agnostic.items()
        }
        for ignore, classes in self.per_class.items():
            each = {self.labels[category]: counts.to_dict() for category, counts in classes.items()}
            document[f"per_class_{ignore}"] = {"combined": each} | (
                {
                    "class_average": _class_average(list(each.values())),
                    "detection_average": sum(classes.values(), TrackingCounts()).to_dict(),
                }
                if each
                else {}
            )
        return document


class TrackingMetrics:
    """Counts over any number of videos. Memory holds the tracks of one video; its frames lie on disk when it is long.

    Args:
        categories: whether each category id is a thing.
        labels: what documents call each category; None for their ids.

    Attributes:
        last_video: counts by setting and class of the video that ended last.
    """

    def __init__(self, categories: Mapping[int, bool], labels: Mapping[int, str] | None = None) -> None:
        self._isthing = dict(categories)
        self._things = [category for category, isthing in categories.items() if isthing]
        self._labels = _distinct_labels(self._things, labels or {})
        self._totals: dict[tuple[str, Key], TrackingCounts] = {
            (ignore, key): TrackingCounts() for ignore in ("plain", "ignore") for key in (None, *self._things)
        }
        self._log = DetectionLog()
        self._any_ignored = False
        self.last_video: dict[str, dict[str, TrackingCounts]] = {}

    def add(self, frame: ComparedFrame) -> None:
        """The next frame of the video."""
        detections = Detections.of(frame, self._isthing)
        self._any_ignored |= bool(detections.ignored.any())
        self._log.append(detections)

    def end_video(self, name: str) -> None:  # noqa: ARG002 - as every metric
        plain = _counts(self._log, ignore=False)
        video = {"plain": plain, "ignore": _counts(self._log, ignore=True) if self._any_ignored else plain}
        self._log.close()
        self._log, self._any_ignored = DetectionLog(), False
        self.last_video = {setting: {} for setting in SETTINGS}
        for (ignore, key), total in self._totals.items():
            counts = video[ignore].get(key, TrackingCounts())
            self._totals[ignore, key] = total + counts
            who, label = ("agnostic", THING) if key is None else ("per_class", self._labels[key])
            self.last_video[f"{who}_{ignore}"][label] = counts

    def result(self) -> TrackingScores:
        """The scores of all videos that have ended."""
        return TrackingScores(
            {ignore: self._totals[ignore, None] for ignore in ("plain", "ignore")},
            {
                ignore: {category: self._totals[ignore, category] for category in self._things}
                for ignore in ("plain", "ignore")
            },
            self._labels,
        )


class _ClassVideo:
    """One class in one video."""

    def __init__(self) -> None:
        self.hota, self.clear, self.identity = HotaVideo(), ClearVideo(), IdentityVideo()

    def look(self, frame: Detections) -> None:
        self.hota.look(frame)
        self.clear.add(frame)
        self.identity.add(frame)

    def counts(self) -> TrackingCounts:
        return TrackingCounts(self.hota.counts(), self.clear.counts(), self.identity.counts())


def _counts(frames: DetectionLog, *, ignore: bool) -> dict[Key, TrackingCounts]:
    """Of all things together, and of each category that occurs."""
    classes: dict[Key, _ClassVideo] = {None: _ClassVideo()}
    for key, part in _parts(frames, ignore):
        classes.setdefault(key, _ClassVideo()).look(part)
    for key, part in _parts(frames, ignore):
        classes[key].hota.match(part)
    return {key: each.counts() for key, each in classes.items()}


def _parts(frames: Iterable[Detections], ignore: bool) -> Iterator[tuple[Key, Detections]]:
    for every in frames:
        frame = every.without_ignored() if ignore else every
        yield None, frame
        for category in frame.categories:
            yield category, frame.of_category(category)


def _class_average(classes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Plain means over classes, of those in neither truth nor prediction too; counts are summed."""
    average: dict[str, Any] = {}
    for name in ORDER:
        column = np.array([each[name] for each in classes])
        average[name] = (column.sum(0) if name in WHOLE else column.mean(0)).tolist()
    return average


def _distinct_labels(things: Sequence[int], labels: Mapping[int, str]) -> dict[int, str]:
    """Names for documents; where two categories share one, their ids are put behind."""
    names = {category: labels.get(category, str(category)) for category in things}
    taken = list(names.values())
    return {key: name if taken.count(name) == 1 else f"{name} ({key})" for key, name in names.items()}
