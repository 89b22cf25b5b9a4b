"""A model on a data set: in blocks that are scored by themselves and added up in order.

Sums of floating-point numbers depend on their order. Blocks are the same whoever scores them, and are added in their
order, so one process and any number of workers give the same last digit, as far as their forward passes do.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...segmenter import Segmenter
from ...sources.images import read_image
from ...vocabulary import Vocabulary
from .predictions import Predictor, predictor_of
from .protocols import Protocol, get_protocol
from .published import published_scores
from .samples import Sample, Samples
from .tallies import PictureTallies
from .video import VideoPredictor, VideoTallies, tracked

__all__ = ["DatasetReport", "Evaluation", "Plan", "evaluate_dataset"]

BLOCK = 8  # pictures

Tallies = PictureTallies | VideoTallies
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to evaluate; plain values, so that it can be sent anywhere.

    Attributes:
        dataset: one of `PROTOCOLS`.
        root: its folder, or the one above it.
        model, weights, clip, device, precision: as of `Segmenter.load`.
        metrics: some of the protocol's; none for all.
        limit: this many pictures (of video: videos) from the start; None for all.
        short_side, max_long_side: of the network's input, instead of the protocol's.
    """

    dataset: str
    root: str
    model: str
    weights: str | None = None
    clip: str | None = None
    device: str = "auto"
    precision: str = "fp32"
    metrics: tuple[str, ...] = ()
    limit: int | None = None
    short_side: int | None = None
    max_long_side: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("limit", self.limit), ("short side", self.short_side), ("long side", self.max_long_side)):
            if value is not None and value < 1:
                raise ConfigError(f"the {name} is {value}, expected at least 1")

    @property
    def protocol(self) -> Protocol:
        return get_protocol(self.dataset)

    @property
    def input_size(self) -> tuple[int, int]:
        """Short side and the most of the long one."""
        short = self.short_side or self.protocol.short_side
        return short, max(short, self.max_long_side or self.protocol.max_long_side)

    @property
    def as_published(self) -> bool:
        """Nothing departs from the protocol."""
        size = self.protocol.short_side, self.protocol.max_long_side
        return self.limit is None and self.input_size == size and self.precision == "fp32"


