"""Embeddings on disk: what concurrent writers, crashes and full disks leave behind."""

import errno
import hashlib
import inspect
import logging
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from streamseg.fcclip import text_cache
from streamseg.fcclip.text_cache import MAX_FILES, EmbeddingCache, default_root

KEY = "0123456789abcdef-01234567"


def row(name: str) -> NDArray[np.float32]:
    """A function of the name, so that any mix-up shows."""
    seed = zlib.crc32(name.encode("utf-8", "replace"))
    return np.random.default_rng(seed).standard_normal(8).astype("float32")


# Writers run in processes of their own.
WRITER = f"""
import sys, zlib
from pathlib import Path
import numpy as np
from numpy.typing import NDArray
from streamseg.fcclip.text_cache import EmbeddingCache

{inspect.getsource(row)}

cache, first, count = EmbeddingCache(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
for i in range(first, first + count):
    names = [f"name {{i}}", f"name {{i + 1}}", f"from {{first}}: {{i}}"]
    cache.store("{KEY}", names, np.stack([row(name) for name in names]))
    for name, found in cache.load("{KEY}").items():
        assert np.array_equal(found, row(name)), name
    print(i, flush=True)
"""


def rows(names: list[str]) -> NDArray[np.float32]:
    return np.stack([row(name) for name in names])


def start_writer(root: Path, first: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def files(root: Path) -> list[Path]:
    return sorted((root / KEY).iterdir())


def age(path: Path, seconds: float = 3600.0) -> None:
    past = time.time() - seconds
    os.utime(path, (past, past))


def assert_holds(cache: EmbeddingCache, names: list[str]) -> None:
    loaded = cache.load(KEY)
    assert sorted(loaded) == sorted(names)
    for name in names:
        assert np.array_equal(loaded[name], row(name)), name


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "text")


def test_what_was_stored_comes_back(cache: EmbeddingCache) -> None:
    names = ["dog", "Dog", " dog", "", "café", "東京", "a\nb", 'quo"te', "\ud800"]
    cache.store(KEY, names, rows(names))
    cache.store(KEY, ["cat"], rows(["cat"]))
    assert_holds(EmbeddingCache(cache.root), [*names, "cat"])
    assert cache.load("another key") == {}
    assert cache.load(KEY)["dog"].dtype == np.float32


def test_nothing_stored_is_nothing_found(cache: EmbeddingCache) -> None:
    cache.store(KEY, [], np.zeros((0, 8), np.float32))
    assert cache.load(KEY) == {}
    assert not cache.root.exists()


def test_each_name_needs_its_row(cache: EmbeddingCache) -> None:
    with pytest.raises(ValueError, match="2 names for 1 embeddings"):
        cache.store(KEY, ["dog", "cat"], rows(["dog"]))


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STREAMSEG_CACHE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert EmbeddingCache().root == default_root() == tmp_path / "text"
    monkeypatch.delenv("STREAMSEG_CACHE")
    assert default_root() == tmp_path / "xdg" / "streamseg" / "text"
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert default_root() == tmp_path / "home" / ".cache" / "streamseg" / "text"


def test_equal_content_is_one_file(cache: EmbeddingCache) -> None:
    cache.store(KEY, ["dog", "cat"], rows(["dog", "cat"]))
    cache.store(KEY, ["cat", "dog"], rows(["cat", "dog"]))
    assert len(files(cache.root)) == 1


def test_many_files_become_one(cache: EmbeddingCache) -> None:
    names = [f"name {i}" for i in range(3 * MAX_FILES + 1)]
    for name in names:
        cache.store(KEY, [name], rows([name]))
        assert len(files(cache.root)) <= MAX_FILES + 1
    assert_holds(cache, names)


def test_four_processes_write_at_once(cache: EmbeddingCache) -> None:
    """Each stores three names forty times, among them some of its neighbour's, and reads everything after each."""
    firsts, count = (0, 20, 40, 60), 40
    writers = [start_writer(cache.root, first, count) for first in firsts]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    names = {f"name {i}" for first in firsts for i in range(first, first + count + 1)}
    names |= {f"from {first}: {i}" for first in firsts for i in range(first, first + count)}
    assert_holds(cache, sorted(names))
    assert [path.suffix for path in files(cache.root) if path.suffix == ".tmp"] == []


def test_a_writer_is_killed(cache: EmbeddingCache) -> None:
    for first in (0, 1000, 2000):
        with start_writer(cache.root, first, 100_000) as writer:
            assert writer.stdout is not None
            done = [int(writer.stdout.readline()) for _ in range(20)]
            writer.send_signal(signal.SIGKILL)
        loaded = cache.load(KEY)
        assert all(f"name {i}" in loaded for i in done)
        assert all(np.array_equal(found, row(name)) for name, found in loaded.items())


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, 0.5, -1])
def test_a_torn_file_is_passed_over(cache: EmbeddingCache, kept: float) -> None:
    cache.store(KEY, ["dog"], rows(["dog"]))
    [torn] = files(cache.root)
    cache.store(KEY, ["cat"], rows(["cat"]))
    data = torn.read_bytes()
    length = int(kept * len(data)) if isinstance(kept, float) else kept % len(data)
    torn.write_bytes(data[:length])

    assert_holds(cache, ["cat"])
    assert torn.exists(), "it might be somebody's work in progress"
    age(torn)
    assert_holds(cache, ["cat"])
    assert not torn.exists()
    cache.store(KEY, ["dog"], rows(["dog"]))
    assert_holds(cache, ["cat", "dog"])


