"""`streamseg run` in this process: real sources, runtime and sinks; only the model is a stand-in."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from streamseg.cli import main
from streamseg.cli.run import choose_settings, split_arguments
from streamseg.cli.values import seconds, size
from streamseg.config.sinks import VideoSettings
from streamseg.errors import ConfigError
from streamseg.frames import json_schema
from streamseg.runs.folder import RunFolder
from tests.cli.quick_run import Builder, use_quick_model
from tests.media import CLIPS, make, make_audio, truncate
from tests.web_server import serve

Captured = pytest.CaptureFixture[str]
FRAMES = 24  # of street.mkv, one second


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make(folder, CLIPS["mkv"], name="street.mkv")
    make(folder, CLIPS["h264"], name="cut_off.mp4")
    truncate(folder / "cut_off.mp4", 0.5)
    make_audio(folder / "song.m4a")
    (folder / "text.mp4").write_text("no video")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a few clips."""
    shutil.copytree(clips, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMSEG_DEBUG", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    return use_quick_model(monkeypatch)


def run(*arguments: str) -> int:
    return main(["run", *arguments])


def records(folder: str | Path = "streamseg-out/street") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(folder) / "records.jsonl").read_text().splitlines()]


def frames(folder: str | Path = "streamseg-out/street") -> list[int]:
    return [record["frame"] for record in records(folder)]


def one_error(captured: Captured) -> str:
    """The only line of the whole output, without its prefix."""
    out, err = captured.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err.removeprefix("error: ").rstrip("\n")


def test_a_video_becomes_records_a_log_and_a_summary(capsys: Captured) -> None:
    assert run("street.mkv") == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "street: street.mkv, recorded, 64x48, 24 fps, h264",
        "words: coco, 133 categories (person, bicycle, car, ...)",
        "loading fcclip-convnext-large",
    ]
    header, row, end, file = out.splitlines()
    assert " ".join(header.split()) == "stream decoded emitted dropped tracks fps latency p50, p95, p99"
    assert row.split()[:5] == ["street", "24", "24", "0", "2"]
    assert row.endswith(" ms")
    assert end.startswith("finished in ")
    assert end.endswith("; results are in streamseg-out")
    assert " ".join(file.split()) == "streamseg-out/street/records.jsonl a line of JSON for every frame"
    validator = jsonschema.Draft202012Validator(json_schema())
    for record in records():
        validator.validate(record)
    assert frames() == list(range(FRAMES))
    manifest = RunFolder.open("streamseg-out").manifest
    assert manifest["state"] == "finished"
    assert manifest["streams"]["street"]["totals"]["decoded"] == FRAMES


