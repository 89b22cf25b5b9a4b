"""The renderer for batches draws what the CPU's draws, up to rounding along edges, and the same each time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from streamseg.world.device import render_batch
from streamseg.world.device_effects import apply_effects
from streamseg.world.dials import Dials
from streamseg.world.effects import apply_effects as apply_effects_on_cpu
from streamseg.world.layout import Edge, Region
from streamseg.world.names import Composition
from streamseg.world.renderer import render
from streamseg.world.seeds import generator
from streamseg.world.snapshot import Camera, Effects, Pose, Snapshot, Sprite, stuff_id
from streamseg.world.stills import random_still

SIZE_HW = (128, 224)


def snapshots(count: int, *, effects: bool = False, difficulty: float = 0.9) -> list[Snapshot]:
    dials = replace(Dials.from_difficulty(difficulty), crowds=0.5, clutter=0.5)
    stills = [random_still(generator("test device", seed), 1.75, "all", dials) for seed in range(count)]
    return stills if effects else [replace(still, effects=Effects()) for still in stills]


def picture(value: float = 100.0) -> torch.Tensor:
    return torch.full((1, 3, 64, 64), value)


def texture(side: int = 64) -> torch.Tensor:
    """(3, side, side) float, smooth with some detail."""
    noise = torch.rand(1, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(0)) * 255
    return torch.nn.functional.interpolate(noise, size=side, mode="bilinear")[0]


# Against the CPU.


def test_identities_agree_with_the_cpu() -> None:
    moments = snapshots(5)
    _, ids = render_batch(moments, SIZE_HW, "cpu")
    assert (ids.shape, ids.dtype) == ((5, *SIZE_HW), torch.int32)
    for moment, found in zip(moments, ids.numpy(), strict=True):
        expected = render(moment, SIZE_HW).ids
        assert (found == expected).mean() > 0.99
        values, counts = np.unique(expected, return_counts=True)
        large = values[counts > 150]
        for id_ in large:
            mine, theirs = found == id_, expected == id_
            assert (mine & theirs).sum() / (mine | theirs).sum() > 0.85


def test_colours_agree_with_the_cpu() -> None:
    moments = snapshots(5)
    images, _ = render_batch(moments, SIZE_HW, "cpu")
    assert (images.shape, images.dtype) == ((5, 3, *SIZE_HW), torch.uint8)
    for moment, found in zip(moments, images.permute(0, 2, 3, 1).numpy().astype(int), strict=True):
        expected = render(moment, SIZE_HW).rgb.astype(int)
        assert np.abs(found - expected).mean() < 3
        np.testing.assert_allclose(found.mean((0, 1)), expected.mean((0, 1)), atol=2)


def test_a_view_that_is_turned_moved_and_zoomed_agrees() -> None:
    camera = Camera(x=0.2, y=-0.1, zoom=1.6, roll=0.3)
    (moment,) = snapshots(1)
    moment = replace(moment, camera=camera)
    _, ids = render_batch([moment], SIZE_HW, "cpu")
    assert (ids[0].numpy() == render(moment, SIZE_HW).ids).mean() > 0.99


# The same each time.


def test_a_picture_does_not_depend_on_its_batch() -> None:
    moments = snapshots(4, effects=True)
    images, ids = render_batch(moments, SIZE_HW, "cpu")
    for order in ([2], [3, 0], [1, 2, 3, 0]):
        some, their_ids = render_batch([moments[index] for index in order], SIZE_HW, "cpu")
        torch.testing.assert_close(some, images[order], rtol=0, atol=0)
        torch.testing.assert_close(their_ids, ids[order], rtol=0, atol=0)


def test_effects_never_change_the_truth() -> None:
    moments = snapshots(3, effects=True)
    changed, ids = render_batch(moments, SIZE_HW, "cpu")
    clear, clear_ids = render_batch([replace(moment, effects=Effects()) for moment in moments], SIZE_HW, "cpu")
    torch.testing.assert_close(ids, clear_ids, rtol=0, atol=0)
    assert (changed != clear).float().mean() > 0.5


def test_pictures_with_and_without_things() -> None:
    ground = Region("snow", 1, Edge("everywhere"))
    ball = Sprite(105, Composition("ball", "red", "plain"), 0, Pose(0, 0, 0.5))
    crowd = [replace(ball, id=100, iscrowd=True), Sprite(0, Composition("cube", "blue", "plain"), 0, Pose(0.5, 0, 0.3))]
    moments = [Snapshot((ground,), ()), Snapshot((ground,), (ball,)), Snapshot((), tuple(crowd))]
    _, ids = render_batch(moments, SIZE_HW, "cpu")
    snow = stuff_id("snow")
    assert [sorted(set(found.flatten().tolist())) for found in ids] == [[snow], [snow, 105], [0, 100]]


# Effects.


def test_no_effect_changes_nothing() -> None:
    image = texture().round()
    torch.testing.assert_close(apply_effects(image[None], [Effects()])[0], image.to(torch.uint8), rtol=0, atol=0)


@pytest.mark.parametrize("effects", [Effects(gain=(0.5, 1.0, 1.7)), Effects(blur=25.0), Effects(blur=4.0)])
def test_light_and_blur_are_those_of_the_cpu(effects: Effects) -> None:
    image = texture().round()
    expected = apply_effects_on_cpu(image.permute(1, 2, 0).numpy().astype(np.uint8), effects)
    found = apply_effects(image[None], [effects])[0].permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_noise_has_its_deviation_and_its_seed() -> None:
    every = [Effects(noise=8.0, noise_seed=seed) for seed in (1, 1, 2)]
    first, again, other = apply_effects(picture().expand(3, -1, -1, -1), every).float()
    assert first.std().item() == pytest.approx(8, rel=0.05)
    assert first.mean().item() == pytest.approx(100, abs=0.5)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert (first != other).float().mean() > 0.8


def test_compression_loses_about_what_jpeg_loses() -> None:
    """Brightness only: the colours that JPEG halves are kept."""
    image = (
        texture().mean(0, keepdim=True) + 12 * torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    ).clamp(0, 255)
    gray = image.expand(3, -1, -1).round()
    on_cpu = gray.permute(1, 2, 0).numpy().astype(np.uint8)
    losses = []
    for quality in (95, 60, 35, 20):
        expected = np.abs(apply_effects_on_cpu(on_cpu.copy(), Effects(quality=quality)).astype(float) - on_cpu).mean()
        found = (apply_effects(gray[None], [Effects(quality=quality)])[0].float() - gray).abs().mean().item()
        assert found == pytest.approx(expected, rel=0.15)
        losses.append(found)
    assert losses == sorted(losses)


def test_sizes_that_are_no_multiple_of_a_block() -> None:
    odd = texture()[None, :, :51, :37]
    compressed = apply_effects(odd, [Effects(quality=50, blur=1000.0)])
    assert compressed.shape == odd.shape


@pytest.mark.cuda
def test_a_gpu_draws_what_the_cpu_draws() -> None:
    moments = snapshots(5)
    images, ids = (tensor.cpu() for tensor in render_batch(moments, SIZE_HW, "cuda"))
    expected, expected_ids = render_batch(moments, SIZE_HW, "cpu")
    assert (ids == expected_ids).float().mean() > 0.999
    assert (images.int() - expected.int()).abs().float().mean() < 0.5
