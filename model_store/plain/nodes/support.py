"""Sums over rows of training, each by how alike it is: support vectors and kernel ridge."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np

from ..node import (
    Answer,
    Array,
    Classifier,
    Label,
    Node,
    Predictor,
    Rows,
    as_floats,
    finite,
    require,
    require_floats,
    require_places,
)
from .blocks import in_blocks
from .distances import squares_by_product
from .kernels import Kernel, KernelName, Vectors

LEAST_SHARE: Final = 1e-7
"""Of a class beside another, as LIBSVM has it."""


def _sum(terms: Array) -> Array:
    """The sums over the first axis, one term after another. They are outermost in memory."""
    if terms[0].size == 1:  # of which numpy's sum would be by pairs
        found: Array = np.add.accumulate(terms, axis=0)[-1]
        return found
    return np.asarray(np.add.reduce(terms, axis=0))


class SupportNumbers(Node, Predictor, frozen=True, kw_only=True):
    """A number by support vectors. `weights` of shape (vectors,)."""

    kernel: Kernel
    vectors: Vectors
    weights: Array
    intercept: float

    def check(self, width: int) -> None:
        self.vectors.check(width)
        require(len(self.vectors) > 0, "a vector")
        require_floats(self.weights, len(self.vectors))

    def answer(self, rows: Rows) -> Answer:
        return Answer(self.vectors.in_blocks(self._numbers, rows))

    def _numbers(self, rows: Rows) -> Array:
        alike = self.kernel.of(self.vectors, rows)
        return _sum(self.weights[:, np.newaxis] * alike) + self.intercept


class KernelNumbers(Node, Predictor, frozen=True, kw_only=True):
    """A number, or several, by all rows of training, as kernel ridge regression has it. `weights`
    of shape (training rows,) or (training rows, targets)."""

    kernel: KernelName
    rows: Array
    weights: Array
    gamma: float
    shift: float
    degree: float

    def check(self, width: int) -> None:
        require_floats(self.rows, -1, width)
        require(self.weights.ndim in (1, 2) and self.weights.size > 0, "weights")
        require_floats(self.weights, *(len(self.rows), -1)[: self.weights.ndim])

    def answer(self, rows: Rows) -> Answer:
        found = self._alike(finite(as_floats(rows))) @ self.weights
        return Answer(found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found)

    def _alike(self, array: Array) -> Array:
        if self.kernel == "rbf":
            return np.asarray(np.exp(-self.gamma * squares_by_product(array, self.rows)))
        # Of the rows turned: so a BLAS adds up as it does for scikit-learn.
        found: Array = array @ self.rows.T
        if self.kernel == "linear":
            return found
        found *= self.gamma
        found += self.shift
        return np.asarray(np.tanh(found) if self.kernel == "sigmoid" else found**self.degree)


class KernelShares(Node, Classifier, frozen=True, kw_only=True):
    """Shares of the classes that all rows of training have, as label propagation spread them, each
    by exp(-gamma d²) of its distance d. `shares` of shape (training rows, classes)."""

    classes: list[Label]
    rows: Array
    gamma: float
    shares: Array

    def check(self, width: int) -> None:
        require_floats(self.rows, -1, width)
        require(len(self.classes) > 0 and len(self.rows) > 0, "a class and a row")
        require_floats(self.shares, len(self.rows), len(self.classes))

    def answer(self, rows: Rows) -> Answer:
        # The distances of the rows of training from these, since so a BLAS adds up the same.
        alike = squares_by_product(self.rows, finite(as_floats(rows)))
        alike *= -self.gamma
        shares = np.exp(alike, out=alike).T @ self.shares
        shares /= shares.sum(axis=1)[:, np.newaxis]
        return Answer(self._labels.take(shares.argmax(axis=1)), shares)


class SupportClasses(Node, Classifier, frozen=True, kw_only=True):
    """Each class beside each other. `counts` are the vectors of each class, which stand one class
    after another. `weights` of shape (classes - 1, vectors) and `intercept` of shape (pairs,) are
    those of LIBSVM. `slopes` and `shifts` of shape (pairs,) make shares of the scores of pairs.

    With `by_pair` the decision function has a score a pair, else one a class.
    """

    classes: list[Label]
    kernel: Kernel
    vectors: Vectors
    counts: Array
    weights: Array
    intercept: Array
    slopes: Array | None = None
    shifts: Array | None = None
    by_pair: bool = False

    @property
    def decides(self) -> bool:
        return True

    @cached_property
    def _pairs(self) -> tuple[Array, Array]:
        """The places of the first and of the second class of each pair."""
        return np.triu_indices(len(self.classes), 1)

    @cached_property
    def _parts(self) -> list[slice]:
        """The places of the vectors of each class."""
        ends = np.cumsum(self.counts, dtype=np.int64).tolist()
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def check(self, width: int) -> None:
        self.vectors.check(width)
        classes, vectors = len(self.classes), len(self.vectors)
        pairs = classes * (classes - 1) // 2
        require(classes > 1, "two classes or more")
        require_places(self.counts, vectors + 1, classes)
        require(bool(self.counts.all()), "a vector a class")
        require(sum(self.counts.tolist()) == vectors, "the vectors of all classes")
        require_floats(self.weights, classes - 1, vectors)
        require_floats(self.intercept, pairs)
        require((self.slopes is None) == (self.shifts is None), "shares or none")
        for each in (self.slopes, self.shifts):
            if each is not None:
                require_floats(each, pairs)

    def scores(self, rows: Rows) -> Array:
        scores = self._beside(rows)
        if len(self.classes) == 2:
            return -scores[:, 0]
        return scores if self.by_pair else self._by_class(scores)

    def answer(self, rows: Rows) -> Answer:
        scores = self._beside(rows)
        first, second = self._pairs
        votes = self._counted(np.where(scores > 0, first, second))
        labels = self._labels.take(votes.argmax(axis=1))
        if self.slopes is None or self.shifts is None:
            return Answer(labels)
        powers = scores * self.slopes + self.shifts
        shares = np.exp(np.minimum(-powers, 0.0)) / (1.0 + np.exp(-np.abs(powers)))
        shares = np.clip(shares, LEAST_SHARE, 1 - LEAST_SHARE)
        return Answer(labels, in_blocks(self._coupled, shares, 4 * len(self.classes) ** 2))

    def _beside(self, rows: Rows) -> Array:
        """A score a pair: above 0 it is for the first class."""
        return self.vectors.in_blocks(self._block, rows)

    def _block(self, rows: Rows) -> Array:
        alike = self.kernel.of(self.vectors, rows)
        # Of the first class by the second, of which those below the diagonal are left alone.
        sums = np.zeros((len(self.classes), len(self.classes), alike.shape[1]))
        for place, part in enumerate(self._parts):
            weights = self.weights[:, part].T[:, :, np.newaxis]
            terms = np.multiply(weights, alike[part, np.newaxis], order="C")
            # Of a pair the vectors of the second class are added to the sum of the first.
            sums[place, place + 1 :] = _sum(terms[:, place:])
            before = np.concatenate([sums[np.newaxis, :place, place], terms[:, :place]])
            sums[:place, place] = _sum(before)
        first, second = self._pairs
        found: Array = sums[first, second].T + self.intercept
        return found

    def _counted(self, chosen: Array, weights: Array | None = None) -> Array:
        """What falls on each class, where `chosen` of shape (rows, any) are places of classes."""
        rows, classes = len(chosen), len(self.classes)
        cells = chosen + np.arange(0, rows * classes, classes)[:, np.newaxis]
        each = None if weights is None else weights.ravel()
        return np.bincount(cells.ravel(), each, minlength=rows * classes).reshape(rows, classes)

    def _by_class(self, scores: Array) -> Array:
        """The votes for each class, and less than a vote of how sure they are."""
        first, second = self._pairs
        votes = self._counted(np.where(scores < 0, second, first))
        both = np.tile(np.stack([first, second], axis=1).ravel(), (len(scores), 1))
        sums = self._counted(both, np.stack([scores, -scores], axis=2).reshape(len(scores), -1))
        found: Array = votes + sums / (3 * (np.abs(sums) + 1))
        return found

    def _coupled(self, pairs: Array) -> Array:
        """The shares of all classes that go best with those of each pair, by the second method of
        Wu, Lin and Weng (2004), in the steps of LIBSVM."""
        count = len(self.classes)
        first, second = self._pairs
        beside = np.zeros((count, count, len(pairs)))
        beside[first, second] = pairs.T
        beside[second, first] = 1 - pairs.T
        table = -beside * beside.transpose(1, 0, 2)
        diagonal = (beside * beside).sum(axis=0)
        table[np.arange(count), np.arange(count)] = diagonal
        shares = np.full((count, len(pairs)), 1.0 / count)
        rest = np.arange(len(pairs))
        for _ in range(max(100, count)):
            known = shares[:, rest]
            slope = (table[:, :, rest] * known).sum(axis=1)
            whole = (known * slope).sum(axis=0)
            off = np.abs(slope - whole).max(axis=0) >= 0.005 / count
            if not off.any():
                break
            rest = rest[off]
            shares[:, rest] = _stepped(
                known[:, off], slope[:, off], whole[off], table[:, :, rest], diagonal[:, rest]
            )
        return np.ascontiguousarray(shares.T)


def _stepped(shares: Array, slope: Array, whole: Array, table: Array, diagonal: Array) -> Array:
    """Shares that were changed one class after another, of shape (classes, rows)."""
    for place in range(len(shares)):
        change = (whole - slope[place]) / diagonal[place]
        shares[place] += change
        whole = (whole + change * (change * diagonal[place] + 2 * slope[place])) / (1 + change)
        whole = whole / (1 + change)
        slope = (slope + change * table[place]) / (1 + change)
        shares = shares / (1 + change)
    return shares


KINDS: Final = (SupportNumbers, KernelNumbers, KernelShares, SupportClasses)
