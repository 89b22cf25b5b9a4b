"""Single pictures: finding their files, and reading any of them as 8-bit RGB, the right way up."""

import glob
import os
import re
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DecodeError, SourceError
from ..frames import Frame

__all__ = ["IMAGE_SUFFIXES", "find_images", "natural_key", "read_frame", "read_image"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2", ".avif")
"""What a folder is searched for; a file that is named outright may end in anything."""

PAPER = (255, 255, 255)  # what transparent pixels are laid on


def find_images(pattern: str | os.PathLike[str]) -> list[Path]:
    """The files that a path, a folder or a glob (`*`, `?`, `[...]`, `**`) stands for, in natural order.

    Raises:
        SourceError: there is nothing, or a folder holds no picture.
    """
    path = Path(pattern)
    if path.is_dir():
        found = [entry for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()]
        if not found:
            raise SourceError(
                f"folder {str(path)!r} holds no pictures, expected files such as {', '.join(IMAGE_SUFFIXES[:4])}"
            )
        return sorted(found, key=natural_key)
    if path.exists():
        return [path]
    if glob.has_magic(str(pattern)):
        found = [Path(match) for match in glob.glob(str(pattern), recursive=True) if Path(match).is_file()]
        if not found:
            raise SourceError(f"no file matches {str(pattern)!r}: check the pattern")
        return sorted(found, key=natural_key)
    raise SourceError(f"no such file: {str(path)!r}, expected a picture, a folder or a glob: check the path")


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts `frame2` before `frame10`, whatever the case."""
    parts = re.split(r"(\d+)", str(path).casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts], str(path)


def read_frame(path: Path, *, index: int = 0, stream_id: str | None = None) -> Frame:
    """A picture as a frame; its stream is called like the file, unless told otherwise. Errors as of `read_image`."""
    return Frame(read_image(path), index=index, stream_id=stream_id or str(path))


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """One picture as (H, W, 3) uint8 RGB.

    EXIF orientation is applied. Grey, palette and 16-bit pictures are converted, transparent pixels laid on white. The
    first picture of an animation counts.

    Raises:
        SourceError: the file cannot be opened.
        DecodeError: it is no picture, or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata and large pictures; neither is in the user's way
            with Image.open(path) as image:
                rgb = _to_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise DecodeError(
            f"{str(path)!r} is not a picture that can be read, expected JPEG, PNG, WebP or the like"
        ) from None
    except Image.DecompressionBombError as error:
        raise DecodeError(f"{str(path)!r} is too large ({error}): scale it down first") from None
    except OSError as error:
        if error.errno is not None:
            raise SourceError(f"cannot open {str(path)!r}: {error.strerror}") from None
        raise DecodeError(_damaged(path, error)) from None
    except Exception as error:  # decoders meet damaged files with errors of every kind
        raise DecodeError(_damaged(path, error)) from None
    if not rgb.size:
        raise DecodeError(f"{str(path)!r} has no pixels")
    return rgb


def _damaged(path: Path, error: Exception) -> str:
    return f"{str(path)!r} is damaged: {' '.join(str(error).split()) or type(error).__name__}"


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):
        grey = _to_8_bit(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        paper = Image.new("RGBA", picture.size, (*PAPER, 255))
        image = Image.alpha_composite(paper, picture)
    return np.array(image.convert("RGB"))


def _to_8_bit(grey: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Deeper grey to 8 bits; 16-bit pictures keep their upper byte, others are scaled to what they hold."""
    values = np.nan_to_num(grey.astype(np.float64))
    if grey.dtype.itemsize == 2:
        return np.asarray(values // 256, np.uint8)
    highest = values.max(initial=0)
    full_scale = next((limit for limit in (1, 255, 65535) if highest <= limit), highest)
    if grey.dtype.kind == "i" and full_scale == 1:
        full_scale = 255
    return np.asarray(np.clip(values / full_scale * 255, 0, 255), np.uint8)
