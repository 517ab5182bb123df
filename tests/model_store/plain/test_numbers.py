"""Scalers, functions and curves of numbers as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from model_store.plain import Malformed, read, write
from model_store.plain.nodes.curves import normal_quantile
from model_store.plain.pack import NotPacked

from .forms import packed, require_same

NAN = float("nan")
ROWS = 120


def numbers() -> NDArray[np.float64]:
    """Numbers above 0 in columns of several widths, some of them equal."""
    random = np.random.default_rng(20)
    found = random.gamma(2.0, size=(ROWS, 3)) * [1.0, 50.0, 0.01] + 1e-3
    found[:, 1] = found[:, 1].round(-1) + 1
    return found


def other_rows() -> NDArray[np.float64]:
    """Numbers among those of training, at their ends and beyond, below 0, and missing ones."""
    X = numbers()
    random = np.random.default_rng(21)
    beyond = random.normal(size=(40, 3)) * X.max(axis=0) * 2
    ends = np.stack([X.min(axis=0), X.max(axis=0), np.zeros(3), -X[0], X.min(axis=0) - 1e-9])
    gaps = np.where(np.eye(3, dtype=bool), NAN, X[:3])
    return np.concatenate([X[:30], beyond, ends, gaps])


def answered(step: Any, X: Any, rows: NDArray[Any]) -> None:
    """That the form of a pipeline with this step answers these rows as the pipeline does."""
    y = np.random.default_rng(22).normal(size=len(X))
    pipeline = make_pipeline(step, LinearRegression()).fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, rows)


STEPS = [
    MinMaxScaler(clip=True, feature_range=(-1, 3)),
    MaxAbsScaler(),
    RobustScaler(unit_variance=True),
    Normalizer(),
    Normalizer(norm="l1"),
    Normalizer(norm="max"),
    Binarizer(threshold=0.7),
    KBinsDiscretizer(n_bins=4, encode="ordinal", quantile_method="averaged_inverted_cdf"),
    KBinsDiscretizer(n_bins=3, encode="onehot", strategy="uniform"),
    KBinsDiscretizer(n_bins=3, encode="onehot-dense", strategy="kmeans", random_state=0),
    PolynomialFeatures(3),
    PolynomialFeatures((2, 3), include_bias=False),
    PolynomialFeatures(3, interaction_only=True),
    PowerTransformer(),
    PowerTransformer(standardize=False),
    PowerTransformer(method="box-cox"),
    QuantileTransformer(n_quantiles=20),
    QuantileTransformer(n_quantiles=50, output_distribution="normal"),
    SplineTransformer(),
    SplineTransformer(extrapolation="linear", degree=2, include_bias=False),
    SplineTransformer(extrapolation="linear", degree=3, knots="quantile", n_knots=3),
    SplineTransformer(extrapolation="continue", n_knots=4),
    SplineTransformer(extrapolation="periodic", n_knots=6),
    SplineTransformer(extrapolation="error"),
]


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_a_step_of_numbers_answers_as_its_pipeline_does(step: Any) -> None:
    answered(step, numbers(), other_rows())


NARROW = [
    MinMaxScaler(clip=True),
    Normalizer(),
    KBinsDiscretizer(n_bins=4, encode="ordinal", quantile_method="averaged_inverted_cdf"),
    PolynomialFeatures(2),
    FunctionTransformer(np.log1p),
]


@pytest.mark.parametrize("step", NARROW, ids=repr)
def test_narrow_floats_stay_narrow(step: Any) -> None:
    X = numbers().astype(np.float32)
    answered(step, X, X[:40])


FUNCTIONS = [
    None,
    np.abs,
    np.arctan,
    np.cbrt,
    np.cos,
    np.exp,
    np.expm1,
    np.floor,
    np.log,
    np.log10,
    np.log1p,
    np.log2,
    np.reciprocal,
    np.sign,
    np.sin,
    np.sqrt,
    np.square,
    np.tanh,
]


@pytest.mark.parametrize("func", FUNCTIONS, ids=lambda func: getattr(func, "__name__", "nothing"))
def test_a_function_answers_as_its_pipeline_does(func: Any) -> None:
    rows = np.concatenate([other_rows(), [[0.0, -1.0, 800.0]]])
    scaled = make_pipeline(FunctionTransformer(func), SimpleImputer(), StandardScaler())
    answered(scaled, numbers(), rows)
    answered(FunctionTransformer(func, validate=True), numbers(), rows)


def test_the_splines_of_one_column_may_be_straight_lines() -> None:
    lines = SplineTransformer(extrapolation="linear", degree=1, n_knots=4)
    answered(lines, numbers()[:, :1], other_rows()[:, :1])
    with pytest.raises(NotPacked, match="degree=1"):
        answered(lines, numbers(), other_rows())


def double(matrix: Any) -> Any:
    return 2 * matrix


@pytest.mark.parametrize("func", [double, np.nan_to_num], ids=lambda func: func.__name__)
def test_another_function_is_not_packed(func: Any) -> None:
    with pytest.raises(NotPacked, match="function"):
        answered(FunctionTransformer(func), numbers(), numbers())


@pytest.mark.parametrize(
    ("func", "dtype"), [(np.sqrt, np.int8), (np.square, np.int64), (np.reciprocal, np.int64)]
)
def test_a_function_of_integers_that_stay_such_is_not_packed(func: Any, dtype: Any) -> None:
    X = pd.DataFrame({"a": np.arange(1, 41, dtype=dtype), "b": np.arange(1.0, 41.0)})
    with pytest.raises(NotPacked, match="of columns that are"):
        answered(FunctionTransformer(func), X, np.ones((1, 2)))


def test_an_infinite_number_is_refused_where_the_next_step_refuses_it() -> None:
    rows = np.array([[1.0, 2.0, 3.0], [0.0, 2.0, 3.0]])
    logarithm = FunctionTransformer(np.log)
    for step in (StandardScaler(), SimpleImputer(), KBinsDiscretizer(quantile_method="linear")):
        pipeline = make_pipeline(logarithm, make_pipeline(step), PolynomialFeatures(1))
        answered(pipeline, numbers(), rows)


def test_a_product_that_is_infinite_is_refused_where_the_next_step_refuses_it() -> None:
    rows = np.array([[1.0, 2.0, 3.0], [1e200, 2.0, 3.0]])
    for step in (MinMaxScaler(clip=True), QuantileTransformer(n_quantiles=20)):
        pipeline = make_pipeline(PolynomialFeatures(2), step, PolynomialFeatures(1))
        answered(pipeline, numbers(), rows)


@given(st.floats(0.0, 1.0))
def test_a_normal_quantile_is_that_of_scipy(share: float) -> None:
    with np.errstate(divide="ignore"):
        found = normal_quantile(np.array([share]))
    np.testing.assert_allclose(found, norm.ppf([share]), rtol=1e-14, atol=0)


FORGED = [
    (b'"most":2', b'"most":65'),
    (b'"most":2', b'"most":0'),
    (b'"least":1', b'"least":0'),
    (b'"columns":3,"least"', b'"columns":4000,"least"'),
    (b'"name":"exp"', b'"name":"save"'),
    (b'"degree":3', b'"degree":0'),
    (b'"degree":3', b'"degree":9'),
    (b'"beyond":"constant"', b'"beyond":"linear"'),
]


@pytest.mark.parametrize(("honest", "forged"), FORGED)
def test_forged_steps_are_malformed(honest: bytes, forged: bytes) -> None:
    X, y = numbers(), np.arange(float(ROWS))
    steps = (FunctionTransformer(np.exp), SplineTransformer(), PolynomialFeatures(2))
    union = make_union(*steps)
    form, _ = packed(make_pipeline(union, LinearRegression()).fit(X / 100, y), X / 100, y)
    header, data = write(form)
    assert honest in header
    with pytest.raises(Malformed):
        read(header.replace(honest, forged), data)
