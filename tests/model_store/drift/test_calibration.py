"""The accuracy that is expected without truth is near the one that truth would tell."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from model_store import ModelStore
from model_store.drift import Calibration, HeldOut, Observed, Reference, verdict
from model_store.drift.calibration import confidences_of
from model_store.errors import InvalidPipeline
from model_store.evaluation import HELD_OUT
from model_store.importer import ImportRequest, import_files

PIPELINES: dict[str, Any] = {
    "logistic regression": LogisticRegression(),
    "a forest, which is too unsure": RandomForestClassifier(50, random_state=1),
    "few trees, with few probabilities": RandomForestClassifier(5, random_state=1),
    "naive Bayes, which is too sure": GaussianNB(),
    "neighbours": KNeighborsClassifier(3),
}


def problem(classes: int, rows: int) -> tuple[Any, Any]:
    """Rows of classes that overlap, in columns that say the same several times."""
    X, y = make_classification(
        rows,
        12,
        n_informative=4,
        n_redundant=6,
        n_classes=classes,
        n_clusters_per_class=1,
        flip_y=0.15,
        class_sep=0.8,
        random_state=4,
    )
    return X, y


def estimated(calibration: Calibration, pipeline: Any, X: Any) -> float:
    answers, shares = pipeline.predict(X), pipeline.predict_proba(X)
    sure = confidences_of(pipeline.classes_.tolist(), answers.tolist(), shares)
    return float(calibration.expected(sure).mean())


@pytest.mark.forms
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("name", PIPELINES)
def test_it_is_within_four_hundredths_of_the_truth_where_nothing_shifted(
    name: str, classes: int
) -> None:
    X, y = problem(classes, 10_000)
    pipeline = PIPELINES[name].fit(X[:2000], y[:2000])
    for start in (2000, 3000, 4000):
        held_out = slice(start, start + 1000)
        calibration = Calibration.of_held_out(pipeline, X[held_out], y[held_out])
        assert calibration.uncertainty < 0.04
        truth = pipeline.score(X[5000:], y[5000:])
        assert estimated(calibration, pipeline, X[5000:]) == pytest.approx(truth, abs=0.04)


def test_it_falls_with_rows_of_which_the_model_is_less_sure() -> None:
    X, y = problem(2, 10_000)
    pipeline = LogisticRegression().fit(X[:2000], y[:2000])
    calibration = Calibration.of_held_out(pipeline, X[2000:5000], y[2000:5000])
    near = np.abs(pipeline.decision_function(X)) < 1
    near[:5000] = False
    truth = pipeline.score(X[near], y[near])
    assert truth < pipeline.score(X[5000:], y[5000:]) - 0.1
    assert estimated(calibration, pipeline, X[near]) == pytest.approx(truth, abs=0.04)


def test_of_few_distinct_confidences_it_is_scikit_learns_isotonic_regression() -> None:
    random = np.random.default_rng(2)
    confidences = random.integers(1, 20, 1000) / 20
    right = random.random(1000) < confidences**2
    found = Calibration.of(confidences, right)
    expected = IsotonicRegression(out_of_bounds="clip").fit(confidences, right)
    # Pools are points here and steps there; they agree in the mean.
    assert found.expected(confidences).mean() == pytest.approx(right.mean(), abs=0.01)
    assert sorted(set(expected.predict(confidences).round(6))) == pytest.approx(found.accuracies)


def test_answers_are_measured_against_those_to_rows_that_were_held_out(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(2500, 4))
    y = X[:, 0] + random.normal(size=2500) * 3
    # It knows its own rows by heart, and answers others nearer to the mean.
    pipeline = RandomForestRegressor(30, random_state=0).fit(X[:1000], y[:1000])
    store = ModelStore(tmp_path)
    later = pipeline.predict(X[2000:]).tolist()
    found = []
    for held_out in (None, HeldOut.of(pipeline, X[1000:2000], y[1000:2000])):
        store.publish("m", pipeline, X[:1000], y[:1000], held_out=held_out)
        reference = store.reference("m")
        assert reference is not None
        (drift,) = verdict(reference, Observed.of(reference, {}, [later]))
        found.append(drift.drifts)
    assert found == [True, False]


def test_a_version_keeps_it_or_says_why_there_is_none(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    X, y = problem(2, 1500)
    pipeline = LogisticRegression().fit(X[:500], y[:500])
    held_out = HeldOut.of(pipeline, X[500:], y[500:])

    def why_none(*arguments: Any, **options: Any) -> str | None:
        store.publish("m", *arguments, **options)
        reference = store.reference("m")
        assert reference is not None
        assert (reference.calibration is None) == (reference.uncalibrated is not None)
        return reference.uncalibrated

    assert why_none(pipeline, X[:500], y[:500], held_out=held_out) is None
    kept = store.reference("m")
    assert kept is not None
    assert kept.calibration == held_out.calibration
    few = HeldOut.of(pipeline, X[500:600], y[500:600])
    assert why_none(pipeline, X[:500], y[:500], held_out=few) == (
        "100 rows that it was not trained on tell its accuracy only within 0.07, and 0.04 is needed"
    )
    without = "it was published without answers to rows that it was not trained on"
    assert why_none(pipeline, X[:500], y[:500]) == without
    numbers = LinearRegression().fit(X[:500], y[:500])
    told = "accuracy is of classifiers, and its task is regression"
    assert why_none(numbers, X[:500], y[:500], held_out=HeldOut.of(numbers, X, y)) == told
    with pytest.raises(InvalidPipeline, match=told):
        store.publish("m", numbers, X[:500], y[:500], held_out=held_out)
    with pytest.raises(InvalidPipeline, match=r"have the shape \(9, 2\), and there should be one"):
        store.publish("m", pipeline, X[:500], y[:500], held_out=HeldOut(np.zeros((9, 2))))
    with pytest.raises(ValueError, match="needs a classifier of one target"):
        Calibration.of_held_out(numbers, X, y)


def test_an_import_learns_it_of_a_sample_that_was_held_out(tmp_path: Path) -> None:
    X, y = problem(3, 1500)
    pipeline = RandomForestClassifier(20, random_state=1).fit(X[:500], y[:500])
    model, sample = tmp_path / "model.pkl", tmp_path / "rows.csv"
    model.write_bytes(pickle.dumps(pipeline))
    pd.DataFrame(X[500:]).assign(kind=y[500:]).to_csv(sample, index=False)
    store = ModelStore(tmp_path / "store")

    def imported(*target: str, held_out: bool) -> Reference:
        request = ImportRequest(
            name="m",
            files=(str(model),),
            sample=str(sample),
            target=target,
            drop=() if target else ("kind",),
            held_out=held_out,
        )
        _, draft = import_files(request)
        assert draft is not None
        store.add(draft)
        found = store.reference("m")
        assert found is not None
        return found

    assert imported("kind", held_out=False).calibration is None
    found = imported("kind", held_out=True).calibration
    assert found is not None
    expected = Calibration.of_held_out(pipeline, X[500:], y[500:])
    assert (found.rows, found.accuracy) == (1000, expected.accuracy)
    assert found.accuracies == pytest.approx(expected.accuracies)
    assert store.manifest("m").validation == HELD_OUT
    with pytest.raises(InvalidPipeline, match="the sample has to have what it tells"):
        imported(held_out=True)


@pytest.mark.forms
@pytest.mark.parametrize("name", ["iris", "exam", "blood-donation", "titanic"])
def test_the_bundled_classifiers_have_one_of_their_folds(name: str, bundled_root: Path) -> None:
    store = ModelStore(bundled_root)
    reference, found = store.reference(name), store.manifest(name)
    assert reference is not None
    assert reference.calibration is not None
    assert reference.calibration.rows == found.rows
    assert reference.calibration.accuracy == pytest.approx(found.metrics["accuracy"], abs=0.005)
