"""Sprites: true to their names in every variant, drawn the same everywhere, empty where they should be."""

import subprocess
import sys
import zlib
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamseg.errors import ConfigError
from streamseg.world.names import COLORS, PATTERNS, SHAPES, Composition
from streamseg.world.palette import PALETTE
from streamseg.world.patterns import pattern_mask
from streamseg.world.seeds import generator
from streamseg.world.sprites import INKS, OVERSAMPLING, render_sprite, role_map, sprite_mask

SIZE = 160
VARIANTS = range(6)
TRUE_ENOUGH = {"plain": 0.99, "striped": 0.56, "dotted": 0.56, "checked": 0.52}  # blends along edges count against it

every_shape = pytest.mark.parametrize("shape", [shape.name for shape in SHAPES])
every_color = pytest.mark.parametrize("color", [color.name for color in COLORS])
every_pattern = pytest.mark.parametrize("pattern", [pattern.name for pattern in PATTERNS])


def body_pixels(composition: Composition, variant: int) -> npt.NDArray[np.uint8]:
    """(N, 3): the colours of the pixels that are all body, no line and no edge."""
    body = (role_map(composition.shape, SIZE * OVERSAMPLING) == INKS.index("body")).astype(np.float32)
    inside = cv2.resize(body, (SIZE, SIZE), interpolation=cv2.INTER_AREA) == 1
    return render_sprite(composition, size=SIZE, variant=variant)[inside][:, :3]


