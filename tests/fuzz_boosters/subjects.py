"""Fitted estimators of XGBoost and LightGBM, and rows for them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np

FEW: Final = {"n_estimators": 3, "n_jobs": 1}
LIGHT: Final[dict[str, Any]] = {**FEW, "verbose": -1, "min_child_samples": 4, "num_leaves": 6}


def table(rows: int = 120) -> Any:
    """Numbers, some of them missing, and two columns of categories."""
    import pandas as pd

    random = np.random.default_rng(3)
    size = random.normal(size=rows)
    size[::9] = np.nan
    return pd.DataFrame(
        {
            "size": size,
            "age": random.integers(0, 80, rows),
            "city": pd.Categorical(random.choice(["Bern", "Genève", "Zürich", "Chur"], rows)),
            "grade": pd.Categorical(random.choice([3, 4, 5], rows)),
        }
    )


def numbers(X: Any) -> Any:
    return np.nan_to_num(X["size"]) + X["age"] / 40 + X["city"].cat.codes * X["grade"].astype(int)


def classes(X: Any) -> Any:
    return np.digitize(numbers(X), np.quantile(numbers(X), [0.3, 0.6]))


def _xgboost(name: str, **options: Any) -> Any:
    kind = getattr(importlib.import_module("xgboost"), name)
    return kind(**FEW, max_depth=3, enable_categorical=True, **options)


def _lightgbm(name: str, **options: Any) -> Any:
    return getattr(importlib.import_module("lightgbm"), name)(**LIGHT, **options)


SUBJECTS: Final[dict[str, Callable[[], tuple[Any, Any]]]] = {
    "xgboost classes": lambda: (_xgboost("XGBClassifier"), classes),
    "xgboost dart": lambda: (_xgboost("XGBRegressor", booster="dart", rate_drop=0.3), numbers),
    "xgboost targets": lambda: (
        _xgboost("XGBRegressor", multi_strategy="multi_output_tree", tree_method="hist"),
        lambda X: np.stack([numbers(X), X["age"]], axis=1),
    ),
    "xgboost quantiles": lambda: (
        _xgboost("XGBRegressor", objective="reg:quantileerror", quantile_alpha=[0.1, 0.9]),
        numbers,
    ),
    "xgboost forest": lambda: (_xgboost("XGBRFClassifier"), lambda X: classes(X) > 1),
    "lightgbm classes": lambda: (_lightgbm("LGBMClassifier", min_data_per_group=4), classes),
    "lightgbm numbers": lambda: (_lightgbm("LGBMRegressor", cat_smooth=1.0), numbers),
    "lightgbm forest": lambda: (
        _lightgbm("LGBMRegressor", boosting_type="rf", subsample=0.6, subsample_freq=1),
        numbers,
    ),
}


def fitted(name: str) -> tuple[Any, Any]:
    """The estimator and its rows."""
    estimator, truth = SUBJECTS[name]()
    X = table()
    if name == "xgboost targets":  # Such trees have no categories.
        X = X[["size", "age"]]
        return estimator.fit(X, np.stack([np.nan_to_num(X["size"]), X["age"]], axis=1)), X
    return estimator.fit(X, truth(X)), X
