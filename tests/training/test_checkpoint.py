"""Checkpoints: whole or not there, the newest good one, never with code, and clear words where the disk is full."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from streamseg.errors import TrainingError
from streamseg.fcclip.weights import read_state_dict
from streamseg.training.checkpoint import Checkpoints, export_weights, load_checkpoint, write_atomically
from streamseg.training.start import head_state
from tests.small_models import small_model


def state(step: int, size: int = 10) -> dict[str, Any]:
    empty: dict[str, Any] = {"optimizer": {}, "scaler": {}, "average": {}, "window": {}}
    return {
        "step": step,
        "settings": {"seed": 1},
        "clip": "f",
        "head": {"w": torch.full((size,), float(step))},
        **empty,
    }


@contextmanager
def disk_with_room_for(size: int) -> Iterator[None]:
    """Files cannot grow past `size` bytes: what a full disk does, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_last_ones_stay(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (90_000_000, 5, 100_000_000, 110_000_000):
        checkpoints.save(state(step))
    assert names(tmp_path / "checkpoints") == ["step-100000000.pt", "step-110000000.pt"]
    found = checkpoints.load_latest()
    assert found["step"] == 110_000_000
    assert torch.equal(found["head"]["w"], torch.full((10,), 1.1e8))


def test_one_is_enough_if_so_wished(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (1, 2):
        checkpoints.save(state(step))
    assert names(tmp_path / "checkpoints") == ["step-00000002.pt"]


def test_a_damaged_one_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    checkpoints.save(state(1))
    last = checkpoints.save(state(2))
    last.write_bytes(last.read_bytes()[:300])
    assert checkpoints.load_latest()["step"] == 1
    assert "step-00000002.pt cannot be read" in caplog.text


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return print, ("this must never be printed",)

    torch.save({**state(1), "head": Harmful()}, tmp_path / "code.pt")
    torch.save({"model": {}}, tmp_path / "other.pt")
    torch.save({**state(1), "version": 99}, tmp_path / "newer.pt")
    for name, complaint in (
        ("code.pt", "cannot be read"),
        ("other.pt", "is no checkpoint of a training run"),
        ("newer.pt", "version 99, expected 1"),
        ("missing.pt", "cannot be read"),
    ):
        with pytest.raises(TrainingError, match=complaint):
            load_checkpoint(tmp_path / name)


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(state(1))
    with disk_with_room_for(20_000), pytest.raises(TrainingError) as caught:
        checkpoints.save(state(2, size=100_000))
    message = str(caught.value)
    assert "cannot write" in message
    assert "step-00000002.pt" in message
    assert "\n" not in message
    assert names(tmp_path / "checkpoints") == ["step-00000001.pt"]
    assert checkpoints.load_latest()["step"] == 1


def test_exports_say_so_too(tmp_path: Path) -> None:
    model = small_model()
    export_weights(tmp_path, model, head_state(model))
    before = (tmp_path / "head.safetensors").read_bytes()
    with disk_with_room_for(20_000), pytest.raises(TrainingError, match=r"cannot write .*head\.safetensors"):
        export_weights(tmp_path, model, head_state(model))
    assert (tmp_path / "head.safetensors").read_bytes() == before
    assert names(tmp_path) == ["head.safetensors", "model_official.pth"]
    assert not any(key.startswith("backbone.") for key in read_state_dict(tmp_path / "head.safetensors"))
    assert "sem_seg_head.predictor.query_feat.weight" in read_state_dict(tmp_path / "model_official.pth")


def test_errors_of_the_writer_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="a bug"):
        write_atomically(tmp_path / "file", lambda _: {}["a bug"])
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot write .*make room or choose another output"):
        Checkpoints(tmp_path / "file", keep=1).save(state(1))
