"""A folder of pictures, a folder of panoptic PNGs, and what they have in common for training.

`CocoPanoptic` and `VipSeg` read the two JSON layouts into entries; from there on all data sets are the same: picture
and mask are read together, and held against the JSON before anything is learned from them.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from ...errors import DecodeError, SourceError
from ...fcclip.targets import Targets
from ...sources.images import read_image
from ...vocabulary import Vocabulary
from .panoptic_json import CROWD, Entry

__all__ = ["AnnotatedPicture", "PanopticFolder", "read_panoptic_png", "targets_from_ids"]

LISTED = 10  # problems that one message names; the rest is counted


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedPicture:
    """One picture and the segment of each of its pixels.

    Attributes:
        picture: (H, W, 3) uint8, RGB.
        ids: (H, W) int32, 0 is void.
        segments: (S, 2) int32, id and place in the vocabulary (or `CROWD`) of each segment; exactly the ids of `ids`.
        name: the picture's file, relative to its folder.
    """

    picture: npt.NDArray[np.uint8]
    ids: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int32]
    name: str

    @property
    def size_hw(self) -> tuple[int, int]:
        height, width = self.ids.shape
        return height, width


class PanopticFolder:
    """Annotated pictures, by number; nothing is read before it is asked for, and nothing changes afterwards.

    Args:
        images, masks: the two folders that entries name files in.
        annotations: the JSON that the entries are from, for messages.
        vocabulary: what the entries' places count in.
        entries: one for each picture.

    Raises:
        SourceError: a folder is missing.
    """

    def __init__(
        self, *, images: Path, masks: Path, annotations: Path, vocabulary: Vocabulary, entries: Sequence[Entry]
    ) -> None:
        for folder, what in ((images, "pictures"), (masks, "panoptic PNGs")):
            if not folder.is_dir():
                raise SourceError(f"no folder {str(folder)!r}, expected one with {what}: check the path")
        self.images = images
        self.masks = masks
        self.annotations = annotations
        self.vocabulary = vocabulary
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.annotations)!r}, {len(self)} pictures, {self.vocabulary.name!r})"

    def problems(self) -> dict[int, str]:
        """What is wrong with each bad entry, as far as JSON and lists of files show; no picture is opened."""
        listing = cache(_names_in)
        found: dict[int, str] = {}
        for index, entry in enumerate(self.entries):
            missing = (
                f"no file {path!r}"
                for path in (str(self.images / entry.picture), str(self.masks / entry.mask))
                if os.path.basename(path) not in listing(os.path.dirname(path))
            )
            if problem := entry.problem or next(missing, ""):
                found[index] = problem
        return found

    def check(self) -> None:
        """Refuse the folder if `problems` finds any.

        Raises:
            SourceError: names the first ten and counts the others.
        """
        problems = list(self.problems().values())
        if not problems:
            return
        rest = f"; and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise SourceError(
            f"{len(problems)} of {len(self)} entries of {str(self.annotations)!r} cannot be used: "
            f"{'; '.join(problems[:LISTED])}{rest}"
        )

    def read(self, index: int) -> AnnotatedPicture:
        """One picture with its segments, held against each other.

        Raises:
            SourceError: a file is missing; picture, mask and JSON contradict each other; or the JSON itself is wrong.
            DecodeError: a file is damaged, or the mask is not an 8-bit RGB PNG.
        """
        entry = self.entries[index]
        if entry.problem:
            raise SourceError(entry.problem)
        picture = read_image(self.images / entry.picture)
        ids = read_panoptic_png(self.masks / entry.mask)
        _require_same_size(picture, ids, self.images / entry.picture, self.masks / entry.mask)
        _require_same_ids(ids, entry.segments, self.masks / entry.mask)
        return AnnotatedPicture(picture, ids, entry.segments, entry.picture)


def read_panoptic_png(path: Path) -> npt.NDArray[np.int32]:
    """The segment of every pixel, (H, W) int32: id = R + 256 G + 65536 B.

    Raises:
        SourceError: the file cannot be opened.
        DecodeError: it is damaged, or has not three channels of 8 bits.
    """
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.asarray(image)
    except UnidentifiedImageError:
        raise DecodeError(f"{str(path)!r} is not a picture that can be read, expected a panoptic PNG") from None
    except OSError as error:
        if error.errno is not None:
            raise SourceError(f"cannot open {str(path)!r}: {error.strerror}") from None
        raise DecodeError(f"{str(path)!r} is damaged: {error}") from None
    except Exception as error:  # decoders meet damaged files with errors of every kind
        raise DecodeError(f"{str(path)!r} is damaged: {' '.join(str(error).split())}") from None
    if mode != "RGB":
        raise DecodeError(f"{str(path)!r} has pixels of type {mode!r}, expected RGB with id = R + 256 G + 65536 B")
    channels = values.astype(np.int32)
    return np.asarray(channels[..., 0] | channels[..., 1] << 8 | channels[..., 2] << 16)


def targets_from_ids(ids: npt.NDArray[np.int32], segments: npt.NDArray[np.int32]) -> Targets:
    """The answer that training compares with: every segment that has a pixel left, crowds left out.

    Unlike here, the published training also asks for the empty masks of segments that a crop has cut off.

    Args:
        ids: (H, W) int32.
        segments: (S, 2) int32, id and place in the vocabulary, or `CROWD`.

    Returns:
        In the order of `segments`; possibly none at all.
    """
    left = np.isin(segments[:, 0], _distinct(ids)) & (segments[:, 1] != CROWD)
    numbers, labels = segments[left].T
    masks = ids == numbers[:, None, None]
    return Targets(torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(masks))


def _names_in(folder: str) -> frozenset[str]:
    """One listing instead of a question per file: on network drives, the difference between seconds and minutes."""
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _distinct(ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The different ids, sorted; looked for only where neighbours differ, far faster than sorting all pixels."""
    flat = ids.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.unique(np.append(flat[changes], flat[-1:]))


def _require_same_size(
    picture: npt.NDArray[np.uint8], ids: npt.NDArray[np.int32], picture_path: Path, mask_path: Path
) -> None:
    (height, width), (mask_height, mask_width) = picture.shape[:2], ids.shape
    if (height, width) == (mask_height, mask_width):
        return
    turned = ", its EXIF orientation applied," if (height, width) == (mask_width, mask_height) else ""
    raise SourceError(
        f"{str(picture_path)!r}{turned} has {height}x{width} pixels, but {str(mask_path)!r} "
        f"{mask_height}x{mask_width}, expected equal sizes"
    )


def _require_same_ids(ids: npt.NDArray[np.int32], segments: npt.NDArray[np.int32], mask_path: Path) -> None:
    present, listed = set(_distinct(ids).tolist()) - {0}, set(segments[:, 0].tolist())
    if unlisted := sorted(present - listed):
        raise SourceError(f"{str(mask_path)!r} has segment id {_some(unlisted)}, which the JSON does not list")
    if absent := sorted(listed - present):
        raise SourceError(f"{str(mask_path)!r} has no pixel of segment id {_some(absent)}, which the JSON lists")


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
