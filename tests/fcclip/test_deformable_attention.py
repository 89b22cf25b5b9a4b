"""Multi-scale deformable attention: the fast twin against the plain one, both against loops."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from streamseg.fcclip import deformable_attention
from streamseg.fcclip.deformable_attention import (
    MultiScaleDeformableAttention,
    Sampler,
    reference_points,
    sample_bags,
    sample_plain,
)

Shapes = Sequence[tuple[int, int]]
Inputs = tuple[Tensor, Tensor, Tensor]

SAMPLERS = pytest.mark.parametrize("sampler", [sample_plain, sample_bags])


def random_inputs(
    shapes: Shapes, *, batch: int = 2, heads: int = 3, dim: int = 5, points: int = 4, reach: float = 4.0, seed: int = 0
) -> Inputs:
    """Values, locations up to `reach` pixels beyond the borders, and weights that sum to 1."""
    random = torch.Generator().manual_seed(seed)
    length = sum(height * width for height, width in shapes)
    value = torch.randn(batch, length, heads, dim, generator=random)
    size = torch.tensor([(width, height) for height, width in shapes])[:, None]
    locations = torch.rand(batch, length, heads, len(shapes), points, 2, generator=random) * (size + 2 * reach) - reach
    weights = torch.randn(batch, length, heads, len(shapes) * points, generator=random).softmax(-1)
    return value, locations, weights.unflatten(-1, (len(shapes), points))


def bilinear(image: Tensor, x: float, y: float) -> Tensor:
    """(height, width, D) at a point; what lies outside is zero."""
    height, width, dim = image.shape
    total = torch.zeros(dim, dtype=torch.float64)
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * image[row, column]
    return total


def oracle(value: Tensor, locations: Tensor, weights: Tensor, shapes: Shapes) -> Tensor:
    """Equation 3, sample by sample, in float64."""
    batch, length, heads, dim = value.shape
    out = torch.zeros(batch, length, heads, dim, dtype=torch.float64)
    levels = value.double().split([height * width for height, width in shapes], dim=1)
    for b in range(batch):
        for query in range(length):
            for head in range(heads):
                for level, shape in enumerate(shapes):
                    image = levels[level][b, :, head].unflatten(0, shape)
                    for point, (x, y) in enumerate(locations[b, query, head, level].tolist()):
                        weight = float(weights[b, query, head, level, point])
                        out[b, query, head] += weight * bilinear(image, x, y)
    return out.flatten(2)


@SAMPLERS
def test_equals_the_formula_in_loops(sampler: Sampler) -> None:
    shapes = [(2, 3), (1, 1), (3, 1)]
    value, locations, weights = random_inputs(shapes, heads=2, dim=3, points=2, reach=1.5)
    torch.testing.assert_close(
        sampler(value, locations, weights, shapes).double(),
        oracle(value, locations, weights, shapes),
        atol=2e-6,
        rtol=0,
    )


@SAMPLERS
def test_exactly_on_pixels_and_borders(sampler: Sampler) -> None:
    """Whole coordinates, the outermost half pixel, and a whole pixel outside, where nothing is left."""
    shapes = [(3, 4)]
    value = torch.arange(1.0, 13.0).reshape(1, 12, 1, 1)
    points = [
        (0, 0),
        (3, 2),
        (3.5, 2),
        (-0.5, 0),
        (4, 1),
        (1, -1),
        (1.5, 1),
        (0, 2.75),
        (-1, -1),
        (100, 1),
        (3, 0),
        (2, 2),
    ]
    locations = torch.tensor(points, dtype=torch.float32).reshape(1, 12, 1, 1, 1, 2)
    sampled = sampler(value, locations, torch.ones(1, 12, 1, 1, 1), shapes)
    assert sampled.flatten().tolist() == pytest.approx([1, 12, 6, 0.5, 0, 0, 6.5, 2.25, 0, 0, 4, 11], abs=1e-5)


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 1)],
        [(1, 1), (1, 1), (1, 1)],
        [(5, 7), (3, 2), (9, 1)],
        [(2, 3), (4, 6), (8, 12)],
        [(1, 13), (11, 1)],
        [(17, 31)],
    ],
)
@pytest.mark.parametrize("batch", [1, 2])
def test_bags_equal_plain(shapes: Shapes, batch: int) -> None:
    for seed in range(5):
        inputs = random_inputs(shapes, batch=batch, seed=seed)
        torch.testing.assert_close(sample_bags(*inputs, shapes), sample_plain(*inputs, shapes), atol=2e-5, rtol=0)


def test_samples_far_outside_count_as_zero() -> None:
    shapes = [(4, 4), (2, 2)]
    value, locations, weights = random_inputs(shapes)
    for sampler in (sample_bags, sample_plain):
        assert not sampler(value, locations + 1e6, weights, shapes).any()
        assert not sampler(value, locations - 1e6, weights, shapes).any()


@SAMPLERS
def test_bfloat16_values_keep_their_places(sampler: Sampler) -> None:
    """Coordinates stay exact beside rounded values: rounded to bfloat16, they would miss by half a pixel at 100."""
    shapes = [(3, 160)]
    value, locations, weights = random_inputs(shapes, reach=0.0)
    exact = sample_plain(value, locations, weights, shapes)
    rounded = sampler(value.bfloat16(), locations, weights, shapes).float()
    assert float((rounded - exact).abs().max()) < 0.02 * float(exact.abs().max())


def test_gradients_of_the_plain_twin() -> None:
    shapes = [(2, 3), (1, 2)]
    inputs = [tensor.double().requires_grad_() for tensor in random_inputs(shapes, batch=1, heads=1, dim=2, points=1)]
    assert torch.autograd.gradcheck(lambda *tensors: sample_plain(*tensors, shapes), inputs)


def test_reference_points_are_cell_centres() -> None:
    points = reference_points([(1, 2), (2, 1)], torch.device("cpu"))
    assert points.tolist() == [[0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75]]


def make_attention() -> tuple[MultiScaleDeformableAttention, Inputs, list[tuple[int, int]]]:
    torch.manual_seed(0)
    shapes = [(2, 3), (4, 6)]
    attention = MultiScaleDeformableAttention(dim=12, num_levels=2, num_heads=3, num_points=4)
    sizes = torch.tensor([(width, height) for height, width in shapes])
    centres = reference_points(shapes, torch.device("cpu"))[:, None] * sizes - 0.5
    return attention, (torch.randn(2, 30, 12), torch.randn(1, 30, 12), centres), shapes


@pytest.mark.parametrize(("grad", "expected"), [(True, "sample_plain"), (False, "sample_bags")])
def test_bags_serve_inference_and_plain_serves_training(
    grad: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    for name in ("sample_plain", "sample_bags"):
        original: Sampler = getattr(deformable_attention, name)

        def recording(*inputs: object, name: str = name, original: Sampler = original) -> Tensor:
            called.append(name)
            return original(*inputs)  # type: ignore[arg-type]

        monkeypatch.setattr(deformable_attention, name, recording)
    attention, inputs, shapes = make_attention()
    with torch.set_grad_enabled(grad):
        attention(*inputs, shapes)
    assert called == [expected]


def test_the_layer_is_the_same_with_either_sampler_and_trains() -> None:
    attention, inputs, shapes = make_attention()
    attention.sampler = sample_plain
    plain = attention(*inputs, shapes)
    plain.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in attention.parameters())
    attention.sampler = sample_bags
    with torch.no_grad():
        torch.testing.assert_close(attention(*inputs, shapes), plain.detach(), atol=1e-5, rtol=0)


def test_offsets_are_in_pixels_of_the_level_they_point_into() -> None:
    """With no offsets every cell reads itself; with an offset of (1, 0) it reads its right neighbour."""
    shapes = [(2, 3)]
    attention = MultiScaleDeformableAttention(dim=1, num_levels=1, num_heads=1, num_points=1)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
        attention.value_proj.weight.fill_(1)
        attention.output_proj.weight.fill_(1)
        centres = reference_points(shapes, torch.device("cpu"))[:, None] * torch.tensor([[3, 2]]) - 0.5
        x = torch.arange(1.0, 7.0).reshape(1, 6, 1)
        assert attention(x, torch.zeros_like(x), centres, shapes).flatten().tolist() == pytest.approx(
            [1, 2, 3, 4, 5, 6]
        )
        attention.sampling_offsets.bias[0] = 1
        assert attention(x, torch.zeros_like(x), centres, shapes).flatten().tolist() == pytest.approx(
            [2, 3, 0, 5, 6, 0]
        )
