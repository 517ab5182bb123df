"""Steps of numbers, each by itself or those of a row together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np

from ..node import (
    MAX_COLUMNS,
    Array,
    Elementwise,
    Node,
    Refused,
    Rows,
    Transform,
    as_floats,
    finite,
    require,
    require_floats,
)
from ..sparse import Sparse

Operation = Literal["subtract", "divide", "multiply", "add"]

_OPERATIONS: Final = {
    "subtract": np.subtract,
    "divide": np.divide,
    "multiply": np.multiply,
    "add": np.add,
}


class Scale(Node, Elementwise, frozen=True, kw_only=True):
    """Operations with one number a column, one after another, in place as scikit-learn does them.

    So with float32 they are computed in float64 and then rounded, unless the numbers are `rounded`
    before. Sparse rows are only multiplied, by the inverse of what they are divided by.
    """

    operations: list[tuple[Operation, Array]]
    rounded: bool = False

    def check(self, width: int) -> int:
        for _, numbers in self.operations:
            require_floats(numbers, width)
        return _dense_width(width, dense=self._moves)

    def transform(self, rows: Rows) -> Rows:
        if isinstance(rows, Sparse) and not self._moves:
            return self._sparse(rows)
        array = as_floats(rows)
        scaled: Array | None = None
        for name, numbers in self.operations:
            if self.rounded:
                numbers = numbers.astype(array.dtype, copy=False)
            scaled = np.empty_like(array) if scaled is None else scaled
            array = _OPERATIONS[name](array, numbers, out=scaled, casting="same_kind")
        return array

    @property
    def _moves(self) -> bool:
        """Whether a 0 becomes something else."""
        return any(name in ("subtract", "add") for name, _ in self.operations)

    def _sparse(self, rows: Sparse) -> Sparse:
        values = rows.values
        if values.dtype.kind != "f":
            values = values.astype(np.float64)
        for name, numbers in self.operations:
            factors = 1.0 / numbers if name == "divide" else numbers
            values = (values * factors[rows.places]).astype(values.dtype, copy=False)
        return rows._replace(values=values)


class Clip(Node, Elementwise, frozen=True, kw_only=True):
    """The nearer of the two ends of its column for a number that lies without."""

    low: Array
    high: Array

    def check(self, width: int) -> int:
        require_floats(self.low, width)
        require_floats(self.high, width)
        return width

    def transform(self, rows: Rows) -> Rows:
        if isinstance(rows, Sparse) and (self.low <= 0).all() and (self.high >= 0).all():
            low, high = self.low[rows.places], self.high[rows.places]
            return rows._replace(values=_between(rows.values, low, high))
        return _between(as_floats(rows), self.low, self.high)


def _between(numbers: Array, low: Array, high: Array) -> Array:
    return np.clip(numbers, low.astype(numbers.dtype), high.astype(numbers.dtype))


def _dense_width(width: int, *, dense: bool) -> int:
    """How many features there are, which may be so many. `dense` says that a 0 becomes something
    else, so that rows are not sparse behind it.

    Raises:
        Malformed: they are too many.
    """
    require(not dense or width <= MAX_COLUMNS, f"at most {MAX_COLUMNS} features")
    return width


class Finite(Node, Elementwise, frozen=True, kw_only=True):
    """Refuses rows with an infinite number, and unless `gaps` says that values may be missing,
    those with a NaN. What is no number may pass."""

    gaps: bool = False

    def check(self, width: int) -> int:
        return width

    def transform(self, rows: Rows) -> Rows:
        values = rows.values if isinstance(rows, Sparse) else rows
        if values.dtype.kind == "O":
            if not self.gaps and (values != values).any():
                raise Refused("a value is missing")
        elif values.dtype.kind == "f":
            finite(values[~np.isnan(values)] if self.gaps else values)
        return rows


Name = Literal[
    "absolute",
    "arcsinh",
    "arctan",
    "cbrt",
    "ceil",
    "cos",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "isnan",
    "log",
    "log10",
    "log1p",
    "log2",
    "negative",
    "reciprocal",
    "rint",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]
"""Functions of numpy, of one number each."""

MOVE_ZERO: Final = frozenset({"cos", "exp", "exp2", "log", "log10", "log2", "reciprocal"})
"""Those that make something else of 0."""

UNBOUNDED: Final = frozenset({"expm1", "log1p", "sinh", "square", *MOVE_ZERO} - {"cos"})
"""Those that may make an infinite number of a finite one."""


class Function(Node, Elementwise, frozen=True, kw_only=True):
    """A function of each number by itself."""

    name: Name

    def check(self, width: int) -> int:
        return _dense_width(width, dense=self.name in MOVE_ZERO)

    def transform(self, rows: Rows) -> Rows:
        function: Callable[[Any], Array] = getattr(np, self.name)
        if isinstance(rows, Sparse) and self.name not in MOVE_ZERO:
            return rows._replace(values=function(as_floats(rows.values)))
        return function(as_floats(rows))


class Binarize(Node, Elementwise, frozen=True, kw_only=True):
    """1 for what is greater than the threshold, and 0."""

    threshold: float

    def check(self, width: int) -> int:
        return _dense_width(width, dense=self.threshold < 0)

    def transform(self, rows: Rows) -> Rows:
        if isinstance(rows, Sparse) and self.threshold >= 0:
            values = finite(rows.values)
            return rows._replace(values=(values > self.threshold).astype(values.dtype))
        array = finite(as_floats(rows))
        return (array > self.threshold).astype(array.dtype)


Norm = Literal["l1", "l2", "max"]


class Normalize(Node, Transform, frozen=True, kw_only=True):
    """Each row divided by its norm."""

    norm: Norm

    def check(self, width: int) -> int:
        return width

    def transform(self, rows: Rows) -> Rows:
        if isinstance(rows, Sparse):
            return self._sparse(rows)
        array = finite(as_floats(rows))
        if self.norm == "l2":
            norms = np.sqrt(np.einsum("ij,ij->i", array, array))
        elif self.norm == "l1":
            norms = np.abs(array).sum(axis=1)
        else:
            norms = np.abs(array).max(axis=1, initial=0)
        norms[norms < 10 * np.finfo(norms.dtype).eps] = 1.0
        found: Array = array / norms[:, np.newaxis]
        return found

    def _sparse(self, rows: Sparse) -> Sparse:
        """Added up in the order of the features; a norm of 0 divides nothing."""
        values, owners = finite(rows.values), rows.owners
        if self.norm == "max":
            norms = np.zeros(rows.length, dtype=values.dtype)
            np.maximum.at(norms, owners, np.abs(values))
        else:
            parts = values * values if self.norm == "l2" else np.abs(values)
            norms = np.bincount(owners, parts, minlength=rows.length)
            norms = np.sqrt(norms) if self.norm == "l2" else norms
        norms[norms == 0] = 1.0
        return rows._replace(values=(values / norms[owners]).astype(values.dtype, copy=False))


KINDS: Final = (Scale, Clip, Finite, Function, Binarize, Normalize)
