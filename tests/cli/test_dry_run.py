"""`streamseg run --dry-run`: its output is a config that gives the same run, and shows no secret."""

from pathlib import Path

import pytest
import yaml

from streamseg.cli import main
from streamseg.config.packaged import find_config
from streamseg.config.run import read_settings
from tests.cli.quick_run import Builder, use_quick_model
from tests.media import CLIPS, make

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, CLIPS["mkv"], name="bob@work.mkv", frames=6)
    return use_quick_model(monkeypatch)


def dry(capsys: Captured, *arguments: str) -> str:
    assert main(["run", *arguments, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_it_gives_the_same_run(builder: Builder, capsys: Captured) -> None:
    arguments = ["bob@work.mkv", "--stride", "2", "--classes", "car; sky:stuff", "--save", "jsonl,tracks"]
    text = dry(capsys, *arguments, "--output", "again", "tracking.gallery=false")
    assert not builder.calls
    assert not Path("again").exists()
    Path("again.yaml").write_text(text)
    assert main(["run", *arguments, "-o", "first", "tracking.gallery=false", "-q"]) == 0
    assert main(["run", "--config", "again.yaml", "-q"]) == 0
    for name in ("records.jsonl", "tracks.jsonl"):
        again, first = (Path(folder) / "bob-work" / name for folder in ("again", "first"))
        assert again.read_bytes() == first.read_bytes()


def test_what_follows_from_source_and_model_is_filled_in(capsys: Captured) -> None:
    text = dry(capsys, "bob@work.mkv")
    assert "\n  name: fcclip-convnext-large\n" in text
    assert "\n  short_side: 800\n" in text
    assert "\noutput: streamseg-out\n" in text
    assert text.splitlines()[-1] == (
        "# bob-work: bob@work.mkv, recorded, 64x48, 24 fps, h264; coco, 133 categories (person, bicycle, car, ...)"
    )


def test_it_can_be_dried_again(capsys: Captured) -> None:
    text = dry(capsys, "bob@work.mkv", "--max-fps", "3")
    Path("c.yaml").write_text(text)
    assert dry(capsys, "--config", "c.yaml") == text


def test_secrets_are_hidden_and_variables_stay(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("WHO", "bob")
    monkeypatch.setenv("WORD", "geheim1")
    url, headers = "http://me:geheim2@h/x?key=geheim3", "['A: geheim4', 'B: Bearer ${WORD}']"
    sinks = f"sinks=[{{kind: webhook, url: '{url}', headers: {headers}}}]"
    text = dry(capsys, "rtsp://${WHO}:${WORD}@cam/1", "rtsp://bob:geheim5@cam/2?token=geheim6", sinks)
    assert "geheim" not in text
    settings = read_settings(given=yaml_of(text))
    assert [source.url for source in settings.sources] == ["rtsp://${WHO}:${WORD}@cam/1", "rtsp://***@cam/2?token=***"]
    assert "headers: ['A: ***', 'B: Bearer ${WORD}']" in text
    assert "# *** hides a secret: put ${NAME} there" in text
    assert "hides a secret" not in dry(capsys, "rtsp://${WHO}:${WORD}@cam/1")


def yaml_of(text: str) -> dict[str, object]:
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("name", ["files", "live"])
def test_packaged_configs_by_name(name: str, capsys: Captured) -> None:
    settings = read_settings(given=yaml_of(dry(capsys, "bob@work.mkv", "--config", name)))
    packaged = read_settings(find_config(name))
    assert (settings.output, settings.sinks, settings.tracking) == (
        packaged.output,
        packaged.sinks,
        packaged.tracking,
    )
