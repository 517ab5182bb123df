"""What a pipeline wants its rows in is found out by asking it for the rows as they were given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from model_store import ModelStore
from model_store.answers import differing
from model_store.errors import InvalidPipeline
from model_store.model import Prediction
from model_store.training import Training
from model_store.trial_rows import MOST, trial_rows

RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.uniform(0.0, 1.0, (40, 2))
FRAME = pandas.DataFrame({"w": NUMBERS[:, 0], "grade": RANDOM.choice([1.0, 2.0, 3.0], 40)})
Y = FRAME["grade"].map({1.0: 100.0, 2.0: 1000.0, 3.0: 5.0}).to_numpy()
TEXTS = ["Good day", "bad day", "GOOD night", "Bad night"] * 10
MOODS = ["+", "-", "+", "-"] * 10


class Step(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A step that keeps no names of columns, as most that people write do not."""

    def fit(self, X: Any, y: Any = None) -> Step:
        self.fitted_ = True
        return self


class Codes(Step):
    """Maps a column that it knows by name, and leaves an array as it is."""

    def transform(self, X: Any) -> Any:
        X = pandas.DataFrame(X).copy()
        if "grade" in X:
            X["grade"] = X["grade"].map({1: 100, 2: 1000, 3: 5})
        return X.to_numpy(dtype=float)


class Rare(Step):
    """Maps one value alone in a column that it knows by name, and leaves an array as it is."""

    def transform(self, X: Any) -> Any:
        X = pandas.DataFrame(X).copy()
        if "code" in X:
            X.loc[X["code"] == 777, "code"] = -1e6
        return X.to_numpy(dtype=float)


class Drop(Step):
    """Leaves a column out by its name, and fails with an array."""

    def transform(self, X: Any) -> Any:
        return X.drop(columns=["w"])


def lower(texts: Any) -> Any:
    return texts.str.lower()


def dense(rows: Any) -> Any:
    return rows.tocsr().toarray()


class Whole(Step):
    """Does not ask for names."""

    def transform(self, X: Any) -> Any:
        return np.asarray(X) * 1.0


def rare_codes() -> pandas.DataFrame:
    codes = np.full(2000, 5.0)
    codes[1234] = 777.0
    return pandas.DataFrame({"code": codes, "v": RANDOM.uniform(0.0, 1.0, 2000)})


RARE = rare_codes()


CONTAINERS = {
    "numbers of an array": (StandardScaler(), NUMBERS, "matrix"),
    "numbers of a frame that keeps names": (StandardScaler(), FRAME, "frame"),
    "a frame whose names nobody needs": (Whole(), FRAME, "matrix"),
    "names that change an answer": (Codes(), FRAME, "frame"),
    "names that an array has not": (Drop(), FRAME, "frame"),
    "names that change the answer to one row of many": (Rare(), RARE, "frame"),
    "a sparse matrix that may be dense": (StandardScaler(with_mean=False), "sparse", "matrix"),
    "a sparse matrix that may not": (
        FunctionTransformer(dense, accept_sparse=True),
        "sparse",
        "sparse",
    ),
    "a list of texts": (CountVectorizer(), TEXTS, "texts"),
    "a Series of texts": (CountVectorizer(), pandas.Series(TEXTS), "texts"),
    "a Series that may be no array": (
        make_pipeline(FunctionTransformer(lower), CountVectorizer()),
        pandas.Series(TEXTS),
        "series",
    ),
}


@pytest.mark.parametrize("case", CONTAINERS)
def test_the_cheapest_container_that_gets_the_answers_of_training_serves(
    case: str, empty: ModelStore
) -> None:
    first, X, container = CONTAINERS[case]
    X = sparse.coo_matrix(np.where(NUMBERS > 0.5, NUMBERS, 0.0)) if isinstance(X, str) else X
    rows = X.shape[0] if hasattr(X, "shape") else len(X)
    y: Any = Y if rows == len(Y) else np.where(X["code"] == 777.0, -10.0, X["v"])
    pipeline = make_pipeline(first, DecisionTreeRegressor(random_state=0))
    if container in {"texts", "series"}:
        pipeline, y = make_pipeline(first, LogisticRegression()), MOODS
    pipeline.fit(X, y)
    signature = empty.publish("m", pipeline, X, y).signature
    assert signature.container == container
    model = empty.load(empty.verify("m"))
    model.replay()
    training = Training.of(X)
    values = {
        column.name: feature.values.tolist()
        for column, feature in zip(signature.columns, training.features, strict=True)
    }
    assert model.answer(values, rows).labels.tolist() == pipeline.predict(X).tolist()


