"""Categories: a place for each value of a column, and what stands there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np

from ..node import (
    MAX_DENSE,
    MAX_WIDTH,
    SEVERAL,
    Array,
    Label,
    Node,
    Refused,
    Rows,
    Transform,
    dense,
    require,
    require_places,
    require_shape,
)
from ..sparse import Sparse
from .columns import Narrow

Other = Literal["none", "nan", "unknown"]
Number = Literal["float64", "float32", "int64", "int32", "int16", "int8", "uint8"]


class Categories(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True
):
    """The values that one column may have. Each has a place: first those of `values`, then those
    of `others`, which are None, NaN and whatever else there is. A value without a place is refused;
    with `strict` a missing one is, even where there is a place for whatever else there is.

    `narrow` says that the column is one of such floats.
    """

    values: list[Label]
    others: list[Other] = []
    strict: bool = False
    narrow: Narrow | None = None

    @property
    def length(self) -> int:
        """The number of places."""
        return len(self.values) + len(self.others)

    def check(self) -> None:
        require(len(set(self.others)) == len(self.others), "each of the other values once")

    def finder(self, start: int) -> Finder:
        """What finds their places, counted from `start` on."""
        known: dict[Any, int] = {value: start + at for at, value in enumerate(self.values)}
        others = {other: start + len(self.values) + at for at, other in enumerate(self.others)}
        if "none" in others:
            known[None] = others["none"]
        nan, unknown = others.get("nan"), others.get("unknown")
        return Finder(known.get, nan, unknown, self.strict, self.narrow)


class Finder(NamedTuple):
    """What finds the places of the values of one column. `known` says None of those that it does
    not know; NaN is equal to nothing, and is never known."""

    known: Callable[[Any], int | None]
    nan: int | None
    unknown: int | None
    strict: bool
    narrow: Narrow | None

    def one(self, value: Any) -> int:
        """
        Raises:
            Refused: the value is unknown, and that is not provided for.
        """
        if self.narrow is not None:
            value = _narrowed(np.array([value], dtype=object), self.narrow)[0]
        found = self.known(value)
        return self._other(value) if found is None else found

    def all(self, cells: Array) -> list[int]:
        """As `one`, of all cells of the column."""
        values = (cells if self.narrow is None else _narrowed(cells, self.narrow)).tolist()
        found = [*map(self.known, values)]
        if None not in found:
            return found  # type: ignore[return-value]
        return [
            self._other(value) if place is None else place
            for value, place in zip(values, found, strict=True)
        ]

    def _other(self, value: Any) -> int:
        missing = value is None or value != value
        if missing and value is not None and self.nan is not None:
            return self.nan
        if self.unknown is None or (missing and self.strict):
            raise Refused("a value is missing" if missing else "a category is unknown")
        return self.unknown


def _narrowed(cells: Array, narrow: Narrow) -> Array:
    try:
        return cells.astype(narrow)
    except (OverflowError, TypeError, ValueError):
        return cells


class _ByCategory(Node, Transform, frozen=True, kw_only=True):
    """The categories of each column, whose places are counted over all columns."""

    columns: list[Categories]

    @property
    def _length(self) -> int:
        return sum(column.length for column in self.columns)

    @cached_property
    def _finders(self) -> list[Finder]:
        starts = accumulate((column.length for column in self.columns), initial=0)
        return [column.finder(start) for column, start in zip(self.columns, starts, strict=False)]

    def check(self, width: int) -> int:
        require(len(self.columns) == width, f"categories of {width} columns")
        for column in self.columns:
            column.check()
        return width

    def _owners(self, columns: Array) -> Array:
        """The column of each place."""
        return np.repeat(columns, [column.length for column in self.columns])

    def _row(self, array: Array) -> list[int]:
        """The places of the cells of a single row."""
        row = array[0].tolist()
        return [finder.one(value) for finder, value in zip(self._finders, row, strict=True)]

    def _places(self, array: Array) -> Array:
        """The places of all cells, of the shape of the array."""
        found = [finder.all(array[:, at]) for at, finder in enumerate(self._finders)]
        return np.array(found, dtype=np.intp).reshape(array.shape[::-1]).T


class OneHot(_ByCategory, frozen=True, kw_only=True):
    """A 1 in a feature of its own for each category. `features` says in which for each place, -1
    in none; there are `width` of them, each for some place. `sparse` says whether the 0s are left
    out."""

    features: Array
    width: int
    dtype: Number = "float64"
    sparse: bool = False

    def check(self, width: int) -> int:
        super().check(width)
        require(0 <= self.width <= (MAX_WIDTH if self.sparse else MAX_DENSE), "fewer features")
        require_places(self.features, self.width, self._length, start=-1)
        used = np.unique(self.features[self.features >= 0])
        require(len(used) == self.width, "a place for each feature")
        return self.width

    def owners(self, columns: Array) -> Array:
        owners, shown = self._owners(columns), self.features >= 0
        least = np.full(self.width, np.iinfo(np.intp).max)
        most = np.full(self.width, SEVERAL)
        np.minimum.at(least, self.features[shown], owners[shown])
        np.maximum.at(most, self.features[shown], owners[shown])
        return np.where(least == most, most, SEVERAL)

    @cached_property
    def _all_shown(self) -> bool:
        """Whether every place has a feature."""
        return bool((self.features >= 0).all())

    @cached_property
    def _features(self) -> list[int]:
        found: list[int] = self.features.tolist()
        return found

    def transform(self, rows: Rows) -> Rows:
        array = dense(rows)
        if self.sparse:
            return self._sparse(array)
        found = np.zeros((len(array), self.width), dtype=self.dtype)
        if len(array) == 1:
            row, features = found[0], self._features
            for place in self._row(array):
                if features[place] >= 0:
                    row[features[place]] = 1
            return found
        features_of = self.features[self._places(array)]
        flat = features_of + np.arange(0, found.size, self.width)[:, np.newaxis]
        found.reshape(-1)[flat if self._all_shown else flat[features_of >= 0]] = 1
        return found

    def _sparse(self, array: Array) -> Sparse:
        features = self.features[self._places(array)]
        shown = features >= 0
        ends = np.concatenate([[0], np.cumsum(shown.sum(axis=1))])
        features = features[shown]
        return Sparse(ends, features, np.ones(len(features), dtype=self.dtype), self.width)


class Encode(_ByCategory, frozen=True, kw_only=True):
    """The numbers of each place, of shape (places, numbers), for each column."""

    numbers: Array

    def check(self, width: int) -> int:
        super().check(width)
        require(self.numbers.dtype.kind in "fiu", "numbers")
        require_shape(self.numbers, self._length, -1)
        return width * int(self.numbers.shape[1])

    def owners(self, columns: Array) -> Array:
        return np.repeat(columns, self.numbers.shape[1])

    def transform(self, rows: Rows) -> Rows:
        array = dense(rows)
        places = self._row(array) if len(array) == 1 else self._places(array)
        return self.numbers[places].reshape(len(array), -1)


class Rename(_ByCategory, frozen=True, kw_only=True):
    """A value for each place; None is a missing one."""

    labels: list[Label | None]

    def check(self, width: int) -> int:
        require(len(self.labels) == self._length, f"{self._length} values")
        return super().check(width)

    def owners(self, columns: Array) -> Array:
        return columns

    @cached_property
    def _labels(self) -> Array:
        found = np.empty(len(self.labels), dtype=object)
        found[:] = [np.nan if label is None else label for label in self.labels]
        return found

    def transform(self, rows: Rows) -> Rows:
        return self._labels[self._places(dense(rows))]


KINDS: Final = (OneHot, Encode, Rename)
