"""Naive Bayes: the class under which the features are most likely, each taken by itself."""

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
    Refused,
    Rows,
    as_floats,
    finite,
    require,
    require_floats,
)
from ..sparse import Sparse
from .blocks import in_blocks
from .likelihood import shares
from .linear import product


class CountBayes(Node, Classifier, frozen=True, kw_only=True):
    """Of counts. `logarithms` of shape (features, classes) are those of the features' shares in
    each class, `prior` of shape (classes,) those of the classes. With `threshold` a feature counts
    as 1 where it is above it, else as 0."""

    classes: list[Label]
    logarithms: Array
    prior: Array
    threshold: float | None = None

    def check(self, width: int) -> None:
        require(len(self.classes) > 0, "a class")
        require_floats(self.logarithms, width, len(self.classes))
        require_floats(self.prior, len(self.classes))

    def answer(self, rows: Rows) -> Answer:
        if self.threshold is not None:
            rows = _above(rows, self.threshold)
        scores = finite(product(rows, self.logarithms) + self.prior)
        return Answer(self._labels.take(scores.argmax(axis=1)), shares(scores))


def _above(rows: Rows, threshold: float) -> Rows:
    if isinstance(rows, Sparse) and threshold >= 0:
        return rows._replace(values=(finite(rows.values) > threshold).astype(np.float64))
    return (finite(as_floats(rows)) > threshold).astype(np.float64)


class GaussianBayes(Node, Classifier, frozen=True, kw_only=True):
    """Of numbers. `means` and `variances` of shape (classes, features), `prior` of shape
    (classes,)."""

    classes: list[Label]
    prior: Array
    means: Array
    variances: Array

    @cached_property
    def _constants(self) -> tuple[Array, Array]:
        """Of each class: the logarithm of its share, and what of its density no feature changes."""
        return np.log(self.prior), -0.5 * np.log(2.0 * np.pi * self.variances).sum(axis=1)

    def check(self, width: int) -> None:
        require(len(self.classes) > 0, "a class")
        require_floats(self.prior, len(self.classes))
        require_floats(self.means, len(self.classes), width)
        require_floats(self.variances, len(self.classes), width)

    def answer(self, rows: Rows) -> Answer:
        array = finite(as_floats(rows))
        prior, densities = self._constants
        scores = prior + (densities - 0.5 * in_blocks(self._distances, array, self.means.size))
        return Answer(self._labels.take(scores.argmax(axis=1)), shares(scores))

    def _distances(self, array: Array) -> Array:
        away = array[:, np.newaxis] - self.means
        found: Array = (away**2 / self.variances).sum(axis=2)
        return found


class CategoryBayes(Node, Classifier, frozen=True, kw_only=True):
    """Of categories, which are counted from 0. The table has a row for each category of each
    feature, of the first feature first, and `counts` says how many categories each has."""

    classes: list[Label]
    table: Array
    counts: Array
    prior: Array

    @cached_property
    def _starts(self) -> Array:
        return np.cumsum(self.counts, dtype=np.int64) - self.counts

    def check(self, width: int) -> None:
        require(len(self.classes) > 0, "a class")
        require_floats(self.prior, len(self.classes))
        require_floats(self.table, -1, len(self.classes))
        require(self.counts.dtype.kind in "iu" and self.counts.shape == (width,), "a count each")
        require(bool((self.counts > 0).all()), "a category each")
        require(sum(self.counts.tolist()) == len(self.table), "the rows of all categories")

    def answer(self, rows: Rows) -> Answer:
        categories = np.trunc(finite(as_floats(rows)))
        if not ((categories >= 0) & (categories < self.counts)).all():
            raise Refused("a category is none of those of training")
        places = categories.astype(np.int64) + self._starts
        scores = in_blocks(self._sums, places, places.shape[1] * len(self.classes)) + self.prior
        return Answer(self._labels.take(scores.argmax(axis=1)), shares(scores))

    def _sums(self, places: Array) -> Array:
        found: Array = self.table[places].sum(axis=1)
        return found


KINDS: Final = (CountBayes, GaussianBayes, CategoryBayes)
