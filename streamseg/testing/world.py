"""A segmenter that knows the truth of a procedural world and makes the mistakes of a real one.

Everything is a function of (seed, the world's seed, the frame's number): slots are shuffled, edges are off, things are
missed, doubled or made up, labels waver, and look-alikes look alike in every embedding. How much of each is said below,
and `tests/test_testing.py` measures it. So trackers can be tested and tuned without a network.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import ConfigError
from ..fcclip.classifier import ClassScores, class_logits, geometric_ensemble, published_log_scores
from ..frames import Frame
from ..queries import MaskGeometry, Queries
from ..vocabulary import Vocabulary
from ..world.names import SHAPES
from ..world.seeds import generator
from ..world.snapshot import WorldSegment
from ..world.video import World, WorldFrame
from .words import EMBEDDING_DIM, VOID, phrase, text_classifier, unit

__all__ = ["Filmed", "Sighting", "WorldSegmenter"]

SLOTS = 100  # learned queries; those that are nothing never show
STRIDE = 4  # of the mask logits
DIVISOR = 32  # the network input is padded to multiples of it

MISSED = 0.10  # chance that a segment has no query
FALSE_POSITIVES = 0.05  # made-up things per true segment
DOUBLED = 0.15  # chance that a second query shows a thing too

# Masks: in square roots of the segment's area, so that small and large ones are equally wrong. Together: IoU 0.85.
SHIFT = 0.014  # deviation of the mask's place, each way
EDGE = 0.021  # deviation of the edge along the outline
EDGE_CELLS = 6  # the edge's noise has this many random values over the mask's longer side
EDGE_SHARPNESS = 1.5  # logits per cell of distance from the edge
MAX_LOGIT = 8.0

# Embeddings: length of the noise, relative to what it is added to. 0.4 gives a cosine of 0.86 between two frames.
QUERY_NOISE = 0.4
FEATURE_NOISE = 0.5
CLASS_NOISE = 0.5
CLIP_NOISE = 0.7
SCENE_NOISE = 0.3
CONFUSED = 0.10  # chance that the class embedding of a thing leans to another shape
CONFUSION = 2.2  # how far

# Void: how much of the class embedding is nothing, and objectness under the training vocabulary.
LEANING_TO_VOID = 0.40
DOUBLE_LEANING_TO_VOID = 0.70
OBJECTNESS = 0.92
OBJECTNESS_NOISE = 0.05
HIDDEN_COST = 0.35  # off a thing's objectness where it is wholly hidden
DOUBLE_OBJECTNESS = (0.20, 0.45)
FALSE_OBJECTNESS = (0.45, 0.80)

LOGIT_SCALE = 9.0
ALPHA, BETA = 0.4, 0.8  # the paper's

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Filmed(Protocol):
    """Frames with exact truth; a `World` is that, and so is anything else that tells what its frames show."""

    @property
    def seed(self) -> int: ...

    @property
    def size_hw(self) -> tuple[int, int]: ...

    def frame(self, index: int) -> WorldFrame: ...


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What the segmenter says about a frame, and the truth of it.

    Attributes:
        queries: what it says.
        truth: (N,) int64, the world's id of what each query shows; of a second query for it -id; 0 for made-up things.
    """

    queries: Queries
    truth: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Proposal:
    """One query before it becomes tensors. Embeddings of unit length."""

    truth: int
    logits: npt.NDArray[np.float32]
    objectness: float
    inside: Array
    clip: Array
    query: Array
    feature: Array


