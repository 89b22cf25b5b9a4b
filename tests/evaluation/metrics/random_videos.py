"""Random panoptic video, truth and prediction, with everything that the metrics treat specially."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamseg.evaluation.metrics.panoptic_quality import SegmentInfo

Ids = npt.NDArray[np.int32]
Frame = tuple[Ids, list[SegmentInfo], Ids, list[SegmentInfo]]

GROUND, SKY, PERSON, CAR, BOAT = 0, 4, 2, 9, 7  # in no order, with gaps, 0 among them
CATEGORIES = {GROUND: False, SKY: False, PERSON: True, CAR: True, BOAT: True}


@dataclass
class Body:
    """Something that moves: a box."""

    id: int
    category: int
    box: list[int]
    speed: tuple[int, int]
    crowd: bool
    hidden: set[int]


def random_video(seed: int, *, length: int | None = None, size_hw: tuple[int, int] | None = None) -> list[Frame]:
    """A few frames of an odd size: crowds, void, absences, changes of id and category, merges, and junk."""
    rng = np.random.default_rng(seed)
    frames = length or int(rng.integers(1, 14))
    height, width = size_hw or (int(rng.integers(9, 24)), int(rng.integers(9, 30)))
    ids = iter((rng.choice(2**24 - 2, size=60, replace=False) + 1).tolist())
    bodies = [_body(rng, next(ids), frames, height, width) for _ in range(int(rng.integers(2, 7)))]
    grounds = next(ids), next(ids)
    names = {body.id: next(ids) for body in bodies} | {ground: next(ids) for ground in grounds}
    kinds = {body.id: body.category if rng.random() < 0.8 else _thing(rng) for body in bodies}
    switch_at = {body.id: int(rng.integers(1, frames + 4)) for body in bodies}
    flip_at = {body.id: int(rng.integers(1, 2 * frames + 4)) for body in bodies}
    others = {body.id: next(ids) for body in bodies}
    if len(bodies) > 1 and rng.random() < 0.3:
        names[bodies[1].id] = names[bodies[0].id]  # two objects under one id
        kinds[bodies[1].id] = kinds[bodies[0].id]
        switch_at[bodies[1].id] = switch_at[bodies[0].id] = frames + 1
        flip_at[bodies[1].id] = flip_at[bodies[0].id] = 2 * frames + 9
    made = []
    for time in range(frames):
        truth, predicted = (
            _ground(height, width, grounds),
            _ground(height, width, (names[grounds[0]], names[grounds[1]])),
        )
        true_kind = {grounds[0]: GROUND, grounds[1]: SKY}
        kind = {names[grounds[0]]: GROUND, names[grounds[1]]: SKY}
        crowds: set[int] = set()
        for body in bodies:
            box = [body.box[0] + body.speed[0] * time, body.box[1] + body.speed[1] * time, *body.box[2:]]
            if time not in body.hidden:
                _paint(truth, box, body.id)
                true_kind[body.id] = body.category
                crowds |= {body.id} if body.crowd and rng.random() < 0.9 else set()
            if rng.random() < 0.85:
                shift = rng.integers(-1, 2, 2)
                guess = others[body.id] if time >= switch_at[body.id] else names[body.id]
                _paint(predicted, [box[0] + int(shift[0]), box[1] + int(shift[1]), *box[2:]], guess)
                kind[guess] = kinds[body.id] if time < flip_at[body.id] else PERSON
        _paint(truth, [0, 0, 3, 4], 0)
        if rng.random() < 0.2:
            _paint(predicted, [int(rng.integers(0, height)), int(rng.integers(0, width)), 4, 5], 0)
        if rng.random() < 0.08:
            predicted[:] = 0
        made.append((truth, _listed(rng, truth, true_kind, crowds), predicted, _listed(rng, predicted, kind, set())))
    return made


def _body(rng: np.random.Generator, id_: int, frames: int, height: int, width: int) -> Body:
    box = [int(rng.integers(0, height)), int(rng.integers(0, width)), int(rng.integers(2, 9)), int(rng.integers(2, 10))]
    speed = int(rng.integers(-1, 2)), int(rng.integers(-1, 2))
    hidden = set(np.flatnonzero(rng.random(frames) < 0.15).tolist())
    return Body(id_, _thing(rng), box, speed, bool(rng.random() < 0.25), hidden)


def _thing(rng: np.random.Generator) -> int:
    return int(rng.choice([PERSON, CAR, BOAT], p=[0.5, 0.4, 0.1]))


def _ground(height: int, width: int, ids: tuple[int, int]) -> Ids:
    picture = np.full((height, width), ids[0], np.int32)
    picture[: height // 3] = ids[1]
    return picture


def _paint(picture: Ids, box: list[int], id_: int) -> None:
    top, left, height, width = box
    picture[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)] = id_


def _listed(rng: np.random.Generator, ids: Ids, kinds: dict[int, int], crowds: set[int]) -> list[SegmentInfo]:
    """In any order; true areas are sometimes stated, and then sometimes otherwise than the map has them."""
    segments = []
    for id_ in rng.permutation([each for each in np.unique(ids).tolist() if each]).tolist():
        area: Any = None
        if rng.random() < 0.3:
            area = int((ids == id_).sum()) + int(rng.integers(0, 4))
        segments.append(SegmentInfo(id_, kinds[id_], id_ in crowds, area, float(np.round(rng.random(), 1))))
    return segments
