"""What cannot be published is refused in a sentence of ours that names the column and the value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from model_store import ModelStore
from model_store.errors import InvalidPipeline

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]] * 3)
Y = [0, 1] * 6
FRAME = pandas.DataFrame(X, columns=["a", "b"])


def of_any(X: Any, y: Any = Y) -> Any:
    """A pipeline that takes whatever it is given."""
    return DummyClassifier(strategy="most_frequent").fit(np.zeros((len(Y), 2)), y)


def of_numbers(X: Any) -> Any:
    return LogisticRegression().fit(np.asarray(FRAME), Y)


def of_texts(X: Any) -> Any:
    return make_pipeline(CountVectorizer(), LogisticRegression()).fit(["aa bb", "cc"] * 6, Y)


def unfitted(X: Any) -> Any:
    return LogisticRegression()


def picked(rows: Any) -> Any:
    return rows[["a"]]


def by_name(X: Any) -> Any:
    return make_pipeline(FunctionTransformer(picked), LogisticRegression()).fit(FRAME, Y)


def types(rows: Any) -> Any:
    """Tells the texts of numpy from Python's, which no client can send."""
    return np.vectorize(lambda value: float(type(value) is np.str_))(np.asarray(rows))


class Types(BaseEstimator):  # type: ignore[misc]
    def fit(self, X: Any, y: Any = None) -> Types:
        self.fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        return types(X).sum(axis=1)


def of_types(X: Any) -> Any:
    return Types().fit(X)


class Pairs(Types):
    def predict(self, X: Any) -> Any:
        if len(X) < 2:
            raise ValueError("two at least")
        return np.zeros(len(X))


class Broken(Types):
    @property
    def classes_(self) -> Any:
        raise RuntimeError("no classes today")


def broken(X: Any) -> Any:
    return Broken().fit(X)


def in_pairs(X: Any) -> Any:
    return Pairs().fit(X)


def with_values(values: Any) -> pandas.DataFrame:
    return FRAME.assign(a=values)


def with_types() -> Any:
    rows = np.full((12, 20), "x", dtype=object)
    rows[:, 13] = [np.str_("y")] * 12
    return rows


KINDS = r"^The column a holds values of several kinds, or of one that is not known: "

DATA: dict[str, tuple[Any, Callable[[Any], Any], str]] = {
    "complex numbers": (with_values(X[:, 0] * 1j), of_any, rf"{KINDS}complex \(row 0: 0j\); make"),
    "spans of time": (
        with_values(pandas.to_timedelta(X[:, 0], unit="s")),
        of_any,
        rf"{KINDS}Timedelta \(row 0: Timedelta\('0 days",
    ),
    "periods": (
        with_values(pandas.period_range("2020-01", periods=12, freq="M")),
        of_any,
        rf"{KINDS}Period \(row 0: Period\('2020-01', 'M'\)\)",
    ),
    "intervals": (with_values(pandas.interval_range(0, 12)), of_any, rf"{KINDS}Interval \(row 0: "),
    "intervals as categories": (
        with_values(pandas.cut(FRAME["a"], 3)),
        of_any,
        r"^A category of a must be a text or a number, got Interval",
    ),
    "lists": (with_values([[1, 2]] * 12), of_any, rf"{KINDS}list \(row 0: \[1, 2\]\)"),
    "bytes": (with_values([b"x"] * 12), of_any, rf"{KINDS}bytes \(row 0: b'x'\)"),
    "decimals": (with_values([Decimal("1.5")] * 12), of_any, rf"{KINDS}Decimal"),
    "times": (with_values([time(1, 2)] * 12), of_any, rf"{KINDS}time"),
    "numbers and texts": (
        with_values([None, 1, "b"] * 4),
        of_any,
        rf"{KINDS}int \(row 1: 1\), str \(row 2: 'b'\); make them texts, numbers, booleans or",
    ),
    "times with a zone and without": (
        with_values([datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)] * 6),
        of_any,
        r"^The values of the column a do not go together, as times with a zone and without",
    ),
    "an array of complex numbers": (
        X * 1j,
        of_any,
        r"must be numbers, .* got the dtype complex128",
    ),
    "rows that differ": (
        [[1, 2], [3, 4], [5]],
        of_any,
        r"^Training data is a table: row 0 has 2 values, and row 2 has 1\.$",
    ),
    "records": (
        np.array([(1, 2.0)] * 12, dtype=[("a", int), ("b", float)]),
        of_any,
        r"^The training data is an array of records with the fields a, b; give a DataFrame of it",
    ),
    "a dict": ({"a": [1]}, of_any, r"^Training data is an array .*, got a dict\.$"),
    "three dimensions": (X.reshape(2, 3, 4), of_any, r"needs the shape \(rows, columns\), got \(2"),
    "a huge sparse matrix": (
        sparse.csr_matrix((10_000, 1_000_000)),
        of_any,
        r"^Sparse training data of the shape \(10000, 1000000\) would have 10000000000 values",
    ),
    "names that stand twice": (
        pandas.DataFrame(X, columns=["a", "a"]),
        of_any,
        r"^Column names must differ; more than once: a\.$",
    ),
    "a text that is missing": (
        ["aa bb", None, "cc"] * 4,
        of_texts,
        r"only texts may come as a list, and row 1 is None\.$",
    ),
    "a table for a vectorizer": (
        pandas.DataFrame({"t": ["aa bb", "cc"] * 6}),
        of_texts,
        r"answers 8 rows with the shape \(1,\), .* takes a list of texts",
    ),
    "no fit": (X, unfitted, r"^The pipeline does not .*: it is not fitted; .* It said: NotFittedE"),
    "fewer columns": (
        X[:, :1],
        of_numbers,
        r": it takes 2 columns, and the data has 1: x0\. It sai",
    ),
    "a text for a number": (
        with_values(["x"] * 12),
        of_numbers,
        r": it has no answer to 'x' in the column a, and has one to another value there; .* It sa",
    ),
    "a column that a step wants": (
        FRAME[["b"]].rename(columns={"b": "c"}),
        lambda X: by_name(X).set_params(functiontransformer__func=picked),
        r"lacks the columns a",
    ),
    "a type that no client sends, in an array": (
        with_types(),
        of_types,
        r"^The pipeline answers row 0 of its training data with 1\.0, and with 0\.0 when the same "
        r"values come from a client: of the column x13 it was fitted on 'y' \(str_\), and gets 'y' "
        r"\(str\); fit it on",
    ),
    "a pipeline that raises where it is looked at": (
        X,
        broken,
        r"^The pipeline cannot be looked at with this data; .* It said: RuntimeError: no classes",
    ),
    "rows that are not answered alone": (
        X,
        in_pairs,
        r": it answers several together, and none alone, as a client may ask\. It said: ValueError",
    ),
}


@pytest.mark.parametrize("case", DATA)
def test_what_cannot_be_served_is_refused_in_words_that_name_it(
    case: str, empty: ModelStore
) -> None:
    data, fitted, sentence = DATA[case]
    with pytest.raises(InvalidPipeline, match=sentence):
        empty.publish("m", fitted(data), data)
    assert empty.models() == []
