"""Sparse matrices and splines, wherever they stand: scipy checks them when they are made, and not
when they come from a file."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .faults import MISSING, Wrong, as_array, equal, own, shown, within

REMEMBERED: Final = ("_has_canonical_format", "_has_sorted_indices")
"""What a matrix has found out about itself, which it finds out again."""


COMPRESSED: Final = ("bsr", "csc", "csr")
MOST_PLACES: Final = 10_000_000
"""Rows or columns of a form that takes no memory for them, until another form is made of it."""


def compressed(value: Any) -> None:
    """Rows, columns or blocks one after another: all places are within the matrix."""
    _shape(value)
    for name in REMEMBERED:
        vars(value).pop(name, None)
    for name in ("indices", "indptr"):
        as_array(own(value, name), name, "i", 1)
    as_array(own(value, "data"), "data", "biufc", 3 if value.format == "bsr" else 1)
    value.check_format(full_check=True)


def coordinates(value: Any) -> None:
    """A list of places and numbers."""
    shape = _shape(value)
    value.has_canonical_format = False
    size = len(as_array(own(value, "data"), "data", "biufc", 1))
    equal(len(value.coords), len(shape), "the number of its coordinates")
    for axis, (places, end) in enumerate(zip(value.coords, shape, strict=True)):
        places = as_array(places, "coordinates", "i", 1)
        equal(len(places), size, "the number of its places")
        within(places, end, f"a place on axis {axis}")


def diagonals(value: Any) -> None:
    """A row of numbers for each diagonal."""
    _shape(value)
    offsets = as_array(own(value, "offsets"), "offsets", "i", 1)
    equal(len(as_array(own(value, "data"), "data", "biufc", 2)), len(offsets), "its rows of data")


def lists(value: Any) -> None:
    """A list of columns and one of numbers for each row."""
    rows, columns = _shape(value)
    equal((len(value.rows), len(value.data)), (rows, rows), "the number of its lists")
    for places, numbers in zip(value.rows, value.data, strict=True):
        equal(len(places), len(numbers), "the size of a list")
        within(np.array(places, dtype=np.int64), columns, "a column")


def dictionary(value: Any) -> None:
    """Numbers by their places."""
    shape = _shape(value)
    for place in own(value, "_dict"):
        if len(place) != len(shape) or not all(
            0 <= at < end for at, end in zip(place, shape, strict=True)
        ):
            raise Wrong(f"it has a number at {shown(place)}, and the shape {shape}")


def _shape(value: Any) -> tuple[int, ...]:
    shape = own(value, "_shape")
    if type(shape) is not tuple or not all(
        isinstance(each, int | np.integer) and each >= 0 for each in shape
    ):
        raise Wrong(f"its shape is {shown(shape)}")
    if value.format not in COMPRESSED and max(shape, default=0) > MOST_PLACES:
        raise Wrong(f"its shape is {shown(shape)}, and may have at most {MOST_PLACES} on each side")
    return shape


def spline(value: Any) -> None:
    """Make another of the same parts: that checks knots, coefficients and degree."""
    knots, factors = _part(value, "t"), _part(value, "c")
    _require_numbers(knots, factors)
    type(value)(knots, factors, value.k, value.extrapolate)


def pieces(value: Any) -> None:
    """The same for polynomials between breakpoints."""
    breaks, factors = _part(value, "x"), _part(value, "c")
    _require_numbers(breaks, factors)
    type(value)(factors, breaks, value.extrapolate)


def _part(value: Any, name: str) -> Any:
    """An array by its name since scipy 1.15, or before."""
    found = getattr(value, f"_{name}", MISSING)
    return vars(value)[name] if found is MISSING else found


def _require_numbers(knots: Any, factors: Any) -> None:
    as_array(knots, "knots", "f", 1)
    if not isinstance(factors, np.ndarray) or factors.dtype.kind not in "biufc":
        raise Wrong("its coefficients are no numbers")


def interpolation(value: Any) -> None:
    """A line from point to point, which numpy draws; other kinds hold splines."""
    if own(value, "_spline") is not MISSING or own(value, "_kind") != "linear":
        raise Wrong("it is another interpolation than that by a line")
    points = [as_array(own(value, name), name, "f", 1) for name in "xy"]
    equal(len(points[1]), len(points[0]), "the number of its values")
    call = own(value, "_call")
    if call not in (type(value)._call_linear, type(value)._call_linear_np):
        raise Wrong("it calls a function of another class")
