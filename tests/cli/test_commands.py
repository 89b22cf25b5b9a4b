import errno
import io
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from streamseg import cli
from streamseg.cli import about
from streamseg.errors import ConfigError, DownloadError, SinkError, VocabularyError, WeightsError
from streamseg.fcclip.spec import MODEL_SPECS
from streamseg.frames import json_schema
from streamseg.pipeline.words import choose_vocabulary
from streamseg.sinks import images as image_sink
from streamseg.testing import ScriptedSegmenter, masks_by_color
from streamseg.vocabulary import Vocabulary

CLASSES = ("--classes", "car; person; sky:stuff", "--background", "none")
Captured = pytest.CaptureFixture[str]


class Loader:
    """What `Segmenter.load` was asked for, and the stand-in that it gave."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.segmenter = ScriptedSegmenter(masks_by_color)
        self.error: BaseException | None = None

    def load(self, **arguments: Any) -> ScriptedSegmenter:
        self.calls.append(arguments)
        if self.error is not None:
            raise self.error
        return self.segmenter


@pytest.fixture(autouse=True)
def loader(monkeypatch: pytest.MonkeyPatch) -> Loader:
    loader = Loader()
    module = ModuleType("streamseg.segmenter")
    module.Segmenter = loader  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "streamseg.segmenter", module)
    return loader


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMSEG_DEBUG", raising=False)
    return tmp_path


def paint(path: str | Path, width: int = 64, height: int = 48) -> Path:
    """Sky over two things, and a black void."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2] = (0, 0, 255)
    picture[height // 2 :, : width // 4] = (255, 0, 0)
    picture[height // 2 :, width // 2 : 3 * width // 4] = (0, 255, 0)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return Path(path)


def one_error(captured: Captured) -> str:
    """The only line on stderr, without its prefix."""
    out, err = captured.readouterr()
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    return err.removeprefix("error: ").rstrip("\n")


# streamseg segment


def test_segment_writes_map_record_and_overlay(capsys: Captured) -> None:
    paint("street.png")
    assert cli.main(["segment", "street.png", *CLASSES]) == 0
    out = Path("streamseg-out")
    assert sorted(os.listdir(out)) == ["panoptic.json", "street.json", "street.overlay.jpg", "street.panoptic.png"]
    record = json.loads((out / "street.json").read_text())
    jsonschema.Draft202012Validator(json_schema()).validate(record)
    labels = {s["label"]: s["isthing"] for s in record["segments"]}
    assert labels == {"car": True, "person": True, "sky": False}
    # Masks come at a quarter of the size: a corner may lose a pixel.
    assert [s["area"] for s in record["segments"]] == pytest.approx([16 * 24, 16 * 24, 64 * 24], abs=2)
    assert (record["stream"], record["size"], record["model"]) == ("street.png", [48, 64], "scripted")
    pixels = np.asarray(Image.open(out / "street.panoptic.png")).astype(int)
    ids = pixels[..., 0] + 256 * pixels[..., 1] + 65536 * pixels[..., 2]
    assert {s["id"]: s["area"] for s in record["segments"]} == {i: int((ids == i).sum()) for i in (1, 2, 3)}
    assert np.asarray(Image.open(out / "street.overlay.jpg")).shape == (48, 64, 3)
    captured = capsys.readouterr()
    assert "1 picture segmented (3 segments); results are in streamseg-out/" in captured.out
    assert "[1/1] street.png: 3 segments" in captured.err


def test_the_demo_says_once_what_it_knows_and_uses_its_own_words(
    capsys: Captured, loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    """Also the words that it never read: warned about by the package, and silenced by --quiet."""
    script = loader.segmenter.script

    def warn(picture: Any, words: Vocabulary) -> Any:
        logging.getLogger("streamseg.fcclip.word_rows").warning("never read")
        return script(picture, words)

    loader.segmenter = ScriptedSegmenter(warn)
    paint("a.png")
    paint("b.png")
    assert cli.main(["segment", "a.png", "b.png", "--model", "demo"]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert notes == [f"note: {MODEL_SPECS['demo'].notice}"]
    vocabulary = json.loads(Path("streamseg-out/a.json").read_text())["vocabulary"]
    assert vocabulary["name"] == "world"
    assert caplog.messages == ["never read"] * 2
    caplog.clear()
    assert cli.main(["segment", "a.png", "--model", "demo", "--quiet", "--overwrite"]) == 0
    assert capsys.readouterr().err == ""
    assert caplog.messages == []
    assert cli.main(["segment", "a.png", *CLASSES, "--overwrite"]) == 0
    assert "note: " not in capsys.readouterr().err


def test_flags_left_out_leave_the_defaults_to_the_segmenter(loader: Loader) -> None:
    paint("a.png")
    assert cli.main(["segment", "a.png", *CLASSES, "--quiet"]) == 0
    assert loader.calls == [{"progress": False}]


def test_flags_reach_the_segmenter(loader: Loader) -> None:
    paint("a.png")
    flags = ["--model", "fcclip-r50", "--weights", "w.pth", "--clip", "c.bin", "--device", "cpu", "--precision", "fp32"]
    assert cli.main(["segment", "a.png", *CLASSES, *flags, "--short-side", "480", "--max-long-side", "900"]) == 0
    assert loader.calls == [
        {
            "model": "fcclip-r50",
            "weights": "w.pth",
            "clip": "c.bin",
            "device": "cpu",
            "precision": "fp32",
            "short_side": 480,
            "max_long_side": 900,
            "progress": True,
        }
    ]


def test_threshold_leaves_out_what_scores_less() -> None:
    paint("a.png")
    assert cli.main(["segment", "a.png", *CLASSES, "--threshold", "0.99"]) == 0
    assert json.loads(Path("streamseg-out/a.json").read_text())["segments"] == []


def test_folders_and_globs_in_natural_order_each_picture_once(capsys: Captured) -> None:
    for name in ("in/f10.png", "in/f2.png", "in/f1.png"):
        paint(name)
    assert cli.main(["segment", "in", "in/*.png", "in/f2.png", *CLASSES, "--output", "out"]) == 0
    document = json.loads(Path("out/panoptic.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["in/f1.png", "in/f2.png", "in/f10.png"]
    assert "3 pictures segmented" in capsys.readouterr().out


def test_equal_stems_do_not_overwrite_each_other() -> None:
    paint("a/street.png")
    paint("b/street.png", width=32)
    assert cli.main(["segment", "a/street.png", "b/street.png", *CLASSES]) == 0
    records = [json.loads(Path(f"streamseg-out/{name}.json").read_text()) for name in ("street", "street-2")]
    assert [(r["stream"], r["size"]) for r in records] == [("a/street.png", [48, 64]), ("b/street.png", [48, 32])]


def test_neighbours_of_one_size_share_a_batch_on_a_gpu(loader: Loader) -> None:
    loader.segmenter = ScriptedSegmenter(masks_by_color, max_batch=2, device="cuda")
    for number, width in enumerate((64, 64, 64, 32, 64)):
        paint(f"in/{number}.png", width=width)
    assert cli.main(["segment", "in", *CLASSES]) == 0
    wide, narrow = (48, 64), (48, 32)
    assert loader.segmenter.batches == [[wide, wide], [wide], [narrow], [wide]]


def test_one_at_a_time_on_a_cpu(loader: Loader) -> None:
    for number in range(3):
        paint(f"in/{number}.png")
    assert cli.main(["segment", "in", *CLASSES]) == 0
    assert [len(batch) for batch in loader.segmenter.batches] == [1, 1, 1]


def test_a_damaged_picture_is_one_line_and_the_others_get_done(capsys: Captured) -> None:
    paint("a.png")
    Path("b.png").write_bytes(Path("a.png").read_bytes()[:60])
    Path("c.txt").write_text("not a picture")
    paint("d.png")
    assert cli.main(["segment", "a.png", "b.png", "c.txt", "gone.png", "d.png", *CLASSES, "--quiet"]) == 1
    captured = capsys.readouterr()
    errors = captured.err.splitlines()
    assert len(errors) == 3
    assert errors[0] == "error: no such file: 'gone.png', expected a picture, a folder or a glob: check the path"
    assert errors[1].startswith("error: 'b.png' is damaged: ")
    assert errors[2].startswith("error: 'c.txt' is not a picture")
    assert captured.out == ""
    assert {"a.json", "d.json"} < set(os.listdir("streamseg-out"))


def test_the_summary_counts_what_failed(capsys: Captured) -> None:
    paint("a.png")
    assert cli.main(["segment", "a.png", "gone.png", *CLASSES]) == 1
    assert "1 picture segmented (3 segments), 1 failed; results are in streamseg-out/" in capsys.readouterr().out


def test_only_damaged_pictures(capsys: Captured) -> None:
    Path("b.png").write_bytes(b"nothing")
    assert cli.main(["segment", "b.png", *CLASSES]) == 1
    assert "0 pictures segmented (0 segments), 1 failed; nothing was written" in capsys.readouterr().out
    assert os.listdir("streamseg-out") == []


def test_nothing_to_segment_fails_before_the_model_is_loaded(loader: Loader, capsys: Captured) -> None:
    assert cli.main(["segment", "gone.png", *CLASSES]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: no pictures to segment: check the paths"
    assert loader.calls == []


def test_earlier_results_stay_unless_asked(loader: Loader, capsys: Captured) -> None:
    paint("a.png")
    assert cli.main(["segment", "a.png", *CLASSES, "--quiet"]) == 0
    Path("streamseg-out/a.json").write_text("precious")
    assert cli.main(["segment", "a.png", *CLASSES]) == 2
    assert "holds earlier results: pass --overwrite to replace them, or choose another --output" in one_error(capsys)
    assert Path("streamseg-out/a.json").read_text() == "precious"
    assert len(loader.calls) == 1
    assert cli.main(["segment", "a.png", *CLASSES, "--overwrite"]) == 0
    assert json.loads(Path("streamseg-out/a.json").read_text())["stream"] == "a.png"


def test_a_full_disk_stops_the_run_with_one_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    write = image_sink.atomic_write

    def until_full(path: Path, content: Any) -> None:
        written.append(path)
        if len(written) > 4:
            raise SinkError(f"cannot write {str(path)!r}: {os.strerror(errno.ENOSPC)}; make room")
        write(path, content)

    monkeypatch.setattr(image_sink, "atomic_write", until_full)
    for number in range(3):
        paint(f"in/{number}.png")
    assert cli.main(["segment", "in", *CLASSES, "--quiet"]) == 1
    assert "No space left on device; make room" in one_error(capsys)
    assert sorted(os.listdir("streamseg-out")) == ["0.json", "0.overlay.jpg", "0.panoptic.png", "1.panoptic.png"]


def test_an_output_that_is_a_file(loader: Loader, capsys: Captured) -> None:
    paint("a.png")
    Path("out").write_text("a file")
    assert cli.main(["segment", "a.png", *CLASSES, "-o", "out"]) == 1
    assert "cannot write to folder 'out'" in one_error(capsys)
    assert loader.calls == []


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (WeightsError("w.pth is truncated: fetch it again"), 1, "w.pth is truncated"),
        (DownloadError("offline;\nthree ways out"), 1, "offline; three ways out"),
        (ConfigError("unknown device 'cuda:9'"), 2, "unknown device"),
        (MemoryError(), 1, "out of memory: lower --short-side"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 1, "out of memory"),
    ],
)
def test_errors_of_the_segmenter(loader: Loader, capsys: Captured, error: Exception, code: int, says: str) -> None:
    paint("a.png")
    loader.error = error
    assert cli.main(["segment", "a.png", *CLASSES, "--quiet"]) == code
    assert says in one_error(capsys)


def test_bugs_keep_their_traceback(loader: Loader) -> None:
    paint("a.png")
    loader.error = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError):
        cli.main(["segment", "a.png", *CLASSES])


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSEG_DEBUG", "1")
    with pytest.raises(ConfigError):
        cli.main(["segment", "a.png", "--classes", ""])


def test_ctrl_c_keeps_what_is_done(loader: Loader, capsys: Captured) -> None:
    def script(picture: Any, vocabulary: Vocabulary) -> Any:
        if len(loader.segmenter.batches) == 2:
            raise KeyboardInterrupt
        return masks_by_color(picture, vocabulary)

    loader.segmenter = ScriptedSegmenter(script)
    for number in range(3):
        paint(f"in/{number}.png")
    assert cli.main(["segment", "in", *CLASSES]) == 130
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "interrupted"
    assert "1 picture segmented" in captured.out
    document = json.loads(Path("streamseg-out/panoptic.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["in/0.png"]


def test_a_bar_on_a_terminal(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    paint("a.png")
    Path("b[1].png").write_bytes(b"nothing")
    assert cli.main(["segment", "a.png", "b[1].png", *CLASSES]) == 1
    assert "2/2" in terminal.getvalue()
    assert "error: 'b[1].png' is" in terminal.getvalue()
    assert "[1/2]" not in terminal.getvalue()
    assert "1 picture segmented" in capsys.readouterr().out


def test_file_names_that_are_not_text(capsys: Captured) -> None:
    paint(os.fsdecode(b"caf\xe9.png"))
    assert cli.main(["segment", ".", *CLASSES]) == 0
    assert "caf\\udce9.png: 3 segments" in capsys.readouterr().err


# Vocabularies


def test_own_words_compete_with_the_training_vocabulary() -> None:
    words = choose_vocabulary("car; unicorn", None)
    assert [category.label for category in words.categories] == ["car", "unicorn"]
    labels = {category.label for category in words.background}
    assert "person" in labels
    assert "car" not in labels


def test_own_words_alone() -> None:
    assert choose_vocabulary("car", None, "none").background == ()


@pytest.mark.parametrize("name", ["coco", "ADE20K", "coco+lvis", None])
@pytest.mark.parametrize("background", [None, "auto", "none"])
def test_built_in_vocabularies_are_complete(name: str | None, background: str | None) -> None:
    words = choose_vocabulary(None, name, background)
    assert words.background == ()
    assert words == Vocabulary.load(name or "coco")


def test_a_file_may_bring_its_own_background() -> None:
    Path("mine.yaml").write_text("categories: [car]\nbackground: [tree]\n")
    Path("coco.yaml").write_text("categories: [car]\n")
    assert [c.label for c in choose_vocabulary(None, "mine.yaml").background] == ["tree"]
    assert len(choose_vocabulary(None, "coco.yaml").background) > 100
    assert choose_vocabulary(None, "coco.yaml", "none").background == ()


@pytest.mark.parametrize(
    ("classes", "vocabulary", "kind", "says"),
    [
        ("car", "coco", ConfigError, "both --classes and --vocabulary"),
        ("", None, VocabularyError, "empty"),
        ("car; Car", None, VocabularyError, "stands twice"),
        ("coco", None, VocabularyError, "pass --vocabulary coco, or write 'coco:thing'"),
        (None, "cocoo", VocabularyError, "did you mean 'coco'"),
        (None, "mine.yaml", VocabularyError, "cannot read"),
    ],
)
def test_wrong_vocabularies(
    capsys: Captured, classes: str | None, vocabulary: str | None, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        choose_vocabulary(classes, vocabulary)
    flags = [
        *(["--classes", classes] if classes is not None else []),
        *(["--vocabulary", vocabulary] if vocabulary else []),
    ]
    paint("a.png")
    assert cli.main(["segment", "a.png", *flags]) == 2
    assert says in one_error(capsys)


def test_vocabulary_shows_what_will_be_used(capsys: Captured) -> None:
    assert cli.main(["vocabulary", "--classes", "car, auto; unicorn[x]; sky"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"0 car thing yes auto", "1 unicorn[x] thing no", "2 sky stuff yes"} <= set(lines)
    assert any(line.startswith("background, becomes void (131): person, bicycle") for line in lines)


def test_a_model_of_another_world_has_its_own_words(capsys: Captured) -> None:
    assert choose_vocabulary(None, None, default="world") == Vocabulary.load("world")
    words = choose_vocabulary("car; unicorn", None, default="world")
    labels = {category.label for category in words.background}
    assert {"bus", "grass"} <= labels
    assert "car" not in labels
    assert cli.main(["vocabulary", "--classes", "car; rocket", "--model", "demo"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"0 car thing yes", "1 rocket thing no"} <= set(lines)


def test_vocabulary_lists_what_is_built_in(capsys: Captured) -> None:
    assert cli.main(["vocabulary"]) == 0
    assert "coco 80 53" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["vocabulary", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name": "coco", "things": 80, "stuff": 53} in rows


def test_vocabulary_as_json_can_be_read_back(capsys: Captured) -> None:
    assert cli.main(["vocabulary", "lvis", "--json"]) == 0
    assert Vocabulary.from_json(capsys.readouterr().out) == Vocabulary.load("lvis")


# Models


def test_models_lists_every_model(capsys: Captured) -> None:
    assert cli.main(["models"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in MODEL_SPECS)
    assert "fcclip-convnext-large (default)" in out
    assert "not here; Voxel51/fc-clip on the Hugging Face Hub" in out
    assert "random, for trying the machinery" in out


def test_models_as_json(capsys: Captured) -> None:
    assert cli.main(["models", "--json"]) == 0
    rows = {row["model"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(MODEL_SPECS)
    large = rows["fcclip-convnext-large"]
    assert (large["clip"], large["short_side"], large["parameters_millions"]) == ("convnext_large_d_320", 800, 372)
    assert (large["ready"], large["weights"]) == (False, None)


def test_every_model_has_a_size() -> None:
    assert set(about.PARAMETERS_MILLIONS) == set(MODEL_SPECS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcclip-r50", "demo"])
def test_sizes_are_those_of_the_models(name: str) -> None:
    from streamseg.fcclip.model import build_fcclip

    count = sum(parameter.numel() for parameter in build_fcclip(MODEL_SPECS[name]).parameters())
    assert about.PARAMETERS_MILLIONS[name] == round(count / 1e6)


@pytest.mark.parametrize(
    ("head", "clip", "says"),
    [
        (2_000_000_000, 1_400_000_000, "here, 3.4 GB: "),
        (2_000_000_000, None, "only the head is here; Voxel51"),
        (None, 1_400_000_000, "only the CLIP is here; Voxel51"),
    ],
)
def test_models_says_what_is_here(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, head: int | None, clip: int | None, says: str
) -> None:
    from streamseg.fcclip import hub

    def status(spec: Any) -> hub.WeightsStatus:
        files = {"head": Path("cache/head") if head else None, "clip": Path("cache/clip") if clip else None}
        return hub.WeightsStatus(spec.name, "Voxel51", files["head"], head, files["clip"], clip)

    monkeypatch.setattr(hub, "weights_status", status)
    assert cli.main(["models"]) == 0
    assert says in capsys.readouterr().out


def test_download_prints_the_files(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamseg.fcclip import hub

    asked: list[tuple[str, bool]] = []

    def fetch(spec: Any, *, progress: bool) -> tuple[Path, ...]:
        asked.append((spec.name, progress))
        return Path("cache/head"), Path("cache/clip")

    monkeypatch.setattr(hub, "download", fetch)
    assert cli.main(["download", "fcclip-convnext-large", "--quiet"]) == 0
    assert asked == [("fcclip-convnext-large", False)]
    assert capsys.readouterr().out.splitlines() == ["cache/head", "cache/clip"]


def test_what_is_shipped_is_not_downloaded(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamseg.fcclip import hub

    Path("demo.safetensors").write_bytes(bytes(15_000_000))
    monkeypatch.setattr(hub, "packaged_weights", lambda spec: Path("demo.safetensors") if spec.name == "demo" else None)
    assert cli.main(["download", "demo"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "demo.safetensors\n"
    assert captured.err == "demo is part of the package: there is nothing to download\n"
    assert cli.main(["models"]) == 0
    assert "part of the package, 15 MB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "code", "says"),
    [
        ("fcclip-r5", 2, "did you mean 'fcclip-r50'?"),
        ("fcclip-r50", 1, "Google Drive"),
        ("demo-untrained", 1, "random weights by definition: there is nothing to download"),
    ],
)
def test_download_says_why_not(capsys: Captured, model: str, code: int, says: str) -> None:
    assert cli.main(["download", model]) == code
    assert says in one_error(capsys)


# The command as such


def test_version(capsys: Captured) -> None:
    from streamseg import __version__

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"streamseg {__version__}\n"


def test_schema(capsys: Captured) -> None:
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


@pytest.mark.parametrize("flags", [["--help"], ["-h"], ["segment", "--help"], ["vocabulary", "-h"]])
def test_help(capsys: Captured, flags: list[str]) -> None:
    assert cli.main(flags) == 0
    assert "Usage: streamseg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["segmnt"], "'segmnt'. Did you mean 'segment'?"),
        (["segment", "a.png", "--clases", "car"], "--clases (Possible options: --classes)"),
        (["segment"], "Missing argument 'IMAGE'"),
        (["segment", "a.png", "--classes"], "'--classes' requires an argument"),
        (
            ["segment", "a.png", "--short-side", "large"],
            "--short-side is 'large', expected a whole number of at least 1",
        ),
        (["segment", "a.png", "--short-side", "0"], "--short-side is '0'"),
        (["segment", "a.png", "--max-long-side", "-3"], "--max-long-side is '-3'"),
        (["segment", "a.png", "--threshold", "2"], "--threshold is '2', expected a number from 0 to 1"),
        (["segment", "a.png", "--threshold", "nan"], "--threshold is 'nan'"),
        (["segment", "a.png", "--background", "non"], "'non' (did you mean 'none'?), expected one of auto, none"),
        (["segment", "a.png", "--model", "fcclip-r5"], "did you mean 'fcclip-r50'?"),
        (["models", "all"], "unexpected extra argument"),
        (["download"], "Missing argument 'MODEL'"),
    ],
)
def test_wrong_use_is_one_line(capsys: Captured, flags: list[str], says: str) -> None:
    assert cli.main(flags) == 2
    assert says in one_error(capsys)


def start(*flags: str, **options: Any) -> subprocess.Popen[str]:
    code = "import sys; from streamseg.cli import main; sys.exit(main())"
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", code, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from streamseg.cli import main; code = main(['segment', '--help']); "
        "heavy = {'torch', 'cv2', 'numpy', 'PIL', 'open_clip', 'av'} & set(sys.modules); "
        "print(*heavy, file=sys.stderr); sys.exit(code)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stderr.strip() == ""


def test_a_reader_that_leaves_early() -> None:
    command = start("schema")
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()
    assert command.wait(30) == 1
    assert command.stderr.read() == ""
    command.stderr.close()


# A test run in the background has SIGINT ignored, and its children inherit that: a person at a terminal has not.
SLOW_RUN = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from types import ModuleType
from streamseg.testing import ScriptedSegmenter, masks_by_color

def script(picture, vocabulary):
    time.sleep(0.3)
    return masks_by_color(picture, vocabulary)

class Segmenter:
    load = staticmethod(lambda **_: ScriptedSegmenter(script))

module = ModuleType("streamseg.segmenter")
module.Segmenter = Segmenter
sys.modules["streamseg.segmenter"] = module
from streamseg.cli import main
sys.exit(main())
"""


def test_a_real_ctrl_c() -> None:
    for number in range(100):
        paint(f"in/{number}.png")
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    command = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, "segment", "in", *CLASSES],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert command.stderr is not None
    for line in command.stderr:
        if line.startswith("[2/100]"):
            break
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert command.returncode == 130
    assert err.splitlines()[-1] == "interrupted"
    assert "results are in streamseg-out/" in out
    document = json.loads(Path("streamseg-out/panoptic.json").read_text())
    assert 2 <= len(document["images"]) < 100
    assert not [name for name in os.listdir("streamseg-out") if name.endswith(".tmp")]


def test_a_real_model_segments_a_picture() -> None:
    paint("a.png")
    command = start("segment", "a.png", *CLASSES, "--model", "demo-untrained", "--device", "cpu", "--short-side", "64")
    out, err = command.communicate(timeout=300)
    assert command.returncode == 0, err
    assert "1 picture segmented" in out
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(Path("streamseg-out/a.json").read_text()))
