"""One input of a pipeline, and how a value is brought to its type.

A column is first tried whole (`fill`), in numpy or in one pass; only where that finds something odd
is it walked value by value (`cell`), to say which row is wrong and why. So good input is quick and
bad input is told all its faults.

In a matrix of one numeric dtype a cell has that dtype. In a matrix of objects it is a Python value:
float, int, bool, str, or for a date what the pipeline was trained on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from .text_rules import JSON, TextRules

ABSENT: Final = msgspec.UNSET
"""Stands in a column for a row that does not name it, as null stands for a missing value."""

JSONLabel = str | int | float | bool
ColumnType = Literal["number", "integer", "category", "text", "boolean", "date"]
Values = Sequence[object] | NDArray[Any]
Cells = NDArray[Any]
Positions = NDArray[np.intp]

NAMES_SHOWN: Final = 20
NOWHERE: Final = np.empty(0, dtype=np.intp)
INTEGER_LENGTH: Final = 40
"""Longer digits are read as a float: they are beyond 64 bits, where a float says so as well."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMERALS = "0123456789+-.eE "
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.]+(?:Z|[+-][0-9:]+)?)?")
_INT64 = np.iinfo(np.int64)
_NANOSECONDS = (datetime(1677, 9, 22), datetime(2262, 4, 11))
"""What 64 bits of nanoseconds span."""
_TRUTHS: Final = {
    **dict.fromkeys(("true", "yes", "on", "1", True, 1), True),
    **dict.fromkeys(("false", "no", "off", "0", False, 0), False),
}


class Unfit(Exception):
    """A value does not fit; the message is what was expected, if more than `Column.expected`."""


