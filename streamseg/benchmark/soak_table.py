"""What a soak has shown, as tables in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from .tables import head_of, row_of

__all__ = ["soak_table"]

HOUR = 3600.0


def soak_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: what was run, who died, the counts of every stream, and what grew."""
    return "\n\n".join(part for soak in results for part in _parts(soak))


def _parts(soak: Mapping[str, Any]) -> list[str]:
    options = soak["options"]
    kills = f"every {options['kill_every']:.0f} s a SIGKILL" if options["kill_every"] else "nobody is killed"
    told = (
        f"{soak['seconds'] / 60:.1f} minutes, {options['streams']} RTSP cameras, {options['size']} at {options['fps']} "
        f"frames a second, {kills}; {soak['cores']:.2f} cores busy with the run."
    )
    return [told, _streams(soak), *([_deaths(soak)] if soak["deaths"] else []), _growth(soak)]


def _streams(soak: Mapping[str, Any]) -> str:
    columns = ("stream", "decoded", "emitted", "dropped", "records", "each once, in order", "**balanced**")
    return "\n".join([*head_of(columns), *(row_of(_stream_cells(stream, soak)) for stream in soak["streams"])])


def _stream_cells(stream: Mapping[str, Any], soak: Mapping[str, Any]) -> list[str]:
    totals = stream["totals"]
    dropped = ", ".join(f"{reason} {count}" for reason, count in totals["dropped"].items())
    return [
        stream["name"],
        str(totals["decoded"]),
        str(totals["emitted"]),
        dropped or "none",
        str(stream["records"]),
        _yes(stream["in_order"]),
        f"**{_yes(soak['balanced'][stream['name']])}**",
    ]


def _deaths(soak: Mapping[str, Any]) -> str:
    columns = ("killed", "times", "all streams have new records again, s: median / longest")
    rows = []
    for kind, back in soak["back_seconds"].items():
        times = sum(death["kind"] == kind for death in soak["deaths"])
        rows.append([kind, str(times), "-" if back is None else f"{back[0]:.0f} / {back[1]:.0f}"])
    return "\n".join([*head_of(columns), *map(row_of, rows)])


def _growth(soak: Mapping[str, Any]) -> str:
    columns = ("memory of", "lives", "mean, MB", "growth, MB an hour (95 % of it)", "**flat**")
    drifts = {
        "all processes together": soak["whole"],
        "the object store": soak["store"],
        **{f"a {kind}" if kind != "emitter" else "an emitter": drift for kind, drift in soak["memory"].items()},
    }
    rows = [_drift_cells(name, drift) for name, drift in drifts.items()]
    most = f"The object store held {soak['store_most'] / 1e6:.2f} MB at most."
    return "\n".join([*head_of(columns), *map(row_of, rows), "", most])


def _drift_cells(name: str, drift: Mapping[str, Any] | None) -> list[str]:
    if drift is None:
        return [name, "-", "-", "too short to tell", "-"]
    slope, low, high = (f"{HOUR * drift[part] / 1e6:+.2f}" for part in ("slope", "low", "high"))
    return [
        name,
        str(drift["lives"]),
        f"{drift['mean'] / 1e6:.2f}",
        f"{slope} ({low} to {high})",
        f"**{_yes(drift['low'] <= 0)}**",
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
