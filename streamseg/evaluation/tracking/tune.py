"""A seeded coordinate search over the settings, on the tuning seeds alone.

One setting at a time, in random order, one step up or down its ladder; what scores better is kept, and the search goes
round until nothing does or the trials are used up. Crude, and enough: the score is noisy in the third digit, and every
step can be read in the log.
"""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from typing import Any

from ...config.tracking import TrackingSettings
from ...world.seeds import generator

__all__ = ["LADDERS", "Search", "Trial", "search"]

# What is tried of each setting, in order.
LADDERS: Mapping[str, tuple[float, ...]] = {
    "high_objectness": (0.25, 0.3, 0.35, 0.4, 0.5, 0.6),
    "low_objectness": (0.1, 0.15, 0.2, 0.25),
    "birth_objectness": (0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7),
    "query_weight": (0.2, 0.3, 0.4, 0.6, 0.8),
    "iou_weight": (0.2, 0.35, 0.5, 0.7, 0.9),
    "feature_weight": (0.0, 0.07, 0.15, 0.25, 0.4),
    "class_weight": (0.0, 0.05, 0.1, 0.2, 0.3),
    "min_similarity": (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6),
    "gate_distance": (1.0, 1.5, 2.0, 3.0),
    "gate_area_ratio": (2.0, 3.0, 4.0, 6.0, 8.0),
    "low_iou": (0.3, 0.4, 0.5, 0.6),
    "last_mask_iou": (0.1, 0.2, 0.3, 0.4, 0.5),
    "last_mask_seconds": (0.5, 1.0, 2.0, 4.0),
    "active_seconds": (0.1, 0.2, 0.4, 0.7, 1.0),
    "recognition_cosine": (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    "recognition_margin": (0.0, 0.02, 0.05, 0.1),
    "recognition_class_overlap": (0.0, 0.2, 0.35, 0.5, 0.65, 0.8),
    "gallery_novelty": (0.8, 0.85, 0.9, 0.95, 0.98),
    "birth_coverage": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    "embedding_seconds": (0.05, 0.1, 0.2, 0.4, 0.8),
    "velocity_seconds": (0.05, 0.1, 0.2, 0.4),
    "smoothing_seconds": (0.5, 1.0, 2.0, 4.0, 8.0),
    "label_ratio": (1.0, 1.2, 1.5, 2.0),
    "label_frames": (2, 3, 5, 8),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One change, what it scored, and whether it was kept."""

    setting: str
    value: float
    score: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Search:
    """How a search went: where it began, every trial, and where it ended."""

    start: TrackingSettings
    start_score: float
    trials: tuple[Trial, ...]
    best: TrackingSettings
    best_score: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the trials, and the settings that changed."""
        changed = {
            name: {"from": getattr(self.start, name), "to": getattr(self.best, name)}
            for name in LADDERS
            if getattr(self.start, name) != getattr(self.best, name)
        }
        return {
            "start_score": self.start_score,
            "best_score": self.best_score,
            "changed": changed,
            "trials": [
                {"setting": trial.setting, "value": trial.value, "score": trial.score, "kept": trial.kept}
                for trial in self.trials
            ],
        }


def search(
    score: Callable[[TrackingSettings], float],
    start: TrackingSettings,
    *,
    trials: int,
    seed: int,
    least_gain: float = 1e-4,
    settings: Several[str] = tuple(LADDERS),
    on_trial: Callable[[Trial], None] | None = None,
) -> Search:
    """Climb.

    Args:
        score: what a choice is worth; more is better.
        start: where to begin.
        trials: most calls of `score`, the first one aside.
        seed: in which order settings are tried.
        least_gain: a change has to score so much better to be kept.
        settings: which of `LADDERS`.
        on_trial: called after each trial.
    """
    best, best_score = start, score(start)
    start_score = best_score
    done: list[Trial] = []
    rng = generator("tracking search", seed)
    while True:
        improved = False
        for name in [settings[place] for place in rng.permutation(len(settings))]:
            for value in steps(name, getattr(best, name)):
                if len(done) == trials:
                    return Search(start, start_score, tuple(done), best, best_score)
                tried = changed(best, name, value)
                if tried is None:
                    continue
                found = score(tried)
                kept = found > best_score + least_gain
                done.append(Trial(name, value, found, kept))
                if on_trial is not None:
                    on_trial(done[-1])
                if kept:
                    best, best_score, improved = tried, found, True
                    break
        if not improved:
            return Search(start, start_score, tuple(done), best, best_score)


def steps(name: str, value: float) -> Iterator[float]:
    """The next rung up, and the next one down."""
    ladder = LADDERS[name]
    yield from [rung for rung in ladder if rung > value][:1]
    yield from [rung for rung in ladder if rung < value][-1:]


def changed(settings: TrackingSettings, name: str, value: float) -> TrackingSettings | None:
    """The settings with another value; None where they do not go together."""
    if name == "low_objectness" and value > settings.high_objectness:
        return None
    if name == "high_objectness" and value < settings.low_objectness:
        return None
    other: dict[str, Any] = {name: value}
    return replace(settings, **other)
