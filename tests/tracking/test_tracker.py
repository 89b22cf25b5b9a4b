"""The staged tracker on a few boxes: what stays whose, what it is called, and when it ends."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from streamseg.config.tracking import TrackingSettings
from streamseg.errors import ConfigError
from streamseg.queries import MaskGeometry
from streamseg.tracking.association import Association, Associator
from streamseg.tracking.build import build_associator
from streamseg.tracking.tracker import StageTracker
from streamseg.vocabulary import Vocabulary
from tests.tracking.made_queries import (
    CAR,
    CUP,
    DOG,
    GRASS,
    PERSON,
    SKY,
    VOCABULARY,
    Box,
    assert_same,
    made,
    through_json,
)

FPS = 25


def tracker(**settings: Any) -> StageTracker:
    return StageTracker(TrackingSettings(**settings), VOCABULARY)


def see(
    associator: Associator, frame: int, *boxes: Box, fps: float = FPS, scene: int = 0, **options: Any
) -> Association:
    return associator.update(made(boxes, scene=scene), frame=frame, seconds=frame / fps, **options)


def run(associator: Associator, frames: Sequence[Sequence[Box]], first: int = 0, **options: Any) -> list[list[int]]:
    return [see(associator, i, *boxes, **options).ids.tolist() for i, boxes in enumerate(frames, start=first)]


def test_a_moving_thing_keeps_its_id_whatever_its_place_among_the_queries() -> None:
    associator = tracker()
    for frame in range(20):
        car, dog = Box(16, 8 * frame, 24, 32, CAR, looks=1), Box(80, 150 - 6 * frame, 24, 32, DOG, looks=2)
        boxes = (car, dog) if frame % 2 else (dog, car)
        found = see(associator, frame, *boxes)
        assert found.ids.tolist() == ([2, 1] if frame % 2 else [1, 2])
        assert found.ids.dtype == np.int64
        assert found.states[1] == ("confirmed" if frame >= 2 else "tentative", frame)


def test_look_alikes_that_cross_keep_their_ids_by_their_motion() -> None:
    associator = tracker()
    for frame in range(24):
        left, right = Box(32, 6 * frame, 24, 24), Box(32 + 8, 150 - 6 * frame, 24, 24)
        assert see(associator, frame, left, right).ids.tolist() == [1, 2]


def test_a_thing_that_was_hidden_is_recognised_elsewhere() -> None:
    associator = tracker()
    here, there = Box(16, 16, 24, 32, looks=1), Box(80, 144, 24, 32, looks=1)
    other = Box(96, 16, 24, 24, PERSON, looks=2)
    run(associator, [[here, other]] * 5 + [[other]] * 100)
    assert see(associator, 105, there, other).ids.tolist() == [1, 2]
    assert see(associator, 106, there, other).states[1] == ("confirmed", 106)


def test_after_ten_seconds_it_is_somebody_else_and_the_row_says_what_was() -> None:
    associator = tracker()
    here = Box(16, 16, 24, 32, looks=1)
    run(associator, [[here]] * 5 + [[]] * 249)
    (row,) = see(associator, 255).ended
    assert (row.id, row.first_frame, row.last_frame, row.frames, row.confirmed) == (1, 0, 4, 5, True)
    assert (row.first_pts, row.last_pts) == (0.0, 4 / FPS)
    assert [span.label for span in row.labels] == ["car"]
    assert row.score == pytest.approx(0.81)
    np.testing.assert_allclose(row.in_vocabulary_embedding, row.clip_embedding)  # of one direction
    assert float(np.linalg.norm(row.clip_embedding.astype(np.float32))) == pytest.approx(1, abs=1e-2)
    assert see(associator, 256, here).ids.tolist() == [2]


def test_what_was_never_confirmed_is_not_remembered() -> None:
    associator = tracker()
    assert run(associator, [[Box(16, 16, 24, 32)], [], [], [Box(16, 16, 24, 32)]])[-1] == [2]


def test_weak_queries_continue_a_track_and_begin_none() -> None:
    associator = tracker()
    weak = Box(16, 16, 24, 32, objectness=0.3, looks=9)
    assert run(associator, [[weak]] * 3) == [[0]] * 3
    assert run(associator, [[Box(16, 16, 24, 32)]] * 3 + [[weak]] * 10, first=3)[-1] == [1]


def test_low_frame_rates_follow_as_well() -> None:
    for fps in (1, 5, 60):
        associator = tracker()
        boxes = [[Box(16, 8 * frame, 32, 40)] for frame in range(15)]
        assert run(associator, boxes, fps=fps) == [[1]] * 15


def test_pictures_without_time_take_the_assumed_rate() -> None:
    timed, untimed = tracker(), tracker(assumed_fps=FPS)
    for frame in range(12):
        queries = made([Box(16, 8 * frame, 24, 32, CAR if frame < 6 else DOG)])
        first = timed.update(queries, frame=frame, seconds=frame / FPS)
        second = untimed.update(queries, frame=frame, seconds=None)
        torch.testing.assert_close(first.scores, second.scores)
    assert untimed.finish()[0].first_pts is None


def test_labels_do_not_flicker() -> None:
    associator = tracker()
    for frame in range(30):
        label = DOG if frame % 10 in (4, 5) else CAR
        found = see(associator, frame, Box(16, 16, 24, 32, label))
        assert found.labels.tolist() == [CAR]
        assert found.ids.tolist() == [1]


def test_a_label_that_stays_away_changes_in_time_and_the_id_stays() -> None:
    for fps in (10, 50):
        associator = tracker(smoothing_seconds=2.0)
        labels = [
            see(associator, frame, Box(16, 16, 24, 32, CAR if frame < fps else DOG), fps=fps).labels.tolist()[0]
            for frame in range(4 * fps)
        ]
        change = labels.index(DOG) / fps - 1
        assert labels == sorted(labels)
        assert 0.6 < change < 1.2  # seconds, whatever the rate
        (row,) = associator.finish()
        assert [span.label for span in row.labels] == ["car", "dog"]


def test_without_smoothing_every_frame_speaks_for_itself() -> None:
    associator = tracker(smoothing=False)
    for frame in range(9):
        box = Box(16, 16, 24, 32, (CAR, DOG, PERSON)[frame % 3], void=0.1 + frame / 20)
        found = see(associator, frame, box)
        assert found.labels.tolist() == [box.label]
        assert found.scores.tolist() == [pytest.approx(0.9 * (1 - box.void), abs=1e-5)]
        assert found.ids.tolist() == [1]


def test_the_score_is_the_tracks_mean() -> None:
    associator = tracker(smoothing_seconds=1.0)
    see(associator, 0, Box(16, 16, 24, 32, void=0.1))
    found = see(associator, 1, Box(16, 16, 24, 32, void=0.5))
    kept = 2 ** (-1 / FPS)
    assert float(found.scores) == pytest.approx(0.9 * (1 - (kept * 0.1 + 0.5) / (kept + 1)), abs=1e-4)


def test_stuff_has_one_id_per_category_and_epoch() -> None:
    associator = tracker()
    patches = [
        Box(64, 0, 64, 96, GRASS, looks=1),
        Box(64, 96, 64, 96, GRASS, looks=2),
        Box(0, 0, 40, 192, SKY, looks=3),
    ]
    assert run(associator, [patches] * 3) == [[1, 1, 2]] * 3
    run(associator, [[]] * 100, first=3)
    assert run(associator, [patches[::-1]], first=103) == [[2, 1, 1]]
    rows = associator.start_epoch(1)
    assert [(row.id, row.isthing, row.frames, row.epoch) for row in rows] == [(1, False, 4, 0), (2, False, 4, 0)]
    assert run(associator, [patches[::-1]], first=104) == [[1, 2, 2]]


def test_stuff_that_nobody_follows_is_shown_all_the_same() -> None:
    associator = tracker()
    assert run(associator, [[Box(64, 0, 64, 96, GRASS, objectness=0.2)]] * 2) == [[1]] * 2
    assert [row.isthing for row in associator.finish()] == [False]


def test_a_thing_turns_into_stuff_late_and_under_a_new_id() -> None:
    associator = tracker(smoothing_seconds=0.0)  # only hysteresis
    found = run(associator, [[Box(16, 16, 24, 32, CAR)]] * 3 + [[Box(16, 16, 24, 32, GRASS)]] * 6)
    assert found == [[1]] * 7 + [[2]] * 2
    ended = associator.finish()
    assert [(row.id, row.isthing) for row in ended] == [(2, False)]  # the thing was reported when it ended


def test_the_flip_reports_the_thing_that_ended() -> None:
    associator = tracker(smoothing=False)
    see(associator, 0, Box(16, 16, 24, 32, CAR))
    (row,) = see(associator, 1, Box(16, 16, 24, 32, GRASS)).ended
    assert (row.id, row.isthing, row.last_frame) == (1, True, 0)


def test_background_is_followed_and_gets_no_id_nor_row() -> None:
    associator = tracker()
    assert run(associator, [[Box(16, 16, 24, 32, CUP)]] * 5) == [[0]] * 5
    assert associator.finish() == ()


def test_what_the_rule_does_not_keep_gets_its_id_when_it_is_shown() -> None:
    associator = tracker(smoothing=False)
    hidden, shown = Box(16, 16, 24, 32, void=0.9), Box(16, 16, 24, 32, void=0.05)
    assert run(associator, [[hidden]] * 3 + [[shown]]) == [[0], [0], [0], [1]]
    found = see(associator, 4, hidden)
    assert found.ids.tolist() == [1]
    assert found.keep.tolist() == [False]


def test_the_rule_is_asked_of_the_track_and_not_of_its_single_frames() -> None:
    hidden, shown = Box(16, 16, 24, 32, void=0.9), Box(16, 16, 24, 32, void=0.05)
    for usual, odd, kept in ((shown, hidden, True), (hidden, shown, False)):
        associator = tracker()
        run(associator, [[usual]] * 5)
        assert see(associator, 5, odd).keep.tolist() == [kept]
        assert see(associator, 6, usual, Box(80, 120, 24, 32, PERSON, objectness=0.2, void=0.05)).keep.tolist() == [
            kept,
            True,  # nobody follows it, so the frame decides
        ]


def test_a_scene_cut_breaks_up_places_and_keeps_looks() -> None:
    associator = tracker()
    before = [Box(16, 16, 24, 32, CAR, looks=1), Box(64, 96, 40, 40, DOG, looks=2)]
    run(associator, [before] * 5)
    after = [Box(96, 144, 24, 32, CAR, looks=7), Box(64, 16, 40, 40, DOG, looks=2)]
    found = see(associator, 5, *after, scene=1, picture_change=0.9)
    assert found.events == ("scene_cut",)
    assert found.ids.tolist() == [3, 2]
    # The frame after: somebody of the same kind stands where the lost one stood before the cut.
    assert see(associator, 6, Box(16, 16, 24, 32, CAR, looks=9), *after, scene=1).ids.tolist() == [4, 3, 2]
    assert see(associator, 7, Box(40, 80, 24, 32, CAR, looks=1), *after, scene=1).ids.tolist() == [1, 3, 2]


def test_no_cut_where_the_picture_stays() -> None:
    associator = tracker()
    run(associator, [[Box(16, 16, 24, 32, looks=1)]] * 5)
    found = see(associator, 5, Box(80, 150, 24, 32, looks=2), scene=1, picture_change=0.05)
    assert found.events == ()


def test_frames_without_queries_lose_nothing() -> None:
    associator = tracker()
    assert run(associator, [[], [Box(16, 16, 24, 32)], [], [Box(16, 16, 24, 32)], []]) == [[], [1], [], [1], []]
    found = see(associator, 5)
    assert len(found.labels) == len(found.scores) == len(found.keep) == 0


def test_an_empty_mask_is_never_followed() -> None:
    associator = tracker()
    assert run(associator, [[Box(0, 0, 0, 0), Box(16, 16, 24, 32)]] * 3) == [[0, 1]] * 3


OTHER_WORDS = Vocabulary.parse("grass:stuff; automobile; hound; meadow:stuff; person:stuff")
AUTOMOBILE, HOUND, PERSON_AS_STUFF = 1, 2, 4


def other_words(meaning: dict[int, int]) -> Any:
    """Class scores under OTHER_WORDS for embeddings that `made` gives to looks."""
    from tests.tracking.made_queries import looks

    def classify(inside: Tensor, clip: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        assert valid.all()
        torch.testing.assert_close(inside, clip)  # both of unit length, of one direction
        near = torch.stack([looks(number) for number in meaning])
        chosen = torch.tensor(list(meaning.values()))[(inside @ near.T).argmax(-1)]
        scores = torch.full((len(inside), len(OTHER_WORDS)), 0.01)
        scores[torch.arange(len(inside)), chosen] = 0.96
        return scores.log(), torch.full((len(inside),), 0.25)

    return classify


@pytest.mark.parametrize("method", ["streamseg", "minvis"])
def test_other_words_rename_live_tracks_and_keep_identities(method: Any) -> None:
    associator = build_associator(TrackingSettings(method=method), VOCABULARY)
    boxes = [
        Box(0, 0, 24, 32, CAR, looks=1),
        Box(0, 96, 24, 32, DOG, looks=2),
        Box(40, 0, 24, 32, PERSON, looks=3),
        Box(80, 0, 48, 192, GRASS, looks=4),
    ]
    assert run(associator, [boxes] * 5) == [[1, 2, 3, 4]] * 5
    with pytest.raises(ConfigError, match="change_vocabulary first"):
        associator.update(made([], vocabulary=OTHER_WORDS), frame=5, seconds=0.2)
    associator.change_vocabulary(OTHER_WORDS, other_words({1: AUTOMOBILE, 2: HOUND, 3: PERSON_AS_STUFF, 4: 0}))
    renamed = [replace(box, label=label) for box, label in zip(boxes, (HOUND, HOUND, PERSON_AS_STUFF, 0), strict=True)]
    found = associator.update(made(renamed, vocabulary=OTHER_WORDS), frame=5, seconds=0.2)
    assert found.ids.tolist() == [1, 2, 5, 4]  # the person became stuff; grass is grass
    assert [(row.id, row.labels[-1].label) for row in found.ended] == [(3, "person")]
    if method == "streamseg":
        assert found.labels.tolist()[0] == AUTOMOBILE  # by all its frames, not by this one
    rows = associator.finish()
    assert [span.label for span in rows[1].labels] == ["dog", "hound"]
    assert [row.id for row in rows] == [1, 2, 4, 5]


def test_masks_change_their_size_with_an_epoch_only() -> None:
    associator = tracker()
    see(associator, 0, Box(16, 16, 24, 32))
    larger = replace(made([Box(16, 16, 24, 32)]), mask_logits=torch.full((1, 64, 64), 8.0))
    larger = replace(larger, geometry=MaskGeometry((256, 256), (256, 256), (256, 256)))
    with pytest.raises(ConfigError, match=r"from 16x24 to 32x32 cells.*start_epoch"):
        associator.update(larger, frame=1, seconds=0.04)
    (row,) = associator.start_epoch(7)
    assert row.epoch == 0
    assert associator.epoch == 7
    assert associator.update(larger, frame=1, seconds=0.04).ids.tolist() == [1]


def story(frame: int) -> list[Box]:
    """Things come, go, hide and change their names."""
    boxes = [Box(80, 0, 48, 192, GRASS if frame < 30 else SKY, looks=4)]
    if frame % 13 < 9:
        boxes.append(Box(16, 4 * frame % 160, 24, 32, DOG if frame % 7 == 3 else CAR, looks=1))
    if frame % 5:
        boxes.append(Box(48, 160 - 3 * frame % 160, 24, 24, PERSON, looks=2, objectness=0.3 + frame % 3 * 0.3))
    if frame % 17 > 11:
        boxes.append(Box(100, 100, 16, 16, CUP if frame % 4 else DOG, looks=20 + frame // 17))
    return boxes


@pytest.mark.parametrize("method", ["streamseg", "minvis"])
def test_a_restored_tracker_goes_on_bit_for_bit(method: Any) -> None:
    settings = TrackingSettings(method=method, gallery_seconds=0.4, gallery_embeddings=2)
    whole = build_associator(settings, VOCABULARY)
    for frame in range(60):
        if frame % 6 == 0:  # everything again, from what a file would hold
            resumed = build_associator(settings, VOCABULARY)
            resumed.load_state_dict(through_json(whole.state_dict()))
            assert_same(resumed.state_dict(), whole.state_dict())
        first, second = (see(one, frame, *story(frame)) for one in (whole, resumed))
        for name in ("ids", "labels", "scores", "keep"):
            np.testing.assert_array_equal(np.asarray(getattr(first, name)), np.asarray(getattr(second, name)))
        assert first.states == second.states
        assert [row.to_json("s") for row in first.ended] == [row.to_json("s") for row in second.ended]
        assert_same(resumed.state_dict(), whole.state_dict())
    assert [row.to_json("s") for row in whole.finish()] == [row.to_json("s") for row in resumed.finish()]


@pytest.mark.parametrize("method", ["streamseg", "minvis"])
def test_a_saved_state_does_not_change_with_later_frames(method: Any) -> None:
    associator = build_associator(TrackingSettings(method=method), VOCABULARY)
    run(associator, [story(frame) for frame in range(8)])
    state = associator.state_dict()
    before = through_json(state)
    run(associator, [story(frame) for frame in range(8, 16)], first=8)
    assert_same(state, before)


def test_a_state_of_another_method_is_refused() -> None:
    minvis = build_associator(TrackingSettings(method="minvis"), VOCABULARY)
    with pytest.raises(ConfigError, match="method 'minvis', version 1, expected 'streamseg'"):
        tracker().load_state_dict(minvis.state_dict())
    with pytest.raises(ConfigError, match="method 'streamseg', version 1, expected 'minvis'"):
        minvis.load_state_dict(tracker().state_dict())


def test_nothing_is_associated_with_method_none() -> None:
    with pytest.raises(ConfigError, match=r"tracking\.method is 'none'"):
        build_associator(TrackingSettings(method="none"), VOCABULARY)


@pytest.mark.parametrize("method", ["streamseg", "minvis"])
def test_ids_end_and_begin_again_with_the_next_epoch(method: Any) -> None:
    associator = build_associator(TrackingSettings(method=method), VOCABULARY, last_id=2)
    boxes = [Box(0, 48 * column, 24, 32, CAR, looks=column) for column in range(4)]
    assert run(associator, [boxes] * 3) == [[1, 2, 0, 0]] * 3
    assert associator.ids_left == 0
    associator.start_epoch(1)
    assert run(associator, [boxes[2:]], first=3) == [[1, 2]]


def test_lost_tracks_are_bounded() -> None:
    associator = tracker(gallery_tracks=3)
    for frame in range(60):
        see(associator, frame, Box(16, 16, 24, 32, looks=frame // 5))
    assert len(associator.state_dict()["regions"]) <= 4
    assert len(associator.finish()) <= 4


def test_inference_tensors_are_taken() -> None:
    with torch.inference_mode():
        frames = [made([Box(16, 16, 24, 32)]) for _ in range(3)]
    for method in ("streamseg", "minvis"):
        associator = build_associator(TrackingSettings(method=method), VOCABULARY)
        for frame, queries in enumerate(frames):
            assert associator.update(queries, frame=frame, seconds=None).ids.tolist() == [1]
