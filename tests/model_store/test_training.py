"""What training data tells of its columns, as numpy has it, as a DataFrame and as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model_store import Column, ModelStore
from model_store.errors import InvalidPipeline
from model_store.structure import Hint
from model_store.training import Training

NAN, INF = np.nan, np.inf


def described(data: Any, hint: Hint | None = None) -> Column:
    """The only column of data with one."""
    (found,) = Training.of(data).columns([hint or Hint()])
    return found


def column(data: Sequence[Any] | NDArray[Any]) -> Column:
    return described(np.asarray(data).reshape(-1, 1))


def objects(*values: Any) -> NDArray[Any]:
    return np.array([[value] for value in values], dtype=object)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([1.5, 2.5, 9.0], (1.5, 9.0, 2.5)),
        ([1.0, 2.0, 3.0, 4.0], (1.0, 4.0, 2.0)),
        ([NAN, 2.0, INF], (2.0, 2.0, 2.0)),
        ([NAN, NAN], (None, None, None)),
    ],
)
def test_the_ranges_are_of_the_finite_values(
    data: list[float], expected: tuple[float | None, ...]
) -> None:
    found = column(data)
    assert (found.minimum, found.maximum, found.typical) == expected
    assert found.type == "number"


@pytest.mark.parametrize(
    ("data", "step"),
    [
        ([1.0, 2.0, 300.0], 1.0),
        ([5.1, 3.5, 4.0], 0.1),
        ([0.25, NAN, 0.5], 0.01),
        ([1234567.123, 0.001], 0.001),
        ([0.1 + 0.2], None),  # not what a person enters
        ([np.pi, 1.0], None),
        ([1e300, 0.5], 0.1),
        (np.array([5.1, 3.5], dtype=np.float32), 0.1),
        ([7, 21], 1),
        ([NAN], None),
    ],
)
def test_the_step_is_the_last_decimal_of_the_data(
    data: Sequence[float], step: float | None
) -> None:
    assert column(data).step == step


@pytest.mark.parametrize("count", range(1, 12))
def test_the_quartiles_are_values_of_the_data(count: int) -> None:
    values = np.random.default_rng(count).permutation(count) * 10
    found = column(values)
    expected = np.quantile(values, (0.25, 0.5, 0.75), method="inverted_cdf")
    assert found.quartiles == tuple(expected.tolist())
    assert found.quartiles is not None
    assert found.quartiles[1] == found.typical
    assert {type(each) for each in found.quartiles} == {int}


def test_what_is_no_number_has_neither_step_nor_quartiles() -> None:
    for found in (column(["a", "b", "a"]), column([True, False])):
        assert (found.step, found.quartiles) == (None, None)


def test_training_on_integers_gives_integer_columns_and_an_integer_matrix() -> None:
    training = Training.of(np.array([[1, 2], [3, 2**53 + 1]]))
    columns = training.columns([])
    assert [found.type for found in columns] == ["integer", "integer"]
    assert training.dtype == "int64"
    assert columns[1].maximum == 2**53 + 1
    assert all(type(found.typical) is int for found in columns)


def test_single_precision_stays_single() -> None:
    assert Training.of(np.array([[0.5]], dtype=np.float32)).dtype == "float32"


def test_whole_numbers_in_a_table_of_floats_are_no_integers() -> None:
    assert column([1.0, 2.0]).type == "number"


@pytest.mark.parametrize(
    ("names", "expected"), [(None, ("x0", "x1")), (["a", "b"], ("a", "b")), ([1, 2], ("1", "2"))]
)
def test_columns_are_named_as_given_or_counted(names: Any, expected: tuple[str, ...]) -> None:
    assert Training.of([[1.0, 2.0]], names).names == expected


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a"], r"^There are 2 columns, but 1 names for them\.$"),
        (["a", "a"], r"^Column names must differ; more than once: a\.$"),
    ],
)
def test_names_that_do_not_fit_the_columns_are_refused(names: list[str], sentence: str) -> None:
    with pytest.raises(InvalidPipeline, match=sentence):
        Training.of([[1.0, 2.0]], names)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([1.0, 2.0], r"^Training data needs the shape \(rows, columns\), got \(2,\); only texts"),
        ([], r"got \(0,\)\.$"),
        (np.empty((0, 3)), r"got \(0, 3\)\.$"),
        (np.empty((3, 0)), r"got \(3, 0\)\.$"),
        (np.zeros((2, 2, 2)), r"got \(2, 2, 2\)\.$"),
        (5.0, r"got a float\.$"),
        ([[1.0, 2.0], [3.0]], r"table: row 0 has 2 values, and row 1 has 1\.$"),
        ([[1 + 1j]], r"must be numbers, texts, booleans or dates, got the dtype complex128\.$"),
        (pandas.DataFrame(), r"^The training data has no columns\.$"),
        (pandas.DataFrame({"a": []}), r"^There are no rows in the training data\.$"),
    ],
)
def test_training_data_that_is_no_table_is_refused(data: Any, sentence: str) -> None:
    with pytest.raises(InvalidPipeline, match=sentence):
        Training.of(data)


@pytest.mark.parametrize("name", ["", "a\nb", "a\x00", "\x7f"])
def test_a_column_name_that_no_form_could_send_is_refused(name: str) -> None:
    with pytest.raises(InvalidPipeline, match="control characters"):
        Training.of(np.ones((2, 2)), ["a", name])


# Kinds ------------------------------------------------------------------------

DAY = date(2024, 5, 1)
MOMENT = datetime(2024, 5, 1, 8, 30)


@pytest.mark.parametrize(
    ("data", "kind", "dtype", "typical"),
    [
        (objects(1, 2, 2), "integer", "object", 2),
        (objects(1, 2.5, NAN), "number", "object", 1.0),
        (objects("a", "b", "b", NAN), "category", "object", "b"),
        (objects("a", "b", "c"), "text", "object", "b"),
        (objects(*(f"word {i % 30}" for i in range(60))), "text", "object", "word 19"),
        (objects(True, False, True, None), "boolean", "object", True),
        (objects(DAY, DAY), "date", "date", "2024-05-01"),
        (objects(MOMENT, MOMENT), "date", "datetime", "2024-05-01T08:30:00"),
        (objects("2024-05-01", "2024-05-03", "2024-05-02"), "date", "object", "2024-05-02"),
        (np.array([[True], [False], [False]]), "boolean", "bool", False),
        (np.array([["2024-05-01"]], dtype="datetime64[D]"), "date", "datetime64[D]", "2024-05-01"),
        (np.array([["a"], ["a"], ["b"]]), "category", "object", "a"),
        (pandas.DataFrame({"a": [1, 2]}), "integer", "int64", 1),
        (pandas.DataFrame({"a": [1.5, NAN]}), "number", "float64", 1.5),
        (pandas.DataFrame({"a": [True, False, False]}), "boolean", "bool", False),
        (pandas.DataFrame({"a": pandas.array([1, None], "Int64")}), "integer", "Int64", 1),
        (
            pandas.DataFrame({"a": pandas.array([True, None], "boolean")}),
            "boolean",
            "boolean",
            True,
        ),
        (pandas.DataFrame({"a": pandas.array(["x", "x"], "string")}), "category", "string", "x"),
        (pandas.DataFrame({"a": pandas.Categorical(["x", None])}), "category", "category", "x"),
        (pandas.DataFrame({"a": pandas.Categorical([3, 5, 5])}), "category", "category", 5),
        (
            pandas.DataFrame({"a": pandas.to_datetime(["2024-05-01"])}).astype("datetime64[ns]"),
            "date",
            "datetime64[ns]",
            "2024-05-01",
        ),
        (
            pandas.DataFrame({"a": [datetime(2024, 5, 1, tzinfo=UTC)]}).astype(
                "datetime64[ns, UTC]"
            ),
            "date",
            "datetime64[ns, UTC]",
            "2024-05-01T00:00:00+00:00",
        ),
    ],
)
def test_a_column_is_of_the_kind_of_its_values(
    data: Any, kind: str, dtype: str, typical: Any
) -> None:
    found = described(data)
    assert (found.type, found.dtype, found.typical) == (kind, dtype, typical)
    assert type(found.typical) is type(typical)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((1, "a"), r"int \(row 0: 1\), str \(row 1: 'a'\)"),
        ((b"a", b"b"), r"bytes \(row 0: b'a'\)"),
        (([1], [2]), r"list \(row 0: \[1\]\)"),
        ((1 + 1j,), r"complex \(row 0: \(1\+1j\)\)"),
    ],
)
def test_a_column_of_another_or_of_several_kinds_is_refused_by_its_name(
    values: Sequence[Any], told: str
) -> None:
    data = np.empty((len(values), 1), dtype=object)
    data[:, 0] = values
    with pytest.raises(InvalidPipeline, match=rf"^The column x0 holds .*known: {told}; make them"):
        described(data)


def test_what_an_encoder_knows_are_the_categories() -> None:
    found = described(objects("b", "b", "a"), Hint(categories=("a", "b", "c")))
    assert (found.type, found.categories) == ("category", ("a", "b", "c"))
    found = described(np.array([[1], [2]]), Hint(categories=(1, 2, 3)))
    assert (found.type, found.categories, found.typical) == ("category", (1, 2, 3), 1)


def test_what_a_vectorizer_reads_is_text() -> None:
    assert described(objects("a", "a", "a"), Hint(text=True)).type == "text"


def test_a_list_of_texts_has_one_column() -> None:
    training = Training.of(["good", "bad"])
    assert (training.names, training.container) == (("text",), "texts")


TEXTS_AND_COUNTS = np.array([["a", 1], ["b", 2], ["a", 3]] * 10, dtype=object)


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({}, ["category", "integer"]),
        ({"code": "text"}, ["text", "integer"]),
        ({"count": "number"}, ["category", "number"]),
        ({"code": "text", "count": "number"}, ["text", "number"]),
    ],
)
def test_who_publishes_says_what_columns_are(
    types: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    steps = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [0]))
    pipeline = make_pipeline(steps, LogisticRegression())
    pipeline.fit(TEXTS_AND_COUNTS, (TEXTS_AND_COUNTS[:, 1] == 1).astype(int))
    manifest = ModelStore(tmp_path).publish(
        "m", pipeline, TEXTS_AND_COUNTS, feature_names=["code", "count"], types=types
    )
    assert [column.type for column in manifest.signature.columns] == expected


@pytest.mark.parametrize("null", ["none", "nan"])
def test_who_publishes_says_which_missing_value_a_column_had(null: str, tmp_path: Path) -> None:
    steps = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [0]))
    pipeline = make_pipeline(steps, LogisticRegression())
    pipeline.fit(TEXTS_AND_COUNTS, (TEXTS_AND_COUNTS[:, 1] == 1).astype(int))
    manifest = ModelStore(tmp_path).publish("m", pipeline, TEXTS_AND_COUNTS, missing={"x0": null})
    column = manifest.signature.columns[0]
    assert (column.null, column.missing) == (null, True)


@pytest.mark.parametrize(
    ("X", "missing", "sentence"),
    [
        (TEXTS_AND_COUNTS, {"x9": "nan"}, r"missing: there is no column 'x9' in X; it has x0, x1"),
        (TEXTS_AND_COUNTS, {"x0": "0"}, r"missing: x0: expected one of nan, none, na, got '0'\."),
        (None, {"x0": "nan"}, r"missing says what columns of X are, and there is no X"),
    ],
)
def test_a_missing_value_of_what_is_not_there_is_refused(
    X: Any, missing: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    pipeline = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    with pytest.raises(InvalidPipeline, match=sentence):
        ModelStore(tmp_path).publish("m", pipeline, X, missing=missing)


@pytest.mark.parametrize(
    ("X", "types", "sentence"),
    [
        (TEXTS_AND_COUNTS, {"x9": "text"}, r"there is no column 'x9' in X; it has x0, x1\."),
        (TEXTS_AND_COUNTS, {"x0": "zip"}, r"x0: expected one of boolean, .*, text, got 'zip'\."),
        (None, {"x0": "text"}, r"there is no X"),
    ],
)
def test_types_of_what_is_not_there_are_refused(
    X: Any, types: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    pipeline = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    with pytest.raises(InvalidPipeline, match=sentence):
        ModelStore(tmp_path).publish("m", pipeline, X, types=types)
