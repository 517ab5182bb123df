"""Steps of numbers: scalers, and imputers that fill with a number."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from ..node import (
    Array,
    Node,
    Rows,
    Transform,
    as_floats,
    require,
    require_floats,
)

Operation = Literal["subtract", "divide", "multiply", "add"]

_OPERATIONS: Final = {
    "subtract": np.subtract,
    "divide": np.divide,
    "multiply": np.multiply,
    "add": np.add,
}


class Scale(Node, Transform, frozen=True, kw_only=True):
    """Operations with one number a column, one after another, in place as scikit-learn does them.

    So with float32 they are computed in float64 and then rounded, unless the numbers are `rounded`
    before.
    """

    operations: list[tuple[Operation, Array]]
    rounded: bool = False

    def check(self, width: int) -> int:
        for _, numbers in self.operations:
            require_floats(numbers, width)
        return width

    def transform(self, rows: Rows) -> Rows:
        array = as_floats(rows)
        scaled: Array | None = None
        for name, numbers in self.operations:
            if self.rounded:
                numbers = numbers.astype(array.dtype, copy=False)
            scaled = np.empty_like(array) if scaled is None else scaled
            array = _OPERATIONS[name](array, numbers, out=scaled, casting="same_kind")
        return array


class Fill(Node, Transform, frozen=True, kw_only=True):
    """The number of its column in place of a NaN."""

    numbers: Array

    def check(self, width: int) -> int:
        require_floats(self.numbers, width)
        require(bool(np.isfinite(self.numbers).all()), "finite numbers")
        return width

    def transform(self, rows: Rows) -> Rows:
        array = as_floats(rows)
        return np.where(np.isnan(array), self.numbers.astype(array.dtype, copy=False), array)


KINDS: Final = (Scale, Fill)
