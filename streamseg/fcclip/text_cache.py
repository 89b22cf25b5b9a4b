"""Text embeddings on disk, shared by any number of processes.

    ROOT/KEY/SHA256.safetensors      names and their embeddings, named by the hash of the file's own content

Files are only ever added: written beside their place, synced, then renamed, so a reader sees a whole file or none. What
a crash, a full disk or a bad sector damaged no longer fits its name, is passed over, and is encoded again. When many
small files have gathered, one that holds them all replaces them; readers take it in their stride when files vanish.
No process ever waits for another one, and a cache that cannot be read or written costs time, never the run.
"""

import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

__all__ = ["EmbeddingCache"]

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]

SUFFIX = ".safetensors"
TEMPORARY_SUFFIX = ".tmp"
MAX_FILES = 16  # more of them are merged into one
ABANDONED_AFTER_SECONDS = 600  # a damaged or temporary file of this age is nobody's work in progress


class EmbeddingCache:
    """A folder of embeddings.

    Args:
        root: where to keep them; by default `text` in $STREAMSEG_CACHE, else `streamseg/text` in $XDG_CACHE_HOME or
            ~/.cache.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_root()
        self._warned = False

    def __repr__(self) -> str:
        return f"EmbeddingCache({str(self.root)!r})"

    def load(self, key: str) -> dict[str, Array]:
        """Everything kept under `key`: name -> (D,) float32. Empty where nothing is, or nothing can be read."""
        loaded: dict[str, Array] = {}
        for content in self._read_all(key).values():
            for name, row in content.items():
                loaded.setdefault(name, row)
        return loaded

    def store(self, key: str, names: Sequence[str], matrix: Array) -> None:
        """Keep the embeddings of `names`, beside what is kept already.

        Where that is impossible (read-only, full), the first time says so in the log; nothing is raised.

        Args:
            key: a file name; what else the embeddings depend on.
            names: any text.
            matrix: (len(names), D), row i belongs to names[i].
        """
        if len(names) != len(matrix):
            raise ValueError(f"{len(names)} names for {len(matrix)} embeddings: each needs its own")
        if not names:
            return
        try:
            self._write(key, dict(zip(names, matrix, strict=True)))
            if len(self._files(key)) > MAX_FILES:
                self._merge(key)
        except OSError as error:
            self._warn(f"cannot keep text embeddings in {self.root}: {error}; they will be computed again next time")

    def _files(self, key: str) -> list[Path]:
        try:
            return sorted(self.root.joinpath(key).glob(f"*{SUFFIX}"))
        except OSError:
            return []

    def _read_all(self, key: str) -> dict[Path, dict[str, Array]]:
        """Content of each whole file; abandoned ones are removed on the way."""
        contents = {}
        for path in self._files(key):
            try:
                content = _parse(path.read_bytes(), digest=path.stem)
            except FileNotFoundError:  # merged into another one meanwhile
                continue
            except OSError as error:
                self._warn(f"cannot read text embeddings in {self.root}: {error}; they are computed again")
                continue
            if content is None:
                logger.debug("%s is damaged; its embeddings are computed again", path)
                _remove([path], min_age_seconds=ABANDONED_AFTER_SECONDS)
            else:
                contents[path] = content
        return contents

    def _write(self, key: str, rows: Mapping[str, Array]) -> Path:
        data = _serialise(rows)
        folder = self.root / key
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{hashlib.sha256(data).hexdigest()}{SUFFIX}"
        temporary = folder / f"{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            _remove([temporary])  # left only where something went wrong
        return path

    def _merge(self, key: str) -> None:
        """Replace the files by one. Only what was read whole, and now stands in the new file, is removed."""
        contents = self._read_all(key)
        merged: dict[str, Array] = {}
        for content in contents.values():
            for name, row in content.items():
                merged.setdefault(name, row)
        if merged:
            path = self._write(key, merged)
            _remove(other for other in contents if other != path)
        _remove(self.root.joinpath(key).glob(f"*{TEMPORARY_SUFFIX}"), min_age_seconds=ABANDONED_AFTER_SECONDS)

    def _warn(self, message: str) -> None:
        if not self._warned:
            logger.warning(message)
        self._warned = True


def default_root() -> Path:
    """Where embeddings are kept unless the caller says otherwise."""
    if own := os.environ.get("STREAMSEG_CACHE"):
        return Path(os.path.expanduser(own), "text")
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    base = Path(xdg) if os.path.isabs(xdg) else Path(os.path.expanduser("~"), ".cache")
    return base / "streamseg" / "text"


def _serialise(rows: Mapping[str, Array]) -> bytes:
    """The same rows give the same bytes, whatever their order."""
    names = sorted(rows)
    # ASCII JSON keeps every name as it is, lone surrogates included.
    encoded = np.frombuffer(json.dumps(names).encode("ascii"), dtype=np.uint8)
    matrix = np.ascontiguousarray(np.stack([rows[name] for name in names]), dtype=np.float32)
    data: bytes = safetensors.numpy.save({"embeddings": matrix, "names": encoded})
    return data


def _parse(data: bytes, digest: str) -> dict[str, Array] | None:
    """The rows of a file; None unless it is whole."""
    if hashlib.sha256(data).hexdigest() != digest:
        return None
    try:
        tensors = safetensors.numpy.load(data)
        names, matrix = json.loads(tensors["names"].tobytes()), tensors["embeddings"]
        return dict(zip(names, matrix, strict=True))
    except (SafetensorError, KeyError, ValueError, TypeError):  # not a file of ours
        return None


def _remove(paths: Iterable[Path], min_age_seconds: float | None = None) -> None:
    for path in paths:
        try:
            if min_age_seconds is None or time.time() - path.stat().st_mtime >= min_age_seconds:
                path.unlink()
        except OSError:  # gone already, or not ours to remove
            continue
