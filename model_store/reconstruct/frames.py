"""What estimators keep of pandas: an index, texts, categories; also texts that pyarrow held.

Each is made by pandas of plain values. Texts in pyarrow's memory are read here, byte by byte, and
made anew, so pyarrow itself is not needed, and never sees what a file says of its buffers.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .forms import (
    ANYTHING,
    DATA,
    FLAG,
    INTEGER,
    NATURAL,
    NONE,
    NOTHING,
    TEXT,
    Form,
    either,
    exact,
    fields,
    items,
    many,
    only,
)
from .plain import KEY, is_key
from .row import Named, Row, find, named, refuse, shown

INDEX: Final = "pandas.Index"
RANGE: Final = "pandas.RangeIndex"
CATEGORY_INDEX: Final = "pandas.CategoricalIndex"
STRINGS: Final = "pandas.arrays.StringArray"
CATEGORIES: Final = "pandas.Categorical"
PYTHON: Final = "python"
WIDTHS: Final = {"string": 4, "large_string": 8}
"""Bytes of an offset, by pyarrow's name for the type."""


def _is_of(*names: str) -> Any:
    """Whether a value is of one of these classes of pandas; nothing is imported for that."""

    def fits(value: Any) -> bool:
        kind = type(value)
        return kind.__module__.split(".")[0] == "pandas" and kind.__name__ in names

    return fits


_STRING_DTYPE: Final = Form("a dtype of texts", _is_of("StringDtype"))
_CATEGORY_DTYPE: Final = Form("a dtype of categories", _is_of("CategoricalDtype"))
_MISSING: Final = Form(
    "a missing value", lambda value: type(value) is float or _is_of("NAType")(value)
)
_LINE: Final = Form("an array", lambda value: type(value) is np.ndarray and value.ndim == 1)
_ARRAY: Final = either(
    _LINE, Form("an array of pandas", _is_of("StringArray", "ArrowStringArray", "Categorical"))
)
_MORE: Final = fields({}, {"_readonly": FLAG})
_INDEX: Final = Form("an index", _is_of("Index", "RangeIndex"))


def _pandas(name: str) -> Any:
    return find("pandas", name)


def _index(what: Named, parts: dict[str, Any]) -> Any:
    name = parts.get("name")
    if what.name == RANGE:
        return _pandas("RangeIndex")(parts["start"], parts["stop"], parts["step"], name=name)
    data = parts["data"]
    if data.dtype == np.dtype(object) and not all(map(is_key, data)):
        refuse("has an index hold others than plain values", "what a dict may look for")
    if what.name == CATEGORY_INDEX:
        return _pandas("CategoricalIndex")(data, name=name)
    return _pandas("Index")(data, dtype=data.dtype, name=name, copy=False)


def _string_dtype(*parts: Any) -> Any:
    """The dtype of texts; they are Python's where pyarrow is not installed."""
    if isinstance(parts[-1], dict):
        parts = (parts[-1].get("storage", PYTHON), parts[-1].get("_na_value", ...))
    storage, *missing = (part for part in parts if part is not ...)
    if storage != PYTHON and importlib.util.find_spec("pyarrow") is None:
        storage = PYTHON
    return _pandas("StringDtype")(storage, *missing)


def _category_dtype(state: dict[str, Any]) -> Any:
    return _pandas("CategoricalDtype")(state["categories"], state["ordered"])


def _backed(what: Named, _checksum: int, _none: None, state: tuple[Any, ...]) -> Any:
    """An array of texts or of categories."""
    dtype, data, *rest = state
    if isinstance(dtype, np.ndarray):  # pandas before 2 wrote them in this order.
        dtype, data = data, dtype
    if what.name == CATEGORIES:
        if not _CATEGORY_DTYPE.fits(dtype) or data.dtype.kind != "i":
            refuse("has categories without codes", "integers")
        return _pandas("Categorical").from_codes(data, dtype=dtype)
    if not _STRING_DTYPE.fits(dtype):
        refuse("has texts of another dtype", "a dtype of texts")
    made = _texts(data.tolist(), dtype)
    made.__dict__.update(*rest)
    return made


def _texts(values: list[Any], dtype: Any) -> Any:
    for value in values:
        if type(value) is not str and value is not None and not _MISSING.fits(value):
            refuse(f"has texts hold {shown(value)}", "a text or a missing value")
    return _pandas("array")(values, dtype=dtype)


# Of pyarrow -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TextType:
    name: str


@dataclass(frozen=True, slots=True)
class Texts:
    """What stood in pyarrow's memory."""

    values: list[str | None]


