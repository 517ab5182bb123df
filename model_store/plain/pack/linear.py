"""Linear models."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ...labels import json_labels, labels_of
from ..node import Array, Label, Predictor
from ..nodes.columns import Pipeline
from ..nodes.linear import Classification, Link, Multilabel, Regression, Shares
from ..nodes.numbers import Scale
from ..nodes.outliers import Outliers
from .given import Given, NotPacked
from .known import Inner, Known

_DESCENT: Final = "alpha copy_X fit_intercept max_iter positive precompute random_state selection"
_PATH: Final = "alphas copy_X cv eps fit_intercept max_iter n_alphas n_jobs positive precompute"
_GRADIENT: Final = (
    "alpha average early_stopping epsilon eta0 fit_intercept l1_ratio learning_rate loss max_iter"
    " n_iter_no_change penalty power_t random_state shuffle tol validation_fraction verbose"
    " warm_start"
)
_AGGRESSIVE: Final = (
    "C average early_stopping fit_intercept loss max_iter n_iter_no_change random_state shuffle tol"
    " validation_fraction verbose warm_start"
)
_ANGLE: Final = "copy_X eps fit_intercept max_iter precompute verbose"
_GENERAL: Final = "alpha fit_intercept max_iter solver tol verbose warm_start"
_LATENT: Final = "copy max_iter n_components scale tol"
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
    return _regression(step)


def exponential(step: Any, given: Given, inner: Inner) -> Predictor:
    return _regression(step, link="exp")


def tweedie(step: Any, given: Given, inner: Inner) -> Predictor:
    links: dict[str, Link] = {"IdentityLink": "identity", "LogLink": "exp"}
    return _regression(step, link=links[type(step._base_loss.link).__name__])


def _regression(step: Any, *, link: Link = "identity") -> Regression:
    coefficients, intercept = _table(step)
    return Regression(coefficients=coefficients, intercept=intercept, link=link)


def _table(step: Any) -> tuple[Array, Array]:
    """The coefficients, with a row a feature, and the intercept."""
    coefficients = step.coef_
    if hasattr(coefficients, "toarray"):
        coefficients = coefficients.toarray()
    coefficients = np.asarray(coefficients).T
    # A plain 0.0 makes nothing wider.
    plain = np.ndim(step.intercept_) == 0
    return coefficients, np.asarray(step.intercept_, coefficients.dtype if plain else None)


def consensus(step: Any, given: Given, inner: Inner) -> Predictor:
    """RANSAC answers as what it fitted to the inliers."""
    return inner.predictor(step.estimator_, given)


def least_squares(step: Any, given: Given, inner: Inner) -> Predictor:
    """Partial least squares: features less their means, times coefficients."""
    centre = Scale(operations=[("subtract", np.asarray(step._x_mean))])
    return Pipeline(steps=[centre], last=_regression(step))


def logistic(step: Any, given: Given, inner: Inner) -> Predictor:
    several = len(step.classes_) > 2
    # Before 1.8 there was a choice; what is not the default is left alone.
    if getattr(step, "multi_class", "auto") not in ("auto", "deprecated"):
        raise NotPacked(f"LogisticRegression with multi_class={step.multi_class!r} is not known")
    if several and step.solver == "liblinear":
        return _classification(step, "one_vs_rest")
    return _classification(step, "softmax" if several else "logistic")


def descent(step: Any, given: Given, inner: Inner) -> Predictor:
    shares: dict[str, Shares] = {"log_loss": "one_vs_rest", "modified_huber": "modified_huber"}
    return _classification(step, shares.get(step.loss))


def discriminant(step: Any, given: Given, inner: Inner) -> Predictor:
    return _classification(step, "softmax" if len(step.classes_) > 2 else "logistic")


def scores(step: Any, given: Given, inner: Inner) -> Predictor:
    return _classification(step, None)


def ridge(step: Any, given: Given, inner: Inner) -> Predictor:
    if not step._label_binarizer.y_type_.startswith("multilabel"):
        return _classification(step, None)
    coefficients, intercept = _table(step)
    return Multilabel(coefficients=coefficients, intercept=np.atleast_1d(intercept))


def one_class(step: Any, given: Given, inner: Inner) -> Predictor:
    coefficients = np.asarray(step.coef_).ravel()
    score = Regression(coefficients=coefficients, intercept=-np.asarray(step.offset_))
    return Outliers(score=score)


def _classification(step: Any, shares: Shares | None) -> Predictor:
    classes = classes_of(step)
    coefficients, intercept = _table(step)
    return Classification(
        classes=classes,
        coefficients=coefficients.reshape(len(coefficients), -1),
        intercept=np.atleast_1d(intercept),
        shares=shares,
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
    "sklearn.Perceptron": Known.of(
        scores,
        "alpha class_weight early_stopping eta0 fit_intercept l1_ratio max_iter n_iter_no_change",
        "n_jobs penalty random_state shuffle tol validation_fraction verbose warm_start",
    ),
    "sklearn.PassiveAggressiveClassifier": Known.of(scores, _AGGRESSIVE, "class_weight n_jobs"),
    "sklearn.RidgeClassifier": Known.of(ridge, _RIDGE, "class_weight"),
    "sklearn.RidgeClassifierCV": Known.of(
        ridge, "alphas class_weight cv fit_intercept scoring store_cv_results store_cv_values"
    ),
    "sklearn.LinearSVC": Known.of(
        scores,
        "C class_weight dual fit_intercept intercept_scaling loss max_iter multi_class penalty",
        "random_state tol verbose",
    ),
    "sklearn.LinearDiscriminantAnalysis": Known.of(
        discriminant,
        "covariance_estimator n_components priors shrinkage solver store_covariance tol",
    ),
    "sklearn.SGDOneClassSVM": Known.of(
        one_class,
        "average eta0 fit_intercept learning_rate max_iter nu power_t random_state shuffle tol",
        "verbose warm_start",
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
    "sklearn.MultiTaskLasso": Known.of(regression, _DESCENT, "tol warm_start"),
    "sklearn.MultiTaskLassoCV": Known.of(regression, _PATH, "random_state selection tol verbose"),
    "sklearn.MultiTaskElasticNet": Known.of(regression, _DESCENT, "l1_ratio tol warm_start"),
    "sklearn.MultiTaskElasticNetCV": Known.of(
        regression, _PATH, "l1_ratio random_state selection tol verbose"
    ),
    "sklearn.Lars": Known.of(
        regression,
        "copy_X eps fit_intercept fit_path jitter n_nonzero_coefs precompute random_state verbose",
    ),
    "sklearn.LarsCV": Known.of(regression, _ANGLE, "cv max_n_alphas n_jobs"),
    "sklearn.LassoLars": Known.of(
        regression, _ANGLE, "alpha fit_path jitter positive random_state"
    ),
    "sklearn.LassoLarsCV": Known.of(regression, _ANGLE, "cv max_n_alphas n_jobs positive"),
    "sklearn.LassoLarsIC": Known.of(regression, _ANGLE, "criterion noise_variance positive"),
    "sklearn.OrthogonalMatchingPursuit": Known.of(
        regression, "fit_intercept n_nonzero_coefs precompute tol"
    ),
    "sklearn.OrthogonalMatchingPursuitCV": Known.of(
        regression, "copy cv fit_intercept max_iter n_jobs verbose"
    ),
    "sklearn.BayesianRidge": Known.of(
        regression,
        "alpha_1 alpha_2 alpha_init compute_score copy_X fit_intercept lambda_1 lambda_2",
        "lambda_init max_iter tol verbose",
    ),
    "sklearn.ARDRegression": Known.of(
        regression,
        "alpha_1 alpha_2 compute_score copy_X fit_intercept lambda_1 lambda_2 max_iter",
        "threshold_lambda tol verbose",
    ),
    "sklearn.HuberRegressor": Known.of(
        regression, "alpha epsilon fit_intercept max_iter tol warm_start"
    ),
    "sklearn.QuantileRegressor": Known.of(
        regression, "alpha fit_intercept quantile solver solver_options"
    ),
    "sklearn.TheilSenRegressor": Known.of(
        regression,
        "copy_X fit_intercept max_iter max_subpopulation n_jobs n_subsamples random_state tol",
        "verbose",
    ),
    "sklearn.RANSACRegressor": Known.of(
        consensus,
        "estimator is_data_valid is_model_valid loss max_skips max_trials min_samples random_state",
        "residual_threshold stop_n_inliers stop_probability stop_score",
    ),
    "sklearn.SGDRegressor": Known.of(regression, _GRADIENT),
    "sklearn.PassiveAggressiveRegressor": Known.of(regression, _AGGRESSIVE, "epsilon"),
    "sklearn.LinearSVR": Known.of(
        regression,
        "C dual epsilon fit_intercept intercept_scaling loss max_iter random_state tol verbose",
    ),
    "sklearn.PoissonRegressor": Known.of(exponential, _GENERAL),
    "sklearn.GammaRegressor": Known.of(exponential, _GENERAL),
    "sklearn.TweedieRegressor": Known.of(tweedie, _GENERAL, "link power"),
    "sklearn.PLSRegression": Known.of(least_squares, _LATENT),
    "sklearn.PLSCanonical": Known.of(least_squares, _LATENT, "algorithm"),
    "sklearn.CCA": Known.of(least_squares, _LATENT),
}
