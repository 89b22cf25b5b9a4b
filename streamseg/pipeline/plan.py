"""From settings to what a run consists of: which streams, under which names and words. Nothing heavy is loaded yet."""

from dataclasses import dataclass
from pathlib import Path

from ..config.run import RunSettings
from ..config.sources import SourceSettings
from ..errors import ConfigError
from ..fcclip.spec import DEFAULT_MODEL, ModelSpec, get_spec
from ..sources.address import parse_address
from ..sources.base import Source, SourceInfo
from ..sources.open import expand, open_source
from ..sources.selection import check_selection
from ..vocabulary import Vocabulary
from .words import vocabulary_for

__all__ = ["RunPlan", "StreamPlan", "plan_run"]


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream.

    Attributes:
        name: in records and folders.
        settings: of its source.
        vocabulary: its words, with their background.
        info: what is known of it; of a camera that is nothing yet.
    """

    name: str
    settings: SourceSettings
    vocabulary: Vocabulary
    info: SourceInfo

    @property
    def live(self) -> bool:
        return self.info.kind == "live"

    @property
    def shown(self) -> str:
        """The source for people, without passwords."""
        return parse_address(self.settings.url).shown

    def describe(self) -> str:
        """What is known of it, for people."""
        info = self.info
        facts = [self.shown, info.kind]
        if info.size_hw is not None:
            facts.append(f"{info.size_hw[1]}x{info.size_hw[0]}")
        if info.fps is not None:
            facts.append(f"{float(info.fps):.4g} fps")
        if info.frames is not None:
            facts.append(f"{info.frames} frame{'' if info.frames == 1 else 's'}")
        return ", ".join([*facts, *([info.codec] if info.codec else [])])

    @property
    def recording(self) -> Path | None:
        """The file that frames come from, if it is one."""
        address = parse_address(self.settings.url)
        return Path(address.location) if address.kind == "file" else None


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run, resolved.

    Attributes:
        settings: of the run.
        spec: the model.
        streams: in order; at least one.
    """

    settings: RunSettings
    spec: ModelSpec
    streams: tuple[StreamPlan, ...]

    @property
    def names(self) -> list[str]:
        return [stream.name for stream in self.streams]

    def open(self, stream: StreamPlan) -> Source:
        """A fresh source of one of the streams."""
        return open_source(stream.settings, decode=self.settings.decode, live=self.settings.live)


def plan_run(settings: RunSettings, vocabulary: Vocabulary | None = None) -> RunPlan:
    """Resolve a run, and look at every recording, so that what cannot work fails before anything is loaded.

    Args:
        settings: of the run.
        vocabulary: taken as it is, instead of the run's, for streams without words of their own.

    Raises:
        ConfigError: no source, an unknown model or vocabulary, a setting that does not fit.
        SourceError: a recording cannot be opened.
    """
    spec = get_spec(settings.model.name or DEFAULT_MODEL)
    sources = expand(settings.sources)
    if not sources:
        raise ConfigError(
            "no source is given, expected a video, a folder, a camera or a URL: `streamseg run street.mp4`"
        )
    check_selection(settings.selection)
    streams = []
    for source in sources:
        own = source.classes is not None or source.vocabulary is not None
        words = _words(settings, source, spec) if own or vocabulary is None else vocabulary
        opened = open_source(source, decode=settings.decode, live=settings.live)
        streams.append(StreamPlan(opened.stream_id, source, words, opened.info()))
    return RunPlan(settings, spec, tuple(streams))


def _words(settings: RunSettings, source: SourceSettings, spec: ModelSpec) -> Vocabulary:
    return vocabulary_for(
        settings.vocabulary,
        classes=source.classes,
        vocabulary=source.vocabulary,
        background=source.background,
        default=spec.default_vocabulary,
    )
