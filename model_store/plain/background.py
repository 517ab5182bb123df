"""Rows of the training data that a form keeps, which its answers are explained against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from .node import Array, Label, require, require_floats, require_places

MAX_ROWS: Final = 1000


class Background(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """Rows column by column. `numbers` of shape (rows, n) has those at the ascending places
    `columns`, with NaN for what is missing; `values` has the others in their order, null for what
    is missing."""

    columns: Array
    numbers: Array
    values: list[list[Label | None]]

    @property
    def rows(self) -> int:
        return len(self.numbers)

    def check(self, width: int) -> None:
        """
        Raises:
            Malformed: the data do not fit each other, or this many columns.
        """
        require_floats(self.numbers, -1, -1)
        require(0 < self.rows <= MAX_ROWS, f"from 1 to {MAX_ROWS} rows")
        require(not np.isinf(self.numbers).any(), "finite or missing numbers")
        require_places(self.columns, width, self.numbers.shape[1])
        require(bool((np.diff(self.columns.astype(np.int64)) > 0).all()), "places in order")
        require(len(self.columns) + len(self.values) == width, f"{width} columns")
        for values in self.values:
            require(len(values) == self.rows, f"{self.rows} values")

    def by_column(self, width: int) -> list[Array | Sequence[Label | None]]:
        """The values of each column in turn."""
        others = iter(self.values)
        numbers = dict(zip(self.columns.tolist(), self.numbers.T, strict=True))
        return [numbers[at] if at in numbers else next(others) for at in range(width)]
