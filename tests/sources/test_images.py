import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streamseg.errors import DecodeError, SourceError
from streamseg.sources.images import find_images, natural_key, read_frame, read_image

GRADIENT = np.linspace(0, 255, 40 * 60).reshape(40, 60).astype(np.uint8)
COLORS = np.stack((GRADIENT, GRADIENT[::-1], np.full_like(GRADIENT, 60)), axis=2)


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


# Reading.


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp", "jp2"])
def test_lossless_formats(tmp_path: Path, suffix: str) -> None:
    options = {"webp": {"lossless": True}, "jp2": {"irreversible": False}}.get(suffix, {})
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(COLORS), **options)
    pixels = read_image(path)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (40, 60, 3))
    assert (pixels == COLORS).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_jpeg(tmp_path: Path, options: dict[str, Any]) -> None:
    pixels = read_image(save(tmp_path / "a.jpg", Image.fromarray(COLORS), quality=95, **options))
    assert np.abs(pixels.astype(int) - COLORS).mean() < 4


def test_jpeg_in_cmyk(tmp_path: Path) -> None:
    pixels = read_image(save(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=95))
    red, green, blue = pixels[4, 4].astype(int)
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((30, 50, 3), np.uint8)
    upright[:10, :10] = (255, 0, 0)
    upright[-10:, :10] = (0, 255, 0)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera held that way would have stored
    image = Image.fromarray(upright)
    if orientation in undo:
        image = image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (read_image(save(tmp_path / "a.png", image, exif=exif)) == upright).all()


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    pixels = read_image(save(tmp_path / "a.png", Image.fromarray(GRADIENT)))
    assert (pixels == GRADIENT[:, :, None]).all()


def test_black_and_white(tmp_path: Path) -> None:
    pixels = read_image(save(tmp_path / "a.png", Image.fromarray(GRADIENT > 127)))
    assert (pixels == np.where(GRADIENT > 127, 255, 0)[:, :, None]).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey(tmp_path: Path, suffix: str) -> None:
    deep = (GRADIENT.astype(np.uint16) << 8) + 7
    pixels = read_image(save(tmp_path / f"a.{suffix}", Image.fromarray(deep)))
    assert (pixels == GRADIENT[:, :, None]).all()


@pytest.mark.parametrize("full_scale", [1.0, 255.0, 65535.0, 1e6])
def test_grey_in_floating_point(tmp_path: Path, full_scale: float) -> None:
    values = (GRADIENT.astype(np.float32) / 255 * full_scale).astype(np.float32)
    values[0, 0] = np.nan
    pixels = read_image(save(tmp_path / "a.tif", Image.fromarray(values)))
    assert np.abs(pixels[1:, :, 0].astype(int) - GRADIENT[1:]).max() <= 1
    assert pixels[0, 0, 0] == 0


def test_32_bit_integers(tmp_path: Path) -> None:
    pixels = read_image(save(tmp_path / "a.tif", Image.fromarray(GRADIENT.astype(np.int32))))
    assert (pixels == GRADIENT[:, :, None]).all()


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    rgba = np.dstack((COLORS, np.full_like(GRADIENT, 255)))
    rgba[:20, :, 3] = 0
    pixels = read_image(save(tmp_path / "a.png", Image.fromarray(rgba)))
    assert (pixels[:20] == 255).all()
    assert (pixels[20:] == COLORS[20:]).all()


def test_grey_with_alpha(tmp_path: Path) -> None:
    image = Image.merge("LA", (Image.fromarray(GRADIENT), Image.new("L", (60, 40), 0)))
    assert (read_image(save(tmp_path / "a.png", image)) == 255).all()


@pytest.mark.parametrize("transparent", [False, True])
def test_palette(tmp_path: Path, transparent: bool) -> None:
    image = Image.new("P", (8, 6), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    path = save(tmp_path / "a.png", image, **({"transparency": 1} if transparent else {}))
    assert (read_image(path) == ((255, 255, 255) if transparent else (10, 200, 30))).all()


def test_first_picture_of_an_animation(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 6), (255, 0, 0)), Image.new("RGB", (8, 6), (0, 0, 255))
    path = save(tmp_path / "a.webp", first, save_all=True, append_images=[second], lossless=True)
    assert (read_image(path) == (255, 0, 0)).all()


def test_the_ending_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    Image.fromarray(COLORS).save(path, format="PNG")
    assert (read_image(path) == COLORS).all()


def test_frame_is_called_like_the_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLORS))
    assert read_frame(path).stream_id == str(path)
    assert read_frame(path, index=3, stream_id="folder").index == 3


# What cannot be read.


def png(tmp_path: Path) -> bytes:
    return save(tmp_path / "whole.png", Image.fromarray(COLORS)).read_bytes()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x00" * 1000, b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_not_a_picture(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=r"a\.jpg' is (not a picture|damaged)"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "gif"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_files_are_damaged(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(noise))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DecodeError, match=rf"a\.{suffix}' is (not a picture|damaged)"):
        read_image(path)


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bytes_never_raise_anything_else(tmp_path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    suffix = ("png", "jpg", "webp", "tif", "gif", "bmp")[seed % 6]
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(COLORS))
    content = bytearray(path.read_bytes())
    for position in generator.integers(0, len(content), 20):
        content[position] ^= int(generator.integers(1, 256))
    path.write_bytes(content)
    with suppress(DecodeError):
        assert read_image(path).shape[2] == 3


def test_a_picture_that_claims_to_be_huge(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    content = bytearray(png(tmp_path))
    content[16:24] = struct.pack(">II", 100_000, 100_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=r"too large .* scale it down"):
        read_image(path)


def test_a_large_picture_is_read_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 60 - 1)
    assert read_image(save(tmp_path / "a.png", Image.fromarray(COLORS))).shape == (40, 60, 3)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot open .*No such file"):
        read_image(tmp_path / "a.png")


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Is a directory"):
        read_image(tmp_path)


def test_files_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        read_image(path)
    assert len(os.listdir("/proc/self/fd")) == before


# Finding.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("img10.jpg", "img2.JPG", "Img1.png", "notes.txt", "sub/img3.webp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def names(found: list[Path]) -> list[str]:
    return [path.name for path in found]


def test_a_file_stands_for_itself(folder: Path) -> None:
    assert find_images(folder / "notes.txt") == [folder / "notes.txt"]


def test_a_folder_stands_for_its_pictures_in_natural_order(folder: Path) -> None:
    assert names(find_images(folder)) == ["Img1.png", "img2.JPG", "img10.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["img10.jpg"]),
        ("img*", ["img2.JPG", "img10.jpg"]),
        ("[Ii]mg?.*", ["Img1.png", "img2.JPG"]),
        ("**/*.webp", ["img3.webp"]),
    ],
)
def test_globs(folder: Path, pattern: str, expected: list[str]) -> None:
    assert names(find_images(str(folder / pattern))) == expected


def test_a_file_whose_name_looks_like_a_glob(folder: Path) -> None:
    (folder / "a[1].jpg").touch()
    assert names(find_images(folder / "a[1].jpg")) == ["a[1].jpg"]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [("missing.jpg", "no such file: .*check the path"), ("*.avi", "no file matches"), ("empty", "holds no pictures")],
)
def test_nothing_found(folder: Path, pattern: str, says: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(SourceError, match=says):
        find_images(folder / pattern)


def test_natural_order() -> None:
    paths = [Path(name) for name in ("b1", "a10", "a2", "A3", "a", "²5", "10", "9")]
    assert [str(path) for path in sorted(paths, key=natural_key)] == ["9", "10", "a", "a2", "A3", "a10", "b1", "²5"]
