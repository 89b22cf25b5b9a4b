"""Videos of the world: any frame at any time, cuts where they belong, identities for good, no end."""

import gc
import subprocess
import sys
import tracemalloc
import zlib
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
import pytest

from streamseg.errors import ConfigError
from streamseg.world.dials import Dials
from streamseg.world.names import Composition
from streamseg.world.scene import IDS_PER_SCENE, LAST_ID
from streamseg.world.snapshot import FIRST_THING_ID, WorldSegment
from streamseg.world.video import SCENES, World, WorldFrame, describe

SIZE_HW = (32, 56)
HARD = Dials.from_difficulty(1.0)


def world(
    dials: Dials | None = None, *, seed: int = 0, fps: Fraction = Fraction(5), seconds: float | None = None
) -> World:
    return World(seed=seed, size_hw=SIZE_HW, fps=fps, seconds=seconds, dials=dials or Dials.from_difficulty(0.5))


def assert_equal(one: WorldFrame, other: WorldFrame) -> None:
    np.testing.assert_array_equal(one.rgb, other.rgb)
    np.testing.assert_array_equal(one.ids, other.ids)
    for name in ("index", "pts_seconds", "segments", "camera", "scene", "is_cut", "caption"):
        assert getattr(one, name) == getattr(other, name)


# Frames.


def test_what_a_frame_says() -> None:
    for index, frame in enumerate(islice(world(fps=Fraction(30_000, 1001)), 4)):
        assert frame.index == index
        assert frame.pts_seconds == float(index * Fraction(1001, 30_000))
        assert (frame.rgb.shape, frame.rgb.dtype) == ((*SIZE_HW, 3), np.uint8)
        assert (frame.ids.shape, frame.ids.dtype) == (SIZE_HW, np.int32)
        assert [segment.id for segment in frame.segments] == sorted(set(np.unique(frame.ids)) - {0})


def test_any_frame_is_the_one_that_iteration_gives() -> None:
    by_iteration = list(islice(world(HARD), 40))
    apart = world(HARD)
    for index in (39, 0, 17, 18, 5):
        assert_equal(apart.frame(index), by_iteration[index])


def test_a_snapshot_is_what_the_frame_shows() -> None:
    one = world(HARD)
    assert one.snapshot(20).camera == one.frame(20).camera


def test_a_length_in_seconds() -> None:
    assert len(list(world(seconds=1.0))) == len(world(seconds=1.0)) == 5
    assert len(world(seconds=20.0, fps=Fraction(30_000, 1001))) == 600
    assert len(world(seconds=0.01)) == 1
    assert len(world(seconds=0.3, fps=Fraction(10))) == 3
    assert all(frame.pts_seconds < 1.0 for frame in world(seconds=1.0))


