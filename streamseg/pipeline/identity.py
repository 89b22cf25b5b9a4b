"""What a run was made of: enough to tell whether another can go on with it, and where its results are from."""

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from .. import __version__
from ..config.run import RunSettings
from ..parsing import to_plain
from ..sources.address import redact
from .plan import RunPlan, StreamPlan

__all__ = ["plan_identity", "run_identity", "run_manifest", "source_identity", "stream_facts"]

# What decides the last bits of a result, or its form in files.
LIBRARIES = ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "opencv-python-headless", "av", "lap")

# Settings that change when a run is done, not what it gives.
FREE = ("sources", "model", "output", "runtime", "ray", "commit_seconds", "max_failures", "live")


def run_identity(plan: RunPlan, segmenter: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that results depend on. Two runs with equal identities give the same records.

    Args:
        plan: of the run.
        segmenter: what `Segmenter.identity` says.
    """
    return {**plan_identity(plan), "segmenter": dict(segmenter)}


def plan_identity(plan: RunPlan) -> dict[str, Any]:
    """The part of it that is known before the model is loaded."""
    settings = {key: value for key, value in _shown(plan.settings).items() if key not in FREE}
    return {
        "settings": settings,
        "compile": plan.settings.model.compile,
        "torch_threads": plan.settings.torch_threads or torch.get_num_threads(),
        "libraries": {"streamseg": __version__, "python": platform.python_version(), **_versions()},
        "streams": {stream.name: source_identity(stream) for stream in plan.streams},
    }


def run_manifest(plan: RunPlan, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` says as a run begins."""
    settings = _shown(plan.settings)
    settings["sources"] = [{**to_plain(stream.settings), "url": stream.shown} for stream in plan.streams]
    return {
        "state": "running",
        "settings": settings,
        "identity": dict(identity),
        "streams": {stream.name: stream_facts(stream) for stream in plan.streams},
    }


def _shown(settings: RunSettings) -> dict[str, Any]:
    """Plain settings, without what may be secret."""
    plain = to_plain(settings)
    for sink in plain["sinks"]:
        if sink["kind"] == "webhook":
            sink["url"] = redact(sink["url"])
            del sink["headers"]
    return plain


def stream_facts(stream: StreamPlan) -> dict[str, Any]:
    """What `run.json` says of a stream."""
    info = stream.info
    return {
        "source": stream.shown,
        "kind": info.kind,
        "size": None if info.size_hw is None else list(info.size_hw),
        "fps": None if info.fps is None else list(info.fps.as_integer_ratio()),
        "frames": info.frames,
        "codec": info.codec,
        "recording": None if stream.recording is None else str(stream.recording.resolve()),
        "vocabulary": stream.vocabulary.to_dict(),
    }


def source_identity(stream: StreamPlan) -> dict[str, Any]:
    """A recording that was replaced by another one under the same name is another source."""
    size = stream.recording.stat().st_size if stream.recording is not None and stream.recording.is_file() else None
    words = {"vocabulary": stream.vocabulary.name, "words": _digest(stream)}
    return {"source": stream.shown, "bytes": size, **words}


def _digest(stream: StreamPlan) -> str:
    return hashlib.blake2b(stream.vocabulary.to_json().encode(), digest_size=8).hexdigest()


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
