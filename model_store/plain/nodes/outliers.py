"""Outliers: 1 for a row like those of training, -1 for another."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..node import (
    Answer,
    Array,
    Node,
    Predictor,
    Rows,
    as_floats,
    finite,
    require_floats,
)


class Outliers(Node, Predictor, frozen=True, kw_only=True):
    """What lies below 0 by its score is an outlier; what lies at 0 is one if `at_zero` says so."""

    score: Predictor
    at_zero: bool = False

    @property
    def decides(self) -> bool:
        return True

    def check(self, width: int) -> None:
        self.score.check(width)

    def scores(self, rows: Rows) -> Array:
        return self.score.answer(rows).labels

    def answer(self, rows: Rows) -> Answer:
        scores = self.scores(rows)
        inside = scores > 0 if self.at_zero else scores >= 0
        return Answer(np.where(inside, 1, -1))


class Mahalanobis(Node, Predictor, frozen=True, kw_only=True):
    """Minus the squared Mahalanobis distance from a place, less an offset."""

    location: Array
    precision: Array
    offset: float

    def check(self, width: int) -> None:
        require_floats(self.location, width)
        require_floats(self.precision, width, width)

    def answer(self, rows: Rows) -> Answer:
        away = finite(as_floats(rows)) - self.location
        squares = ((away @ self.precision) * away).sum(axis=1)
        return Answer(-squares - self.offset)


KINDS: Final = (Outliers, Mahalanobis)