class Column(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One input of a pipeline.

    `minimum`, `maximum` and `typical` (the median, or the most frequent) are those of the training
    data, and bound nothing: they fill the form and the documentation. A date is ISO 8601 text
    there. Of numbers `quartiles` are the lower, the median and the upper one, which are values of
    the data as well, and `step` is the data's own resolution, such as 0.1, or None of finer data.
    `categories` are the values that are known; with `open` the pipeline answers others as well.
    `missing` says that null is an answerable value here, and `null` which one the pipeline knows.
    `dtype` is what the column had in training: numpy's or pandas's name, or of dates in a matrix of
    objects `str`, `date` or `datetime`.
    """

    name: str
    type: ColumnType
    label: str | None = None
    unit: str | None = None
    description: str | None = None
    minimum: float | int | str | None = None
    maximum: float | int | str | None = None
    typical: JSONLabel | None = None
    quartiles: tuple[float | int, float | int, float | int] | None = None
    step: float | int | None = None
    categories: tuple[JSONLabel, ...] | None = None
    open: bool = False
    missing: bool = False
    null: Literal["nan", "none"] = "nan"
    dtype: str = "float64"

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        words = _EXPECTED.get(self.type) or self._expected_category
        return f"{words} or null" if self.missing else words

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers, also where they name categories."""
        if self.type == "category":
            return not any(isinstance(value, str) for value in self.categories or ())
        return self.type in {"number", "integer"}

    def fill(self, target: Cells, values: Values, wire: TextRules = JSON) -> Positions | None:
        """Fill the cells of this column at once, and tell the positions of the values that do not
        fit; None where each value needs a closer look."""
        if isinstance(values, np.ndarray):
            return self._fill_array(target, values, wire)
        if set(map(type, values)) == {str}:
            return self._fill_texts(target, cast(Sequence[str], values), wire)
        if wire.blanks and self.type == "text":
            return None
        return NOWHERE if _FILLERS[self.type](self, target, values) else None

    def _fill_array(self, target: Cells, array: Cells, wire: TextRules) -> Positions | None:
        if array.dtype.kind not in "iufb":
            return None
        if self.type in {"number", "integer"}:
            return _fill_numbers(self, target, array)
        # Alike in their bits: 0.0 and -0.0 are two values.
        bits = np.ascontiguousarray(array).view(f"u{array.itemsize}")
        distinct, inverse = np.unique(bits, return_inverse=True)
        return self._fill_alike(target, distinct.view(array.dtype).tolist(), inverse, wire)

    def _fill_texts(self, target: Cells, texts: Sequence[str], wire: TextRules) -> Positions | None:
        """As `fill`, of values that all are texts."""
        if self.type == "text":
            if wire.crlf or (wire.blanks and not all(map(str.strip, texts))):
                return None
            target[:] = texts
            return NOWHERE
        if self.type == "category" and _fill_categories(self, target, texts):
            return NOWHERE
        if wire.numerals and self.type in {"number", "integer"}:
            numbers = self._parse_numbers(texts, wire)
            if numbers is not None:
                return _fill_numbers(self, target, numbers)
        positions = {text: position for position, text in enumerate(dict.fromkeys(texts))}
        inverse = np.array([positions[text] for text in texts])
        return self._fill_alike(target, list(positions), inverse, wire)

    def _parse_numbers(self, texts: Sequence[str], wire: TextRules) -> Cells | None:
        """The numbers that all the texts write, NaN for a blank one that may be; else None."""
        may_miss = self.missing and wire.blanks
        if may_miss:
            texts = ["" if text in wire.nulls else text for text in texts]
        # Of these characters `float` and `int` make what `parse_number` does, or an error.
        if "".join(texts).strip(_NUMERALS):
            return None
        try:
            if self.type == "integer":
                return np.array(list(map(int, texts)), dtype=np.int64)
            if may_miss:
                texts = [text or "nan" for text in texts]
            numbers = np.array(list(map(float, texts)))
        except (ValueError, OverflowError):
            return None
        # An integer has no negative zero, and a float has.
        return None if np.signbit(numbers[numbers == 0]).any() else numbers

    def _fill_alike(
        self, target: Cells, distinct: Sequence[object], inverse: Positions, wire: TextRules
    ) -> Positions | None:
        """As `fill`, looking once at values that are alike: `distinct[inverse]` are all of them."""
        if len(distinct) > len(inverse) // 2:
            return None
        cells = np.empty(len(distinct), dtype=target.dtype)
        fits = np.ones(len(distinct), dtype=bool)
        for position, value in enumerate(distinct):
            try:
                cells[position] = self.cell(value, target.dtype, wire)
            except Unfit:
                fits[position] = False
        filled = fits[inverse]
        target[filled] = cells[inverse[filled]]
        return np.flatnonzero(~filled)

    def cell(self, value: object, dtype: np.dtype[Any], wire: TextRules = JSON) -> Any:
        """One value as the cell of a matrix.

        Raises:
            Unfit: it is none of this column.
        """
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, str) and not (self.type == "category" and value in self._known):
            value = self._read(value, wire)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return self._no_value(dtype)
        return _PARSERS[self.type](self, value, dtype)

    def _read(self, text: str, wire: TextRules) -> str | float | bool | None:
        """What a text stands for on this wire, where it is no known category."""
        if wire.blanks and not text.strip():
            return None
        if self.type == "text":
            return text.replace("\r\n", "\n") if wire.crlf else text
        text = text.strip()
        if self.missing and text in wire.nulls:
            return None
        if self.numeric or self.type == "boolean":
            return self._from_numeral(text, wire)
        return text

    def _from_numeral(self, text: str, wire: TextRules) -> float | bool:
        found: float | bool | None = None
        if wire.numerals:
            found = _TRUTHS.get(text.lower()) if self.type == "boolean" else parse_number(text)
        if found is None:
            raise Unfit
        return found

    def plain(self, cell: Any) -> JSONLabel | None:
        """A cell as the JSON value that it came from; None for a missing one."""
        if isinstance(cell, np.datetime64):
            cell = cell.astype("datetime64[us]").item()
        if isinstance(cell, np.generic):
            cell = cell.item()
        if cell is None or cell != cell:
            return None
        if isinstance(cell, date):
            return iso(cell)
        if self.type == "integer":
            return int(cell)
        return float(cell) if self.type == "number" else cell

    @cached_property
    def _known(self) -> dict[JSONLabel, JSONLabel]:
        return {category: category for category in self.categories or ()}

    @property
    def _expected_category(self) -> str:
        known = self.categories or ()
        if self.open:
            return "a number" if self.numeric else "a text"
        shown = ", ".join(map(shown_category, known[:NAMES_SHOWN]))
        more = len(known) - NAMES_SHOWN
        return f"one of {shown}" + (f" and {more} more" if more > 0 else "")

    def _no_value(self, dtype: np.dtype[Any]) -> Any:
        if not self.missing:
            raise Unfit
        if dtype.kind == "M":
            return np.datetime64("NaT")
        return None if self.null == "none" and dtype.kind == "O" else math.nan


