"""What a pipeline and its training data tell of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from model_store import ModelStore
from model_store.errors import InvalidPipeline
from model_store.inspection import GOLDEN_ROWS, Inspection
from model_store.manifest import Target

from .conftest import LABELS, NUMBERS, X, classifier, regressor

NAN = np.nan
TWO = np.column_stack([NUMBERS, -NUMBERS])


def test_a_classifier_tells_its_classes_in_the_order_of_its_probabilities() -> None:
    found = Inspection.of_data(classifier(), X, LABELS, target_name="load")
    assert found.task == "classification"
    assert found.targets[0].classes == ["high", "low"]
    assert found.probabilities
    assert found.targets == (
        Target(name="load", classes=["high", "low"], counts={"high": 3, "low": 3}),
    )


def test_a_regressor_tells_the_range_of_its_target() -> None:
    found = Inspection.of_data(regressor(), X, NUMBERS)
    assert (found.task, found.probabilities) == ("regression", False)
    assert found.targets == (
        Target(
            minimum=float(NUMBERS.min()),
            maximum=float(NUMBERS.max()),
            quantiles=tuple(np.quantile(NUMBERS, np.linspace(0, 1, 21)).tolist()),
        ),
    )


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([0, 0, 0, 1, 1, 1]), [0, 1]),
        (np.array([0.5, 0.5, 0.5, 1.5, 1.5, 1.5]).astype(str), ["0.5", "1.5"]),
        (np.array([True, True, True, False, False, False]), [False, True]),
        (np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0]), [1.0, 2.0]),
        (np.array(["a", "a", "a", "b", "b", "b"], dtype=object), ["a", "b"]),
    ],
)
def test_a_class_keeps_its_own_json_type(labels: NDArray[Any], classes: list[Any]) -> None:
    found = Inspection.of_data(LogisticRegression().fit(X, labels), X, labels)
    assert found.targets[0].classes == classes
    assert [type(label) for label in found.targets[0].classes or ()] == [
        type(label) for label in classes
    ]
    assert found.targets[0].counts == {str(label): 3 for label in classes}


def test_a_classifier_without_probabilities_is_taken() -> None:
    found = Inspection.of_data(LinearSVC().fit(X, LABELS), X, LABELS)
    assert (found.task, found.probabilities) == ("classification", False)


@pytest.mark.parametrize(
    ("pipeline", "estimator"),
    [
        (LogisticRegression(), "LogisticRegression"),
        (
            Pipeline([("a", StandardScaler()), ("b", LogisticRegression())]),
            "StandardScaler → LogisticRegression",
        ),
    ],
)
def test_the_estimator_is_named_by_its_steps(pipeline: Any, estimator: str) -> None:
    assert Inspection.of_data(pipeline.fit(X, LABELS), X, LABELS).estimator == estimator


@pytest.mark.parametrize(
    ("pipeline", "y", "targets", "probabilities"),
    [
        (LinearRegression(), TWO, (Target(name="y0"), Target(name="y1")), False),
        (RandomForestRegressor(2), TWO, (Target(name="y0"), Target(name="y1")), False),
        (LinearRegression(), TWO[:, :1], (Target(),), False),
        (
            RandomForestClassifier(2),
            np.column_stack([LABELS, LABELS == "low"]).astype(str),
            (
                Target(name="y0", classes=["high", "low"]),
                Target(name="y1", classes=["False", "True"]),
            ),
            True,
        ),
        (
            MultiOutputClassifier(LinearSVC()),
            np.column_stack([LABELS, LABELS]),
            (
                Target(name="y0", classes=["high", "low"]),
                Target(name="y1", classes=["high", "low"]),
            ),
            False,
        ),
        (
            OneVsRestClassifier(LogisticRegression()),
            np.column_stack([LABELS == "low", LABELS == "high"]).astype(int),
            (Target(name="0", classes=[0, 1]), Target(name="1", classes=[0, 1])),
            True,
        ),
    ],
    ids=["linear", "forest", "one column", "classes", "no probabilities", "multilabel"],
)
def test_a_pipeline_may_have_several_targets(
    pipeline: Any,
    y: NDArray[Any],
    targets: tuple[Target, ...],
    probabilities: bool,
    empty: ModelStore,
) -> None:
    pipeline.fit(X, y)
    found = Inspection.of_data(pipeline, X)
    assert (found.targets, found.probabilities) == (targets, probabilities)
    empty.publish("several", pipeline, X, y)
    model = empty.load(empty.verify("several"))
    model.replay()
    answer = model.predict(X)
    expected = pipeline.predict(X)
    assert answer.labels.tolist() == expected.reshape(answer.labels.shape).tolist()
    if probabilities:
        assert answer.probabilities is not None
        assert len(answer.probabilities) == len(targets)
        assert all(shares.shape == (6, 2) for shares in answer.probabilities)
        assert np.allclose([shares.sum(axis=1) for shares in answer.probabilities], 1)


@pytest.mark.parametrize(
    ("names", "expected"), [(["a", "b"], ["a", "b"]), (("a", "a"), None), (["a"], None)]
)
def test_several_targets_need_as_many_names_that_differ(
    names: Sequence[str], expected: list[str] | None
) -> None:
    pipeline = LinearRegression().fit(X, TWO)
    if expected is None:
        with pytest.raises(InvalidPipeline, match=r"has 2 outputs, which need as many names"):
            Inspection.of_data(pipeline, X, TWO, target_name=names)
    else:
        found = Inspection.of_data(pipeline, X, TWO, target_name=names)
        assert [target.name for target in found.targets] == expected


def test_a_target_of_one_column_is_a_target() -> None:
    found = Inspection.of_data(classifier(), X, LABELS.reshape(-1, 1))
    assert found.targets[0].counts == {"high": 3, "low": 3}


def test_a_target_is_named_by_its_series_unless_it_is_given_a_name() -> None:
    series = pandas.Series(LABELS, name="load")
    assert Inspection.of_data(classifier(), X, series).targets[0].name == "load"
    assert (
        Inspection.of_data(classifier(), X, series, target_name="cargo").targets[0].name == "cargo"
    )


# Missing values --------------------------------------------------------------


def missing(pipeline: Any, data: NDArray[Any], labels: Any = LABELS) -> list[bool]:
    found = Inspection.of_data(pipeline.fit(data, labels), data, labels)
    return [column.missing for column in found.signature.columns]


def with_a_gap() -> NDArray[np.float64]:
    data = X.copy()
    data[0, 0] = NAN
    return data


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        (LogisticRegression(), [False, False]),
        (make_pipeline(SimpleImputer(), LogisticRegression()), [True, True]),
        (HistGradientBoostingClassifier(max_iter=2), [True, True]),
    ],
    ids=["logistic", "imputed", "boosting"],
)
def test_a_column_may_be_missing_where_the_pipeline_answers_without_it(
    pipeline: Any, expected: list[bool]
) -> None:
    assert missing(pipeline, X) == expected


class FirstOnly:
    """Takes a gap in its first column only, as an imputer of one column does."""

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        if np.isnan(rows[:, 1]).any():
            raise ValueError("no gap here")
        return np.nan_to_num(rows[:, 0])


class SilentlyNaN(LinearRegression):  # type: ignore[misc]
    """Takes a gap, and answers with one."""

    def predict(self, rows: NDArray[np.float64]) -> Any:
        return rows.sum(axis=1)


def test_each_column_is_probed_for_itself() -> None:
    found = Inspection.of_data(FirstOnly(), X, NUMBERS)
    assert [column.missing for column in found.signature.columns] == [True, False]


def test_an_answer_that_is_not_a_number_is_no_answer_to_a_gap() -> None:
    assert missing(SilentlyNaN(), X, NUMBERS) == [False, False]


def test_integers_that_may_be_missing_make_a_matrix_of_floats() -> None:
    data = (X * 2).astype(np.int64)
    pipeline = HistGradientBoostingClassifier(max_iter=2).fit(data, LABELS)
    found = Inspection.of_data(pipeline, data, LABELS)
    assert {column.type for column in found.signature.columns} == {"integer"}
    assert found.signature.dtype == found.golden.dtype.name == "float64"


def test_integers_without_gaps_stay_a_matrix_of_integers() -> None:
    data = (X * 2).astype(np.int64)
    found = Inspection.of_data(LogisticRegression().fit(data, LABELS), data, LABELS)
    assert found.signature.dtype == found.golden.dtype.name == "int64"


# Fractions ---------------------------------------------------------------------


class Counted(BaseEstimator):  # type: ignore[misc]
    """Sums its columns and remembers how often it was asked about fractions."""

    def __init__(self, refused: tuple[int, ...] = ()) -> None:
        self.refused = refused
        self.asked = 0

    def predict(self, X: Any) -> Any:
        rows: NDArray[np.float64] = np.asarray(X, dtype=np.float64)
        fraction: NDArray[np.bool_] = np.any(rows % 1 > 0, axis=0)
        self.asked += bool(fraction.any())
        if fraction[list(self.refused)].any():
            raise ValueError("not whole")
        return rows.sum(axis=1)


def which_take_fractions(pipeline: Any, data: Any) -> list[bool]:
    found = Inspection.of_data(pipeline, data, np.arange(len(data))).signature
    assert {column.type for column in found.columns} == {"integer"}
    return [column.open for column in found.columns]


COUNTS = np.arange(24).reshape(6, 4)


@pytest.mark.parametrize(
    ("refused", "asked"), [((), 2), ((2,), 5), ((0, 3), 5), ((0, 1, 2, 3), 5)], ids=str
)
@pytest.mark.parametrize("kind", ["int64", "uint8", "Int16"])
def test_columns_of_integers_are_asked_for_fractions_together_and_then_alone(
    kind: str, refused: tuple[int, ...], asked: int
) -> None:
    data = pandas.DataFrame(COUNTS, columns=list("abcd")).astype(kind)
    pipeline = Counted(refused)
    expected = [place not in refused for place in range(4)]
    assert which_take_fractions(pipeline, data) == expected
    assert pipeline.asked == asked
    assert which_take_fractions(Counted(refused), COUNTS) == expected


@pytest.mark.parametrize("large", [2**40, 2**60])
def test_a_column_of_large_integers_is_asked_for_a_fraction_that_floats_hold(large: int) -> None:
    pipeline = Counted()
    assert which_take_fractions(pipeline, COUNTS + large) == [True] * 4
    assert pipeline.asked == 2


def test_truths_and_known_codes_take_no_fractions() -> None:
    data = pandas.DataFrame({"truth": [True, False] * 3, "code": [1, 2, 3] * 2, "n": range(6)})
    first = ColumnTransformer([("codes", OrdinalEncoder(), ["code"])], remainder="passthrough")
    pipeline = make_pipeline(first, LinearRegression()).fit(data, NUMBERS)
    columns = Inspection.of_data(pipeline, data, NUMBERS).signature.columns
    assert [(column.type, column.open) for column in columns] == [
        *(("boolean", False), ("category", False), ("integer", True))
    ]


# Golden rows -----------------------------------------------------------------


def test_golden_rows_are_spread_over_the_data_from_the_first_to_the_last() -> None:
    data = np.linspace(0, 1, 100).reshape(-1, 1)
    labels = (data[:, 0] > 0.5).astype(int)
    golden = Inspection.of_data(LogisticRegression().fit(data, labels), data, labels).golden
    assert len(golden) == GOLDEN_ROWS
    assert (golden[0, 0], golden[-1, 0]) == (0.0, 1.0)
    gaps = np.diff(golden[:, 0])
    assert gaps.max() - gaps.min() < 0.02


def test_of_few_rows_all_are_golden() -> None:
    assert np.array_equal(Inspection.of_data(classifier(), X, LABELS).golden, X)


def test_a_row_with_a_gap_is_golden_only_where_gaps_are_answered() -> None:
    data = with_a_gap()
    imputed = make_pipeline(SimpleImputer(), LogisticRegression()).fit(data, LABELS)
    golden = Inspection.of_data(imputed, data, LABELS).golden
    assert np.isnan(golden[0, 0])
    data = X.copy()
    data[2, 1] = NAN
    golden = Inspection.of_data(FirstOnly(), data, NUMBERS).golden
    assert np.array_equal(golden, np.delete(X, 2, axis=0))


# Refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pipeline", "data", "target", "sentence"),
    [
        ({"coef": 1}, X, LABELS, r"^A dict has no predict method; publish a fitted pipeline\.$"),
        (LogisticRegression(), X, LABELS, r"is not fitted yet\. Call 'fit'"),
        (
            make_pipeline(StandardScaler(), LogisticRegression()),
            X,
            LABELS,
            r"does not predict rows of its training data: .* not fitted yet",
        ),
        (classifier(), X[:, :1], LABELS, r"expecting 2 features as input"),
        (classifier(), X[0], LABELS, r"needs the shape \(rows, columns\), got \(2,\)"),
        (classifier(), X[:0], LABELS[:0], r"needs the shape \(rows, columns\), got \(0, 2\)"),
        (classifier(), X, LABELS[:-1], r"^There are 6 rows in X, but y has the shape \(5,\)\.$"),
        (
            RandomForestClassifier(2).fit(X, np.column_stack([LABELS == "low"] * 2)),
            X,
            LABELS,
            r"^There are 6 rows in X and 2 outputs, but y has the shape \(6,\)\.$",
        ),
        (regressor(), X, LABELS, r"^The pipeline has no classes_, so y must be numeric: "),
    ],
)
def test_what_cannot_be_served_is_refused_in_words(
    pipeline: Any, data: Any, target: Any, sentence: str
) -> None:
    with pytest.raises(InvalidPipeline, match=sentence):
        Inspection.of_data(pipeline, data, target)


def test_data_of_which_no_row_could_be_sent_is_refused() -> None:
    data = X.copy()
    data[:, 1] = np.inf
    with pytest.raises(
        InvalidPipeline, match=r"missing, infinite or unknown .* impute it inside the pipe"
    ):
        Inspection.of_data(FirstOnly(), data, NUMBERS)


class Table:
    """Answers the rows 0 to 3 with what it holds."""

    def __init__(self, answers: Any, classes: Any = None, shares: Any = None) -> None:
        self.answers, self.shares = answers, shares
        if classes is not None:
            self.classes_ = classes

    def predict(self, rows: Any) -> Any:
        return self.answers if np.ndim(self.answers) == 0 else self.answers[rows[:, 0].astype(int)]


class Likely(Table):
    def predict_proba(self, rows: Any) -> Any:
        return np.full((len(rows), *self.shares), 0.5)


def labelled(*labels: Any) -> Table:
    """A pipeline whose classes are these labels."""
    classes = np.fromiter(labels, dtype=object, count=len(labels))
    return Table(classes[[0, -1, 0, -1]], classes)


def test_one_target_that_is_a_column_has_its_probabilities(empty: ModelStore) -> None:
    rows, y = np.arange(4.0).reshape(-1, 1), np.array([["a"], ["b"], ["a"], ["b"]])
    pipeline = MultiOutputClassifier(DecisionTreeClassifier()).fit(rows, y)
    empty.publish("m", pipeline, rows, y)
    prediction = empty.load(empty.verify("m")).predict(rows[:1])
    assert prediction.labels.tolist() == ["a"]
    assert [shares.tolist() for shares in prediction.probabilities or ()] == [[[1.0, 0.0]]]


AB = np.array(["a", "b"])
NO_CLASS = (
    r"^A class must be a text, a finite number of 64 bits, a boolean or a date; {}; convert y"
)
APART = r"^The classes {} cannot be told apart once they are written; rename one of them in y"

REFUSED: dict[str, tuple[Table, str]] = {
    "bytes": (labelled(b"a", b"b"), NO_CLASS.format("b'a' is of the type bytes")),
    "time spans": (
        Table(np.array([1, 2, 1, 2], "m8[s]"), np.array([1, 2], "m8[s]")),
        NO_CLASS.format(r"np.timedelta64\(1,'s'\) is of the type timedelta64"),
    ),
    "None": (labelled("a", None), NO_CLASS.format("None is a missing value")),
    "NaN": (labelled("a", np.nan), NO_CLASS.format("nan is a missing value")),
    "infinity": (labelled(1.5, np.inf), NO_CLASS.format("inf is no finite number")),
    "no date": (
        Table(np.array(["NaT", "2024"] * 2, "M8[D]"), np.array(["2024", "NaT"], "M8[D]")),
        NO_CLASS.format("nan is a missing value"),
    ),
    "a large integer": (labelled(2**64, 1), NO_CLASS.format(".* is an integer beyond 64 bits")),
    "a decimal that no float is": (
        labelled(Decimal(1) / 3, Decimal(1)),
        NO_CLASS.format(".* is of the type Decimal"),
    ),
    "half a character": (labelled("\ud800", "a"), NO_CLASS.format(".* UTF-8 cannot hold")),
    "tuples": (labelled((1, 2), (3, 4)), NO_CLASS.format(r"\(1, 2\) is of the type tuple")),
    "a text and its number": (labelled(1, "1"), APART.format("1 and '1'")),
    "a truth and its number": (labelled(True, 1), APART.format("True and 1")),
    "other than its classes": (
        Table(np.array(["a", "b", "c", "a"]), AB),
        "^The pipeline answers a row of its training data with 'c', which is none of its classes_",
    ),
    "a label in another type": (
        Table(np.array(["0", "1", "0", "1"]), np.array([0, 1])),
        "with '0', which is none of its classes_",
    ),
    "another of two targets": (
        Table(np.array([["a", 1], ["b", 7]] * 2), [AB, np.array([0, 1])]),
        "with '7', which is none of its classes_",
    ),
    "texts without classes": (
        Table(np.array(["a", "b", "c", "d"])),
        "^The pipeline answers with 'a' and has no classes_: a regression tells numbers",
    ),
    "complex numbers": (Table(np.array([1j, 2, 3, 4])), r"1j\) and has no classes_"),
    "dates without classes": (Table(np.array(["2024"] * 4, "M8[D]")), "'2024-01-01' and has no"),
    "no number": (Table(np.array([1, np.nan, 2, 3], object)), "no finite number"),
    "one answer": (
        Table(np.array(1.0)),
        r"answers 4 rows with the shape \(\), and should",
    ),
    "too many shares": (
        Likely(np.array(["a", "b"] * 2), AB, (3,)),
        "^predict_proba tells 3 probabilities of a row, and classes_ has 2 classes",
    ),
    "no shares": (Likely(np.array(["a", "b"] * 2), AB, ()), "tells no probabilities of a row"),
}


@pytest.mark.parametrize(("pipeline", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_no_client_could_be_told_is_refused_with_the_label(
    pipeline: Table, sentence: str
) -> None:
    with pytest.raises(InvalidPipeline, match=sentence):
        Inspection.of_data(pipeline, np.arange(4.0).reshape(-1, 1))


def test_names_that_differ_from_those_of_the_frame_are_refused(empty: ModelStore) -> None:
    X = pandas.DataFrame({"a": [0.0, 1.0], "b": [1.0, 0.0]})
    y = np.array([0, 1])
    with pytest.raises(InvalidPipeline, match="leave feature_names out"):
        empty.publish("m", DecisionTreeClassifier().fit(X, y), X, y, feature_names=["c", "d"])


def test_nullable_columns_of_a_frame_are_numbers_and_missing_values(empty: ModelStore) -> None:
    nullable = pandas.array([1, None, 3, 4], dtype="Int64")
    X = pandas.DataFrame({"a": nullable, "b": [1.0, 2, 3, 4]})
    y = np.array([0, 0, 1, 1])
    manifest = empty.publish("m", DecisionTreeClassifier().fit(X, y), X, y)
    assert [column.missing for column in manifest.signature.columns] == [True, True]


@pytest.mark.parametrize("encoder", [OneHotEncoder, OrdinalEncoder, TargetEncoder])
@pytest.mark.parametrize("named", [False, True])
def test_numbers_that_were_objects_in_training_are_objects_again(
    encoder: Any, named: bool, empty: ModelStore
) -> None:
    rows: Any = np.array([[3], [1], [2]] * 10, dtype=object)
    rows = pandas.DataFrame(rows, columns=["size"]) if named else rows
    labels = np.array(["no", "yes", "no"] * 10)
    pipeline = make_pipeline(encoder(categories=[[3, 1, 2]]), DecisionTreeClassifier())
    empty.publish("m", pipeline.fit(rows, labels))
    model = empty.load(empty.verify("m"))
    model.replay()
    (name,) = model.manifest.signature.names
    assert model.manifest.signature.columns[0].dtype == "object"
    assert model.answer({name: [1, 2, 3]}, 3).labels.tolist() == ["yes", "no", "no"]


class Emptied(LinearRegression):  # type: ignore[misc]
    """A regression that has a list of classes, and none in it, as CatBoost's."""

    classes_ = np.array([])


def test_an_empty_list_of_classes_is_that_of_a_regression(empty: ModelStore) -> None:
    pipeline = Emptied().fit(X, X[:, 0])
    manifest = empty.publish("m", pipeline, X, X[:, 0])
    assert (manifest.task, manifest.targets[0].classes) == ("regression", None)
    assert len(empty.load(empty.verify("m")).predict(X)) == len(X)
