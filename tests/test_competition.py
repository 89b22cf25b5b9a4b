"""Which mask wins which pixel: tiles against the plain twin, on pictures that try to catch them out."""

import pytest
import torch

from streamseg import competition
from streamseg.competition import compete, compete_plain, compete_tiles
from streamseg.queries import MaskGeometry

GEOMETRIES = [
    MaskGeometry((64, 96), (64, 96), (64, 96)),  # nothing but the upsampling by four
    MaskGeometry((64, 96), (61, 90), (61, 90)),  # cropped
    MaskGeometry((64, 96), (61, 90), (183, 271)),  # enlarged, odd
    MaskGeometry((64, 96), (61, 90), (23, 40)),  # shrunk: whole logits fall between the output's pixels
    MaskGeometry((64, 96), (1, 1), (1, 1)),
]


def smooth(generator: torch.Generator, count: int, mean: float = -4.0) -> torch.Tensor:
    """Masks like a model's: smooth, mostly negative, some overlapping."""
    coarse = torch.randn(1, count, 4, 6, generator=generator) * 6 + mean
    fine = torch.nn.functional.interpolate(coarse, size=(16, 24), mode="bicubic")[0]
    return fine + 0.3 * torch.randn(fine.shape, generator=generator)


def apart(found: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Who wins where, whether it is sure, and the areas."""
    outcome, area = found
    return (outcome // 2).int(), outcome % 2 == 1, area


def assert_same(scores: torch.Tensor, masks: torch.Tensor, geometry: MaskGeometry) -> None:
    winner, sure, area = apart(compete_plain(scores, masks, geometry))
    tiled_winner, tiled_sure, tiled_area = apart(compete_tiles(scores, masks, geometry))
    # Where two masks tie to rounding either may win: compare what the winners are worth, then how often they differ.
    worth = geometry.upsample(masks).sigmoid() * scores[:, None, None]
    torch.testing.assert_close(
        worth.gather(0, tiled_winner[None].long()), worth.gather(0, winner[None].long()), atol=1e-5, rtol=1e-5
    )
    pixels = winner.numel()
    assert (tiled_winner != winner).sum() <= 0.001 * pixels
    assert (tiled_sure != sure).sum() <= 0.001 * pixels
    assert ((tiled_area - area).abs() <= 1 + 0.001 * pixels).all()


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_tiles_agree_with_the_plain_way(geometry: MaskGeometry, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    count = 1 + 13 * seed
    assert_same(torch.rand(count, generator=generator), smooth(generator, count), geometry)


@pytest.mark.parametrize("mean", [-60.0, 60.0, 0.0])
def test_saturated_masks(mean: float) -> None:
    """Where sigmoid is 0 or 1 to rounding, bounds are equal and nothing may be left out by mistake."""
    generator = torch.Generator().manual_seed(7)
    assert_same(torch.rand(20, generator=generator), smooth(generator, 20, mean), GEOMETRIES[2])


def test_noise_has_no_smooth_bounds() -> None:
    generator = torch.Generator().manual_seed(8)
    masks = torch.randn(30, 16, 24, generator=generator) * 10
    assert_same(torch.rand(30, generator=generator), masks, GEOMETRIES[2])


@pytest.mark.parametrize(("count", "dtype"), [(128, torch.uint8), (129, torch.int32)])
def test_outcomes_are_bytes_as_long_as_they_fit(count: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(14)
    scores, masks = torch.linspace(0.5, 1, count), smooth(generator, count, mean=0.0)
    assert compete_plain(scores, masks, GEOMETRIES[0])[0].dtype == dtype
    assert compete_tiles(scores, masks, GEOMETRIES[0])[0].dtype == dtype
    assert_same(scores, masks, GEOMETRIES[0])
    masks[-1] = 50.0  # the last one wins everywhere, and is sure
    assert (compete_tiles(scores, masks, GEOMETRIES[0])[0] == 2 * count - 1).all()


@pytest.mark.parametrize("implementation", [compete_plain, compete_tiles])
def test_first_of_equal_masks_wins(implementation: object) -> None:
    assert callable(implementation)
    masks = smooth(torch.Generator().manual_seed(9), 1).repeat(5, 1, 1)
    winner, _, area = apart(implementation(torch.ones(5), masks, GEOMETRIES[0]))
    assert (winner == 0).all()
    assert (area == area[0]).all()


def test_own_area_counts_pixels_that_others_won() -> None:
    masks = torch.full((2, 16, 24), 8.0)
    _, area = compete_tiles(torch.tensor([1.0, 0.1]), masks, GEOMETRIES[0])
    assert area.tolist() == [64 * 96, 64 * 96]


@pytest.mark.parametrize("tile_hw", [(1, 1), (7, 13), (512, 512)])
def test_tile_size_changes_nothing(tile_hw: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(10)
    scores, masks = torch.rand(12, generator=generator), smooth(generator, 12)
    expected = compete_tiles(scores, masks, GEOMETRIES[1])
    monkeypatch.setattr(competition, "TILE_HW", tile_hw)
    for found, wanted in zip(compete_tiles(scores, masks, GEOMETRIES[1]), expected, strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("implementation", [compete_plain, compete_tiles])
def test_chunk_size_changes_nothing(implementation: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(implementation)
    generator = torch.Generator().manual_seed(11)
    scores, masks = torch.rand(12, generator=generator), smooth(generator, 12)
    expected = implementation(scores, masks, GEOMETRIES[2])
    monkeypatch.setattr(competition, "CPU_CHUNK_PIXELS", 1)
    for found, wanted in zip(implementation(scores, masks, GEOMETRIES[2]), expected, strict=True):
        assert torch.equal(found, wanted)


def test_bounds_alone_settle_flat_masks() -> None:
    """A mask without an edge in sight, likely or not: no tile is left to look into."""
    geometry = GEOMETRIES[2]
    for logit, covered in ((4.0, True), (-4.0, False)):
        masks = torch.stack((torch.full((16, 24), logit), torch.full((16, 24), -9.0)))
        winner, sure, area = apart(compete_tiles(torch.tensor([0.5, 0.4]), masks, geometry))
        assert (winner == 0).all()
        assert (sure == covered).all()
        assert area.tolist() == [covered * winner.numel(), 0]


def test_half_precision_is_widened() -> None:
    generator = torch.Generator().manual_seed(12)
    scores, masks = torch.rand(6, generator=generator), smooth(generator, 6).bfloat16()
    winner, _, _ = apart(compete(scores.bfloat16(), masks, GEOMETRIES[0]))
    expected, _, _ = apart(compete_plain(scores.bfloat16().float(), masks.float(), GEOMETRIES[0]))
    assert (winner == expected).float().mean() > 0.999


@pytest.mark.cuda
def test_cuda_agrees_with_the_cpu() -> None:
    generator = torch.Generator().manual_seed(13)
    scores, masks = torch.rand(40, generator=generator), smooth(generator, 40)
    expected = compete_plain(scores, masks, GEOMETRIES[2])
    found = compete(scores.cuda(), masks.cuda(), GEOMETRIES[2])
    assert (found[0].cpu() == expected[0]).float().mean() > 0.999
