"""The deterministic weights, entry by entry against checksums of those the published implementation was run on."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streamseg.errors import WeightsError
from streamseg.fcclip.model import build_fcclip
from streamseg.fcclip.reference_weights import reference_state_dict, reference_tensor, write_reference_checkpoint
from streamseg.fcclip.spec import get_spec
from streamseg.fcclip.weights import load_weights, official_key, read_state_dict, to_our_keys

KEYS = Path(__file__).parent / "reference_keys"  # official name: [shape, crc32 of the bytes, first three values]


def entries(model: str) -> dict[str, tuple[list[int], int, list[float]]]:
    return {key: tuple(entry) for key, entry in json.loads((KEYS / f"{model}.json").read_text()).items()}


def dtype_of(key: str) -> torch.dtype:
    return torch.int64 if key.endswith("num_batches_tracked") else torch.float32


def checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.numpy().tobytes())


@pytest.mark.parametrize("model", ["rn50", "rn50x4", "convnext_large"])
def test_every_entry_of_a_model(model: str) -> None:
    last_bit_differs = []
    for key, (shape, crc32, first3) in entries(model).items():
        value = reference_tensor(key, shape, dtype_of(key))
        assert list(value.shape) == shape, key
        assert value.dtype == dtype_of(key), key
        if checksum(value) != crc32:
            last_bit_differs.append(key)
            np.testing.assert_allclose(value.flatten()[:3].numpy(), first3, rtol=0, atol=1e-7, err_msg=key)
    # Only the row mean of wide matrices may round differently with another numpy build.
    assert all(key.endswith(("weight", "in_proj_weight")) for key in last_bit_differs), last_bit_differs


def test_names_map_to_ours_and_back_without_loss() -> None:
    official = {key: torch.empty(0) for key in entries("rn50")}
    ours = to_our_keys(official)
    assert len(ours) == len(official)
    assert {official_key(key) for key in ours} == set(official)
    assert not any(key.startswith("sem_seg_head.") for key in ours)


def test_a_value_depends_on_the_whole_name() -> None:
    assert not torch.equal(reference_tensor("a.bias", (4,)), reference_tensor("b.bias", (4,)))


def test_counters_are_zero_and_scalars_are_scalars() -> None:
    state = reference_state_dict(
        {
            "backbone.clip_model.visual.bn1.num_batches_tracked": ((), torch.int64),
            "backbone.clip_model.logit_scale": ((), torch.float32),
        }
    )
    counter, scale = state.values()
    assert counter.dtype == torch.int64
    assert counter.item() == 0
    assert scale.item() == pytest.approx(np.log(100))


class Head(nn.Module):
    """Two entries of the real model, under our names."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_decoder = nn.ModuleDict({"decoder_norm": nn.LayerNorm(256)})
        self.void_embedding = nn.Embedding(1, 1024)


def test_a_checkpoint_has_official_names_and_the_models_shapes(tmp_path: Path) -> None:
    write_reference_checkpoint(Head(), tmp_path / "reference.pth")
    state = read_state_dict(tmp_path / "reference.pth")
    known = entries("rn50")
    assert set(state) == {
        "sem_seg_head.predictor.decoder_norm.weight",
        "sem_seg_head.predictor.decoder_norm.bias",
        "void_embedding.weight",
        "criterion.empty_weight",
    }
    assert all(checksum(state[key]) == known[key][1] for key in state)
    assert torch.equal(state["criterion.empty_weight"], torch.tensor([1.0] * 133 + [0.1]))


def test_a_checkpoint_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot write weights to .*missing.*No such file or directory"):
        write_reference_checkpoint(Head(), tmp_path / "missing" / "reference.pth")


def test_the_real_model_takes_every_entry(tmp_path: Path) -> None:
    model = build_fcclip(get_spec("fcclip-r50"))
    path = tmp_path / "r50.pth"
    write_reference_checkpoint(model, path)
    assert set(read_state_dict(path)) == set(entries("rn50"))

    report = load_weights(model, path)

    assert report.num_tensors == len(model.state_dict())
    assert report.dropped == ("criterion.empty_weight",)
    known = entries("rn50")
    for key, value in model.state_dict().items():
        shape, crc32, first3 = known[official_key(key)]
        assert list(value.shape) == shape, key
        if checksum(value) != crc32:
            np.testing.assert_allclose(value.flatten()[:3].numpy(), first3, rtol=0, atol=1e-7, err_msg=key)
