"""What the rows of training that are nearest to a row say together."""

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
    labels_of,
    require,
    require_floats,
    require_places,
)
from .search import Search


class NeighbourClasses(Node, Predictor, frozen=True, kw_only=True):
    """The class of most neighbours. `values` of shape (training rows, targets) are the places of
    theirs in `classes`, one list a target. With `nearer` those that are nearer count more."""

    search: Search
    classes: list[list[Label]]
    values: Array
    nearer: bool = False

    @cached_property
    def _labels(self) -> list[Array]:
        return [labels_of(classes) for classes in self.classes]

    def check(self, width: int) -> None:
        self.search.check(width)
        require(len(self.classes) > 0, "a target")
        require_places(self.values, 1 << 31, len(self.search.rows), len(self.classes))
        for classes, places in zip(self.classes, self.values.T, strict=True):
            require_places(places, len(classes), -1)

    def answer(self, rows: Rows) -> Answer:
        distances, places = self.search.nearest(rows)
        weights = nearness(distances) if self.nearer else None
        told = [
            self._target(labels, values[places], weights)
            for labels, values in zip(self._labels, self.values.T, strict=True)
        ]
        if len(told) == 1:
            return Answer(*told[0])
        return Answer(np.stack([each for each, _ in told], axis=1), tuple([s for _, s in told]))

    def _target(self, labels: Array, values: Array, weights: Array | None) -> tuple[Array, Array]:
        shares = votes(values, weights, len(labels))
        chosen = shares if weights is None else _sums(values, weights, len(labels))
        shares /= shares.sum(axis=1)[:, np.newaxis]
        # Of equal ones the first, which is the lowest class.
        return labels.take(chosen.argmax(axis=1)), shares


def votes(values: Array, weights: Array | None, classes: int) -> Array:
    """What the neighbours of each row count for each class, one neighbour after another."""
    cells = values + np.arange(0, len(values) * classes, classes)[:, np.newaxis]
    each = None if weights is None else weights.ravel()
    found = np.bincount(cells.ravel(), each, minlength=len(values) * classes)
    return found.astype(np.float64, copy=False).reshape(-1, classes)


def _sums(values: Array, weights: Array, classes: int) -> Array:
    """The same as votes, added up as scikit-learn does for the label."""
    found = np.zeros((len(values), classes))
    for place in np.unique(values).tolist():
        found[:, place] = np.where(values == place, weights, 0.0).sum(axis=1)
    return found


def nearness(distances: Array) -> Array:
    """1 / distance; where that is infinite, 1 for those at no distance and 0 for the others."""
    weights: Array = 1.0 / distances
    infinite = np.isinf(weights)
    if infinite.any():
        at_hand = infinite.any(axis=1)
        weights[at_hand] = infinite[at_hand]
    return weights


class NeighbourNumbers(Node, Predictor, frozen=True, kw_only=True):
    """The mean of the neighbours' numbers. `values` of shape (training rows, targets)."""

    search: Search
    values: Array
    nearer: bool = False

    def check(self, width: int) -> None:
        self.search.check(width)
        require(self.values.dtype.kind in "fiu" and self.values.ndim == 2, "numbers a row")
        require(len(self.values) == len(self.search.rows), "numbers of each row")
        require(self.values.shape[1] > 0, "a target")

    def answer(self, rows: Rows) -> Answer:
        distances, places = self.search.nearest(rows)
        values = self.values[places]
        means = _means(values, nearness(distances)) if self.nearer else values.mean(axis=1)
        return Answer(means[:, 0] if means.shape[1] == 1 else means)


def _means(values: Array, weights: Array) -> Array:
    """Weighted means over the neighbours. `values` have the shape (rows, neighbours, targets)."""
    total = weights.sum(axis=1)
    sums = [(values[:, :, target] * weights).sum(axis=1) for target in range(values.shape[2])]
    return np.stack([each / total for each in sums], axis=1)


class NeighbourShares(Node, Classifier, frozen=True, kw_only=True):
    """Shares of the classes that the neighbours have, as label propagation spread them. `shares`
    of shape (training rows, classes)."""

    search: Search
    classes: list[Label]
    shares: Array

    def check(self, width: int) -> None:
        self.search.check(width)
        require(len(self.classes) > 0, "a class")
        require_floats(self.shares, len(self.search.rows), len(self.classes))

    def answer(self, rows: Rows) -> Answer:
        _, places = self.search.nearest(rows)
        shares = self.shares[places].sum(axis=1)
        shares /= shares.sum(axis=1)[:, np.newaxis]
        return Answer(self._labels.take(shares.argmax(axis=1)), shares)


class NeighbourDensity(Node, Predictor, frozen=True, kw_only=True):
    """How dense the neighbours lie beside the row itself, as the local outlier factor has it: the
    higher, the less it is an outlier. `reach` are the distances of the rows of training from the
    last of their own neighbours, `density` are their densities."""

    search: Search
    reach: Array
    density: Array
    offset: float

    def check(self, width: int) -> None:
        self.search.check(width)
        require_floats(self.reach, len(self.search.rows))
        require_floats(self.density, len(self.search.rows))

    def answer(self, rows: Rows) -> Answer:
        distances, places = self.search.nearest(rows)
        reached = np.maximum(distances, self.reach[places])
        density = 1.0 / (reached.mean(axis=1) + 1e-10)
        factors = (self.density[places] / density[:, np.newaxis]).mean(axis=1)
        return Answer(-factors - self.offset)


KINDS: Final = (NeighbourClasses, NeighbourNumbers, NeighbourShares, NeighbourDensity)
