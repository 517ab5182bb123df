"""Naive Bayes and discriminant analysis as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn import naive_bayes
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from .forms import packed, require_same
from .trained import classed, drawn, fitted, require_answers, require_malformed, wider

CLASSES: list[list[Any]] = [["no", "yes"], [3, 5, 9]]
OF_NUMBERS = [
    naive_bayes.GaussianNB(),
    naive_bayes.GaussianNB(var_smoothing=0.1),
    QuadraticDiscriminantAnalysis(),
    QuadraticDiscriminantAnalysis(reg_param=0.1),
    NearestCentroid(),
    NearestCentroid(metric="manhattan"),
    NearestCentroid(priors="empirical"),
    NearestCentroid(metric="manhattan", priors="empirical"),
    NearestCentroid(shrink_threshold=0.5),
]
OF_COUNTS = [
    naive_bayes.MultinomialNB(),
    naive_bayes.MultinomialNB(fit_prior=False),
    naive_bayes.ComplementNB(),
    naive_bayes.ComplementNB(norm=True),
    naive_bayes.BernoulliNB(),
    naive_bayes.BernoulliNB(binarize=1.5),
]


def counted() -> tuple[NDArray[Any], NDArray[Any]]:
    """Counts, and a number that is the greater the more there is of some."""
    random = np.random.default_rng(7)
    X = random.poisson([0.5, 1, 2, 3, 0.2, 0.1], size=(120, 6)).astype(np.float64)
    return X, X[:, 2] - X[:, 3] + random.normal(size=120)


@pytest.mark.parametrize("classes", CLASSES, ids=str)
@pytest.mark.parametrize("estimator", OF_NUMBERS, ids=repr)
@pytest.mark.parametrize("before", [(), (StandardScaler(),)], ids=["alone", "scaled"])
def test_classes_by_their_scatter_are_told_as_by_the_pipeline(
    estimator: Any, classes: list[Any], before: Any
) -> None:
    X, number = drawn()
    y = classed(number, classes)
    require_answers(fitted(estimator, X, y, *before), X, y, wider(X))


@pytest.mark.parametrize("classes", CLASSES, ids=str)
@pytest.mark.parametrize("estimator", OF_COUNTS, ids=repr)
def test_naive_bayes_of_counts_answers_as_its_pipeline_does(
    estimator: Any, classes: list[Any]
) -> None:
    X, number = counted()
    y = classed(number, classes)
    require_answers(fitted(estimator, X, y), X, y, np.abs(wider(X).round()))


@pytest.mark.parametrize(
    "estimator", [*OF_COUNTS, LogisticRegression(), Ridge(solver="sag", random_state=1)], ids=repr
)
def test_what_was_fitted_on_a_sparse_matrix_answers_as_its_pipeline_does(estimator: Any) -> None:
    X, number = counted()
    y = classed(number, [1, 2, 3])
    sparse = csr_matrix(X)
    pipeline = fitted(estimator, sparse, y)
    form, signature = packed(pipeline, sparse, y)
    require_same(pipeline, form, signature, np.abs(wider(X).round()))


def test_naive_bayes_of_categories_answers_as_its_pipeline_does() -> None:
    X, number = counted()
    y = classed(number, ["a", "b", "c"])
    pipeline = fitted(naive_bayes.CategoricalNB(min_categories=9), X, y)
    form, signature = packed(pipeline, X, y)
    rows = np.clip(wider(X), -2, 8)
    for asked in (np.abs(rows), np.abs(rows.round()), rows[:5], np.full((1, 6), np.nan)):
        require_same(pipeline, form, signature, asked)


@pytest.mark.parametrize(
    ("estimator", "before", "after"),
    [
        (naive_bayes.GaussianNB(), b'"shape":[2,6]', b'"shape":[6,2]'),
        (naive_bayes.MultinomialNB(), b'"shape":[6,2]', b'"shape":[2,6]'),
        (naive_bayes.MultinomialNB(), b'"classes":[1,2]', b'"classes":[1]'),
        (naive_bayes.BernoulliNB(), b'"threshold":0.0', b'"threshold":"low"'),
        (naive_bayes.CategoricalNB(), b'"counts":{"dtype":"int64"', b'"counts":{"dtype":"uint8"'),
        (QuadraticDiscriminantAnalysis(), b'"axes":[', b'"axes":[],"other":['),
        (QuadraticDiscriminantAnalysis(), b'"shape":[6,6]', b'"shape":[5,6]'),
        (NearestCentroid(), b'"euclidean"', b'"cosine"'),
    ],
)
def test_a_forged_one_is_malformed(estimator: Any, before: bytes, after: bytes) -> None:
    X, number = counted()
    y = classed(number, [1, 2])
    require_malformed(fitted(estimator, X, y), X, y, before, after)