@pytest.mark.parametrize("position", [0, 3, 20, 0.5, 0.75, -1])
def test_a_flipped_bit_is_found(cache: EmbeddingCache, position: float) -> None:
    cache.store(KEY, ["dog"], rows(["dog"]))
    [flipped] = files(cache.root)
    data = bytearray(flipped.read_bytes())
    data[int(position * len(data)) if isinstance(position, float) else position] ^= 4
    flipped.write_bytes(data)
    assert cache.load(KEY) == {}


def test_a_damaged_file_is_repaired_by_storing_again(cache: EmbeddingCache) -> None:
    cache.store(KEY, ["dog"], rows(["dog"]))
    files(cache.root)[0].write_bytes(b"")
    cache.store(KEY, ["dog"], rows(["dog"]))  # the same content has the same name
    assert_holds(cache, ["dog"])


def test_a_foreign_file_is_passed_over(cache: EmbeddingCache, tmp_path: Path) -> None:
    """Whole, of the right name, and yet not what this version writes."""
    cache.store(KEY, ["dog"], rows(["dog"]))
    foreign = tmp_path / "foreign"
    save_file({"weight": np.zeros(3, np.float32)}, foreign)
    short = tmp_path / "short"
    save_file({"names": np.frombuffer(b'["a", "b"]', np.uint8), "embeddings": np.zeros((1, 8), np.float32)}, short)
    for data in (b"", b"garbage", foreign.read_bytes(), short.read_bytes()):
        path = cache.root / KEY / f"{hashlib.sha256(data).hexdigest()}.safetensors"
        path.write_bytes(data)
    (cache.root / KEY / "notes.txt").write_text("not ours")
    assert_holds(cache, ["dog"])


def test_abandoned_temporary_files_go_when_files_are_merged(cache: EmbeddingCache) -> None:
    cache.store(KEY, ["dog"], rows(["dog"]))
    old, young = cache.root / KEY / "old.tmp", cache.root / KEY / "young.tmp"
    for path in (old, young):
        path.write_bytes(b"torn")
    age(old)
    names = [f"name {i}" for i in range(MAX_FILES + 1)]
    for name in names:
        cache.store(KEY, [name], rows([name]))
    assert not old.exists()
    assert young.exists()
    assert_holds(cache, ["dog", *names])


def test_files_vanish_while_they_are_read(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process merges between listing and reading: nothing is lost, neither to a reader nor to a merger."""
    names = [f"name {i}" for i in range(5)]
    for name in names:
        cache.store(KEY, [name], rows([name]))
    listed = files(cache.root)
    EmbeddingCache(cache.root)._merge(KEY)
    assert len(files(cache.root)) == 1

    late = EmbeddingCache(cache.root)
    monkeypatch.setattr(late, "_files", lambda _: listed)
    assert late.load(KEY) == {}  # read again later; until then it counts as missing
    late._merge(KEY)
    assert_holds(cache, names)


def test_merging_what_is_one_file_already_keeps_it(cache: EmbeddingCache) -> None:
    cache.store(KEY, ["dog", "cat"], rows(["dog", "cat"]))
    cache.store(KEY, ["cat"], rows(["cat"]))
    cache._merge(KEY)  # the outcome is the first file again, under its own name
    assert len(files(cache.root)) == 1
    assert_holds(cache, ["cat", "dog"])


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "file" / "text")
    with caplog.at_level(logging.WARNING):
        for name in ("dog", "cat"):
            cache.store(KEY, [name], rows([name]))
            assert cache.load(KEY) == {}
    [record] = caplog.records
    assert "cannot keep text embeddings in" in record.getMessage()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_still_read(cache: EmbeddingCache, caplog: pytest.LogCaptureFixture) -> None:
    cache.store(KEY, ["dog"], rows(["dog"]))
    folder = cache.root / KEY
    folder.chmod(0o500)
    try:
        cache.store(KEY, ["cat"], rows(["cat"]))
        assert_holds(cache, ["dog"])
        assert len(caplog.records) == 1
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_no_rubbish(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failing: str
) -> None:
    cache.store(KEY, ["dog"], rows(["dog"]))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(text_cache.os, failing, full)
        cache.store(KEY, ["cat"], rows(["cat"]))
        cache.store(KEY, ["cow"], rows(["cow"]))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left on device" in caplog.text
    assert len(files(cache.root)) == 1
    assert_holds(cache, ["dog"])


def test_a_file_that_cannot_be_read_is_passed_over(cache: EmbeddingCache, caplog: pytest.LogCaptureFixture) -> None:
    cache.store(KEY, ["dog"], rows(["dog"]))
    (cache.root / KEY / f"{'0' * 64}.safetensors").mkdir()  # reading it fails, for root too
    assert_holds(cache, ["dog"])
    assert "cannot read text embeddings" in caplog.text


def test_a_large_vocabulary_loads_at_once(cache: EmbeddingCache) -> None:
    """As many names as LVIS has for its 1,203 categories, of the width of CLIP ConvNeXt-Large."""
    names = [f"name {i}" for i in range(1_900)]
    matrix = np.random.default_rng(0).standard_normal((len(names), 768)).astype(np.float32)
    cache.store(KEY, names, matrix)
    begin = time.perf_counter()
    loaded = cache.load(KEY)
    assert time.perf_counter() - begin < 2.0  # about 0.02 s where nothing else runs
    assert np.array_equal(np.stack([loaded[name] for name in names]), matrix)