def nearest_names(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(N,): the palette's entry that each colour is closest to."""
    palette = np.array(list(PALETTE.values()), np.float32)
    distance = np.linalg.norm(pixels[:, None].astype(np.float32) - palette, axis=2)
    return np.asarray(distance.argmin(1), np.int64)


@every_shape
def test_a_sprite_is_a_square_with_a_clear_margin(shape: str) -> None:
    sprite = render_sprite(Composition(shape, "blue", "plain"))
    assert sprite.shape == (160, 160, 4)
    assert sprite.dtype == np.uint8
    margin = np.ones((160, 160), bool)
    margin[4:-4, 4:-4] = False
    assert not sprite[margin].any()
    assert (sprite[..., 3] == 255).mean() > 0.15


@every_shape
def test_empty_pixels_are_black_and_edges_are_soft(shape: str) -> None:
    sprite = render_sprite(Composition(shape, "white", "plain"))
    alpha = sprite[..., 3]
    assert not sprite[alpha == 0].any()
    assert len(np.unique(alpha)) > 5


def test_alpha_is_straight() -> None:
    """Half-covered pixels at the edge have the outline's full colour, not half of it."""
    sprite = render_sprite(Composition("ball", "white", "plain"))
    edge = (sprite[..., 3] > 60) & (sprite[..., 3] < 200)
    covered = sprite[..., 3] == 255
    assert sprite[edge][:, :3].mean() > 0.8 * sprite[covered][:, :3].min(0).mean()


@every_color
@every_pattern
def test_colors_stay_true_to_their_names(color: str, pattern: str) -> None:
    own = list(PALETTE).index(color)
    for variant in VARIANTS:
        for shape in ("cube", "heart", "truck"):
            names = nearest_names(body_pixels(Composition(shape, color, pattern), variant))
            counts = np.bincount(names, minlength=len(PALETTE))
            assert counts.argmax() == own
            assert counts[own] >= TRUE_ENOUGH[pattern] * len(names), (shape, variant)


@every_color
def test_the_mean_of_a_plain_body_is_its_color(color: str) -> None:
    for variant in range(20):
        mean = body_pixels(Composition("cup", color, "plain"), variant).mean(0, keepdims=True)
        assert list(PALETTE)[nearest_names(mean.astype(np.uint8))[0]] == color


def test_the_palette_keeps_its_distance() -> None:
    assert list(PALETTE) == [color.name for color in COLORS]
    for one, other in combinations(PALETTE.values(), 2):
        assert np.linalg.norm(np.subtract(one, other)) > 70


@every_color
def test_patterns_show(color: str) -> None:
    """Each changes a good part of the body, and no two look the same."""
    bodies = {
        pattern.name: body_pixels(Composition("cube", color, pattern.name), 0).astype(np.int16) for pattern in PATTERNS
    }
    for one, other in combinations(bodies.values(), 2):
        changed = np.abs(one - other).max(1) > 40
        assert changed.mean() > 0.15


@pytest.mark.parametrize("pattern", ["striped", "dotted", "checked"])
def test_a_pattern_covers_less_than_half(pattern: str) -> None:
    for seed in range(30):
        assert 0.28 < pattern_mask(pattern, 320, generator("test", seed)).mean() < 0.42


def test_plain_has_no_second_tone() -> None:
    assert not pattern_mask("plain", 64, generator("test", 0)).any()


def test_stripes_run_from_edge_to_edge() -> None:
    for seed in range(10):
        pieces = whole_pieces("striped", seed, border=False)
        assert 5 <= len(pieces) <= 13  # more when they run diagonally
        assert max(max(size) for _, size in pieces) > 300


def test_dots_are_round_and_checks_are_square() -> None:
    for seed in range(10):
        for pattern, filled in (("dotted", np.pi / 4), ("checked", 1.0)):
            pieces = whole_pieces(pattern, seed, border=True)
            assert len(pieces) > 15
            for area, (width, height) in pieces:
                assert 0.85 < width / height < 1.18
                assert area / (width * height) == pytest.approx(filled, abs=0.12)


def whole_pieces(pattern: str, seed: int, border: bool) -> list[tuple[float, tuple[float, float]]]:
    """Area, and sides of the tightest box, of a pattern's pieces; those cut by the border left out if asked."""
    size = 320
    mask = pattern_mask(pattern, size, generator("test", seed)).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    pieces = []
    for contour in contours:
        points = contour[:, 0]
        if border and (points.min() == 0 or points.max() == size - 1):
            continue
        pieces.append((cv2.contourArea(contour), cv2.minAreaRect(contour)[1]))
    return pieces


def test_variants_differ_a_little_and_share_a_silhouette() -> None:
    first, *others = (render_sprite(Composition("fish", "green", "striped"), variant=variant) for variant in VARIANTS)
    for other in others:
        assert (first != other).any()
        np.testing.assert_array_equal(first[..., 3], other[..., 3])


def test_a_sprite_is_the_same_in_every_process() -> None:
    """A name's hash differs between processes; nothing may depend on it."""
    code = (
        "import zlib; from streamseg.world.names import Composition; from streamseg.world.sprites import render_sprite;"
        "print(zlib.crc32(render_sprite(Composition('snail', 'pink', 'dotted'), size=80, variant=3).tobytes()))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = render_sprite(Composition("snail", "pink", "dotted"), size=80, variant=3)
    role_map.cache_clear()
    again = render_sprite(Composition("snail", "pink", "dotted"), size=80, variant=3)
    assert zlib.crc32(here.tobytes()) == zlib.crc32(again.tobytes()) == int(elsewhere)


@pytest.mark.parametrize("size", [40, 80, 320, 640])
def test_sizes_show_the_same_sprite(size: int) -> None:
    composition = Composition("elephant", "orange", "checked")
    sprite, other = (premultiplied(render_sprite(composition, size=side, variant=1)) for side in (SIZE, size))
    small = (cv2.resize(picture, (40, 40), interpolation=cv2.INTER_AREA) for picture in (sprite, other))
    assert np.abs(np.subtract(*small)).mean() < 8


def premultiplied(sprite: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    picture = sprite.astype(np.float32)
    picture[..., :3] *= picture[..., 3:] / 255
    return picture


def test_a_ring_is_empty_in_the_middle() -> None:
    mask = sprite_mask(render_sprite(Composition("ring", "red", "plain")))
    assert mask.shape == (160, 160)
    assert mask.dtype == bool
    assert not mask[60:100, 60:100].any()
    assert mask[80, 20:35].all()


def test_the_mask_is_where_alpha_is_at_least_half() -> None:
    sprite = np.zeros((1, 3, 4), np.uint8)
    sprite[0, :, 3] = 127, 128, 255
    assert sprite_mask(sprite).tolist() == [[False, True, True]]


def test_light_comes_from_above() -> None:
    for variant in VARIANTS:
        sprite = render_sprite(Composition("cup", "gray", "plain"), variant=variant).astype(np.float32)
        assert sprite[45:60, 40:70, :3].mean() > sprite[100:115, 40:70, :3].mean() + 5


@pytest.mark.parametrize(
    ("composition", "options", "complaint"),
    [
        (Composition("lamp", "red", "plain"), {}, "no drawing of 'lamp'"),
        (Composition("car", "mauve", "plain"), {}, "unknown colour 'mauve'"),
        (Composition("car", "red", "tartan"), {}, "unknown pattern 'tartan'"),
        (Composition("car", "red", "plain"), {"size": 8}, "8 pixels is too small"),
        (Composition("car", "red", "plain"), {"variant": -1}, "variant -1 is negative"),
    ],
)
def test_mistakes_are_named(composition: Composition, options: dict[str, int], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        render_sprite(composition, **options)
