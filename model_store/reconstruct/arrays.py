"""Dtypes, arrays and scalars of numpy, made by numpy itself of what a file says of them.

numpy's own ways back from a pickle take a dtype's word for what it is, look at bytes as if they
were objects, and make views of what they are given. Here a dtype is what numpy makes of the same
fields, bytes are copied and as many as are needed, and objects come from lists alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..errors import Untrusted
from .forms import (
    DATA,
    DTYPE,
    FLAG,
    INTEGER,
    NONE,
    PLAIN,
    RAW,
    SHAPE,
    TEXT,
    Form,
    either,
    exact,
    fields,
    items,
    many,
    only,
    raw,
    within,
)
from .row import Named, Row, named, refuse, shown

ARRAY: Final = "numpy.ndarray"
MATRIX: Final = "numpy.matrix"
MASKED: Final = "numpy.ma.MaskedArray"
MEMORY_MAP: Final = "numpy.memmap"
RECORDS: Final = "numpy.rec.recarray"
RECORD: Final = "numpy.record"
ARRAYS: Final = (ARRAY, MATRIX, MEMORY_MAP, RECORDS)

CODE: Final = re.compile(r"[biufcOSUVMm][0-9]{1,9}")
"""How numpy names a dtype in pickles: its kind, and its size in bytes or characters."""
UNIT: Final = re.compile(r"[A-Za-zμ]{1,7}")
LEVELS: Final = 3
"""Structures and arrays within a dtype, one in the other."""
EMPTY_ITEMS: Final = 1_000_000
"""So many items may an array have that takes no bytes of the file."""
ALIGNED: Final = 0x80
"""The flag of a structure that was made with `align=True`."""

# Dtypes ---------------------------------------------------------------------------

_FIELD: Final = items(DTYPE, within(0, 2**31), exact("a title", str, type(None)), least=2)
_FIELDS: Final = Form(
    "the fields",
    lambda value: (
        type(value) is dict
        and all(type(name) is str and _FIELD.fits(each) for name, each in value.items())
    ),
)
_UNIT: Final = items(
    either(NONE, fields({})),
    items(exact("a unit", bytes, str), within(1, 2**31), within(1, 2**31), INTEGER),
)
_DTYPE_STATE: Final = items(
    within(3, 4),
    only("<", ">", "|", "="),
    either(NONE, items(DTYPE, SHAPE)),
    either(NONE, many(TEXT, tuple, list)),
    either(NONE, _FIELDS),
    INTEGER,
    INTEGER,
    INTEGER,
    either(NONE, _UNIT),
    least=8,
)


def dtype(code: str | Named, align: Any, copy: Any, state: tuple[Any, ...]) -> np.dtype[Any]:
    """The dtype that numpy makes of the parts of another one.

    Raises:
        Untrusted: the other one says otherwise of itself.
    """
    _, order, inner, names, parts, size, _, flags, *more = state
    if inner is not None:
        _require_shallow(inner[0])
        made = np.dtype((inner[0], inner[1]))
    elif names is not None:
        made = _structure(names, parts or {}, size, flags)
        if isinstance(code, Named):
            made = np.dtype((np.record, made))
    elif isinstance(code, Named):
        refuse("has a dtype of records without fields", "names of fields")
    elif code[0] in "Mm":
        made = _with_unit(code, more[0] if more else None)
    else:
        made = np.dtype(code)
    if order in "<>":
        made = made.newbyteorder(order)
    _require_same(made, code, size, flags)
    return made


def _structure(names: Sequence[str], parts: dict[str, Any], size: int, flags: int) -> np.dtype[Any]:
    """Fields that lie in `size` bytes, none over another."""
    if not set(names) <= parts.keys():
        refuse("has a dtype without some of its fields", "each of them")
    found = [parts[name] for name in names]
    end = 0
    for part in found:
        _require_shallow(part[0])
    for kind, offset, *_ in sorted(found, key=lambda part: part[1]):
        if offset < end:
            refuse("has a dtype whose fields lie over each other", "one beside the other")
        end = offset + kind.itemsize
    if end > size:
        refuse("has a dtype whose fields reach beyond it", f"at least {end} bytes")
    told = {
        "names": list(names),
        "formats": [part[0] for part in found],
        "offsets": [part[1] for part in found],
        "titles": [part[2] if len(part) > 2 else None for part in found],
        "itemsize": size,
    }
    return np.dtype(told, align=bool(flags & ALIGNED))  # type: ignore[call-overload, no-any-return]


def _require_shallow(kind: np.dtype[Any]) -> None:
    """Raises Untrusted where a dtype lies so deep in others that numpy runs out of its stack."""
    if _levels(kind) >= LEVELS:
        refuse("has dtypes within each other", f"at most {LEVELS} levels")


def _levels(kind: np.dtype[Any]) -> int:
    """How deep a dtype goes; what is in it was looked at when it was made."""
    if kind.subdtype is not None:
        return 1 + _levels(kind.subdtype[0])
    if kind.names is not None:
        return 1 + max((_levels(kind[name]) for name in kind.names), default=0)
    return 0


def _with_unit(code: str, metadata: Any) -> np.dtype[Any]:
    if metadata is None:
        return np.dtype(code)
    unit, count, *_ = metadata[1]
    unit = unit.decode("utf-8") if isinstance(unit, bytes) else unit
    if unit == "generic":
        return np.dtype(code)
    if not UNIT.fullmatch(unit):
        refuse(f"has a dtype with the unit {shown(unit)}", "a unit of time")
    return np.dtype(f"{code}[{count}{unit}]")


def _require_same(made: np.dtype[Any], code: str | Named, size: int, flags: int) -> None:
    """Whether a dtype is what it was said to be: its kind, its size, and whether it holds
    objects."""
    reduced: Any = made.__reduce__()
    kind = np.record if isinstance(code, Named) else code
    same = reduced[1][0] == kind and reduced[2][7] == flags and size in (-1, made.itemsize)
    if not same:
        refuse(f"has a dtype {shown(code)} that says otherwise of itself", f"what {made} says")


def _string_dtype(coerce: Any, *na_object: Any) -> Any:
    kind = getattr(np.dtypes, "StringDType", None)
    if kind is None:
        raise Untrusted("The file holds texts of any length, which numpy has since 2.0.")
    given = {"na_object": na_object[0]} if na_object else {}
    return kind(coerce=bool(coerce), **given)


# Arrays ---------------------------------------------------------------------------


def array(
    kind: Named, _shape: Any, _code: Any, state: tuple[int, tuple[int, ...], Any, int, Any]
) -> Any:
    """An array of numbers from bytes, or of objects from a list."""
    _, shape, kind_of_item, fortran, data = state
    made = of_contents(kind_of_item, shape, data, "F" if fortran else "C")
    return as_named(made, kind)


def as_named(made: Any, what: Named) -> Any:
    """The array as the class that was named; what was on a file is an array here."""
    views = {MATRIX: np.matrix, RECORDS: np.recarray}
    return made.view(views[what.name]) if what.name in views else made


def of_contents(
    kind: np.dtype[Any], shape: tuple[int, ...], data: Any, order: Any
) -> np.ndarray[Any, Any]:
    """The array of these contents.

    Raises:
        Untrusted: they are too many or too few, or bytes where objects should be.
    """
    if type(data) is list:
        return of_list(kind, shape, data, order)
    if kind.hasobject:
        refuse("has an array take bytes for objects", "a list of them")
    return of_bytes(kind, shape, raw(data), order)


def of_bytes(
    kind: np.dtype[Any], shape: tuple[int, ...], data: Any, order: Any
) -> np.ndarray[Any, Any]:
    """The array of a copy of these bytes; `kind` holds no objects."""
    if kind.hasobject:
        refuse("has an array take bytes for objects", "a list of them")
    count = math.prod(shape)
    if count * kind.itemsize != len(data) or (kind.itemsize == 0 and count > EMPTY_ITEMS):
        refuse(
            f"has an array of the shape {shown(shape)} in {len(data)} bytes",
            f"{count * kind.itemsize} bytes",
        )
    made = np.ndarray(shape, kind, data, order=order).copy(order=order)
    _require_truths(made)
    return made


def of_list(
    kind: np.dtype[Any], shape: tuple[int, ...], data: list[Any], order: Any
) -> np.ndarray[Any, Any]:
    """The array of the objects in a list, in the order of C whatever `order` says."""
    if not kind.hasobject:
        refuse("has an array take objects for numbers", "bytes")
    if math.prod(shape) != len(data):
        refuse(f"has an array of the shape {shown(shape)} of {len(data)} objects", "as many")
    made = np.empty(len(data), kind)
    _put(made, data)
    made = made.reshape(shape)
    return made.copy(order="F") if order == "F" else made


def _put(made: np.ndarray[Any, Any], values: list[Any]) -> None:
    """Fill an array of one dimension, or of one item more for each of its own."""
    kind = made.dtype
    if kind.names is not None:
        if not all(type(value) is tuple and len(value) == len(kind.names) for value in values):
            refuse("has an array of structures without some of their fields", "each of them")
        for place, name in enumerate(kind.names):
            _put(made[name], [value[place] for value in values])
        return
    if made.ndim > 1:
        for place, value in enumerate(values):
            if (
                type(value) is not np.ndarray
                or value.dtype != kind
                or value.shape != made.shape[1:]
            ):
                refuse(f"has an array hold {shown(value)}", f"an array of {kind}")
            made[place] = value
        return
    if kind != np.dtype(object) and not all(map(_is_plain_item(kind), values)):
        refuse("has an array of plain values hold others", f"values of {kind}")
    for place, value in enumerate(values):
        made[place] = value


def _is_plain_item(kind: np.dtype[Any]) -> Any:
    missing = getattr(kind, "na_object", None)
    return lambda value: PLAIN.fits(value) or (missing is not None and value is missing)


def _require_truths(made: np.ndarray[Any, Any]) -> None:
    """Raises Untrusted where a truth value is neither 0 nor 1: numpy counts the ones by adding."""
    kind = made.dtype
    if kind.names is not None:
        for name in kind.names:
            _require_truths(made[name])
    elif kind.kind == "b" and made.size and made.view(np.uint8).max() > 1:
        refuse("has an array of truth values with others", "0 or 1")


def from_buffer(
    data: Any, kind: np.dtype[Any], shape: Any, order: str, *_axes: Any
) -> np.ndarray[Any, Any]:
    """The array that protocol 5 wrote."""
    return of_bytes(kind, shape if isinstance(shape, tuple) else (shape,), data, order)


def scalar(kind: np.dtype[Any], data: Any) -> Any:
    """One number of numpy."""
    return of_bytes(kind, (), raw(data), "C")[()]


def masked(
    _kind: Named, _base: Named, _shape: Any, _code: Any, state: tuple[Any, ...]
) -> np.ma.MaskedArray[Any, Any]:
    """An array with a mask, of which True hides a value."""
    _, shape, kind, fortran, data, mask, fill = state
    order: Any = "F" if fortran else "C"
    if kind.names is not None:
        refuse("has a mask over structures", "an array of plain values")
    values = of_contents(kind, shape, data, order)
    hidden = of_bytes(np.dtype(bool), shape, raw(mask), order)
    made: np.ma.MaskedArray[Any, Any] = np.ma.MaskedArray(values, mask=hidden)
    if fill is not None:
        value: Any = fill[()] if isinstance(fill, np.ndarray) else fill
        made.fill_value = value
    return made


_ARRAY_STATE: Final = items(
    within(0, 1), SHAPE, DTYPE, FLAG, exact("bytes or a list", bytes, bytearray, str, list)
)
_START: Final = items(only(0))
_BYTE: Final = only(b"b", "b")
_EMPTY: Final = either(_START, only(0))
_FILL: Final = either(
    PLAIN,
    Form(
        "a value of its kind",
        lambda value: type(value) is np.ndarray and value.ndim == 0 and not value.dtype.hasobject,
    ),
    Form(
        "an object of its kind",
        lambda value: type(value) is np.ndarray and value.ndim == 0 and PLAIN.fits(value[()]),
    ),
)
_CODE: Final = Form(
    "the code of a dtype", lambda value: type(value) is str and bool(CODE.fullmatch(value))
)

CLASSES: Final = (*(Named(name) for name in (*ARRAYS, MASKED, RECORD)),)
ROWS: Final = (
    Row("numpy.dtype", dtype, items(either(_CODE, named(RECORD)), FLAG, FLAG), _DTYPE_STATE),
    Row(
        "numpy._core._internal._convert_to_stringdtype_kwargs",
        _string_dtype,
        items(FLAG, PLAIN, least=1),
    ),
    Row(
        "numpy._core.multiarray._reconstruct",
        array,
        items(named(*ARRAYS), _EMPTY, _BYTE),
        _ARRAY_STATE,
    ),
    Row("numpy._core.multiarray.scalar", scalar, items(DTYPE, RAW)),
    Row(
        "numpy._core.numeric._frombuffer",
        from_buffer,
        items(DATA, DTYPE, either(SHAPE, within(0, 2**62)), only("C", "F"), NONE, least=4),
    ),
    Row(
        "numpy.ma.core._mareconstruct",
        masked,
        items(named(MASKED), named(ARRAY), _EMPTY, _BYTE),
        items(
            within(0, 1),
            SHAPE,
            DTYPE,
            FLAG,
            exact("bytes or a list", bytes, bytearray, str, list),
            RAW,
            _FILL,
        ),
    ),
    Row("numpy.ma.core.MaskedConstant", lambda: np.ma.masked),
)