MISTAKES: list[tuple[list[str], int, str]] = [
    ([], 2, "no source is given, expected a video, a folder, a camera or a URL: `streamseg run street.mp4`"),
    (["nowhere.mp4"], 1, "no such file: 'nowhere.mp4', expected a video, picture, folder, glob, URL, "),
    (["empty"], 1, "folder 'empty' holds neither videos nor pictures"),
    (["none*.mp4"], 1, "no file matches 'none*.mp4': check the pattern"),
    (["song.m4a"], 1, "'song.m4a' holds no video, only audio"),
    (["text.mp4"], 1, "'text.mp4' is not a video that can be read"),
    (["cut_off.mp4"], 1, "'cut_off.mp4' has lost its index"),
    (["street.mkv", "text.mp4"], 1, "'text.mp4' is not a video"),
    (["ftp://host/x"], 2, "source 'ftp://host/x' begins with ftp://, expected rtsp://"),
    (["http://127.0.0.1:1/x.mp4"], 1, "cannot open 'http://127.0.0.1:1/x.mp4'"),
    (["street.mkv", "--model", "dmo"], 2, "unknown model 'dmo': did you mean 'demo'?"),
    (["street.mkv", "--save", "jsnl"], 2, "--save does not know 'jsnl': did you mean 'jsonl'?"),
    (["street.mkv", "--save", "jsonl,jsonl"], 2, "--save 'jsonl,jsonl' names 'jsonl' twice"),
    (["street.mkv", "--save", "webhook"], 2, "--save webhook lacks its url"),
    (["street.mkv", "--save", "vps"], 2, "sinks is 'vps', expected the jsonl sink with masks"),
    (["street.mkv", "--vocabulary", "coko"], 2, "unknown vocabulary 'coko' (did you mean 'coco'?)"),
    (["street.mkv", "--classes", "car:stuf"], 2, "unknown suffix ':stuf' (did you mean 'stuff'?)"),
    (["street.mkv", "--classes", ""], 2, "vocabulary 'custom' is empty"),
    (["street.mkv", "--classes", "car", "--vocabulary", "coco"], 2, "both --classes and --vocabulary are given"),
    (
        ["street.mkv", "--background", "no"],
        2,
        "--background is 'no' (did you mean 'none'?), expected one of auto, none",
    ),
    (["street.mkv", "--config", "my.yaml"], 2, "no config file 'my.yaml', expected a YAML file, or one of demo, "),
    (["street.mkv", "--config", "."], 2, "cannot read config .: Is a directory"),
    (["street.mkv", "trackin.method=none"], 2, "unknown setting trackin: did you mean 'tracking'?"),
    (["street.mkv", "tracking.metod=none"], 2, "unknown setting tracking.metod: did you mean 'method'?"),
    (["street.mkv", "Tracking.method=none"], 2, "unknown setting Tracking: did you mean 'tracking'?"),
    (["street.mkv", "tracking.method=non"], 2, "setting tracking.method is 'non', expected one of streamseg, "),
    (["street.mkv", "stride=2"], 2, "unknown setting stride: did you mean 'selection.stride'?"),
    (["street.mkv", "model=demo"], 2, "setting model is 'demo', expected a section with its own keys, such as model."),
    (["street.mkv", "selection.stride=x"], 2, "setting selection.stride is 'x', expected a whole number"),
    (["street.mkv", "--stride", "0"], 2, "--stride is '0', expected a whole number of at least 1"),
    (["street.mkv", "--max-fps", "-1"], 2, "--max-fps is '-1', expected a number above 0"),
    (["street.mkv", "--threshold", "2"], 2, "--threshold is '2', expected a number from 0 to 1"),
    (["street.mkv", "--output-size", "640"], 2, "--output-size is '640', expected WIDTHxHEIGHT in pixels"),
    (["street.mkv", "--start", "soon"], 2, "--start is 'soon', expected seconds, such as 90 or 1:30"),
    (["street.mkv", "--start", "2", "--end", "1"], 2, "selection.end_seconds is 1 and start_seconds 2: nothing lies"),
    (["street.mkv", "--precision", "fp8"], 2, "setting model.precision is 'fp8', expected one of auto, fp32"),
    (["street.mkv", "--output", ""], 2, "setting output is '', expected a folder, or null"),
    (["street.mkv", "-o", "a", "output=b"], 2, "'output=b' says again what an option or argument says already"),
    (["street.mkv", "--resume", "--overwrite"], 2, "both resume and overwrite are given"),
    (["street.mkv", "-o", "text.mp4"], 2, "'text.mp4' is a file, expected a folder for results"),
    (["street.mkv", "-o", "text.mp4/out"], 2, "'text.mp4' is a file"),
    (["street.mkv", "--frobnicate"], 2, "No such option: --frobnicate; `streamseg run --help` lists what there is"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    MISTAKES,
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_before_anything_is_loaded(
    arguments: list[str], code: int, message: str, here: Path, builder: Builder, capsys: Captured
) -> None:
    before = sorted(here.rglob("*"))
    assert run(*arguments) == code
    assert message in one_error(capsys).replace(str(here) + os.sep, "")
    assert not builder.calls
    assert sorted(here.rglob("*")) == before


def test_a_folder_that_nobody_may_write_to(monkeypatch: pytest.MonkeyPatch, builder: Builder, capsys: Captured) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert run("street.mkv", "-o", "theirs/out") == 1
    assert one_error(capsys) == "cannot make folder 'theirs/out': Permission denied; choose another --output"
    assert not builder.calls


def test_an_earlier_run_stays_unless_asked(builder: Builder, capsys: Captured) -> None:
    assert run("street.mkv", "--quiet") == 0
    before = records()
    assert run("street.mkv", "--quiet", "--max-frames", "3") == 2
    assert one_error(capsys).startswith("'streamseg-out' holds an earlier run: go on with it (--resume), replace it (")
    assert len(builder.calls) == 1
    assert records() == before
    assert run("street.mkv", "--quiet", "--max-frames", "3", "--overwrite") == 0
    assert frames() == [0, 1, 2]


def test_a_run_does_not_replace_its_own_source(capsys: Captured) -> None:
    assert run("street.mkv", "--quiet", "--save", "video") == 0
    overlay = "streamseg-out/street/epoch-0/overlay.mp4"
    assert run(overlay, "--quiet", "--overwrite") == 2
    assert one_error(capsys) == f"{overlay!r} is part of the run that it would replace: choose another output"
    assert Path(overlay).exists()
    assert run(overlay, "--quiet", "-o", "second") == 0
    assert len(records("second/overlay")) == FRAMES


def test_going_on_with_a_finished_run_does_nothing_and_knows_all(capsys: Captured) -> None:
    assert run("street.mkv", "--quiet", "--stride", "5") == 0
    before, manifest = records(), RunFolder.open("streamseg-out").manifest
    assert run("street.mkv", "--stride", "5", "--resume") == 0
    out, err = capsys.readouterr()
    assert "street: 5 frames were done before, nothing is left to do" in err
    assert out.splitlines()[1].split() == ["street", "24", "5", "19", "2", "-"]
    assert records() == before
    after = RunFolder.open("streamseg-out").manifest
    assert after["state"] == "finished"
    names = ("decoded", "emitted", "dropped", "tracks", "in_flight")
    for name in names:
        assert after["streams"]["street"]["totals"][name] == manifest["streams"]["street"]["totals"][name]


def test_going_on_without_a_run_begins_one() -> None:
    assert run("street.mkv", "--quiet", "--resume", "--max-frames", "2") == 0
    assert frames() == [0, 1]


def test_going_on_differently_is_refused_before_the_model_is_loaded(builder: Builder, capsys: Captured) -> None:
    assert run("street.mkv", "--quiet", "--max-frames", "3") == 0
    assert run("street.mkv", "--quiet", "--max-frames", "3", "--resume", "tracking.gallery=false") == 2
    assert "settings.tracking.gallery was True, now False; set them as they were" in one_error(capsys)
    assert run("street.mkv", "--quiet", "--max-frames", "3", "--resume", "--classes", "car") == 2
    assert "streams.street.vocabulary was 'coco', now 'custom'" in one_error(capsys)
    assert len(builder.calls) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--stride", "10"], [0, 10, 20]),
        (["--max-fps", "4"], [0, 6, 12, 18]),
        (["--start", "0.5", "--end", "0:00.75"], [12, 13, 14, 15, 16, 17]),
        (["--max-frames", "2"], [0, 1]),
        (["selection.stride=12"], [0, 12]),
    ],
)
def test_which_frames(arguments: list[str], expected: list[int]) -> None:
    assert run("street.mkv", "--quiet", *arguments) == 0
    assert frames() == expected
    totals = RunFolder.open("streamseg-out").manifest["streams"]["street"]["totals"]
    assert totals["decoded"] == totals["emitted"] + sum(totals["dropped"].values())


