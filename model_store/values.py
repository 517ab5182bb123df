"""The values of a column as they come in: lists, numpy arrays, and few values repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, Final, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

ABSENT: Final = msgspec.UNSET
"""Stands in a column for a row that does not name it, as null stands for a missing value."""

Values = Sequence[object] | NDArray[Any]
Cells = NDArray[Any]
Positions = NDArray[np.intp]
Mask = NDArray[np.bool_]

NOWHERE: Final = np.empty(0, dtype=np.intp)

LONGEST: Final = 40
"""Digits of an integer; what has more is beyond 64 bits as a float as well."""

SMALL_RANGE: Final = 1024
"""So many integers in a row are told apart by their difference, which takes no sorting."""

PYTHONS_OWN: Final = frozenset({str, int, float, bool, NoneType})
"""The types of most values, which are looked at no further."""

FINER: Final = frozenset({"ns", "ps", "fs", "as"})
"""Units of `datetime64` below a microsecond, which Python's own moments cannot hold."""


class Inexact(Exception):
    """A value fits its column, and cells of this dtype cannot hold it as it is."""


@dataclass(frozen=True, slots=True)
class Repeated(Sequence[object]):
    """Values of which many are alike: they are `distinct[places[0]]`, `distinct[places[1]]`, …"""

    distinct: Sequence[object]
    places: Positions

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, row: int) -> object: ...
    @overload
    def __getitem__(self, row: slice) -> Repeated: ...
    def __getitem__(self, row: int | slice) -> object:
        if isinstance(row, slice):
            return Repeated(self.distinct, self.places[row])
        return self.distinct[self.places[row]]

    @classmethod
    def of_array(cls, array: Cells) -> Repeated:
        """An array of numbers, truths or `datetime64`."""
        if array.dtype.kind == "b":
            return cls((False, True), array.astype(np.intp))
        if array.dtype.kind in "iu" and len(array):
            least, most = array.min(), array.max()
            if int(most) - int(least) < min(SMALL_RANGE, len(array) // 2):
                wide = array if array.dtype.kind == "u" else array.astype(np.int64)
                places = (wide - least).astype(np.intp)
                return cls(range(int(least), int(most) + 1), places)
        # Alike in their bits: 0.0 and -0.0 are two values.
        bits = np.ascontiguousarray(array).view(f"u{array.itemsize}")
        distinct, places = np.unique(bits, return_inverse=True)
        return cls(list(distinct.view(array.dtype)), places)


def value_at(values: Values, row: int) -> object:
    """One of the values as Python's own, where that holds it."""
    value = values[row]
    return value if type(value) in PYTHONS_OWN else python_value(value)


def python_value(value: object) -> object:
    """A value of numpy, pandas or `decimal` as Python's own; None for one that is missing.

    What Python's own would not hold exactly, such as nanoseconds, stays as it is.
    """
    if isinstance(value, np.datetime64):
        return _python_moment(value)
    if isinstance(value, np.timedelta64):
        return value  # Of nanoseconds numpy would make an integer.
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Decimal):
        return _python_number(value)
    if isinstance(value, datetime):
        return None if value != value else _plain_datetime(value)
    return None if value is np.ma.masked else value


def _python_moment(value: np.datetime64) -> object:
    if np.isnat(value):
        return None
    moment = value.item()
    if isinstance(moment, date):
        return moment
    # An integer: finer than Python's, or beyond its years.
    if np.datetime_data(value.dtype)[0] not in FINER:
        return value
    rounded = value.astype("datetime64[us]")
    return rounded.item() if rounded == value else value


def _python_number(value: Decimal) -> float | int:
    if value.is_nan():
        return float("nan")
    # A large exponent would make an integer of as many digits.
    if value.is_finite() and value.adjusted() < LONGEST and value == value.to_integral_value():
        return int(value)
    return float(value)


def nanoseconds(value: object) -> int:
    """What a moment of pandas has beyond whole microseconds."""
    found: int = getattr(value, "nanosecond", 0)
    return found


def _plain_datetime(value: datetime) -> object:
    """A moment of pandas as one of Python, where that holds all of it."""
    if type(value) is datetime or nanoseconds(value):
        return value
    return datetime.combine(value.date(), value.time(), value.tzinfo)
