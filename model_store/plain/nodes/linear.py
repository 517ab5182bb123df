"""Linear models: one matrix product, and what is made of it."""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np

from ..node import (
    FEW,
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
)
from ..sparse import Sparse
from .single_precision import exp32

Link = Literal["identity", "exp"]
Shares = Literal["logistic", "softmax", "one_vs_rest", "modified_huber"]


ALONE: Final = 1 << 18
"""Multiplications in a product of matrices up to which OpenBLAS takes the caller's thread alone."""

NARROW: Final = 1 << 12
"""Coefficients up to which rows are taken in blocks."""


def product(rows: Rows, coefficients: Array) -> Array:
    """Rows times coefficients, in the order of sums that scikit-learn has."""
    if not isinstance(rows, Sparse):
        return _dense_product(rows if rows.dtype.kind == "f" else as_floats(rows), coefficients)
    if coefficients.ndim == 1:
        return rows.product(coefficients[:, np.newaxis])[:, 0]
    return rows.product(coefficients)


def _dense_product(rows: Array, coefficients: Array) -> Array:
    """`rows @ coefficients`, in blocks of rows where there are few coefficients. Of the whole
    OpenBLAS would make a task for each processor and wait for the slowest, which takes many times
    as long as to multiply."""
    block = ALONE // max(1, coefficients.size)
    if coefficients.ndim == 1 or coefficients.size > NARROW or len(rows) <= block:
        whole: Array = rows @ coefficients
        return whole
    found = np.empty(
        (len(rows), coefficients.shape[1]), np.result_type(rows.dtype, coefficients.dtype)
    )
    for start in range(0, len(rows), block):
        stop = start + block
        np.matmul(rows[start:stop], coefficients, out=found[start:stop])
    return found


class Regression(Node, Predictor, frozen=True, kw_only=True):
    """A number, or several: `coefficients` of shape (features,) or (features, targets)."""

    coefficients: Array
    intercept: Array
    link: Link = "identity"

    def check(self, width: int) -> None:
        shape = (width, -1)[: self.coefficients.ndim]
        require(self.coefficients.ndim in (1, 2), "coefficients of one or two dimensions")
        require_floats(self.coefficients, *shape)
        targets = self.coefficients.shape[1:]
        require(self.intercept.shape in ((), (1,), targets), "an intercept a target")

    def answer(self, rows: Rows) -> Answer:
        scores = finite(product(rows, self.coefficients) + self.intercept)
        if scores.ndim == 2 and scores.shape[1] == 1:
            scores = scores[:, 0]
        return Answer(np.exp(scores) if self.link == "exp" else scores)


class Classification(Node, Classifier, frozen=True, kw_only=True):
    """The class of the highest score. `coefficients` of shape (features, 1 or classes).

    `shares` says how probabilities are made of the scores, where the model has any.
    """

    classes: list[Label]
    coefficients: Array
    intercept: Array
    shares: Shares | None = None

    @property
    def decides(self) -> bool:
        return True

    @property
    def to_log_odds(self) -> float | None:
        two = len(self.classes) == 2
        return 1.0 if two and self.shares in ("logistic", "one_vs_rest") else None

    def check(self, width: int) -> None:
        scores = len(self.classes) if len(self.classes) > 2 else 1
        require(len(self.classes) > 1, "two classes or more")
        forbidden = "logistic" if scores > 1 else "softmax"
        require(self.shares != forbidden, "shares for so many classes")
        require_floats(self.coefficients, width, scores)
        require_floats(self.intercept, -1)
        require(len(self.intercept) in (1, scores), "an intercept a score")

    def scores(self, rows: Rows) -> Array:
        # A value that is not finite makes its score such: scikit-learn would refuse it.
        scores = finite(product(rows, self.coefficients) + self.intercept)
        return scores.reshape(-1) if scores.shape[1] == 1 else scores

    def answer(self, rows: Rows) -> Answer:
        scores = self.scores(rows)
        # Of what is above 0; the label is not taken from the probabilities.
        places = scores > 0 if scores.ndim == 1 else scores.argmax(axis=1)
        labels = self._labels.take(places)
        return Answer(labels, None if self.shares is None else SHARES[self.shares](scores))


class Multilabel(Node, Predictor, frozen=True, kw_only=True):
    """Several targets, each of which is 1 where its score is above 0, else 0. `coefficients` of
    shape (features, targets)."""

    coefficients: Array
    intercept: Array

    @property
    def decides(self) -> bool:
        return True

    def check(self, width: int) -> None:
        require_floats(self.coefficients, width, -1)
        require(self.coefficients.shape[1] > 1, "two targets or more")
        require(self.intercept.shape in ((1,), self.coefficients.shape[1:]), "an intercept each")

    def scores(self, rows: Rows) -> Array:
        return finite(product(rows, self.coefficients) + self.intercept)

    def answer(self, rows: Rows) -> Answer:
        return Answer((self.scores(rows) > 0).astype(np.int64))


def expit(scores: Array) -> Array:
    """1 / (1 + exp(-x))."""
    found: Array = 1.0 / (1.0 + _exp(-scores))
    return found


def _exp(numbers: Array) -> Array:
    """exp with the bits that scipy's expit has of the C library, which of floats of 64 bits are
    those of numpy, but for the last one."""
    found: Array = exp32(numbers) if numbers.dtype == np.float32 else np.exp(numbers)
    return found


def logistic(scores: Array) -> Array:
    """The probabilities of two classes by the score of the second."""
    if len(scores) == 1 and scores.dtype == np.float64:
        share = _expit(float(scores[0]))  # of one row numpy would take longer
        return np.array([[1 - share, share]])
    found = np.empty((len(scores), 2), dtype=scores.dtype)
    other = _exp(np.negative(scores))
    other += 1.0
    shares = np.reciprocal(other, out=found[:, 1])
    np.subtract(1, shares, out=found[:, 0])
    return found


def _expit(score: float) -> float:
    """`expit` of one number."""
    try:
        return 1.0 / (1.0 + math.exp(-score))
    except OverflowError:
        return 0.0


def softmax(scores: Array) -> Array:
    """The probabilities of classes by a score each."""
    if scores.size <= FEW and len(scores) == 1 and scores.dtype == np.float64:
        return np.array([_softmax(scores[0].tolist())])
    found: Array = scores - scores.max(axis=1, keepdims=True)
    np.exp(found, out=found)
    found /= found.sum(axis=1, keepdims=True)
    return found


def _softmax(scores: list[float]) -> list[float]:
    """`softmax` of one row, for which numpy would take longer."""
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def one_vs_rest(scores: Array) -> Array:
    """The probabilities of classes each of which was told from the others."""
    if scores.ndim == 1:
        return logistic(scores)
    return _normalized(expit(scores))


def modified_huber(scores: Array) -> Array:
    """The probabilities that go with the modified Huber loss: the scores between -1 and 1."""
    found: Array = (np.clip(scores, -1, 1) + 1.0) / 2.0
    if scores.ndim == 1:
        return np.stack([1.0 - found, found], axis=1)
    return _normalized(found)


def _normalized(shares: Array) -> Array:
    """Shares of each row whose sum becomes 1; where all are 0 they become equal."""
    total = shares.sum(axis=1, keepdims=True)
    if not total.all():
        shares[total[:, 0] == 0] = 1
        total[total == 0] = shares.shape[1]
    shares /= total
    return shares


SHARES: Final = {
    "logistic": logistic,
    "softmax": softmax,
    "one_vs_rest": one_vs_rest,
    "modified_huber": modified_huber,
}

KINDS: Final = (Regression, Classification, Multilabel)
