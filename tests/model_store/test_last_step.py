"""The last step of a pipeline answers what the pipeline does, and its steps see the rows once."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from model_store.last_step import LastStep

RANDOM = np.random.default_rng(4)
X = RANDOM.normal(5, 3, (60, 3))
Y = np.where(X[:, 0] + RANDOM.normal(0, 2, 60) > 5, "high", "low")
TEXTS = [" ".join(RANDOM.choice(["sun", "rain", "wind"], 4)) for _ in range(60)]
IN_PLACE = make_pipeline(StandardScaler(copy=False), LogisticRegression())


class Doubled(Pipeline):  # type: ignore[misc]
    """Hands on other rows than its steps make."""

    def predict_proba(self, rows: Any) -> Any:
        return super().predict_proba(2 * rows)


class Counting(StandardScaler):  # type: ignore[misc]
    calls = 0

    def transform(self, X: Any, copy: Any = None) -> Any:
        type(self).calls += 1
        return super().transform(X, copy=copy)


@pytest.mark.parametrize(
    ("pipeline", "rows"),
    [
        (make_pipeline(StandardScaler(), None, "passthrough", LogisticRegression()), X),
        (make_pipeline(FunctionTransformer(), IN_PLACE), X),
        (make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), IN_PLACE)), X),
        (make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()), X.round()),
        (make_pipeline(StandardScaler().set_output(transform="pandas"), LogisticRegression()), X),
        (make_pipeline(TfidfVectorizer(), LogisticRegression()), TEXTS),
        (make_pipeline(FunctionTransformer(list), TfidfVectorizer(), LogisticRegression()), TEXTS),
        (Doubled([("scaled", StandardScaler()), ("told", LogisticRegression())]), X),
        (make_pipeline(LogisticRegression()), X),
        (LogisticRegression(), X),
    ],
    ids=[
        "passed through",
        "in place",
        "within each other",
        "sparse",
        "frame",
        "texts",
        "list",
        "derived",
        "lone",
        "no pipeline",
    ],
)
def test_the_last_step_answers_what_its_pipeline_answers(pipeline: Any, rows: Any) -> None:
    given = rows if isinstance(rows, list) else rows.copy()
    pipeline.fit(given, Y)
    last = LastStep(pipeline, rows if isinstance(rows, list) else rows.copy())
    expected = {
        method: getattr(pipeline, method)(rows if isinstance(rows, list) else rows.copy())
        for method in ("predict", "predict_proba", "decision_function")
    }
    for _ in range(2):
        assert last.estimator.predict(last.rows).tolist() == expected["predict"].tolist()
        shares = last.estimator.predict_proba(last.rows)
        assert np.array_equal(shares, expected["predict_proba"])
        assert np.array_equal(last.decide(), expected["decision_function"])


def test_steps_transform_the_rows_once_for_all_questions() -> None:
    pipeline = make_pipeline(Counting(), IsolationForest(n_estimators=5)).fit(X)
    Counting.calls = 0
    last = LastStep(pipeline, X)
    last.estimator.predict(last.rows)
    last.decide()
    assert Counting.calls == 1


def test_samplers_are_passed_by_as_when_their_pipeline_predicts() -> None:
    samplers = pytest.importorskip("imblearn.under_sampling")
    steps = (StandardScaler(), samplers.RandomUnderSampler(random_state=0), LogisticRegression())
    pipeline = import_module("imblearn.pipeline").make_pipeline(*steps).fit(X, Y)
    last = LastStep(pipeline, X)
    assert last.estimator is pipeline[-1]
    assert np.array_equal(last.estimator.predict_proba(last.rows), pipeline.predict_proba(X))
