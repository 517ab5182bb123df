"""The bundled models: seeded, scored on rows they were not fitted on, and described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score
from sklearn.model_selection import KFold, StratifiedKFold

from model_store import ModelStore
from model_store.recipes import RECIPES
from model_store.recipes.recipe import FOLDS, SEED

METRICS = {
    "iris": {"accuracy": accuracy_score},
    "exam": {"accuracy": accuracy_score},
    "diabetes": {"r2": r2_score, "mean_absolute_error": mean_absolute_error},
}


def held_out(name: str) -> dict[str, list[float]]:
    """Each metric on each fold, by hand: fit on four, ask for the fifth."""
    data, pipeline = RECIPES[name].data(), RECIPES[name].pipeline()
    regression = name == "diabetes"
    splitter = (KFold if regression else StratifiedKFold)(FOLDS, shuffle=True, random_state=SEED)
    scores: dict[str, list[float]] = {metric: [] for metric in METRICS[name]}
    for train, test in splitter.split(data.X, data.y):
        answers = clone(pipeline).fit(data.X[train], data.y[train]).predict(data.X[test])
        for metric, score in METRICS[name].items():
            scores[metric].append(float(score(data.y[test], answers)))
    return scores


@pytest.mark.parametrize("name", RECIPES)
def test_the_scores_are_those_of_rows_held_out(name: str, bundled: ModelStore) -> None:
    expected = {}
    for metric, folds in held_out(name).items():
        expected[metric] = np.mean(folds)
        expected[f"{metric}_std"] = np.std(folds)
    manifest = bundled.manifest(name)
    assert manifest.metrics == pytest.approx(expected, rel=1e-9)
    assert manifest.validation == "mean and standard deviation of 5-fold cross-validation"


def test_the_scores_are_worth_serving(bundled: ModelStore) -> None:
    floor = {("iris", "accuracy"): 0.9, ("exam", "accuracy"): 0.8, ("diabetes", "r2"): 0.4}
    for (name, metric), least in floor.items():
        assert least < bundled.manifest(name).metrics[metric] < 1


@pytest.mark.parametrize("name", RECIPES)
def test_trained_twice_it_is_the_same_model(
    name: str, bundled: ModelStore, empty: ModelStore
) -> None:
    steps: list[str] = []
    again = RECIPES[name].train(empty, steps.append)
    before = bundled.manifest(name)
    assert msgspec.structs.replace(again, created=before.created) == before
    data = RECIPES[name].data()
    first, second = (s.load(s.verify(name)).predict(data.X) for s in (bundled, empty))
    assert first.labels.tolist() == second.labels.tolist()
    if first.probabilities is not None and second.probabilities is not None:
        assert np.array_equal(first.probabilities, second.probabilities)
    assert steps == [
        "loading the data",
        "scoring on 5 folds",
        f"fitting on {len(data.X)} rows",
        "publishing",
    ]


@pytest.mark.parametrize("name", RECIPES)
def test_golden_rows_replay(name: str, bundled: ModelStore) -> None:
    model = bundled.load(bundled.verify(name))
    model.replay()
    assert len(model.golden_rows()) == len(model.sample.predictions) == 8


@pytest.mark.parametrize(
    ("name", "estimator", "task", "names"),
    [
        (
            "iris",
            "StandardScaler → LogisticRegression",
            "classification",
            (
                "sepal length (cm)",
                "sepal width (cm)",
                "petal length (cm)",
                "petal width (cm)",
            ),
        ),
        ("exam", "LogisticRegression", "classification", ("X1", "X2")),
        (
            "diabetes",
            "StandardScaler → Ridge",
            "regression",
            ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
        ),
    ],
)
def test_each_is_the_pipeline_that_its_description_says(
    name: str, estimator: str, task: str, names: tuple[str, ...], bundled: ModelStore
) -> None:
    manifest = bundled.manifest(name)
    assert (manifest.estimator, manifest.task) == (estimator, task)
    assert manifest.signature.names == names
    assert {column.type for column in manifest.signature.columns} == {"number"}
    assert not any(column.missing for column in manifest.signature.columns)
    assert manifest.title
    assert manifest.description


@pytest.mark.parametrize(
    ("name", "classes", "words"),
    [
        (
            "iris",
            ["setosa", "versicolor", "virginica"],
            {"setosa": "Setosa", "versicolor": "Versicolor", "virginica": "Virginica"},
        ),
        ("exam", [0, 1], {"0": "did not pass", "1": "passed"}),
        ("diabetes", None, {}),
    ],
)
def test_labels_are_json_types_and_each_class_has_a_word(
    name: str, classes: list[Any] | None, words: dict[str, str], bundled: ModelStore
) -> None:
    manifest = bundled.manifest(name)
    assert manifest.classes == classes
    assert json.loads(json.dumps(manifest.classes)) == classes
    assert manifest.words == words
    labels = bundled.verify(name).sample.predictions
    assert {type(label) for label in labels} == {type(classes[0]) if classes else float}


def test_only_a_model_of_made_up_data_has_a_notice(bundled: ModelStore) -> None:
    notices = {name: bundled.manifest(name).notice for name in RECIPES}
    assert notices == {
        "iris": None,
        "exam": "Trained on 400 students made by a seeded generator, not on real ones.",
        "diabetes": None,
    }


def test_the_data_is_scikit_learns_own() -> None:
    iris, diabetes = load_iris(), load_diabetes(scaled=False)
    assert np.array_equal(RECIPES["iris"].data().X, iris.data)
    assert RECIPES["iris"].data().y.tolist() == iris.target_names[iris.target].tolist()
    assert np.array_equal(RECIPES["diabetes"].data().X, diabetes.data)
    assert np.array_equal(RECIPES["diabetes"].data().y, diabetes.target)


def test_whoever_has_many_points_passes_the_exam(bundled: ModelStore) -> None:
    model = bundled.load(bundled.verify("exam"))
    points = np.array([[95.0, 95.0], [35.0, 35.0], [95.0, 35.0], [35.0, 96.0]])
    answer = model.predict(points)
    assert answer.labels.tolist()[:2] == [1, 0]
    assert answer.probabilities is not None
    assert (answer.probabilities[0, 1], answer.probabilities[1, 0]) > (0.9, 0.9)


def test_each_is_named_by_its_recipe_and_takes_the_next_number(store: ModelStore) -> None:
    assert store.models() == sorted(RECIPES)
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.train(store).version == 2


def test_training_needs_no_folder_beforehand(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "deep" / "models")
    assert RECIPES["exam"].train(store).version == 1
