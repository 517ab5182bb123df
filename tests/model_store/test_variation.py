"""A pipeline whose answer to a row is not that row's alone is told, and refused unless allowed."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, scale
from sklearn.svm import SVC, SVR

from model_store import ModelStore
from model_store.errors import GoldenMismatch, InvalidPipeline
from model_store.importer import ImportRequest, import_files

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(1.0, 100.0, (60, 3))
NUMBERS = X @ np.array([2.0, -1.0, 0.5])
LABELS = np.where(NUMBERS.mean() < NUMBERS, "high", "low")


def nudged(rows: Any) -> Any:
    """Rows that move by a part in ten million with the number of rows."""
    return rows * (1.0 + 1e-7 * (len(rows) > 1))


class Noisy(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Draws what it answers."""

    def fit(self, X: Any, y: Any) -> Noisy:
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        return np.random.default_rng().normal(size=len(X))


class Single(Noisy):
    """Adds up in single precision, with another last bit for several rows, and answers in double
    precision."""

    def predict(self, X: Any) -> Any:
        found = X.astype(np.float32) @ np.array([2.0, -1.0, 0.5], dtype=np.float32)
        told = np.nextafter(found, np.float32(np.inf)) if len(X) > 1 else found
        return told.astype(np.float64) + 0.1


class Counting(Noisy):
    """Answers with how often it was asked."""

    calls = 0

    def predict(self, X: Any) -> Any:
        self.calls += 1
        return np.full(len(X), float(self.calls))


def filled(rows: Any) -> Any:
    """Rows that have the means of all for what they lack."""
    return np.where(np.isnan(rows), np.nanmean(rows, axis=0, keepdims=True), rows)


def classifier(step: Any) -> Any:
    return make_pipeline(FunctionTransformer(step), LogisticRegression())


VARYING = {
    "scaled by the batch": (classifier(scale), LABELS, "batch"),
    "a part in ten million": (
        make_pipeline(FunctionTransformer(nudged), LinearRegression()),
        NUMBERS,
        "batch",
    ),
    "a seed for each call": (
        DummyClassifier(strategy="stratified", random_state=0),
        LABELS,
        "batch",
    ),
    "texts that are drawn": (DummyClassifier(strategy="stratified"), LABELS, "call"),
    "numbers that are drawn": (
        DummyClassifier(strategy="uniform"),
        (LABELS == "low").astype(int),
        "call",
    ),
    "a number that is drawn": (Noisy(), NUMBERS, "call"),
    "a count of calls": (Counting(), NUMBERS, "call"),
}

HONEST = {
    "logistic": (make_pipeline(StandardScaler(), LogisticRegression()), LABELS),
    "network of classes": (
        MLPClassifier(hidden_layer_sizes=(8,), tol=10.0, random_state=0),
        LABELS,
    ),
    "network of numbers": (MLPRegressor(hidden_layer_sizes=(8,), tol=1e9, random_state=0), NUMBERS),
    "neighbours": (KNeighborsRegressor(weights="distance"), NUMBERS),
    "Gaussian process": (GaussianProcessRegressor(alpha=0.1), NUMBERS),
    "support vectors": (SVR(C=100.0), NUMBERS),
    "support vectors of classes": (SVC(), LABELS),
    "forest": (RandomForestClassifier(5, random_state=0), LABELS),
    "outliers": (IsolationForest(n_estimators=5, random_state=0), None),
    "large terms that cancel out": (KernelRidge(), NUMBERS),
    "single precision within": (Single(), NUMBERS),
    "a number near zero": (LinearRegression(), NUMBERS - NUMBERS[0]),
}

SENTENCES = {
    "batch": r"^The pipeline's answer to a row depends on the rows beside it: .* alone; .*"
    r"allow_varying=True, or .* --allow-varying: then each row is asked alone\.$",
    "call": r"^The pipeline answers the same row differently from call to call: .*, then .*"
    r"allow_varying=True, or .* --allow-varying\.$",
}


@pytest.fixture(params=VARYING)
def varying(request: pytest.FixtureRequest) -> tuple[Any, Any, str]:
    pipeline, y, kind = VARYING[request.param]
    return pipeline.fit(X, y), y, kind


