"""The sequences of the tracking suite: each has what its name says, and no two purposes share a seed."""

from collections.abc import Iterator

import pytest

from streamseg.evaluation.tracking.scenarios import PURPOSES, SCENARIOS, Sequence, sequences


def test_tuning_and_reporting_share_no_sequence() -> None:
    tuning, reporting = ({sequence.video.seed for sequence in sequences(purpose)} for purpose in PURPOSES)
    assert len(tuning) == len(reporting) == 3 * len(SCENARIOS)
    assert not tuning & reporting


def test_scenarios_can_be_chosen() -> None:
    assert [sequence.name for sequence in sequences("tuning", ("light",))] == ["light-0", "light-1", "light-2"]


def test_words_change_in_mid_run_and_back() -> None:
    (sequence, *_) = sequences("tuning", ("vocabulary",))
    words = [sequence.vocabulary_of(index) for index in range(len(sequence.video))]
    assert words == ["world"] * 24 + ["world-colors"] * 24 + ["world"] * 24


@pytest.mark.parametrize(("name", "gap"), [("return", 0.5), ("occlusion", 1.0)])
def test_things_vanish_and_come_back(name: str, gap: float) -> None:
    (sequence, *_) = sequences("tuning", (name,))
    assert max(gaps(sequence), default=0.0) >= gap


def test_cuts_come_and_lead_back() -> None:
    cuts, places = 0, []
    (sequence, *_) = sequences("tuning", ("cuts",))
    for index in range(len(sequence.video)):
        frame = sequence.video.frame(index)
        cuts += frame.is_cut
        if not places or places[-1] != frame.scene:
            places.append(frame.scene)
    assert cuts >= 4
    assert len(set(places)) < len(places)


def gaps(sequence: Sequence, least_area: int = 60) -> Iterator[float]:
    """For how many seconds things were out of sight that came back."""
    last: dict[int, int] = {}
    for index in range(len(sequence.video)):
        for segment in sequence.video.frame(index).segments:
            if segment.isthing and segment.area >= least_area:
                yield float((index - last.get(segment.id, index)) / sequence.video.fps)
                last[segment.id] = index
