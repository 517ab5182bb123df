"""Estimators that answer the same to all, and those of one feature."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ...labels import json_labels, labels_of
from ..node import Array, Predictor
from ..nodes.constant import ConstantClass, ConstantNumber, Isotonic
from ..nodes.multioutput import Several
from .given import Given, NotPacked
from .known import Inner, Known, require_set


def dummy_class(step: Any, given: Given, inner: Inner) -> Predictor:
    require_set(step, strategy=("prior", "most_frequent", "constant"))
    if step.n_outputs_ == 1:
        targets = [(step.classes_, step.class_prior_)]
    else:
        targets = list(zip(step.classes_, step.class_prior_, strict=True))
    constants = np.ravel(step.constant) if step.strategy == "constant" else [None] * len(targets)
    members: list[Predictor] = [
        _constant(step.strategy, np.asarray(classes), np.asarray(prior), constant)
        for (classes, prior), constant in zip(targets, constants, strict=True)
    ]
    return members[0] if len(members) == 1 else Several(members=members)


def _constant(strategy: str, classes: Array, prior: Array, constant: Any) -> ConstantClass:
    """What is said of one target."""
    place = int(prior.argmax())
    if strategy == "constant":
        (place,) = np.flatnonzero(classes == constant).tolist()
    if strategy != "prior":
        prior = np.zeros(len(classes))
        prior[place] = 1.0
    return ConstantClass(classes=json_labels(labels_of(classes)), place=place, shares=prior)


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