def test_nothing_between_start_and_end_is_said(capsys: Captured) -> None:
    assert run("street.mkv", "--start", "100") == 0
    out = capsys.readouterr().out
    assert "street: dropped: 24 before start" in out
    assert "street: no frame was segmented; --start is beyond its end" in out
    assert records() == []


def test_another_size_of_maps() -> None:
    assert run("street.mkv", "--quiet", "--output-size", "32x24", "--save", "jsonl,png", "--max-frames", "1") == 0
    (record,) = records()
    assert record["size"] == [24, 32]
    assert sum(segment["area"] for segment in record["segments"]) == 24 * 32
    assert np.asarray(Image.open("streamseg-out/street/epoch-0/panoptic/00000000.png")).shape[:2] == (24, 32)


def test_records_on_standard_output_and_everything_else_beside_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("street.mkv", "--save", "stdout", "--max-frames", "3") == 0
    out, err = capfd.readouterr()
    assert [json.loads(line)["frame"] for line in out.splitlines()] == [0, 1, 2]
    assert "finished in" in err
    assert not Path("streamseg-out").exists()


def test_quiet_says_nothing(capsys: Captured) -> None:
    assert run("street.mkv", "--quiet", "--save", "jsonl,video,png,tracks") == 0
    assert capsys.readouterr() == ("", "")


