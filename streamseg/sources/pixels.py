"""Decoded frames to RGB, the right way up."""

from typing import Any

import av.sidedata.sidedata
import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "Turn", "size_hw_of", "turn_of", "upright"]

Turn = tuple[int, int, int, int]
"""Signs of the display matrix: a picture's (x, y) is shown at (a x + c y, b x + d y)."""

LEVEL: Turn = (1, 0, 0, 1)


def turn_of(frame: Any) -> Turn:
    """How the file wants a decoded frame to be turned or mirrored; only quarter turns are known to files.

    Ask seldom: PyAV ties a frame and its side data into a knot, which stays in memory until Python looks for knots.
    """
    matrix = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    if matrix is None:
        return LEVEL
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32, count=9).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1)
    return (0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0)


def size_hw_of(frame: Any) -> tuple[int, int]:
    """(height, width) of a decoded frame, the right way up."""
    return (frame.width, frame.height) if round(frame.rotation / 90) % 2 else (frame.height, frame.width)


def upright(frame: Any, turn: Turn | None = None) -> NDArray[np.uint8]:
    """A decoded frame as (H, W, 3) uint8 RGB, contiguous: pixels only move, so turning it is exact.

    The stream's own colour matrix and range are followed. Ten and more bits become eight. The fields of interlaced
    video stay woven into one picture, and pixels that are not square stay as they are stored.

    Args:
        frame: of PyAV.
        turn: as of `turn_of`. If left out, a frame is asked that is rotated; one that is only mirrored from top to
            bottom does not show that it is.
    """
    if turn is None:
        turn = turn_of(frame) if frame.rotation else LEVEL
    rgb: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    a, b, c, d = turn
    if not a:  # width and height change places: along the new rows goes what went along the columns
        rgb = rgb.transpose(1, 0, 2)
    flip_x, flip_y = (a < 0, d < 0) if a else (c < 0, b < 0)
    return np.ascontiguousarray(rgb[:: -1 if flip_y else 1, :: -1 if flip_x else 1])
