"""Ids: given once, to what is shown."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from streamseg.config.tracking import TrackingSettings
from streamseg.tracking.identity import MAX_LABEL_SPANS, EmbeddingSums, Hits, Identity, IdentityBook, stuff_keys
from streamseg.tracking.register import Register
from streamseg.vocabulary import Category, Vocabulary
from tests.tracking.made_queries import CAR, CUP, DOG, GRASS, SEA, SKY, VOCABULARY, through_json


@dataclass
class Track:
    identity: Identity | None = None


def register(**options: Any) -> Register:
    return Register(VOCABULARY, TrackingSettings(), **options)


def name(book: Register, owners: list[Track | None], labels: list[int], *, keep: bool = True, step: int = 1) -> Any:
    scores = np.linspace(0.9, 0.5, len(owners))
    kept = np.full(len(owners), keep)
    return book.name(owners, np.array(labels), scores, kept, frame=10 + step, pts=step / 2, step=step, dim=4)


SUMS = EmbeddingSums(np.ones(4, np.float32), np.zeros(4, np.float32), np.array([2, 0], np.float32))


def test_every_thing_has_its_own_id_and_all_stuff_of_a_category_shares_one() -> None:
    naming = name(register(), [Track(), Track(), Track(), Track(), Track()], [CAR, CAR, GRASS, SKY, GRASS])
    assert naming.ids.tolist() == [1, 2, 3, 4, 3]
    assert naming.states == dict.fromkeys((1, 2, 3, 4), ("tentative", 0))


def test_who_is_not_shown_gets_no_id_and_background_neither() -> None:
    book, car = register(), Track()
    assert name(book, [car, Track(), None, Track(), Track()], [CAR, GRASS, GRASS, CUP, SEA], keep=False).ids.sum() == 0
    assert name(book, [None, Track(), Track()], [CAR, CUP, SEA]).ids.sum() == 0
    assert name(book, [car], [CAR]).ids.tolist() == [1]
    assert name(book, [car], [CAR], keep=False).ids.tolist() == [1]  # once it has one, it is its own


def test_stuff_needs_no_track() -> None:
    book = register()
    assert name(book, [None, Track()], [GRASS, GRASS]).ids.tolist() == [1, 1]


def test_a_thing_that_turns_into_stuff_leaves_its_identity() -> None:
    book, track = register(), Track()
    name(book, [track], [CAR])
    car = track.identity
    naming = name(book, [track], [GRASS], step=2)
    assert naming.left == [(0, car)]
    assert naming.ids.tolist() == [2]
    assert car is not None
    book.release(car, SUMS)
    (row,) = book.take_ended()
    assert (row.id, row.isthing, row.first_frame, row.last_frame, row.first_pts, row.frames) == (
        1,
        True,
        11,
        11,
        0.5,
        1,
    )
    assert row.in_vocabulary_embedding.tolist() == [0.5] * 4
    assert row.clip_embedding.tolist() == [0.0] * 4
    assert name(book, [track], [DOG], step=3).ids.tolist() == [3]  # and back: a new one
    assert book.take_ended() == ()


def test_a_thing_keeps_its_id_under_another_name_and_as_background() -> None:
    book, track = register(), Track()
    for step, label in enumerate((CAR, DOG, DOG, CUP, CAR), start=1):
        assert name(book, [track], [label], step=step).ids.tolist() == [1]
    assert track.identity is not None
    assert [(span.from_frame, span.label) for span in track.identity.labels] == [(11, "car"), (12, "dog"), (15, "car")]


def test_only_the_latest_names_are_kept() -> None:
    identity = Identity(1, True, 0, None)
    for frame in range(1000):
        identity.call(frame, f"name {frame}", frame, 1)
    assert [span.from_frame for span in identity.labels] == list(range(1000 - MAX_LABEL_SPANS, 1000))


def test_confirmed_after_three_hits_in_four_frames() -> None:
    def confirmed(*steps: int) -> bool:
        hits = Hits()
        for step in steps:
            hits.hit(step, 3, 4)
        return hits.confirmed

    assert not confirmed(1, 2)
    assert confirmed(1, 2, 3)
    assert confirmed(1, 3, 4)
    assert not confirmed(1, 3, 5, 7, 9)
    assert not confirmed(1, 2, 5)
    assert confirmed(1, 2, 3, 900)  # for good


def test_when_all_ids_are_used_nothing_new_gets_one() -> None:
    book, first = register(last_id=2), Track()
    assert book.book.ids_left == 2
    assert name(book, [first, None, Track()], [CAR, GRASS, CAR]).ids.tolist() == [1, 2, 0]
    assert book.book.ids_left == 0
    assert name(book, [first, None, None], [CAR, GRASS, SKY], step=2).ids.tolist() == [1, 2, 0]
    book.start_epoch(1)
    assert name(book, [Track()], [CAR]).ids.tolist() == [1]


def test_other_words_end_the_stuff_that_they_do_not_name() -> None:
    book = register()
    name(book, [None, None], [GRASS, SKY])
    book.change_vocabulary(Vocabulary.parse("sky:stuff; car"))
    assert [(row.id, row.isthing) for row in book.take_ended()] == [(1, False)]
    assert book.name(
        [None], np.array([0]), np.ones(1), np.ones(1, bool), frame=1, pts=None, step=2, dim=4
    ).ids.tolist() == [2]


def test_stuff_of_one_name_is_told_apart_by_its_order() -> None:
    twice = Vocabulary("v", (Category(0, ("a",), False), Category(1, ("b",), True), Category(2, ("a",), False)))
    assert stuff_keys(twice) == (("a", 1), None, ("a", 2))


def test_goes_on_from_its_state() -> None:
    book, track = register(), Track()
    name(book, [track, None], [CAR, GRASS])
    name(book, [track, None], [CAR, GRASS], step=2)
    assert track.identity is not None
    book.book.stuff["grass", 1].leave(SUMS)
    book.release(track.identity, SUMS)
    other = register()
    other.load_state_dict(through_json(book.state_dict()))
    assert other.vocabulary == VOCABULARY
    for one in (book, other):
        assert name(one, [Track(), None], [CAR, GRASS], step=3).states == {3: ("tentative", 0), 2: ("confirmed", 2)}
    assert [row.to_json("s") for row in book.close()] == [row.to_json("s") for row in other.close()]


def test_an_unknown_epoch_begins_with_one() -> None:
    book = IdentityBook(last_id=5)
    ids = [identity.id for identity in (book.new(0, None, isthing=True, dim=4) for _ in range(5)) if identity]
    assert ids == [1, 2, 3, 4, 5]
    assert book.new(0, None, isthing=True, dim=4) is None
    book.restart()
    assert book.ids_left == 5


def test_means_of_nothing_are_zero() -> None:
    identity = IdentityBook().new(0, None, isthing=True, dim=4)
    assert identity is not None
    row = identity.row(0)
    assert row.in_vocabulary_embedding.tolist() == row.clip_embedding.tolist() == [0.0] * 4
    np.testing.assert_array_equal((SUMS + SUMS).means()[0], np.full(4, 0.5))
    assert row.score == pytest.approx(0)