def test_results_are_listed_by_sink(capsys: Captured) -> None:
    kinds = "jsonl,tracks,video,png,masks,vps,mots,ytvis"
    assert run("street.mkv", "world:seed=1,seconds=1,fps=5,size=64x48", "--save", kinds, "--max-frames", "3") == 0
    out = capsys.readouterr().out
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert len(listed) == 8
    assert all(Path(path).exists() for path in listed)
    assert out.count(" and 1 more") == 8
    assert [line.split()[:4] for line in out.splitlines() if line.startswith("all")] == [["all", "6", "6", "0"]]


def test_streams_with_words_of_their_own(capsys: Captured) -> None:
    Path("run.yaml").write_text(
        "sources:\n"
        "  - {url: street.mkv, name: one, classes: 'car; road:stuff', background: none}\n"
        "  - {url: street.mkv, vocabulary: cityscapes}\n"
        "  - street.mkv\n"
    )
    assert run("--config", "run.yaml", "--max-frames", "1", "-o", "out") == 0
    err = capsys.readouterr().err
    assert "words of one: custom, 2 categories (car, road)\n" in err
    assert "words of street: cityscapes, 19 categories (road, sidewalk, building, ...)\n" in err
    labels = {
        name: [s["label"] for s in records(f"out/{name}")[0]["segments"]] for name in ("one", "street", "street-2")
    }
    assert labels == {"one": ["car", "road"], "street": ["road", "sidewalk"], "street-2": ["person", "bicycle"]}


def test_one_stream_that_fails_stops_no_other(capsys: Captured) -> None:
    assert run("street.mkv", "9999") == 1
    out, err = capsys.readouterr()
    assert frames() == list(range(FRAMES))
    assert err.splitlines()[-1].startswith("error: cam9999: cannot read '9999': no such file or directory")
    assert "Traceback" not in err
    assert "cam9999: no frame was segmented" in out
    manifest = RunFolder.open("streamseg-out").manifest
    assert manifest["state"] == "stopped"
    assert "cannot read" in manifest["streams"]["cam9999"]["error"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my trip, day 1.mkv", "my-trip-day-1"),
        ("Straße über Ä.mkv", "Straße-über-Ä"),
        ("a=b.mkv", "a-b"),
        (os.fsdecode(b"no\xfftext.mkv"), "no-text"),
        ("x" * 200 + ".mkv", "x" * 100),
    ],
)
def test_any_file_name(file: str, name: str, capsys: Captured) -> None:
    Path("street.mkv").rename(file)
    assert run(file, "--max-frames", "1") == 0
    assert "finished in" in capsys.readouterr().out
    (folder,) = [path for path in Path("streamseg-out").iterdir() if path.is_dir()]
    assert name.startswith(folder.name)
    assert len(records(folder)) == 1


def test_passwords_are_shown_nowhere(here: Path, capsys: Captured) -> None:
    url = "rtsp://bob:geheim@127.0.0.1:1/door?token=psst0"
    assert run(url, "live.max_attempts=1", "live.first_backoff_seconds=0.01") == 1
    out, err = capsys.readouterr()
    written = "".join(path.read_text() for path in here.rglob("streamseg-out/**/*") if path.is_file())
    assert "rtsp://***@127.0.0.1:1/door?token=***" in written
    for text in (out, err, written):
        assert not any(secret in text for secret in ("bob", "geheim", "psst0"))


