"""The scores on the procedural world as one report: a model, three pools of pictures, two vocabularies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from ...fcclip.weights import weights_fingerprint
from ...segmenter import Segmenter
from ..metrics.panoptic_quality import GroupQuality, PanopticScores
from ..reports.tables import percent, table
from .scores import (
    IN_VOCABULARY,
    OUT_OF_VOCABULARY,
    POOLS,
    VOCABULARIES,
    Ensemble,
    PoolScores,
    Progress,
    Tuning,
    VocabularyKind,
    WorldPool,
    part_of,
    present_things,
    score_pool,
    seeds_of,
    tune_ensemble,
    unseen_categories,
)

__all__ = ["WorldReport", "evaluate_world", "world_tables"]

POOL_NAMES: dict[WorldPool, str] = {
    "seen": "seen compositions",
    "unseen": "unseen compositions",
    "unseen-shapes": "unseen shapes",
}


@dataclass(frozen=True, slots=True, eq=False)
class WorldReport:
    """What was measured, and of what.

    Attributes:
        segmenter: whose scores these are.
        other: the segmenter that its maps are compared with, if any.
        pools: the scores of each pool.
        tuning: how the tuned ensemble was found.
        ensembles: those that were scored, by name; the first, `model`, is the model as it stands.
        pictures, tuning_pictures: of each pool.
        seed: which pictures.
    """

    segmenter: Segmenter
    other: Segmenter | None
    pools: Mapping[WorldPool, PoolScores]
    tuning: Tuning
    ensembles: Mapping[str, Ensemble]
    pictures: int
    tuning_pictures: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON: fractions at full precision."""
        spec = self.segmenter.spec
        document: dict[str, Any] = {
            "model": spec.name,
            "weights_fingerprint": weights_fingerprint(self.segmenter.model.state_dict().items()),
            "precision": self.segmenter.precision,
            "pictures": self.pictures,
            "tuning_pictures": self.tuning_pictures,
            "seed": self.seed,
            "ensembles": {name: _weights(ensemble) for name, ensemble in self.ensembles.items()},
            "tuning": [_weights(ensemble) | {"pq": pq} for ensemble, pq in self.tuning.means.items()],
            "scores": {kind: {pool: self._scores(kind, pool) for pool in POOLS} for kind in VOCABULARIES},
        }
        if self.other is not None:
            document["compared"] = {
                "precision": self.other.precision,
                "scores": {kind: {pool: self._comparison(kind, pool) for pool in POOLS} for kind in VOCABULARIES},
            }
        return document

    def _scores(self, kind: VocabularyKind, pool: WorldPool) -> dict[str, Any]:
        found = self.pools[pool].scores
        return {
            name: _summary(found[kind, ensemble], self.segmenter, kind) for name, ensemble in self.ensembles.items()
        }

    def _comparison(self, kind: VocabularyKind, pool: WorldPool) -> dict[str, Any]:
        found = self.pools[pool]
        return {
            "agreement": found.agreement[kind].to_dict(),
            "model": _summary(found.other_scores[kind], self.segmenter, kind),
        }


def evaluate_world(
    segmenter: Segmenter,
    *,
    pictures: int,
    tuning_pictures: int,
    seed: int = 0,
    other: Segmenter | None = None,
    progress: Progress | None = None,
) -> WorldReport:
    """Score a model on unseen pictures of every pool, and its classifiers together and alone.

    Args:
        segmenter: keeps all queries (`min_objectness=0`).
        pictures: of each pool, scored.
        tuning_pictures: of each pool, to choose alpha and beta on.
        seed: which pictures.
        other: the same model in another precision, to be compared on the same pictures.
        progress: called as progress(done, total) with numbers of pictures.

    Raises:
        ConfigError: a number is out of range, or the segmenter drops queries.
    """
    # First of all, since it refuses numbers that are out of range.
    seeds = {pool: seeds_of("test", pool, seed=seed, pictures=pictures) for pool in POOLS}
    total = len(POOLS) * (pictures + tuning_pictures)
    tuning = tune_ensemble(segmenter, seed=seed, pictures=tuning_pictures, progress=part_of(progress, 0, total))
    spec = segmenter.spec
    ensembles = {
        "model": Ensemble(spec.alpha, spec.beta),
        "tuned": tuning.best,
        "in-vocabulary": IN_VOCABULARY,
        "out-of-vocabulary": OUT_OF_VOCABULARY,
    }
    different = list(dict.fromkeys(ensembles.values()))
    pools: dict[WorldPool, PoolScores] = {}
    for number, pool in enumerate(POOLS):
        done = len(POOLS) * tuning_pictures + number * pictures
        pools[pool] = score_pool(
            segmenter, pool, seeds[pool], different, other=other, progress=part_of(progress, done, total)
        )
    return WorldReport(segmenter, other, pools, tuning, ensembles, pictures, tuning_pictures, seed)


