"""`streamseg query` with the packaged model: words find their track, without a video and without a network."""

import json
from pathlib import Path

import numpy as np
import pytest

import streamseg.cli.query  # noqa: F401  adds its command
from streamseg.cli import main
from streamseg.runs.folder import RunFolder
from streamseg.segmenter import Segmenter
from streamseg.tracks import LabelSpan, TrackRow
from tests.runs.made_runs import make_run, result, write_tracks

Captured = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("run")
WORDS = ("red car", "blue fish", "green tree")


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    """(3, D) of the words themselves: as tracks that fit perfectly have them."""
    embedded: np.ndarray = Segmenter.load("demo", device="cpu", progress=False, text_cache=False).text(WORDS).numpy()
    return embedded


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embeddings: np.ndarray) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    folder = make_run(tmp_path / "run", {"cam": [result(0, {})]}, settings={"model": {"name": "demo"}})
    rows = [
        TrackRow(
            id=number,
            epoch=0,
            isthing=True,
            first_frame=0,
            last_frame=900,
            first_pts=None if number == 3 else 0.0,
            last_pts=None if number == 3 else 90.0,
            frames=40,
            confirmed=number != 2,
            score=0.9,
            labels=(LabelSpan(0, "thing", 0, 1),),
            in_vocabulary_embedding=embedding.astype(np.float16),
            clip_embedding=embedding.astype(np.float16),
        )
        for number, embedding in enumerate(embeddings, start=1)
    ]
    write_tracks(folder, "cam", rows)
    return folder


def test_the_best_tracks_as_a_table_and_as_json(capsys: Captured) -> None:
    """One test, since the words of the vocabulary are encoded for each."""
    assert main(["query", "run", "green tree", "--quiet"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert rows[0] == ["score", "id", "label", "stream", "epoch", "from", "to", "frames"]
    first, second = rows[2:]
    assert first[1:] == ["3", "thing", "cam", "0", "frame", "0", "frame", "900", "40"]
    assert second[1:] == ["1", "thing", "cam", "0", "0:00.00", "1:30.00", "40"]
    assert float(first[0]) > float(second[0])
    assert main(["query", "run", "blue fish", "--json", "--top", "1", "--tentative"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["id"] == 2
    assert answer["confirmed"] is False
    assert 0 < answer["score"] <= 1


def test_no_tracks_yet(run: RunFolder, capsys: Captured) -> None:
    write_tracks(run, "cam", [])
    assert main(["query", "run", "car"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "no track has ended yet" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "car"], "'nowhere' holds no run"),
        (["run", "car; person"], "names 2 categories, expected one"),
        (["run", "car", "--stream", "gate"], "has no stream 'gate'"),
        (["run", "car", "--top", "0"], "Invalid value for '--top'"),
        (["run", "car", "--model", "dmo"], "'dmo'"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], message: str, capsys: Captured) -> None:
    assert main(["query", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_run_without_tracks(run: RunFolder, capsys: Captured) -> None:
    (run.stream("cam") / "tracks.jsonl").unlink()
    assert main(["query", "run", "car"]) == 2
    assert "holds no tracks.jsonl: run with --save jsonl,tracks" in capsys.readouterr().err
