"""Kernels: how alike a row is to each of some rows of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from ..node import (
    MAX_WIDTH,
    Array,
    Rows,
    as_floats,
    finite,
    require,
    require_floats,
    require_places,
)
from ..sparse import Sparse
from .blocks import in_blocks


class DenseVectors(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="dense", tag_field="as", dict=True
):
    """Rows of training, of shape (vectors, features)."""

    rows: Array

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def _doubles(self) -> Array:
        return np.ascontiguousarray(self.rows, dtype=np.float64)

    def check(self, width: int) -> None:
        require_floats(self.rows, -1, width)

    def in_blocks(self, answer: Callable[[Rows], Array], rows: Rows) -> Array:
        """What is answered to rows, as many at a time as are small beside these vectors."""
        return in_blocks(answer, _floats(rows), self.rows.size)

    def products(self, rows: Rows) -> Array:
        """Of each vector with each row, of shape (vectors, rows)."""
        return _dot(self._doubles[:, np.newaxis], _floats(rows))

    def squares(self, rows: Rows) -> Array:
        """The squared distances of each vector from each row."""
        away = self._doubles[:, np.newaxis] - _floats(rows)
        return _dot(away, away)


def _dot(first: Array, second: Array) -> Array:
    """Products of pairs of rows, each by itself: so a BLAS adds up as it does for LIBSVM."""
    found: Array = first[..., np.newaxis, :] @ second[..., np.newaxis]
    return found[..., 0, 0]


class SparseVectors(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="sparse", tag_field="as", dict=True
):
    """The same without zeros: the vector i has `values[ends[i]:ends[i + 1]]` at the `places`."""

    ends: Array
    places: Array
    values: Array

    def __len__(self) -> int:
        return len(self.ends) - 1

    @cached_property
    def _owners(self) -> Array:
        return np.repeat(np.arange(len(self)), np.diff(self.ends))

    @cached_property
    def _norms(self) -> Array:
        return np.bincount(self._owners, self.values * self.values, minlength=len(self))

    def check(self, width: int) -> None:
        require(width <= MAX_WIDTH, f"at most {MAX_WIDTH} features")
        require_places(self.places, width, -1)
        require_floats(self.values, len(self.places))
        require_places(self.ends, len(self.places) + 1, -1)
        ends = self.ends.astype(np.int64)
        fits = len(ends) > 0 and ends[0] == 0 and ends[-1] == len(self.places)
        require(bool(fits and (np.diff(ends) >= 0).all()), "ends in order")

    def in_blocks(self, answer: Callable[[Rows], Array], rows: Rows) -> Array:
        return answer(rows)

    def products(self, rows: Rows) -> Array:
        return np.stack([self._product(row) for row in _each(rows)], axis=1)

    def _product(self, row: Array) -> Array:
        return np.bincount(self._owners, self.values * row[self.places], minlength=len(self))

    def squares(self, rows: Rows) -> Array:
        norms = np.array([row @ row for row in _each(rows)])
        found: Array = norms + self._norms[:, np.newaxis] - 2.0 * self.products(rows)
        return np.maximum(found, 0.0, out=found)


def _floats(rows: Rows) -> Array:
    return finite(as_floats(rows)).astype(np.float64, copy=False)


def _each(rows: Rows) -> Iterator[Array]:
    """The rows one by one, so that one at a time is not sparse."""
    if not isinstance(rows, Sparse):
        yield from _floats(rows)
        return
    finite(rows.values)
    for place in range(rows.length):
        yield _row(rows, place)


def _row(rows: Sparse, place: int) -> Array:
    start, end = rows.ends[place], rows.ends[place + 1]
    found = np.zeros(rows.width)
    found[rows.places[start:end]] = rows.values[start:end]
    return found


Vectors = DenseVectors | SparseVectors
KernelName = Literal["linear", "rbf", "poly", "sigmoid"]

MAX_DEGREE: Final = 1 << 16


class Kernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A function of two rows: their product, or exp(-gamma d²) of their distance d, or a power or
    the hyperbolic tangent of gamma times their product plus `shift`."""

    name: KernelName
    gamma: float = 1.0
    shift: float = 0.0
    degree: Annotated[int, msgspec.Meta(ge=0, le=MAX_DEGREE)] = 1

    def of(self, vectors: Vectors, rows: Rows) -> Array:
        """Of each vector with each row, of shape (vectors, rows), as LIBSVM computes it.

        Raises:
            Refused: a value is not finite.
        """
        if self.name == "rbf":
            return np.asarray(np.exp(-self.gamma * vectors.squares(rows)))
        found = vectors.products(rows)
        if self.name == "linear":
            return found
        found = self.gamma * found + self.shift
        return np.tanh(found) if self.name == "sigmoid" else _power(found, self.degree)


def _power(base: Array, degree: int) -> Array:
    """A power by squares of squares, whose last bits are not those of numpy's."""
    found = np.ones_like(base)
    while degree:
        if degree % 2:
            found = found * base
        base = base * base
        degree //= 2
    return found
