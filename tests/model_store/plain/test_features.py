"""Unions, selections and projections as plain data."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA, IncrementalPCA, KernelPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    f_classif,
)
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from model_store.inspection import Inspection
from model_store.plain import Malformed, read, write
from model_store.plain.pack import pack

from .forms import packed, require_same

NAN = float("nan")
ROWS = 120


def numbers() -> NDArray[np.float64]:
    found = np.random.default_rng(30).normal(size=(ROWS, 6))
    found[:, 1] += found[:, 0]
    found[:, 5] = 4.0
    return found


def classes(X: NDArray[np.float64]) -> NDArray[Any]:
    return np.array(["low", "middle", "high"])[np.digitize(X[:, 0] + X[:, 2], [-0.5, 0.7])]


def other_rows() -> NDArray[np.float64]:
    random = np.random.default_rng(31)
    found = random.normal(size=(100, 6), scale=3)
    found[3, 0] = found[4, 3] = found[5, 5] = NAN
    return found


STEPS = [
    SelectKBest(k=2),
    SelectPercentile(percentile=40),
    SelectFpr(),
    SelectFdr(f_classif, alpha=0.1),
    SelectFwe(),
    GenericUnivariateSelect(mode="k_best", param=3),
    VarianceThreshold(),
    SelectFromModel(Lasso(0.01)),
    SelectFromModel(LogisticRegression(), max_features=2),
    RFE(LogisticRegression(), n_features_to_select=2),
    RFECV(LogisticRegression(), cv=2),
    SequentialFeatureSelector(LogisticRegression(), n_features_to_select=2, cv=2),
    PCA(3),
    PCA(2, whiten=True),
    IncrementalPCA(2),
    TruncatedSVD(3, random_state=0),
    LinearDiscriminantAnalysis(),
    LinearDiscriminantAnalysis(solver="eigen", n_components=1, shrinkage=0.1),
    GaussianRandomProjection(3, random_state=0),
    SparseRandomProjection(3, random_state=0, density=0.5),
    RBFSampler(n_components=20, random_state=0),
    Nystroem(n_components=9, random_state=0),
    Nystroem(kernel="poly", n_components=9, gamma=0.2, degree=2, random_state=0),
    Nystroem(kernel="sigmoid", n_components=9, gamma=0.1, random_state=0),
    KernelPCA(3, kernel="rbf"),
    KernelPCA(2, kernel="poly", gamma=0.1, degree=2, coef0=0.5),
    KernelPCA(2),
    FeatureUnion([("scaled", StandardScaler()), ("parts", PCA(2)), ("none", "drop")]),
    FeatureUnion(
        [("all", "passthrough"), ("scaled", MinMaxScaler())], transformer_weights={"scaled": 0.2}
    ),
]


@pytest.mark.parametrize("step", STEPS, ids=repr)
@pytest.mark.filterwarnings("ignore:Features .* are constant:UserWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_step_of_features_answers_as_its_pipeline_does(step: Any) -> None:
    X = numbers()
    y = classes(X)
    if isinstance(getattr(step, "estimator", None), Lasso):
        y = (y == "low").astype(float)
    pipeline = make_pipeline(step, LogisticRegression()).fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, other_rows())


@pytest.mark.parametrize(
    "step",
    [
        TruncatedSVD(3, random_state=0),
        StandardScaler(with_mean=False),
        SelectKBest(k=3),
        FeatureUnion([("all", "passthrough"), ("parts", TruncatedSVD(2, random_state=0))]),
        make_pipeline(VarianceThreshold(0.01), FunctionTransformer(np.sqrt, accept_sparse=True)),
        GaussianRandomProjection(3, random_state=0),
    ],
    ids=repr,
)
def test_sparse_features_answer_as_their_pipeline_does(step: Any) -> None:
    random = np.random.default_rng(32)
    texts = random.choice(np.array([f"word {place}" for place in range(20)], dtype=object), ROWS)
    X = np.stack([texts, random.choice(np.array(list("abc"), dtype=object), ROWS)], axis=1)
    y = np.char.endswith(texts.astype(str), "3")
    encoder = OneHotEncoder(handle_unknown="ignore")
    pipeline = make_pipeline(encoder, step, LogisticRegression()).fit(X, y)
    form, signature = packed(pipeline, X, y)
    rows = np.concatenate([X[:50], np.array([["word", "c"], ["word 3", "d"], ["", ""]], object)])
    require_same(pipeline, form, signature, rows)


OF_SPARSE = [
    TfidfTransformer(),
    TfidfTransformer(sublinear_tf=True, norm="l1"),
    MaxAbsScaler(),
    MaxAbsScaler(clip=True),
    StandardScaler(with_mean=False),
    Normalizer(),
    Normalizer(norm="l1"),
    Normalizer(norm="max"),
    Binarizer(threshold=0.5),
    FunctionTransformer(np.log1p, accept_sparse=True),
    SimpleImputer(),
    SimpleImputer(strategy="most_frequent", add_indicator=True),
]


@pytest.mark.parametrize("step", OF_SPARSE, ids=repr)
def test_a_sparse_matrix_is_answered_as_its_pipeline_does(step: Any) -> None:
    rows = np.random.default_rng(34).poisson(0.7, size=(ROWS, 6)).astype(float)
    y = rows[:, 0] > rows[:, 1]
    if isinstance(step, SimpleImputer):
        rows[::5, 0] = NAN
    pipeline = make_pipeline(step, LogisticRegression()).fit(csr_matrix(rows), y)
    signature = Inspection.of_data(pipeline, csr_matrix(rows), y).signature
    signature = msgspec.structs.replace(signature, container="sparse")
    form = read(*write(pack(pipeline, signature)))
    require_same(pipeline, form, signature, np.concatenate([rows[:40], np.zeros((1, 6))]))


def test_sparse_columns_stand_beside_dense_ones() -> None:
    random = np.random.default_rng(33)
    X = pd.DataFrame(
        {
            "item": random.choice([f"item {place}" for place in range(30)], ROWS),
            "price": random.gamma(2.0, size=ROWS),
            "weight": random.choice([0.0, 1.5], ROWS),
        }
    )
    transformer = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["item"]),
        (StandardScaler(), ["price"]),
        remainder="passthrough",
    )
    pipeline = make_pipeline(transformer, LinearRegression()).fit(X, X["price"] * 2)
    assert transformer.fit(X).sparse_output_
    form, signature = packed(pipeline, X, X["price"] * 2)
    rows = X.to_numpy(dtype=object)[:40]
    rows[0] = ["item 99", 0.0, 0.0]
    require_same(pipeline, form, signature, rows)


FORGED = [
    (b'"columns":{"dtype":"int64","shape":[2],', b'"columns":{"dtype":"int64","shape":[3],'),
    (b'"kind":"select"', b'"kind":"chosen"'),
    (b'"shape":[2,6]', b'"shape":[6,2]'),
    (b'"shape":[2,6]', b'"shape":[12]'),
]


@pytest.mark.parametrize(("honest", "forged"), FORGED)
@pytest.mark.filterwarnings("ignore:Features .* are constant:UserWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_forged_features_are_malformed(honest: bytes, forged: bytes) -> None:
    X = numbers()
    y = classes(X)
    union = FeatureUnion([("some", SelectKBest(k=2)), ("parts", PCA(2))])
    form, _ = packed(make_pipeline(union, LogisticRegression()).fit(X, y), X, y)
    header, data = write(form)
    assert honest in header
    with pytest.raises(Malformed):
        read(header.replace(honest, forged), data)
