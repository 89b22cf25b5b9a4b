"""streamseg export, as a user calls it."""

from pathlib import Path

import pytest

import streamseg.cli.export
from streamseg.cli import main
from streamseg.evaluation.inputs.panoptic_folders import PanopticFolder
from streamseg.sinks.export import FORMATS
from streamseg.world.names import world_vocabulary
from tests.recorded import run_folder, world_results


@pytest.fixture
def run(tmp_path: Path) -> Path:
    results = world_results(3)
    (tmp_path / "run").mkdir()
    words = world_vocabulary("shapes")
    return run_folder(tmp_path / "run", {"door": (results, words), "cam": (results[:2], words)})


def test_the_kinds_are_those_that_there_are() -> None:
    assert set(streamseg.cli.export.KINDS) == set(FORMATS)


@pytest.mark.parametrize("kind", streamseg.cli.export.KINDS)
def test_a_run_is_exported_into_its_folder(run: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--format", kind]) == 0
    assert sorted(path.name for path in (run / kind).iterdir()) == sorted(FORMATS[kind].entries)
    out = capsys.readouterr()
    assert out.out == f"{run / kind}: 2 videos, 5 frames\n"
    assert out.err == ""


def test_one_stream_to_another_place(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "far" / "away"
    assert main(["export", str(run), "--format", "vps", "--stream", "cam", "--output", str(target), "--quiet"]) == 0
    assert {video for video, _ in PanopticFolder.read(target).frames} == {"cam"}


def test_all_categories_are_listed(run: Path) -> None:
    assert main(["export", str(run), "--format", "vps", "-q"]) == 0
    assert len(PanopticFolder.read(run / "vps").labels) == len(world_vocabulary("shapes"))


def test_a_killed_run_is_exported_as_far_as_it_got(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "cam" / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert main(["export", str(run), "--format", "ytvis"]) == 0
    out = capsys.readouterr()
    assert out.err == f"{path}: its last line is unfinished and was passed over\n"
    assert out.out == f"{run / 'ytvis'}: 2 videos, 4 frames\n"


def test_an_earlier_export_is_replaced_only_if_asked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(run), "--format", "mots", "-q"]
    assert main(command) == 0
    assert main(command) == 2
    assert "holds an earlier export: pass --overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], code: int = 2) -> None:
    assert main(["export", *arguments]) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err


def test_wrong_uses(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused([str(run), "--format", "vpss"], "did you mean 'vps'", capsys)
    refused([str(run)], "--format", capsys)
    refused([str(tmp_path / "nowhere"), "--format", "vps"], "holds no run", capsys)
    refused([str(run), "--format", "vps", "--stream", "dor"], "no stream 'dor', expected one of door, cam", capsys)
    refused([str(run), "--format", "vps", "--stuff"], "--stuff goes with --format ytvis, not with vps", capsys)


@pytest.mark.parametrize("target", [".", "cam"])
def test_nothing_of_the_run_is_replaced(run: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(run), "--format", "vps", "--output", str(run / target), "--overwrite"]
    refused(arguments, "which is no vps export: choose another --output", capsys)
    assert (run / "cam" / "records.jsonl").is_file()


def test_a_file_in_the_way(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    refused([str(run), "--format", "vps", "--output", str(tmp_path / "file")], "is a file, expected a folder", capsys)


def test_records_without_masks(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "cam" / "records.jsonl"
    lines = [result.to_json(masks=False) for result in world_results(1)]
    path.write_text("\n".join([*lines, ""]))
    refused([str(run), "--format", "mots"], "frame 0 of 'cam' was recorded without masks", capsys, code=1)
