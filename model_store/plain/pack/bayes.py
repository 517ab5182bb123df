"""Naive Bayes, and discriminant analysis that is not linear."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Predictor
from ..nodes.bayes import CategoryBayes, CountBayes, GaussianBayes
from ..nodes.discriminant import Centroids, Quadratic
from .given import Given
from .known import Inner, Known, require_set
from .linear import classes_of

_COUNTS: Final = "alpha class_prior fit_prior force_alpha"


def gaussian(step: Any, given: Given, inner: Inner) -> Predictor:
    return GaussianBayes(
        classes=classes_of(step),
        prior=np.asarray(step.class_prior_),
        means=np.asarray(step.theta_),
        variances=np.asarray(step.var_),
    )


def multinomial(step: Any, given: Given, inner: Inner) -> Predictor:
    return CountBayes(
        classes=classes_of(step),
        logarithms=np.asarray(step.feature_log_prob_).T,
        prior=np.asarray(step.class_log_prior_),
    )


def complement(step: Any, given: Given, inner: Inner) -> Predictor:
    """The shares of the classes count only where there is one."""
    prior = np.asarray(step.class_log_prior_)
    return CountBayes(
        classes=classes_of(step),
        logarithms=np.asarray(step.feature_log_prob_).T,
        prior=prior if len(prior) == 1 else np.zeros_like(prior),
    )


def bernoulli(step: Any, given: Given, inner: Inner) -> Predictor:
    """What is not there counts as well: what all features that are not there would add is taken
    away again of those that are."""
    there = np.asarray(step.feature_log_prob_)
    absent = np.log(1 - np.exp(there))
    return CountBayes(
        classes=classes_of(step),
        logarithms=(there - absent).T,
        prior=np.asarray(step.class_log_prior_) + absent.sum(axis=1),
        threshold=None if step.binarize is None else float(step.binarize),
    )


def categorical(step: Any, given: Given, inner: Inner) -> Predictor:
    tables = [np.asarray(table).T for table in step.feature_log_prob_]
    return CategoryBayes(
        classes=classes_of(step),
        table=np.concatenate(tables),
        counts=np.array([len(table) for table in tables]),
        prior=np.asarray(step.class_log_prior_),
    )


def quadratic(step: Any, given: Given, inner: Inner) -> Predictor:
    scatters = [np.asarray(scaling) for scaling in step.scalings_]
    return Quadratic(
        classes=classes_of(step),
        means=list(np.asarray(step.means_)),
        axes=[
            np.asarray(rotation) * scatter**-0.5
            for rotation, scatter in zip(step.rotations_, scatters, strict=True)
        ],
        constants=np.array([np.log(scatter).sum() for scatter in scatters]),
        prior=np.log(step.priors_),
    )


def centroids(step: Any, given: Given, inner: Inner) -> Predictor:
    require_set(step, metric=("euclidean", "manhattan"))
    classes = classes_of(step)
    scatter = np.asarray(step.within_class_std_dev_)
    prior = np.asarray(step.class_prior_)
    return Centroids(
        classes=classes,
        centres=np.asarray(step.centroids_, dtype=np.float64),
        scale=np.where(scatter != 0, scatter, 1.0),
        prior=np.log(prior),
        metric=step.metric,
        equal=bool(np.isclose(prior, 1 / len(classes)).all()),
    )


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.GaussianNB": Known.of(gaussian, "priors var_smoothing"),
    "sklearn.MultinomialNB": Known.of(multinomial, _COUNTS),
    "sklearn.ComplementNB": Known.of(complement, _COUNTS, "norm"),
    "sklearn.BernoulliNB": Known.of(bernoulli, _COUNTS, "binarize"),
    "sklearn.CategoricalNB": Known.of(categorical, _COUNTS, "min_categories"),
    "sklearn.QuadraticDiscriminantAnalysis": Known.of(
        quadratic, "covariance_estimator priors reg_param shrinkage solver store_covariance tol"
    ),
    "sklearn.NearestCentroid": Known.of(centroids, "metric priors shrink_threshold"),
}
