"""Linear models as plain data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import cross_decomposition, linear_model, svm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from model_store.plain import Refused
from model_store.plain.nodes.linear import ALONE, product, softmax
from model_store.plain.pack import NotPacked, pack

from .forms import packed
from .trained import classed, drawn, fitted, require_answers, require_malformed, wider


def _deprecated(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(linear_model, name)(random_state=1)


CLASSIFIERS = [
    linear_model.LogisticRegression(),
    linear_model.LogisticRegression(solver="newton-cg", fit_intercept=False),
    linear_model.LogisticRegressionCV(
        Cs=2, cv=2, l1_ratios=(0.0,), use_legacy_attributes=False, scoring="accuracy"
    ),
    linear_model.RidgeClassifier(),
    linear_model.RidgeClassifierCV(),
    linear_model.SGDClassifier(loss="log_loss", random_state=1),
    linear_model.SGDClassifier(loss="modified_huber", random_state=1),
    linear_model.SGDClassifier(random_state=1),
    linear_model.Perceptron(random_state=1),
    _deprecated("PassiveAggressiveClassifier"),
    svm.LinearSVC(),
    LinearDiscriminantAnalysis(),
    LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
]
REGRESSIONS = [
    linear_model.LinearRegression(),
    linear_model.Ridge(),
    linear_model.RidgeCV(),
    linear_model.Lasso(alpha=0.01),
    linear_model.LassoCV(alphas=3, cv=2),
    linear_model.ElasticNet(alpha=0.01),
    linear_model.ElasticNetCV(alphas=3, cv=2),
    linear_model.Lars(),
    linear_model.LarsCV(cv=2),
    linear_model.LassoLars(alpha=0.01),
    linear_model.LassoLarsCV(cv=2),
    linear_model.LassoLarsIC(),
    linear_model.OrthogonalMatchingPursuit(),
    linear_model.OrthogonalMatchingPursuitCV(cv=2),
    linear_model.BayesianRidge(),
    linear_model.ARDRegression(),
    linear_model.HuberRegressor(),
    linear_model.QuantileRegressor(alpha=0.01),
    linear_model.TheilSenRegressor(max_subpopulation=50, random_state=1),
    linear_model.RANSACRegressor(random_state=1),
    linear_model.SGDRegressor(random_state=1),
    _deprecated("PassiveAggressiveRegressor"),
    svm.LinearSVR(),
    linear_model.PoissonRegressor(),
    linear_model.GammaRegressor(),
    linear_model.TweedieRegressor(power=0),
    linear_model.TweedieRegressor(power=1.5),
    linear_model.TweedieRegressor(power=1.5, link="identity", max_iter=3),
    cross_decomposition.PLSRegression(),
]
SEVERAL_TARGETS = [
    linear_model.LinearRegression(),
    linear_model.Ridge(),
    linear_model.MultiTaskLasso(alpha=0.01),
    linear_model.MultiTaskLassoCV(alphas=2, cv=2),
    linear_model.MultiTaskElasticNet(alpha=0.01),
    linear_model.MultiTaskElasticNetCV(alphas=2, cv=2),
    linear_model.OrthogonalMatchingPursuit(),
    cross_decomposition.PLSRegression(),
    cross_decomposition.PLSCanonical(),
    cross_decomposition.CCA(),
    linear_model.RANSACRegressor(random_state=1),
]


@pytest.mark.parametrize("classes", [["no", "yes"], [3, 5, 9], [False, True]], ids=str)
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
def test_a_linear_classifier_answers_as_its_pipeline_does(
    estimator: Any, classes: list[Any]
) -> None:
    X, number = drawn()
    y = classed(number, classes)
    pipeline = fitted(estimator, X, y, StandardScaler())
    require_answers(pipeline, X, y, wider(X))


@pytest.mark.parametrize("estimator", REGRESSIONS, ids=repr)
def test_a_linear_regression_answers_as_its_pipeline_does(estimator: Any) -> None:
    X, y = drawn()
    y = y - y.min() + 1.0
    pipeline = fitted(estimator, X, y, StandardScaler())
    require_answers(pipeline, X, y, wider(X))


@pytest.mark.parametrize("estimator", SEVERAL_TARGETS, ids=repr)
def test_a_linear_regression_of_several_targets_answers_as_its_pipeline_does(
    estimator: Any,
) -> None:
    X, y = drawn()
    targets = np.stack([y, X[:, 0] - y], axis=1)
    pipeline = fitted(estimator, X, targets)
    require_answers(pipeline, X, targets, wider(X))


@pytest.mark.parametrize(
    "scaler", [RobustScaler(), MinMaxScaler(), StandardScaler(with_mean=False)], ids=repr
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_scaler_before_it_scales_as_in_its_pipeline(scaler: Any, dtype: Any) -> None:
    X, y = drawn()
    X = X.astype(dtype)
    pipeline = fitted(linear_model.Ridge(), X, y, scaler)
    require_answers(pipeline, X, y, wider(X).astype(dtype))


def test_probabilities_in_single_precision_have_the_bits_of_the_pipeline() -> None:
    X, y = drawn()
    X, y = X.astype(np.float32), classed(y, ["no", "yes"])
    pipeline = fitted(linear_model.LogisticRegression(), X, y, StandardScaler())
    require_answers(pipeline, X, y, wider(X, rows=2000).astype(np.float32))


@pytest.mark.parametrize(
    "estimator",
    [
        linear_model.LinearRegression(),
        linear_model.LinearRegression(positive=True),
        cross_decomposition.PLSRegression(n_components=1),
    ],
    ids=repr,
)
def test_a_target_that_is_a_column_is_one_target(estimator: Any) -> None:
    X, y = drawn()
    pipeline = fitted(estimator, X, y[:, np.newaxis])
    require_answers(pipeline, X, y[:, np.newaxis], wider(X))


@pytest.mark.parametrize(
    "estimator", [linear_model.RidgeClassifier(), linear_model.RidgeClassifierCV()], ids=repr
)
def test_targets_that_apply_or_not_are_answered_as_by_the_pipeline(estimator: Any) -> None:
    X, number = drawn()
    y = np.stack([number > 52, X[:, 0] > 0, X[:, 1] > 40], axis=1).astype(int)
    pipeline = fitted(estimator, X, y, StandardScaler())
    require_answers(pipeline, X, y, wider(X))


def test_a_linear_outlier_detector_answers_as_its_pipeline_does() -> None:
    X, _ = drawn()
    pipeline = fitted(linear_model.SGDOneClassSVM(random_state=1), X, None, StandardScaler())
    require_answers(pipeline, X, pipeline.predict(X), wider(X))


def test_a_missing_value_is_refused_in_words() -> None:
    X, number = drawn()
    y = classed(number, [0, 1])
    form, _ = packed(linear_model.RidgeClassifier().fit(X, y), X, y)
    for ask in (form.predict, form.decide):
        with pytest.raises(Refused, match="a value is missing"):
            ask(np.array([[1.0, np.nan, 2.0, 3.0]]))


def test_a_class_that_is_derived_from_a_linear_model_is_not_packed() -> None:
    class Own(linear_model.Ridge):  # type: ignore[misc]
        pass

    X, y = drawn()
    _, signature = packed(linear_model.Ridge().fit(X, y), X, y)
    with pytest.raises(NotPacked, match="Own is not known"):
        pack(Own().fit(X, y), signature)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"shape":[4,3]', b'"shape":[3,4]'),
        (b'"shape":[4,3]', b'"shape":[12]'),
        (b'"classes":[0,1,2]', b'"classes":[0,1]'),
        (b'"classes":[0,1,2]', b'"classes":[]'),
        (b'"shape":[3]', b'"shape":[2]'),
        (b'"softmax"', b'"hardmax"'),
        (b'"float64"', b'"int64"'),
    ],
)
def test_a_forged_linear_model_is_malformed(before: bytes, after: bytes) -> None:
    X, number = drawn()
    y = classed(number, [0, 1, 2])
    pipeline = fitted(linear_model.LogisticRegression(), X, y)
    require_malformed(pipeline, X, y, before, after)


@pytest.mark.parametrize("classes", [2, 3, 10, 64])
def test_a_product_in_blocks_is_that_of_the_whole(classes: int) -> None:
    generator = np.random.default_rng(0)
    coefficients = generator.normal(size=(5, classes))
    block = ALONE // coefficients.size
    for count in (1, block, block + 1, 2 * block + 3):
        rows = generator.normal(size=(count, 5))
        found = product(rows, coefficients)
        np.testing.assert_allclose(found, rows @ coefficients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("classes", [3, 7, 16])
def test_the_probabilities_of_one_row_are_those_that_it_has_among_others(classes: int) -> None:
    scores = np.random.default_rng(0).normal(scale=300, size=(50, classes))
    together = softmax(scores)
    for row in range(len(scores)):
        alone = softmax(scores[row : row + 1])
        np.testing.assert_allclose(alone, together[row : row + 1], rtol=1e-12, atol=0)
