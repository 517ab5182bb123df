"""Rows most of whose features are 0, as scikit-learn keeps words and categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Sparse(NamedTuple):
    """The features that are not 0, row after row, and in a row by their places.

    Row i has `values[ends[i]:ends[i + 1]]` at `places[ends[i]:ends[i + 1]]`; `ends` has one number
    more than there are rows. `width` is the number of all features.
    """

    ends: Array
    places: Array
    values: Array
    width: int

    @property
    def length(self) -> int:
        """The number of rows."""
        return len(self.ends) - 1

    @property
    def owners(self) -> Array:
        """The row of each value."""
        return np.repeat(np.arange(self.length), np.diff(self.ends))

    def dense(self) -> Array:
        found = np.zeros((self.length, self.width), dtype=self.values.dtype)
        found[self.owners, self.places] = self.values
        return found

    def chosen(self, columns: Array, absent: float) -> Array:
        """Some of the features by their ascending places, as an array. What is left out of the rows
        is `absent`."""
        found = np.full((self.length, len(columns)), absent, dtype=self.values.dtype)
        places = np.searchsorted(columns, self.places)
        here = np.flatnonzero(columns.take(places, mode="clip") == self.places)
        found[self.owners[here], places[here]] = self.values[here]
        return found

    def product(self, table: Array) -> Array:
        """The rows times a table of shape (width, k), of shape (rows, k): in a row one product is
        added to the next in the order of the features, as scipy does."""
        values = self.values
        if values.dtype.kind != "f":
            values = values.astype(np.float64)
        if self.length == 1:
            return _added(values[:, np.newaxis] * table[self.places])
        owners, rows = self.owners, self.length
        if np.result_type(values, table) == np.float64:
            columns = [
                np.bincount(owners, values * column[self.places], minlength=rows)
                for column in table.T
            ]
            return np.stack(columns, axis=1) if columns else np.zeros((rows, 0))
        found = np.zeros((rows, table.shape[1]), dtype=np.result_type(values, table))
        np.add.at(found, owners, values[:, np.newaxis] * table[self.places])
        return found


def _added(products: Array) -> Array:
    """The sum of each column, one number after another, of shape (1, columns)."""
    if not len(products):
        return np.zeros((1, products.shape[1]), dtype=products.dtype)
    return np.add.accumulate(products, axis=0)[-1:]


def beside(parts: Sequence[Array | Sparse]) -> Sparse:
    """The features of several parts of the same rows, one after another."""
    found = [part if isinstance(part, Sparse) else of_dense(part) for part in parts]
    starts = np.cumsum([0, *(part.width for part in found)])
    owners = np.concatenate([part.owners for part in found])
    places = np.concatenate(
        [part.places + start for part, start in zip(found, starts[:-1], strict=True)]
    )
    values = np.concatenate([part.values for part in found])
    order = np.argsort(owners, kind="stable")
    ends = np.sum([part.ends for part in found], axis=0)
    return Sparse(ends, places[order], values[order], int(starts[-1]))


def of_dense(array: Array) -> Sparse:
    """An array of numbers without its zeros."""
    owners, places = np.nonzero(array)
    ends = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(array)))])
    return Sparse(ends, places, array[owners, places], array.shape[1])
