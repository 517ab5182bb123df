"""The arrays of pandas and their dtypes: texts, categories, dates, intervals, numbers with gaps.

Each is made by pandas, in public, of checked parts, and has memory of its own.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .arrow_texts import TEXTS, Texts
from .forms import (
    ANYTHING,
    DTYPE,
    FLAG,
    INTEGER,
    NONE,
    NOTHING,
    TEXT,
    Form,
    either,
    exact,
    fields,
    items,
    of_pandas,
    only,
)
from .moments import OFFSET, SIDE, ZONE
from .row import Named, Row, find, named, refuse, shown

STRINGS: Final = "pandas.arrays.StringArray"
CATEGORIES: Final = "pandas.Categorical"
MOMENTS: Final = "pandas.arrays.DatetimeArray"
SPANS: Final = "pandas.arrays.TimedeltaArray"
INTERVALS: Final = "pandas.arrays.IntervalArray"
PLAIN: Final = "pandas.arrays.NumpyExtensionArray"
PYTHON: Final = "python"
UNITS: Final = ("s", "ms", "us", "ns")
INTEGERS: Final = tuple(f"{sign}Int{bits}Dtype" for sign in ("", "U") for bits in (8, 16, 32, 64))
FLOATS: Final = ("Float32Dtype", "Float64Dtype")

_STRING_DTYPE: Final = of_pandas("a dtype of texts", "StringDtype")
_CATEGORY_DTYPE: Final = of_pandas("a dtype of categories", "CategoricalDtype")
_ZONED_DTYPE: Final = of_pandas("a dtype of moments with a time zone", "DatetimeTZDtype")
_PLAIN_DTYPE: Final = of_pandas("a dtype of numpy", "NumpyEADtype")
_INTERVAL_DTYPE: Final = of_pandas("a dtype of intervals", "IntervalDtype")
_MISSING: Final = either(exact("NaN", float), of_pandas("NA", "NAType"))
LINE: Final = Form("an array", lambda value: type(value) is np.ndarray and value.ndim == 1)
_TABLE: Final = Form(
    "an array of rows", lambda value: type(value) is np.ndarray and value.ndim in (1, 2)
)
_DATES: Final = of_pandas("an array of dates", "DatetimeArray", "TimedeltaArray")
EXTENSION: Final = of_pandas(
    "an array of pandas",
    *("ArrowStringArray", "ArrowStringArrayNumpySemantics", "BooleanArray", "Categorical"),
    *("DatetimeArray", "FloatingArray", "IntegerArray", "IntervalArray", "StringArray"),
    *("StringArrayNumpySemantics", "TimedeltaArray"),
)
_CATEGORIES: Final = of_pandas(
    "an index",
    *("DatetimeIndex", "Index", "IntervalIndex", "RangeIndex", "TimedeltaIndex"),
)
_CACHE: Final = exact("a dict", dict)
"""What pandas keeps beside a value to be faster. It finds that out again."""
_MORE: Final = fields({}, {"_cache": _CACHE, "_freq": either(NONE, OFFSET), "_readonly": FLAG})


@dataclass(frozen=True, slots=True)
class Dates:
    """Moments or spans of time, a row for each column, as a block of a DataFrame has them."""

    dtype: Any
    values: np.ndarray[Any, Any]

    @property
    def columns(self) -> list[Any]:
        """An array of pandas for each column."""
        return [_dates(self.dtype, row) for row in self.values]


# Dtypes -----------------------------------------------------------------------------


def _string_dtype(*parts: Any) -> Any:
    """The dtype of texts; they are Python's where pyarrow is not installed."""
    if isinstance(parts[-1], dict):
        parts = (parts[-1].get("storage", PYTHON), parts[-1].get("_na_value", ...))
    storage, *missing = (part for part in parts if part is not ...)
    if storage != PYTHON and importlib.util.find_spec("pyarrow") is None:
        storage = PYTHON
    return find("pandas", "StringDtype")(storage, *missing)


def _category_dtype(state: dict[str, Any]) -> Any:
    return find("pandas", "CategoricalDtype")(state["categories"], state["ordered"])


def _zoned_dtype(state: dict[str, Any]) -> Any:
    return find("pandas", "DatetimeTZDtype")(state["unit"], state["tz"])


