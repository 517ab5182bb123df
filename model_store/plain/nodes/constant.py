"""What answers the same to every row, and what answers by one feature alone."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from ..node import (
    Answer,
    Array,
    Classifier,
    Label,
    Node,
    Predictor,
    Refused,
    Rows,
    as_floats,
    finite,
    require,
    require_floats,
)
from ..sparse import Sparse


class ConstantClass(Node, Classifier, frozen=True, kw_only=True):
    """One class by its place, and the same probabilities of all."""

    classes: list[Label]
    place: int
    shares: Array

    def check(self, width: int) -> None:
        require(0 <= self.place < len(self.classes), "the place of a class")
        require_floats(self.shares, len(self.classes))

    def answer(self, rows: Rows) -> Answer:
        count = _count(rows)
        labels = self._labels[self.place : self.place + 1].repeat(count)
        return Answer(labels, np.tile(self.shares, (count, 1)))


class ConstantNumber(Node, Predictor, frozen=True, kw_only=True):
    """One number, or one of each target."""

    numbers: Array

    def check(self, width: int) -> None:
        require(self.numbers.ndim == 1 and len(self.numbers) > 0, "a number a target")

    def answer(self, rows: Rows) -> Answer:
        count = _count(rows)
        if len(self.numbers) == 1:
            return Answer(self.numbers.repeat(count))
        return Answer(np.tile(self.numbers, (count, 1)))


def _count(rows: Rows) -> int:
    return rows.length if isinstance(rows, Sparse) else len(rows)


class Isotonic(Node, Predictor, frozen=True, kw_only=True):
    """The line through places of one feature, as isotonic regression fits it.

    `beyond` says what becomes of a row that lies beyond the range of training.
    """

    places: Array
    numbers: Array
    lowest: float
    highest: float
    beyond: Literal["nan", "clip", "raise"]

    def check(self, width: int) -> None:
        require(width == 1, "one feature")
        require_floats(self.places, -1)
        require_floats(self.numbers, len(self.places))
        require(len(self.places) > 0, "a place")
        require(bool((np.diff(self.places) > 0).all()), "places in order")

    def answer(self, rows: Rows) -> Answer:
        return Answer(self.numbers_at(finite(as_floats(rows)).ravel().astype(np.float64)))

    def numbers_at(self, feature: Array) -> Array:
        """What belongs to finite values of the feature, of shape (n,)."""
        if self.beyond == "clip":
            feature = np.clip(feature, self.lowest, self.highest)
        if len(self.places) == 1:
            return self.numbers.repeat(len(feature))
        outside = (feature < self.places[0]) | (feature > self.places[-1])
        found: Array = np.interp(feature, self.places, self.numbers)
        if outside.any():
            if self.beyond == "raise":
                raise Refused("a number is beyond those of training")
            found[outside] = np.nan
        return found


KINDS: Final = (ConstantClass, ConstantNumber, Isotonic)
