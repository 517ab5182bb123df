"""What a pipeline takes: its columns, and rows brought to them.

Inference has one gate, `Signature.check`. Whatever the wire was, values reach it as columns: lists,
numpy arrays or Arrow arrays. They leave it as one matrix, with a mask of the rows that do not fit;
`validate` refuses them all if there is such a row. What the pipeline was fitted on, a matrix, a
DataFrame or texts, is made of that matrix by `frames.py`.
"""

from __future__ import annotations

import json
import math
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from . import arrow
from .arrow import ArrowArray
from .column_facts import JSONLabel
from .column_types import Unfit
from .columns import Column
from .errors import Fault, InvalidRows
from .literals import NAMES_SHOWN
from .text_rules import JSON, TextRules
from .values import ABSENT, PYTHONS_OWN, Inexact, Mask, Positions, Values, python_value, value_at

MAX_FAULTS: Final = 1000
GOT_LENGTH: Final = 60
LONG_BITS: Final = 1024
"""An integer with more is not written out: that takes a time that grows with the square."""

_DTYPE: Final = r"^(float64|float32|int64|bool|object|datetime64\[[a-zA-Z]+\])$"

Matrix = NDArray[Any]
Container = Literal["matrix", "frame", "texts", "series", "sparse"]


class _Misfit(NamedTuple):
    """A fault that has not been put in words: of many, only the first are."""

    row: int
    column: str
    expected: str
    value: object = ABSENT

    def fault(self) -> Fault:
        return Fault(self.row, self.column, self.expected, got(self.value))


class UnfitRows(NamedTuple):
    """The rows that do not fit a signature: `mask` has the shape (rows,) and is true for these.

    `total` counts all faults; `faults` holds the first of them, up to MAX_FAULTS, in the order of
    the rows.
    """

    mask: Mask
    faults: tuple[Fault, ...]
    total: int


class CheckedRows(NamedTuple):
    """Rows as the matrix of shape (rows, columns), and those of them that do not fit, if there are
    some: what stands in these has no meaning. The matrix has the dtype of the signature, or is one
    of objects, where that dtype would round a value."""

    matrix: Matrix
    unfit: UnfitRows | None = None

    @property
    def fit(self) -> Matrix:
        """The rows that fit."""
        return self.matrix if self.unfit is None else self.matrix[~self.unfit.mask]


class _Misfits:
    """All faults counted, and those kept that are told, the first by row: of a small body that
    claims a large table there are many millions."""

    def __init__(self, rows: int) -> None:
        self.total = 0
        self._rows = rows
        self._mask: Mask | None = None
        self._kept: list[_Misfit] = []
        self._end = sys.maxsize
        """From this row on no fault of a further column is among the first."""

    def add(self, of_column: Iterable[_Misfit]) -> None:
        """The faults of one column, in the order of their rows."""
        for count, misfit in enumerate(of_column):
            self.mark(misfit.row)
            self.total += 1
            if count < MAX_FAULTS:
                self._kept.append(misfit)
        if len(self._kept) >= 2 * MAX_FAULTS:
            self._cut()

    def add_rows(
        self, rows: Positions, faults: Callable[[Sequence[int]], Iterable[_Misfit]]
    ) -> None:
        """A fault in each of these ascending rows, made of those alone that may be told."""
        if not len(rows):
            return
        self.mark(rows)
        told = rows[: bisect_left(rows, self._end)][:MAX_FAULTS].tolist()
        self.add(faults(told))
        self.total += len(rows) - len(told)

    def add_absent(self, column: Column) -> None:
        """A column that no row has."""
        told = range(min(self._rows, self._end, MAX_FAULTS))
        if self._rows:
            self.mark(slice(None))
        self.add(_Misfit(row, column.name, column.expected) for row in told)
        self.total += self._rows - len(told)

    def mark(self, rows: int | slice | Positions) -> None:
        """These rows do not fit."""
        if self._mask is None:
            self._mask = np.zeros(self._rows, dtype=bool)
        self._mask[rows] = True

    def unfit(self) -> UnfitRows | None:
        """The rows that have faults, with the first of those."""
        if self._mask is None:
            return None
        self._cut()
        return UnfitRows(self._mask, tuple(each.fault() for each in self._kept), self.total)

    def _cut(self) -> None:
        self._kept.sort(key=lambda misfit: misfit.row)
        del self._kept[MAX_FAULTS:]
        if len(self._kept) == MAX_FAULTS:
            self._end = self._kept[-1].row