class WorldSegmenter:
    """The same doors as `Segmenter`, for frames of worlds.

    Args:
        worlds: the world of each stream, or one for all.
        seed: which mistakes.
        min_objectness: as of `Segmenter`.
        max_batch: as of `Segmenter`.
        device: where tensors are put.
    """

    precision = "fp32"

    def __init__(
        self,
        worlds: World | Mapping[str, Filmed],
        *,
        seed: int = 0,
        min_objectness: float = 0.15,
        max_batch: int = 8,
        device: torch.device | str = "cpu",
    ) -> None:
        self.worlds = worlds
        self.seed = seed
        self.min_objectness = min_objectness
        self.max_batch = max_batch
        self.device = torch.device(device)
        self.spec = SimpleNamespace(name="world-scripted")

    def identity(self) -> dict[str, object]:
        """As of `Segmenter`."""
        return {"model": self.spec.name, "seed": self.seed, "min_objectness": self.min_objectness}

    def segment(self, frames: Sequence[Frame], vocabulary: Vocabulary | Sequence[Vocabulary]) -> list[Queries]:
        """One `Queries` per frame.

        Raises:
            ConfigError: no world is known for a frame's stream, or it is of another size.
        """
        words = [vocabulary] * len(frames) if isinstance(vocabulary, Vocabulary) else vocabulary
        return [self.look(frame, its_words).queries for frame, its_words in zip(frames, words, strict=True)]

    def look(self, frame: Frame, vocabulary: Vocabulary) -> Sighting:
        """One frame, with the truth of every query."""
        world = self._world(frame)
        seen = world.frame(frame.index)
        rng = generator("segmenter", self.seed, world.seed, frame.index)
        proposals = list(_proposals(seen, rng))
        slots = rng.permutation(SLOTS)[: len(proposals)]
        proposals = [proposals[position] for position in np.argsort(slots)]
        scene = unit(generator("scene", world.seed, seen.scene).normal(size=EMBEDDING_DIM))
        queries = self._queries(proposals, np.sort(slots), _noisy(scene, SCENE_NOISE, rng), frame, vocabulary)
        shown = self._shown(queries)
        truth = np.array([proposal.truth for proposal in proposals], np.int64)
        return Sighting(_chosen(queries, shown), truth[shown.cpu().numpy()])

    def classify(self, queries: Queries, vocabulary: Vocabulary) -> Queries:
        """The same queries under other words."""
        scores = self.class_scores(
            queries.in_vocabulary_embedding, queries.out_of_vocabulary_embedding, queries.clip_valid, vocabulary
        )
        return queries.relabelled(vocabulary, scores.log_scores, scores.void_probability)

    def class_scores(
        self, in_embedding: Tensor, out_embedding: Tensor, valid: Tensor, vocabulary: Vocabulary
    ) -> ClassScores:
        """The real class step, on made-up text embeddings."""
        text = text_classifier(vocabulary).to(in_embedding.device)
        scale = torch.tensor(np.log(LOGIT_SCALE), dtype=torch.float32)
        void = torch.tensor(VOID[None], dtype=torch.float32, device=in_embedding.device)
        return geometric_ensemble(
            class_logits(in_embedding, text, scale, void),
            class_logits(out_embedding, text, scale),
            text.seen,
            alpha=ALPHA,
            beta=BETA,
            valid=valid,
        )

    def _world(self, frame: Frame) -> Filmed:
        known: Mapping[str, Filmed] = {frame.stream_id: self.worlds} if isinstance(self.worlds, World) else self.worlds
        if frame.stream_id not in known:
            raise ConfigError(f"no world is known for stream {frame.stream_id!r}, expected one of {', '.join(known)}")
        world = known[frame.stream_id]
        if world.size_hw != frame.size_hw:
            raise ConfigError(f"{frame!r} is not of its world's size {world.size_hw}; give frames as the source does")
        return world

    def _queries(
        self,
        proposals: Sequence[_Proposal],
        slots: npt.NDArray[np.int64],
        scene: Array,
        frame: Frame,
        vocabulary: Vocabulary,
    ) -> Queries:
        padded = tuple(side + -side % DIVISOR for side in frame.size_hw)
        logits = np.full((len(proposals), padded[0] // STRIDE, padded[1] // STRIDE), -MAX_LOGIT, np.float32)
        for position, proposal in enumerate(proposals):
            height, width = proposal.logits.shape
            logits[position, :height, :width] = proposal.logits
        inside, clip, query, feature = (
            self._tensor([getattr(proposal, name) for proposal in proposals])
            for name in ("inside", "clip", "query", "feature")
        )
        valid = torch.ones(len(proposals), dtype=torch.bool, device=self.device)
        scores = self.class_scores(inside, clip, valid, vocabulary)
        return Queries(
            vocabulary=vocabulary,
            geometry=MaskGeometry((padded[0], padded[1]), frame.size_hw, frame.size_hw),
            slots=torch.from_numpy(slots).to(self.device),
            mask_logits=torch.from_numpy(logits).to(self.device),
            class_log_scores=scores.log_scores,
            void_probability=scores.void_probability,
            training_void_probability=1 - self._tensor([proposal.objectness for proposal in proposals], 0),
            in_vocabulary_embedding=inside,
            out_of_vocabulary_embedding=clip,
            clip_valid=valid,
            query_embedding=query,
            pixel_feature=feature,
            global_clip_embedding=torch.tensor(scene, dtype=torch.float32, device=self.device),
        )

    def _tensor(self, values: Sequence[object], width: int = EMBEDDING_DIM) -> Tensor:
        shape = (len(values), width) if width else (len(values),)
        return torch.tensor(np.array(values, np.float32).reshape(shape), device=self.device)

    def _shown(self, queries: Queries) -> Tensor:
        """Which queries the real segmenter would hand on."""
        published = published_log_scores(queries.class_log_scores, queries.void_probability)
        drawn = published.argmax(-1) != published.shape[-1] - 1
        return torch.nonzero(drawn | (queries.objectness >= self.min_objectness)).squeeze(1)


def _proposals(seen: WorldFrame, rng: np.random.Generator) -> Iterator[_Proposal]:
    """Queries for the segments of a frame, and for what is not there. Each draws the same number of random values,
    whatever becomes of it."""
    small = seen.ids[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    for segment in seen.segments:
        fate = np.random.default_rng(rng.integers(2**63))
        mask = small == segment.id
        if not mask.any():
            continue
        missed, doubled, invented = fate.random(3)
        if missed >= MISSED:
            yield _of_segment(segment, mask, fate)
        if segment.isthing and doubled < DOUBLED:
            yield _double(segment, mask, fate)
        if invented < FALSE_POSITIVES:
            yield _invented(small.shape, fate)


def _of_segment(segment: WorldSegment, mask: Mask, rng: np.random.Generator) -> _Proposal:
    objectness = OBJECTNESS - HIDDEN_COST * (1 - segment.visibility) + rng.normal(0, OBJECTNESS_NOISE)
    return _proposal(segment.text, segment.id, mask, float(np.clip(objectness, 0.2, 0.99)), LEANING_TO_VOID, rng)


def _double(segment: WorldSegment, mask: Mask, rng: np.random.Generator) -> _Proposal:
    objectness = rng.uniform(*DOUBLE_OBJECTNESS)
    return _proposal(segment.text, -segment.id, mask, objectness, DOUBLE_LEANING_TO_VOID, rng)


def _invented(size_hw: tuple[int, ...], rng: np.random.Generator) -> _Proposal:
    """A blob that somebody could take for something."""
    height, width = size_hw
    y, x = np.mgrid[:height, :width]
    top, left = rng.uniform(0, height), rng.uniform(0, width)
    tall, wide = rng.uniform(0.06, 0.2, 2) * height
    mask = ((y - top) / tall) ** 2 + ((x - left) / wide) ** 2 < 1
    mask[int(top), int(left)] = True
    shape = SHAPES[rng.integers(len(SHAPES))].name
    return _proposal(shape, 0, mask, rng.uniform(*FALSE_OBJECTNESS), LEANING_TO_VOID, rng)


def _proposal(text: str, truth: int, mask: Mask, objectness: float, void: float, rng: np.random.Generator) -> _Proposal:
    meaning = phrase(text)
    told = _noisy(meaning, CLASS_NOISE, rng)
    other = phrase(SHAPES[rng.integers(len(SHAPES))].name)
    if rng.random() < CONFUSED:
        told = unit(told + CONFUSION * other)
    looks = np.append(meaning, 0.0)
    return _Proposal(
        truth=truth,
        logits=_noisy_mask(mask, rng),
        objectness=objectness,
        inside=np.append(np.sqrt(1 - void**2) * told, void),
        clip=np.append(_noisy(meaning, CLIP_NOISE, rng), 0.0),
        query=_noisy(looks, QUERY_NOISE, rng),
        feature=_noisy(looks, FEATURE_NOISE, rng),
    )


def _noisy_mask(mask: Mask, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(h, w) logits of a mask that is a little off: moved, and with an edge that wanders in and out."""
    size = np.sqrt(mask.sum())
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    distance = np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)
    height, width = mask.shape
    cells = max(2, round(EDGE_CELLS * height / extent)), max(2, round(EDGE_CELLS * width / extent))
    wander = cv2.resize(rng.normal(size=cells).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    down, right = rng.normal(0, SHIFT * size, 2)
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(distance, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    logits: npt.NDArray[np.float32] = np.clip(
        EDGE_SHARPNESS * (moved + EDGE * size * wander), -MAX_LOGIT, MAX_LOGIT
    ).astype(np.float32)
    return logits


def _noisy(vector: Array, noise: float, rng: np.random.Generator) -> Array:
    """A unit vector, turned at random."""
    return unit(vector + rng.normal(0, noise / np.sqrt(len(vector)), len(vector)))


def _chosen(queries: Queries, rows: Tensor) -> Queries:
    """Some of the queries."""
    whole = ("vocabulary", "geometry", "global_clip_embedding")
    names = [name for name in Queries.__slots__ if name not in whole]
    fixed = {name: getattr(queries, name) for name in whole}
    return Queries(**fixed, **{name: getattr(queries, name)[rows] for name in names})
