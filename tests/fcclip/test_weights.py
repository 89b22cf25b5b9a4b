"""Reading weight files, and filling a model from them."""

import io
import os
import pickle
import stat
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from streamseg.errors import WeightsError
from streamseg.fcclip.checkpoint import release_pages
from streamseg.fcclip.spec import MODEL_SPECS, get_spec
from streamseg.fcclip.weights import (
    LoadReport,
    identify_model,
    load_clip,
    load_weights,
    official_key,
    read_state_dict,
    save_official,
    to_our_keys,
    weights_fingerprint,
)

TRAINED = [name for name, spec in MODEL_SPECS.items() if not spec.random_weights]


class StandIn(nn.Module):
    """A few entries under the real model's names, with the widths that tell published models apart."""

    def __init__(self, name: str = "fcclip-r50") -> None:
        super().__init__()
        self.spec = get_spec(name)
        width, embed = self.spec.backbone_channels[0], self.spec.embed_dim
        visual = nn.ModuleDict({"bn1": nn.BatchNorm2d(4)})
        if self.spec.family == "resnet":
            visual["layer1"] = nn.ModuleList([nn.ModuleDict({"conv3": nn.Conv2d(4, width, 1, bias=False)})])
        else:
            visual["trunk"] = nn.ModuleDict({"stem": nn.ModuleList([nn.Conv2d(3, width, 1)])})
        clip = nn.ModuleDict({"visual": visual, "ln_final": nn.LayerNorm(8), "token_embedding": nn.Embedding(11, 8)})
        clip.register_parameter("text_projection", nn.Parameter(torch.randn(8, embed)))
        clip.register_parameter("logit_scale", nn.Parameter(torch.tensor(4.6)))
        self.backbone = nn.ModuleDict({"clip_model": clip})
        self.pixel_decoder = nn.ModuleDict({"adapter_1": nn.Conv2d(width, 6, 1, bias=False)})
        self.mask_decoder = nn.ModuleDict({"query_feat": nn.Embedding(5, 6), "decoder_norm": nn.LayerNorm(6)})
        self.void_embedding = nn.Embedding(1, embed)
        with torch.no_grad():
            for tensor in self.state_dict().values():
                if tensor.is_floating_point():
                    tensor.normal_()


def official(model: nn.Module) -> dict[str, Tensor]:
    return {official_key(key): value.clone() for key, value in model.state_dict().items()}


def clip_alone(model: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """As open_clip names it."""
    start = "backbone.clip_model."
    return {
        prefix + key.removeprefix(start): value.clone()
        for key, value in model.state_dict().items()
        if key.startswith(start)
    }


def custom_text_clip(model: nn.Module) -> dict[str, Tensor]:
    """As open_clip names it where the text tower is a module of its own."""
    return {key if key.startswith("visual.") else f"text.{key}": value for key, value in clip_alone(model).items()}


def head_alone(model: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in official(model).items() if not key.startswith("backbone.")}


def assert_same(left: nn.Module, right: nn.Module, atol: float = 0.0) -> None:
    for (key, a), (other, b) in zip(left.state_dict().items(), right.state_dict().items(), strict=True):
        assert key == other
        torch.testing.assert_close(a, b, rtol=0, atol=atol, msg=key)


@pytest.fixture
def source() -> StandIn:
    return StandIn()


# --- reading files ---------------------------------------------------------------------------------------


def save_zip(state: Any, path: Path) -> None:
    torch.save(state, path)


def save_legacy(state: Any, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("save", [save_zip, save_legacy, save_file], ids=["zip", "legacy", "safetensors"])
def test_every_format_reads_back(save: Callable[[Any, Path], None], tmp_path: Path) -> None:
    state = {"a.weight": torch.randn(3, 4), "b": torch.arange(5), "h": torch.randn(2).half()}
    save(state, tmp_path / "weights")  # the content says what it is, not the name
    loaded = read_state_dict(tmp_path / "weights")
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], value) and loaded[key].dtype == value.dtype for key, value in state.items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "iteration": 7, "optimizer": {"state": {}}, "scheduler": {"last_epoch": 3}},
        lambda state: {"model": state, "__author__": "someone", "matching_heuristics": True},
        lambda state: {"state_dict": state, "epoch": 1},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {**state, "note": "not a tensor"},
    ],
)
def test_trainers_wrappings_come_off(wrap: Callable[[dict[str, Tensor]], Any], tmp_path: Path) -> None:
    torch.save(wrap({"a": torch.ones(2)}), tmp_path / "x.pth")
    assert read_state_dict(tmp_path / "x.pth").keys() == {"a"}


