"""From what the user names to sources: one for each stream, recorded or live."""

import glob
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ..config.sources import DecodeSettings, LiveSettings, SourceSettings
from ..errors import SourceError
from .address import STILL_SUFFIXES, Address, parse_address
from .base import Kind, Source
from .images import natural_key
from .naming import stream_names
from .opening import open_video
from .pictures import Pictures
from .pipe import VideoPipe
from .video import VideoFile, duration_of
from .world import WorldSource, parse_world

__all__ = ["VIDEO_SUFFIXES", "expand", "kind_of", "open_source"]

VIDEO_SUFFIXES = (
    *(".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".flv", ".wmv", ".3gp"),
    *(".ogv", ".vob", ".mxf", ".gif", ".h264", ".264", ".h265", ".265", ".hevc", ".y4m", ".ivf", ".mjpeg", ".mjpg"),
)
"""What folders and globs are searched for; a file that is named outright may end in anything."""

FINITE_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi")
"""Containers whose index says how long they are: behind a URL, too, they have an end."""


def expand(sources: Sequence[str | SourceSettings]) -> list[SourceSettings]:
    """One entry for each stream, all with names.

    A folder or glob of videos is a stream for each of them, one of pictures is one stream.

    Raises:
        ConfigError: a source or a name makes no sense.
        SourceError: a path leads nowhere, or to nothing that can be shown.
    """
    single: list[tuple[SourceSettings, Address]] = []
    for source in sources:
        settings = SourceSettings(source) if isinstance(source, str) else source
        address = parse_address(settings.url)
        videos = _videos(address)
        if videos is None:
            single.append((settings, address))
        else:
            single.extend((_one_of(settings, path, len(videos)), parse_address(str(path))) for path in videos)
    names = stream_names([address for _, address in single], [settings.name for settings, _ in single])
    return [replace(settings, name=name) for (settings, _), name in zip(single, names, strict=True)]


def open_source(
    source: SourceSettings | Address,
    stream_id: str | None = None,
    decode: DecodeSettings | None = None,
    live: LiveSettings | None = None,
) -> Source:
    """The source of one stream. Nothing is opened but an HTTP URL that does not say what it is (see `kind_of`).

    Args:
        source: one of `expand`'s, or an address.
        stream_id: name of the stream; the one of the settings, or one that is made, if left out.
        decode, live: how to read it.

    Raises:
        ConfigError, SourceError: it makes no sense, or there is nothing.
    """
    address = source if isinstance(source, Address) else parse_address(source.url)
    given = source.name if isinstance(source, SourceSettings) else None
    name = stream_id or given or stream_names([address])[0]
    decode, live = decode or DecodeSettings(), live or LiveSettings()
    if kind_of(address, decode, live) == "live":
        from .live import LiveSource

        return LiveSource(address, name, live, decode)
    if address.kind == "world":
        return WorldSource(parse_world(address.location), name)
    if address.kind == "pipe":
        return VideoPipe(address, name)
    if address.kind in ("image", "folder", "glob"):
        return Pictures(_pictures(address), name)
    return VideoFile(address, name, decode, live)


def kind_of(address: Address, decode: DecodeSettings, live: LiveSettings) -> Kind:
    """Whether an address is a recording or live.

    Cameras and RTSP are live. An HTTP URL that ends in .mp4, .m4v, .mov or .avi is a recording. Any other one is asked:
    it is a recording if it tells how long it is (an HLS playlist with an end does), and live if not, or if nobody
    answers.
    """
    if address.kind in ("camera", "rtsp"):
        return "live"
    if address.kind != "http" or PurePosixPath(urlsplit(address.location).path).suffix.lower() in FINITE_SUFFIXES:
        return "recorded"
    timeout = (live.connect_timeout_seconds, live.read_timeout_seconds)
    try:
        with open_video(address, replace(decode, hardware="off"), timeout=timeout) as opened:
            return "live" if duration_of(opened) is None else "recorded"
    except SourceError:
        return "live"


def _videos(address: Address) -> list[Path] | None:
    """The videos that a folder or glob stands for; None for anything that is one stream."""
    if address.kind not in ("folder", "glob"):
        return None
    found = _files(address)
    videos = [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES]
    pictures = [path for path in found if path.suffix.lower() in STILL_SUFFIXES]
    if videos and pictures:
        raise SourceError(
            f"{address.shown!r} holds {len(videos)} videos and {len(pictures)} pictures, expected one of both: name "
            f"them apart, such as '*{videos[0].suffix}' and '*{pictures[0].suffix}'"
        )
    if pictures:
        return None
    if not videos and address.kind == "folder":
        raise SourceError(
            f"folder {address.shown!r} holds neither videos nor pictures, expected files such as "
            f"{', '.join((*VIDEO_SUFFIXES[:3], *STILL_SUFFIXES[:2]))}"
        )
    return videos or found


def _pictures(address: Address) -> list[Path]:
    found = [Path(address.location)] if address.kind == "image" else _files(address)
    if address.kind == "image":
        return found
    pictures = [path for path in found if path.suffix.lower() in STILL_SUFFIXES]
    if not pictures:
        raise SourceError(
            f"{address.shown!r} holds no pictures, expected files such as {', '.join(STILL_SUFFIXES[:4])}"
        )
    return pictures


def _files(address: Address) -> list[Path]:
    """The files of a folder or glob, in natural order."""
    location = address.location
    try:
        entries = (
            list(Path(location).iterdir())
            if address.kind == "folder"
            else [Path(match) for match in glob.glob(location, recursive=True)]
        )
    except OSError as error:
        raise SourceError(f"cannot list {address.shown!r}: {error.strerror}") from None
    files = sorted((entry for entry in entries if entry.is_file() and entry.name[0] != "."), key=natural_key)
    if not files and address.kind == "glob":
        raise SourceError(f"no file matches {address.shown!r}: check the pattern")
    return files


def _one_of(settings: SourceSettings, path: Path, count: int) -> SourceSettings:
    """The settings of one video out of several; a name that was given for all of them is made unique."""
    name = settings.name if settings.name is None or count == 1 else f"{settings.name}-{path.stem}"
    return replace(settings, url=str(path), name=name)
