"""The numbers of a finished, killed or running run: what became of its frames, and how steady its results are.

What each number means: `streamseg/runs/stability.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..metrics import LatencyHistogram
from ..rle import Rle
from .clock import StreamClock
from .folder import RunFolder
from .reader import PanopticPngs, has_masks, read_records
from .stability import StreamWatcher, Timelines
from .tally import LENGTH_BINS, CategoryTally, Mean, Tally, TrackFlicker

__all__ = ["STATS_SCHEMA", "RunStats", "StreamStats", "run_stats"]

STATS_SCHEMA = "streamseg.stats/1"
DIGITS = 6
PERCENTILES = (50, 95, 99)

Record = Mapping[str, Any]
Track = Callable[[Iterable[Record], str], Iterable[Record]]


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Of one stream, or of all of them together.

    Attributes:
        tally: what its records add up to.
        totals: counts that the run noted of itself, `StreamTotals.to_dict`; None while it runs, or after a kill.
        latency: 50th, 95th and 99th percentile in seconds; None where neither records nor totals have any.
    """

    tally: Tally
    totals: Mapping[str, Any] | None
    latency: Sequence[float] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None for what cannot be told."""
        tally, totals = self.tally, self.totals or {}
        frames = tally.frames
        return {
            "records": tally.records,
            "failed": tally.failed,
            "decoded": totals.get("decoded"),
            "dropped": dict(sorted((totals.get("dropped") or tally.dropped).items())),
            "epochs": tally.epochs,
            "seconds": round(tally.seconds, DIGITS) or None,
            "events": dict(sorted(tally.events.items())),
            "segments_per_frame": {
                "mean": _ratio(tally.things + tally.stuff, frames),
                "things": _ratio(tally.things, frames),
                "stuff": _ratio(tally.stuff, frames),
                "most": tally.most_segments,
            },
            "void_share": _rounded(tally.void.value),
            "flicker": _by_kind(tally.flicker),
            "area_jitter": _by_kind(tally.jitter),
            "tracks": _tracks(tally),
            "churn": _churn(tally),
            "label_flips": {
                "count": tally.flips,
                "per_track": _ratio(tally.flips, tally.tracks),
                "per_track_minute": _ratio(60 * tally.flips, tally.track_seconds),
            },
            "latency_seconds": None
            if self.latency is None
            else dict(zip(_NAMES, map(_rounded, self.latency), strict=True)),
            "categories": _categories(tally),
            "most_flicker": [_worst(track) for track in sorted(tally.worst, reverse=True)],
        }


@dataclass(frozen=True, slots=True)
class RunStats:
    """Of a run.

    Attributes:
        state: "running", "finished", "stopped" or "failed", as the run says; a killed one still says "running".
        streams: by name.
        overall: all of them together.
        timelines: how each stream went.
    """

    state: str
    streams: Mapping[str, StreamStats]
    overall: StreamStats
    timelines: Mapping[str, Timelines]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "schema": STATS_SCHEMA,
            "state": self.state,
            "overall": self.overall.to_dict(),
            "streams": {name: stats.to_dict() for name, stats in self.streams.items()},
        }


def run_stats(run: RunFolder, streams: Sequence[str] | None = None, *, track: Track | None = None) -> RunStats:
    """Read the records of a run, once.

    Args:
        run: its folder.
        streams: their names; None for all.
        track: wraps the records of a stream, given its name, to show progress.

    Raises:
        ConfigError: there is no such stream, it has no records, or a record is damaged.
    """
    together = LatencyHistogram()
    found: dict[str, StreamStats] = {}
    timelines: dict[str, Timelines] = {}
    for name in run.streams if streams is None else streams:
        own = LatencyHistogram()
        watcher = StreamWatcher(
            name, StreamClock.of_stream(run.manifest["streams"][name]), _masks(run, name), (own, together)
        )
        records: Iterable[Record] = read_records(run, name)
        for record in records if track is None else track(records, name):
            _add(watcher, record, name)
        watcher.finish()
        totals = run.manifest["streams"][name].get("totals")
        found[name] = StreamStats(watcher.tally, totals, _latency(own, totals))
        timelines[name] = watcher.timelines
    return RunStats(run.manifest.get("state", "running"), found, _overall(list(found.values()), together), timelines)


def _add(watcher: StreamWatcher, record: Record, name: str) -> None:
    try:
        watcher.add(record)
    except ConfigError as error:
        raise ConfigError(f"frame {record['frame']} of stream {name!r}: {error}") from None


def _masks(run: RunFolder, name: str) -> Callable[[Record], Mapping[int, Rle] | None]:
    pngs = PanopticPngs(run.stream(name))

    def masks(record: Record) -> Mapping[int, Rle] | None:
        if has_masks(record):
            return {segment["id"]: segment["mask"] for segment in record["segments"]}
        return pngs.masks(record)

    return masks


def _overall(streams: Sequence[StreamStats], latencies: LatencyHistogram) -> StreamStats:
    known = [stream.totals for stream in streams if stream.totals is not None]
    totals: dict[str, Any] | None = None
    if known and len(known) == len(streams):
        dropped: dict[str, int] = {}
        for each in known:
            for reason, count in each["dropped"].items():
                dropped[reason] = dropped.get(reason, 0) + count
        totals = {"decoded": sum(each["decoded"] for each in known), "dropped": dropped}
    return StreamStats(Tally.sum(stream.tally for stream in streams), totals, _latency(latencies, None))


def _latency(measured: LatencyHistogram, totals: Mapping[str, Any] | None) -> Sequence[float] | None:
    """From the records of live input, else what the run noted at its end."""
    percentiles = [measured.percentile(percent) for percent in PERCENTILES]
    known = [value for value in percentiles if value is not None]
    if known:
        return known
    noted = (totals or {}).get("latency_seconds")
    return None if noted is None else [noted[name] for name in _NAMES]


_NAMES = tuple(f"p{percent}" for percent in PERCENTILES)


def _tracks(tally: Tally) -> dict[str, Any]:
    return {
        "things": tally.tracks,
        "stuff": tally.stuff_tracks,
        "confirmed_share": _ratio(tally.confirmed, tally.tracks),
        "short_share": _ratio(tally.short, tally.tracks),
        "mean_frames": _ratio(tally.track_frames, tally.tracks),
        "longest_frames": tally.longest,
        "returns": tally.returns,
        "lengths": [
            {"from_frames": begin, "to_frames": end, "tracks": count}
            for begin, end, count in zip(
                LENGTH_BINS, [*(bin_ - 1 for bin_ in LENGTH_BINS[1:]), None], tally.lengths, strict=True
            )
        ],
    }


def _churn(tally: Tally) -> dict[str, Any]:
    changes = tally.births + tally.deaths
    return {
        "births": tally.births,
        "deaths": tally.deaths,
        "per_second": _ratio(changes, tally.seconds),
        "per_100_frames": _ratio(100 * changes, tally.frames),
    }


def _categories(tally: Tally) -> list[dict[str, Any]]:
    """Those that take most of the frames first."""

    def rank(item: tuple[tuple[str, bool], CategoryTally]) -> tuple[float, str, bool]:
        return -item[1].area, *item[0]

    return [
        {
            "label": label,
            "isthing": isthing,
            "segments": category.segments,
            "tracks": category.tracks,
            "area_share": _ratio(category.area, tally.frames),
            "flicker": _rounded(category.flicker.value),
            "label_flips_to": category.flips,
        }
        for (label, isthing), category in sorted(tally.categories.items(), key=rank)
    ]


def _by_kind(means: Mapping[bool, Mean]) -> dict[str, Any]:
    both = Mean()
    both.join(means[True])
    both.join(means[False])
    return {
        "all": _rounded(both.value),
        "things": _rounded(means[True].value),
        "stuff": _rounded(means[False].value),
        "compared": both.count,
    }


def _worst(track: TrackFlicker) -> dict[str, Any]:
    return {
        "stream": track.stream,
        "epoch": track.epoch,
        "id": track.id,
        "label": track.label,
        "flicker": _rounded(track.flicker),
        "first_frame": track.first_frame,
        "last_frame": track.last_frame,
    }


def _ratio(value: float, by: float) -> float | None:
    return _rounded(value / by) if by else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