def test_text_paths_and_files_without_suffix_work(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "blob")
    assert read_state_dict(str(tmp_path / "blob")).keys() == {"a"}


class Malicious:
    """Would leave a file behind if it were ever unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("save", [save_zip, save_legacy], ids=["zip", "legacy"])
def test_code_in_a_file_is_refused_and_never_run(save: Callable[[Any, Path], None], tmp_path: Path) -> None:
    save({"model": Malicious(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(
        WeightsError, match=r"evil\.pth wants to run code when opened \(posix\.mkdir\), and was refused"
    ):
        read_state_dict(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_whole_modules_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"model": nn.Linear(2, 2)}, tmp_path / "module.pth")
    with pytest.raises(WeightsError, match=r"wants to run code when opened \(torch\.nn\.modules\.linear\.Linear\)"):
        read_state_dict(tmp_path / "module.pth")


def test_plain_pickles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"model": {"a": np.ones(3)}}))
    with pytest.raises(WeightsError, match=r"model\.pkl is a plain pickle, which can run code"):
        read_state_dict(tmp_path / "model.pkl")


def test_torchscript_is_refused_with_the_place_of_a_safe_copy(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "RN50.pt", "w") as archive:
        archive.writestr("RN50/data.pkl", b"")
        archive.writestr("RN50/constants.pkl", b"")
    with pytest.raises(WeightsError, match=r"RN50\.pt is a TorchScript program.*open_clip_model\.safetensors"):
        read_state_dict(tmp_path / "RN50.pt")


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.1, 0.03])
@pytest.mark.parametrize("save", [save_zip, save_legacy, save_file], ids=["zip", "legacy", "safetensors"])
def test_truncated_files(save: Callable[[Any, Path], None], keep: float, tmp_path: Path) -> None:
    save({"a": torch.randn(1000)}, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(WeightsError, match=r"cut is truncated.*: download or copy it again"):
        read_state_dict(tmp_path / "cut")


NOT_WEIGHTS = [
    (b"", r"is empty \(0 bytes\)"),
    (b"<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title>", r"is a web page, not weights"),
    (b"\n <html>404</html>", r"is a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", r"is a git-lfs pointer.*git lfs pull"),
    (b"\xff\xd8\xff\xe0JFIF picture", r"is not a weight file: expected a PyTorch checkpoint .* begins with b'\\xff"),
    (b"hello", r"is not a weight file"),
    (struct.pack("<Q", 1 << 60) + b"{}", r"is truncated or damaged"),
    (b"\x80\x02}q\x00garbage", r"is truncated or damaged"),
]


@pytest.mark.parametrize(("content", "message"), NOT_WEIGHTS)
def test_files_that_hold_no_weights(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"x\.pth {message}"):
        read_state_dict(tmp_path / "x.pth")


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("weights.pth", b"...")
    with pytest.raises(WeightsError, match="is an archive without a PyTorch checkpoint: unpack it"):
        read_state_dict(tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("content", "message"),
    [({"a": 1, "b": "x"}, "holds no weights: expected named tensors, found 'a', 'b'"), ([1], "holds a list")],
)
def test_checkpoints_without_tensors(content: Any, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message):
        read_state_dict(tmp_path / "x.pth")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no weight file .*nowhere\.pth: check the path"):
        read_state_dict(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="is a folder, expected a weight file: it holds no weight file either"):
        read_state_dict(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(WeightsError, match=r"is a folder.*name the file in it, such as .*model\.safetensors"):
        read_state_dict(tmp_path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(WeightsError, match=r"cannot read weight file .*x\.pth: Permission denied"):
        read_state_dict(tmp_path / "x.pth")


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "fc_clip.", "module.model._orig_mod."])
def test_prefixes_come_off(prefix: str) -> None:
    one = torch.ones(1)
    names = {
        "backbone.clip_model.visual.conv1.weight": "backbone.clip_model.visual.conv1.weight",
        "sem_seg_head.pixel_decoder.adapter_1.weight": "pixel_decoder.adapter_1.weight",
        "sem_seg_head.predictor.query_feat.weight": "mask_decoder.query_feat.weight",
        "void_embedding.weight": "void_embedding.weight",
        "criterion.empty_weight": "criterion.empty_weight",
        "predictor.level_embed.weight": "mask_decoder.level_embed.weight",
        "pixel_decoder.mask_features.bias": "pixel_decoder.mask_features.bias",
        "clip_model.logit_scale": "backbone.clip_model.logit_scale",
    }
    assert list(to_our_keys({prefix + name: one for name in names})) == list(names.values())


def test_unknown_names_stay_as_they_are() -> None:
    names = ["roi_heads.box_predictor.weight", "visual.conv1.weight", "predictor", "a"]
    assert list(to_our_keys(dict.fromkeys(names, torch.ones(1)))) == names


def test_two_names_for_one_entry() -> None:
    one = torch.ones(1)
    with pytest.raises(WeightsError, match=r"hold void_embedding\.weight and ema\.void_embedding\.weight, which name"):
        to_our_keys({"void_embedding.weight": one, "ema.void_embedding.weight": one})


# --- filling a model -------------------------------------------------------------------------------------


def test_an_official_file_fills_everything(source: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "official.pth"
    save_official(source, path, empty_weight=torch.ones(134))
    target = StandIn()
    assert load_weights(target, path) == LoadReport(path, path, len(source.state_dict()), ("criterion.empty_weight",))
    assert_same(source, target)


def test_saved_names_are_official(source: StandIn, tmp_path: Path) -> None:
    save_official(source, tmp_path / "x.pth")
    raw = torch.load(tmp_path / "x.pth", weights_only=True)
    assert raw.keys() == {"model"}
    assert raw["model"].keys() == official(source).keys()
    assert "sem_seg_head.predictor.decoder_norm.bias" in raw["model"]
    assert "sem_seg_head.pixel_decoder.adapter_1.weight" in raw["model"]


def test_saving_replaces_in_one_step(source: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"old")

    def full_disk(_: Any, file: io.BufferedWriter) -> None:
        file.write(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file: file write failed")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        with pytest.raises(WeightsError, match=r"cannot write weights to .*x\.pth: .*file write failed"):
            save_official(source, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]

    save_official(source, path)
    assert stat.S_IMODE(path.stat().st_mode) & 0o044, "others may read it, as far as the umask lets them"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod."])
def test_safetensors_under_another_publishers_prefix(source: StandIn, prefix: str, tmp_path: Path) -> None:
    save_file({prefix + key: value for key, value in official(source).items()}, tmp_path / "x.safetensors")
    target = StandIn()
    load_weights(target, str(tmp_path / "x.safetensors"))
    assert_same(source, target)


def test_our_own_names_load_too(source: StandIn, tmp_path: Path) -> None:
    torch.save(source.state_dict(), tmp_path / "ours.pt")
    target = StandIn()
    load_weights(target, tmp_path / "ours.pt")
    assert_same(source, target)


def test_half_precision_is_widened(source: StandIn, tmp_path: Path) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in official(source).items()}
    save_file(half, tmp_path / "half.safetensors")
    target = StandIn()
    load_weights(target, tmp_path / "half.safetensors")
    assert all(value.dtype != torch.float16 for value in target.state_dict().values())
    assert_same(source, target, atol=4e-3)


def test_counters_and_notes_are_not_demanded(source: StandIn, tmp_path: Path) -> None:
    state = {key: value for key, value in official(source).items() if not key.endswith("num_batches_tracked")}
    state |= {"pixel_mean": torch.ones(3, 1, 1), "backbone.clip_model.attn_mask": torch.ones(77, 77)}
    state["backbone.clip_model.logit_scale"] = state["backbone.clip_model.logit_scale"].reshape(1)
    torch.save(state, tmp_path / "x.pth")
    target = StandIn()
    report = load_weights(target, tmp_path / "x.pth")
    assert report.dropped == ("backbone.clip_model.attn_mask", "pixel_mean")
    assert_same(source, target)


@pytest.mark.parametrize(
    "make_clip",
    [
        clip_alone,
        lambda model: clip_alone(model, "module."),
        custom_text_clip,
        lambda model: {"state_dict": clip_alone(model), "epoch": 3},
        lambda model: {"model": official(model)},
        lambda model: clip_alone(model) | {"attn_mask": torch.ones(3, 3), "context_length": torch.tensor(77)},
    ],
    ids=["open_clip", "module", "custom-text", "trainer", "full-checkpoint", "openai-extras"],
)
def test_head_only_files_take_clip_from_a_file(
    make_clip: Callable[[nn.Module], Any], source: StandIn, tmp_path: Path
) -> None:
    save_file(head_alone(source), tmp_path / "head.safetensors")
    torch.save(make_clip(source), tmp_path / "clip.bin")
    target = StandIn()
    report = load_weights(target, tmp_path / "head.safetensors", clip=tmp_path / "clip.bin")
    assert (report.path, report.clip_path) == (tmp_path / "head.safetensors", tmp_path / "clip.bin")
    assert_same(source, target)


def test_clip_alone_leaves_the_head_as_it_is(source: StandIn, tmp_path: Path) -> None:
    torch.save(clip_alone(source), tmp_path / "clip.bin")
    target, before = StandIn(), StandIn()
    before.load_state_dict(target.state_dict())
    load_clip(target, tmp_path / "clip.bin")
    for key, value in target.state_dict().items():
        expected = source if key.startswith("backbone.") else before
        assert torch.equal(value, expected.state_dict()[key]), key
    torch.save({"visual.odd": torch.ones(1)}, tmp_path / "odd.bin")
    with pytest.raises(WeightsError, match=r"visual\.odd"):
        load_clip(target, tmp_path / "odd.bin")


def test_head_only_files_fetch_clip_otherwise(source: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(head_alone(source), tmp_path / "head.safetensors")
    save_file(clip_alone(source), tmp_path / "clip.safetensors")
    asked = []

    def fetch(spec: Any, *, offline: bool | None, progress: bool) -> Path:
        asked.append((spec.name, offline, progress))
        return tmp_path / "clip.safetensors"

    monkeypatch.setattr("streamseg.fcclip.hub.ensure_clip_weights", fetch)
    target = StandIn()
    load_weights(target, tmp_path / "head.safetensors", offline=True, progress=False)
    assert asked == [("fcclip-r50", True, False)]
    assert_same(source, target)


# --- what does not fit -----------------------------------------------------------------------------------


def refusal(target: nn.Module, state: Any, tmp_path: Path, clip: Any = None) -> str:
    """The message, after checking that it is one line and the model is as it was."""
    before = {key: value.clone() for key, value in target.state_dict().items()}
    torch.save(state, tmp_path / "x.pth")
    if clip is not None:
        torch.save(clip, tmp_path / "clip.bin")
    with pytest.raises(WeightsError) as caught:
        load_weights(target, tmp_path / "x.pth", clip=None if clip is None else tmp_path / "clip.bin")
    assert all(torch.equal(before[key], value) for key, value in target.state_dict().items())
    message = str(caught.value).replace(f"{tmp_path}{os.sep}", "")
    assert "\n" not in message
    return message


def test_all_that_is_wrong_is_said_at_once(source: StandIn, tmp_path: Path) -> None:
    state = official(source)
    del state["void_embedding.weight"]
    state["sem_seg_head.predictor.extra.weight"] = torch.ones(2)
    state["sem_seg_head.predictor.decoder_norm.bias"] = torch.ones(7)
    assert refusal(StandIn(), {"model": state}, tmp_path) == (
        "x.pth does not fit fcclip-r50 (1 missing: void_embedding.weight; "
        "1 left over: sem_seg_head.predictor.extra.weight; "
        "1 of another shape: sem_seg_head.predictor.decoder_norm.bias (7,) instead of (6,)); "
        "expected the official weights of fcclip-r50: is this file from another version, or changed?"
    )


def test_an_incomplete_file(source: StandIn, tmp_path: Path) -> None:
    state = official(source)
    del state["sem_seg_head.predictor.query_feat.weight"]
    message = refusal(StandIn(), state, tmp_path)
    assert "(1 missing: sem_seg_head.predictor.query_feat.weight); the file is incomplete" in message


def test_names_in_the_file_are_the_ones_listed(source: StandIn, tmp_path: Path) -> None:
    state = {f"module.{key}": value for key, value in official(source).items()}
    state["module.sem_seg_head.predictor.extra"] = torch.ones(1)
    assert "1 left over: module.sem_seg_head.predictor.extra)" in refusal(StandIn(), state, tmp_path)


def test_long_lists_are_cut_and_counted(source: StandIn, tmp_path: Path) -> None:
    state = official(source) | {f"sem_seg_head.predictor.extra{i}": torch.ones(1) for i in range(30)}
    message = refusal(StandIn(), state, tmp_path)
    assert "30 left over: sem_seg_head.predictor.extra0, " in message
    assert "extra7 and 22 more" in message
    assert "extra8" not in message


@pytest.mark.parametrize("only", ["all", "head", "clip"])
@pytest.mark.parametrize("other", sorted(set(TRAINED) - {"fcclip-r50"}))
def test_weights_of_another_model_are_recognised(other: str, only: str, tmp_path: Path, source: StandIn) -> None:
    wrong = StandIn(other)
    if only == "clip":
        message = refusal(StandIn(), head_alone(source), tmp_path, clip_alone(wrong))
        assert message.startswith("clip.bin does not fit fcclip-r50")
    else:
        message = refusal(StandIn(), {"model": official(wrong) if only == "all" else head_alone(wrong)}, tmp_path)
    assert f"it looks like {other}: use --model {other}" in message


def test_shapes_alone_never_match(source: StandIn, tmp_path: Path) -> None:
    state = official(source)
    state["sem_seg_head.predictor.norm_of_another_name.weight"] = state.pop(
        "sem_seg_head.predictor.decoder_norm.weight"
    )
    message = refusal(StandIn(), state, tmp_path)
    assert "1 missing: sem_seg_head.predictor.decoder_norm.weight" in message
    assert "1 left over: sem_seg_head.predictor.norm_of_another_name.weight" in message


def test_quantised_weights_do_not_pass_for_real_ones(source: StandIn, tmp_path: Path) -> None:
    state = official(source)
    state["void_embedding.weight"] = state["void_embedding.weight"].to(torch.int8)
    assert "void_embedding.weight (1, 1024) int8 instead of (1, 1024)" in refusal(StandIn(), state, tmp_path)


def test_a_clip_in_place_of_the_whole(source: StandIn, tmp_path: Path) -> None:
    assert "it is a CLIP without a mask generator" in refusal(StandIn(), clip_alone(source), tmp_path)


def test_weights_of_something_else_entirely(tmp_path: Path) -> None:
    assert "it is not FC-CLIP: expected" in refusal(StandIn(), {"conv1.weight": torch.ones(2)}, tmp_path)


def test_a_clip_file_that_holds_no_clip(source: StandIn, tmp_path: Path) -> None:
    message = refusal(StandIn(), head_alone(source), tmp_path, {"fc.weight": torch.ones(2), "fc.bias": torch.ones(2)})
    assert message == ("clip.bin holds no CLIP: expected open_clip's names, such as visual.*, found fc.weight, fc.bias")


def test_clip_beside_a_whole_file_is_refused(source: StandIn, tmp_path: Path) -> None:
    assert "x.pth holds CLIP already" in refusal(StandIn(), official(source), tmp_path, clip_alone(source))


@pytest.mark.parametrize("name", TRAINED)
def test_every_published_model_is_identified(name: str) -> None:
    model = StandIn(name)
    assert identify_model(to_our_keys(official(model))) == name
    assert identify_model(to_our_keys(head_alone(model))) == name


def test_widths_of_no_published_model() -> None:
    state = {"pixel_decoder.adapter_1.weight": torch.ones(2, 3, 1, 1), "void_embedding.weight": torch.ones(1, 9)}
    assert identify_model(state) is None
    assert identify_model({key: torch.ones(()) for key in state}) is None


# --- fingerprints ----------------------------------------------------------------------------------------

BASE = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.tensor(5, dtype=torch.int64)}


def test_fingerprints_are_the_same_on_every_run() -> None:
    assert weights_fingerprint(BASE.items()) == "f487372028ce92f6"
    assert weights_fingerprint(reversed(list(BASE.items()))) == weights_fingerprint(BASE.items())
    assert weights_fingerprint([("a", BASE["a"].t().contiguous().t()), ("b", BASE["b"])]) == weights_fingerprint(
        BASE.items()
    ), "memory layout is no part of a weight"


@pytest.mark.parametrize(
    "changed",
    [
        {"a": BASE["a"] + 1e-6, "b": BASE["b"]},
        {"a": BASE["a"].reshape(4), "b": BASE["b"]},
        {"a": BASE["a"].t(), "b": BASE["b"]},
        {"c": BASE["a"], "b": BASE["b"]},
        {"a": BASE["a"].to(torch.bfloat16), "b": BASE["b"]},
        {"a": BASE["a"]},
        {},
    ],
)
def test_fingerprints_change_with_anything(changed: dict[str, Tensor]) -> None:
    assert weights_fingerprint(changed.items()) != weights_fingerprint(BASE.items())


def test_fingerprints_are_quick() -> None:
    tower = [("w", torch.zeros(32 * 2**20))]  # 128 MB
    start = time.perf_counter()
    weights_fingerprint(tower)
    assert time.perf_counter() - start < 1.5  # about 0.1 s; a slow machine under load gets ten times that


def test_released_pages_keep_their_values(tmp_path: Path) -> None:
    """Of a memory-mapped file, and of ordinary memory alike."""
    ordinary = torch.arange(1 << 20, dtype=torch.float32)
    torch.save({"model": {"a": ordinary}}, tmp_path / "a.pth")
    mapped = read_state_dict(tmp_path / "a.pth")["a"]
    for tensor in (mapped, ordinary, ordinary[3:5], torch.empty(0)):
        before = tensor.clone()
        release_pages(tensor)
        assert torch.equal(tensor, before)
