import json
from pathlib import Path

import pytest

from streamseg.errors import ConfigError
from streamseg.runs.folder import MANIFEST, RunFolder
from streamseg.runs.records import last_record, whole_lines
from streamseg.sinks.files import temporary_path


def manifest(*streams: str) -> dict[str, object]:
    return {"state": "running", "streams": {name: {} for name in streams}}


def test_a_new_run_gets_its_folders(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "out", manifest("cam0", "street"))
    assert run.streams == ["cam0", "street"]
    assert (tmp_path / "out" / "cam0").is_dir()
    again = RunFolder.open(tmp_path / "out")
    assert again.manifest["state"] == "running"
    again.manifest["state"] = "finished"
    again.save()
    assert RunFolder.open(tmp_path / "out").manifest["state"] == "finished"


def test_an_earlier_run_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    first = RunFolder.create(tmp_path, manifest("cam0"))
    (first.stream("cam0") / "records.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match="holds an earlier run: go on with it"):
        RunFolder.create(tmp_path, manifest("cam0"))
    assert (tmp_path / "cam0" / "records.jsonl").exists()
    second = RunFolder.create(tmp_path, manifest("cam1"), overwrite=True)
    assert second.streams == ["cam1"]
    assert not (tmp_path / "cam0").exists()


def test_overwriting_touches_nothing_but_the_run(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("mine")
    (tmp_path / "precious").mkdir()
    RunFolder.create(tmp_path, manifest("cam0"))
    RunFolder.create(tmp_path, manifest("cam0"), overwrite=True)
    assert (tmp_path / "holiday.jpg").read_text() == "mine"
    assert (tmp_path / "precious").is_dir()


def test_a_manifest_that_was_tampered_with_cannot_reach_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    folder = tmp_path / "out"
    RunFolder.create(folder, manifest("cam0"))
    content = json.loads((folder / MANIFEST).read_text())
    content["streams"] = {"../outside": {}, "cam0": {}}
    (folder / MANIFEST).write_text(json.dumps(content))
    RunFolder.create(folder, manifest("cam0"), overwrite=True)
    assert (outside / "file").read_text() == "mine"


def test_a_folder_of_the_users_own_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "cam0").mkdir()
    with pytest.raises(ConfigError, match=r"cam0' is in the way"):
        RunFolder.create(tmp_path, manifest("cam0"), overwrite=True)


def test_files_that_a_kill_left_half_written_are_removed(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, manifest("cam0"))
    torn = [temporary_path(tmp_path / "run.json"), temporary_path(tmp_path / "cam0" / "epoch-0" / "masks" / "1.png")]
    for path in torn:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    folder = temporary_path(tmp_path / "cam0" / "epoch-1" / "masks" / "00000001")
    (folder / "inner").mkdir(parents=True)
    torn.append(folder)
    (tmp_path / "cam0" / "records.jsonl").write_text("{}")
    run.clear_torn()
    assert not any(path.exists() for path in torn)
    assert (tmp_path / "cam0" / "records.jsonl").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no run"),
        ("{", "is damaged"),
        ("[]", "is not of a run"),
        ('{"schema": "other/1"}', "is not of a run"),
    ],
)
def test_what_is_no_run_is_named(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(ConfigError, match=message):
        RunFolder.open(tmp_path)


def test_an_unknown_stream_is_named(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, manifest("cam0"))
    with pytest.raises(ConfigError, match="no stream 'cam1', expected one of cam0"):
        run.stream("cam1")


@pytest.mark.parametrize("filler", [0, 100, 200_000])
def test_the_last_whole_record_is_found_from_the_back(filler: int, tmp_path: Path) -> None:
    def record(frame: int) -> str:
        return json.dumps({"epoch": frame // 3, "frame": frame, "filler": "x" * filler})

    path = tmp_path / "records.jsonl"
    assert last_record(tmp_path) is None
    path.write_text("")
    assert last_record(tmp_path) is None
    path.write_text('{"torn')
    assert last_record(tmp_path) is None
    path.write_text(record(0) + "\n")
    assert last_record(tmp_path) == (0, 0)
    path.write_text("".join(record(frame) + "\n" for frame in range(5)) + record(5)[:-10])
    assert last_record(tmp_path) == (1, 4)
    assert len(list(whole_lines(path))) == 5