def _interval_dtype(state: dict[str, Any]) -> Any:
    return find("pandas", "IntervalDtype")(state["subtype"], state["closed"])


def _plain_dtype(state: dict[str, Any]) -> Any:
    """The dtype of an array of numpy, as pandas calls it."""
    return find("pandas.arrays", "NumpyExtensionArray")(np.empty(0, state["_dtype"])).dtype


# Arrays -----------------------------------------------------------------------------


def _backed(what: Named, _checksum: int, _none: None, state: tuple[Any, ...]) -> Any:
    """Texts, categories, dates, or an array of numpy."""
    dtype, data, *rest = state
    if isinstance(dtype, np.ndarray):  # pandas before 2 wrote them in this order.
        dtype, data = data, dtype
    more = rest[0] if rest else {}
    if what.name in (MOMENTS, SPANS):
        _require_dates(what, dtype, data)
        if data.ndim == 2:
            return Dates(dtype, data)
        return _kept(_stepping(_dates(dtype, data), more.get("_freq")), more)
    if data.ndim != 1:
        refuse(f"has {what.name} in several rows", "one row of values")
    if what.name == PLAIN:
        return _kept(_of_numpy(dtype, data), more)
    if what.name == CATEGORIES:
        if not _CATEGORY_DTYPE.fits(dtype) or data.dtype.kind != "i":
            refuse("has categories without codes", "integers")
        return _kept(find("pandas", "Categorical").from_codes(data, dtype=dtype), more)
    if not _STRING_DTYPE.fits(dtype):
        refuse("has texts of another dtype", "a dtype of texts")
    return _kept(_texts(data.tolist(), dtype), more)


def _of_numpy(dtype: Any, data: np.ndarray[Any, Any]) -> Any:
    made = find("pandas.arrays", "NumpyExtensionArray")(data, copy=True)
    if not _PLAIN_DTYPE.fits(dtype) or made.dtype != dtype:
        refuse(f"has an array of {data.dtype} with another dtype", "what it says of itself")
    return made


def _kept(made: Any, state: dict[str, Any]) -> Any:
    """The array, which pandas may have kept from being changed."""
    if "_readonly" in state:
        made.__dict__["_readonly"] = bool(state["_readonly"])
    return made


def _texts(values: list[Any], dtype: Any) -> Any:
    for value in values:
        if type(value) is not str and value is not None and not _MISSING.fits(value):
            refuse(f"has texts hold {shown(value)}", "a text or a missing value")
    return find("pandas", "array")(values, dtype=dtype)


def _require_dates(what: Named, dtype: Any, data: np.ndarray[Any, Any]) -> None:
    """Raises Untrusted where a dtype is not that of the numbers, or none that pandas has."""
    kind = "M" if what.name == MOMENTS else "m"
    zoned = _ZONED_DTYPE.fits(dtype)
    told = np.dtype(f"M8[{dtype.unit}]") if zoned else dtype
    known = [np.dtype(f"{kind}8[{unit}]") for unit in UNITS]
    if not (zoned or DTYPE.fits(dtype)) or data.dtype not in known or data.dtype != told:
        refuse(f"has {what.name} with numbers of {data.dtype}", "those that its dtype says")


def _dates(dtype: Any, values: np.ndarray[Any, Any]) -> Any:
    """An array of moments, which stand in UTC, or of spans of time."""
    kind = find("pandas", "DatetimeIndex" if values.dtype.kind == "M" else "TimedeltaIndex")
    made = kind(values)
    if _ZONED_DTYPE.fits(dtype):
        made = made.tz_localize("UTC").tz_convert(dtype.tz)
    return made.array.copy()


def _stepping(made: Any, freq: Any) -> Any:
    """The dates, which pandas finds to be steps of one size. Before 3.1 it notes that here."""
    if freq is not None:
        find("pandas", "Index")(made).__class__(made, freq=freq)
        made.__dict__["_freq"] = freq
    return made


def _masked(name: str) -> Any:
    def make(state: dict[str, Any]) -> Any:
        kind = find("pandas.arrays", name)
        return _kept(kind(state["_data"], state["_mask"], copy=True), state)

    return make


