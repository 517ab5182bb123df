"""Missing values: what is put in their place, and features that say where they were."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import numpy as np

from ..node import (
    MAX_DENSE,
    Array,
    Label,
    Node,
    Predictor,
    Refused,
    Rows,
    Transform,
    as_floats,
    dense,
    require,
    require_floats,
    require_places,
)
from ..sparse import Sparse
from .distances import squares_by_product

Missing = Literal["nan", "none", "either"] | tuple[Label]
"""The value that stands for what is missing: NaN, None, either of them, or one of the column's
own."""

BLOCK: Final = 1 << 23
"""Distances that are held at once."""


def mask(array: Array, missing: Missing) -> Array:
    """Where a value is missing.

    Raises:
        Refused: there is a NaN, which does not stand for it.
    """
    nans: Array = array != array
    if missing == "either" and array.dtype.kind == "O":
        empty: Array = nans | (array == None)  # noqa: E711
        return empty
    if missing in ("nan", "either"):
        return nans
    if nans.any():
        raise Refused("a value is missing")
    found: Array = array == (None if missing == "none" else missing[0])
    return found


class _Imputer(Node, Transform, frozen=True, kw_only=True):
    """Puts something in place of a missing value. `kept` are the places of the columns that stay,
    None says all; `flagged` are those of the columns behind which a feature says whether the value
    was missing."""

    missing: Missing = "nan"
    kept: Array | None = None
    flagged: Array | None = None

    def check(self, width: int) -> int:
        require(width <= MAX_DENSE, f"at most {MAX_DENSE} features")
        for places in (self.kept, self.flagged):
            if places is not None:
                require_places(places, width, -1)
        flags = 0 if self.flagged is None else len(self.flagged)
        return flags + (width if self.kept is None else len(self.kept))

    def _owners_of_each(self, columns: Array) -> Array:
        """`owners` of what puts something in place that the other columns do not change."""
        kept = columns if self.kept is None else columns[self.kept]
        return kept if self.flagged is None else np.concatenate([kept, columns[self.flagged]])

    def finished(self, filled: Array, missing: Array) -> Array:
        """All filled columns as what comes of them."""
        if self.kept is not None:
            filled = filled[:, self.kept]
        if self.flagged is None:
            return filled
        return np.concatenate([filled, missing[:, self.flagged].astype(filled.dtype)], axis=1)


class Fill(_Imputer, frozen=True, kw_only=True):
    """The number of its column in place of a missing one."""

    numbers: Array

    def check(self, width: int) -> int:
        require_floats(self.numbers, width)
        require(bool(np.isfinite(self.numbers).all()), "finite numbers")
        return super().check(width)

    def owners(self, columns: Array) -> Array:
        return self._owners_of_each(columns)

    def transform(self, rows: Rows) -> Rows:
        if isinstance(rows, Sparse) and self.missing == "nan" and self.kept is self.flagged is None:
            return self._sparse(rows)
        array = as_floats(rows)
        missing = mask(array, self.missing)
        filled = np.where(missing, self.numbers.astype(array.dtype, copy=False), array)
        return self.finished(filled, missing)

    def _sparse(self, rows: Sparse) -> Sparse:
        numbers = self.numbers[rows.places].astype(rows.values.dtype, copy=False)
        return rows._replace(values=np.where(np.isnan(rows.values), numbers, rows.values))


class Replace(_Imputer, frozen=True, kw_only=True):
    """The value of its column in place of a missing one, where there are texts among them."""

    values: list[Label | None]

    def check(self, width: int) -> int:
        require(len(self.values) == width, f"{width} values")
        return super().check(width)

    def owners(self, columns: Array) -> Array:
        return self._owners_of_each(columns)

    def transform(self, rows: Rows) -> Rows:
        array = dense(rows).astype(object, copy=False)
        missing = mask(array, self.missing)
        if not missing.any():
            return self.finished(array, missing)
        filled = array.copy()
        owners, columns = np.nonzero(missing)
        for owner, column in zip(owners.tolist(), columns.tolist(), strict=True):
            filled[owner, column] = self.values[column]
        return self.finished(filled, missing)


class Flags(Node, Transform, frozen=True, kw_only=True):
    """For some columns whether the value is missing. With `strict` a missing value in another
    column is refused."""

    columns: Array
    missing: Missing = "nan"
    strict: bool = False

    def check(self, width: int) -> int:
        require_places(self.columns, width, -1)
        widest = max(width, len(self.columns))
        require(widest <= MAX_DENSE, f"at most {MAX_DENSE} features")
        return len(self.columns)

    def owners(self, columns: Array) -> Array:
        found: Array = columns[self.columns]
        return found

    def transform(self, rows: Rows) -> Rows:
        missing = mask(dense(rows), self.missing)
        found: Array = missing[:, self.columns]
        if self.strict and np.delete(missing, self.columns, axis=1).any():
            raise Refused("a value is missing")
        return found


class Guess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that tells one column by others."""

    column: int
    others: Array
    model: Predictor


