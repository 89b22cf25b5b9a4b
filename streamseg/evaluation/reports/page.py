"""A report before it is HTML or a PNG: tables, then sections of pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.table import Table

__all__ = ["Figure", "Page", "Picture", "Section", "aligned_right", "cells"]

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A picture, (h, w, 3) uint8, and one line above it."""

    caption: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class Section:
    """Pictures of one kind.

    Attributes:
        title, note: the heading, and what is seen in the pictures.
        legend: colours and what they mean.
    """

    title: str
    note: str
    figures: Sequence[Figure]
    legend: Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report."""

    title: str
    tables: Sequence[Table]
    sections: Sequence[Section]


def aligned_right(made: Table) -> list[bool]:
    """Of each column of a table, whether it holds numbers."""
    return [column.justify == "right" for column in made.columns]


def cells(made: Table) -> list[list[str]]:
    """The heading and the rows of a table, as text."""
    columns = [[str(column.header), *map(str, column.cells)] for column in made.columns]
    return [list(row) for row in zip(*columns, strict=True)]
