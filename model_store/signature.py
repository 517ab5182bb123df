"""What a pipeline takes: its columns, and rows brought to them.

Inference has one gate, `Signature.validate`. Whatever the wire was, values reach it as columns of
Python values or as numpy arrays, and leave it as the one matrix that `predict` takes. A column is
first tried whole, in numpy; only where that finds something odd is it walked value by value, to
say which row is wrong and why. So good input is quick and bad input is told all its faults.

Known weak points: every column is numeric so far, and the matrix has one dtype for all columns.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import Fault, InvalidPipeline, InvalidRows

ABSENT: Final = msgspec.UNSET
"""Stands in a column for a row that does not name it, as null stands for a missing value."""

MAX_FAULTS: Final = 1000
GOT_LENGTH: Final = 60
NAMES_SHOWN: Final = 20
INTEGER_LENGTH: Final = 40
"""Longer digits are read as a float: they are beyond 64 bits, where a float says so as well."""

Values = Sequence[object] | NDArray[Any]
Matrix = NDArray[Any]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INT64 = np.iinfo(np.int64)
_EXPECTED = {
    "number": "a number",
    "integer": "an integer",
}


class _Unfit(Exception):
    """A value does not fit; the message is what was expected, if more than the type."""


class _Misfit(NamedTuple):
    """A fault that has not been put in words: of many, only the first are."""

    row: int
    column: str
    expected: str
    value: object = ABSENT

    def fault(self) -> Fault:
        return Fault(self.row, self.column, self.expected, _got(self.value))


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a pipeline.

    `minimum`, `maximum` and `typical` (the median) are those of the training data, and bound
    nothing: they fill the form and the documentation. `missing` says that null is an answerable
    value here.
    """

    name: str
    type: Literal["number", "integer"]
    minimum: float | None = None
    maximum: float | None = None
    typical: float | None = None
    missing: bool = False

    @property
    def expected(self) -> str:
        words = _EXPECTED[self.type]
        return f"{words} or null" if self.missing else words


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a pipeline in the order in which it was trained.

    `dtype` is that of the matrix. `container` says what the pipeline was fitted on: a `frame` is
    made of the matrix before predicting.
    """

    columns: tuple[Column, ...]
    dtype: Literal["float64", "float32", "int64"] = "float64"
    container: Literal["matrix", "frame"] = "matrix"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @classmethod
    def from_data(
        cls, data: Any, names: Sequence[str] | None = None, *, frame: bool = False
    ) -> Signature:
        """Infer the signature of training data of shape (rows, columns).

        Names are those given, else the columns of a DataFrame, else x0, x1, …
        """
        matrix = as_matrix(data)
        chosen = _column_names(data, names, matrix.shape[1])
        integers = _integer_columns(data, matrix)
        columns = tuple(
            _describe(name, matrix[:, i], integer=integers[i]) for i, name in enumerate(chosen)
        )
        return cls(
            columns=columns,
            dtype=_matrix_dtype(matrix),
            container="frame" if frame else "matrix",
        )

    def with_missing(self, allowed: Iterable[bool]) -> Signature:
        """The same signature, with whether each column may be missing."""
        columns = tuple(
            msgspec.structs.replace(column, missing=missing)
            for column, missing in zip(self.columns, allowed, strict=True)
        )
        dtype = self.dtype
        if dtype == "int64" and any(column.missing for column in columns):
            dtype = "float64"
        return msgspec.structs.replace(self, columns=columns, dtype=dtype)

    def validate(self, values: Mapping[str, Values], rows: int, *, text: bool = False) -> Matrix:
        """Bring named columns of `rows` values each to the matrix of shape (rows, columns).

        `text` says that the wire knows only text, so that an empty value is a missing one.
        A numeric string is a number on any wire.

        Raises:
            InvalidRows: with every fault of every row: absent and unknown columns, wrong types,
                infinities, and nulls where the column takes none.
        """
        matrix = np.empty((rows, len(self.columns)), dtype=self.dtype)
        misfits: list[_Misfit] = []
        for i, column in enumerate(self.columns):
            found = values.get(column.name)
            if found is None:
                misfits.extend(_Misfit(row, column.name, column.expected) for row in range(rows))
            elif not _fill(matrix[:, i], column, found):
                misfits.extend(_misfits(matrix[:, i], column, found, text=text))
        misfits.extend(self._unknown(values))
        if misfits:
            misfits.sort(key=lambda misfit: misfit.row)
            faults = [misfit.fault() for misfit in misfits[:MAX_FAULTS]]
            raise InvalidRows(faults, rows=rows, total=len(misfits))
        return matrix

    def values(self, matrix: Matrix) -> list[dict[str, float | int | None]]:
        """The rows of a matrix as JSON objects, a missing value as None."""
        return [
            {
                column.name: _plain(value, column)
                for column, value in zip(self.columns, row, strict=True)
            }
            for row in matrix
        ]

    def _unknown(self, values: Mapping[str, Values]) -> Iterator[_Misfit]:
        expected = "one of the columns " + ", ".join(self.names[:NAMES_SHOWN])
        if len(self.names) > NAMES_SHOWN:
            expected += f" and {len(self.names) - NAMES_SHOWN} more"
        known = set(self.names)
        for name in values:
            if name in known:
                continue
            for row, value in enumerate(values[name]):
                if value is not ABSENT:
                    yield _Misfit(row, name, expected, value)


def as_matrix(data: Any) -> Matrix:
    """Training data as a numeric matrix of two dimensions.

    Raises:
        InvalidPipeline: the data has another shape, or a column that is not numeric.
    """
    if hasattr(data, "dtypes") and hasattr(data, "columns"):
        odd = [
            str(name)
            for name, dtype in zip(data.columns, data.dtypes, strict=True)
            if getattr(dtype, "kind", "O") not in "iuf"
        ]
        if odd:
            raise InvalidPipeline(
                f"The columns {', '.join(odd)} are not numeric; encode them as numbers before the "
                "pipeline is fitted."
            )
        if any(hasattr(dtype, "na_value") for dtype in data.dtypes):
            data = data.to_numpy(dtype=np.float64, na_value=np.nan)
    try:
        matrix = np.asarray(data)
    except ValueError as error:
        raise InvalidPipeline(f"The rows of the training data differ in length: {error}") from error
    if matrix.ndim != 2 or matrix.shape[0] == 0 or matrix.shape[1] == 0:
        raise InvalidPipeline(
            f"Training data needs the shape (rows, columns), got {tuple(matrix.shape)}."
        )
    if matrix.dtype.kind not in "iuf":
        raise InvalidPipeline(
            f"Training data must be numeric, got the dtype {matrix.dtype}; convert it with "
            "numpy.asarray(X, dtype=float)."
        )
    return matrix


def _column_names(data: Any, names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if names is None:
        columns = getattr(data, "columns", None)
        names = [f"x{i}" for i in range(count)] if columns is None else [str(c) for c in columns]
    chosen = tuple(str(name) for name in names)
    if len(chosen) != count:
        raise InvalidPipeline(f"There are {count} columns, but {len(chosen)} names for them.")
    odd = [name for name in chosen if not name or _CONTROL.search(name)]
    if odd:
        raise InvalidPipeline(
            f"A column's name needs text without control characters, got {odd[0]!r}: a form could "
            "not send it."
        )
    if len(set(chosen)) != count:
        twice = sorted({name for name in chosen if chosen.count(name) > 1})
        raise InvalidPipeline(f"Column names must differ; more than once: {', '.join(twice)}.")
    return chosen


def _integer_columns(data: Any, matrix: Matrix) -> list[bool]:
    if hasattr(data, "dtypes") and hasattr(data, "columns"):
        return [dtype.kind in "iu" for dtype in data.dtypes]
    return [matrix.dtype.kind in "iu"] * matrix.shape[1]


def _matrix_dtype(matrix: Matrix) -> Literal["float64", "float32", "int64"]:
    if matrix.dtype.kind in "iu":
        return "int64"
    return "float32" if matrix.dtype == np.float32 else "float64"


def _describe(name: str, values: Matrix, *, integer: bool) -> Column:
    finite = values[np.isfinite(values)]
    convert = int if integer else float
    if finite.size == 0:
        return Column(name=name, type="number")
    return Column(
        name=name,
        type="integer" if integer else "number",
        minimum=convert(finite.min()),
        maximum=convert(finite.max()),
        typical=_typical(finite, integer=integer),
    )


def _typical(values: Matrix, *, integer: bool) -> float | int:
    """The lower median: a value that stands in the data, so that an integer stays one."""
    middle = np.sort(values)[(len(values) - 1) // 2]
    return int(middle) if integer else float(middle)


def _fill(target: Matrix, column: Column, values: Values) -> bool:
    """Fill the column at once; False where a value needs a closer look."""
    array = _numeric(values)
    if array is None or (column.type == "integer" and array.dtype.kind == "f"):
        return False
    if column.type == "integer" and array.dtype == np.uint64:
        return False
    if target.dtype == np.float32:
        # Alone or in company, an integer takes the same way: rounded to a float64 first.
        array = array.astype(np.float64)
    with np.errstate(over="ignore"):
        target[:] = array
    odd = np.isinf(target) if column.missing else ~np.isfinite(target)
    return not odd.any()


def _numeric(values: Values) -> Matrix | None:
    """The values as a numeric array, or None where they are not all plain numbers."""
    if isinstance(values, np.ndarray):
        array = values
    elif set(map(type, values)) <= {float, int}:
        try:
            array = np.asarray(values)
        except OverflowError:
            return None
    else:
        return None
    return array if array.dtype.kind in "iuf" else None


def _misfits(target: Matrix, column: Column, values: Values, *, text: bool) -> Iterator[_Misfit]:
    """Fill the column value by value, and yield each that does not fit."""
    for row, value in enumerate(values):
        if value is ABSENT:
            yield _Misfit(row, column.name, column.expected)
            continue
        try:
            target[row] = _number(value, column, target.dtype, text=text)
        except _Unfit as unfit:
            if text and value == "":
                value = ABSENT
            yield _Misfit(row, column.name, str(unfit) or column.expected, value)


def _number(value: object, column: Column, dtype: np.dtype[Any], *, text: bool) -> float | int:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        value = _parse(value, text=text)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if not column.missing:
            raise _Unfit
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unfit
    if column.type == "integer":
        return _integer(value)
    try:
        with np.errstate(over="ignore"):
            finite = math.isfinite(dtype.type(value))
    except OverflowError:
        finite = False
    if not finite:
        raise _Unfit("a finite number")
    return value


def _integer(value: float | int) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise _Unfit
    if not _INT64.min <= value <= _INT64.max:
        raise _Unfit("an integer of at most 64 bits")
    return int(value)


def _parse(text_value: str, *, text: bool) -> float | int | None:
    stripped = text_value.strip()
    if text and not stripped:
        return None
    if not _NUMBER.fullmatch(stripped):
        raise _Unfit
    if stripped.lstrip("+-").isdigit() and len(stripped) <= INTEGER_LENGTH:
        return int(stripped)
    return float(stripped)


def _got(value: object) -> str:
    if value is ABSENT:
        return "nothing"
    if isinstance(value, np.generic):
        value = value.item()
    try:
        shown = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        shown = type(value).__name__
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= GOT_LENGTH else shown[: GOT_LENGTH - 1] + "…"


def _plain(value: Any, column: Column) -> float | int | None:
    if value != value:
        return None
    return int(value) if column.type == "integer" else float(value)
