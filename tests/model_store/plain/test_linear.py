"""Linear models as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from .forms import packed, require_same

CLASSIFIERS = [
    LogisticRegression(),
    RidgeClassifier(),
    SGDClassifier(loss="log_loss", random_state=1),
    SGDClassifier(random_state=1),
]


@pytest.mark.parametrize("classes", [["no", "yes"], [3, 5, 9], [False, True]], ids=str)
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
def test_a_linear_classifier_answers_as_its_pipeline_does(
    estimator: Any, classes: list[Any]
) -> None:
    random = np.random.default_rng(7)
    X = random.normal(size=(120, 4))
    y = np.array(classes)[np.digitize(X[:, 0] + X[:, 1], [0.0, 0.8][: len(classes) - 1])]
    pipeline = make_pipeline(StandardScaler(), estimator).fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, random.normal(size=(300, 4), scale=3))


@pytest.mark.parametrize(
    "scaler", [RobustScaler(), MinMaxScaler(), StandardScaler(with_mean=False)]
)
@pytest.mark.parametrize("targets", [1, 2])
def test_a_linear_regression_answers_as_its_pipeline_does(scaler: Any, targets: int) -> None:
    random = np.random.default_rng(7)
    X = random.normal(size=(120, 4))
    y = X @ random.normal(size=(4, targets))
    for estimator in (LinearRegression(), Ridge()):
        pipeline = make_pipeline(scaler, estimator).fit(X, y if targets > 1 else y[:, 0])
        form, signature = packed(pipeline, X, y if targets > 1 else y[:, 0])
        require_same(pipeline, form, signature, random.normal(size=(300, 4), scale=3))
