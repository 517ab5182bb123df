"""Values of Python itself: containers, dates, numbers, slices, partial functions."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import functools
import re
import types
from typing import Any, Final

import numpy as np

from .forms import (
    FLAG,
    FLOAT,
    INTEGER,
    NONE,
    NOTHING,
    RAW,
    TEXT,
    Form,
    either,
    exact,
    fields,
    items,
    many,
    of_pandas,
    only,
    raw,
    within,
)
from .row import Row, refuse, shown

LATIN: Final = only("latin1", "latin-1")
DIGITS: Final = 4000
_DECIMAL: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*([eE][-+]?[0-9]{1,4})?|s?NaN[0-9]*|Infinity)")
_KEYS: Final = frozenset(
    {
        *(bool, bytes, complex, float, str, type(None), type(...)),
        *(type, types.BuiltinFunctionType, types.FunctionType, np.ufunc),
        *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
        *(decimal.Decimal, fractions.Fraction, range),
    }
)
_OF_PANDAS: Final = of_pandas(
    "a value of pandas", "Interval", "NAType", "NaTType", "Timedelta", "Timestamp"
)
PARTS: Final = 1000
"""Values within a key, counted as often as they stand there."""


LARGEST: Final = 2**64 - 1
"""A whole number that is a key."""


def is_key(value: Any) -> bool:
    """Whether to look for a value in a dict or a set runs nothing of a file's making, and ends."""
    if type(value) not in (tuple, frozenset):
        return _is_simple_key(value)
    waiting, seen = [value], 0
    while waiting:
        each = waiting.pop()
        seen += 1
        if seen > PARTS:
            return False
        if type(each) in (tuple, frozenset):
            waiting += list(each)[:PARTS]
        elif not _is_simple_key(each):
            return False
    return True


