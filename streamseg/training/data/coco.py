"""COCO panoptic as it is downloaded: what the published FC-CLIP was trained on.

    train2017/000000000009.jpg ...                 images
    annotations/panoptic_train2017.json            annotations
    annotations/panoptic_train2017/....png         masks, unpacked from the zip file beside the JSON

Any data set of that form will do, with a vocabulary that has its category ids.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import SourceError
from ...vocabulary import TRAINING_VOCABULARY, Vocabulary
from .panoptic_folder import PanopticFolder
from .panoptic_json import Entry, bad_entry, read_document, read_segments, require_same_kinds, take

__all__ = ["CocoPanoptic"]


class CocoPanoptic(PanopticFolder):
    """Pictures, one JSON, and a folder of PNGs.

    Args:
        images: folder of pictures; their names stand under `images` in the JSON.
        annotations: the panoptic JSON.
        masks: folder of the panoptic PNGs.
        vocabulary: what the category ids of the JSON mean; COCO's own, with the published synonyms, if left out.

    Raises:
        SourceError: the JSON cannot be read, or a folder is missing.
        ConfigError: things and stuff of JSON and vocabulary do not agree.
    """

    def __init__(
        self,
        *,
        images: str | os.PathLike[str],
        annotations: str | os.PathLike[str],
        masks: str | os.PathLike[str],
        vocabulary: Vocabulary | None = None,
    ) -> None:
        path = Path(annotations)
        document = read_document(path)
        vocabulary = Vocabulary.load(TRAINING_VOCABULARY) if vocabulary is None else vocabulary
        require_same_kinds(document, vocabulary, path)
        super().__init__(
            images=Path(images),
            masks=Path(masks),
            annotations=path,
            vocabulary=vocabulary,
            entries=tuple(_entries(document, vocabulary)),
        )


def _entries(document: Mapping[str, Any], vocabulary: Vocabulary) -> Iterator[Entry]:
    pictures = _picture_names(document)
    places = {category.id: place for place, category in enumerate(vocabulary.categories)}
    for number, annotation in enumerate(document["annotations"], start=1):
        name = f"annotation {number}"
        try:
            mask = name = take(annotation, "file_name", str)
            picture = _picture_of(annotation, pictures)
            yield Entry(picture, mask, read_segments(annotation, vocabulary.name, places))
        except SourceError as error:
            yield bad_entry(name, error)


def _picture_names(document: Mapping[str, Any]) -> dict[int, str]:
    """File name of each image id; a record without the two is as good as none."""
    names: dict[int, str] = {}
    images = document.get("images")
    for image in images if isinstance(images, list) else []:
        try:
            names[take(image, "id", int)] = take(image, "file_name", str)
        except SourceError:
            continue
    return names


def _picture_of(annotation: object, pictures: Mapping[int, str]) -> str:
    image_id = take(annotation, "image_id", int)
    if image_id not in pictures:
        raise SourceError(f"image_id {image_id} is not among the 'images' of the JSON")
    return pictures[image_id]
