"""Thousands of columns: alike ones are asked about together, and what differs is still found."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from model_store.alike import EACH, FEW, alike, sift
from model_store.inspection import Inspection

ROWS = 24
WIDE = 200


def numbers(columns: int) -> pandas.DataFrame:
    values = np.random.default_rng(0).normal(size=(ROWS, columns))
    return pandas.DataFrame(values, columns=[f"c{i}" for i in range(columns)])


ANSWERS = np.arange(ROWS) % 2


def which_may_be_missing(pipeline: Any, data: pandas.DataFrame) -> list[bool]:
    found = Inspection.of_data(pipeline, data, ANSWERS).signature
    return [column.missing for column in found.columns]


class Particular(BaseEstimator):  # type: ignore[misc]
    """Refuses what is missing in some of its columns, tells nothing of them, and counts."""

    def __init__(self, refused: Sequence[int] = ()) -> None:
        self.refused = refused
        self.asked = 0

    def predict(self, X: Any) -> NDArray[Any]:
        self.asked += 1
        rows = np.asarray(X, dtype=float)
        if np.isnan(rows[:, list(self.refused)]).any():
            raise ValueError("missing")
        return np.asarray(np.nansum(rows, axis=1))


@pytest.mark.parametrize("refused", ["none", "all", "the second half"])
def test_more_columns_of_one_kind_are_no_more_questions(refused: str) -> None:
    asked = []
    for columns in (WIDE, 4 * WIDE):
        those = {"none": range(0), "all": range(columns)}.get(refused, range(columns // 2, columns))
        pipeline = Particular(those)
        expected = [place not in those for place in range(columns)]
        assert which_may_be_missing(pipeline, numbers(columns)) == expected
        asked.append(pipeline.asked)
    assert asked[1] <= asked[0] + FEW
    assert asked[1] < 100


@pytest.mark.parametrize("refused", [(7,), (0, 1), (99, 100, 101), (199,)], ids=str)
def test_a_few_columns_that_may_not_be_missing_are_found_among_many_that_may(
    refused: tuple[int, ...],
) -> None:
    found = which_may_be_missing(Particular(refused), numbers(WIDE))
    assert [place for place, may in enumerate(found) if not may] == list(refused)


def test_a_column_that_lacked_a_value_in_training_is_asked_about_by_itself() -> None:
    data = numbers(WIDE)
    data.loc[3, "c17"] = np.nan
    found = which_may_be_missing(Particular([i for i in range(WIDE) if i != 17]), data)
    assert [place for place, may in enumerate(found) if may] == [17]


EVEN = [f"c{i}" for i in range(0, WIDE, 2)]
ODD = [f"c{i}" for i in range(1, WIDE, 2)]
KEPT = [0, 3, WIDE - 1]


def two_imputers() -> Any:
    parts = [("fills", SimpleImputer(), EVEN), ("keeps", StandardScaler(), ODD)]
    return make_pipeline(ColumnTransformer(parts), LogisticRegression())


def one_filled() -> Any:
    parts = [("fills", SimpleImputer(), ["c77"])]
    return make_pipeline(ColumnTransformer(parts, remainder="passthrough"), LogisticRegression())


def dropped() -> Any:
    parts = [("takes", StandardScaler(), EVEN)]
    return make_pipeline(ColumnTransformer(parts), LogisticRegression())


def in_a_union() -> Any:
    return make_pipeline(FeatureUnion([("one", dropped()[0])]), LogisticRegression())


def in_members() -> Any:
    return VotingClassifier([("one", two_imputers()), ("other", dropped())])


@pytest.mark.parametrize(
    ("build", "missing"),
    [
        (two_imputers, EVEN),
        (one_filled, ["c77"]),
        (dropped, ODD),
        (in_a_union, ODD),
        (in_members, []),
    ],
)
def test_columns_that_other_steps_take_are_told_apart(build: Any, missing: list[str]) -> None:
    data = numbers(WIDE)
    found = which_may_be_missing(build().fit(data, ANSWERS), data)
    assert [name for name, may in zip(data.columns, found, strict=True) if may] == missing


def test_columns_that_a_selection_drops_may_be_missing() -> None:
    data = numbers(WIDE)
    data.iloc[:, KEPT] *= 100
    pipeline = make_pipeline(VarianceThreshold(50), LogisticRegression()).fit(data, ANSWERS)
    found = which_may_be_missing(pipeline, data)
    assert [place for place, may in enumerate(found) if not may] == KEPT
    refusing = make_pipeline(SelectKBest(k=3), LogisticRegression()).fit(data, ANSWERS)
    assert not any(which_may_be_missing(refusing, data))


def test_columns_whose_gaps_an_indicator_knows_may_be_missing() -> None:
    data = numbers(WIDE)
    data.iloc[1, KEPT] = np.nan
    filled = ("filled", SimpleImputer())
    union = FeatureUnion([filled, ("gaps", MissingIndicator(error_on_new=True))])
    pipeline = make_pipeline(union, LogisticRegression()).fit(data, ANSWERS)
    found = which_may_be_missing(pipeline, data)
    assert [place for place, may in enumerate(found) if may] == KEPT
    columns = Inspection.of_data(pipeline).signature.columns
    assert [place for place, column in enumerate(columns) if column.missing] == KEPT


@pytest.mark.forms
def test_encoders_that_refuse_unseen_categories_are_told_from_those_that_take_them() -> None:
    letters = np.random.default_rng(1).choice(list("abc"), size=(ROWS, 80))
    data = pandas.DataFrame(letters, columns=[f"k{i}" for i in range(80)])
    half = list(data.columns[::2])
    strict = list(data.columns[1::2])
    parts = [
        ("lenient", OneHotEncoder(handle_unknown="ignore"), half),
        ("strict", OrdinalEncoder(), strict),
    ]
    pipeline = make_pipeline(ColumnTransformer(parts), LogisticRegression()).fit(data, ANSWERS)
    found = Inspection.of_data(pipeline, data, ANSWERS).signature
    assert [column.name for column in found.columns if column.open] == half


@pytest.mark.parametrize(
    "odd", [(), (0,), (5, 40), tuple(range(30, 60)), tuple(range(90))], ids=str
)
@pytest.mark.parametrize("sizes", [(90,), (EACH, 90 - EACH), (1, 1, 88)], ids=str)
def test_what_is_sifted_is_never_more_than_what_is_answered(
    odd: tuple[int, ...], sizes: tuple[int, ...]
) -> None:
    ends = np.cumsum([0, *sizes])
    groups = [range(*pair) for pair in pairwise(ends)]
    asked: list[Sequence[int]] = []

    def answers(columns: Sequence[int]) -> bool:
        asked.append(columns)
        return not set(columns) & set(odd)

    assert sift(groups, answers) == set(range(90)) - set(odd)
    assert len({tuple(columns) for columns in asked}) == len(asked)


def test_a_row_that_is_answered_as_a_whole_alone_is_found_out() -> None:
    assert sift([range(90)], lambda columns: len(columns) == 90) == set()


def test_columns_are_alike_by_what_they_hold_and_who_takes_them() -> None:
    data = numbers(4).assign(k=["a", "b"] * (ROWS // 2))
    parts = [("one", SimpleImputer(), ["c0", "c2"]), ("other", OneHotEncoder(), ["k"])]
    pipeline = make_pipeline(
        ColumnTransformer(parts, remainder="passthrough"), LogisticRegression()
    ).fit(data, ANSWERS)
    columns = Inspection.of_data(pipeline, data, ANSWERS).signature.columns
    assert alike(pipeline, columns, [False] * 5) == [[0, 2], [1, 3], [4]]
    assert alike(None, columns, [False, True, False, False, False]) == [[0, 2, 3], [1], [4]]
