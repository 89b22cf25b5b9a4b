"""The cache of sprites: bounded by bytes, oldest out first."""

import numpy as np
import numpy.typing as npt

from streamseg.world.cache import PictureCache


class Painter:
    """Paints pictures of a given size, and remembers how often."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.painted = 0

    def __call__(self) -> npt.NDArray[np.uint8]:
        self.painted += 1
        return np.zeros(self.size_bytes, np.uint8)


def test_a_picture_is_painted_once() -> None:
    cache, paint = PictureCache(100), Painter(40)
    assert cache.get("a", paint) is cache.get("a", paint)
    assert paint.painted == 1


def test_bytes_are_bounded_whatever_comes() -> None:
    cache = PictureCache(100)
    for number in range(50):
        cache.get(number, Painter(1 + number % 60))
        assert cache.held_bytes <= 100
    assert len(cache) < 5


def test_the_one_used_longest_ago_leaves() -> None:
    cache = PictureCache(100)
    painters = {key: Painter(40) for key in "abc"}
    for key in ("a", "b", "a", "c", "a", "b"):
        cache.get(key, painters[key])
    assert {key: painter.painted for key, painter in painters.items()} == {"a": 1, "b": 2, "c": 1}


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache, paint = PictureCache(100), Painter(101)
    assert cache.get("a", paint).nbytes == 101
    assert (len(cache), cache.held_bytes) == (0, 0)