def _restored(parts: tuple[Any, ...]) -> Texts:
    """The texts in pyarrow's buffers: a bit for each that is there, where each begins, and all of
    them one after another. https://arrow.apache.org/docs/format/Columnar.html"""
    kind, length, _, start, (present, offsets, data), _, _ = parts
    if length == 0:
        return Texts([])
    width = WIDTHS[kind.name]
    if width * (start + length + 1) > len(offsets or b""):
        refuse(f"has {length} texts of pyarrow without offsets", "one more than there are texts")
    if present is not None and start + length > 8 * len(present):
        refuse(f"has {length} texts of pyarrow without a bit for each", "as many bits")
    ends = np.frombuffer(offsets, f"<i{width}", length + 1, start * width)
    text = bytes(data or b"")
    if ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] > len(text):
        refuse("has texts of pyarrow that lie elsewhere", "offsets within their bytes")
    bounds = ends.tolist()
    there = (
        None
        if present is None
        else np.unpackbits(np.frombuffer(present, np.uint8), bitorder="little")
    )
    return Texts(
        [
            text[bounds[i] : bounds[i + 1]].decode() if there is None or there[start + i] else None
            for i in range(length)
        ]
    )


def _chunks(arrays: list[Texts], _kind: Any = None) -> Texts:
    return Texts([value for array in arrays for value in array.values])


def _arrow_strings(state: dict[str, Any]) -> Any:
    texts = state["_pa_array"] if "_pa_array" in state else state.get("_data")
    if not isinstance(texts, Texts):
        refuse("has an array without its texts", "texts of pyarrow")
    made = _texts(texts.values, state["_dtype"])
    made.__dict__.update({name: state[name] for name in ("_readonly",) if name in state})
    return made


_TEXT_TYPE: Final = exact("a type of texts", _TextType)
_TEXTS: Final = exact("texts of pyarrow", Texts)
_BUFFER: Final = either(NONE, DATA)
_ARROW: Final = items(
    items(
        _TEXT_TYPE,
        NATURAL,
        INTEGER,
        NATURAL,
        Form(
            "three buffers",
            lambda value: type(value) is list and len(value) == 3 and all(map(_BUFFER.fits, value)),
        ),
        Form("no children", lambda value: type(value) is list and not value),
        NONE,
    )
)

CLASSES: Final = tuple(map(Named, (INDEX, RANGE, CATEGORY_INDEX, STRINGS, CATEGORIES)))
ROWS: Final = (
    Row(
        "pandas.core.indexes.base._new_Index",
        _index,
        either(
            items(named(INDEX, CATEGORY_INDEX), fields({"data": _ARRAY}, {"name": KEY})),
            items(
                named(RANGE),
                fields({"start": INTEGER, "stop": INTEGER, "step": INTEGER}, {"name": KEY}),
            ),
        ),
    ),
    Row(
        "pandas.StringDtype",
        _string_dtype,
        items(only(PYTHON, "pyarrow", "pyarrow_numpy"), _MISSING, least=0),
        fields({"storage": TEXT}, {"_na_value": _MISSING, "_cache": exact("a dict", dict)}),
        stateless=bool,
        value=True,
    ),
    Row(
        "pandas.CategoricalDtype",
        _category_dtype,
        NOTHING,
        fields({"categories": either(NONE, _INDEX), "ordered": either(FLAG, NONE)}),
        value=True,
    ),
    Row(
        "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked",
        _backed,
        items(named(STRINGS, CATEGORIES), INTEGER, NONE),
        either(
            items(either(_STRING_DTYPE, _CATEGORY_DTYPE), _LINE, _MORE, least=2),
            items(_LINE, either(_STRING_DTYPE, _CATEGORY_DTYPE), _MORE, least=2),
        ),
    ),
    Row("pyarrow.lib.py_buffer", bytes, items(DATA)),
    Row("pyarrow.lib.type_for_alias", _TextType, items(only(*WIDTHS))),
    Row("pyarrow.lib._restore_array", _restored, _ARROW),
    Row(
        "pyarrow.lib.chunked_array",
        _chunks,
        items(many(_TEXTS, list), either(NONE, _TEXT_TYPE), least=1),
    ),
    Row(
        "pandas.arrays.ArrowStringArray",
        _arrow_strings,
        NOTHING,
        fields(
            {"_dtype": _STRING_DTYPE},
            {"_pa_array": _TEXTS, "_data": _TEXTS, "_cache": ANYTHING, "_readonly": FLAG},
        ),
    ),
)
