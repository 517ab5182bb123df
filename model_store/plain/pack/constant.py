"""Estimators that answer the same to all, and those of one feature."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Predictor
from ..nodes.constant import ConstantClass, ConstantNumber, Isotonic
from .given import Given, NotPacked
from .known import Inner, Known, require_set
from .linear import classes_of


def dummy_class(step: Any, given: Given, inner: Inner) -> Predictor:
    require_set(step, strategy=("prior", "most_frequent", "constant"))
    classes, prior = classes_of(step), np.asarray(step.class_prior_)
    place = int(prior.argmax())
    if step.strategy == "constant":
        (place,) = np.flatnonzero(step.classes_ == np.ravel(step.constant)[0]).tolist()
    if step.strategy != "prior":
        prior = np.zeros(len(classes))
        prior[place] = 1.0
    return ConstantClass(classes=classes, place=place, shares=prior)


def dummy_number(step: Any, given: Given, inner: Inner) -> Predictor:
    return ConstantNumber(numbers=np.ravel(step.constant_))


def isotonic(step: Any, given: Given, inner: Inner) -> Predictor:
    places, numbers = np.asarray(step.X_thresholds_), np.asarray(step.y_thresholds_)
    if places.dtype != np.float64 or numbers.dtype != np.float64:
        raise NotPacked("an IsotonicRegression of narrow floats is not known")
    return Isotonic(
        places=places,
        numbers=numbers,
        lowest=float(step.X_min_),
        highest=float(step.X_max_),
        beyond=step.out_of_bounds,
    )


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.DummyClassifier": Known.of(dummy_class, "constant random_state strategy"),
    "sklearn.DummyRegressor": Known.of(dummy_number, "constant quantile strategy"),
    "sklearn.IsotonicRegression": Known.of(isotonic, "increasing out_of_bounds y_max y_min"),
}
