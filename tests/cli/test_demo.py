"""`streamseg demo`: what it hands on; what comes out is tested from an installed wheel."""

from importlib import import_module
from typing import Any

import pytest

from streamseg.cli import main
from streamseg.pipeline.plan import plan_run

demo = import_module("streamseg.cli.demo")


@pytest.mark.parametrize(
    ("arguments", "output", "flags"),
    [
        ([], "demo-out", {"resume": False, "overwrite": False, "quiet": False}),
        (["-o", "there", "--overwrite", "-q"], "there", {"resume": False, "overwrite": True, "quiet": True}),
        (["--resume"], "demo-out", {"resume": True, "overwrite": False, "quiet": False}),
    ],
)
def test_the_packaged_clip_through_the_packaged_model(
    arguments: list[str], output: str, flags: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, dict[str, bool]]] = []
    monkeypatch.setattr(demo, "execute", lambda settings, **given: calls.append((plan_run(settings), given)))
    assert main(["demo", *arguments]) == 0
    ((plan, given),) = calls
    assert given == flags
    assert plan.names == ["demo"]
    assert plan.spec.name == "demo"
    assert plan.settings.output == output
    assert [sink.kind for sink in plan.settings.sinks] == ["jsonl", "png", "video", "tracks"]
    (stream,) = plan.streams
    assert stream.vocabulary.name == "world"
    assert stream.recording is not None
    assert stream.recording.name == demo.CLIP
    assert stream.info.size_hw is not None
