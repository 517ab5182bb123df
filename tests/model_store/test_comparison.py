"""What serves is decided by what was answered, and by no clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from model_store import ModelStore

pytestmark = pytest.mark.forms

RANDOM = np.random.default_rng(8)
X = RANDOM.normal(3, 2, (120, 3))
NUMBER = X[:, 0] * X[:, 1] + RANDOM.normal(0, 1, len(X))
ROUNDS = {"max_iter": 1000, "max_leaf_nodes": 4, "min_samples_leaf": 5, "early_stopping": False}


@pytest.mark.parametrize(
    ("pipeline", "y"),
    [
        (HistGradientBoostingRegressor(**ROUNDS), NUMBER),
        (HistGradientBoostingClassifier(**ROUNDS), NUMBER > 9),
        (HistGradientBoostingClassifier(**ROUNDS), np.digitize(NUMBER, [4, 12])),
        (
            make_pipeline(
                make_column_transformer((StandardScaler(), [0]), remainder="passthrough"),
                HistGradientBoostingClassifier(**ROUNDS),
            ),
            np.where(NUMBER > 9, "high", "low"),
        ),
    ],
    ids=["numbers", "two classes", "three classes", "behind columns"],
)
def test_boosting_of_a_thousand_rounds_is_served_by_its_plain_form(
    pipeline: Any, y: Any, tmp_path: Path
) -> None:
    # Threads that spin for work take seconds of each other on a busy machine.
    with threadpool_limits(1):
        found = ModelStore(tmp_path).publish("m", pipeline.fit(X, y), X, y).served
    assert found is not None
    assert found.by == "plain", found.reason
