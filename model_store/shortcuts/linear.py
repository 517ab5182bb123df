"""Linear models: one matrix product, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .answers import Answer, Array, Final, NotCovered, as_floats


@dataclass(frozen=True, slots=True)
class Regression:
    """`coefficients` of shape (features,) or (features, targets)."""

    coefficients: Array
    intercept: Any

    def __call__(self, array: Array) -> Answer:
        scores = as_floats(array) @ self.coefficients + self.intercept
        if not np.isfinite(scores).all():
            raise NotCovered
        return scores, None


@dataclass(frozen=True, slots=True)
class Classification:
    """`coefficients` of shape (features,) or (features, 1 or classes).

    `shares` makes probabilities of the scores, where the model has any, and may write into them.
    """

    classes: Array
    coefficients: Array
    intercept: Array
    shares: Callable[[Array], Array] | None

    def __call__(self, array: Array) -> Answer:
        scores = as_floats(array) @ self.coefficients + self.intercept
        # A value that is not finite makes its score such: scikit-learn would refuse it.
        if not np.isfinite(scores).all():
            raise NotCovered
        if scores.ndim == 1 or scores.shape[1] == 1:
            scores = scores.reshape(-1)
            # Of what is above 0; the label is not taken from the probabilities.
            labels = self.classes.take(scores > 0)
        else:
            labels = self.classes.take(scores.argmax(axis=1))
        return labels, None if self.shares is None else self.shares(scores)


@dataclass(frozen=True, slots=True)
class Bayes:
    """Naive Bayes of counts. `logarithms` of shape (features, classes) are those of their shares
    in each class, `prior` of shape (classes,) those of the classes."""

    classes: Array
    logarithms: Array
    prior: Array

    def __call__(self, array: Array) -> Answer:
        scores = as_floats(array) @ self.logarithms + self.prior
        if not np.isfinite(scores).all():
            raise NotCovered
        labels = self.classes[scores.argmax(axis=1)]
        return labels, np.exp(scores - _logarithm_of_sum(scores))


def _logarithm_of_sum(logarithms: Array) -> Array:
    """log(sum(exp(row))) of each row, as scipy 1.15 and later adds it up. Of scores of some
    thousand any other way shows in the twelfth place of a probability."""
    highest = logarithms.max(axis=1, keepdims=True)
    ties = logarithms == highest
    rest = np.where(ties, 0.0, np.exp(logarithms - highest)).sum(axis=1, keepdims=True)
    count = ties.sum(axis=1, keepdims=True)
    found: Array = np.log1p(rest / count) + np.log(count) + highest
    return found


def bayes(step: Any, name: str) -> Final | None:
    logarithms = np.asarray(step.feature_log_prob_)
    return Bayes(step.classes_, logarithms.T, np.asarray(step.class_log_prior_))


def regression(step: Any, name: str) -> Final | None:
    """The linear models that answer X @ coef_ + intercept_."""
    coefficients = np.asarray(step.coef_)
    if coefficients.ndim > 2 or coefficients.dtype.kind != "f":
        return None
    return Regression(coefficients.T, step.intercept_)


def classification(step: Any, name: str) -> Final | None:
    """The linear models whose label is that of the highest score."""
    classes, coefficients = step.classes_, np.asarray(step.coef_)
    several = len(classes) > 2
    rows = 1 if coefficients.ndim == 1 else len(coefficients)
    if rows != (len(classes) if several else 1) or classes.ndim != 1:
        return None
    shares = None
    if name.startswith("LogisticRegression"):
        # Before 1.8 there was a choice; what is not the default is left alone.
        if getattr(step, "multi_class", "auto") not in {"auto", "deprecated"}:
            return None
        if several and step.solver == "liblinear":
            return None
        shares = _softmax if several else _logistic()
    elif name == "SGDClassifier" and step.loss in {"log_loss", "modified_huber"}:
        if several or step.loss != "log_loss":
            return None
        shares = _logistic()
    return Classification(classes, coefficients.T, step.intercept_, shares)


def _logistic() -> Callable[[Array], Array]:
    from scipy.special import expit

    def shares(scores: Array) -> Array:
        found = np.empty((len(scores), 2), dtype=scores.dtype)
        expit(scores, out=scores)
        np.subtract(1, scores, out=found[:, 0])
        found[:, 1] = scores
        return found

    return shares


def _softmax(scores: Array) -> Array:
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores
