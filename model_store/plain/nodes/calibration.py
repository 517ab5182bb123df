"""Calibrated classifiers: probabilities made of the scores, or the probabilities, of others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
import numpy as np

from ..node import (
    Answer,
    Array,
    Classifier,
    Label,
    Node,
    Predictor,
    Rows,
    Splits,
    finite,
    require,
    require_floats,
    require_places,
)
from .linear import expit, softmax
from .members import check_classes, second, shares_of, splits_of, table


class _Calibrator(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="method", tag=str.lower
):
    """What makes probabilities of numbers, of shape (n, columns)."""


class Sigmoid(_Calibrator, frozen=True):
    """1 / (1 + exp(a * x + b)), with an a and a b a column."""

    slopes: Array
    offsets: Array

    def check(self, columns: int) -> None:
        require_floats(self.slopes, columns)
        require_floats(self.offsets, columns)

    def shares(self, numbers: Array) -> Array:
        return expit(-(self.slopes * numbers + self.offsets))


class Isotonic(_Calibrator, frozen=True):
    """What is drawn through points, as straight lines from one to the next; before the first and
    behind the last it stays. Each column has points of its own: `x`, which rise, and `y`."""

    x: list[Array]
    y: list[Array]

    def check(self, columns: int) -> None:
        require(len(self.x) == len(self.y) == columns, "points of each column")
        for x, y in zip(self.x, self.y, strict=True):
            require(x.dtype == np.float64, "float64")
            require_floats(x, -1)
            require(len(x) > 0, "points")
            require_floats(y, len(x))
            points = np.isfinite(x).all() and np.isfinite(y).all() and (np.diff(x) > 0).all()
            require(bool(points), "finite points that rise")

    def shares(self, numbers: Array) -> Array:
        numbers = finite(numbers)
        columns = zip(numbers.T, self.x, self.y, strict=True)
        return np.stack([np.interp(each, x, y) for each, x, y in columns], axis=1)


class Temperature(_Calibrator, frozen=True):
    """The softmax of logarithms of probabilities, or of scores, times `scale`."""

    scale: float

    def check(self, columns: int) -> None:
        require(math.isfinite(self.scale), "a finite scale")

    def shares(self, numbers: Array) -> Array:
        return softmax(self.scale * _logits(finite(numbers))).astype(np.float64, copy=False)


_EPSILON: Final = 1e-12
"""What scikit-learn adds to a probability before it takes the logarithm."""


def _logits(numbers: Array) -> Array:
    """Scores as they are, of one column that score and its opposite; the logarithms of what are
    probabilities in all rows."""
    if numbers.shape[1] == 1:
        return np.concatenate([-numbers, numbers], axis=1)
    within = ((numbers >= 0) & (numbers <= 1)).all()
    if within and np.isclose(numbers.sum(axis=1), 1.0).all():
        logarithms: Array = np.log(numbers + _EPSILON)
        return logarithms
    return numbers


class Calibrated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A classifier, and what makes probabilities of its scores or its own probabilities.

    Of `columns` numbers a row, one for two classes, each is calibrated to the probability of the
    class at its place; `places` is None for a temperature, of which all classes come.
    """

    inner: Predictor
    by: Literal["scores", "shares"]
    calibrator: Sigmoid | Isotonic | Temperature
    columns: int
    places: Array | None = None

    def check(self, width: int, classes: int) -> None:
        self.inner.check(width)
        require(self.by != "scores" or self.inner.decides, "a member with a decision function")
        if self.places is None:
            require(isinstance(self.calibrator, Temperature), "places of classes")
            require(self.columns == (classes if classes > 2 else 1), "a number a class")
        else:
            require(not isinstance(self.calibrator, Temperature), "no places of classes")
            require(1 <= self.columns <= classes, "a number a class")
            require_places(self.places, classes, self.columns)
        self.calibrator.check(self.columns)

    def shares(self, rows: Rows, classes: int) -> Array:
        """Probabilities of shape (n, classes)."""
        found = self._calibrated(self._numbers(rows), classes)
        found[(found > 1.0) & (found <= 1.0 + 1e-5)] = 1.0
        return found

    def _numbers(self, rows: Rows) -> Array:
        if self.by == "scores":
            return table(self.inner.scores(rows), self.columns)
        answer = self.inner.answer(rows)
        if self.columns > 1:
            return shares_of(answer, self.columns)
        return second(answer).reshape(-1, 1)

    def _calibrated(self, numbers: Array, classes: int) -> Array:
        if self.places is None:
            if self.by == "shares" and self.columns == 1:
                numbers = np.concatenate([1 - numbers, numbers], axis=1)
            return self.calibrator.shares(numbers)
        found = np.zeros((len(numbers), classes))
        found[:, self.places] = self.calibrator.shares(numbers)
        if classes == 2:
            found[:, 0] = 1.0 - found[:, 1]
            return found
        sums = found.sum(axis=1)[:, np.newaxis]
        alike = np.full_like(found, 1 / classes)
        shares: Array = np.divide(found, sums, out=alike, where=sums != 0)
        return shares


class Calibration(Node, Classifier, frozen=True, kw_only=True):
    """The class of the highest mean of the probabilities of all members."""

    classes: list[Label]
    members: list[Calibrated]

    def check(self, width: int) -> None:
        check_classes(self.classes, len(self.members))
        require(len(self.classes) > 1, "two classes or more")
        for member in self.members:
            member.check(width, len(self.classes))

    def answer(self, rows: Rows) -> Answer:
        shares: Array | float = 0.0
        for member in self.members:
            shares = shares + member.shares(rows, len(self.classes))
        mean = np.asarray(shares) / len(self.members)
        return Answer(self._labels.take(mean.argmax(axis=1)), mean)

    def splits(self) -> Iterator[Splits]:
        return splits_of(member.inner for member in self.members)


KINDS: Final = (Calibration,)
