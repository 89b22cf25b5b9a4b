import colorsys
from itertools import combinations
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamseg.errors import ConfigError
from streamseg.frames import Frame, FrameResult, Segment
from streamseg.rle import measure_map
from streamseg.sinks import render
from streamseg.sinks.render import color_of, draw_overlay
from streamseg.vocabulary import Vocabulary

SIZES = [(64, 64), (120, 160), (1, 200), (200, 1), (3, 3), (480, 640), (720, 1280), (1280, 720), (2160, 3840)]
LABELS = {1: ("person", True), 2: ("traffic light", True), 5: ("sky", False)}


def grey(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), 90, np.uint8)


def scene(height: int, width: int) -> npt.NDArray[np.int32]:
    """Sky in the upper half, two things in the lower, void around them."""
    ids = np.zeros((height, width), np.int32)
    ids[: height // 2] = 5
    ids[height // 2 : height * 7 // 8, width // 8 : width * 3 // 8] = 1
    ids[height * 5 // 8 : height * 7 // 8, width // 2 : width * 7 // 8] = 2
    return ids


def segments_of(ids: npt.NDArray[np.int32], labels: dict[int, tuple[str, bool]] = LABELS) -> list[Segment]:
    return [
        Segment(id_, id_, *labels.get(id_, ("thing", True)), 0.93, extent.area, extent.bbox)
        for id_, extent in measure_map(ids).items()
    ]


def chips_of(ids: npt.NDArray[np.int32], segments: list[Segment]) -> list[render._Chip]:
    index = render._index_map(ids, segments)
    texts = [render._texts(segment, show_scores=True, show_ids=False) for segment in segments]
    return render._place(texts, index, segments, render._Scale.of(*ids.shape), {})


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_size(height: int, width: int) -> None:
    rgb, ids = grey(height, width), scene(height, width)
    out = draw_overlay(rgb, ids, segments_of(ids))
    assert out.shape == rgb.shape
    assert out.dtype == np.uint8
    assert (rgb == 90).all(), "the picture itself stays as it was"


def test_void_is_untouched() -> None:
    ids = scene(480, 640)
    out = draw_overlay(grey(480, 640), ids, segments_of(ids), show_labels=False)
    assert (out[ids == 0] == 90).all()
    assert (out[ids != 0] != 90).any(axis=1).all()


def test_stuff_is_lighter_than_things() -> None:
    ids = scene(480, 640)
    segments = segments_of(ids)
    out = draw_overlay(grey(480, 640), ids, segments, show_labels=False).astype(float)
    tints = {id_: np.median(out[ids == id_], axis=0) for id_ in (1, 5)}
    opacity = {id_: np.abs(tint - 90).sum() / np.abs(np.array(color_of(id_)) - 90).sum() for id_, tint in tints.items()}
    assert opacity[5] == pytest.approx(0.3, abs=0.02)
    assert opacity[1] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("height", "width", "line"), [(64, 64, 1), (720, 1280, 2), (2160, 3840, 6)])
def test_outlines_have_the_colour_itself_and_grow_with_the_picture(height: int, width: int, line: int) -> None:
    ids = scene(height, width)
    out = draw_overlay(grey(height, width), ids, segments_of(ids), show_labels=False)
    row = ids.shape[0] * 3 // 4
    left = width // 8
    assert (out[row, left : left + line] == color_of(1)).all()
    assert (out[row, left + line] != color_of(1)).any()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (120, 160), (480, 640), (720, 1280), (2160, 3840)])
