"""Who decays, how the rate runs, and clipping: against the published rules, written down a second time."""

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from streamseg.fcclip.model import build_fcclip
from streamseg.training.optimizer import build_optimizer, clip_gradients, learning_rate, set_learning_rate
from streamseg.training.settings import OptimizerSettings
from tests.small_models import SMALL_RESNET, small_model
from tests.training.small_runs import SMALL

# The only entries that may go without decay, by their published names: norms, and nn.Embedding tables.
TABLES = {
    "mask_decoder.query_feat.weight",
    "mask_decoder.query_embed.weight",
    "mask_decoder.level_embed.weight",
    "void_embedding.weight",
}


@pytest.mark.parametrize("spec", [SMALL, SMALL_RESNET], ids=["convnext", "resnet"])
def test_only_norms_and_tables_go_without_decay(spec: object) -> None:
    model = build_fcclip(SMALL) if spec is SMALL else small_model(SMALL_RESNET)
    optimizer = build_optimizer(model, OptimizerSettings())
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    without = {names[key] for key, decay in decays.items() if decay == 0}
    with_decay = {names[key] for key, decay in decays.items() if decay == 0.05}
    assert len(without) + len(with_decay) == len(decays)
    norms = {
        name
        for name in names.values()
        if not name.startswith("backbone.")
        and ("norm" in name or re.search(r"input_proj\.\d\.1\.|_mask_pooling_proj\.0\.", name))
    }
    assert without == norms | TABLES
    # As published: biases, the temperature and the pixel decoder's level embedding (a plain parameter) do decay.
    assert "mask_decoder.logit_scale" in with_decay
    assert "pixel_decoder.transformer.level_embed" in with_decay
    assert "mask_decoder.mask_embed.layers.0.bias" in with_decay
    assert not any(name.startswith("backbone.") for name in without | with_decay)


def test_position_tables_do_not_decay() -> None:
    module = nn.Module()
    module.absolute_pos_embed = nn.Parameter(torch.zeros(2))
    module.other = nn.Parameter(torch.zeros(2))
    groups = build_optimizer(module, OptimizerSettings()).param_groups
    assert {group["weight_decay"]: len(group["params"]) for group in groups} == {0.0: 1, 0.05: 1}


def test_a_shared_parameter_is_there_once() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    [group] = build_optimizer(nn.Sequential(first, second), OptimizerSettings()).param_groups
    assert len(group["params"]) == 3


def test_the_published_schedule() -> None:
    settings = OptimizerSettings()
    rates = {
        step: learning_rate(settings, step, 368_750) for step in (0, 9, 327_777, 327_778, 355_091, 355_092, 368_749)
    }
    assert rates == pytest.approx(
        {0: 1e-4, 9: 1e-4, 327_777: 1e-4, 327_778: 1e-5, 355_091: 1e-5, 355_092: 1e-6, 368_749: 1e-6}
    )


def test_cosine_with_warmup() -> None:
    settings = OptimizerSettings(lr=1.0, schedule="cosine", final_factor=0.1, warmup_steps=4, warmup_factor=0.2)
    rates = [learning_rate(settings, step, 101) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[2] == pytest.approx(0.6 * (0.1 + 0.45 * (1 + math.cos(math.pi * 0.02))))
    assert rates[50] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)
    assert all(a > b for a, b in pairwise(rates[4:]))


def test_gradients_are_clipped_together() -> None:
    layers = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    optimizer = build_optimizer(layers, OptimizerSettings())
    for parameter in layers.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    norm = clip_gradients(optimizer, 0.01)
    assert float(norm) == pytest.approx(2 * math.sqrt(18))
    clipped = torch.cat([parameter.grad.flatten() for parameter in layers.parameters() if parameter.grad is not None])
    assert float(clipped.norm()) == pytest.approx(0.01, rel=1e-4)
    assert float(clipped.std()) == pytest.approx(0, abs=1e-9)


def test_every_group_gets_the_rate() -> None:
    optimizer = build_optimizer(nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)), replace(OptimizerSettings(), lr=5.0))
    set_learning_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5]
