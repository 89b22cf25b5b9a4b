"""A token table that is stored only as far as anyone read it.

CLIP's table has a row for each of 49,408 tokens; a model that was trained on the few hundred words of a small world has
learnt that many rows, and the others are half of its file. They are left out there, and are zero in memory:

    token_embedding.weight  (n, D)  the rows that were learnt
    token_embedding.rows    (n,)    int64, which ones, ascending

Any other word still runs through the model, on zeros, so its embedding says next to nothing; `UnreadWords` tells the
user once.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..errors import WeightsError

__all__ = ["UnreadWords", "pack_word_rows", "unpack_word_rows"]

logger = logging.getLogger(__name__)

TABLE, ROWS = "token_embedding.weight", "token_embedding.rows"
LISTED = 8


def pack_word_rows(state: Mapping[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
    """A state dict with the token table's rows of `tokens` only.

    Args:
        state: holds one entry that ends in `token_embedding.weight`.
        tokens: int64, any shape, repetitions allowed.
    """
    (table,) = (name for name in state if name.endswith(TABLE))
    rows = tokens.flatten().unique()
    return {**state, table: state[table][rows], table.removesuffix(TABLE) + ROWS: rows}


def unpack_word_rows(state: Mapping[str, Tensor], table_rows: int) -> dict[str, Tensor]:
    """The state dict with its whole token table, zeros where nothing was stored; unchanged where it is whole already.

    Args:
        table_rows: of the whole table.

    Raises:
        WeightsError: the stored rows are not those of one table.
    """
    found = next((name for name in state if name.endswith(ROWS)), None)
    if found is None:
        return dict(state)
    name = found.removesuffix(ROWS) + TABLE
    rows, values = state[found], state.get(name)
    if values is None or not _is_selection(rows, values, table_rows):
        shapes = f"{tuple(rows.shape)} {rows.dtype} and {None if values is None else tuple(values.shape)}"
        raise WeightsError(
            f"{found} and {name} are {shapes}, expected ascending numbers below {table_rows} and a row for each: "
            "download or copy the file again"
        )
    table = values.new_zeros(table_rows, values.shape[1])
    table[rows] = values
    return {key: value for key, value in state.items() if key != found} | {name: table}


def _is_selection(rows: Tensor, values: Tensor, table_rows: int) -> bool:
    if rows.dtype != torch.int64 or rows.ndim != 1 or values.ndim != 2 or len(rows) != len(values) or not len(rows):
        return False
    return bool((rows[1:] > rows[:-1]).all()) and int(rows[0]) >= 0 and int(rows[-1]) < table_rows


class _Reader(Protocol):
    def unread(self, names: Sequence[str]) -> list[str]: ...


class UnreadWords:
    """Says once about each name, in a warning, that the model never read it.

    Args:
        model: what the model is called.
        encoder: its text encoder, which knows what was read.
    """

    def __init__(self, model: str, encoder: _Reader) -> None:
        self.model = model
        self.encoder = encoder
        self._told: set[str] = set()

    def __call__(self, names: Sequence[str]) -> None:
        """Look at names that are about to be used."""
        fresh = [name for name in dict.fromkeys(names) if name not in self._told]
        unread = self.encoder.unread(fresh)
        if not unread:
            return
        self._told.update(unread)
        listed = ", ".join(map(repr, unread[:LISTED]))
        more = f" and {len(unread) - LISTED} more" if len(unread) > LISTED else ""
        logger.warning("the %s model never read %s%s: what it calls so may be anything", self.model, listed, more)
