"""Files that grow by whole lines: nothing torn stays, whatever fails."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from streamseg.errors import SinkError
from streamseg.sinks import files
from streamseg.sinks.files import LineFile, is_temporary, temporary_path
from tests.sinks.small_stream import full_disk


@pytest.fixture
def lines(tmp_path: Path) -> LineFile:
    file = LineFile(tmp_path / "lines")
    file.open()
    return file


def test_lines_are_there_at_once(lines: LineFile) -> None:
    lines.append(["one", "zwei: ü"])
    assert lines.path.read_text() == "one\nzwei: ü\n"
    assert lines.position == lines.path.stat().st_size
    lines.append([])
    assert lines.path.read_text() == "one\nzwei: ü\n"
    lines.close()


@pytest.mark.parametrize("room", range(4, 17))
def test_a_full_disk_leaves_whole_lines(lines: LineFile, room: int) -> None:
    lines.append(["one"])
    with full_disk(room), pytest.raises(SinkError, match=r"cannot write .*lines': File too large; make room"):
        lines.append(["two", "three", "four"])
    assert lines.path.read_text() == "one\n"
    lines.append(["five"])
    assert lines.path.read_text() == "one\nfive\n"
    lines.close()


def test_a_file_that_cannot_be_cut_is_cut_before_the_next_line(
    lines: LineFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines.append(["one"])

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(files, "FileIO", None)  # nothing is opened anew
        patch.setattr(lines, "_file", _Torn(lines, refuse))
        with full_disk(6), pytest.raises(SinkError, match="File too large"):
            lines.append(["two", "three"])
    assert lines.path.read_text() == "one\ntw"
    lines.append(["four"])
    assert lines.path.read_text() == "one\nfour\n"
    lines.close()


class _Torn:
    """An open file that cannot be truncated."""

    def __init__(self, lines: LineFile, truncate: Any) -> None:
        self._file: Any = lines._file
        self._truncate = truncate

    def truncate(self, size: int) -> int:
        return int(self._truncate(self._file, size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_ctrl_c_in_the_middle_of_a_line(lines: LineFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(file: io.FileIO, data: bytes) -> None:
        file.write(data[:2])
        raise KeyboardInterrupt

    lines.append(["one"])
    with monkeypatch.context() as patch:
        patch.setattr(files, "_write_all", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lines.append(["two"])
    assert lines.path.read_text() == "one\n"
    lines.append(["three"])
    assert lines.path.read_text() == "one\nthree\n"
    lines.close()


def test_short_writes_are_gone_on_with(lines: LineFile, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(_Torn):
        def write(self, data: memoryview) -> int:
            return int(self._file.write(data[:3]))

    monkeypatch.setattr(lines, "_file", Slow(lines, io.FileIO.truncate))
    lines.append(["a line of some length", "another"])
    assert lines.path.read_text() == "a line of some length\nanother\n"
    monkeypatch.undo()
    lines.close()


def test_threads_use_temporary_names_of_their_own(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "panoptic.json"
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(temporary_path, path).result()
    assert theirs != temporary_path(path)
    assert theirs.parent == tmp_path
    assert is_temporary(theirs)
    assert not is_temporary(path)
