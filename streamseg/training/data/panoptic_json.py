"""Panoptic annotations as JSON: what COCO's layout and VIPSeg's have in common.

A document that cannot be read at all is an error at once. Anything that is wrong with a single picture concerns that
picture alone, and is kept as its problem, so that a reader can list all of them, or do without.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError, SourceError
from ...vocabulary import Category, Vocabulary

__all__ = [
    "CROWD",
    "Entry",
    "bad_entry",
    "read_document",
    "read_segments",
    "require_same_kinds",
    "take",
    "vocabulary_from_categories",
]

CROWD = -1
"""Stands for the place in the vocabulary where a segment is a crowd: known, but nothing to learn from."""

LARGEST_ID = 2**24 - 1  # what three bytes of a PNG hold

Value = TypeVar("Value", str, int, list[Any])


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What the JSON says of one picture.

    Attributes:
        picture, mask: the two files, relative to the folders of pictures and of masks; empty if the JSON names none.
        segments: (S, 2) int32, for each segment its id in the mask and its place in the vocabulary, or `CROWD`.
        problem: why the entry cannot be used; empty if nothing is known against it.
    """

    picture: str
    mask: str
    segments: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    problem: str = ""


def bad_entry(name: str, error: SourceError) -> Entry:
    """An entry that says what is wrong with it."""
    return Entry("", "", problem=f"{name}: {error}")


def read_document(path: Path) -> Mapping[str, Any]:
    """The whole file.

    Raises:
        SourceError: it cannot be read, is not JSON, or holds no list of annotations.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"cannot open annotations {str(path)!r}: {error.strerror}: check the path") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"annotations {str(path)!r} are not valid JSON: {error}: fetch the file again") from None
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        raise SourceError(
            f"{str(path)!r} holds no list 'annotations', expected panoptic annotations: give the panoptic JSON"
        )
    if not document["annotations"]:
        raise SourceError(f"{str(path)!r} has no annotations, expected at least one: give the JSON of another split")
    return document


def take(record: object, key: str, kind: type[Value]) -> Value:
    """A value out of a JSON object; SourceError if it is missing or of another type."""
    if not isinstance(record, dict):
        raise SourceError(f"found {_show(record)}, expected a JSON object with the key {key!r}")
    if type(value := record.get(key)) is not kind:  # exactly: true is no number
        found = _show(value) if key in record else "missing"
        raise SourceError(f"{key!r} is {found}, expected {_KINDS[kind]}")
    return value


def read_segments(annotation: object, vocabulary_name: str, places: Mapping[int, int]) -> npt.NDArray[np.int32]:
    """The segments of one picture, as `Entry.segments`; `places` maps a category id to its place in the vocabulary.

    Raises:
        SourceError: there are none, or one of them has no possible id, an id that stands twice, or an unknown category.
    """
    segments: dict[int, int] = {}
    for info in take(annotation, "segments_info", list):
        number, category = take(info, "id", int), take(info, "category_id", int)
        if not 1 <= number <= LARGEST_ID:
            raise SourceError(f"segment id {number} is not between 1 and {LARGEST_ID}")
        if number in segments:
            raise SourceError(f"segment id {number} stands twice")
        if category not in places:
            raise SourceError(f"category_id {category} of segment {number} is not in vocabulary {vocabulary_name!r}")
        segments[number] = CROWD if info.get("iscrowd") else places[category]
    if not segments:
        raise SourceError("it has no segments")
    return np.array(list(segments.items()), np.int32)


def vocabulary_from_categories(document: Mapping[str, Any], path: Path) -> Vocabulary:
    """The vocabulary that the JSON itself lists, under the file's name.

    Names become words: `well_or_well_lid` reads "well", with the synonym "well lid".

    Raises:
        SourceError: there is no usable list.
    """
    try:
        categories = tuple(_category(item) for item in take(document, "categories", list))
    except SourceError as error:
        raise SourceError(f"categories of {str(path)!r}: {error}; or give a vocabulary") from None
    return Vocabulary(path.stem, categories)


def _category(item: object) -> Category:
    words = " ".join(take(item, "name", str).replace("_", " ").split())
    return Category(take(item, "id", int), tuple(dict.fromkeys(words.split(" or "))), _isthing(item))


def _isthing(item: object) -> bool:
    """COCO writes 0 and 1, others true and false."""
    value = item.get("isthing") if isinstance(item, dict) else None
    if value not in (0, 1):
        raise SourceError(f"'isthing' is {_show(value)}, expected 0 or 1")
    return bool(value)


def require_same_kinds(document: Mapping[str, Any], vocabulary: Vocabulary, path: Path) -> None:
    """Refuse a vocabulary whose ids mean something else than the data set's, as far as things and stuff tell.

    Ids that were numbered anew hit wrong categories without a trace; that both lists call a thing what the other calls
    stuff is the sign of it. A JSON without categories passes.

    Raises:
        ConfigError: a category is a thing on one side and stuff on the other.
    """
    kinds = {category.id: category for category in vocabulary.categories}
    listed = document.get("categories")
    for item in _usable(listed if isinstance(listed, list) else []):
        ours = kinds.get(item["id"])
        if ours is not None and ours.isthing != bool(item["isthing"]):
            raise ConfigError(
                f"category {item['id']} is {_kind(not ours.isthing)} {item.get('name')!r} in {str(path)!r}, but "
                f"{_kind(ours.isthing)} {ours.label!r} in vocabulary {vocabulary.name!r}: give a vocabulary with the "
                "data set's own ids"
            )


def _usable(categories: Iterable[object]) -> Iterable[dict[str, Any]]:
    return (item for item in categories if isinstance(item, dict) and type(item.get("id")) is int and "isthing" in item)


def _kind(isthing: bool) -> str:
    return "the thing" if isthing else "the stuff"


_KINDS: Mapping[type, str] = {str: "a string", int: "a whole number", list: "a list"}


def _show(value: object) -> str:
    """`repr`, cut so that a message stays one readable line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