def world_tables(report: WorldReport) -> list[Table]:
    """Scores, classifiers together and alone, and the comparison if there is one."""
    tables = [_score_table(report), _classifier_table(report)]
    return [*tables, _comparison_table(report)] if report.other is not None else tables


def _score_table(report: WorldReport) -> Table:
    columns = ["vocabulary", "pictures of", "PQ", "SQ", "RQ", "categories", "PQ things", "PQ stuff"]
    columns += ["PQ things present", "PQ unseen", "unseen"]
    rows = []
    for kind, pool in _rows():
        scores = report.pools[pool].scores[kind, report.ensembles["model"]]
        everything, unseen = scores.all, unseen_categories(scores, report.segmenter, kind)
        qualities = [percent(value) for value in ((everything.pq, everything.sq, everything.rq) if everything else ())]
        rows.append(
            [kind, POOL_NAMES[pool], *(qualities or ["-"] * 3), str(everything.n if everything else 0)]
            + [_pq(group) for group in (scores.things, scores.stuff, present_things(scores), unseen)]
            + [str(unseen.n if unseen else 0)]
        )
    weights = report.ensembles["model"]
    title = (
        f"{report.segmenter.spec.name} in {report.segmenter.precision} on {report.pictures} pictures of each kind, "
        f"alpha {weights.alpha:g}, beta {weights.beta:g}; panoptic quality in percent"
    )
    return table(title, columns, rows)


def _classifier_table(report: WorldReport) -> Table:
    columns = ["vocabulary", "pictures of"]
    columns += [f"{name} ({weights.alpha:g}, {weights.beta:g})" for name, weights in report.ensembles.items()]
    rows = []
    for kind, pool in _rows():
        found = [report.pools[pool].scores[kind, ensemble] for ensemble in report.ensembles.values()]
        cells = [f"{_pq(scores.all)} / {_pq(present_things(scores))}" for scores in found]
        rows.append([kind, POOL_NAMES[pool], *cells])
    title = (
        "classifiers together (alpha, beta) and alone: PQ of all categories / of the things present; "
        f"tuned on {report.tuning_pictures} other pictures of each kind"
    )
    return table(title, columns, rows)


def _comparison_table(report: WorldReport) -> Table:
    columns = ("vocabulary", "pictures of", "equal pixels", "matched segments", "equal labels", "PQ", "PQ difference")
    rows = []
    for kind, pool in _rows():
        found = report.pools[pool]
        agreement, other = found.agreement[kind], found.other_scores[kind].all
        own = found.scores[kind, report.ensembles["model"]].all
        difference = f"{100 * (other.pq - own.pq):+.2f}" if own and other else "-"
        shares = [percent(share) for share in (agreement.pixels, agreement.segments, agreement.labels)]
        rows.append([kind, POOL_NAMES[pool], *shares, _pq(other), difference])
    other_precision = report.other.precision if report.other else ""
    return table(f"{other_precision} against {report.segmenter.precision}, in percent", columns, rows)


def _rows() -> list[tuple[VocabularyKind, WorldPool]]:
    return [(kind, pool) for kind in VOCABULARIES for pool in POOLS]


def _pq(group: GroupQuality | None) -> str:
    return percent(group.pq if group else None)


def _summary(scores: PanopticScores, segmenter: Segmenter, kind: VocabularyKind) -> dict[str, Any]:
    things, unseen = present_things(scores), unseen_categories(scores, segmenter, kind)
    document = scores.to_dict()
    per_class = {str(key): entry.to_dict() for key, entry in scores.per_class.items() if entry.occurs}
    document["Things present"] = things.to_dict() if things else None
    document["Unseen"] = unseen.to_dict() if unseen else None
    document["per_class"] = per_class
    return document


def _weights(ensemble: Ensemble) -> dict[str, Any]:
    return {"alpha": ensemble.alpha, "beta": ensemble.beta}
