"""Small good forms of estimators that hold others, one or more of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from ..fuzz.subjects import NUMBERS, THREE, Fitted, X, Y, fitted

LABELS: Final = np.stack([Y, THREE == 1, THREE == 2], axis=1).astype(int)


def scaled() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


def soft() -> Any:
    return VotingClassifier([("a", scaled()), ("b", scaled())], voting="soft", weights=[1, 2])


def target(**options: Any) -> Any:
    return TransformedTargetRegressor(Ridge(), **options)


def beside() -> Any:
    """Columns that are scaled in two ways."""
    parts = [("a", StandardScaler(), [2, 0]), ("b", MinMaxScaler(), [1])]
    return make_pipeline(ColumnTransformer(parts), LogisticRegression())


WRAPPERS: Final[dict[str, Callable[[], Fitted]]] = {
    "columns": fitted(beside(), X, THREE),
    "hard-vote": fitted(VotingClassifier([("a", scaled()), ("b", LinearSVC())]), X, THREE),
    "soft-vote": fitted(soft(), X, THREE),
    "average": fitted(VotingRegressor([("a", Ridge()), ("b", Ridge(9.0))]), X, NUMBERS),
    "stack": fitted(
        StackingClassifier([("a", soft()), ("b", LinearSVC())], cv=2, passthrough=True), X, THREE
    ),
    "bag": fitted(BaggingClassifier(scaled(), 3, max_features=2), X, THREE),
    "bag-numbers": fitted(BaggingRegressor(Ridge(), 3, max_features=2), X, NUMBERS),
    "sigmoid": fitted(CalibratedClassifierCV(LinearSVC(), cv=2), X, THREE),
    "isotonic-shares": fitted(CalibratedClassifierCV(soft(), cv=2, method="isotonic"), X, THREE),
    "temperature": fitted(CalibratedClassifierCV(soft(), cv=2, method="temperature"), X, THREE),
    "threshold": fitted(FixedThresholdClassifier(scaled(), threshold=0.3, pos_label=0)),
    "one-vs-rest": fitted(OneVsRestClassifier(scaled()), X, THREE),
    "many-labels": fitted(OneVsRestClassifier(soft()), X, LABELS),
    "one-vs-one": fitted(OneVsOneClassifier(scaled()), X, THREE),
    "code": fitted(OutputCodeClassifier(soft(), random_state=1), X, THREE),
    "several": fitted(MultiOutputClassifier(scaled()), X, np.stack([Y, THREE], axis=1)),
    "chain": fitted(ClassifierChain(LogisticRegression(), order=[2, 0, 1]), X, LABELS),
    "power-back": fitted(
        TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()), X, NUMBERS
    ),
    "quantiles-back": fitted(
        TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=9)),
        X,
        NUMBERS,
    ),
    "function-back": fitted(
        TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), X, NUMBERS**2
    ),
}
