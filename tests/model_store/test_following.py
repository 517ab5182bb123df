"""Labels that follow from probabilities are those of `predict`, and of nothing else."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import AdaBoostClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from model_store import ModelStore
from model_store.comparison import fastest
from model_store.following import labels_of_greatest, may_follow

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(3, 2, (150, 3))
NUMBER = X[:, 0] + RANDOM.normal(0, 1, len(X))
TWO = np.where(NUMBER > 3, "high", "low")
THREE = np.digitize(NUMBER, [2.0, 4.0]) * 10
SEVERAL = np.array([TWO, np.where(X[:, 1] > 3, "yes", "no")]).T
MANY = np.random.default_rng(6).normal(3, 4, (500, 3))

GREATEST: dict[str, Any] = {
    "calibrated": CalibratedClassifierCV(GaussianNB(), cv=2),
    "soft votes": VotingClassifier(
        [("n", GaussianNB()), ("t", DecisionTreeClassifier())], voting="soft"
    ),
    "stacked": StackingClassifier([("n", GaussianNB())], cv=2),
    "searched": GridSearchCV(make_pipeline(StandardScaler(), GaussianNB()), {}, cv=2),
    "network": make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=30, random_state=0)),
    "quadratic": QuadraticDiscriminantAnalysis(),
    "boosted": AdaBoostClassifier(n_estimators=5, random_state=0),
    "tree with equal probabilities": DecisionTreeClassifier(max_depth=2),
    "neighbours with equal votes": KNeighborsClassifier(2),
}


class Contrary(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    def fit(self, X: Any, y: Any) -> Contrary:
        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        return self.classes_[np.zeros(len(X), int)]

    def predict_proba(self, X: Any) -> Any:
        return np.tile([0.1, 0.9], (len(X), 1))


OTHERS: dict[str, Any] = {
    "hard votes": VotingClassifier([("n", GaussianNB()), ("t", DecisionTreeClassifier())]),
    "threshold": FixedThresholdClassifier(LogisticRegression(), threshold=0.2),
    "support vectors": make_pipeline(StandardScaler(), SVC()),
    "constant": DummyClassifier(strategy="prior"),
}


def fitted(pipeline: Any, labels: NDArray[Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a network has not converged
        return pipeline.fit(X, labels)


@pytest.mark.forms
@pytest.mark.parametrize("labels", [TWO, THREE], ids=["two texts", "three integers"])
@pytest.mark.parametrize("name", GREATEST)
def test_labels_that_follow_are_those_of_predict(
    name: str, labels: NDArray[Any], tmp_path: Path
) -> None:
    pipeline = fitted(GREATEST[name], labels)
    store = ModelStore(tmp_path)
    assert store.publish("m", pipeline, X, labels).labels_follow
    model = store.load(store.verify("m", pickles="always"))
    model.replay()
    for rows in (MANY, X, X[:1]):
        found = model.predict(rows)
        assert found.labels.tolist() == pipeline.predict(rows).tolist()
        assert found.probabilities is not None
        assert np.array_equal(found.probabilities[0], pipeline.predict_proba(rows))


def test_labels_of_several_targets_follow_too(tmp_path: Path) -> None:
    pipeline = MultiOutputClassifier(GaussianNB()).fit(X, SEVERAL)
    store = ModelStore(tmp_path)
    assert store.publish("m", pipeline, X, SEVERAL).labels_follow
    model = store.load(store.verify("m", pickles="always"))
    assert model.predict(MANY).labels.tolist() == pipeline.predict(MANY).tolist()


@pytest.mark.parametrize("name", OTHERS)
def test_labels_of_others_are_asked_of_predict(name: str, tmp_path: Path) -> None:
    pipeline = fitted(OTHERS[name], TWO)
    store = ModelStore(tmp_path)
    assert not store.publish("m", pipeline, X, TWO).labels_follow
    model = store.load(store.verify("m", pickles="always"))
    assert model.predict(MANY).labels.tolist() == pipeline.predict(MANY).tolist()


def catboost(labels: NDArray[Any], **options: Any) -> Any:
    kind = pytest.importorskip("catboost").CatBoostClassifier
    made = kind(iterations=6, verbose=False, allow_writing_files=False, **options)
    return made.fit(X.round().astype(int), labels, cat_features=[1])


@pytest.mark.guests
@pytest.mark.parametrize("labels", [TWO, THREE], ids=["two texts", "three integers"])
def test_labels_of_catboost_with_categories_follow(labels: NDArray[Any], tmp_path: Path) -> None:
    model = catboost(labels)
    rows = X.round().astype(int)
    store = ModelStore(tmp_path)
    assert store.publish("m", model, rows, labels).labels_follow
    loaded = store.load(store.verify("m", pickles="always"))
    found = loaded.predict(rows)
    assert found.labels.tolist() == model.predict(rows).ravel().tolist()
    assert found.probabilities is not None
    assert np.array_equal(found.probabilities[0], model.predict_proba(rows))


@pytest.mark.guests
def test_catboost_is_asked_for_labels_where_it_has_a_threshold_or_several_of_them() -> None:
    model = catboost(TWO)
    assert may_follow(model)
    model.set_probability_threshold(0.8)
    assert not may_follow(model)
    both = np.stack([TWO == "high", X[:, 1] > 3], axis=1).astype(int)
    assert not may_follow(catboost(both, loss_function="MultiLogloss"))


def test_a_class_of_somebody_elses_is_never_in_the_table() -> None:
    assert not may_follow(Contrary().fit(X, TWO))
    assert not may_follow(make_pipeline(StandardScaler(), Contrary()).fit(X, TWO))
    namesake = type("GaussianNB", (Contrary,), {"__module__": "elsewhere"})
    assert not may_follow(namesake().fit(X, TWO))


def test_a_pipeline_that_answers_otherwise_when_it_is_published_is_asked(tmp_path: Path) -> None:
    """Its class is in the table, and its labels were changed after it was fitted."""
    pipeline = CalibratedClassifierCV(GaussianNB(), cv=2).fit(X, TWO)
    pipeline.classes_ = pipeline.classes_[::-1].copy()
    store = ModelStore(tmp_path)
    found = store.publish("m", pipeline, X)
    model = store.load(store.verify("m", pickles="always"))
    assert model.predict(MANY).labels.tolist() == pipeline.predict(MANY).tolist()
    assert found.target.classes == ["low", "high"]


@pytest.mark.parametrize(
    ("table", "classes", "labels"),
    [
        ([[0.2, 0.8], [0.6, 0.4]], ["a", "b"], ["b", "a"]),
        ([[0.2, 0.8], [0.5, 0.5]], ["a", "b"], None),
        ([[0.2, 0.8], [0.5, 0.5 + 1e-9]], ["a", "b"], None),
        ([[0.4, 0.4, 0.2]], [1, 2, 3], None),
        ([[0.1, 0.2, 0.7]], [1, 2, 3], [3]),
        ([[np.nan, 1.0]], ["a", "b"], None),
        ([[1.0, np.nan]], ["a", "b"], None),
        ([[1.0]], ["a"], None),
        ([[0.2, 0.3, 0.5]], ["a", "b"], None),
        ([0.2, 0.8], ["a", "b"], None),
        ([[0.2, 0.8]], [False, True], [True]),
        ([[0.2, 0.8]], None, None),
    ],
)
def test_the_greatest_probability_tells_only_where_there_is_one(
    table: Any, classes: Any, labels: Any
) -> None:
    found = labels_of_greatest([np.array(table)], [classes])
    assert (None if found is None else found.tolist()) == labels


def test_calls_take_turns_and_each_is_judged_by_its_best() -> None:
    calls: list[str] = []
    seconds = fastest(lambda: calls.append("one"), lambda: calls.append("other"))
    assert calls == ["one", "other"] * 6
    assert len(seconds) == 2
    assert min(seconds) >= 0
