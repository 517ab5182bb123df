"""Linear models behind steps that make each feature of one column: each column has a part of the
score, and the score is the sum of all parts.

What a column contributes to the score is its part, less the mean of its parts in the background; of
what a link makes of the score, it comes from all coalitions, whose scores are sums of parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ..plain.node import Array, as_floats
from ..plain.sparse import Sparse
from .clock import Clock
from .coalitions import MOST_PLAYERS, coalitions, weights
from .method import ROUNDING, Shares
from .way import Way

MOST_NUMBERS: Final = 2_000_000
"""Scores of all coalitions that are computed for a row."""

Link = Callable[[Array], Array]
"""From scores of shape (n, scores) to outputs of shape (n, outputs); of one score both are of shape
(n,). It may write into what it is given."""


class Parts:
    """The parts of scores: `coefficients` of shape (features, scores) for what comes of a way.
    `columns` are those that have a part at all, `among` is how many there are."""

    def __init__(self, way: Way, coefficients: Array, intercept: Array) -> None:
        coefficients = np.asarray(coefficients, dtype=np.float64)
        used = np.flatnonzero(coefficients.any(axis=1))
        used = used[np.argsort(way.owners[used], kind="stable")]
        self.columns, self._starts = np.unique(way.owners[used], return_index=True)
        self.among = way.columns
        self.scores = int(coefficients.shape[1])
        self.intercept = np.broadcast_to(intercept, (self.scores,)).astype(np.float64)
        self.features = len(way.owners)
        self._way, self._used, self._coefficients = way, used, coefficients[used]
        self._whole = coefficients
        self._places = np.searchsorted(self.columns, way.owners)

    def of(self, matrix: Array) -> Array:
        """Of shape (rows, columns that have a part, scores).

        Raises:
            Refused: a step refuses these rows.
        """
        rows = self._way.features(matrix)
        if isinstance(rows, Sparse):
            return self._of_sparse(rows)
        if not len(self.columns):
            return np.zeros((len(matrix), 0, self.scores))
        products = as_floats(rows)[:, self._used, np.newaxis] * self._coefficients
        found: Array = np.add.reduceat(products, self._starts, axis=1)
        return found

    def _of_sparse(self, rows: Sparse) -> Array:
        found = np.zeros((rows.length, len(self.columns), self.scores))
        coefficients = self._whole[rows.places]
        counted = coefficients.any(axis=1)
        places = self._places[rows.places[counted]]
        products = rows.values[counted, np.newaxis] * coefficients[counted]
        np.add.at(found, (rows.owners[counted], places), products)
        return found


class Scores:
    """Contributions to the scores themselves. Output k is score k; with `opposite` there is one
    score, which is output 1, and output 0 is its opposite."""

    exact = True

    def __init__(
        self,
        parts: Parts,
        background: Array,
        *,
        rounding: float = ROUNDING,
        opposite: bool = False,
    ) -> None:
        self._parts, self.rounding, self._opposite = parts, rounding, opposite
        self._mean = parts.of(background).mean(axis=0)

    def shares(self, matrix: Array, outputs: Array, clock: Clock) -> Shares:
        moved = self._parts.of(matrix)
        moved -= self._mean
        if self._parts.scores == 1:
            chosen = moved.swapaxes(1, 2)
            if self._opposite:
                chosen = _SIGNS[outputs][:, :, np.newaxis] * chosen
        else:
            chosen = moved[np.arange(len(outputs))[:, np.newaxis], :, outputs]
        return Shares(_spread(chosen, self._parts))


_SIGNS: Final = np.array([-1.0, 1.0])
"""Of an output that is the opposite of the next, and of that."""


class Linked:
    """Contributions to what a link makes of scores. With `opposite` it makes one output of one
    score, which is output 1, and output 0 is the rest to 1."""

    exact = True

    def __init__(
        self,
        parts: Parts,
        link: Link,
        background: Array,
        *,
        rounding: float = ROUNDING,
        opposite: bool = False,
    ) -> None:
        self._parts, self._link, self.rounding = parts, link, rounding
        self._opposite = opposite
        self._of_background = parts.of(background)
        self._start = self._of_background.sum(axis=1) + parts.intercept
        self._even = np.full(len(background), 1 / len(background))
        players = len(parts.columns)
        self._members = coalitions(players).astype(np.float64)
        self._weights = weights(players)

    @classmethod
    def possible(cls, parts: Parts, background: int) -> bool:
        """Whether so few columns have a part that all coalitions are computed."""
        few = len(parts.columns) <= MOST_PLAYERS
        return few and _numbers(parts, background) <= MOST_NUMBERS

    def shares(self, matrix: Array, outputs: Array, clock: Clock) -> Shares:
        found = np.empty((*outputs.shape, len(self._parts.columns)))
        for row, own in enumerate(self._parts.of(matrix)):
            clock.require()
            found[row] = self._of_row(own, outputs[row])
        return Shares(_spread(found, self._parts))

    def _of_row(self, own: Array, outputs: Array) -> Array:
        # Of shape (background, columns, scores): what a coalition's members move.
        moved = own - self._of_background
        if self._parts.scores == 1:
            scores = self._members @ moved[:, :, 0].T
            scores += self._start[:, 0]
            values = self._link(scores.reshape(-1)).reshape(scores.shape)
            found = (values @ self._even) @ self._weights
            signs = _SIGNS[outputs] if self._opposite else np.ones(len(outputs))
            return np.asarray(signs[:, np.newaxis] * found)
        scores = np.tensordot(self._members, moved, axes=(1, 1)) + self._start
        values = self._link(scores.reshape(-1, self._parts.scores))
        means = values[:, outputs].reshape(*scores.shape[:2], -1).mean(axis=1)
        return np.asarray(means.T @ self._weights)


def _numbers(parts: Parts, background: int) -> int:
    return (1 << len(parts.columns)) * background * parts.scores


def _spread(found: Array, parts: Parts) -> Array:
    """Contributions of the columns that have a part, among those of all."""
    if len(parts.columns) == parts.among:
        return found
    spread = np.zeros((*found.shape[:-1], parts.among))
    spread[..., parts.columns] = found
    return spread
