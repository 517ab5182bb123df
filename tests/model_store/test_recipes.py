"""The bundled models: seeded, scored on rows they were not fitted on, and described."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
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
from model_store.errors import InvalidTable
from model_store.recipes import RECIPES, Dataset
from model_store.recipes.recipe import FOLDS, SEED
from model_store.tables import Table

METRICS = {
    "iris": {"accuracy": accuracy_score},
    "exam": {"accuracy": accuracy_score},
    "diabetes": {"r2": r2_score, "mean_absolute_error": mean_absolute_error},
    "blood-donation": {"accuracy": accuracy_score},
    "titanic": {"accuracy": accuracy_score},
}


def held_out(name: str, data: Dataset) -> dict[str, list[float]]:
    """Each metric on each fold, by hand: fit on four, ask for the fifth."""
    pipeline = RECIPES[name].pipeline()
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
    for metric, folds in held_out(name, RECIPES[name].data()).items():
        expected[metric] = np.mean(folds)
        expected[f"{metric}_std"] = np.std(folds)
    manifest = bundled.manifest(name)
    found = {metric: manifest.metrics[metric] for metric in expected}
    assert found == pytest.approx(expected, rel=1e-9)
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
        assert np.array_equal(first.probabilities[0], second.probabilities[0])
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
        (
            "blood-donation",
            "RandomForestClassifier",
            "classification",
            ("Recency", "Frequency", "Monetary", "Time"),
        ),
        (
            "titanic",
            "ColumnTransformer → LogisticRegression",
            "classification",
            ("pclass", "sex", "age", "sibsp", "parch", "fare", "embarked"),
        ),
    ],
)
def test_each_is_the_pipeline_that_its_description_says(
    name: str, estimator: str, task: str, names: tuple[str, ...], bundled: ModelStore
) -> None:
    manifest = bundled.manifest(name)
    assert (manifest.estimator, manifest.task) == (estimator, task)
    assert manifest.signature.names == names
    assert manifest.title
    assert manifest.description


def test_titanic_has_columns_of_each_kind_and_tells_which_may_be_missing(
    bundled: ModelStore,
) -> None:
    columns = {column.name: column for column in bundled.manifest("titanic").signature.columns}
    kinds = {name: column.type for name, column in columns.items()}
    assert kinds == {
        "pclass": "category",
        "sex": "category",
        "age": "number",
        "sibsp": "integer",
        "parch": "integer",
        "fare": "number",
        "embarked": "category",
    }
    assert columns["pclass"].categories == (1, 2, 3)
    assert columns["embarked"].categories == ("C", "Q", "S")
    assert {name for name, column in columns.items() if column.open} == {"sibsp", "parch"}
    missing = {name for name, column in columns.items() if column.missing}
    assert missing == {"age", "fare", "embarked"}
    assert columns["age"].unit == "years"


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
        ("blood-donation", [0, 1], {"0": "does not donate", "1": "donates"}),
        ("titanic", [0, 1], {"0": "did not survive", "1": "survived"}),
    ],
)
def test_labels_are_json_types_and_each_class_has_a_word(
    name: str, classes: list[Any] | None, words: dict[str, str], bundled: ModelStore
) -> None:
    manifest = bundled.manifest(name)
    assert manifest.target.classes == classes
    assert json.loads(json.dumps(manifest.target.classes)) == classes
    assert manifest.words == words
    labels = bundled.verify(name).sample.predictions
    assert {type(label) for label in labels} == {type(classes[0]) if classes else float}


def test_only_a_model_of_made_up_data_has_a_notice(bundled: ModelStore) -> None:
    notices = {name: bundled.manifest(name).notice for name in RECIPES}
    assert notices == {
        "iris": None,
        "exam": "Trained on 400 students made by a seeded generator, not on real ones.",
        "diabetes": None,
        "blood-donation": "Trained on a generated sample of 748 donors, not on real ones; "
        "quart-app models train blood-donation --data FILE trains on the real table.",
        "titanic": "Trained on a generated sample of 1309 passengers, not on the real ones; "
        "quart-app models train titanic --data FILE trains on the real table.",
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
    (shares,) = answer.probabilities
    assert (shares[0, 1], shares[1, 0]) > (0.9, 0.9)


def test_each_is_named_by_its_recipe_and_takes_the_next_number(store: ModelStore) -> None:
    assert store.models() == sorted(RECIPES)
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.train(store).version == 2


def test_training_needs_no_folder_beforehand(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "deep" / "models")
    assert RECIPES["exam"].train(store).version == 1


# Real tables ---------------------------------------------------------------------

REAL = {"titanic": "titanic.csv", "blood-donation": "blood-transfusion.csv"}
real_data = pytest.mark.skipif(
    "REAL_DATA" not in os.environ, reason="REAL_DATA names no folder of real tables"
)


@real_data
@pytest.mark.parametrize("name", REAL)
def test_on_the_real_table_the_score_is_that_of_a_plain_script(
    name: str, empty: ModelStore
) -> None:
    table = Table.read(Path(os.environ["REAL_DATA"], REAL[name]))
    manifest = RECIPES[name].train(empty, table=table)
    make = RECIPES[name].table
    assert make is not None
    folds = held_out(name, make(table))["accuracy"]
    assert manifest.metrics["accuracy"] == pytest.approx(np.mean(folds), rel=1e-12)
    majority = manifest.metrics["accuracy_of_the_majority"]
    assert manifest.metrics["accuracy"] > majority
    assert manifest.notice is None
    empty.load(empty.verify(name)).replay()


@real_data
def test_titanic_as_a_plain_script_reads_and_scores_it(empty: ModelStore) -> None:
    """The table once more, by the csv module and scikit-learn alone."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    path = Path(os.environ["REAL_DATA"], "titanic.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("age", "sibsp", "parch", "fare")
    names = ("pclass", "sex", *numbers, "embarked")
    X = np.array(
        [
            [(float(r[n]) if r[n] else np.nan) if n in numbers else r[n] or np.nan for n in names]
            for r in rows
        ],
        dtype=object,
    )
    y = np.array([int(row["survived"]) for row in rows])
    encode = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    fill = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer([("c", encode, [0, 1, 6]), ("n", fill, [2, 3, 4, 5])])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    plain = cross_val_score(
        make_pipeline(columns, LogisticRegression(max_iter=1000)), X, y, cv=folds
    )
    ours = RECIPES["titanic"].train(empty, table=Table.read(path)).metrics["accuracy"]
    assert ours == pytest.approx(plain.mean(), abs=0.002)


