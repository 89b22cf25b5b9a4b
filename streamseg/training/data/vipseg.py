"""Video in VIPSeg's layout, frame by frame: each annotated frame is a training picture of its own.

    images/<video>/<frame>.jpg
    panomasksRGB/<video>/<frame>.png     id = R + 256 G + 65536 B, the same for a segment in all frames of a video
    panoptic_gt.json                     annotations: for each video, its frames' segments

FC-CLIP is trained on single pictures, so that ids stay the same over time is of no use here.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...vocabulary import Vocabulary
from .panoptic_folder import PanopticFolder
from .panoptic_json import (
    Entry,
    bad_entry,
    read_document,
    read_segments,
    require_same_kinds,
    take,
    vocabulary_from_categories,
)

__all__ = ["VipSeg"]


class VipSeg(PanopticFolder):
    """Frames of annotated videos.

    Args:
        images: folder with one folder of frames for each video.
        annotations: the panoptic JSON of the split.
        masks: folder with one folder of panoptic PNGs for each video, `panomasksRGB` in VIPSeg.
        vocabulary: what the category ids of the JSON mean; the categories that it lists itself, if left out.
        frame_suffix: what the frames' file names end in.

    Raises:
        SourceError: the JSON cannot be read or lists no categories, or a folder is missing.
        ConfigError: things and stuff of JSON and vocabulary do not agree, or the listed categories contradict.
    """

    def __init__(
        self,
        *,
        images: str | os.PathLike[str],
        annotations: str | os.PathLike[str],
        masks: str | os.PathLike[str],
        vocabulary: Vocabulary | None = None,
        frame_suffix: str = ".jpg",
    ) -> None:
        path = Path(annotations)
        document = read_document(path)
        if vocabulary is None:
            vocabulary = vocabulary_from_categories(document, path)
        else:
            require_same_kinds(document, vocabulary, path)
        super().__init__(
            images=Path(images),
            masks=Path(masks),
            annotations=path,
            vocabulary=vocabulary,
            entries=tuple(_entries(document, vocabulary, frame_suffix)),
        )


def _entries(document: Mapping[str, Any], vocabulary: Vocabulary, frame_suffix: str) -> Iterator[Entry]:
    places = {category.id: place for place, category in enumerate(vocabulary.categories)}
    for number, video in enumerate(document["annotations"], start=1):
        name = f"video {number}"
        try:
            name = take(video, "video_id", str)
            frames = take(video, "annotations", list)
        except SourceError as error:
            yield bad_entry(name, error)
            continue
        for position, frame in enumerate(frames, start=1):
            try:
                stem = f"{name}/{os.path.splitext(take(frame, 'file_name', str))[0]}"
                yield Entry(f"{stem}{frame_suffix}", f"{stem}.png", read_segments(frame, vocabulary.name, places))
            except SourceError as error:
                yield bad_entry(f"{name}, frame {position}", error)
