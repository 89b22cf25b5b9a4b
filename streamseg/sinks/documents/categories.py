"""The categories of a document.

Where an id means something else in another stream, or after the words have changed, whatever came later is renumbered.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...vocabulary import Vocabulary

__all__ = ["Categories", "Meaning"]


class Meaning(NamedTuple):
    """What a category is."""

    label: str
    isthing: bool


class Categories:
    """Collects categories, and gives each of them one id: its own, unless another category came first with it."""

    def __init__(self) -> None:
        self._taken: dict[int, Meaning] = {}
        self._renumbered: dict[Meaning, int] = {}

    def add_vocabulary(self, vocabulary: Vocabulary) -> None:
        """All of its categories, whether a frame shows them or not."""
        for category in vocabulary.categories:
            self._id(category.id, Meaning(category.label, category.isthing))

    def id_of(self, segment: Mapping[str, Any]) -> int:
        """What the category of a recorded segment is called in the document."""
        return self._id(segment["category_id"], Meaning(segment["label"], segment["isthing"]))

    def to_list(self) -> list[dict[str, Any]]:
        """As COCO lists them, by id."""
        listed = sorted(self._taken.items())
        return [{"id": id_, "name": meaning.label, "isthing": int(meaning.isthing)} for id_, meaning in listed]

    def _id(self, wanted: int, meaning: Meaning) -> int:
        if self._taken.setdefault(wanted, meaning) == meaning:
            return wanted
        if meaning not in self._renumbered:
            self._renumbered[meaning] = max(self._taken) + 1
            self._taken[self._renumbered[meaning]] = meaning
        return self._renumbered[meaning]
