"""From a plan to the parts of a run: segmenter and sinks. Torch is loaded with the segmenter, not before: processes
that only write results do without."""

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.run import RunSettings
from ..config.sources import SelectionSettings
from ..fcclip.spec import DEFAULT_MODEL
from ..sinks.base import StreamFacts
from ..sinks.build import build_sink
from ..sinks.guard import GuardedSink
from ..sources.base import SourceInfo, Stop
from .plan import RunPlan, StreamPlan

if TYPE_CHECKING:
    from ..segmenter import Segmenter

__all__ = ["build_segmenter", "build_sinks", "expected_results", "result_fps"]


def build_segmenter(settings: RunSettings, *, progress: bool = True) -> "Segmenter":
    """The model of a run, filled and made as fast as asked for.

    Errors as of `Segmenter.load`.
    """
    from ..acceleration import optimize
    from ..segmenter import Segmenter

    model = settings.model
    segmenter = Segmenter.load(
        model.name or DEFAULT_MODEL,
        weights=model.weights,
        clip=model.clip,
        device=model.device,
        precision=model.precision,
        short_side=model.short_side,
        max_long_side=model.max_long_side,
        progress=progress,
    )
    if settings.tracking.method == "minvis":
        segmenter.min_objectness = 0.0  # its tracks are the model's query slots, so all of them have to be there
    return optimize(segmenter, compile=model.compile, channels_last=model.channels_last)


def build_sinks(plan: RunPlan, stream: StreamPlan, folder: Path | None, stop: Stop) -> list[GuardedSink]:
    """The sinks of one stream, not yet open.

    Args:
        plan: of the run.
        stream: one of its streams.
        folder: the stream's own; without one there are only those sinks that write no files.
        stop: ends what sinks wait for.
    """
    settings = plan.settings
    chosen = [sink for sink in settings.sinks if folder is not None or sink.kind not in settings.file_sinks]
    facts = StreamFacts(
        stream_id=stream.name,
        folder=folder or Path(),
        model=plan.spec.name,
        vocabulary=stream.vocabulary,
        live=stream.live,
        fps=result_fps(stream.info, settings.selection),
        recording=stream.recording,
    )
    return [build_sink(sink, facts, settings.rotation, stop) for sink in chosen]


def result_fps(info: SourceInfo, selection: SelectionSettings) -> Fraction | None:
    """Results a second: the stream's rate, after stride and max_fps."""
    if info.fps is None:
        return None
    fps = info.fps / selection.stride
    return fps if selection.max_fps is None else min(fps, Fraction(selection.max_fps))


def expected_results(info: SourceInfo, selection: SelectionSettings) -> int | None:
    """How many results a stream will have, as far as its container says; None where nobody can tell."""
    limit, frames = selection.max_frames, info.frames
    if frames is None and info.fps is not None and info.duration_seconds is not None:
        frames = round(info.fps * info.duration_seconds)
    if frames is None:
        return limit
    fps = result_fps(info, selection)
    if info.fps is None or fps is None:  # pictures have no time
        count = math.ceil(frames / selection.stride)
    else:
        end = frames / info.fps
        if selection.end_seconds is not None:
            end = min(end, Fraction(selection.end_seconds))
        count = max(0, math.ceil((end - Fraction(selection.start_seconds or 0)) * fps))
    return count if limit is None else min(count, limit)