def blood(names: Sequence[str], labels: Sequence[str]) -> Table:
    """Twenty donors, with columns and labels of these names."""
    rows = range(20)
    values = [[str(row + i) for row in rows] for i in range(4)]
    told = [labels[row % 2] for row in rows]
    return Table.of_columns(dict(zip(names, [*values, told], strict=True)))


@pytest.mark.parametrize("labels", [("0", "1"), ("1", "2")])
@pytest.mark.parametrize(
    "names",
    [
        ("V1", "V2", "V3", "V4", "Class"),
        ("recency", "FREQUENCY", "Monetary", "time", "donated"),
        (
            "Recency (months)",
            "Frequency (times)",
            "Monetary (c.c. blood)",
            "Time (months)",
            "whether he/she donated blood in March 2007",
        ),
    ],
)
def test_blood_donation_is_read_by_each_name_of_its_columns(
    names: Sequence[str], labels: Sequence[str]
) -> None:
    make = RECIPES["blood-donation"].table
    assert make is not None
    data = make(blood(names, labels))
    assert data.feature_names == ("Recency", "Frequency", "Monetary", "Time")
    assert data.X[3].tolist() == [3, 4, 5, 6]
    assert data.X.dtype == np.int64
    assert data.y.tolist() == [0, 1] * 10


@pytest.mark.parametrize(
    ("name", "table", "sentence"),
    [
        ("iris", {"a": ["1"]}, r"no column sepal length \(cm\); it has a\.$"),
        ("exam", {"X1": ["1"], "X2": [""], "result": ["1"]}, r"^Row 0: X2: expected a number, "),
        (
            "exam",
            {"X1": ["1"] * 9, "X2": ["2"] * 9, "result": ["0"] * 5 + ["1"] * 4},
            r"^result: expected at least 5 rows of each class, got 4 of 1\.$",
        ),
        (
            "exam",
            {"X1": ["1"] * 9, "X2": ["2"] * 9, "result": ["0"] * 9},
            r"^result: expected at least two classes, got 0 alone\.$",
        ),
        ("titanic", {"a": ["1"]}, r"no column pclass; it has a\.$"),
        ("blood-donation", {"V1": ["1"]}, r"no column Frequency or V2 or Frequency \(times\)"),
        (
            "blood-donation",
            {"V1": ["1.5"], "V2": ["1"], "V3": ["1"], "V4": ["1"], "Class": ["1"]},
            r"^Row 0: V1: expected an integer, got '1\.5'\.$",
        ),
        (
            "blood-donation",
            {"V1": ["1"], "V2": ["1"], "V3": ["1"], "V4": ["1"], "Class": ["7"]},
            r"^Class: expected 0 and 1, or 1 and 2, got \[7\]\.$",
        ),
        (
            "titanic",
            {name: ["1"] for name in ("pclass", "sex", "age", "sibsp", "parch", "fare")}
            | {"embarked": ["S"], "survived": ["1"]},
            r"^Row 0: sex: expected one of female, male, got '1'\.$",
        ),
    ],
)
def test_a_table_of_something_else_is_refused_in_words(
    name: str, table: dict[str, list[str]], sentence: str, empty: ModelStore
) -> None:
    with pytest.raises(InvalidTable, match=sentence):
        RECIPES[name].train(empty, table=Table.of_columns(table))
    assert empty.models() == []


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_a_table_like_its_own_data(name: str) -> None:
    own = RECIPES[name].data()
    columns = {
        column: ["" if value != value else str(value) for value in values.tolist()]
        for column, values in zip(own.feature_names, own.X.T, strict=True)
    }
    target = {own.target_name: [str(label) for label in own.y.tolist()]}
    table = Table.of_columns({"id": ["x"] * len(own.y), **columns, **target})
    found = RECIPES[name].of_table(table)
    assert found.y.dtype == own.y.dtype
    assert found.y.tolist() == own.y.tolist()
    assert found.X.dtype == own.X.dtype
    np.testing.assert_array_equal(found.X.astype(str), own.X.astype(str))


def test_a_recipe_that_is_not_on_openml_says_so() -> None:
    with pytest.raises(InvalidTable, match=r"^The recipe exam has no table on OpenML\.$"):
        RECIPES["exam"].fetch()