class Evaluation:
    """A data set and what a model says of it, block by block.

    Args:
        plan: what to do.
        predictor: instead of the plan's model, for pictures.
        video_predictor: instead of the plan's model and the tracker, for video.

    Raises:
        ConfigError: an unknown data set or metric.
        EvaluationError: the data set is not there, or not as it should be.
    """

    def __init__(
        self, plan: Plan, *, predictor: Predictor | None = None, video_predictor: VideoPredictor | None = None
    ) -> None:
        self.plan, self.protocol = plan, plan.protocol
        self.metrics = _chosen(plan.metrics, self.protocol)
        self.samples: Samples
        self.vocabulary: Vocabulary
        self.samples, self.vocabulary = self.protocol.find(Path(plan.root), self.metrics)
        self._given, self._video_given = predictor, video_predictor
        self.blocks = _blocks(self.samples.all, plan.limit, video=self.protocol.video)

    @property
    def size(self) -> int:
        """Pictures that will be scored."""
        return sum(len(block) for block in self.blocks)

    def tallies(self) -> Tallies:
        """Empty ones."""
        kind = VideoTallies if self.protocol.video else PictureTallies
        return kind(self.protocol, self.vocabulary, self.metrics)

    def score(self, number: int) -> Tallies:
        """The tallies of one block.

        Raises:
            EvaluationError, SourceError: a file is missing or damaged; named in the message.
        """
        tallies = self.tallies()
        if isinstance(tallies, VideoTallies):
            tallies.add(self.blocks[number], self.video_predictor)
            return tallies
        for sample in self.blocks[number]:
            tallies.add(self.samples, sample, self.predictor(read_image(sample.picture)))
        return tallies

    @cached_property
    def predictor(self) -> Predictor:
        """The model, loaded when it is needed."""
        return self._given or predictor_of(self._segmenter, self.vocabulary, self.protocol.upsample)

    @cached_property
    def video_predictor(self) -> VideoPredictor:
        """The model and the tracker, loaded when they are needed."""
        return self._video_given or tracked(self._segmenter, self.vocabulary)

    @cached_property
    def _segmenter(self) -> Segmenter:
        plan = self.plan
        short_side, max_long_side = plan.input_size
        return Segmenter.load(
            plan.model,
            plan.weights,
            clip=plan.clip,
            device=plan.device,
            precision=plan.precision,
            short_side=short_side,
            max_long_side=max_long_side,
            min_objectness=0.0,  # every query takes part, as published
        )

    def report(self, tallies: Tallies) -> "DatasetReport":
        """What came out."""
        scores = {name: _percent(value) for name, value in tallies.scores().items()}
        per_class = {
            label: {name: _percent(value) for name, value in entry.items()}
            for label, entry in tallies.per_class().items()
        }
        return DatasetReport(self.plan, self.vocabulary.name, tallies.pictures, scores, per_class)


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """Scores of a data set.

    Attributes:
        plan: how they were made.
        vocabulary: whose words were asked for.
        pictures: that were scored.
        scores: percent, by name; None where nothing could be measured.
        per_class: the same by label.
    """

    plan: Plan
    vocabulary: str
    pictures: int
    scores: dict[str, float | None]
    per_class: dict[str, dict[str, float | None]]

    @property
    def published(self) -> dict[str, float]:
        """What the authors published for this model, percent."""
        return published_scores(self.plan.dataset, self.plan.model)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        short_side, max_long_side = self.plan.input_size
        return {
            "dataset": self.plan.dataset,
            "model": self.plan.model,
            "pictures": self.pictures,
            "unit": "percent",
            "scores": self.scores,
            "published": self.published,
            "protocol": {
                "vocabulary": self.vocabulary,
                "short_side": short_side,
                "max_long_side": max_long_side,
                "as_published": self.plan.as_published,
            },
            "plan": asdict(self.plan),
            "per_class": self.per_class,
        }


def evaluate_dataset(
    plan: Plan,
    *,
    predictor: Predictor | None = None,
    video_predictor: VideoPredictor | None = None,
    progress: Progress | None = None,
) -> DatasetReport:
    """All blocks, one after the other, in this process.

    Args:
        plan: what to evaluate.
        predictor, video_predictor: instead of the plan's model.
        progress: called as progress(pictures done, of all).

    Raises:
        StreamsegError: as of `Evaluation`, `Evaluation.score` and `Segmenter.load`.
    """
    evaluation = Evaluation(plan, predictor=predictor, video_predictor=video_predictor)
    total = evaluation.tallies()
    for number in range(len(evaluation.blocks)):
        total.absorb(evaluation.score(number))  # type: ignore[arg-type]  # both are of the plan's kind
        if progress is not None:
            progress(total.pictures, evaluation.size)
    return evaluation.report(total)


def _chosen(wanted: Sequence[str], protocol: Protocol) -> tuple[str, ...]:
    unknown = [name for name in wanted if name not in protocol.metrics]
    if unknown:
        raise ConfigError(
            f"metric {unknown[0]!r} is not published for {protocol.name}, expected some of "
            f"{', '.join(protocol.metrics)}"
        )
    return tuple(name for name in protocol.metrics if not wanted or name in wanted)


def _blocks(samples: Sequence[Sample], limit: int | None, *, video: bool) -> list[list[Sample]]:
    """Pictures in blocks of one size, or each video as a block."""
    if not video:
        kept = list(samples[:limit])
        return [kept[start : start + BLOCK] for start in range(0, len(kept), BLOCK)]
    videos: dict[str | None, list[Sample]] = {}
    for sample in samples:
        videos.setdefault(sample.video, []).append(sample)
    return list(videos.values())[:limit]


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
