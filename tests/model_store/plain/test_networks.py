"""Multi-layer perceptrons as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from .forms import packed, require_same
from .trained import classed, drawn, fitted, require_answers, require_malformed, wider

SMALL: dict[str, Any] = {"hidden_layer_sizes": (8, 5), "max_iter": 30, "random_state": 1}
ACTIVATIONS = ["identity", "relu", "tanh", "logistic"]


@pytest.mark.parametrize("classes", [[False, True], ["a", "b", "c"]], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_network_of_classes_answers_as_its_pipeline_does(
    activation: str, classes: list[Any]
) -> None:
    X, number = drawn()
    y = classed(number, classes)
    estimator = MLPClassifier(activation=activation, **SMALL)
    require_answers(fitted(estimator, X, y, StandardScaler()), X, y, wider(X))


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_network_of_numbers_answers_as_its_pipeline_does(activation: str, targets: int) -> None:
    X, number = drawn()
    y = np.stack([number, -X[:, 0]], axis=1) if targets > 1 else number
    estimator = MLPRegressor(activation=activation, **SMALL)
    require_answers(fitted(estimator, X, y, StandardScaler()), X, y, wider(X))


def test_a_network_of_targets_that_apply_or_not_answers_as_its_pipeline_does() -> None:
    X, number = drawn()
    y = np.stack([number > number.mean(), X[:, 0] > 0, X[:, 1] > 30], axis=1).astype(int)
    require_answers(fitted(MLPClassifier(**SMALL), X, y, StandardScaler()), X, y, wider(X))


def test_a_network_of_a_sparse_matrix_answers_as_its_pipeline_does() -> None:
    X, number = drawn()
    X, y = X / X.std(axis=0), classed(number, [1, 2, 3])
    pipeline = fitted(MLPClassifier(**SMALL), csr_matrix(X), y)
    form, signature = packed(pipeline, csr_matrix(X), y)
    require_same(pipeline, form, signature, wider(X))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"shape":[8,5]', b'"shape":[5,8]'),
        (b'"shape":[5,3]', b'"shape":[5,2]'),
        (b'"classes":[1,2,3]', b'"classes":[1,2]'),
        (b'"hidden":"relu"', b'"hidden":"own"'),
        (b'"biases":[', b'"biases":[],"other":['),
    ],
)
def test_a_forged_network_is_malformed(before: bytes, after: bytes) -> None:
    X, number = drawn()
    y = classed(number, [1, 2, 3])
    require_malformed(fitted(MLPClassifier(**SMALL), X, y), X, y, before, after)
