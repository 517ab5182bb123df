"""Linear models."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from ...labels import json_labels, labels_of
from ..node import Label, Predictor
from ..nodes.linear import Classification, Regression
from .given import Given, NotPacked
from .known import Inner, Known

_DESCENT: Final = "alpha copy_X fit_intercept max_iter positive precompute random_state selection"
_PATH: Final = "alphas copy_X cv eps fit_intercept max_iter n_alphas n_jobs positive precompute"
_GRADIENT: Final = (
    "alpha average early_stopping epsilon eta0 fit_intercept l1_ratio learning_rate loss max_iter"
    " n_iter_no_change penalty power_t random_state shuffle tol validation_fraction verbose"
    " warm_start"
)
_RIDGE: Final = "alpha copy_X fit_intercept max_iter positive random_state solver tol"


def classes_of(step: Any) -> list[Label]:
    """The classes of one target, as they are answered.

    Raises:
        NotPacked: there are several targets.
    """
    if np.ndim(step.classes_) != 1:
        raise NotPacked(f"{type(step).__name__} of several targets is not known")
    found: list[Label] = json_labels(labels_of(step.classes_))
    return found


def regression(step: Any, given: Given, inner: Inner) -> Predictor:
    """X @ coef_ + intercept_."""
    coefficients = np.asarray(step.coef_)
    return Regression(coefficients=coefficients.T, intercept=np.asarray(step.intercept_))


def logistic(step: Any, given: Given, inner: Inner) -> Predictor:
    several = len(step.classes_) > 2
    # Before 1.8 there was a choice; what is not the default is left alone.
    if getattr(step, "multi_class", "auto") not in ("auto", "deprecated"):
        raise NotPacked(f"LogisticRegression with multi_class={step.multi_class!r} is not known")
    if several and step.solver == "liblinear":
        return _classification(step, "one_vs_rest")
    return _classification(step, "softmax" if several else "logistic")


def descent(step: Any, given: Given, inner: Inner) -> Predictor:
    if step.loss == "modified_huber":
        raise NotPacked("SGDClassifier with loss='modified_huber' is not known")
    return _classification(step, "one_vs_rest" if step.loss == "log_loss" else None)


def scores(step: Any, given: Given, inner: Inner) -> Predictor:
    return _classification(step, None)


def _classification(
    step: Any, shares: Literal["logistic", "softmax", "one_vs_rest"] | None
) -> Predictor:
    coefficients = np.atleast_2d(np.asarray(step.coef_))
    intercept = np.atleast_1d(np.asarray(step.intercept_, dtype=coefficients.dtype))
    return Classification(
        classes=classes_of(step), coefficients=coefficients.T, intercept=intercept, shares=shares
    )


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.LogisticRegression": Known.of(
        logistic,
        "C class_weight dual fit_intercept intercept_scaling l1_ratio max_iter multi_class n_jobs",
        "penalty random_state solver tol verbose warm_start",
    ),
    "sklearn.LogisticRegressionCV": Known.of(
        logistic,
        "Cs class_weight cv dual fit_intercept intercept_scaling l1_ratios max_iter multi_class",
        "n_jobs penalty random_state refit scoring solver tol use_legacy_attributes verbose",
    ),
    "sklearn.SGDClassifier": Known.of(descent, _GRADIENT, "class_weight n_jobs"),
    "sklearn.RidgeClassifier": Known.of(scores, _RIDGE, "class_weight"),
    "sklearn.LinearSVC": Known.of(
        scores,
        "C class_weight dual fit_intercept intercept_scaling loss max_iter multi_class penalty",
        "random_state tol verbose",
    ),
    "sklearn.LinearRegression": Known.of(regression, "copy_X fit_intercept n_jobs positive tol"),
    "sklearn.Ridge": Known.of(regression, _RIDGE),
    "sklearn.RidgeCV": Known.of(
        regression,
        "alpha_per_target alphas cv fit_intercept gcv_mode scoring store_cv_results",
        "store_cv_values",
    ),
    "sklearn.Lasso": Known.of(regression, _DESCENT, "tol warm_start"),
    "sklearn.LassoCV": Known.of(regression, _PATH, "random_state selection tol verbose"),
    "sklearn.ElasticNet": Known.of(regression, _DESCENT, "l1_ratio tol warm_start"),
    "sklearn.ElasticNetCV": Known.of(
        regression, _PATH, "l1_ratio random_state selection tol verbose"
    ),
    "sklearn.BayesianRidge": Known.of(
        regression,
        "alpha_1 alpha_2 alpha_init compute_score copy_X fit_intercept lambda_1 lambda_2",
        "lambda_init max_iter tol verbose",
    ),
    "sklearn.HuberRegressor": Known.of(
        regression, "alpha epsilon fit_intercept max_iter tol warm_start"
    ),
    "sklearn.SGDRegressor": Known.of(regression, _GRADIENT),
}
