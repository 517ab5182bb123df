"""A loaded pipeline gives a usable answer or a declared error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model_store import Model, ModelStore, Prediction
from model_store.errors import GoldenMismatch, PredictionFailed
from model_store.labels import json_labels
from model_store.model import close

from .conftest import LABELS, NUMBERS, X, regressor

Answer = Callable[[NDArray[Any]], Any]


class Answers:
    """A pipeline that answers as it is told."""

    def __init__(self, labels: Answer, shares: Answer = lambda rows: np.full((len(rows), 2), 0.5)):
        self.labels, self.shares = labels, shares

    def predict(self, rows: NDArray[Any]) -> Any:
        return self.labels(rows)

    def predict_proba(self, rows: NDArray[Any]) -> Any:
        return self.shares(rows)


def low(rows: NDArray[Any]) -> Any:
    return np.array(["low"] * len(rows))


OTHER = r"^The pipeline small answered with other than its classes: .+\.$"


def leaving(rows: NDArray[Any]) -> Any:
    raise SystemExit(3)


def failing(rows: NDArray[Any]) -> Any:
    raise ZeroDivisionError("seven")


@pytest.fixture
def model(small: ModelStore) -> Model:
    return small.load(small.verify("small", pickles="always"))


def answering(model: Model, *answers: Answer) -> Model:
    """The model of a pipeline that answers so, and is asked for labels and for probabilities."""
    asked = msgspec.structs.replace(model.manifest, labels_follow=False)
    return Model(asked, Answers(*answers), model.sample)


def changed(model: Model, **sample: Any) -> Model:
    return Model(model.manifest, model.pipeline, msgspec.structs.replace(model.sample, **sample))


def test_a_model_answers_what_its_pipeline_answers(model: Model) -> None:
    answer = model.predict(X)
    assert answer.labels.tolist() == LABELS.tolist() == model.pipeline.predict(X).tolist()
    assert answer.probabilities is not None
    assert np.array_equal(answer.probabilities[0], model.pipeline.predict_proba(X))
    assert len(answer) == 6


def test_a_regression_has_no_probabilities(empty: ModelStore) -> None:
    empty.publish("line", regressor(), X, NUMBERS)
    answer = empty.load(empty.verify("line")).predict(X)
    assert answer.probabilities is None
    assert np.allclose(answer.labels, NUMBERS)
    assert answer[1:3].probabilities is None


def test_a_part_of_a_prediction_has_its_rows_of_both(model: Model) -> None:
    whole = model.predict(X)
    part = whole[2:5]
    assert isinstance(part, Prediction)
    assert part.labels.tolist() == LABELS[2:5].tolist()
    assert whole.probabilities is not None
    assert part.probabilities is not None
    assert np.array_equal(part.probabilities[0], whole.probabilities[0][2:5])


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([failing], r"^The model small has no answer to these values\.$"),
        ([low, failing], r"^The model small has no answer to these values\.$"),
        ([lambda rows: low(rows)[:-1]], r"answered 6 rows with the shape \(5,\)\.$"),
        ([lambda rows: rows], r"answered 6 rows with the shape \(6, 2\)\.$"),
        ([lambda rows: None], r"answered 6 rows with the shape \(\)\.$"),
        (
            [lambda rows: rows[:, 0] * np.nan],
            r"no answer to these values: it would not be a finite number\.$",
        ),
        (
            [lambda rows: rows[:, 0] + np.inf],
            r"no answer to these values: it would not be a finite number\.$",
        ),
        ([low, lambda rows: np.ones((6, 3))], r"gave probabilities of the shape \(6, 3\)\.$"),
        ([low, lambda rows: np.ones(6)], r"gave probabilities of the shape \(6,\)\.$"),
        (
            [low, lambda rows: np.full((6, 2), np.nan)],
            r"values: a probability would not be a finite number\.$",
        ),
        ([low, lambda rows: [["a", "b"]] * 6], r"no answer to these values\.$"),
        ([lambda rows: rows[:, 0]], OTHER),
        ([lambda rows: rows[:, 0] + 1j], OTHER),
        ([lambda rows: np.array(["low"] * 5 + [{"low": 1}], dtype=object)], OTHER),
        ([lambda rows: np.array(["low"] * 5 + [None], dtype=object)], OTHER),
        ([lambda rows: low(rows).astype(bytes)], OTHER),
        ([lambda rows: np.array(["low"] * 5 + ["lower"])], OTHER),
        ([lambda rows: np.array([7] * 6)], OTHER),
        ([leaving], r"^The pipeline small failed on these rows\.$"),
    ],
)
def test_an_answer_that_is_not_usable_is_a_declared_error(
    answers: list[Answer], sentence: str, model: Model
) -> None:
    with pytest.raises(PredictionFailed, match=sentence):
        answering(model, *answers).predict(X)


@pytest.mark.parametrize(
    "labels",
    [["7"] * 6, [1 + 0j] * 6, [1.0] * 5 + [{"a": 1}], [1.0] * 5 + [None], [object] * 6],
)
def test_a_regression_that_tells_no_numbers_is_a_declared_error(
    labels: list[Any], empty: ModelStore
) -> None:
    empty.publish("line", regressor(), X, NUMBERS)
    model = empty.load(empty.verify("line"))
    with pytest.raises(PredictionFailed, match="answered with other than numbers"):
        answering(model, lambda rows: np.array(labels)).predict(X)


def test_classes_and_numbers_may_be_objects(model: Model, empty: ModelStore) -> None:
    objects = answering(model, lambda rows: low(rows).astype(object))
    assert objects.predict(X).labels.tolist() == ["low"] * 6
    empty.publish("line", regressor(), X, NUMBERS)
    line = empty.load(empty.verify("line"))
    numbers = np.array([1, 2.5, np.float32(3), np.int64(4), 5, 6], dtype=object)
    assert answering(line, lambda rows: numbers).predict(X).labels[1] == 2.5


@pytest.mark.parametrize("classes", [[0, 1], [1.0, 2.0], [False, True], ["no", "yes"], [-1, 1]])
def test_a_label_that_the_model_does_not_have_is_a_declared_error(
    classes: list[Any], empty: ModelStore
) -> None:
    known = np.array(classes)
    labels = known[[0, 1, 0, 1, 0, 1]]
    empty.publish("known", LogisticRegression().fit(X, labels), X, labels)
    model = empty.load(empty.verify("known"))
    assert answering(model, lambda rows: labels).predict(X).labels.tolist() == labels.tolist()
    strange = np.array(["7"] * 6) if known.dtype.kind == "U" else np.array([7.0] * 6)
    for each in (strange, strange.astype(object)):
        with pytest.raises(PredictionFailed, match="answered with other than its classes"):
            answering(model, lambda rows, each=each: each).predict(X)  # type: ignore[misc]


def test_golden_rows_are_answered_again(model: Model) -> None:
    model.replay()
    assert np.array_equal(model.golden_rows(), X)


def test_another_class_for_a_golden_row_is_a_mismatch(model: Model) -> None:
    with pytest.raises(
        GoldenMismatch,
        match=r"^small version 1 answers golden row 3 with low, and answered high when it was "
        r"published with scikit-learn [0-9.]+; train it again with the libraries installed here\.$",
    ):
        answering(model, low, model.pipeline.predict_proba).replay()


def test_another_probability_for_a_golden_row_is_a_mismatch(model: Model) -> None:
    def nudged(rows: NDArray[Any]) -> Any:
        return np.add(model.pipeline.predict_proba(rows), [1e-4, -1e-4])

    with pytest.raises(GoldenMismatch, match="answers golden row 0 with"):
        answering(model, model.pipeline.predict, nudged).replay()


@pytest.mark.parametrize(("factor", "drifts"), [(1 + 1e-8, False), (1 + 1e-4, True)])
def test_the_last_bits_of_a_number_may_move_and_no_more(
    factor: float, drifts: bool, empty: ModelStore
) -> None:
    empty.publish("line", regressor(), X, NUMBERS)
    model = empty.load(empty.verify("line", pickles="always"))
    moved = answering(model, lambda rows: model.pipeline.predict(rows) * factor)
    if drifts:
        with pytest.raises(GoldenMismatch, match="line version 1 answers golden row 0"):
            moved.replay()
    else:
        moved.replay()


def test_a_pipeline_that_fails_on_golden_rows_says_so(model: Model) -> None:
    with pytest.raises(PredictionFailed) as caught:
        answering(model, failing).replay()
    assert "seven" not in str(caught.value)
    assert "seven" in caught.value.told


@pytest.mark.parametrize(
    "sample",
    [
        {"rows": [{"x0": 1.0, "x1": 2.0}, {"x0": 1.0}] * 3},
        {"rows": [{"x0": 1.0, "x1": None}] * 6},
        {"rows": [{"y": 1.0}] * 6},
        {"rows": [{"x0": 1.0, "x1": 2.0}] * 5},
        {"predictions": ["low"]},
        {"predictions": []},
        {"predictions": ["low"] * 7},
        {"predictions": [1, 2, 3, 4, 5, 6]},
        {"probabilities": [[0.5, 0.5]]},
    ],
    ids=range(9),
)
def test_a_sample_that_does_not_fit_its_model_is_a_mismatch(
    sample: dict[str, Any], model: Model
) -> None:
    with pytest.raises(GoldenMismatch, match="small"):
        changed(model, **sample).replay()


@pytest.mark.parametrize(
    ("now", "before", "same"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("1", 1, False),
        (1 + 1e-9, 1.0, True),
        (1.1, 1.0, False),
        (2**63 + 1, 2**63 + 1, True),
        (["a", 1.0], ["a", 1 + 1e-9], True),
        (["a", 1.0], ["b", 1.0], False),
        ([1.0], [1.0, 2.0], False),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (1.0, math.nan, False),
    ],
)
def test_labels_are_close_where_they_are_equal_but_for_rounding(
    now: Any, before: Any, same: bool
) -> None:
    assert close(now, before) is same


def test_labels_are_json_types() -> None:
    table = [
        (np.array([1, 2]), [1, 2], int),
        (np.array([1.5]), [1.5], float),
        (np.array([True]), [True], bool),
        (np.array(["a"]), ["a"], str),
        (np.array([np.int64(1), np.int64(2)], dtype=object), [1, 2], int),
        (np.array([np.str_("a")], dtype=object), ["a"], str),
    ]
    for labels, expected, kind in table:
        found = json_labels(labels)
        assert found == expected
        assert {type(label) for label in found} == {kind}
