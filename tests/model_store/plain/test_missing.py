"""Imputers as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from model_store.plain import Malformed, read, write
from model_store.plain.pack import NotPacked, pack

from .forms import packed, require_same

NAN = float("nan")
ROWS = 150


def numbers(missing: float = NAN, *, empty: bool = False, dtype: Any = np.float64) -> NDArray[Any]:
    """Columns that depend on each other, with gaps in the first two; the last may be empty."""
    random = np.random.default_rng(8)
    found = random.normal(size=(ROWS, 4)).round(2)
    found[:, 1] += found[:, 0]
    found[:, 2] = random.integers(0, 3, ROWS)
    found[::5, 0], found[::7, 1] = missing, missing
    if empty:
        found[:, 3] = missing
    return found.astype(dtype)


def other_rows(missing: float = NAN, *, dtype: Any = np.float64) -> NDArray[Any]:
    """Rows with every gap there may be, up to rows of nothing else."""
    random = np.random.default_rng(9)
    found = random.normal(size=(64, 4), scale=3).round(2)
    found[random.random(found.shape) < 0.4] = missing
    found[:16] = np.where((np.arange(16)[:, np.newaxis] >> np.arange(4)) & 1, missing, found[:16])
    return found.astype(dtype)


def answered(imputer: Any, X: NDArray[Any], rows: NDArray[Any], *after: Any) -> None:
    """That the form of a pipeline with this imputer answers these rows as the pipeline does."""
    y = np.random.default_rng(10).normal(size=len(X))
    pipeline = make_pipeline(imputer, *(after or (LinearRegression(),))).fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, rows)


IMPUTERS = [
    SimpleImputer(),
    SimpleImputer(strategy="median", add_indicator=True),
    SimpleImputer(strategy="most_frequent"),
    SimpleImputer(strategy="constant", fill_value=-3.0),
    KNNImputer(n_neighbors=3),
    KNNImputer(weights="distance", add_indicator=True),
    IterativeImputer(random_state=0, max_iter=4),
    IterativeImputer(Ridge(), random_state=0, max_iter=3, add_indicator=True, min_value=-1.0),
    IterativeImputer(random_state=0, n_nearest_features=2, max_iter=2, skip_complete=True),
    IterativeImputer(max_iter=0),
]


@pytest.mark.parametrize("imputer", IMPUTERS, ids=repr)
@pytest.mark.filterwarnings("ignore:.*Early stopping criterion not reached")
def test_an_imputer_answers_every_gap_as_its_pipeline_does(imputer: Any) -> None:
    answered(imputer, numbers(), other_rows())


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    "imputer",
    [
        SimpleImputer(),
        KNNImputer(),
        IterativeImputer(max_iter=2),
        SimpleImputer(add_indicator=True),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:.*Early stopping criterion not reached")
@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_a_column_that_was_empty_in_training_goes_or_is_kept(imputer: Any, keep: bool) -> None:
    imputer = imputer.set_params(keep_empty_features=keep)
    answered(imputer, numbers(empty=True), other_rows())


@pytest.mark.parametrize("imputer", [SimpleImputer(), KNNImputer(), IterativeImputer(max_iter=2)])
@pytest.mark.filterwarnings("ignore:.*Early stopping criterion not reached")
def test_another_number_may_stand_for_what_is_missing(imputer: Any) -> None:
    answered(imputer.set_params(missing_values=-9.0), numbers(-9.0), other_rows(-9.0))


def test_narrow_floats_are_filled_with_such() -> None:
    rows = other_rows(dtype=np.float32)
    answered(SimpleImputer(), numbers(dtype=np.float32), rows, StandardScaler(), LinearRegression())


INDICATORS = [
    MissingIndicator(),
    MissingIndicator(error_on_new=False),
    MissingIndicator(features="all"),
]


@pytest.mark.parametrize("indicator", INDICATORS, ids=repr)
def test_an_indicator_answers_as_its_pipeline_does(indicator: Any) -> None:
    union = make_union(SimpleImputer(), indicator)
    answered(union, numbers(), other_rows())


def words() -> pd.DataFrame:
    random = np.random.default_rng(11)
    colour = random.choice(np.array(["red", "green", "?"], dtype=object), ROWS)
    size = random.choice(np.array(["small", "large"], dtype=object), ROWS)
    colour[::6], size[::11] = NAN, NAN
    return pd.DataFrame({"colour": colour, "size": size, "count": random.integers(0, 5, ROWS)})


TEXTS = [
    SimpleImputer(strategy="most_frequent"),
    SimpleImputer(strategy="constant", fill_value="none"),
    SimpleImputer(strategy="most_frequent", add_indicator=True),
]


@pytest.mark.parametrize("imputer", TEXTS, ids=repr)
def test_an_imputer_of_texts_answers_as_its_pipeline_does(imputer: Any) -> None:
    X = words()
    y = np.random.default_rng(12).normal(size=ROWS)
    pipeline = make_pipeline(imputer, OrdinalEncoder(), LinearRegression()).fit(X, y)
    form, signature = packed(pipeline, X, y)
    rows = [[a, b, 2] for a in ("red", "?", NAN, "pink") for b in ("small", NAN)]
    require_same(pipeline, form, signature, np.array(rows, dtype=object))


def test_none_or_a_text_may_stand_for_what_is_missing() -> None:
    X = words().to_numpy(dtype=object)[:, :2]
    X[X != X] = None
    y = np.random.default_rng(12).normal(size=ROWS)
    fill = SimpleImputer(missing_values=None, strategy="most_frequent")
    again = SimpleImputer(missing_values="?", strategy="constant", fill_value="blue")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    pipeline = make_pipeline(fill, again, encoder, LinearRegression()).fit(X, y)
    form, signature = packed(pipeline, X, y)
    rows = [[a, b] for a in ("red", "?", None, "pink") for b in ("small", None)]
    require_same(pipeline, form, signature, np.array(rows, dtype=object))


def test_posterior_samples_are_not_packed() -> None:
    X, y = numbers(), np.random.default_rng(10).normal(size=ROWS)
    _, signature = packed(make_pipeline(SimpleImputer(), LinearRegression()).fit(X, y), X, y)
    drawn = IterativeImputer(sample_posterior=True, max_iter=1, tol=1e9)
    with pytest.raises(NotPacked, match="sample_posterior"):
        pack(make_pipeline(drawn, LinearRegression()).fit(X, y), signature)


FORGED = [
    (b'"column":0', b'"column":4'),
    (b'"count":5', b'"count":0'),
    (b'"missing":[-9.0]', b'"missing":[-9.0,1]'),
    (b'"missing":[-9.0]', b'"missing":"gone"'),
]


@pytest.mark.parametrize(("honest", "forged"), FORGED)
@pytest.mark.filterwarnings("ignore:.*Early stopping criterion not reached")
def test_forged_imputers_are_malformed(honest: bytes, forged: bytes) -> None:
    X = numbers(-9.0)
    y = np.random.default_rng(10).normal(size=len(X))
    imputers = make_union(
        KNNImputer(missing_values=-9.0), IterativeImputer(missing_values=-9.0, max_iter=1, tol=1e9)
    )
    pipeline = make_pipeline(imputers, LinearRegression()).fit(X, y)
    form, _ = packed(pipeline, X, y)
    header, data = write(form)
    assert honest in header
    with pytest.raises(Malformed):
        read(header.replace(honest, forged, 1), data)
