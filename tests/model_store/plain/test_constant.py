"""What answers the same to all, and what answers by one feature, as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.isotonic import IsotonicRegression

from model_store.plain.pack import NotPacked, pack

from .forms import packed
from .trained import classed, drawn, fitted, require_answers, require_malformed, wider


@pytest.mark.parametrize(
    "estimator",
    [
        DummyClassifier(),
        DummyClassifier(strategy="most_frequent"),
        DummyClassifier(strategy="constant", constant="c"),
    ],
    ids=repr,
)
def test_a_constant_class_is_that_of_the_pipeline(estimator: Any) -> None:
    X, number = drawn()
    y = classed(number, ["a", "b", "c"])
    require_answers(fitted(estimator, X, y), X, y, wider(X))


@pytest.mark.parametrize(
    "estimator",
    [
        DummyClassifier(),
        DummyClassifier(strategy="most_frequent"),
        DummyClassifier(strategy="constant", constant=["c", "d"]),
    ],
    ids=repr,
)
def test_constant_classes_of_several_targets_are_those_of_the_pipeline(estimator: Any) -> None:
    X, number = drawn()
    y = np.stack([classed(number, ["a", "b", "c"]), classed(X[:, 0], ["d", "e"])], axis=1)
    require_answers(fitted(estimator, X, y), X, y, wider(X))


@pytest.mark.parametrize("strategy", ["stratified", "uniform"])
def test_a_class_by_chance_is_not_packed(strategy: str) -> None:
    X, number = drawn()
    y = classed(number, ["a", "b", "c"])
    _, signature = packed(DummyClassifier().fit(X, y), X, y)
    with pytest.raises(NotPacked, match=f"strategy='{strategy}' is not known"):
        pack(DummyClassifier(strategy=strategy, random_state=1).fit(X, y), signature)


@pytest.mark.parametrize(
    "estimator",
    [DummyRegressor(), DummyRegressor(strategy="quantile", quantile=0.3)],
    ids=repr,
)
def test_a_constant_number_is_that_of_the_pipeline(estimator: Any) -> None:
    X, y = drawn()
    for targets in (y, np.stack([y, -y], axis=1)):
        require_answers(fitted(estimator, X, targets), X, targets, wider(X))


@pytest.mark.parametrize("beyond", ["nan", "clip", "raise"])
@pytest.mark.parametrize("increasing", [True, False])
def test_isotonic_regression_answers_as_its_pipeline_does(beyond: str, increasing: bool) -> None:
    X, y = drawn()
    X = X[:, :1]
    estimator = IsotonicRegression(increasing=increasing, out_of_bounds=beyond)
    pipeline = fitted(estimator, X, y)
    require_answers(pipeline, X, y, X)
    require_answers(pipeline, X, y, wider(X))


def test_isotonic_regression_of_one_point_is_a_constant() -> None:
    X, y = np.full((20, 1), 3.0), np.arange(20.0)
    require_answers(fitted(IsotonicRegression(out_of_bounds="clip"), X, y), X, y, X)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"columns":1', b'"columns":2'),
        (b'"clip"', b'"wrap"'),
        (b'"lowest":', b'"least":'),
    ],
)
def test_a_forged_isotonic_regression_is_malformed(before: bytes, after: bytes) -> None:
    X, y = drawn()
    pipeline = fitted(IsotonicRegression(out_of_bounds="clip"), X[:, :1], y)
    require_malformed(pipeline, X[:, :1], y, before, after)