def test_answers_that_vary_are_refused_in_a_plain_sentence(
    varying: tuple[Any, Any, str], empty: ModelStore
) -> None:
    pipeline, y, kind = varying
    with pytest.raises(InvalidPipeline, match=SENTENCES[kind]):
        empty.publish("m", pipeline, X, y)
    assert empty.models() == []


def test_where_it_is_allowed_the_manifest_says_it_and_each_row_is_asked_alone(
    varying: tuple[Any, Any, str], empty: ModelStore
) -> None:
    pipeline, y, kind = varying
    manifest = empty.publish("m", pipeline, X, y, allow_varying=True)
    assert manifest.varies == kind
    assert manifest.variation is not None
    assert "each row is asked alone" in manifest.variation
    model = empty.load(empty.verify("m"))
    model.replay()
    assert len(model.predict(X)) == len(X)
    if kind == "batch":
        alone = [model.predict(X[[row]]) for row in range(len(X))]
        together = model.predict(X)
        assert together.labels.tolist() == [each.labels[0] for each in alone]
        for place, shares in enumerate(together.probabilities or ()):
            assert np.array_equal(shares, [(each.probabilities or ())[place][0] for each in alone])


def test_scores_of_such_a_model_are_those_of_the_rows_alone(empty: ModelStore) -> None:
    pipeline = classifier(scale).fit(X, LABELS)
    empty.publish("m", pipeline, X, LABELS, allow_varying=True)
    model = empty.load(empty.verify("m"))
    alone = [float(pipeline.decision_function(X[[row]])[0]) for row in range(len(X))]
    assert model.decide(X).tolist() == alone


def test_a_row_that_lacks_what_others_fill_is_met_wherever_it_stands(empty: ModelStore) -> None:
    rows = X.copy()
    rows[1, 2] = np.nan
    pipeline = make_pipeline(
        FunctionTransformer(filled), FunctionTransformer(np.nan_to_num), LinearRegression()
    )
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(InvalidPipeline, match=SENTENCES["batch"]),
    ):
        empty.publish("m", pipeline.fit(rows, NUMBERS), rows, NUMBERS)


@pytest.mark.forms
@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("single", [False, True])
def test_last_bits_are_no_variation(name: str, single: bool, empty: ModelStore) -> None:
    pipeline, y = HONEST[name]
    rows = X.astype(np.float32) if single else X
    manifest = empty.publish("m", pipeline.fit(rows, y), rows, y)
    assert (manifest.varies, manifest.variation) == (None, None)


def test_without_data_answers_that_vary_are_refused_as_well(empty: ModelStore) -> None:
    pipeline = make_pipeline(StandardScaler(), DummyClassifier(strategy="uniform"))
    with pytest.raises(InvalidPipeline, match=SENTENCES["call"]):
        empty.publish("m", pipeline.fit(X, LABELS))


@pytest.mark.parametrize("sample", [True, False])
def test_an_import_refuses_answers_that_vary_unless_it_is_allowed(
    sample: bool, tmp_path: Path
) -> None:
    pipeline = make_pipeline(StandardScaler(), DummyClassifier(strategy="stratified"))
    file, table = tmp_path / "m.pkl", tmp_path / "rows.csv"
    file.write_bytes(pickle.dumps(pipeline.fit(X, LABELS)))
    table.write_text("a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in X))
    order = ImportRequest(name="m", files=(str(file),), sample=str(table) if sample else None)
    with pytest.raises(InvalidPipeline, match=SENTENCES["call"].removesuffix("$")):
        import_files(order)
    report, draft = import_files(msgspec.structs.replace(order, allow_varying=True))
    assert draft is not None
    assert draft.manifest.varies == "call"
    assert draft.manifest.variation in report.warnings


def test_golden_rows_of_a_model_that_varies_need_an_answer_and_not_the_same(
    empty: ModelStore,
) -> None:
    empty.publish("m", Noisy().fit(X, NUMBERS), X, NUMBERS, allow_varying=True)
    model = empty.load(empty.verify("m"))
    model.replay()
    model.sample.predictions.pop()
    with pytest.raises(GoldenMismatch, match="does not hold an answer for each"):
        model.replay()
