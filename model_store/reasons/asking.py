"""Contributions found by asking, of whatever predicts: rows with some values of one row and the
others of a row of the background."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ..errors import Unexplained
from ..plain.node import Array, Rows, dense
from ..plain.sparse import Sparse
from .clock import Clock
from .coalitions import MOST_PLAYERS, coalitions, weights
from .method import ROUNDING, Shares
from .way import Way

MOST_CELLS: Final = 1 << 17
"""Cells of rows that are asked together: between such parts the time is looked at."""
ROUNDS: Final = 20
"""Times that each row of the background is drawn, if there is time."""
SEED: Final = 20260101

Ask = Callable[[Rows], Array]
"""All outputs of rows as features, of shape (rows, outputs)."""


class Mixture:
    """Rows of features between one row and those of the background, where features change together
    that are made of one column."""

    def __init__(self, way: Way, ask: Ask, background: Array) -> None:
        features = way.features(background)
        # What is sparse has many features: its columns are mixed as they came.
        if isinstance(features, Sparse):
            ask = _behind(way, ask)
            way, features = Way.of(way.columns), background
        self._way, self._ask = way, ask
        self.background = dense(features)
        self.columns, self._places = np.unique(way.owners, return_inverse=True)
        self.among = way.columns

    def own(self, matrix: Array) -> Array:
        return dense(self._way.features(matrix))

    def ask(self, own: Array, background: Array, members: Array) -> Array:
        """The outputs of rows that have of `own`, of shape (features,), the columns that are
        `members` of shape (n, columns), and the others of n rows of the background; asked in parts.
        """
        step = max(1, MOST_CELLS // max(1, background.shape[1]))
        parts = []
        for start in range(0, len(members), step):
            here = slice(start, start + step)
            taken = members[here][:, self._places]
            parts.append(self._ask(np.where(taken, own, background[here])))
        found = np.concatenate(parts)
        if not np.isfinite(found).all():
            raise Unexplained(NOT_FINITE)
        return found


def _behind(way: Way, ask: Ask) -> Ask:
    return lambda rows: ask(way.features(dense(rows)))


NOT_FINITE: Final = (
    "These rows cannot be explained: with some of their values in a row of the background the "
    "model gives no finite number."
)


class Enumerated:
    """Exact contributions: all coalitions are asked with all rows of the background."""

    exact = True
    rounding = ROUNDING

    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture

    @classmethod
    def possible(cls, mixture: Mixture) -> bool:
        return len(mixture.columns) <= MOST_PLAYERS

    def shares(self, matrix: Array, outputs: Array, clock: Clock) -> Shares:
        mixture, players = self._mixture, len(self._mixture.columns)
        found = np.zeros((*outputs.shape, mixture.among))
        for row, own in enumerate(mixture.own(matrix)):
            values = self._values(own, outputs[row], clock)
            found[row][:, mixture.columns] = values.T @ weights(players)
        return Shares(found)

    def _values(self, own: Array, outputs: Array, clock: Clock) -> Array:
        """The mean outputs of each coalition."""
        members, background = coalitions(len(self._mixture.columns)), self._mixture.background
        step = max(1, MOST_CELLS // max(1, background.size))
        means = []
        for start in range(0, len(members), step):
            clock.require()
            some = members[start : start + step]
            rows = np.tile(background, (len(some), 1))
            asked = self._mixture.ask(own, rows, some.repeat(len(background), axis=0))[:, outputs]
            means.append(asked.reshape(len(some), len(background), -1).mean(axis=1))
        return np.concatenate(means)


class Sampled:
    """Estimates of contributions, with their standard errors: what columns add in orders that are
    drawn.

    Each row of the background is met once a round with an order and that order backwards, so that
    the contributions always add up: E. Strumbelj and I. Kononenko, "An efficient explanation of
    individual classifications using game theory" (2010); R. Mitchell and others, "Sampling
    permutations for Shapley value estimation" (2022).
    """

    exact = False
    rounding = ROUNDING

    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture

    def shares(self, matrix: Array, outputs: Array, clock: Clock) -> Shares:
        mixture = self._mixture
        found = np.zeros((*outputs.shape, mixture.among))
        errors = np.zeros_like(found)
        seconds = None if clock.seconds is None else clock.seconds / max(1, len(matrix))
        for row, own in enumerate(mixture.own(matrix)):
            clock.require()
            mean, error = self._of_row(own, outputs[row], clock, Clock(seconds))
            found[row][:, mixture.columns], errors[row][:, mixture.columns] = mean, error
        return Shares(found, errors)

    def _of_row(
        self, own: Array, outputs: Array, clock: Clock, of_row: Clock
    ) -> tuple[Array, Array]:
        random, columns = np.random.default_rng(SEED), len(self._mixture.columns)
        total = squares = np.zeros((len(outputs), columns))
        count = 0
        for _ in range(ROUNDS):
            drawn = random.permuted(np.tile(np.arange(columns), (self._rows, 1)), axis=1)
            there = self._gains(own, drawn, outputs, clock)
            gains = (there + self._gains(own, columns - 1 - drawn, outputs, clock)) / 2
            total, squares = total + gains.sum(axis=0), squares + (gains**2).sum(axis=0)
            count += self._rows
            if of_row.over:
                break
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0.0) * count / max(1, count - 1)
        return mean, np.sqrt(variance / count)

    @property
    def _rows(self) -> int:
        return len(self._mixture.background)

    def _gains(self, own: Array, ranks: Array, outputs: Array, clock: Clock) -> Array:
        """What each column adds to the outputs for each row of the background, in the order that
        its ranks of shape (rows, columns) say: of shape (rows, outputs, columns)."""
        rows, columns = ranks.shape
        step = max(1, MOST_CELLS // max(1, (columns + 1) * self._mixture.background.shape[1]))
        parts = []
        for start in range(0, rows, step):
            clock.require()
            some = ranks[start : start + step]
            members = some[:, np.newaxis, :] < np.arange(columns + 1)[:, np.newaxis]
            background = self._mixture.background[start : start + step].repeat(columns + 1, axis=0)
            asked = self._mixture.ask(own, background, members.reshape(-1, columns))[:, outputs]
            steps = np.diff(asked.reshape(len(some), columns + 1, -1), axis=1)
            parts.append(np.take_along_axis(steps, some[:, :, np.newaxis], axis=1))
        return np.concatenate(parts).swapaxes(1, 2)
