"""Dates, and moments of a day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ..column_facts import ColumnFacts, JSONLabel
from ..literals import iso, parse_date
from ..values import FINER, Cells, Mask, Positions, nanoseconds
from .base import ColumnType, Control, Datatype, Reading, Schema, Unfit
from .category import all_texts

DAY_LENGTH: Final = len("2024-12-31")

# What a control for dates sends.
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?", re.ASCII)

_NAMED = re.compile(r"datetime64\[(\w+)")

_PYTHONS: Final = np.dtype("datetime64[us]")
_YEARS: Final = (np.datetime64("0001-01-01", "us"), np.datetime64("9999-12-31T23:59:59.999999"))
"""What Python's own dates span."""
_NANOSECONDS = (datetime(1677, 9, 23), datetime(2262, 4, 10))
"""What 64 bits of nanoseconds span, but for the half a day on both sides that a zone may add."""
_UNITS: Final = {
    **{"Y": "years", "M": "months", "W": "weeks", "D": "days", "h": "hours", "m": "minutes"},
    **{"s": "seconds", "ms": "milliseconds", "us": "microseconds"},
}


class DateType(ColumnType):
    """A date, with or without a time: ISO 8601 text, or a date of Python or numpy.

    A cell is what the column was in training: `datetime64`, a date, a moment, or the text itself.
    """

    name = "date"

    def parse(self, column: ColumnFacts, value: object, dtype: np.dtype[Any]) -> Any:
        moment = parse_date(value) if isinstance(value, str) else _moment(value)
        if moment is None:
            raise Unfit
        if "[ns" in column.dtype and not _within_nanoseconds(moment):
            raise Unfit("a date from 1678 to 2261")
        if _is_text(column):
            return value if isinstance(value, str) else _written(column, value, moment)
        if moment.tzinfo is None and _is_aware(column):
            raise Unfit("a date with a time zone, such as 2024-12-31T08:00:00+01:00")
        if moment.tzinfo is not None and not _is_aware(column):
            raise Unfit("a date without a time zone")
        if column.dtype == "date":
            if moment.time() != datetime.min.time():
                raise Unfit("a date without a time")
            return moment.date()
        wanted = _resolution(column.dtype, dtype)
        if wanted is _PYTHONS and dtype.kind == "O":
            return moment
        whole = _whole(moment, wanted)
        return whole if dtype.kind == "M" else moment

    def fill(self, column: ColumnFacts, target: Cells, values: Sequence[object]) -> bool:
        return False

    def plain(self, cell: Any) -> str:
        return iso(cell) if isinstance(cell, date) else str(cell)

    def expected(self, column: ColumnFacts) -> str:
        example = "2024-12-31T08:00:00+01:00" if _is_aware(column) else "2024-12-31"
        return f"a date such as {example}"

    def schema(self, column: ColumnFacts) -> Schema:
        moments = "T" in str(column.typical)
        return {"type": "string", "format": "date-time" if moments else "date"}

    def control(self, column: ColumnFacts) -> Control:
        known = _known(column)
        moments = any(len(text) > DAY_LENGTH for text in known)
        sent = _MOMENT if moments else _DAY
        # Where texts were trained on, a pipeline may read no other format than theirs.
        odd = _is_text(column) and not all(map(sent.fullmatch, known))
        if odd or _is_aware(column):
            return "line"
        return "datetime" if moments else "date"

    def datatype(self, column: ColumnFacts) -> Datatype:
        return "BYTES"

    @property
    def reading(self) -> Reading | None:
        return "date"

    def recognizes(self, values: Cells) -> bool:
        if values.dtype.kind != "O":
            return values.dtype.kind == "M"
        kinds = set(map(type, values.tolist()))
        if kinds and all(issubclass(kind, date | np.datetime64) for kind in kinds):
            return True
        return all_texts(values) and all(parse_date(text.strip()) for text in set(values.tolist()))

    def learn(
        self, values: Cells, dtype: str, known: tuple[JSONLabel, ...] | None
    ) -> dict[str, Any]:
        moments = values.astype("datetime64[us]") if values.dtype.kind == "M" else values
        ordered = sorted(moments.tolist())
        about: dict[str, Any] = {"dtype": _dtype(ordered, dtype)}
        if ordered:
            ends = (ordered[0], ordered[(len(ordered) - 1) // 2], ordered[-1])
            texts = [end if isinstance(end, str) else iso(end) for end in ends]
            about |= zip(("minimum", "typical", "maximum"), texts, strict=True)
        return about

    def fill_array(self, column: ColumnFacts, target: Cells, array: Cells) -> Positions | None:
        if array.dtype.kind != "M" or _is_text(column):
            return None
        if _is_aware(column):
            return np.arange(len(array))
        fits = _fits(column, array, _resolution(column.dtype, target.dtype))
        cells = array[fits].astype(_cell_dtype(column, target.dtype))
        target[fits] = cells if target.dtype.kind == "M" else cells.astype(object)
        return np.flatnonzero(~fits)


def _is_text(column: ColumnFacts) -> bool:
    """Whether training had the dates as texts. Dates that are objects are called by their class."""
    return column.dtype in {"str", "object"} or column.dtype.startswith("string")


def _is_aware(column: ColumnFacts) -> bool:
    """Whether the dates of training had a time zone."""
    return "," in column.dtype or "tz=" in column.dtype


def _moment(value: object) -> datetime | None:
    """The moment that a value of Python or numpy is, or None."""
    if isinstance(value, np.datetime64) or nanoseconds(value):
        raise Unfit("a date of the years 1 to 9999, in whole microseconds")
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, datetime.min.time())
    return None


def _written(column: ColumnFacts, value: object, moment: datetime) -> str:
    """A date as text such as the training data has: with a time where that had one."""
    if isinstance(value, datetime) and any(len(text) > DAY_LENGTH for text in _known(column)):
        return moment.isoformat()
    return iso(moment)


def _known(column: ColumnFacts) -> list[str]:
    return [str(each) for each in (column.minimum, column.typical, column.maximum) if each]


def _within_nanoseconds(moment: datetime) -> bool:
    earliest, latest = _NANOSECONDS
    try:
        naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:
        return False
    return earliest <= naive <= latest


def _cell_dtype(column: ColumnFacts, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What numpy is to make of `datetime64` on the way to the cells."""
    if dtype.kind == "M":
        return dtype
    return np.dtype("datetime64[D]") if column.dtype == "date" else _PYTHONS


def _whole(moment: datetime, wanted: np.dtype[Any]) -> np.datetime64:
    """A moment in a unit that rounds nothing of it."""
    naive = np.datetime64(moment.replace(tzinfo=None))
    found: np.datetime64 = naive.astype(wanted)
    if found != naive:
        raise Unfit(f"a date in whole {_UNITS[np.datetime_data(wanted)[0]]}")
    return found


@lru_cache
def _resolution(trained: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What must hold a moment whole: the matrix, or the column as it was in training."""
    if dtype.kind == "M":
        return dtype
    if trained == "date":
        return np.dtype("datetime64[D]")
    named = _NAMED.match(trained)
    return np.dtype(f"datetime64[{named[1]}]") if named and named[1] != "us" else _PYTHONS


def _fits(column: ColumnFacts, array: Cells, wanted: np.dtype[Any]) -> Mask:
    """Which moments `DateType.parse` takes: those of Python that `wanted` holds whole."""
    earliest, latest = _YEARS
    if "[ns" in column.dtype:
        earliest, latest = (np.datetime64(moment, "us") for moment in _NANOSECONDS)
    unit = np.datetime_data(array.dtype)[0]
    if unit in FINER:
        moments = array.astype("datetime64[us]")
        fits: Mask = np.ones(len(array), dtype=bool)
    else:
        # Microseconds hold fewer years than what is coarser.
        fits = (array >= earliest.astype(array.dtype)) & (array <= latest.astype(array.dtype))
        moments = np.where(fits, array, earliest.astype(array.dtype)).astype("datetime64[us]")
    fits &= (moments == array) & (moments >= earliest) & (moments <= latest)
    within = np.where(fits, moments, earliest)
    fits &= within.astype(wanted) == within
    return fits


def _dtype(ordered: Sequence[object], dtype: str) -> str:
    """What a column of these moments is called, which came with this dtype."""
    if dtype != "object" or all(isinstance(moment, str) for moment in ordered):
        return dtype
    return "date" if {type(moment) for moment in ordered} == {date} else "datetime"
