"""The columns that keep a row from an answer."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model_store import Model, ModelStore
from model_store.culprits import culprits
from model_store.errors import Unanswerable

KNOWN = np.zeros(4)


@given(st.lists(st.booleans(), min_size=4, max_size=4))
def test_a_column_is_to_blame_if_it_alone_is_wrong(wrong: list[bool]) -> None:
    row = np.array([wrong], dtype=float)
    found = culprits(row, KNOWN, lambda other: not other.any())
    assert found == ([wrong.index(True)] if sum(wrong) == 1 else [] if any(wrong) else [0, 1, 2, 3])


def test_each_of_two_is_to_blame_for_what_they_are_together() -> None:
    found = culprits(np.array([[1.0, 1, 1, 0]]), KNOWN, lambda other: other[0, :2].sum() < 2)
    assert found == [0, 1]


def test_what_was_found_is_told_where_there_was_no_time_for_all() -> None:
    def slowly(other: NDArray[Any]) -> bool:
        time.sleep(0.02)
        return True

    assert culprits(np.ones((1, 4)), KNOWN, slowly, seconds=-1) == []
    assert culprits(np.ones((1, 4)), KNOWN, slowly, seconds=0.01) == [0]
    assert culprits(np.ones((1, 4)), KNOWN, slowly, seconds=0.01, order=[2, 0, 1, 3]) == [2]


class Picky(LogisticRegression):  # type: ignore[misc]
    """Has no answer where a value of the first column is 13, or both are above 100."""

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        if (X[:, 0] == 13).any() or (X > 100).all(axis=1).any():
            raise ValueError("secret /etc/hostname SETTING=1")
        return np.asarray(super().predict(X))


@pytest.fixture
def picky(tmp_path: Any) -> Model:
    rows = np.array([[1.0, 2.0], [2.0, 1.0], [5.0, 6.0], [6.0, 5.0]])
    store = ModelStore(tmp_path)
    store.publish("picky", Picky().fit(rows, [0, 0, 1, 1]), rows, np.array([0, 0, 1, 1]))
    model = store.load(store.verify("picky"))
    return Model(model.manifest, model.pipeline, model.sample)


NO_ANSWER = "The model picky has no answer to these values"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([[13, 1]], f"{NO_ANSWER}; with another value of x0 it has one."),
        ([[200, 300]], f"{NO_ANSWER}; with another value of x0 or x1 it has one."),
        ([[13, 1], [1, 1]], f"{NO_ANSWER}."),
    ],
)
def test_the_sentence_names_the_columns_of_one_row_and_none_of_what_the_pipeline_said(
    rows: list[list[float]], sentence: str, picky: Model
) -> None:
    with pytest.raises(Unanswerable) as raised:
        picky.predict(np.array(rows, dtype=float))
    assert str(raised.value) == sentence
    assert raised.value.words == "ValueError: secret /etc/hostname SETTING=1"
    assert raised.value.told == f"{sentence} ValueError: secret /etc/hostname SETTING=1"
    assert isinstance(raised.value.__cause__, ValueError)
