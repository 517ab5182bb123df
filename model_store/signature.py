"""What a pipeline takes: its columns, and rows brought to them.

Inference has one gate, `Signature.validate`. Whatever the wire was, values reach it as columns of
Python values or as numpy arrays, and leave it as the one matrix that a batch is made of. What the
pipeline was fitted on, a matrix, a DataFrame or texts, is made of that matrix by `frames.py`.
"""

from __future__ import annotations

import json
import math
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from .columns import ABSENT, NAMES_SHOWN, Column, JSONLabel, Positions, Unfit, Values
from .errors import Fault, InvalidRows
from .text_rules import JSON, TextRules

MAX_FAULTS: Final = 1000
GOT_LENGTH: Final = 60
LONG_BITS: Final = 1024
"""An integer with more is not written out: that takes a time that grows with the square."""

_DTYPE: Final = r"^(float64|float32|int64|bool|object|datetime64\[[a-zA-Z]+\])$"

Matrix = NDArray[Any]
Container = Literal["matrix", "frame", "texts"]


class _Misfit(NamedTuple):
    """A fault that has not been put in words: of many, only the first are."""

    row: int
    column: str
    expected: str
    value: object = ABSENT

    def fault(self) -> Fault:
        return Fault(self.row, self.column, self.expected, _got(self.value))


class _Misfits:
    """All faults counted, and those kept that are told, the first by row: of a small body that
    claims a large table there are many millions."""

    def __init__(self) -> None:
        self.total = 0
        self._kept: list[_Misfit] = []
        self._end = sys.maxsize
        """From this row on no fault of a further column is among the first."""

    def add(self, of_column: Iterable[_Misfit]) -> None:
        """The faults of one column, in the order of their rows."""
        for count, misfit in enumerate(of_column):
            self.total += 1
            if count < MAX_FAULTS:
                self._kept.append(misfit)
        if len(self._kept) >= 2 * MAX_FAULTS:
            self._cut()

    def add_absent(self, column: Column, rows: int) -> None:
        """A column that no row has."""
        shown = self.told(range(rows))
        self.add(_Misfit(row, column.name, column.expected) for row in shown)
        self.total += rows - len(shown)

    def told(self, rows: range | Positions) -> Sequence[int]:
        """Those of ascending rows whose faults may be among the first."""
        rows = rows[: bisect_left(rows, self._end)][:MAX_FAULTS]
        return rows if isinstance(rows, range) else rows.tolist()

    def faults(self) -> list[Fault]:
        """The first of them by row."""
        self._cut()
        return [misfit.fault() for misfit in self._kept]

    def _cut(self) -> None:
        self._kept.sort(key=lambda misfit: misfit.row)
        del self._kept[MAX_FAULTS:]
        if len(self._kept) == MAX_FAULTS:
            self._end = self._kept[-1].row


class Signature(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The columns of a pipeline in the order in which it was trained.

    `dtype` is numpy's name of the matrix's; `object` where the columns are of several kinds.
    `container` says what the pipeline was fitted on: the `matrix`, a DataFrame (`frame`), or its
    one column as a list of texts.
    """

    columns: tuple[Column, ...]
    dtype: Annotated[str, msgspec.Meta(pattern=_DTYPE)] = "float64"
    container: Container = "matrix"

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def validate(self, values: Mapping[str, Values], rows: int, wire: TextRules = JSON) -> Matrix:
        """Bring named columns of `rows` values each to the matrix of shape (rows, columns).

        `wire` says what a text may stand for besides itself.

        Raises:
            InvalidRows: with every fault of every row: absent and unknown columns, wrong types,
                unknown categories, infinities, and nulls where the column takes none.
        """
        if rows == 1 and self._plain is not None:
            row = _plain_row(self._plain, values)
            if row is not None:
                return np.array((row,), dtype=self.dtype)
        # A table that lacks columns may claim to be far larger than what was sent.
        whole = all(column.name in values for column in self.columns)
        matrix = np.empty((rows, len(self.columns) if whole else 1), dtype=self.dtype)
        misfits = _Misfits()
        for i, column in enumerate(self.columns):
            found, target = values.get(column.name), matrix[:, i if whole else 0]
            if found is None:
                misfits.add_absent(column, rows)
                continue
            positions = column.fill(target, found, wire)
            if positions is None:
                misfits.add(_misfits(target, column, found, wire, range(rows)))
            else:
                shown = misfits.told(positions)
                misfits.add(_misfits(target, column, found, wire, shown))
                misfits.total += len(positions) - len(shown)
        for misfitting in self._unknown(values):
            misfits.add(misfitting)
        if misfits.total:
            raise InvalidRows(misfits.faults(), rows=rows, total=misfits.total)
        return matrix

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
        """By column the types of plain numbers, where all columns are numbers; else None."""
        types = {column.type for column in self.columns}
        if not types <= ({"integer"} if self.dtype == "int64" else {"number", "integer"}):
            return None
        if self.dtype not in {"float64", "int64"}:
            return None
        return {column.name: _PLAIN[column.type] for column in self.columns}

    def _unknown(self, values: Mapping[str, Values]) -> Iterator[Iterator[_Misfit]]:
        expected = "one of the columns " + ", ".join(self.names[:NAMES_SHOWN])
        if len(self.names) > NAMES_SHOWN:
            expected += f" and {len(self.names) - NAMES_SHOWN} more"
        known = set(self.names)
        for name in values:
            if name in known:
                continue
            yield (
                _Misfit(row, name, expected, value)
                for row, value in enumerate(values[name])
                if value is not ABSENT
            )


_PLAIN: Final[Mapping[str, frozenset[type]]] = {
    "number": frozenset({float, int, np.float64, np.int64}),
    "integer": frozenset({int, np.int64}),
}
_EXACT: Final = 2.0**53
"""Below it an integer is the same number as a float."""


def _plain_row(
    plain: Mapping[str, frozenset[type]], values: Mapping[str, Values]
) -> list[object] | None:
    """The one row that has a plain number for each column and nothing else, which is what most
    requests bring; None for any other, even a sound one."""
    if len(values) != len(plain):
        return None
    row: list[object] = []
    for name, types in plain.items():
        found = values.get(name)
        if found is None:
            return None
        value: Any = found[0]
        if type(value) not in types or not -_EXACT < value < _EXACT:  # NaN is neither
            return None
        row.append(value)
    return row


def _misfits(
    target: Matrix, column: Column, values: Values, wire: TextRules, rows: Iterable[int]
) -> Iterator[_Misfit]:
    """Fill these rows of the column value by value, and yield each that does not fit."""
    expected = column.expected
    for row in rows:
        value = values[row]
        if value is ABSENT:
            yield _Misfit(row, column.name, expected)
            continue
        try:
            target[row] = column.cell(value, target.dtype, wire)
        except Unfit as unfit:
            if wire.blanks and value == "":
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


def _got(value: object) -> str:
    if value is ABSENT:
        return "nothing"
    if isinstance(value, np.generic):
        value = value.item()
    try:
        shown = _beginning(value)
    except (TypeError, ValueError, RecursionError):
        shown = type(value).__name__
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= GOT_LENGTH else shown[: GOT_LENGTH - 1] + "…"