def _intervals(_what: Named, _checksum: int, _none: None, state: tuple[dict[str, Any]]) -> Any:
    (parts,) = state
    dtype = parts["_dtype"]
    made = find("pandas.arrays", "IntervalArray").from_arrays(
        parts["_left"], parts["_right"], closed=dtype.closed, copy=True
    )
    if made.dtype != dtype:
        refuse(f"has intervals of {shown(str(dtype))}", f"what they are: {made.dtype}")
    return _kept(made, parts)


def _arrow_strings(state: dict[str, Any]) -> Any:
    texts = state["_pa_array"] if "_pa_array" in state else state.get("_data")
    if not isinstance(texts, Texts):
        refuse("has an array without its texts", "texts of pyarrow")
    return _kept(_texts(texts.values, state["_dtype"]), state)


_BACKED_DTYPE: Final = either(_STRING_DTYPE, _CATEGORY_DTYPE, _ZONED_DTYPE, _PLAIN_DTYPE, DTYPE)
_MASKED_STATE: Final = fields(
    {"_data": LINE, "_mask": LINE},
    {
        "_cache": _CACHE,
        "_dtype": of_pandas("a dtype", "BooleanDtype", *INTEGERS, *FLOATS),
        "_readonly": FLAG,
    },
)
_EDGES: Final = either(LINE, _DATES)

CLASSES: Final = tuple(map(Named, (STRINGS, CATEGORIES, MOMENTS, SPANS, INTERVALS, PLAIN)))
ROWS: Final = (
    Row(
        "pandas.StringDtype",
        _string_dtype,
        items(only(PYTHON, "pyarrow", "pyarrow_numpy"), _MISSING, least=0),
        fields({"storage": TEXT}, {"_na_value": _MISSING, "_cache": _CACHE}),
        stateless=bool,
        value=True,
    ),
    Row(
        "pandas.CategoricalDtype",
        _category_dtype,
        NOTHING,
        fields({"categories": either(NONE, _CATEGORIES), "ordered": either(FLAG, NONE)}),
        value=True,
    ),
    Row(
        "pandas.DatetimeTZDtype",
        _zoned_dtype,
        NOTHING,
        fields({"unit": only(*UNITS), "tz": ZONE}),
        value=True,
    ),
    Row(
        "pandas.IntervalDtype",
        _interval_dtype,
        NOTHING,
        fields({"subtype": either(NONE, DTYPE, _ZONED_DTYPE), "closed": either(NONE, SIDE)}),
        value=True,
    ),
    Row(
        "pandas.core.dtypes.dtypes.NumpyEADtype",
        _plain_dtype,
        NOTHING,
        fields({"_dtype": DTYPE}),
    ),
    *(
        Row(
            f"pandas.{name}",
            lambda name=name: find("pandas", name)(),
            unused=fields({}, {"_cache": _CACHE}),
            value=True,
        )
        for name in ("BooleanDtype", *INTEGERS, *FLOATS)
    ),
    Row(
        "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked",
        _backed,
        items(named(STRINGS, CATEGORIES, MOMENTS, SPANS, PLAIN), INTEGER, NONE),
        either(
            items(_BACKED_DTYPE, _TABLE, _MORE, least=2),
            items(_TABLE, _BACKED_DTYPE, _MORE, least=2),
        ),
    ),
    Row(
        "pandas._libs.interval.__pyx_unpickle_IntervalMixin",
        _intervals,
        items(named(INTERVALS), INTEGER, NONE),
        items(
            fields(
                {"_left": _EDGES, "_right": _EDGES, "_dtype": _INTERVAL_DTYPE},
                {"_cache": _CACHE, "_readonly": FLAG},
            )
        ),
    ),
    *(
        Row(f"pandas.arrays.{name}", _masked(name), NOTHING, _MASKED_STATE)
        for name in ("BooleanArray", "FloatingArray", "IntegerArray")
    ),
    Row(
        "pandas.arrays.ArrowStringArray",
        _arrow_strings,
        NOTHING,
        fields(
            {"_dtype": _STRING_DTYPE},
            {"_pa_array": TEXTS, "_data": TEXTS, "_cache": ANYTHING, "_readonly": FLAG},
        ),
    ),
)
