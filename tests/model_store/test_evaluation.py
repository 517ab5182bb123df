"""What a pipeline answered to rows whose truth is known: counted and chosen by hand once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import KFold, StratifiedKFold

from model_store import ModelStore, manifest
from model_store.draft import Draft
from model_store.evaluation import GIVEN, MOST_CLASSES, MOST_POINTS, evaluate
from model_store.importer import ImportRequest, import_files
from model_store.manifest import Confusion, Evaluation
from model_store.recipes import RECIPES
from model_store.recipes.recipe import FOLDS, SEED

from .conftest import publish_small


def test_classes_are_counted_by_truth_and_by_answer() -> None:
    truth = np.array(["a", "a", "b", "c"])
    answers = np.array(["a", "b", "b", "b"])
    found = evaluate(truth, answers, classes=["c", "a", "b"], target="letter")
    assert found == Evaluation(
        rows=4,
        target="letter",
        confusion=Confusion(labels=["c", "a", "b"], counts=[[0, 0, 1], [0, 1, 1], [0, 0, 1]]),
    )


def test_labels_of_other_types_are_the_same_class() -> None:
    found = evaluate(np.array([0, 1]), np.array([0.0, 1.0]), classes=[0, 1])
    assert found.confusion == Confusion(labels=[0, 1], counts=[[1, 0], [0, 1]])


def test_of_very_many_classes_no_table_is_kept() -> None:
    classes = list(range(MOST_CLASSES + 1))
    labels = np.array(classes)
    assert evaluate(labels, labels, classes=classes) == Evaluation(rows=len(classes))
    assert evaluate(labels[:-1], labels[:-1], classes=classes[:-1]).confusion is not None


def test_few_points_are_kept_all_and_in_order() -> None:
    found = evaluate(np.array([3, 1]), np.array([2.5, 1.5]))
    assert found == Evaluation(rows=2, points=[(3.0, 2.5), (1.0, 1.5)])


def test_of_many_points_the_same_are_chosen_each_time() -> None:
    truth = np.arange(5000.0)
    found = evaluate(truth, truth + 0.5)
    assert found == evaluate(truth, truth + 0.5)
    assert found.rows == 5000
    assert found.points is not None
    assert len({true for true, _ in found.points}) == MOST_POINTS
    assert all(answered == true + 0.5 for true, answered in found.points)
    assert found.points[0][0] < 500
    assert found.points[-1][0] > 4500


def test_what_is_not_finite_is_no_point() -> None:
    found = evaluate(np.array([1.0, np.nan, 2.0]), np.array([np.inf, 1.0, 3.0]))
    assert (found.rows, found.points) == (3, [(2.0, 3.0)])


# Recipes -------------------------------------------------------------------------


def held_out(name: str) -> tuple[Any, Any]:
    """The truth and the answer of each row by a pipeline that was fitted without it."""
    data = RECIPES[name].data()
    splitter = (KFold if name == "diabetes" else StratifiedKFold)(
        FOLDS, shuffle=True, random_state=SEED
    )
    truth, answers = [], []
    for train, test in splitter.split(data.X, data.y):
        fitted = clone(RECIPES[name].pipeline()).fit(data.X[train], data.y[train])
        truth += data.y[test].tolist()
        answers += fitted.predict(data.X[test]).tolist()
    return truth, answers


@pytest.mark.parametrize("name", ["iris", "exam", "titanic"])
def test_a_recipe_keeps_the_table_of_rows_held_out(name: str, bundled: ModelStore) -> None:
    found = bundled.manifest(name)
    (evaluation,) = found.evaluations
    truth, answers = held_out(name)
    assert evaluation.target == found.target.name
    assert evaluation.rows == len(truth) == found.rows
    assert evaluation.confusion is not None
    assert evaluation.confusion.labels == found.target.classes
    assert evaluation.confusion.counts == confusion_matrix(truth, answers).tolist()
    # The folds are of nearly one size, so that their mean is nearly the share of all.
    share = np.trace(evaluation.confusion.counts) / len(truth)
    assert share == pytest.approx(found.metrics["accuracy"], abs=1e-3)


def test_a_recipe_of_a_number_keeps_points_of_rows_held_out(bundled: ModelStore) -> None:
    (evaluation,) = bundled.manifest("diabetes").evaluations
    known = set(zip(*held_out("diabetes"), strict=True))
    assert evaluation.points is not None
    assert len(evaluation.points) == MOST_POINTS < evaluation.rows == 442
    assert set(evaluation.points) <= known


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_where_its_data_is_from(name: str, bundled: ModelStore) -> None:
    found = bundled.manifest(name)
    assert found.data is not None
    assert ("seeded generator" in found.data) == (found.notice is not None)
    assert found.rows == len(RECIPES[name].data().X)


# Pipelines from outside ----------------------------------------------------------


def imported(folder: Path, pipeline: Any, text: str, *targets: str) -> Draft:
    joblib.dump(pipeline, folder / "mine.joblib")
    (folder / "rows.csv").write_text(text)
    _, draft = import_files(
        ImportRequest(
            name="mine",
            files=(str(folder / "mine.joblib"),),
            sample=str(folder / "rows.csv"),
            target=targets,
        )
    )
    assert draft is not None
    return draft


def test_a_sample_measures_what_was_imported_and_says_on_what(tmp_path: Path) -> None:
    pipeline = LogisticRegression().fit(
        [[0.0], [1.0], [8.0], [9.0]], ["low", "low", "high", "high"]
    )
    text = "x,y\n0,low\n1,high\n8,high\n9,high\n"
    found = imported(tmp_path, pipeline, text, "y").manifest
    assert found.metrics == {"accuracy_on_the_rows_given": 0.75}
    assert found.validation == GIVEN
    assert GIVEN == "measured on the rows given, which may be those it was trained on"
    (evaluation,) = found.evaluations
    assert evaluation == Evaluation(
        rows=4,
        target="y",
        confusion=Confusion(labels=["high", "low"], counts=[[2, 1], [0, 1]]),
    )
    assert (found.rows, found.data) == (
        4,
        "the sample rows.csv, which was given when it was imported",
    )


def test_several_targets_have_an_evaluation_each_and_no_common_score(tmp_path: Path) -> None:
    pipeline = LinearRegression().fit([[0.0], [1.0], [2.0]], [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]])
    found = imported(tmp_path, pipeline, "x,a,b\n0,0,1\n1,1,2\n4,4,6\n", "a", "b").manifest
    assert found.metrics == {}
    first, second = found.evaluations
    assert (first.target, second.target) == ("a", "b")
    assert np.allclose(first.points or [], [(0, 0), (1, 1), (4, 4)])
    assert np.allclose(second.points or [], [(1, 1), (2, 2), (6, 5)])


def test_a_sample_without_a_target_measures_nothing(tmp_path: Path) -> None:
    pipeline = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    found = imported(tmp_path, pipeline, "x\n0\n1\n").manifest
    assert (found.metrics, found.validation, found.evaluations) == ({}, None, ())
    assert found.rows == 2


def test_what_is_published_without_a_measurement_has_none(empty: ModelStore) -> None:
    found = publish_small(empty)
    assert (found.evaluations, found.rows, found.data) == ((), 6, None)


def test_a_publisher_may_give_measurements_and_edits_keep_them(empty: ModelStore) -> None:
    measured = evaluate(np.array(["low"]), np.array(["high"]), classes=["high", "low"])
    published = publish_small(
        empty, evaluations=(measured,), validation="one row held out", data="six rows"
    )
    assert (published.evaluations, published.data) == ((measured,), "six rows")
    assert empty.manifest("small") == published
    assert manifest.read(manifest.write(published)) == published