_EXPECTED = {
    "number": "a number",
    "integer": "an integer",
    "text": "a text",
    "boolean": "true or false",
    "date": "a date such as 2024-12-31",
}


def iso(value: date) -> str:
    """A date, or a date and time where it has one, as ISO 8601 text."""
    if not isinstance(value, datetime):
        return value.isoformat()
    midnight = value.tzinfo is None and value.time() == datetime.min.time()
    return value.date().isoformat() if midnight else value.isoformat()


def parse_number(value: str) -> float | int | None:
    """The number that a text writes in decimal, or None."""
    if not _NUMBER.fullmatch(value):
        return None
    if value.lstrip("+-").isdigit() and len(value) <= INTEGER_LENGTH:
        return int(value)
    return float(value)


def parse_date(value: str) -> datetime | None:
    """The moment that ISO 8601 text names, or None."""
    if not _DATE.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def shown_category(value: JSONLabel) -> str:
    """A category in a sentence: 2 and not 2.0."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


# Value by value ------------------------------------------------------------------


def _number(column: Column, value: object, dtype: np.dtype[Any]) -> float | int:
    number = _as_number(value)
    narrow = np.float32 if dtype.kind == "O" and column.dtype == "float32" else dtype.type
    try:
        with np.errstate(over="ignore"):
            rounded = float(number) if narrow is np.object_ else narrow(number)
    except OverflowError:
        raise Unfit("a finite number") from None
    if not math.isfinite(rounded):
        raise Unfit("a finite number")
    return float(rounded) if dtype.kind == "O" else number


def _integer(column: Column, value: object, dtype: np.dtype[Any]) -> int:
    number = _as_number(value)
    if isinstance(number, float) and not number.is_integer():
        raise Unfit
    if not _INT64.min <= number <= _INT64.max:
        raise Unfit("an integer of at most 64 bits")
    return int(number)


def _as_number(value: object) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit
    return value


def _category(column: Column, value: object, dtype: np.dtype[Any]) -> JSONLabel:
    if column.numeric:
        value = _as_number(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise Unfit
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise Unfit
    if value not in column._known and not column.open:
        raise Unfit
    return column._known.get(value, value)


def _text(column: Column, value: object, dtype: np.dtype[Any]) -> str:
    if not isinstance(value, str):
        raise Unfit
    return value


def _boolean(column: Column, value: object, dtype: np.dtype[Any]) -> bool:
    if isinstance(value, int | float) and value in _TRUTHS:
        return _TRUTHS[value]
    raise Unfit


def _date(column: Column, value: object, dtype: np.dtype[Any]) -> Any:
    moment = parse_date(value) if isinstance(value, str) else None
    if moment is None:
        raise Unfit
    aware = "," in column.dtype
    if moment.tzinfo is not None and not aware and column.dtype != "str":
        raise Unfit("a date without a time zone")
    if "[ns" in column.dtype and not _within_nanoseconds(moment):
        raise Unfit("a date from 1678 to 2261")
    if column.dtype == "str":
        return value
    if column.dtype == "date":
        if moment.time() != datetime.min.time():
            raise Unfit("a date without a time")
        return moment.date()
    return np.datetime64(moment) if dtype.kind == "M" else moment


def _within_nanoseconds(moment: datetime) -> bool:
    earliest, latest = _NANOSECONDS
    try:
        naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:
        return False
    # Half a day on both sides is left to what a zone may add.
    return earliest + timedelta(days=1) <= naive <= latest - timedelta(days=1)


_PARSERS: dict[str, Callable[[Column, object, np.dtype[Any]], Any]] = {
    "number": _number,
    "integer": _integer,
    "category": _category,
    "text": _text,
    "boolean": _boolean,
    "date": _date,
}


# A whole column at once ----------------------------------------------------------


def _fill_numbers(column: Column, target: Cells, array: Cells) -> Positions:
    """As `Column.fill`, of an array of numbers or truths."""
    if array.dtype.kind == "b":
        return np.arange(len(array))
    missing = np.isnan(array)
    if column.type == "integer":
        cells, odd = _integers(array)
    else:
        cells, odd = _rounded(column, array, target.dtype)
    odd &= ~missing
    if not column.missing:
        odd |= missing
    elif missing.any():
        target[missing] = column._no_value(target.dtype)
        fits = ~(odd | missing)
        target[fits] = cells[fits]
        return np.flatnonzero(odd)
    if odd.any():
        target[~odd] = cells[~odd]
        return np.flatnonzero(odd)
    target[:] = cells
    return NOWHERE


def _integers(array: Cells) -> tuple[Cells, Cells]:
    """The values as 64-bit integers, and which of them are none."""
    if array.dtype.kind == "f":
        numbers = array.astype(np.float64)
        odd = (numbers != np.floor(numbers)) | (np.abs(numbers) > 2.0**63) | (numbers == 2.0**63)
        return np.where(odd, 0, numbers).astype(np.int64), odd
    odd = array > _INT64.max if array.dtype == np.uint64 else np.zeros(len(array), dtype=bool)
    return array.astype(np.int64), odd


def _rounded(column: Column, array: Cells, dtype: np.dtype[Any]) -> tuple[Cells, Cells]:
    """The values as the column's floats, and which of them are none that is finite."""
    # Alone or in company, an integer takes the same way: rounded to a float64 first.
    cells = array.astype(np.float64)
    if "float32" in (dtype.name, column.dtype if dtype.kind == "O" else None):
        with np.errstate(over="ignore"):
            cells = cells.astype(np.float32)
    return cells, ~np.isfinite(cells)


