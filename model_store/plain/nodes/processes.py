"""Gaussian processes: the mean that they expect at a row, by how it goes with those of training,
and how far off that may be.

The formulas are those of Rasmussen and Williams, Gaussian Processes for Machine Learning, algorithm
2.1 (https://gaussianprocess.org/gpml/chapters/RW2.pdf).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Final, Literal

import msgspec
import numpy as np

from ..node import (
    Answer,
    Array,
    Node,
    Predictor,
    Refused,
    Rows,
    as_floats,
    finite,
    require,
    require_floats,
)
from .blocks import in_blocks

MAX_TERMS: Final = 30
"""Covariances within each other."""

SOLVED: Final = 64
"""Rows of a factor that are solved at a time."""

Prepared = Callable[[Array], Array]
"""How rows of shape (n, features) go with those of training, of shape (n, training rows)."""


class _Covariance(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="covariance", tag=str.lower
):
    """How rows go together. What is `prepared` for rows of training takes no time when it is
    asked."""

    def check(self, width: int, depth: int = 0) -> None:
        require(depth < MAX_TERMS, f"at most {MAX_TERMS} covariances within each other")

    def prepared(self, rows: Array) -> Prepared:
        raise NotImplementedError

    def own(self, rows: Array) -> Array:
        """How each of the rows goes with itself, of shape (n,)."""
        raise NotImplementedError


class Constant(_Covariance, frozen=True):
    """The same of all rows."""

    value: float

    def prepared(self, rows: Array) -> Prepared:
        return lambda array: np.full((len(array), len(rows)), self.value)

    def own(self, rows: Array) -> Array:
        return np.full(len(rows), self.value)


class Noise(_Covariance, frozen=True):
    """What no row shares with another."""

    level: float

    def prepared(self, rows: Array) -> Prepared:
        return lambda array: np.zeros((len(array), len(rows)))

    def own(self, rows: Array) -> Array:
        return np.full(len(rows), self.level)


class Product(_Covariance, frozen=True):
    """The product of two rows, plus a constant."""

    constant: float

    def prepared(self, rows: Array) -> Prepared:
        return lambda array: np.inner(array, rows) + self.constant

    def own(self, rows: Array) -> Array:
        return np.asarray(np.einsum("ij,ij->i", rows, rows) + self.constant)


class _OfDistance(_Covariance, frozen=True):
    """By the distance of rows whose features are divided by `lengths`, one a feature or one."""

    lengths: Array

    def check(self, width: int, depth: int = 0) -> None:
        super().check(width, depth)
        require(self.lengths.shape in ((), (1,), (width,)), "a length, or one a feature")
        require(self.lengths.dtype.kind == "f", "floats")

    def prepared(self, rows: Array) -> Prepared:
        columns = np.ascontiguousarray((rows / self.lengths).T)
        return lambda array: self.of(_squares(array / self.lengths, columns))

    def own(self, rows: Array) -> Array:
        return np.ones(len(rows))

    def of(self, squares: Array) -> Array:
        """Of squared distances."""
        raise NotImplementedError


def _squares(array: Array, columns: Array) -> Array:
    """Squared distances, feature by feature as scipy adds them up. `columns` of shape (features,
    training rows)."""

    def block(rows: Array) -> Array:
        away = rows.T[:, :, np.newaxis] - columns[:, np.newaxis]
        away *= away
        return np.asarray(away.sum(axis=0))

    return in_blocks(block, array, columns.size)


class Radial(_OfDistance, frozen=True):
    def of(self, squares: Array) -> Array:
        return np.asarray(np.exp(-0.5 * squares))


class Matern(_OfDistance, frozen=True):
    smoothness: Literal["0.5", "1.5", "2.5"]

    def of(self, squares: Array) -> Array:
        distances = np.sqrt(squares)
        if self.smoothness == "0.5":
            return np.asarray(np.exp(-distances))
        if self.smoothness == "1.5":
            distances *= math.sqrt(3)
            return np.asarray((1.0 + distances) * np.exp(-distances))
        distances *= math.sqrt(5)
        return np.asarray((1.0 + distances + distances**2 / 3.0) * np.exp(-distances))


class Rational(_OfDistance, frozen=True):
    """A mixture of radial ones; `scale` is 2 alpha length²."""

    scale: float
    alpha: float

    def of(self, squares: Array) -> Array:
        return np.asarray((1 + squares / self.scale) ** -self.alpha)


class Periodic(_OfDistance, frozen=True):
    length: float
    period: float

    def of(self, squares: Array) -> Array:
        waves = np.sin(np.pi / self.period * np.sqrt(squares)) / self.length
        return np.asarray(np.exp(-2 * waves**2))


class Both(_Covariance, frozen=True):
    """Two of them, added or multiplied."""

    first: Covariance
    second: Covariance
    times: bool

    def check(self, width: int, depth: int = 0) -> None:
        super().check(width, depth)
        self.first.check(width, depth + 1)
        self.second.check(width, depth + 1)

    def prepared(self, rows: Array) -> Prepared:
        first, second = self.first.prepared(rows), self.second.prepared(rows)
        if self.times:
            return lambda array: first(array) * second(array)
        return lambda array: first(array) + second(array)

    def own(self, rows: Array) -> Array:
        first, second = self.first.own(rows), self.second.own(rows)
        return first * second if self.times else first + second


class Power(_Covariance, frozen=True):
    of: Covariance
    exponent: float

    def check(self, width: int, depth: int = 0) -> None:
        super().check(width, depth)
        self.of.check(width, depth + 1)

    def prepared(self, rows: Array) -> Prepared:
        inner = self.of.prepared(rows)
        return lambda array: inner(array) ** self.exponent

    def own(self, rows: Array) -> Array:
        return np.asarray(self.of.own(rows) ** self.exponent)


Covariance = Constant | Noise | Product | Radial | Matern | Rational | Periodic | Both | Power


class GaussianProcess(Node, Predictor, frozen=True, kw_only=True):
    """`weights` of shape (training rows,) or (training rows, targets). What comes of them is
    multiplied by `scale`, and `mean` is added. `factor` is the lower triangle whose product with
    itself is the covariance of the training rows; without it no deviation is told."""

    covariance: Covariance
    rows: Array
    weights: Array
    scale: Array
    mean: Array
    factor: Array | None = None

    @cached_property
    def _prepared(self) -> Prepared:
        return self.covariance.prepared(self.rows)

    @property
    def deviates(self) -> bool:
        return self.factor is not None

    def check(self, width: int) -> None:
        self.covariance.check(width)
        require_floats(self.rows, -1, width)
        require(self.weights.ndim in (1, 2) and self.weights.size > 0, "weights")
        require_floats(self.weights, *(len(self.rows), -1)[: self.weights.ndim])
        for numbers in (self.scale, self.mean):
            require(numbers.dtype.kind == "f", "floats")
            require(numbers.shape in ((), (1,), self.weights.shape[1:]), "a number a target")
        if self.factor is not None:
            require_floats(self.factor, len(self.rows), len(self.rows))

    def answer(self, rows: Rows) -> Answer:
        return Answer(self._told(self._prepared(finite(as_floats(rows)))))

    def deviating(self, rows: Rows) -> tuple[Answer, Array]:
        array = finite(as_floats(rows))
        shared = self._prepared(array)
        variances = self.covariance.own(array) - self._explained(shared.T)
        # Rounding may leave less than nothing.
        found = np.maximum(variances, 0.0)[:, np.newaxis] * np.square(self.scale)
        return Answer(self._told(shared)), _of_one_target(np.sqrt(found))

    def _told(self, shared: Array) -> Array:
        return _of_one_target(self.scale * (shared @ self.weights) + self.mean)

    def _explained(self, shared: Array) -> Array:
        """What the training rows take off the variance at each row, of shape (n,). `shared` is of
        shape (training rows, n)."""
        assert self.factor is not None
        found = np.array(shared, dtype=np.float64)
        for start in range(0, len(found), SOLVED):
            here = slice(start, start + SOLVED)
            found[here] -= self.factor[here, :start] @ found[:start]
            try:
                found[here] = np.linalg.solve(self.factor[here, here], found[here])
            except np.linalg.LinAlgError as error:
                raise Refused("the covariance of its training rows has no inverse") from error
        return np.asarray(np.einsum("ij,ij->j", found, found))


def _of_one_target(found: Array) -> Array:
    return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found


KINDS: Final = (GaussianProcess,)
