"""Documents compiled from what a run has recorded, at its end or any time later."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from .documents.categories import Categories
from .documents.mots import write_mots
from .documents.panoptic import write_coco, write_vps
from .documents.records import RecordedStream, check_names
from .documents.ytvis import write_ytvis
from .files import cannot_write

__all__ = ["FORMATS", "Format", "export_streams"]


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of export: the function that fills an empty folder, and the names of what it puts there."""

    write: Callable[[Sequence[RecordedStream], Path, Categories], None]
    entries: tuple[str, ...]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "vps": Format(write_vps, ("pred.json", "pan_pred")),
        "coco": Format(write_coco, ("panoptic.json", "panoptic")),
        "mots": Format(write_mots, ("data", "seqmap.txt", "labels.txt")),
        "ytvis": Format(write_ytvis, ("results.json", "videos.json")),
    }
)
"""What there is, by name."""


def export_streams(kind: str, streams: Sequence[RecordedStream], folder: Path, *, stuff: bool = False) -> None:
    """Compile one format. The folder appears as a whole; what was there before stays until then.

    Args:
        kind: one of `FORMATS`.
        streams: of one run.
        folder: where to; an earlier one is replaced.
        stuff: of `ytvis`: list tracks of stuff too.

    Raises:
        SinkError: records are missing, damaged or without masks, or the folder cannot be written.
    """
    check_names(streams)
    categories = Categories()
    for stream in streams:
        if stream.vocabulary is not None:
            categories.add_vocabulary(stream.vocabulary)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        _clear(partial)
        partial.mkdir(parents=True)
        if kind == "ytvis":
            write_ytvis(streams, partial, categories, stuff=stuff)
        else:
            FORMATS[kind].write(streams, partial, categories)
        _clear(folder)
        partial.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _clear(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
