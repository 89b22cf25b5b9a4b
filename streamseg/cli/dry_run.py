"""`streamseg run --dry-run`: the settings of a run as a config file that gives the same run."""

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ..config.describe import commented_yaml
from ..config.run import RunSettings
from ..config.sinks import SinkSettings, WebhookSettings
from ..config.sources import SourceSettings
from ..sources.address import HIDDEN, parse_address, redact
from .text import describe_words, printable

if TYPE_CHECKING:
    from ..pipeline.plan import RunPlan

__all__ = ["print_settings", "resolved", "without_secrets"]

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_NOBODY = re.compile(r"(?<=//):?@")  # what is left of a user and a password that were variables


def print_settings(settings: RunSettings) -> None:
    """With what follows from the sources and the model filled in; what is known of each stream as comments."""
    from ..pipeline.plan import plan_run

    plan = plan_run(settings)
    whole = resolved(plan)
    shown = without_secrets(whole)
    lines = [f"# {stream.name}: {stream.describe()}; {describe_words(stream.vocabulary)}" for stream in plan.streams]
    if shown != whole:
        lines.insert(0, f"# {HIDDEN} hides a secret: put ${{NAME}} there, and the environment variable NAME says it")
    print(printable(commented_yaml(shown).lstrip("\n") + "\n" + "\n".join(lines), sys.stdout))


def resolved(plan: "RunPlan") -> RunSettings:
    """The settings of a plan, with the names of its streams and what its model says."""
    model = plan.settings.model
    return replace(
        plan.settings,
        sources=tuple(replace(stream.settings, name=stream.name) for stream in plan.streams),
        model=replace(
            model,
            name=plan.spec.name,
            short_side=model.short_side or plan.spec.short_side,
            max_long_side=model.max_long_side or plan.spec.max_long_side,
        ),
    )


def without_secrets(settings: RunSettings) -> RunSettings:
    """Passwords in URLs and headers hidden; variables that stand for them stay."""
    return replace(
        settings,
        sources=tuple(_source(source) for source in settings.sources),
        sinks=tuple(_sink(sink) for sink in settings.sinks),
    )


def _source(source: SourceSettings) -> SourceSettings:
    return replace(source, url=_url(source.url)) if parse_address(source.url).kind in ("http", "rtsp") else source


def _sink(sink: SinkSettings) -> SinkSettings:
    if not isinstance(sink, WebhookSettings):
        return sink
    return replace(sink, url=_url(sink.url), headers=tuple(_header(header) for header in sink.headers))


def _url(url: str) -> str:
    bare = _NOBODY.sub("", _VARIABLE.sub("", url))
    return url if redact(bare) == bare else redact(url)


def _header(header: str) -> str:
    name, _, value = header.partition(":")
    return header if _VARIABLE.search(value) else f"{name}: {HIDDEN}"