@pytest.mark.parametrize("seed", range(5))
def test_names_are_inside_and_apart(height: int, width: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    ids = scene(height, width)
    for id_ in range(10, 50):
        x, y = int(generator.integers(width)), int(generator.integers(height))
        ids[y : y + height // 8, x : x + width // 12] = id_
    chips = chips_of(ids, segments_of(ids))
    assert chips
    for chip in chips:
        assert 0 <= chip.x <= chip.x + chip.width <= width
        assert 0 <= chip.y <= chip.y + chip.height <= height
    assert not any(first.overlaps(second) for first, second in combinations(chips, 2))
    assert sum(chip.area for chip in chips) <= 0.3 * height * width


def test_every_name_that_has_room_is_written() -> None:
    ids = scene(480, 640)
    assert {chip.text for chip in chips_of(ids, segments_of(ids))} == {"person 93%", "traffic light 93%", "sky 93%"}


def test_a_small_thing_is_named_beside_it() -> None:
    ids = np.zeros((480, 640), np.int32)
    ids[300:312, 300:310] = 1
    (chip,) = chips_of(ids, segments_of(ids))
    assert chip.y + chip.height <= 301


def test_names_of_a_video_do_not_jump() -> None:
    """Two halves of a thing grow and shrink in turns; its name stays in one of them."""
    places: render.Places = {}
    seen = set()
    for grow in (0, 6, -6, 6, -6):
        ids = np.zeros((480, 640), np.int32)
        ids[200 - grow : 300 + grow, 20:220] = 1
        ids[200 + grow : 300 - grow, 400:600] = 1
        draw_overlay(grey(480, 640), ids, segments_of(ids), places=places)
        seen.add(places[1][0] < 320)
    assert len(seen) == 1


def test_a_name_follows_its_thing_and_is_forgotten_with_it() -> None:
    places: render.Places = {1: (600, 10), 9: (5, 5)}
    ids = np.zeros((480, 640), np.int32)
    ids[200:400, 20:220] = 1
    draw_overlay(grey(480, 640), ids, segments_of(ids), places=places)
    assert set(places) == {1}
    assert 200 < places[1][1] < 400


def test_a_long_name_is_cut_in_a_small_picture() -> None:
    ids = np.ones((64, 64), np.int32)
    (chip,) = chips_of(ids, segments_of(ids, {1: ("internal combustion engine", True)}))
    assert chip.text.startswith("inter")
    assert chip.text.endswith("…")


@pytest.mark.parametrize("size", [64, 480, 1080])
def test_letters_stand_out_and_are_large_enough(size: int) -> None:
    scale = render._Scale.of(size, size)
    assert scale.font >= max(10, size // 60)
    ids = np.ones((size, size), np.int32)
    segments = segments_of(ids)
    out = draw_overlay(grey(size, size), ids, segments)
    (chip,) = chips_of(ids, segments)
    area = out[chip.y : chip.y + chip.height, chip.x : chip.x + chip.width].reshape(-1, 3)
    ink = render._contrast(color_of(1))
    assert (np.abs(area.astype(int) - ink).max(1) < 80).mean() > 0.05


@pytest.mark.parametrize("number", range(200))
def test_ink_is_readable_on_every_colour(number: int) -> None:
    def luminance(color: tuple[int, int, int]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in color)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(color_of(number)), luminance(render._contrast(color_of(number)))), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5  # WCAG AA


def test_letters_of_other_scripts_are_drawn() -> None:
    def drawn(label: str) -> npt.NDArray[np.uint8]:
        ids = np.ones((120, 200), np.int32)
        return draw_overlay(grey(120, 200), ids, segments_of(ids, {1: (label, True)}), show_scores=False)

    assert (drawn("汽车") != drawn("??")).any()
    assert (drawn("汽车") != drawn("火车")).any()


def test_colours_are_stable_and_neighbours_differ() -> None:
    assert color_of(17) == color_of(17)
    assert all(min(color_of(n)) >= 0 and max(color_of(n)) <= 255 for n in range(1000))
    hues = [colorsys.rgb_to_hsv(*(part / 255 for part in color_of(n)))[0] for n in range(1, 9)]
    gaps = [min(abs(a - b), 1 - abs(a - b)) for a, b in combinations(hues, 2)]
    assert min(gaps) > 0.05


def test_an_id_keeps_its_colour_whoever_is_beside_it() -> None:
    ids = scene(240, 320)
    alone = np.where(ids == 2, ids, 0).astype(np.int32)
    together = draw_overlay(grey(240, 320), ids, segments_of(ids), show_labels=False)
    lonely = draw_overlay(grey(240, 320), alone, segments_of(alone), show_labels=False)
    assert (together[ids == 2] == lonely[ids == 2]).all()


def test_colour_by_category() -> None:
    ids = scene(240, 320)
    segments = [Segment(s.id, 3, s.label, True, s.score, s.area, s.bbox) for s in segments_of(ids)]
    out = draw_overlay(grey(240, 320), ids, segments, color_by="category", show_labels=False)
    first, second = (np.median(out[ids == id_], axis=0) for id_ in (1, 2))
    assert (first == second).all()


def test_more_segments_than_a_byte_counts() -> None:
    ids = np.arange(1, 401, dtype=np.int32).reshape(20, 20).repeat(8, 0).repeat(8, 1) * 41_000
    out = draw_overlay(grey(160, 160), ids, segments_of(ids), show_labels=False)
    first, last = out[3, 3], out[-4, -4]
    for id_, pixel in ((ids[0, 0], first), (ids[-1, -1], last)):
        assert np.abs(pixel.astype(float) - (np.array(color_of(int(id_))) + 90) / 2).max() <= 1


def test_a_map_of_another_size_is_scaled() -> None:
    ids = scene(120, 160)
    large = ids.repeat(4, 0).repeat(4, 1)
    segments = segments_of(large)
    assert (draw_overlay(grey(480, 640), ids, segments) == draw_overlay(grey(480, 640), large, segments)).all()


def test_ids_that_are_not_described_are_void() -> None:
    ids = scene(240, 320)
    segments = [segment for segment in segments_of(ids) if segment.id != 2]
    out = draw_overlay(grey(240, 320), ids, segments, show_labels=False)
    assert (out[ids == 2] == 90).all()


def test_no_segments_is_the_picture() -> None:
    rgb = grey(30, 40)
    out = draw_overlay(rgb, np.zeros((30, 40), np.int32), [])
    assert (out == rgb).all()
    assert not np.shares_memory(out, rgb)


def test_what_is_written() -> None:
    segment = Segment(17, 3, "traffic\nlight", True, 0.926, 5, (0, 0, 5, 1))
    assert render._texts(segment, show_scores=True, show_ids=False) == ("traffic light 93%", "traffic light")
    assert render._texts(segment, show_scores=False, show_ids=True) == ("traffic light #17",)


@pytest.mark.parametrize(
    ("rgb", "options", "says"),
    [
        (np.zeros((4, 4), np.uint8), {}, "expected uint8 RGB"),
        (np.zeros((4, 4, 3), np.float32), {}, "float32"),
        (np.zeros((0, 4, 3), np.uint8), {}, "expected uint8 RGB"),
        (np.zeros((4, 4, 3), np.uint8), {"color_by": "mood"}, "'mood', expected 'id' or 'category'"),
    ],
)
def test_wrong_arguments_are_refused(rgb: npt.NDArray[Any], options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        draw_overlay(rgb, np.ones((4, 4), np.int32), segments_of(np.ones((4, 4), np.int32)), **options)


def test_read_only_pictures_and_results_plot_themselves() -> None:
    ids = scene(120, 160)
    frame = Frame(grey(120, 160))
    segments = segments_of(ids)
    result = FrameResult.from_map(frame, ids, segments, model="m", vocabulary=Vocabulary.parse("person"))
    expected = draw_overlay(frame.rgb, ids, segments)
    assert (result.plot(frame) == expected).all()
    assert (result.plot(frame.rgb, show_labels=False) != expected).any()


def test_opencv_writes_letters_of_any_script() -> None:
    assert hasattr(cv2, "FontFace"), "names need OpenCV 5"
