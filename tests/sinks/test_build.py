import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from streamseg.config.run import RunSettings
from streamseg.config.sinks import (
    JsonlSettings,
    MasksSettings,
    PngSettings,
    RotationSettings,
    SinkSettings,
    StdoutSettings,
    TracksSettings,
    VideoSettings,
    WebhookSettings,
)
from streamseg.errors import ConfigError, SinkError
from streamseg.parsing import from_mapping, to_plain
from streamseg.sinks.build import DEFAULTS, build_sink, parse_save
from tests.sinks.small_stream import facts, full_disk, row, stream, tree, write_all

OWN_FILES = (JsonlSettings(), PngSettings(), MasksSettings(), TracksSettings())


def test_there_is_a_default_for_every_kind_but_one() -> None:
    assert {type(settings) for settings in DEFAULTS.values()} | {WebhookSettings} == set(get_args(SinkSettings))


def every_kind() -> list[SinkSettings]:
    return [
        settings(url="http://127.0.0.1:9/") if settings is WebhookSettings else settings()
        for settings in get_args(SinkSettings)
    ]


@pytest.mark.parametrize("settings", every_kind(), ids=lambda settings: str(settings.kind))
def test_every_kind_can_be_built(settings: SinkSettings, tmp_path: Path) -> None:
    sink = build_sink(settings, facts(tmp_path))
    assert sink.name == settings.kind
    assert sink.external is (settings.kind in ("stdout", "webhook"))
    assert tree(tmp_path) == {}  # nothing is opened yet


@pytest.mark.parametrize("settings", every_kind(), ids=lambda settings: str(settings.kind))
def test_every_kind_can_be_written_in_yaml(settings: SinkSettings) -> None:
    plain = json.loads(json.dumps(to_plain(settings)))
    records = ["jsonl"] if settings.kind in ("vps", "mots", "ytvis") else []  # they are compiled from records
    assert from_mapping(RunSettings, {"sinks": [*records, plain]}).sinks[-1] == settings


def test_several_sinks_share_a_folder(tmp_path: Path) -> None:
    for settings in OWN_FILES:
        write_all(build_sink(settings, facts(tmp_path)), stream(4), [row(1)])
    assert {path.name for path in (tmp_path / "epoch-0").iterdir()} == {"panoptic", "panoptic.json", "masks"}
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "records.jsonl",
        "panoptic.json",
        "tracks.jsonl",
    }


def test_sinks_of_one_folder_resume_side_by_side(tmp_path: Path) -> None:
    """Going back, one of them leaves alone what the others have in the same epochs."""
    trees = []
    for killed in (False, True):
        folder = tmp_path / str(killed)
        sinks = [build_sink(settings, facts(folder)) for settings in OWN_FILES]
        states: list[object] = [None] * len(sinks)
        for sink in sinks:
            sink.open(None)
        for number, each in enumerate(stream(20)):
            for sink in sinks:
                sink.write(each)
            if killed and number == 6:
                states = [json.loads(json.dumps(sink.state())) for sink in sinks]
        if killed:
            for sink in sinks:
                sink.close()
            sinks = [build_sink(settings, facts(folder)) for settings in OWN_FILES]
            for sink, state in zip(sinks, states, strict=True):
                sink.open(state)  # type: ignore[arg-type]
            for each in stream(20)[7:]:
                for sink in sinks:
                    sink.write(each)
        for sink in sinks:
            sink.close()
        trees.append(tree(folder))
    assert trees[0] == trees[1]


def test_a_killed_process_is_gone_on_with(tmp_path: Path) -> None:
    """A real one: it tells its states while it writes, and is killed at once when it has told enough of them."""
    program = (
        "import json\n"
        "from pathlib import Path\n"
        "from streamseg.sinks.build import build_sink\n"
        "from tests.sinks.small_stream import facts, stream\n"
        "from tests.sinks.test_build import OWN_FILES\n"
        f"sinks = [build_sink(settings, facts(Path({str(tmp_path / 'killed')!r}))) for settings in OWN_FILES]\n"
        "for sink in sinks: sink.open(None)\n"
        "for each in stream(20):\n"
        "    for sink in sinks: sink.write(each)\n"
        "    print(json.dumps([each.result.index, [sink.state() for sink in sinks]]), flush=True)\n"
        "input()\n"
    )
    root = Path(__file__).resolve().parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, **pipes) as process:
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline()) for _ in range(13)]
        process.kill()
    index, states = told[-1]
    for settings, state in zip(OWN_FILES, states, strict=True):
        write_all(build_sink(settings, facts(tmp_path / "whole")), stream(20), [row(1)])
        sink = build_sink(settings, facts(tmp_path / "killed"))
        sink.open(state)
        for each in stream(20)[index + 1 :]:
            sink.write(each)
        sink.close([row(1)])
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


def test_the_policy_is_that_of_the_settings(tmp_path: Path) -> None:
    for policy in ("stop", "drop-and-count"):
        sink = build_sink(JsonlSettings(on_error=policy), facts(tmp_path / policy))  # type: ignore[arg-type]
        sink.open(None)
        with full_disk(10):
            if policy == "stop":
                with pytest.raises(SinkError):
                    sink.write(stream(1)[0])
            else:
                sink.write(stream(1)[0])
                assert sink.lost == {"File too large": 1}
        sink.close()


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("settings", OWN_FILES, ids=lambda settings: str(settings.kind))
def test_rotation_is_for_what_has_no_end(settings: SinkSettings, live: bool, tmp_path: Path) -> None:
    rotation = RotationSettings(seconds=3)
    write_all(build_sink(settings, facts(tmp_path, live=live), rotation), stream(20, live=live))
    parts = [path for path in tmp_path.rglob("*") if ".00000" in path.name]
    assert bool(parts) is live


@pytest.mark.parametrize(
    ("text", "sinks"),
    [
        ("jsonl", (JsonlSettings(),)),
        ("jsonl,png,video", (JsonlSettings(), PngSettings(), VideoSettings())),
        (" stdout , masks,tracks ", (StdoutSettings(), MasksSettings(), TracksSettings())),
    ],
)
def test_save(text: str, sinks: tuple[SinkSettings, ...]) -> None:
    assert parse_save(text) == sinks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jsonl,vidoe", "--save does not know 'vidoe': did you mean 'video'? known are jsonl, stdout, png, "),
        ("xyz", "--save does not know 'xyz': known are jsonl"),
        ("", "--save does not know '': known are jsonl"),
        ("jsonl,", "--save does not know '': known are jsonl"),
        ("JSONL", "--save does not know 'JSONL': did you mean 'jsonl'?"),
        ("png,jsonl,png", "--save 'png,jsonl,png' names 'png' twice, expected each kind once"),
        ("webhook", "--save webhook lacks its url, expected it in the config: sinks: [{kind: webhook, url: ...}]"),
    ],
)
def test_what_save_does_not_take(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_save(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_used_is_not_loaded(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from streamseg.sinks.build import build_sink, parse_save\n"
        "from tests.sinks.small_stream import facts\n"
        f"build_sink(parse_save('jsonl')[0], facts(Path({str(tmp_path)!r})))\n"
        "print([name for name in ('av', 'torch', 'ray', 'http.client') if name in sys.modules])\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
