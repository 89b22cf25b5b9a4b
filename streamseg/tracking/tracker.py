"""Association in stages (`stages.py`), with labels fused over time: the default method.

A frame goes through it like this: look at the queries (on the device), hold the tracks against them, fetch the cues
(the one transfer before the assignment), decide who continues what (on the host), update the tracks (on the device),
fetch labels and scores (three numbers per query), give out ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..config.tracking import TrackingSettings
from ..frames import MAX_SEGMENT_ID
from ..queries import Queries
from ..tracks import TrackRow
from ..vocabulary import Vocabulary
from .association import Association, Associator, Classify
from .bank import TrackBank
from .checks import check_mask_size, check_state, check_vocabulary
from .clock import StreamClock
from .gallery import forgotten
from .labels import LOWEST_LOG_SCORE, decay
from .measure import measure
from .observation import Observation, observe
from .region import Region, candidates, expected_offsets
from .stages import Cues, Matches, births, match
from .transfer import to_host

__all__ = ["StageTracker"]

STATE_VERSION = 1


class StageTracker(Associator):
    """What the methods promise stands at `Associator`.

    Args:
        settings: every number of it.
        vocabulary: of the queries to come.
        last_id: the largest id.
    """

    kind = "streamseg"

    def __init__(self, settings: TrackingSettings, vocabulary: Vocabulary, *, last_id: int = MAX_SEGMENT_ID) -> None:
        super().__init__(settings, vocabulary, last_id=last_id)
        self.settings = settings
        self._restart()

    def _restart(self) -> None:
        self._clock = StreamClock(self.settings.assumed_fps)
        self._step = 0  # frames associated
        self._regions: list[Region] = []  # of each row of the bank
        self._bank: TrackBank | None = None  # None while there is no track
        self._clip: Tensor | None = None  # global CLIP embedding of the frame before

    @torch.inference_mode()
    def update(
        self,
        queries: Queries,
        *,
        frame: int,
        seconds: Fraction | float | None,
        picture_change: float | None = None,
    ) -> Association:
        check_vocabulary(queries, self._register.vocabulary)
        now = self._clock.tick(frame, seconds)
        self._step += 1
        if len(queries):
            association = self._associate(queries, frame, seconds, now, picture_change)
        else:
            association = nothing(queries)
        self._clip = queries.global_clip_embedding.float()
        self._forget(now)
        return replace(association, ended=self._register.take_ended())

    @torch.inference_mode()
    def change_vocabulary(self, vocabulary: Vocabulary, classify: Classify) -> None:
        if self._bank is not None:
            log_scores, void_probability = classify(*self._bank.embeddings(), self._bank.clip_weight > 0)
            self._bank = self._bank.relabelled(log_scores.float().clamp(min=LOWEST_LOG_SCORE), void_probability.float())
            isthing = np.array([category.isthing for category in vocabulary.all_categories], bool)
            turned = isthing[self._bank.label.cpu().numpy()]
            same = np.array([region.isthing for region in self._regions]) == turned
            # Stuff finds its identity under the new words by itself, when it is seen next.
            self._release([row for row, region in enumerate(self._regions) if not (same[row] and region.isthing)])
            self._keep(same)
        self._register.change_vocabulary(vocabulary)

    @torch.inference_mode()
    def finish(self) -> tuple[TrackRow, ...]:
        self._release(range(len(self._regions)))
        self._restart()
        return self._register.close()

    def state_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "version": STATE_VERSION,
            "register": self._register.state_dict(),
            "clock": self._clock.state_dict(),
            "step": self._step,
            "regions": [region.state_dict() for region in self._regions],
            "bank": None if self._bank is None else self._bank.state_dict(),
            "clip": None if self._clip is None else self._clip.cpu().numpy().copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_state(state, self.kind, STATE_VERSION)
        self._restart()
        self._register.load_state_dict(state["register"])
        self._clock.load_state_dict(state["clock"])
        self._step = state["step"]
        self._regions = [Region.from_state(region, self._register.book) for region in state["regions"]]
        # On the host until the first frame shows where the queries are.
        self._bank = None if state["bank"] is None else TrackBank.from_state(state["bank"], torch.device("cpu"))
        self._clip = None if state["clip"] is None else torch.tensor(state["clip"])

    def _associate(
        self,
        queries: Queries,
        frame: int,
        seconds: Fraction | float | None,
        now: float,
        picture_change: float | None,
    ) -> Association:
        seen = observe(queries, self.settings.edge_weight)
        isthing = torch.from_numpy(self._register.isthing).to(seen.label.device)
        bank = self._bank_for(seen, queries)
        cues = measure(
            bank,
            seen,
            expected_offsets(self._regions, now),
            isthing=isthing,
            clip_cosine=self._clip_cosine(queries),
            settings=self.settings,
        )
        matches = match(cues, candidates(self._regions, self._step, now, self.settings), picture_change, self.settings)
        if matches.cut:
            for region in self._regions:
                region.astray = True
        rows = np.full(len(queries), -1)
        rows[matches.pairs[:, 1]] = matches.pairs[:, 0]
        self._bank = self._continued(bank, matches, seen, queries, isthing, now)
        self._see(matches, cues, now)
        born = births(cues, matches.pairs[:, 1], self.settings)
        rows[born] = np.arange(len(born)) + len(self._regions)
        self._bear(born, seen, queries, cues, now)
        return self._named(rows, seen, frame, seconds, events=("scene_cut",) if matches.cut else ())

    def _bank_for(self, seen: Observation, queries: Queries) -> TrackBank:
        """The tracks, on the device of the queries; an empty bank where there is none."""
        if self._bank is None:
            none = torch.zeros(0, dtype=torch.int64, device=seen.label.device)
            return TrackBank.born(seen, queries, none, self.settings.gallery_embeddings)
        check_mask_size(self._bank.coverage.shape[1:], seen.coverage.shape[1:])
        return self._bank.to(seen.label.device)

    def _clip_cosine(self, queries: Queries) -> Tensor:
        now = queries.global_clip_embedding.float()
        before = now if self._clip is None else self._clip.to(now.device)
        return torch.nn.functional.cosine_similarity(before, now, dim=0)

    def _continued(
        self, bank: TrackBank, matches: Matches, seen: Observation, queries: Queries, isthing: Tensor, now: float
    ) -> TrackBank:
        """The bank, with what the matched queries show of their tracks."""
        if len(matches.pairs) == 0:
            return bank
        device = seen.label.device
        rows, members = torch.from_numpy(matches.pairs.T.copy()).to(device)
        elapsed = [now - self._regions[row].seen_at for row in matches.pairs[:, 0].tolist()]
        fading = self.settings.smoothing_seconds if self.settings.smoothing else 0.0
        decays = torch.tensor(
            [
                [decay(seconds, fading) for seconds in elapsed],
                [decay(seconds, self.settings.embedding_seconds) for seconds in elapsed],
                matches.sure.tolist(),
            ],
            device=device,
        )
        tracks = bank.select(rows).seen_again(
            seen,
            queries,
            members,
            class_decay=decays[0],
            embedding_decay=decays[1],
            sure=decays[2] > 0,
            novelty=self.settings.gallery_novelty,
        )
        return bank.with_rows(rows, tracks.labelled(isthing, self.settings))

    def _see(self, matches: Matches, cues: Cues, now: float) -> None:
        """Note where the matched tracks are."""
        settings = self.settings
        for (row, query), moved in zip(matches.pairs.tolist(), matches.moved.tolist(), strict=True):
            region = self._regions[row]
            region.see(cues.centre[query], cues.area[query], now, moved=moved, settings=settings)
            region.hits.hit(self._step, settings.confirm_hits, settings.confirm_window)

    def _bear(self, born: Sequence[int], seen: Observation, queries: Queries, cues: Cues, now: float) -> None:
        """New tracks out of some queries."""
        if not born or self._bank is None:
            return
        members = torch.tensor(born, device=seen.label.device)
        new = TrackBank.born(seen, queries, members, self.settings.gallery_embeddings)
        self._bank = self._bank.extended(new)
        for query in born:
            y, x = cues.centre[query].tolist()
            region = Region(y, x, float(cues.area[query]), now, bool(cues.isthing[query]))
            region.hits.hit(self._step, self.settings.confirm_hits, self.settings.confirm_window)
            self._regions.append(region)

    def _named(
        self,
        rows: npt.NDArray[Any],
        seen: Observation,
        frame: int,
        seconds: Fraction | float | None,
        events: tuple[str, ...],
    ) -> Association:
        """Labels and scores of all queries, and their ids. `rows` (N,) has the track of each query, -1 for none."""
        assert self._bank is not None
        labels, scores, keep = seen.label.clone(), seen.score.clone(), seen.keep.clone()
        tracked = np.flatnonzero(rows >= 0)
        if len(tracked):
            members = torch.from_numpy(tracked).to(labels.device)
            tracks = self._bank.select(torch.from_numpy(rows[tracked]).to(labels.device))
            labels[members], scores[members], keep[members] = tracks.label, tracks.scores(), tracks.keep()
        host_labels, host_scores, host_keep = to_host(labels, scores, keep)
        host_labels = host_labels.astype(np.int64)
        for query in tracked.tolist():
            self._regions[rows[query]].isthing = bool(self._register.isthing[host_labels[query]])
        naming = self._register.name(
            [self._regions[row] if row >= 0 else None for row in rows.tolist()],
            host_labels,
            host_scores,
            host_keep.astype(bool),
            frame=frame,
            pts=None if seconds is None else float(seconds),
            step=self._step,
            dim=self._bank.clip_sum.shape[1],
        )
        left = [int(rows[query]) for query, _ in naming.left]
        for (_, identity), sums in zip(naming.left, self._bank.embedding_sums(left), strict=True):
            self._register.release(identity, sums)
        self._bank = self._bank.without_sums(left)
        return Association(naming.ids, labels, scores, keep, naming.states, events)

    def _forget(self, now: float) -> None:
        """End the tracks that will not be recognised any more."""
        if not self._regions:
            return
        settings = self.settings
        over = np.array([region.is_over(self._step, now, settings) for region in self._regions])
        lost = np.flatnonzero(~over & np.array([region.hits.step != self._step for region in self._regions]))
        over[lost] = forgotten(
            np.array([self._regions[row].seen_at for row in lost], np.float64),
            now,
            seconds=settings.gallery_seconds if settings.gallery else settings.last_mask_seconds,
            capacity=settings.gallery_tracks,
        )
        if over.any():
            self._release(np.flatnonzero(over).tolist())
            self._keep(~over)

    def _release(self, rows: Sequence[int]) -> None:
        """Take some tracks from their identities; things end with that."""
        named = [row for row in rows if self._regions[row].identity is not None]
        if not named or self._bank is None:
            return
        for row, sums in zip(named, self._bank.embedding_sums(named), strict=True):
            identity, self._regions[row].identity = self._regions[row].identity, None
            if identity is not None:
                self._register.release(identity, sums)
        self._bank = self._bank.without_sums(named)

    def _keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Drop all other tracks."""
        if self._bank is None:
            return
        rows = np.flatnonzero(kept)
        self._regions = [self._regions[row] for row in rows.tolist()]
        self._bank = self._bank.select(torch.from_numpy(rows).to(self._bank.label.device)) if len(rows) else None


def nothing(queries: Queries) -> Association:
    """Of a frame without queries."""
    labels = torch.zeros(0, dtype=torch.int64, device=queries.mask_logits.device)
    return Association(np.zeros(0, np.int64), labels, labels.float(), labels.bool(), {})