# Rows to try -----------------------------------------------------------------


def test_rows_to_try_hold_what_is_odd_of_each_column() -> None:
    rows = 5000
    numbers = RANDOM.uniform(0.0, 1.0, rows)
    numbers[[17, 4017]] = -9.0, 9.0
    gaps = RANDOM.uniform(0.0, 1.0, rows)
    gaps[3017] = np.nan
    ids = np.full(rows, 4)
    ids[2017] = 5
    texts = np.full(rows, "many", dtype=object)
    texts[[1017, 1018, 1019]] = "few", None, 3
    labels = np.full(rows, "no", dtype=object)
    labels[4321] = "vip"
    X = np.column_stack([numbers, gaps, ids, texts]).astype(object)
    tried = trial_rows(Training.of(X), labels)
    assert {17, 4017, 3017, 2017, 1017, 1018, 1019, 4321} <= set(tried)
    assert len(tried) <= MOST
    assert tried == sorted(set(tried)) == trial_rows(Training.of(X), labels)


def test_rows_to_try_are_all_of_few_and_bounded_for_wide_tables() -> None:
    assert trial_rows(Training.of(NUMBERS)) == list(range(40))
    wide = RANDOM.uniform(0.0, 1.0, (400, 1500))
    assert len(trial_rows(Training.of(wide), np.arange(400))) == MOST


# When answers are one ----------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["a", "c"], False),
        (["1", "2"], [1, 2], False),
        ([1, 2], [1.0, 2.0], True),
        ([1, 2], [1.0, 2.5], False),
        ([1.0, np.nan], [1.0, np.nan], True),
        ([1.0, 2.0], [1.0, 2.0 * (1 + 1e-12)], True),
        ([1.0, 2.0], [1.0, 2.0 * (1 + 1e-7)], False),
        ([1e9, 1e-9], [1e9, 2e-9], True),
        ([2**62, 0], [2**62 + 1, 0], False),
        (["a", None], ["a", None], True),
        (["a", None], ["a", np.nan], False),
        ([True, False], [True, False], True),
        ([["a", "b"], ["c", "d"]], [["a", "b"], ["c", "e"]], False),
        (np.array([1, 2], np.float32) / 3, np.array([1, 2], np.float32) / 3 * 1.000001, True),
        (["a", "b"], ["a"], False),
    ],
)
def test_answers_are_compared_as_what_they_are(one: Any, other: Any, same: bool) -> None:
    def answers(labels: Any) -> Prediction:
        if isinstance(labels, np.ndarray):
            return Prediction(labels, None)
        array = np.array(labels)
        texts = any(value is None for value in labels)
        return Prediction(np.array(labels, dtype=object) if texts else array, None)

    assert bool(differing(answers(one), answers(other)).any()) is not same


# What is refused ---------------------------------------------------------------


def by_position(rows: Any) -> Any:
    return rows[[0]]


def by_characters(texts: Any) -> Any:
    return np.char.lower(texts)


def index_of(rows: Any) -> Any:
    """Answers with where a row stood in the table of training."""
    return np.asarray(rows.index, dtype=float)[:, None]


REFUSED = {
    "names that are no texts": (
        FunctionTransformer(by_position),
        pandas.DataFrame(NUMBERS),
        Y,
        r"^The pipeline fails on row 0 of its training data when the same values come from a "
        r"client, as an array or as a DataFrame with texts for names; fit it on one of these\. It "
        r"said: KeyError: ",
    ),
    "texts of another dtype": (
        make_pipeline(FunctionTransformer(by_characters), CountVectorizer()),
        np.array(TEXTS),
        Y,
        r"as an array of objects; fit it on a list of texts, or on a DataFrame\. It said: ",
    ),
    "the index of the rows": (
        FunctionTransformer(index_of),
        FRAME[::-1],
        Y,
        r"^The pipeline answers row 1 of its training data with 5.0, and with .* when the same "
        r"values come from a client, as an array or as a DataFrame",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_where_no_container_gets_the_answers_of_training_it_is_refused(
    case: str, empty: ModelStore
) -> None:
    first, X, y, sentence = REFUSED[case]
    pipeline = make_pipeline(first, DecisionTreeRegressor(random_state=0)).fit(X, y)
    with pytest.raises(InvalidPipeline, match=sentence):
        empty.publish("m", pipeline, X, y)
    assert empty.models() == []