def test_pictures_and_globs(capsys: Captured) -> None:
    Path("album").mkdir()
    for number in range(3):
        Image.new("RGB", (32, 24), (9, 9, number)).save(f"album/{number}.png")
    shutil.copy("street.mkv", "street2.mkv")
    assert run("album", "--quiet", "-o", "folder") == 0
    assert run("album/1.png", "-o", "single") == 0
    assert "32x24, 1 frame\n" in capsys.readouterr().err
    assert run("street*.mkv", "--quiet", "-o", "glob", "--max-frames", "2") == 0
    assert frames("folder/album") == [0, 1, 2]
    assert frames("single/1") == [0]
    assert frames("glob/street") == frames("glob/street2") == [0, 1]


@pytest.mark.parametrize("setting", ["tracking.method=none", "tracking.method=minvis", "batch.max_batch=4"])
def test_other_ways_to_do_it(setting: str) -> None:
    assert run("street.mkv", "--quiet", setting) == 0
    assert frames() == list(range(FRAMES))


def test_a_webhook_that_is_down_is_counted_and_its_records_kept(capsys: Captured) -> None:
    webhook = "{kind: webhook, url: 'http://me:geheim@127.0.0.1:1/x', max_attempts: 1, total_seconds: 1}"
    assert run("street.mkv", f"sinks=[jsonl, {webhook}]", "--max-frames", "3") == 0
    out, err = capsys.readouterr()
    assert "street: webhook lost 3 frames" in out
    assert "geheim" not in out + err
    assert len(Path("streamseg-out/street/webhook-failed.jsonl").read_text().splitlines()) == 3


def test_a_webhook_that_is_up() -> None:
    with serve([200]) as server:
        assert run("street.mkv", "--quiet", f"sinks=[{{kind: webhook, url: '{server.url}'}}]", "--max-frames", "3") == 0
    assert [body["frame"] for body in server.bodies] == [0, 1, 2]


def test_files_passed_as_they_are_and_settings_apart(here: Path) -> None:
    (here / "a=b.mp4").touch()
    (here / "model=b").touch()
    arguments = ["a=b.mp4", "model.name=demo", "model=b", "http://host/x?token=abc", "world:seed=7,seconds=2", "c=d"]
    assert split_arguments(arguments) == (
        ["a=b.mp4", "http://host/x?token=abc", "world:seed=7,seconds=2"],
        ["model.name=demo", "model=b", "c=d"],
    )


def test_options_count_over_the_config_and_named_sinks_keep_what_it_says(here: Path) -> None:
    (here / "c.yaml").write_text(
        "vocabulary: {vocabulary: ade20k}\n"
        "selection: {stride: 3}\n"
        "sinks: [jsonl, {kind: video, quality: 9}]\n"
        "output: there\n"
    )
    settings = choose_settings("c.yaml", {"selection": {"stride": 5}}, "video,png", ["panoptic.score_threshold=0.5"])
    assert settings.selection.stride == 5
    assert settings.panoptic.score_threshold == 0.5
    assert settings.output == "there"
    assert [sink.kind for sink in settings.sinks] == ["video", "png"]
    assert settings.sinks[0] == VideoSettings(quality=9)
    assert run("street.mkv", "--config", "c.yaml", "--classes", "car", "--quiet", "--max-frames", "1") == 0
    assert records("there/street")[0]["vocabulary"]["name"] == "custom"


@pytest.mark.parametrize("text", ["90", "1:30", "0:01:30", "90.0"])
def test_seconds_may_be_minutes_and_hours(text: str) -> None:
    assert seconds("--start")(text) == 90


@pytest.mark.parametrize("text", ["-1", "1:2:3:4", "", "1m", "nan", "inf"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected seconds"):
        seconds("--start")(text)


def test_sizes_are_width_and_height() -> None:
    assert size("--output-size")("1280x720") == [720, 1280]
    assert size("--output-size")("64X48") == [48, 64]
    for text in ("0x48", "64x0", "64", "64x48x3", "-1x2"):
        with pytest.raises(ConfigError, match="expected WIDTHxHEIGHT"):
            size("--output-size")(text)
