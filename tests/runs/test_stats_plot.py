"""The picture of a run's numbers: everything is where the numbers say, and nothing breaks on odd runs."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.errors import SinkError
from streamseg.frames import FrameResult
from streamseg.runs.chart import PALETTE, Bar, Canvas, Panel, Series, draw_bars, draw_lines, draw_rows, nice_ticks
from streamseg.runs.stats import run_stats
from streamseg.runs.stats_plot import HEIGHT, WIDTH, draw_stats, write_plot
from tests.runs.made_runs import make_run, result

PANEL = Panel(0, 0, 300, 300, "")
BLUE, ORANGE = PALETTE[:2]


def is_color(canvas: Canvas, color: tuple[int, int, int]) -> np.ndarray:
    mask: np.ndarray = (canvas.rgb == color).all(-1)
    return mask


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width, height of what is set."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, width, height


def cars(count: int, stream: str) -> list[FrameResult]:
    return [result(index, {1: ("car", (index % 20, 4, 6, 4 + index % 3))}, stream=stream) for index in range(count)]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 0.07, [0, 0.02, 0.04, 0.06, 0.08]),
        (3, 19, [0, 5, 10, 15, 20]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high, 5) == pytest.approx(ticks)


def test_a_line_goes_through_its_points() -> None:
    canvas = Canvas(300, 300)
    line = Series("one", BLUE, np.array([0.0, 5.0, 10.0]), np.array([0.0, 4.0, 4.0]))
    draw_lines(canvas, PANEL, [line], x_format=str, y_format=str)
    x, y, width, height = PANEL.plot
    blue = is_color(canvas, BLUE)
    left, top, across, down = extent(blue)
    assert abs(left - x) <= 2
    assert abs(left + across - (x + width)) <= 2
    assert abs(top - y) <= 2  # the axis ends at 4
    assert abs(top + down - (y + height)) <= 2
    assert blue[y - 2 : y + 3, x + width * 3 // 4].any()  # flat at the top from the middle on


def test_one_point_is_a_level() -> None:
    canvas = Canvas(300, 300)
    draw_lines(canvas, PANEL, [Series("one", BLUE, np.ones(1), np.ones(1))], x_format=str, y_format=str)
    assert extent(is_color(canvas, BLUE))[2] > 0.9 * PANEL.plot[2]


def test_bars_are_as_high_as_their_values() -> None:
    canvas = Canvas(300, 300)
    draw_bars(canvas, PANEL, [Bar("a", 40, BLUE), Bar("b", 0, BLUE), Bar("c", 10, ORANGE)], y_format=str)
    height = PANEL.plot[3]
    assert extent(is_color(canvas, BLUE))[3] == pytest.approx(height, abs=2)
    assert extent(is_color(canvas, ORANGE))[3] == pytest.approx(height / 4, abs=2)


def test_rows_are_as_long_as_their_values() -> None:
    canvas = Canvas(300, 300)
    bars = [Bar("a", 1.0, BLUE, "x"), Bar("b", 0.5, ORANGE), Bar("c", 0.1, (1, 2, 3))]
    draw_rows(canvas, PANEL, bars, most=2, value_format=str)
    assert extent(is_color(canvas, ORANGE))[2] == pytest.approx(extent(is_color(canvas, BLUE))[2] / 2, abs=2)
    assert not is_color(canvas, (1, 2, 3)).any()  # one too many


def test_nothing_to_show_is_said_and_not_drawn() -> None:
    canvas = Canvas(300, 300)
    draw_lines(canvas, PANEL, [Series("one", BLUE, np.zeros(0), np.zeros(0))], x_format=str, y_format=str)
    draw_bars(canvas, PANEL, [Bar("a", 0, BLUE)], y_format=str)
    draw_rows(canvas, PANEL, [], most=3, value_format=str)
    assert not is_color(canvas, BLUE).any()
    assert (canvas.rgb < 255).any()


@pytest.mark.parametrize("streams", [1, 3, 9])
def test_any_number_of_streams(tmp_path: Path, streams: int) -> None:
    run = make_run(tmp_path / "run", {f"cam{number}": cars(20 * number, f"cam{number}") for number in range(streams)})
    picture = draw_stats(run_stats(run), "a run")
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert (picture[:70, :200] < 100).any()  # the title
    lines = (picture == PALETTE[2]).all(-1).any()
    assert lines == (streams >= 3)


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    picture = draw_stats(run_stats(make_run(tmp_path / "run", {"cam": []})), "a run")
    assert not (picture == PALETTE[0]).all(-1).any()


def test_the_file_is_the_picture_and_the_same_each_time(tmp_path: Path) -> None:
    stats = run_stats(make_run(tmp_path / "run", {"cam": cars(20, "cam")}))
    for name in ("a.png", "b.png"):
        write_plot(stats, "a run", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], draw_stats(stats, "a run"))
    with pytest.raises(SinkError, match="cannot write"):
        write_plot(stats, "a run", tmp_path / "none" / "a.png")
