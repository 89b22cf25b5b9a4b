"""`world:...` as a source: every option, every complaint, frames as any source delivers them."""

from contextlib import suppress
from dataclasses import fields, replace
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.frames import Frame
from streamseg.sources.world import PREFIX, is_world, parse_world, read_world, to_frame
from streamseg.world.dials import RANGES, Dials
from streamseg.world.video import World


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("world", True),
        ("world:", True),
        ("world:seed=3", True),
        ("worlds", False),
        ("world.mp4", False),
        ("/world", False),
    ],
)
def test_what_is_a_world(source: str, expected: bool) -> None:
    assert is_world(source) == expected


@pytest.mark.parametrize("source", ["world", "world:", "world: ", "world:,"])
def test_without_options_it_is_endless_and_middling(source: str) -> None:
    assert parse_world(source) == World()


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("seed=7", World(seed=7)),
        ("seconds=2.5", World(seconds=2.5)),
        ("difficulty=0.9", World(dials=Dials.from_difficulty(0.9))),
        ("size=640x360", World(size_hw=(360, 640))),
        ("size=640X360", World(size_hw=(360, 640))),
        ("fps=30", World(fps=Fraction(30))),
        ("fps=30000/1001", World(fps=Fraction(30_000, 1001))),
        ("fps=29.97", World(fps=Fraction(2997, 100))),
        ("pool=unseen-shapes", World(things="unseen-shapes")),
        (" seed = 7 , fps = 30 ", World(seed=7, fps=Fraction(30))),
    ],
)
def test_options(option: str, expected: World) -> None:
    assert parse_world(f"{PREFIX}{option}") == expected


@pytest.mark.parametrize("name", [field.name for field in fields(Dials)])
def test_every_dial_is_an_option(name: str) -> None:
    default = Dials.from_difficulty(0.2)
    value = {"things": 7, "occluders": 2, "smallest": 0.02, "largest": 2.0}.get(name, 0.75)
    assert getattr(default, name) != value
    expected = World(dials=replace(default, **{name: value}))
    assert parse_world(f"world:{name}={value},difficulty=0.2") == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "sed=7",
            r"'sed=7' in source 'world:sed=7' \(did you mean 'seed'\?\): expected key=value, with one of seed, seco",
        ),
        ("zzz=7", r"'zzz=7' in source 'world:zzz=7': expected key=value, with one of seed, .*pool, things, .*clutter$"),
        ("seed", r"'seed' in source 'world:seed': expected key=value"),
        ("seed=1,seed=2", r"'seed' stands twice in source .*: keep one of the two"),
        ("seed=-1", r"seed is '-1', expected a whole number of at least 0"),
        ("seed=", r"seed is '', expected a whole number"),
        ("seed=1.5", r"seed is '1.5', expected a whole number"),
        ("seed=" + "9" * 5000, r"expected a whole number of at least 0 and 18 digits at most"),
        ("seconds=long", r"seconds is 'long', expected a number"),
        ("seconds=0", r"seconds is 0, expected more than 0 and at most"),
        ("seconds=nan", r"seconds is nan, expected more than 0"),
        ("difficulty=2", r"difficulty is 2.0, expected a number from 0 to 1"),
        ("difficulty=hard", r"difficulty is 'hard', expected a number"),
        ("size=640", r"size is '640', expected WIDTHxHEIGHT in pixels, such as 848x480"),
        ("size=axb", r"size is 'axb', expected WIDTHxHEIGHT"),
        ("size=8x8", r"size is 8x8, expected 32 to 8192 pixels a side"),
        ("fps=fast", r"fps is 'fast', expected a number, such as 25, 29.97 or 30000/1001"),
        ("fps=25/0", r"fps is '25/0', expected a number"),
        ("fps=1e999999999", r"fps is '1e999999999', expected a number"),
        ("fps=0", r"fps is 0, expected more than 0 and at most 1000"),
        ("pool=cars", r"unknown pool of things 'cars', expected one of all, seen"),
        ("things=seen", r"things is 'seen', expected a whole number"),
        ("things=0", r"things is 0, expected a number from 1 to 50"),
        ("speed=quick", r"speed is 'quick', expected a number"),
        ("speed=-1", r"speed is -1.0, expected a number from 0 to 20"),
        ("cut_seconds=0.01", r"cut_seconds is 0.01, expected 0 for none, or a number from 0.1 to"),
        ("smallest=3", r"sizes of things run from 3.0 to 0.6, expected smallest <= largest"),
    ],
)
def test_complaints_are_one_line_with_value_and_remedy(options: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_world(f"world:{options}")
    assert "\n" not in str(caught.value)


def test_any_value_of_any_option_is_taken_or_refused() -> None:
    """Nothing but ConfigError, whatever is typed."""
    names = ("seed", "seconds", "difficulty", "size", "fps", "pool", *RANGES)
    texts = ("", "0", "-0", "1e400", "-inf", "nan", "0x10", "½", "²", "٣", "1/3", "1/", "x", "9x", "None", "1" * 30)
    for name in names:
        for text in texts:
            with suppress(ConfigError):
                parse_world(f"world:{name}={text}")


def test_frames_of_a_source() -> None:
    world = World(seed=3, size_hw=(32, 56), fps=Fraction(30_000, 1001), seconds=0.1)
    frames = list(read_world(world, "cam0"))
    assert [frame.index for frame in frames] == [0, 1, 2]
    for frame, truth in zip(frames, world, strict=True):
        assert isinstance(frame, Frame)
        assert frame.stream_id == "cam0"
        assert (frame.pts_ticks, frame.time_base) == (truth.index, Fraction(1001, 30_000))
        assert frame.pts_seconds == truth.index * Fraction(1001, 30_000)
        np.testing.assert_array_equal(frame.rgb, truth.rgb)


def test_a_name_is_as_good_as_a_world() -> None:
    (first,) = islice(read_world("world:seed=3,size=56x32"), 1)
    np.testing.assert_array_equal(first.rgb, World(seed=3, size_hw=(32, 56)).frame(0).rgb)


def test_pixels_are_read_only() -> None:
    world = World(size_hw=(32, 56))
    assert not to_frame(world.frame(0), world.fps).rgb.flags.writeable
