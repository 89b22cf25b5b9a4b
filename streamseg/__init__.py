"""Open-vocabulary panoptic segmentation of video streams.

Video goes in; for every frame one panoptic result comes out: every pixel belongs to one thing or stuff segment, and
each segment carries a label from a vocabulary that the user writes in plain words. The model is FC-CLIP (Yu et al.,
NeurIPS 2023, arXiv 2308.02487): one frozen convolutional CLIP is backbone and open-vocabulary classifier at once.

    source -> decode -> [drop policy] -> batch -> segment -> associate -> fuse -> render / emit
             per stream                 many streams       per stream, in order        per stream

    source, decode      files, cameras, pictures, worlds: frames in order     sources/
    drop policy, batch  recordings wait, cameras keep the newest              runtime/
    segment             one pass over the image, one matrix product per
                        vocabulary; gives queries                             segmenter.py, fcclip/, queries.py
    associate, fuse     queries to tracks, and to one panoptic map            tracking/, panoptic.py, pipeline/
    render, emit        records, masks, overlay video, benchmark formats      sinks/

All of it:

    >>> import streamseg
    >>> for result in streamseg.run("street.mp4", classes=["car", "person", "road:stuff"]):
    ...     print(result.index, [(segment.id, segment.label) for segment in result.segments])

Or the parts, for frames of one's own:

    >>> segmenter = streamseg.Segmenter.load("fcclip-convnext-large")
    >>> vocabulary = streamseg.Vocabulary.parse("car,automobile; person; sky:stuff")
    >>> tracker = streamseg.Tracker(segmenter)
    >>> for frame in frames:
    ...     (queries,) = segmenter.segment([frame], vocabulary)
    ...     result = tracker.update(queries, frame)

Importing `streamseg` is quick: the names below are loaded when they are first used, and torch with them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .acceleration import optimize as optimize
    from .errors import ConfigError as ConfigError
    from .errors import DecodeError as DecodeError
    from .errors import DownloadError as DownloadError
    from .errors import EvaluationError as EvaluationError
    from .errors import ParityError as ParityError
    from .errors import SinkError as SinkError
    from .errors import SourceError as SourceError
    from .errors import StreamsegError as StreamsegError
    from .errors import TrainingError as TrainingError
    from .errors import VocabularyError as VocabularyError
    from .errors import WeightsError as WeightsError
    from .frames import Frame as Frame
    from .frames import FrameResult as FrameResult
    from .frames import Segment as Segment
    from .panoptic import PanopticMap as PanopticMap
    from .panoptic import panoptic_from_queries as panoptic_from_queries
    from .pipeline.tracker import Tracker as Tracker
    from .queries import Queries as Queries
    from .runtime.run import connect as connect
    from .runtime.run import run as run
    from .segmenter import Segmenter as Segmenter
    from .tracks import TrackRow as TrackRow
    from .vocabulary import Category as Category
    from .vocabulary import Vocabulary as Vocabulary

__version__ = "0.1.0"

_HOME_OF = {
    "Category": "vocabulary",
    "ConfigError": "errors",
    "DecodeError": "errors",
    "DownloadError": "errors",
    "EvaluationError": "errors",
    "Frame": "frames",
    "FrameResult": "frames",
    "PanopticMap": "panoptic",
    "ParityError": "errors",
    "Queries": "queries",
    "Segment": "frames",
    "Segmenter": "segmenter",
    "SinkError": "errors",
    "SourceError": "errors",
    "StreamsegError": "errors",
    "TrackRow": "tracks",
    "Tracker": "pipeline.tracker",
    "TrainingError": "errors",
    "Vocabulary": "vocabulary",
    "VocabularyError": "errors",
    "WeightsError": "errors",
    "connect": "runtime.run",
    "optimize": "acceleration",
    "panoptic_from_queries": "panoptic",
    "run": "runtime.run",
}

__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
