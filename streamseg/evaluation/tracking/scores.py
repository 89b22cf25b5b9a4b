"""Maps against the truth: one row of the table, over the sequences of one scenario."""

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Several
from dataclasses import asdict, dataclass, fields
from functools import cache

from ...vocabulary import Vocabulary
from ..metrics.panoptic_quality import SegmentInfo
from ..metrics.video_scores import VideoScores
from .follow import MapFrame
from .identities import Steadiness
from .queries import SeenFrame

__all__ = ["Row", "ScoreSheet", "mean_row"]

METRICS = ("stq", "vpq", "tracking")


@dataclass(frozen=True, slots=True)
class Row:
    """Fractions, but for counts and rates; NaN where there was nothing to score.

    Attributes:
        stq, aq, sq: of STEP, over pixels and categories.
        vpq: mean over windows of 1, 2, 4, 6 and 8 frames.
        assa, idf1, idsw: of things as one class, so that a wrong name is no wrong identity.
        shown: association of what is shown, see `Steadiness.shown_association`.
        flips: changes of name per minute of video.
        named: share of shown things with the right name.
    """

    stq: float
    aq: float
    sq: float
    vpq: float
    assa: float
    shown: float
    idf1: float
    idsw: float
    flips: float
    named: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


class ScoreSheet:
    """Collects the sequences of one scenario.

    Args:
        vocabulary: name of the one whose category ids the truth has.
        metrics: some of stq, vpq and tracking; the others come out as NaN.
    """

    def __init__(self, vocabulary: str, metrics: Several[str] = METRICS) -> None:
        categories = {category.id: category.isthing for category in Vocabulary.load(vocabulary).categories}
        self._things = frozenset(id_ for id_, isthing in categories.items() if isthing)
        self._vocabulary = vocabulary
        self._scores = VideoScores(categories, metrics=metrics)
        self._steadiness = Steadiness()

    def add_video(self, name: str, frames: Several[SeenFrame], maps: Iterable[MapFrame]) -> None:
        """One sequence: what was seen and what became of it, in order."""
        for seen, found in zip(frames, maps, strict=True):
            truth = [SegmentInfo(segment.id, segment.category_id) for segment in seen.segments]
            segments = [
                SegmentInfo(segment.id, true_category(segment.label, self._vocabulary)) for segment in found.segments
            ]
            compared = self._scores.add_frame(seen.ids, truth, found.ids, segments)
            self._steadiness.add(compared.overlaps, truth, segments, self._things)
        self._scores.end_video(name)
        self._steadiness.end_video(len(frames) * float(frames[1].seconds - frames[0].seconds))

    def row(self) -> Row:
        """The scores of all that was added."""
        scores, nan, steady = self._scores, float("nan"), self._steadiness
        stq = scores.stq() if "stq" in scores.metrics else None
        vpq = scores.vpq().mean("all") if "vpq" in scores.metrics else None
        tracking: Mapping[str, float] = {}
        if "tracking" in scores.metrics:
            tracking = scores.tracking().agnostic["plain"].to_dict()
        return Row(
            stq=stq.stq if stq else nan,
            aq=stq.aq if stq else nan,
            sq=stq.sq if stq else nan,
            vpq=nan if vpq is None else vpq,
            assa=tracking.get("AssA", nan),
            shown=steady.shown_association,
            idf1=tracking.get("IDF1", nan),
            idsw=tracking.get("IDSW", nan),
            flips=steady.flips_per_minute,
            named=steady.label_accuracy,
        )


def mean_row(rows: Several[Row]) -> Row:
    """The mean of every column, each scenario counting alike."""
    return Row(**{field.name: sum(getattr(row, field.name) for row in rows) / len(rows) for field in fields(Row)})


@cache
def true_category(label: str, vocabulary: str) -> int:
    """The category id of a label that may say more than the truth does: 'red car' is a car."""
    ids = {category.label: category.id for category in Vocabulary.load(vocabulary).categories}
    return ids[label] if label in ids else ids[label.partition(" ")[2]]
