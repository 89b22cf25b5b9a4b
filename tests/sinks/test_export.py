"""Exports appear as a whole, and say what is missing."""

from dataclasses import replace
from pathlib import Path

import pytest

from streamseg.errors import SinkError
from streamseg.sinks.documents.records import RecordedStream
from streamseg.sinks.export import FORMATS, export_streams
from tests.recorded import record, world_results


def stream(folder: Path, **options: bool) -> RecordedStream:
    return RecordedStream(folder.name, record(folder, world_results(2), **options))


@pytest.mark.parametrize("kind", FORMATS)
def test_only_what_the_format_names_is_written(tmp_path: Path, kind: str) -> None:
    export_streams(kind, [stream(tmp_path / "cam")], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FORMATS[kind].entries)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cam", "out"]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_records_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    for name in ("first", "second"):
        export_streams(kind, [stream(tmp_path / "cam")], tmp_path / name)
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("first", "second")
    )
    assert first == second


@pytest.mark.parametrize("kind", FORMATS)
def test_an_error_leaves_the_earlier_export_alone(tmp_path: Path, kind: str) -> None:
    export_streams(kind, [stream(tmp_path / "cam")], tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    with pytest.raises(SinkError, match="was recorded without masks"):
        export_streams(kind, [stream(tmp_path / "cam", masks=False)], tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cam", "out"]


def test_two_videos_of_one_name(tmp_path: Path) -> None:
    later = [replace(result, epoch=1) for result in world_results(1)]
    streams = [
        RecordedStream("cam", record(tmp_path / "cam", later)),
        RecordedStream("cam-epoch-1", record(tmp_path / "cam-epoch-1", world_results(1))),
    ]
    with pytest.raises(SinkError, match="two videos would be called 'cam-epoch-1': export one stream at a time"):
        export_streams("mots", streams, tmp_path / "out")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkError, match=r"cannot write .*out"):
        export_streams("mots", [stream(tmp_path / "cam")], tmp_path / "file" / "out")
