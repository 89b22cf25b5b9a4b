"""Which frames are wanted."""

from fractions import Fraction

import pytest

from streamseg.config.sources import SelectionSettings
from streamseg.errors import ConfigError
from streamseg.sources.selection import Selection

MILLISECONDS = Fraction(1, 1000)


def verdicts(selection: Selection, times: list[Fraction | None]) -> list[str]:
    found = []
    for index, seconds in enumerate(times):
        found.append(selection(index, seconds))
        if found[-1] == "end":
            break
    return found


def kept(selection: Selection, times: list[Fraction | None]) -> list[int]:
    return [index for index, verdict in enumerate(verdicts(selection, times)) if verdict == "keep"]


def every(fps: Fraction | int, count: int, start: Fraction | int = 0) -> list[Fraction | None]:
    return [start + Fraction(index) / fps for index in range(count)]


def rounded(fps: int, count: int) -> list[Fraction | None]:
    """As Matroska stores times."""
    return [round(1000 * index / fps) * MILLISECONDS for index in range(count)]


def test_everything_by_default() -> None:
    assert kept(Selection(SelectionSettings()), [None, Fraction(3), None]) == [0, 1, 2]


def test_stride_counts_the_frames_of_the_source() -> None:
    selection = Selection(SelectionSettings(stride=3))
    assert verdicts(selection, [None] * 4) == ["keep", "stride", "stride", "keep"]
    assert selection(7, None) == "stride"
    assert selection(9, None) == "keep"


@pytest.mark.parametrize(
    ("max_fps", "expected"), [(5, [0, 5, 10, 15, 20]), (25, list(range(25))), (12.5, list(range(0, 25, 2)))]
)
def test_max_fps_lays_a_grid_over_time(max_fps: float, expected: list[int]) -> None:
    assert kept(Selection(SelectionSettings(max_fps=max_fps)), every(25, 25)) == expected


@pytest.mark.parametrize("start", [0, Fraction(7, 5), 36_000])
def test_the_grid_begins_with_the_stream(start: Fraction | int) -> None:
    selection = Selection(SelectionSettings(max_fps=10), origin_seconds=Fraction(start))
    assert kept(selection, every(25, 11, start)) == [0, 3, 5, 8, 10]


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_times_that_are_rounded_lose_no_frame(fps: int) -> None:
    assert len(kept(Selection(SelectionSettings(max_fps=fps)), rounded(fps, 500))) == 500


def test_a_rate_of_29_97_loses_no_frame() -> None:
    times = every(Fraction(30_000, 1001), 1000)
    assert len(kept(Selection(SelectionSettings(max_fps=29.97)), times)) >= 999


@pytest.mark.parametrize("max_fps", [0.01, 1, 3, 7.5])
def test_never_more_than_asked_for(max_fps: float) -> None:
    times = every(30, 3000)
    chosen = kept(Selection(SelectionSettings(max_fps=max_fps)), times)
    assert len(chosen) <= 100 * max_fps + 1
    assert len(chosen) >= 100 * max_fps


def test_variable_rate() -> None:
    times = [Fraction(ms, 1000) for ms in (0, 40, 41, 200, 233, 1000, 1001, 5000)]
    assert kept(Selection(SelectionSettings(max_fps=5)), list(times)) == [0, 3, 5, 7]


def test_a_clock_that_begins_anew_does_not_starve() -> None:
    times = [*every(25, 50, 1000), *every(25, 50, 0)]
    chosen = kept(Selection(SelectionSettings(max_fps=5)), times)
    assert chosen == [*range(0, 50, 5), *range(50, 100, 5)]


def test_frames_without_time_take_that_of_a_clock() -> None:
    now = iter([100.0, 100.1, 100.5, 100.9, 101.2])
    assert kept(Selection(SelectionSettings(max_fps=2), clock=lambda: next(now)), [None] * 5) == [0, 2, 4]


def test_frames_without_any_time_are_kept_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    selection = Selection(SelectionSettings(max_fps=1, end_seconds=2))
    assert kept(selection, [None] * 5) == [0, 1, 2, 3, 4]
    assert [record.message for record in caplog.records] == [
        "frames without a time are kept: selection.max_fps and selection.end_seconds cannot choose among them"
    ]


def test_a_part_of_a_recording() -> None:
    selection = Selection(SelectionSettings(start_seconds=0.2, end_seconds=0.4), origin_seconds=Fraction(10))
    found = verdicts(selection, every(10, 10, 10))
    assert found == ["before_start", "before_start", "keep", "keep", "end"]


def test_at_most_so_many() -> None:
    selection = Selection(SelectionSettings(max_frames=2, stride=2))
    assert verdicts(selection, [None] * 9) == ["keep", "stride", "keep", "end"]


@pytest.mark.parametrize("stop_at", range(40))
@pytest.mark.parametrize(
    "settings",
    [
        SelectionSettings(max_fps=7, max_frames=9),
        SelectionSettings(stride=3, start_seconds=0.5, end_seconds=1.2),
        SelectionSettings(stride=2, max_fps=5, start_seconds=0.3),
    ],
)
def test_it_goes_on_after_the_last_frame_that_was_kept(settings: SelectionSettings, stop_at: int) -> None:
    times = every(25, 40, 5)
    origin = Fraction(5)
    whole = verdicts(Selection(settings, origin_seconds=origin), times)
    done = [index for index, verdict in enumerate(whole[:stop_at]) if verdict == "keep"]
    if not done:
        return
    resumed = Selection(settings, origin_seconds=origin, kept_before=len(done), last_kept_seconds=times[done[-1]])
    again = [resumed(index, times[index]) for index in range(done[-1] + 1, len(whole))]
    assert again == whole[done[-1] + 1 :]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SelectionSettings(stride=0), "selection.stride is 0, expected at least 1"),
        (SelectionSettings(max_frames=0), "selection.max_frames is 0, expected at least 1"),
        (SelectionSettings(max_fps=0), "selection.max_fps is 0, expected more than 0"),
        (SelectionSettings(max_fps=float("nan")), "selection.max_fps is nan"),
        (SelectionSettings(start_seconds=-1), "selection.start_seconds is -1, expected at least 0"),
        (SelectionSettings(end_seconds=float("inf")), "selection.end_seconds is inf"),
        (SelectionSettings(start_seconds=5, end_seconds=5), "nothing lies between them"),
        (SelectionSettings(end_seconds=0), "nothing lies between them"),
    ],
)
def test_settings_that_make_no_sense(settings: SelectionSettings, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        Selection(settings)