def _fill_list(column: Column, target: Cells, values: Values) -> bool:
    """As `_fill_numbers`, of a list, if its values are all plain numbers and all fit. An array of
    integers and floats would round the integers: of those each is looked at."""
    kinds = set(map(type, values))
    if not kinds <= {float, int} or (column.type == "integer" and float in kinds):
        return False
    try:
        array = np.asarray(values)
    except OverflowError:
        return False
    return array.dtype.kind in "iuf" and not len(_fill_numbers(column, target, array))


def _fill_categories(column: Column, target: Cells, values: Values) -> bool:
    if not set(map(type, values)) <= {str, int, float}:
        return False
    known = column._known
    try:
        target[:] = [known[value] for value in values]  # type: ignore[index]
    except KeyError:
        return False
    return True


def _filler(kind: type) -> Callable[[Column, Cells, Values], bool]:
    def fill(column: Column, target: Cells, values: Values) -> bool:
        if not set(map(type, values)) <= {kind}:
            return False
        target[:] = values
        return True

    return fill


_FILLERS: dict[str, Callable[[Column, Cells, Values], bool]] = {
    "number": _fill_list,
    "integer": _fill_list,
    "category": _fill_categories,
    "text": _filler(str),
    "boolean": _filler(bool),
    "date": lambda column, target, values: False,
}
