"""Weight files, opened safely.

What a file is gets decided by its first bytes, not by its name. PyTorch files are pickles and could run code when they
are opened, so they are read with `weights_only=True`, which admits tensors and plain containers; nothing here turns
that off. `.safetensors` files hold no code.
"""

import ctypes
import mmap
import os
import re
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ..errors import WeightsError

__all__ = ["read_state_dict", "release_pages", "write_checkpoint", "write_safetensors"]

_WRAPPERS = ("model", "state_dict", "model_state_dict", "module")
_EXPECTED = "expected a PyTorch checkpoint (.pth, .pt, .bin) or .safetensors"
_MADV_PAGEOUT = 21  # from Linux 5.4 on; older kernels refuse, and nothing happens
_AGAIN = "download or copy it again"

Format = Literal["safetensors", "zip", "pickle"]


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a weight file, by their names in the file.

    Tensors stay on disk until they are used (memory-mapped) where the format allows it. Entries beside the weights
    (optimizer, iteration, author) are left out.

    Raises:
        WeightsError: the file is missing, damaged, no checkpoint at all, or wants to run code.
    """
    path = Path(path)
    form = _sniff(path)
    loaded = _load_safetensors(path) if form == "safetensors" else _load_torch(path, form)
    state = {key: value for key, value in _unwrap(loaded).items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not state:
        found = ", ".join(repr(key) for key in list(loaded)[:8]) or "nothing"
        raise WeightsError(f"{path} holds no weights: expected named tensors, found {found}")
    return state


def release_pages(tensor: Tensor) -> None:
    """Let the kernel take back the pages of a tensor that was read from a memory-mapped file and is done with.

    All tensors of a file share one mapping, whose pages count as ours from the first touch until the last tensor is
    gone; loading would hold the weights twice. The request changes no value: pages of the file are read again if they
    are touched again, and memory of other kinds stays as it is. Where the system has no such request, nothing happens.
    """
    if tensor.device.type != "cpu" or tensor.numel() == 0 or not sys.platform.startswith("linux"):
        return
    start = tensor.data_ptr() // mmap.PAGESIZE * mmap.PAGESIZE
    length = tensor.data_ptr() + tensor.nbytes - start
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(_MADV_PAGEOUT))


def write_checkpoint(path: Path | str, checkpoint: Mapping[str, Any]) -> None:
    """Write a `.pth` in one step: a reader sees the old file or the whole new one. WeightsError if it cannot be."""
    _write_whole(Path(path), lambda file: torch.save(dict(checkpoint), file))


def write_safetensors(path: Path | str, tensors: Mapping[str, Tensor]) -> None:
    """Write a `.safetensors` in one step, as `write_checkpoint` does. Tensors are copied to the CPU."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    _write_whole(Path(path), lambda file: file.write(content))


def _write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Into a temporary file beside `path`, which then takes its place."""
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            write(file)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise WeightsError(
            f"cannot write weights to {path}: {reason}; choose a folder that exists and has room"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's umask; temporary files are private, the finished file should not be."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sniff(path: Path) -> Format:
    """What the first bytes say; WeightsError for everything that cannot hold weights."""
    if path.is_dir():
        names = sorted(file.name for file in path.iterdir() if file.suffix in (".pth", ".pt", ".bin", ".safetensors"))
        hint = f"name the file in it, such as {path / names[0]}" if names else "it holds no weight file either"
        raise WeightsError(f"{path} is a folder, expected a weight file: {hint}")
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except FileNotFoundError:
        raise WeightsError(f"there is no weight file {path}: check the path") from None
    except OSError as error:
        raise WeightsError(f"cannot read weight file {path}: {error.strerror}") from error
    if not head:
        raise WeightsError(f"{path} is empty (0 bytes), expected weights: {_AGAIN}")
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path} is a git-lfs pointer, not the weights themselves: run `git lfs pull` where it came from"
        )
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(
            f"{path} is a web page, not weights (Google Drive shows one before large downloads): "
            "open the link in a browser, confirm, and save the file itself"
        )
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head.startswith(b"\x80\x02"):  # torch.save before PyTorch 1.6
        return "pickle"
    if head.startswith(b"\x80"):
        raise WeightsError(f"{path} is a plain pickle, which can run code when opened, and was refused: {_EXPECTED}")
    if head[8:9] == b"{":  # a safetensors header: its length in 8 bytes, then JSON
        return "safetensors"
    raise WeightsError(f"{path} is not a weight file: {_EXPECTED}, found a file that begins with {head[:12]!r}")


def _load_safetensors(path: Path) -> dict[str, Any]:
    try:
        tensors: dict[str, Any] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is truncated or damaged ({error}): {_AGAIN}") from error
    return tensors


def _load_torch(path: Path, form: Format) -> Mapping[Any, Any]:
    if form == "zip":
        _check_zip(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notes on old pickle protocols
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=form == "zip")
    except Exception as error:  # damaged bytes make the unpickler raise anything
        wanted = re.search(r"(?i)unsupported global:? (?:GLOBAL )?(\S+)", str(error))
        if wanted:
            raise WeightsError(
                f"{path} wants to run code when opened ({wanted[1]}), and was refused: {_EXPECTED} with tensors only"
            ) from None
        first_line = str(error).partition("\n")[0][:160] or type(error).__name__
        reason = "not the work of torch.save" if first_line.startswith("Weights only load failed") else first_line
        raise WeightsError(f"{path} is truncated or damaged ({reason}): {_AGAIN}") from None
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, expected a state dict of named tensors")
    return loaded


def _check_zip(path: Path) -> None:
    """PyTorch's files are zip archives; WeightsError for archives of another kind, and for programs."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.rpartition("/")[2] for name in archive.namelist()}
    except zipfile.BadZipFile:
        raise WeightsError(f"{path} is truncated: {_AGAIN}") from None
    if "constants.pkl" in members:
        raise WeightsError(
            f"{path} is a TorchScript program, which runs code when opened, and was refused: for OpenAI's CLIP take "
            "open_clip_model.safetensors of the same model from the timm organisation on the Hub"
        )
    if "data.pkl" not in members:
        raise WeightsError(f"{path} is an archive without a PyTorch checkpoint: unpack it and name the file inside")


def _unwrap(loaded: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The state dict inside a checkpoint: trainers put it under one of a few names."""
    for name in _WRAPPERS:
        inner = loaded.get(name)
        if isinstance(inner, Mapping):
            return _unwrap(inner)
    return loaded
