"""`streamseg probe`: what a source is, and how it would be read."""

import json
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SourceError
from .app import app
from .options import JsonOption
from .text import printable

if TYPE_CHECKING:
    from ..config.sources import SourceSettings

HANGING_SECONDS = 45.0  # several time-outs in a row; an answer that takes longer will not come


@app.command()
def probe(
    source: Annotated[
        str,
        typer.Argument(
            help="A file, folder, glob, URL, camera number, world:..., or - for standard input.", show_default=False
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Look at a source: codec, size, rate, keyframes, timestamps, and what will be used."""
    from ..sources.open import expand

    found = [_within(HANGING_SECONDS, stream) for stream in expand([source])]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for number, facts in enumerate(found):
        print("\n" * bool(number) + "\n".join(_lines(facts)))


def _within(seconds: float, stream: "SourceSettings") -> dict[str, Any]:
    """`probe`, given up from outside if the library hangs: its time-outs do not cover everything."""
    from ..sources.address import parse_address
    from ..sources.probe import probe as look

    results: list[dict[str, Any]] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(look(stream).to_dict())
        except Exception as error:  # raised again below, in the thread that can show it
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise SourceError(
            f"{parse_address(stream.url).shown!r} has not answered for {seconds:g} s: check that it is on, and its "
            "address"
        )
    return results[0]


def _lines(facts: dict[str, Any]) -> list[str]:
    """One line for each fact that is known."""
    use = facts["use"]
    rows = {
        "source": facts["source"],
        "video": _joined(facts["codec"], facts["profile"], facts["pixel_format"], _in(facts["container"])),
        "stored as": _joined(
            _size(facts["stored_size"]),
            "turned" if facts["turned"] else None,
            "interlaced" if facts["interlaced"] else None,
            f"pixels {facts['pixel_aspect']:.3f} wide" if facts["pixel_aspect"] != 1 else None,
        ),
        "rate": _rate(facts),
        "length": _joined(_counted(facts["duration_seconds"], "s"), _counted(facts["frames"], "frames")),
        "keyframes": _keyframes(facts["keyframe_interval_frames"]),
        "timestamps": _timestamps(facts),
        "audio": ", ".join(facts["audio"]),
        "read as": _joined(use["kind"], f"stream {facts['name']!r}"),
        "transport": use["transport"],
        "decoder": use["decoder"],
        "policy": use["policy"],
        "frames": _size(use["size"]),
    }
    return [printable(f"{label:<12}{value}", sys.stdout) for label, value in rows.items() if value]


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _in(container: str | None) -> str | None:
    return None if container is None else f"in {container.partition(',')[0]}"


def _size(size_hw: list[int] | None) -> str | None:
    return None if size_hw is None else f"{size_hw[1]}x{size_hw[0]}"


def _counted(number: float | None, unit: str) -> str | None:
    return None if number is None else f"{number:.10g} {unit}"


def _rate(facts: dict[str, Any]) -> str:
    steadiness = {True: "variable", False: "constant", None: None}[facts["variable_fps"]]
    return _joined(None if facts["fps"] is None else f"{facts['fps']:.6g} frames/s", steadiness)


def _keyframes(interval: int | None) -> str | None:
    return None if interval is None else f"at most {interval} frames apart, as far as looked at"


def _timestamps(facts: dict[str, Any]) -> str:
    if facts["timestamps"] is None:
        return ""
    base = facts["time_base"]
    first = facts["first_pts_seconds"]
    return _joined(
        facts["timestamps"],
        None if first is None else f"from {first:.6g} s",
        None if base is None else f"in ticks of {base[0]}/{base[1]} s",
    )