def _is_simple_key(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        # Beyond, as many as one likes have the same hash.
        return bool(-LARGEST <= value <= LARGEST)
    if kind in _KEYS:
        return True
    if issubclass(kind, np.generic):
        return kind is not np.void
    if issubclass(kind, type | np.dtype) or _OF_PANDAS.fits(value):
        return True
    own: set[Any] = {kind.__hash__, kind.__eq__}
    return own == {object.__hash__, object.__eq__}


KEY: Final = Form("what a dict may look for", is_key)
FUNCTION: Final = Form(
    "a function",
    lambda value: (
        type(value) in (types.FunctionType, np.ufunc, functools.partial)
        or type(value) is types.BuiltinFunctionType
        or type(value).__name__ == "_ArrayFunctionDispatcher"
    ),
)
_FACTORIES: Final = (
    *(None, bool, dict, float, int, list, set, str, tuple),
    collections.OrderedDict,  # of what LightGBM measured as it was trained
)
_FACTORY: Final = Form(
    "a class of plain values",
    lambda value: any(value is each for each in _FACTORIES),
)


def _partial(
    _function: Any, state: tuple[Any, tuple[Any, ...], dict[str, Any], Any]
) -> functools.partial[Any]:
    """A function with some of its arguments. Nothing of it is called here."""
    function, args, keywords, _ = state
    return functools.partial(function, *args, **keywords)


def _date(data: Any) -> datetime.date:
    high, low, month, day = raw(data)
    return datetime.date(high * 256 + low, month, day)


def _datetime(data: Any, zone: datetime.tzinfo | None = None) -> datetime.datetime:
    high, low, month, day, hour, minute, second, *micro = raw(data)
    return datetime.datetime(
        high * 256 + low,
        month & 0x7F,
        day,
        hour,
        minute,
        second,
        int.from_bytes(micro, "big"),
        zone,
        fold=month >> 7,
    )


def _time(data: Any, zone: datetime.tzinfo | None = None) -> datetime.time:
    hour, minute, second, *micro = raw(data)
    return datetime.time(
        hour & 0x7F, minute, second, int.from_bytes(micro, "big"), zone, fold=hour >> 7
    )


def _decimal(text: str) -> decimal.Decimal:
    if len(text) > DIGITS or not _DECIMAL.fullmatch(text):
        refuse(f"makes a decimal of {shown(text)}", "a number")
    return decimal.Decimal(text)


def _fraction(above: Any, below: int = 1) -> fractions.Fraction:
    if isinstance(above, str):
        if len(above) > DIGITS or not re.fullmatch(r"-?[0-9]+(/[0-9]+)?", above):
            refuse(f"makes a fraction of {shown(above)}", "whole numbers")
        return fractions.Fraction(above)
    return fractions.Fraction(above, below)


def _sized(count: int) -> Form:
    return Form(
        f"{count} bytes", lambda value: RAW.fits(value) and len(raw_or_none(value)) == count
    )


def raw_or_none(value: Any) -> bytes | bytearray:
    """The bytes of a text that Python 2 wrote; none where it is no such text."""
    try:
        return raw(value)
    except UnicodeEncodeError:
        return b""


_KEYWORDS: Final = Form(
    "named arguments",
    lambda value: type(value) is dict and all(type(name) is str for name in value),
)
_ZONE: Final = exact("a time zone", datetime.timezone, type(None))
_LIST: Final = exact("a list", list, tuple)
_MEMBERS: Final = many(KEY, list, tuple)
_COUNTS: Final = Form(
    "a dict of counts",
    lambda value: type(value) is dict and all(type(each) is int for each in value.values()),
)
_EDGE: Final = exact("the edge of a slice", int, str, type(None), np.int64, np.int32)
_LENGTH: Final = either(NONE, within(0, 2**31))
_PAIRS: Final = many(
    Form(
        "a pair",
        lambda value: type(value) in (list, tuple) and len(value) == 2 and is_key(value[0]),
    ),
    list,
)

ROWS: Final = (
    Row(
        "builtins.bytearray",
        lambda data=b"", *_: bytearray(raw(data)),
        items(RAW, LATIN, least=0),
        value=True,
    ),
    Row(
        "builtins.bytes",
        lambda data=b"", *_: bytes(raw(data)),
        items(RAW, LATIN, least=0),
        value=True,
    ),
    Row("builtins.complex", complex, items(FLOAT, FLOAT), value=True),
    Row("builtins.dict", dict, value=True),
    Row("builtins.frozenset", frozenset, items(_MEMBERS, least=0), value=True),
    Row("builtins.list", list, items(_LIST, least=0), value=True),
    Row("builtins.object", object, value=True),
    Row("builtins.range", range, items(INTEGER, INTEGER, INTEGER), value=True),
    Row("builtins.set", set, items(_MEMBERS, least=0), value=True),
    Row("builtins.slice", slice, items(_EDGE, _EDGE, _EDGE), value=True),
    Row("builtins.tuple", tuple, items(_LIST, least=0), value=True),
    Row("_codecs.encode", lambda text, _: raw(text), items(TEXT, LATIN)),
    Row("collections.Counter", collections.Counter, items(_COUNTS, least=0), value=True),
    Row("collections.OrderedDict", collections.OrderedDict, items(_PAIRS, least=0), value=True),
    Row("collections.defaultdict", collections.defaultdict, items(_FACTORY, least=0), value=True),
    Row("collections.deque", collections.deque, items(_LIST, _LENGTH, least=0), value=True),
    Row("datetime.date", _date, items(_sized(4)), value=True),
    Row("datetime.datetime", _datetime, items(_sized(10), _ZONE, least=1), value=True),
    Row("datetime.time", _time, items(_sized(6), _ZONE, least=1), value=True),
    Row("datetime.timedelta", datetime.timedelta, items(INTEGER, INTEGER, INTEGER), value=True),
    Row(
        "datetime.timezone",
        datetime.timezone,
        items(exact("a difference of time", datetime.timedelta), TEXT, least=1),
    ),
    Row(
        "collections.UserList",
        lambda state: list(state["data"]),
        NOTHING,
        fields(
            {"data": many(either(INTEGER, TEXT), list)},
            {
                "future_dtype": either(NONE, TEXT),
                "warning_was_emitted": FLAG,
                "warning_enabled": FLAG,
            },
        ),
    ),
    Row("decimal.Decimal", _decimal, items(TEXT)),
    Row(
        "fractions.Fraction",
        _fraction,
        items(exact("a number", str, int), within(1, 2**4000), least=1),
    ),
    Row(
        "functools.partial",
        _partial,
        items(FUNCTION),
        items(
            FUNCTION,
            exact("arguments", tuple),
            _KEYWORDS,
            either(NONE, fields({})),
        ),
    ),
)
