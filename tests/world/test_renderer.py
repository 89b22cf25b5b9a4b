"""The picture and its truth: each thing painted alone and put together by hand gives the same map."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from streamseg.world import renderer
from streamseg.world.cache import PictureCache
from streamseg.world.dials import Dials
from streamseg.world.layout import Edge, Region, inside
from streamseg.world.names import Composition
from streamseg.world.renderer import OPAQUE, SPRITE_SIZES, RenderedWorld, render
from streamseg.world.seeds import generator
from streamseg.world.snapshot import Camera, Effects, Pose, Snapshot, Sprite, stuff_id
from streamseg.world.sprites import render_sprite
from streamseg.world.stills import random_still

SIZE_HW = (72, 120)
GRASS = Region("grass", 0, Edge("everywhere"))
BALL = Composition("ball", "red", "plain")
CAR = Composition("car", "blue", "plain")

Ids = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


def thing(id_: int = 101, x: float = 0.0, y: float = 0.0, size: float = 0.5, **more: object) -> Sprite:
    """A ball, unless told otherwise."""
    composition = more.pop("composition", BALL)
    angle, flipped = more.pop("angle", 0.0), more.pop("flipped", False)
    return Sprite(id_, composition, 0, Pose(x, y, size, angle, flipped), **more)  # type: ignore[arg-type]


def shown(*sprites: Sprite, camera: Camera | None = None, size_hw: tuple[int, int] = SIZE_HW) -> RenderedWorld:
    return render(Snapshot((GRASS,), sprites, camera or Camera()), size_hw)


def crowded_snapshots(count: int) -> list[Snapshot]:
    dials = replace(Dials.from_difficulty(1.0), overlap=1.0, crowds=1.0, clutter=1.0)
    return [random_still(generator("test renderer", seed), 120 / 72, "all", dials) for seed in range(count)]


def visibility(rendered: RenderedWorld, id_: int = 101) -> float:
    return next(segment.visibility for segment in rendered.segments if segment.id == id_)


# Exact truth.


def silhouette(snapshot: Snapshot, sprite: Sprite) -> Mask:
    """Where a thing would be seen if it were alone in the world."""
    alone = replace(snapshot, regions=(), sprites=(replace(sprite, id=999),))
    return render(alone, SIZE_HW).ids == 999


def painted_by_hand(snapshot: Snapshot) -> Ids:
    ids = render(replace(snapshot, sprites=()), SIZE_HW).ids
    for sprite in snapshot.sprites:
        ids[silhouette(snapshot, sprite)] = sprite.id
    return ids


def test_ids_are_those_of_things_painted_one_by_one() -> None:
    for snapshot in crowded_snapshots(6):
        np.testing.assert_array_equal(render(snapshot, SIZE_HW).ids, painted_by_hand(snapshot))


def sampled_silhouette(snapshot: Snapshot, sprite: Sprite) -> Mask:
    """The silhouette from the drawing and both matrices, sampled bilinearly in double precision."""
    to_pixels = np.vstack((snapshot.camera.to_pixels(SIZE_HW), (0, 0, 1)))
    to_square = np.linalg.inv(to_pixels @ np.vstack((sprite.pose.to_world(), (0, 0, 1))))
    rows, columns = np.indices(SIZE_HW) + 0.5
    x, y, _ = np.einsum("ij,jhw->ihw", to_square, np.stack((columns, rows, np.ones(SIZE_HW))))
    side = 1 / math.sqrt(abs(np.linalg.det(to_square[:2, :2])))
    size = next(size for size in SPRITE_SIZES if size >= side)
    alpha = np.pad(render_sprite(sprite.composition, size=size, variant=sprite.variant)[..., 3].astype(float), 1)
    x, y = np.clip(x * size + 0.5, 0, size), np.clip(y * size + 0.5, 0, size)
    left, top = x.astype(int), y.astype(int)
    fx, fy = x - left, y - top
    upper = alpha[top, left] * (1 - fx) + alpha[top, left + 1] * fx
    lower = alpha[top + 1, left] * (1 - fx) + alpha[top + 1, left + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy >= OPAQUE)


def test_silhouettes_are_those_of_the_drawings() -> None:
    """OpenCV counts in 32nds of a pixel, so pixels that are half covered may fall either way."""
    for snapshot in crowded_snapshots(4):
        for sprite in snapshot.sprites:
            found, expected = silhouette(snapshot, sprite), sampled_silhouette(snapshot, sprite)
            outline = math.sqrt(max(1, expected.sum()))
            assert (found != expected).sum() <= 0.35 * outline, sprite


def test_stuff_lies_where_its_region_says() -> None:
    for snapshot in crowded_snapshots(6):
        bare = replace(snapshot, sprites=())
        to_world = np.linalg.inv(np.vstack((bare.camera.to_pixels(SIZE_HW), (0, 0, 1))))
        rows, columns = np.indices(SIZE_HW) + 0.5
        x, y, _ = np.einsum("ij,jhw->ihw", to_world, np.stack((columns, rows, np.ones(SIZE_HW))))
        expected = np.zeros(SIZE_HW, np.int32)
        for region in bare.regions:
            expected[inside(region.edge, x, y) > 0] = stuff_id(region.stuff)
        assert (render(bare, SIZE_HW).ids != expected).sum() <= 2


def test_segments_list_what_is_in_the_map() -> None:
    for snapshot in crowded_snapshots(6):
        rendered = render(snapshot, SIZE_HW)
        found, areas = np.unique(rendered.ids[rendered.ids > 0], return_counts=True)
        assert [segment.id for segment in rendered.segments] == found.tolist()
        assert [segment.area for segment in rendered.segments] == areas.tolist()
        things = {sprite.id: sprite for sprite in snapshot.sprites}
        for segment in rendered.segments:
            assert segment.isthing == (segment.id in things)
            if segment.isthing:
                assert segment.label == things[segment.id].composition.shape
            else:
                assert segment.id == stuff_id(segment.label)
                assert (segment.text, segment.composition, segment.iscrowd) == (segment.label, None, False)


def test_what_nothing_covers_is_void() -> None:
    rendered = render(Snapshot((), (thing(),)), SIZE_HW)
    assert set(np.unique(rendered.ids)) == {0, 101}
    assert [segment.id for segment in rendered.segments] == [101]


def test_clutter_is_void_and_hides() -> None:
    rendered = shown(thing(101), thing(0, composition=CAR))
    assert (rendered.ids == 0).sum() > 200
    assert visibility(rendered) < 0.6
    assert {segment.id for segment in rendered.segments} == {101, stuff_id("grass")}


def test_a_crowd_is_one_segment_of_its_shape() -> None:
    members = [
        thing(100, x, 0.0, 0.2, composition=Composition("star", color, "plain"), iscrowd=True)
        for x, color in ((-0.3, "red"), (0.0, "blue"), (0.3, "green"))
    ]
    rendered = shown(*members)
    (crowd,) = [segment for segment in rendered.segments if segment.isthing]
    assert (crowd.id, crowd.iscrowd, crowd.label, crowd.text) == (100, True, "star", "star")
    assert crowd.area == sum(int(silhouette(Snapshot((), ()), member).sum()) for member in members)
    assert crowd.visibility > 0.95


# Visibility.


def test_what_nothing_hides_is_visible() -> None:
    for composition in (BALL, CAR, Composition("key", "red", "plain"), Composition("tree", "green", "dotted")):
        assert 0.97 <= visibility(shown(thing(size=0.8, composition=composition), size_hw=(144, 240))) <= 1


def test_the_nearer_thing_hides_the_farther() -> None:
    shares = [visibility(shown(thing(101, size=0.5), thing(102, x=x, size=0.5))) for x in (0.5, 0.3, 0.15, 0.05)]
    assert shares[0] > 0.97
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.2
    behind = shown(thing(102, x=0.15, size=0.5), thing(101, size=0.5))
    assert visibility(behind) > 0.97


def test_what_leaves_the_frame_is_less_visible() -> None:
    edge = 0.5 * SIZE_HW[1] / SIZE_HW[0]
    shares = [visibility(shown(thing(x=x))) for x in (0.0, edge - 0.1, edge, edge + 0.15)]
    assert shares[0] > 0.97
    assert shares == sorted(shares, reverse=True)
    assert shares[2] == pytest.approx(0.5, abs=0.04)
    assert [segment.id for segment in shown(thing(x=edge + 0.4)).segments] == [stuff_id("grass")]


def test_visibility_is_a_share() -> None:
    for snapshot in crowded_snapshots(12):
        for segment in render(snapshot, SIZE_HW).segments:
            assert 0 < segment.visibility <= 1
            assert segment.isthing or segment.visibility == 1


# Poses and camera.


def test_a_pose_says_where_and_how_large() -> None:
    rows, columns = np.nonzero(shown(thing(x=0.25, y=-0.1, size=0.4)).ids == 101)
    assert (columns.mean() + 0.5) / SIZE_HW[0] - SIZE_HW[1] / SIZE_HW[0] / 2 == pytest.approx(0.25, abs=0.01)
    assert (rows.mean() + 0.5) / SIZE_HW[0] - 0.5 == pytest.approx(-0.1, abs=0.01)
    assert (columns.max() - columns.min() + 1) / SIZE_HW[0] == pytest.approx(0.9 * 0.4, abs=0.03)


def test_flipped_looks_the_other_way() -> None:
    straight = shown(thing(size=0.8, composition=CAR)).ids == 101
    flipped = shown(thing(size=0.8, composition=CAR, flipped=True)).ids == 101
    assert (straight != flipped).sum() > 20
    assert (straight[:, ::-1] != flipped).sum() <= 4


def test_a_quarter_turn_goes_clockwise() -> None:
    upright = shown(thing(size=0.8, composition=CAR), size_hw=(80, 80)).ids == 101
    turned = shown(thing(size=0.8, composition=CAR, angle=math.pi / 2), size_hw=(80, 80)).ids == 101
    assert (np.rot90(upright, -1) != turned).mean() < 0.01


def test_zoom_enlarges() -> None:
    near = shown(thing(size=0.3), camera=Camera(zoom=2.0))
    far = shown(thing(size=0.3))
    assert (near.ids == 101).sum() / (far.ids == 101).sum() == pytest.approx(4, rel=0.05)


def test_a_larger_picture_shows_the_same() -> None:
    snapshot = crowded_snapshots(1)[0]
    small, large = render(snapshot, SIZE_HW).ids, render(snapshot, (216, 360)).ids
    assert (large[1::3, 1::3] == small).mean() > 0.97


# Light and lens.


def test_effects_change_the_picture_and_never_the_truth() -> None:
    snapshot = crowded_snapshots(2)[1]
    clear = render(replace(snapshot, effects=Effects()), SIZE_HW)
    for effects in (
        Effects(gain=(0.5, 0.8, 1.2)),
        Effects(blur=20.0),
        Effects(smear=(0.05, 0.02)),
        Effects(noise=10.0),
        Effects(quality=20),
    ):
        changed = render(replace(snapshot, effects=effects), SIZE_HW)
        assert (changed.rgb != clear.rgb).mean() > 0.1
        np.testing.assert_array_equal(changed.ids, clear.ids)
        assert changed.segments == clear.segments


def test_things_have_light_of_their_own() -> None:
    dim, bright = (shown(thing(light=light)) for light in (0.6, 1.0))
    where = bright.ids == 101
    ratio = dim.rgb[where].mean() / bright.rgb[where].mean()
    assert ratio == pytest.approx(0.6, abs=0.05)
    np.testing.assert_array_equal(dim.rgb[bright.ids == stuff_id("grass")][:50], bright.rgb[~where][:50])


def test_the_same_moment_gives_the_same_picture() -> None:
    snapshot = crowded_snapshots(1)[0]
    first, second = render(snapshot, SIZE_HW), render(snapshot, SIZE_HW)
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.ids, second.ids)
    assert first.segments == second.segments


def test_a_full_cache_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = crowded_snapshots(1)[0]
    expected = render(snapshot, SIZE_HW)
    monkeypatch.setattr(renderer, "_sprites", PictureCache(20_000))
    for _ in range(2):
        found = render(snapshot, SIZE_HW)
        np.testing.assert_array_equal(found.rgb, expected.rgb)
        np.testing.assert_array_equal(found.ids, expected.ids)


def test_what_a_frame_is_made_of() -> None:
    rendered = shown(thing())
    assert (rendered.rgb.shape, rendered.rgb.dtype) == ((*SIZE_HW, 3), np.uint8)
    assert (rendered.ids.shape, rendered.ids.dtype) == (SIZE_HW, np.int32)