class Guesses(_Imputer, frozen=True, kw_only=True):
    """What models tell in place of missing values, one after another, beginning with what `first`
    puts there. What they tell is brought between `low` and `high`. `empty` are the columns whose
    missing values stay what `first` made of them. All of these are columns that are kept, and so
    counted."""

    first: Transform
    guesses: list[Guess]
    low: Array
    high: Array
    empty: Array | None = None

    def check(self, width: int) -> int:
        found = super().check(width)
        kept = width if self.kept is None else len(self.kept)
        require(self.first.check(width) == kept, f"{kept} features")
        require_floats(self.low, kept)
        require_floats(self.high, kept)
        if self.empty is not None:
            require_places(self.empty, kept, -1)
        for guess in self.guesses:
            require(0 <= guess.column < kept, f"one of {kept} columns")
            require_places(guess.others, kept, -1)
            guess.model.check(len(guess.others))
        return found

    def transform(self, rows: Rows) -> Rows:
        array = as_floats(rows)
        missing = mask(array, self.missing)
        filled = np.array(dense(self.first.transform(array)))
        open_ = missing if self.kept is None else missing[:, self.kept]
        if self.empty is not None:
            open_ = open_.copy()
            open_[:, self.empty] = False
        # Where all values of all rows are missing, no model is asked.
        if open_.any() and not open_.all():
            self._guess(filled, open_)
        return self._flagged(filled, missing)

    def _guess(self, filled: Array, missing: Array) -> None:
        for guess in self.guesses:
            rows = missing[:, guess.column]
            if not rows.any():
                continue
            told = guess.model.answer(filled[rows][:, guess.others]).labels
            require(told.ndim == 1 and told.dtype.kind in "fiub", "a model that tells a number")
            low, high = self.low[guess.column], self.high[guess.column]
            filled[rows, guess.column] = np.clip(told, low, high)

    def _flagged(self, filled: Array, missing: Array) -> Array:
        if self.flagged is None:
            return filled
        return np.concatenate([filled, missing[:, self.flagged].astype(filled.dtype)], axis=1)


class Donors(_Imputer, frozen=True, kw_only=True):
    """The mean of the nearest rows of training in place of a missing number.

    `rows` are those of training, with NaN for what is missing; `count` of those which have the
    number are taken, by the distance that the columns tell which both rows have. `weighed` says
    that near ones count more. A column that was empty in training becomes 0, if it is kept.
    """

    rows: Array
    count: int
    weighed: bool = False

    def check(self, width: int) -> int:
        require_floats(self.rows, -1, width)
        require(len(self.rows) > 0 and not np.isinf(self.rows).any(), "rows of finite numbers")
        require(self.count > 0, "a donor or more")
        return super().check(width)

    def transform(self, rows: Rows) -> Rows:
        array = as_floats(rows).astype(np.float64, copy=True)
        missing = mask(array, self.missing)
        array[missing] = np.nan
        empty = np.isnan(self.rows).all(axis=0)
        open_ = missing & ~empty
        places = np.flatnonzero(open_.any(axis=1))
        step = max(1, BLOCK // len(self.rows))
        for start in range(0, len(places), step):
            some = places[start : start + step]
            array[some] = self._filled(array[some], open_[some])
        array[:, empty] = 0.0
        return self.finished(array, missing)

    def _filled(self, array: Array, missing: Array) -> Array:
        distances = _distances(array, self.rows)
        filled = array.copy()
        for column in np.flatnonzero(missing.any(axis=0)):
            rows = np.flatnonzero(missing[:, column])
            givers = np.flatnonzero(~np.isnan(self.rows[:, column]))
            numbers = self.rows[givers, column]
            filled[rows, column] = self._means(distances[np.ix_(rows, givers)], numbers)
        return filled

    def _means(self, distances: Array, numbers: Array) -> Array:
        """The means of the nearest of these numbers, by distances of shape (rows, numbers), which
        are NaN where two rows have no column in common."""
        means = np.full(len(distances), numbers.mean())
        known = ~np.isnan(distances).all(axis=1)
        distances = distances[known]
        count = min(self.count, len(numbers))
        places = np.argpartition(distances, count - 1, axis=1)[:, :count]
        nearest = np.take_along_axis(distances, places, axis=1)
        weights = _near_first(nearest) if self.weighed else np.ones_like(nearest)
        weights[np.isnan(nearest)] = 0.0
        means[known] = (numbers[places] * weights).sum(axis=1) / weights.sum(axis=1)
        return means


def _near_first(distances: Array) -> Array:
    """One by the distance; where one is 0, such alone."""
    weights: Array = 1.0 / distances
    same = np.isinf(weights)
    found = same.any(axis=1)
    weights[found] = same[found]
    return weights


def _distances(array: Array, others: Array) -> Array:
    """The Euclidean distances of rows by the columns that both have, scaled up to all columns; NaN
    where there is none. As scikit-learn computes them, whose sums tell which are equal."""
    missing, lacking = np.isnan(array), np.isnan(others)
    array, others = np.where(missing, 0.0, array), np.where(lacking, 0.0, others)
    squares, other_squares = array * array, others * others
    found = squares_by_product(array, others)
    found -= squares @ lacking.T
    found -= missing @ other_squares.T
    np.clip(found, 0, None, out=found)
    common = (1 - missing) @ (~lacking).T
    found[common == 0] = np.nan
    found /= np.maximum(1, common)
    found *= array.shape[1]
    distances: Array = np.sqrt(found)
    return distances


KINDS: Final = (Fill, Replace, Flags, Guesses, Donors)
