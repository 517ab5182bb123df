"""The index of a table of pandas: the names of its columns, or of its rows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .extension_arrays import EXTENSION, LINE
from .forms import INTEGER, NONE, Form, either, fields, items, many, of_pandas
from .moments import OFFSET, SIDE
from .plain import KEY, is_key
from .row import Named, Row, find, named, refuse, shown

INDEX: Final = "pandas.Index"
RANGE: Final = "pandas.RangeIndex"
LEVELS: Final = "pandas.MultiIndex"
CATEGORIES: Final = "pandas.CategoricalIndex"
MOMENTS: Final = "pandas.DatetimeIndex"
SPANS: Final = "pandas.TimedeltaIndex"
INTERVALS: Final = "pandas.IntervalIndex"

LINEAR: Final = of_pandas(
    "an index",
    *("CategoricalIndex", "DatetimeIndex", "Index", "IntervalIndex", "RangeIndex"),
    "TimedeltaIndex",
)
ANY_INDEX: Final = either(LINEAR, of_pandas("an index of levels", "MultiIndex"))


def _index(what: Named, parts: dict[str, Any]) -> Any:
    if what.name == RANGE:
        return _range(**parts)
    if what.name == LEVELS:
        return _levels(**parts)
    if what.name == SPANS:
        return _dates(what, parts)
    data = parts["data"]
    if data.dtype == np.dtype(object) and not all(map(is_key, data)):
        refuse("has an index hold others than plain values", "what a dict may look for")
    made = find("pandas", "Index")(data, dtype=data.dtype, name=parts.get("name"), copy=True)
    _require_kind(made, what)
    return made


def _range(start: int, stop: int, step: int, name: Any = None) -> Any:
    return find("pandas", "RangeIndex")(start, stop, step, name=name)


def _levels(levels: list[Any], codes: list[Any], sortorder: int | None, names: list[Any]) -> Any:
    """Of each level the values, and which of them a row has. pandas looks at whether they are
    there."""
    kind = find("pandas", "MultiIndex")
    return kind(levels=levels, codes=codes, sortorder=sortorder, names=names, copy=True)


def _dates(what: Named, parts: dict[str, Any]) -> Any:
    """An index of moments or spans of time, which may be steps of one size."""
    data = parts["data"]
    kind = find("pandas", what.name.rpartition(".")[2])
    made = kind(data, name=parts.get("name"), copy=True)
    _require_kind(made, what)
    freq = parts.get("freq", vars(data).get("_freq"))
    return made if freq is None else kind(made, freq=freq)


def _intervals(_what: Named, parts: dict[str, Any]) -> Any:
    return find("pandas", "IntervalIndex").from_arrays(
        parts["left"], parts["right"], parts["closed"], name=parts.get("name"), copy=True
    )


def _require_kind(made: Any, what: Named) -> None:
    """Raises Untrusted where pandas makes another index of the values."""
    if type(made).__name__ != what.name.rpartition(".")[2]:
        refuse(f"has {what.name} hold {shown(made)}", "values of its kind")


_CODES: Final = Form("integers", lambda value: LINE.fits(value) and value.dtype.kind == "i")
_DATA: Final = fields({"data": either(LINE, EXTENSION)}, {"name": KEY})
_DATED: Final = fields(
    {"data": of_pandas("an array of dates", "DatetimeArray", "TimedeltaArray")},
    {"name": KEY, "freq": either(NONE, OFFSET)},
)

CLASSES: Final = tuple(map(Named, (INDEX, RANGE, LEVELS, CATEGORIES, MOMENTS, SPANS, INTERVALS)))
ROWS: Final = (
    Row(
        "pandas.core.indexes.base._new_Index",
        _index,
        either(
            items(named(INDEX, CATEGORIES), _DATA),
            items(named(SPANS), _DATED),
            items(
                named(RANGE),
                fields({"start": INTEGER, "stop": INTEGER, "step": INTEGER}, {"name": KEY}),
            ),
            items(
                named(LEVELS),
                fields(
                    {
                        "levels": many(LINEAR, list),
                        "codes": many(_CODES, list),
                        "sortorder": either(NONE, INTEGER),
                        "names": many(KEY, list),
                    }
                ),
            ),
        ),
    ),
    Row(
        "pandas.core.indexes.datetimes._new_DatetimeIndex",
        _dates,
        items(named(MOMENTS), _DATED),
    ),
    Row(
        "pandas.core.indexes.timedeltas._new_TimedeltaIndex",
        _dates,
        items(named(SPANS), _DATED),
    ),
    Row(
        "pandas.core.indexes.interval._new_IntervalIndex",
        _intervals,
        items(
            named(INTERVALS),
            fields({"left": LINEAR, "right": LINEAR, "closed": SIDE}, {"name": KEY}),
        ),
    ),
)