def test_frames_that_are_not_there() -> None:
    with pytest.raises(IndexError, match="no frame -1 in this world, expected one from 0"):
        world().frame(-1)
    with pytest.raises(IndexError, match="no frame 5 in this world, expected one from 0 to 4"):
        world(seconds=1.0).snapshot(5)
    with pytest.raises(TypeError, match="no end"):
        len(world())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": -1}, "seed is -1, expected a whole number of at least 0"),
        ({"size_hw": (16, 64)}, "size is 64x16, expected 32 to 8192"),
        ({"size_hw": (64, 9000)}, "size is 9000x64, expected 32 to 8192"),
        ({"fps": Fraction(0)}, "fps is 0, expected more than 0 and at most 1000"),
        ({"fps": Fraction(1001)}, "fps is 1001, expected more than 0"),
        ({"seconds": 0.0}, "seconds is 0, expected more than 0 .* leave it out"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": float("inf")}, "seconds is inf, expected more than 0 and at most 1e.09; leave it out"),
        ({"things": "novel"}, "unknown pool of things 'novel'"),
    ],
)
def test_worlds_that_cannot_be(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        World(**fields)  # type: ignore[arg-type]


# The same everywhere.

FINGERPRINT = """
import sys, zlib
from streamseg.world.dials import Dials
from streamseg.world.video import World
world = World(seed=3, size_hw=(32, 56), dials=Dials.from_difficulty(0.8))
frames = [world.frame(index) for index in (0, 130, 10_000_000)]
print([zlib.crc32(frame.rgb.tobytes() + frame.ids.tobytes() + repr(frame.segments).encode()) for frame in frames])
"""


def test_another_process_makes_the_same_video() -> None:
    one = World(seed=3, size_hw=SIZE_HW, dials=Dials.from_difficulty(0.8))
    frames = [one.frame(index) for index in (0, 130, 10_000_000)]
    expected = [zlib.crc32(f.rgb.tobytes() + f.ids.tobytes() + repr(f.segments).encode()) for f in frames]
    done = subprocess.run([sys.executable, "-c", FINGERPRINT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(expected)


def test_seeds_differ() -> None:
    one, other = (world(seed=seed).frame(0) for seed in (0, 1))
    assert (one.rgb != other.rgb).mean() > 0.5


# Identities.


def test_an_identity_is_one_thing_for_good() -> None:
    """Over all scenes, returns included."""
    looks = defaultdict(set)
    scenes = defaultdict(set)
    one = world(replace(HARD, crowds=0.0), fps=Fraction(2))
    for index in range(400):
        for sprite in one.snapshot(index).sprites:
            if sprite.id:
                looks[sprite.id].add((sprite.composition, sprite.variant))
                scenes[sprite.id].add(one._scene_number(one._shot(index)))
    assert len(looks) > 200
    assert all(len(look) == 1 for look in looks.values())
    assert all(len(where) == 1 for where in scenes.values())


def test_identities_fit_into_three_bytes() -> None:
    assert FIRST_THING_ID + SCENES * IDS_PER_SCENE - 1 <= LAST_ID == 2**24 - 1
    for index in (0, 10**6, 10**7, 10**10):
        for one in (world(HARD), world(Dials(traffic_seconds=0.1, speed=5.0))):
            assert all(sprite.id <= LAST_ID for sprite in one.snapshot(index).sprites)


def test_traffic_without_cuts_goes_on_for_years() -> None:
    one = world(Dials(things=1, traffic_seconds=5.0))
    a_year = 365 * 24 * 3600 * 5
    assert max(sprite.id for sprite in one.snapshot(a_year).sprites) > 6_000_000


# Cuts.


def scenes_of(one: World, count: int) -> list[int]:
    """The scene of every frame, without painting any."""
    return [one._scene_number(one._shot(index)) for index in range(count)]


def test_cuts_come_at_their_mean_interval() -> None:
    for period in (1.0, 3.0):
        scenes = scenes_of(world(Dials(cut_seconds=period)), 5 * 600)
        cuts = sum(before != after for before, after in pairwise(scenes))
        assert cuts == pytest.approx(600 / period, abs=1)


def test_cuts_are_not_regular() -> None:
    scenes = scenes_of(world(Dials(cut_seconds=2.0)), 3000)
    starts = [index for index, (before, after) in enumerate(pairwise(scenes), start=1) if before != after]
    lengths = np.diff(starts) / 5
    assert lengths.std() > 0.3
    assert lengths.min() >= 2.0 * 0.2 - 0.2
    assert lengths.max() <= 2.0 * 1.8 + 0.2


def test_is_cut_marks_the_first_frame_of_another_scene() -> None:
    frames = list(islice(world(replace(HARD, cut_seconds=1.5)), 60))
    assert not frames[0].is_cut
    assert sum(frame.is_cut for frame in frames) >= 6
    for before, after in pairwise(frames):
        assert after.is_cut == (before.scene != after.scene)


def test_without_cuts_there_is_one_scene() -> None:
    assert set(scenes_of(world(Dials(cut_seconds=0.0)), 2000)) == {0}


def test_scenes_return_with_those_who_live_there() -> None:
    one = world(replace(Dials.from_difficulty(0.5), cut_seconds=1.0, traffic_seconds=0.0))
    visits = defaultdict(list)
    for index, (before, after) in enumerate(pairwise(scenes_of(one, 1500)), start=1):
        if before != after:
            visits[after].append(index)
    returns = [starts for starts in visits.values() if len(starts) > 1]
    share = sum(len(starts) - 1 for starts in returns) / sum(map(len, visits.values()))
    assert 0.2 < share < 0.4
    first, second = returns[0][:2]
    assert {sprite.id for sprite in one.snapshot(first).sprites} == {
        sprite.id for sprite in one.snapshot(second).sprites
    }
    assert one.snapshot(first).regions == one.snapshot(second).regions


def test_cuts_go_on_when_all_scenes_have_been_shown() -> None:
    one = world(Dials(cut_seconds=1.0))
    numbers = [one._scene_number(shot) for shot in range(SCENES - 20, SCENES + 20)]
    assert all(0 <= number < SCENES for number in numbers)
    assert all(before != after for before, after in pairwise(numbers))


# No end.


def test_the_ten_millionth_frame_costs_what_the_first_costs() -> None:
    for dials in (HARD, Dials.from_difficulty(0.5)):
        frame = world(dials, fps=Fraction(25)).frame(10_000_000)
        assert frame.pts_seconds == 400_000
        assert any(segment.isthing for segment in frame.segments)


def test_memory_does_not_grow_with_time() -> None:
    """A quarter of an hour, each frame in another scene; pictures of things are bounded by their cache."""
    one = world(HARD, fps=Fraction(1, 3))

    def held_after(frames: range) -> int:
        for index in frames:
            one.snapshot(index)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early = held_after(range(100))
        late = held_after(range(100, 300))
    finally:
        tracemalloc.stop()
    assert late < early + 100_000


# Captions.


def segment(shape: str, area: int, color: str = "red", *, isthing: bool = True, iscrowd: bool = False) -> WorldSegment:
    kind = Composition(shape, color, "plain") if isthing else None
    return WorldSegment(101, shape, isthing, iscrowd, area, 1.0, kind)


def test_a_caption_lists_the_largest_first() -> None:
    segments = (
        segment("car", 50),
        segment("fish", 20, "blue"),
        segment("fish", 40, "blue"),
        segment("bus", 10, "orange"),
        segment("grass", 90, isthing=False),
        segment("road", 99, isthing=False),
    )
    assert describe(segments) == "a red car, 2 blue fish and an orange bus on road and grass"


def test_captions_of_many_of_stuff_alone_and_of_nothing() -> None:
    assert describe((segment("bus", 5), segment("bus", 5), segment("sky", 9, isthing=False))) == "2 red buses on sky"
    assert describe((segment("star", 5, "blue", iscrowd=True),)) == "a crowd of stars"
    assert describe((segment("sky", 9, isthing=False),)) == "sky"
    assert describe(()) == ""


def test_captions_agree_with_the_segments() -> None:
    frame = world(HARD).frame(3)
    for entry in frame.segments:
        assert entry.label.removesuffix("y") in frame.caption
        if entry.isthing and not entry.iscrowd:
            assert entry.text.rpartition(" ")[0] in frame.caption