class Signature(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The columns of a pipeline in the order in which it was trained.

    `dtype` is numpy's name of the matrix's; `object` where the columns are of several kinds, or
    have integers that floats would round. `container` says what the pipeline takes: the `matrix`, a
    DataFrame (`frame`), a `sparse` matrix, or its one column of texts as an array (`texts`) or as a
    Series of pandas (`series`). `apart` says that the pipeline looks at the dtypes of its columns:
    rows that would change them for others, since a value is missing or too large, are asked by
    themselves.
    """

    columns: tuple[Column, ...]
    dtype: Annotated[str, msgspec.Meta(pattern=_DTYPE)] = "float64"
    container: Container = "matrix"
    apart: bool = False

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def trained(self) -> np.dtype[Any] | None:
        """The dtype that all columns had in training, where they had one of numpy's numbers."""
        found = {column.array_dtype for column in self.columns}
        return found.pop() if len(found) == 1 else None

    def validate(
        self, values: Mapping[str, Values | ArrowArray], rows: int, rules: TextRules = JSON
    ) -> Matrix:
        """Bring named columns of `rows` values each to the matrix of shape (rows, columns).

        `rules` says what a text may stand for besides itself.

        Raises:
            InvalidRows: with every fault of every row: absent and unknown columns, wrong types,
                unknown categories, infinities, and nulls where the column takes none.
            InvalidColumns: as `check`.
        """
        if rows == 1 and self._plain is not None:
            row = _plain_row(self._plain, values)
            if row is not None:
                return np.array((row,), dtype=self.dtype)
        matrix, unfit = self.check(values, rows, rules)
        if unfit is not None:
            raise InvalidRows(unfit.faults, rows=rows, total=unfit.total)
        return matrix

    def check(
        self, values: Mapping[str, Values | ArrowArray], rows: int, rules: TextRules = JSON
    ) -> CheckedRows:
        """As `validate`, with the rows that do not fit beside those that do.

        Raises:
            InvalidColumns: a column is an Arrow array of a type that no column has.
        """
        try:
            return self._check(values, rows, rules, self.dtype)
        except Inexact:
            return self._check(values, rows, rules, "object")

    def _check(
        self, values: Mapping[str, Values | ArrowArray], rows: int, rules: TextRules, dtype: str
    ) -> CheckedRows:
        # A table that lacks columns may claim to be far larger than what was sent.
        whole = all(column.name in values for column in self.columns)
        matrix = np.empty((rows, len(self.columns) if whole else 1), dtype=dtype)
        misfits = _Misfits(rows)
        for i, column in enumerate(self.columns):
            given = values.get(column.name)
            if given is None:
                misfits.add_absent(column)
            else:
                _fill(matrix[:, i if whole else 0], column, given, rules, misfits)
        for misfitting in self._unknown(values):
            misfits.add(misfitting)
        return CheckedRows(matrix, misfits.unfit())

    def values(self, matrix: Matrix) -> list[dict[str, JSONLabel | None]]:
        """The rows of a matrix as JSON objects, a missing value as None."""
        return [
            {
                column.name: column.plain(cell)
                for column, cell in zip(self.columns, row, strict=True)
            }
            for row in matrix
        ]

    @cached_property
    def _plain(self) -> Mapping[str, frozenset[type]] | None:
        """By column the types of plain numbers, where all columns take such; else None."""
        types = {column.name: column.kind.exact(column, self.dtype) for column in self.columns}
        return types if all(types.values()) else None

    def _unknown(self, values: Mapping[str, Values | ArrowArray]) -> Iterator[Iterator[_Misfit]]:
        expected = "one of the columns " + ", ".join(self.names[:NAMES_SHOWN])
        if len(self.names) > NAMES_SHOWN:
            expected += f" and {len(self.names) - NAMES_SHOWN} more"
        known = set(self.names)
        for name in values:
            if name in known:
                continue
            sent = ((row, _value_at(values[name], row)) for row in range(len(values[name])))
            yield (
                _Misfit(row, name, expected, value) for row, value in sent if value is not ABSENT
            )


_USUAL: Final = frozenset({list, tuple, np.ndarray})
_EXACT: Final = 2.0**53
"""Below it an integer is the same number as a float."""


def _plain_row(
    plain: Mapping[str, frozenset[type]], values: Mapping[str, Values | ArrowArray]
) -> list[object] | None:
    """The one row that has a plain number for each column and nothing else, which is what most
    requests bring; None for any other, even a sound one."""
    if len(values) != len(plain):
        return None
    row: list[object] = []
    for name, types in plain.items():
        found: Any = values.get(name)
        if found is None:
            return None
        value = found[0]
        if type(value) not in types or not -_EXACT < value < _EXACT:  # NaN is neither
            return None
        row.append(value)
    return row


def _value_at(given: Values | ArrowArray, row: int) -> object:
    if type(given) in _USUAL or not arrow.is_arrow(given):
        return value_at(cast(Values, given), row)
    return arrow.value_at(given, row)


def _as_values(name: str, given: Values | ArrowArray) -> Values:
    if type(given) in _USUAL or not arrow.is_arrow(given):
        return cast(Values, given)
    return arrow.read(name, given)


def _fill(
    target: Matrix, column: Column, given: Values | ArrowArray, rules: TextRules, misfits: _Misfits
) -> None:
    """Bring a column to its cells, as a whole if that tells which of its values do not fit."""
    values = _as_values(column.name, given)
    positions = column.fill(target, values, rules)
    if positions is None:
        misfits.add(_walk(target, column, values, rules, range(len(target))))
    else:
        misfits.add_rows(positions, partial(_walk, target, column, values, rules))


def _walk(
    target: Matrix, column: Column, values: Values, rules: TextRules, rows: Iterable[int]
) -> Iterator[_Misfit]:
    """Fill these rows of the column value by value, and yield each that does not fit."""
    expected = column.expected
    for row in rows:
        value = values[row]
        if type(value) not in PYTHONS_OWN:
            value = python_value(value)
        if value is ABSENT:
            yield _Misfit(row, column.name, expected)
            continue
        try:
            target[row] = column.cell(value, target.dtype, rules)
        except Unfit as unfit:
            if rules.blanks and value == "":
                value = ABSENT
            yield _Misfit(row, column.name, str(unfit) or expected, value)


def _beginning(value: object) -> str:
    """A value as JSON, as far as it is shown. What has many members is not written whole."""
    if isinstance(value, int) and value.bit_length() > LONG_BITS:
        return f"a number of about {int(value.bit_length() * math.log10(2)) + 1} digits"
    if not isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    shown = ""
    for part in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
        shown += part
        if len(shown) > GOT_LENGTH:
            break
    return shown


def got(value: object) -> str:
    """A value that does not fit, as JSON, shortened, for a `Fault`."""
    if value is ABSENT:
        return "nothing"
    try:
        shown = _beginning(value)
    except (TypeError, ValueError, RecursionError):
        shown = type(value).__name__
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= GOT_LENGTH else shown[: GOT_LENGTH - 1] + "…"
