"""Annotation files as they are downloaded: JSON documents, panoptic PNGs, pictures of labels.

Every message names the file, what it was expected to be, and where it comes from.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ...errors import EvaluationError

__all__ = ["IGNORED", "LabelCoding", "existing", "home_of", "read_document", "read_ids", "read_labels"]

IGNORED = -1
"""Stands in a map of classes where the truth says nothing."""

LABEL_MODES = ("L", "P", "I", "I;16", "I;16L", "I;16B")

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class LabelCoding:
    """What the values of a picture of labels mean.

    Attributes:
        values: the value of each class, in the order of the vocabulary.
        ignored: values that say nothing.
    """

    values: tuple[int, ...]
    ignored: frozenset[int]

    @classmethod
    def positions(cls, count: int, *, ignored: int, first: int = 0) -> "LabelCoding":
        """Classes in order, numbered from `first`."""
        return cls(tuple(range(first, first + count)), frozenset({ignored}))

    def decode(self, labels: Ids, path: Path) -> Ids:
        """(H, W) values -> (H, W) positions in the vocabulary, or `IGNORED`.

        Raises:
            EvaluationError: a value means nothing.
        """
        present, place = np.unique(labels, return_inverse=True)
        positions = {value: position for position, value in enumerate(self.values)} | dict.fromkeys(
            self.ignored, IGNORED
        )
        unknown = [value for value in present.tolist() if value not in positions]
        if unknown:
            raise EvaluationError(
                f"{path} holds the label {unknown[0]}, expected one of {len(self.values)} classes "
                f"({min(self.values)} to {max(self.values)}) or {', '.join(map(str, sorted(self.ignored)))} for "
                "nothing: prepare the labels as docs/datasets.md says"
            )
        table = np.array([positions[value] for value in present.tolist()], np.int32)
        return table[place].reshape(labels.shape)


def home_of(root: Path, *names: str) -> Path:
    """The folder of a data set: `root` itself, or the folder of that name in it.

    Raises:
        EvaluationError: there is no such folder.
    """
    if not root.is_dir():
        raise EvaluationError(f"no folder {str(root)!r}, expected the data set, or the folder that holds {names[0]}/")
    return next((root / name for name in names if (root / name).is_dir()), root)


def existing(what: str, *candidates: Path) -> Path:
    """The first of several places that is there.

    Args:
        what: what is expected, and where it comes from.
        candidates: the usual place first.

    Raises:
        EvaluationError: none of them is there.
    """
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        others = f" (nor {', '.join(str(path) for path in candidates[1:])})" if len(candidates) > 1 else ""
        raise EvaluationError(f"no {candidates[0]}{others}, expected {what}")
    return found


def read_document(path: Path, keys: Sequence[str] = ("annotations",)) -> Mapping[str, Any]:
    """A JSON document with these lists.

    Raises:
        EvaluationError: it cannot be read, or lacks one of them.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(
            f"cannot read {path} ({' '.join(str(error).split())}), expected a JSON document"
        ) from None
    missing = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if missing:
        raise EvaluationError(f"{path} has no list {missing[0]!r}, expected COCO's format: fetch or make it again")
    document: Mapping[str, Any] = content
    return document


def read_ids(path: Path) -> Ids:
    """A panoptic PNG: (H, W) int32, id = R + 256 G + 65536 B.

    Raises:
        EvaluationError: it cannot be read, or is of another kind.
    """
    mode, pixels = _open(path, "a panoptic PNG")
    if mode != "RGB":
        raise EvaluationError(f"{path} is of mode {mode}, expected 8 bit RGB with id = R + 256 G + 65536 B")
    packed = np.zeros((*pixels.shape[:2], 4), np.uint8)
    packed[..., :3] = pixels
    return packed.view("<u4")[..., 0].astype(np.int32)


def read_labels(path: Path) -> Ids:
    """A picture whose pixels are labels, of 8 or 16 bits, with a palette or without: (H, W) int32.

    Raises:
        EvaluationError: it cannot be read, or its pixels are colours.
    """
    mode, pixels = _open(path, "a picture of labels")
    if mode not in LABEL_MODES:
        raise EvaluationError(f"{path} is of mode {mode}, expected one number for each pixel, not colours")
    return pixels.astype(np.int32)


def _open(path: Path, what: str) -> tuple[str, npt.NDArray[Any]]:
    try:
        with Image.open(path) as image:
            return image.mode, np.asarray(image)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise EvaluationError(f"cannot read {path} ({reason}), expected {what}") from None
