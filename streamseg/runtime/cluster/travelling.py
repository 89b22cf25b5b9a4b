"""A plan on its way to other processes, where paths and variables of this one mean nothing."""

import os
from dataclasses import replace
from pathlib import Path

from ...config.run import RunSettings
from ...errors import ConfigError
from ...pipeline.plan import RunPlan, StreamPlan
from ...sources.address import parse_address

__all__ = ["travelling", "travelling_stream"]


def travelling(plan: RunPlan) -> RunPlan:
    """The same plan with absolute paths, and with the values of variables in URLs.

    Raises:
        ConfigError: a source is one that other processes cannot read.
    """
    streams = tuple(travelling_stream(stream) for stream in plan.streams)
    return RunPlan(_absolute(plan.settings), plan.spec, streams)


def travelling_stream(stream: StreamPlan) -> StreamPlan:
    """One of its streams."""
    address = parse_address(stream.settings.url)
    if address.kind == "pipe":
        raise ConfigError(
            f"{address.shown!r} can be read by this process alone, and under Ray another one does: write it to a file, "
            "or leave --runtime out"
        )
    location = address.location
    if address.kind in ("file", "image", "folder", "glob"):
        location = os.path.abspath(location)
    return replace(stream, settings=replace(stream.settings, url=location))


def _absolute(settings: RunSettings) -> RunSettings:
    model = settings.model
    weights, clip = (None if path is None else str(Path(path).absolute()) for path in (model.weights, model.clip))
    return replace(settings, sources=(), model=replace(model, weights=weights, clip=clip))
