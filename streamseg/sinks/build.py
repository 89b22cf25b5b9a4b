"""From settings to sinks."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ..config.sinks import (
    JsonlSettings,
    MasksSettings,
    MotsSettings,
    PngSettings,
    RotationSettings,
    SinkSettings,
    StdoutSettings,
    TracksSettings,
    VideoSettings,
    VpsSettings,
    WebhookSettings,
    YtvisSettings,
)
from ..errors import ConfigError
from .base import Sink, StreamFacts
from .guard import GuardedSink

if TYPE_CHECKING:
    from .delivery import Stop

__all__ = ["build_sink", "parse_save"]

DEFAULTS: Mapping[str, SinkSettings] = {
    settings.kind: settings
    for settings in (
        JsonlSettings(),
        StdoutSettings(),
        PngSettings(),
        MasksSettings(),
        TracksSettings(),
        VideoSettings(),
        VpsSettings(),
        MotsSettings(),
        YtvisSettings(),
    )
}
"""What can do without settings of its own."""


def build_sink(
    settings: SinkSettings, facts: StreamFacts, rotation: RotationSettings | None = None, stop: "Stop | None" = None
) -> GuardedSink:
    """The sink of one stream, under the policy of its settings. Nothing is opened yet.

    Args:
        settings: which kind, and how.
        facts: of the stream.
        rotation: when files are cut into parts; None for the defaults.
        stop: ends waits for others (HTTP), so that a run that is stopped does not wait for them.
    """
    return GuardedSink(_sink(settings, facts, rotation, stop), settings.on_error)


def parse_save(text: str, configured: Sequence[SinkSettings] = ()) -> tuple[SinkSettings, ...]:
    """The sinks of `--save jsonl,png,video`: as a config says of them, else with their defaults.

    Raises:
        ConfigError: a kind is unknown, stands twice, or cannot do without settings of its own; or there is none.
    """
    kinds = [kind.strip() for kind in text.split(",")]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice:
        raise ConfigError(f"--save {text!r} names {twice!r} twice, expected each kind once: leave one out")
    known: dict[str, SinkSettings] = {settings.kind: settings for settings in configured}
    return tuple(known.get(kind) or _default(kind) for kind in kinds)


def _default(kind: str) -> SinkSettings:
    if kind == "webhook":
        raise ConfigError("--save webhook lacks its url, expected it in the config: sinks: [{kind: webhook, url: ...}]")
    if kind not in DEFAULTS:
        nearest = get_close_matches(kind.lower(), DEFAULTS, n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise ConfigError(f"--save does not know {kind!r}: {hint}known are {', '.join(DEFAULTS)}, webhook")
    return DEFAULTS[kind]


def _sink(settings: SinkSettings, facts: StreamFacts, rotation: RotationSettings | None, stop: "Stop | None") -> Sink:
    """What a kind is made by. Modules are loaded here: a run without video needs no encoder."""
    match settings:
        case JsonlSettings():
            from .jsonl import JsonlSink

            return JsonlSink(facts, settings, rotation)
        case StdoutSettings():
            from .stdout import StdoutSink

            return StdoutSink(settings)
        case PngSettings():
            from .panoptic_png import PanopticPngSink

            return PanopticPngSink(facts, rotation)
        case MasksSettings():
            from .segment_masks import SegmentMasksSink

            return SegmentMasksSink(facts, rotation)
        case TracksSettings():
            from .tracks import TracksSink

            return TracksSink(facts, rotation)
        case VideoSettings():
            from .overlay_video import OverlayVideoSink

            return OverlayVideoSink(facts, settings, rotation)
        case VpsSettings() | MotsSettings() | YtvisSettings():
            from .documents.sink import DocumentSink

            return DocumentSink(facts, settings)
        case WebhookSettings():
            from .webhook import WebhookSink

            return WebhookSink(facts, settings, stop)
