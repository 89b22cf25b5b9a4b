"""Packing the demo: small, and the same model."""

from pathlib import Path

import pytest
import torch

from pipelines.pack_demo import main
from streamseg.errors import WeightsError
from streamseg.fcclip.checkpoint import read_state_dict, write_safetensors
from streamseg.fcclip.model import FCCLIP, build_fcclip
from streamseg.fcclip.spec import get_spec
from streamseg.fcclip.text import build_text_encoder
from streamseg.fcclip.weights import load_weights, save_official
from streamseg.training import pack
from streamseg.training.pack import pack_demo
from streamseg.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def trained() -> FCCLIP:
    return build_fcclip(get_spec("demo"))


@pytest.fixture(scope="module")
def checkpoint(trained: FCCLIP, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "model.pth"
    save_official(trained, path)
    return path


def names_of(vocabulary: str) -> list[str]:
    return [name for category in Vocabulary.load(vocabulary).categories for name in category.names]


def encode(model: FCCLIP, names: list[str]) -> torch.Tensor:
    return build_text_encoder(model.backbone.clip_model, model.spec).encode_names(names)


def test_the_packed_model_is_the_same_model(trained: FCCLIP, checkpoint: Path, tmp_path: Path) -> None:
    packed = pack_demo(checkpoint, tmp_path / "demo.safetensors")
    assert packed.file_bytes == packed.path.stat().st_size < 0.35 * checkpoint.stat().st_size
    assert 100 < packed.token_rows < 400
    loaded = build_fcclip(get_spec("demo"))
    load_weights(loaded, packed.path)
    names = names_of("world")
    torch.testing.assert_close(encode(loaded, names), encode(trained, names), atol=2e-3, rtol=0)
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        found, expected = loaded(images), trained(images)
    torch.testing.assert_close(found.clip_embedding, expected.clip_embedding, atol=0.02, rtol=0.02)


def test_every_word_of_the_world_is_in_it(checkpoint: Path, tmp_path: Path) -> None:
    loaded = build_fcclip(get_spec("demo"))
    load_weights(loaded, pack_demo(checkpoint, tmp_path / "demo.safetensors").path)
    encoder = build_text_encoder(loaded.backbone.clip_model, loaded.spec)
    words = [*names_of("world"), *names_of("world-colors"), *names_of("world-training"), "a photo of a small scene"]
    assert encoder.unread([*words, "zebra"]) == ["zebra"]


def test_what_is_small_keeps_its_precision(trained: FCCLIP, checkpoint: Path, tmp_path: Path) -> None:
    stored = read_state_dict(pack_demo(checkpoint, tmp_path / "demo.safetensors").path)
    scale = stored["backbone.clip_model.logit_scale"]
    assert (scale.dtype, scale.item()) == (torch.float32, trained.backbone.logit_scale.item())
    assert all(tensor.dtype == torch.float16 for tensor in stored.values() if tensor.ndim >= 2)


def test_a_clip_of_its_own_file(trained: FCCLIP, checkpoint: Path, tmp_path: Path) -> None:
    head = {name: value for name, value in read_state_dict(checkpoint).items() if "clip_model" not in name}
    write_safetensors(tmp_path / "head.safetensors", head)
    write_safetensors(tmp_path / "clip.safetensors", trained.backbone.clip_model.state_dict())
    out = tmp_path / "demo.safetensors"
    arguments = [str(tmp_path / "head.safetensors"), "--clip", str(tmp_path / "clip.safetensors")]
    assert main([*arguments, "--output", str(out)]) == 0
    assert out.read_bytes() == pack_demo(checkpoint, tmp_path / "whole.safetensors").path.read_bytes()


def test_numbers_that_float16_cannot_hold(trained: FCCLIP, tmp_path: Path) -> None:
    state = {name: value.clone() for name, value in trained.state_dict().items()}
    state["void_embedding.weight"][0, 0] = 1e6
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=r"void_embedding.weight holds numbers beyond float16"):
        pack_demo(tmp_path / "model.pth", tmp_path / "demo.safetensors")


def test_a_file_too_large_to_ship(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pack, "MAX_BYTES", 1000)
    assert main([str(checkpoint), "--output", str(tmp_path / "demo.safetensors")]) == 1
    assert "bytes, expected at most 1000" in capsys.readouterr().err
