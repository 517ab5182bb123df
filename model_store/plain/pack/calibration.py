"""Calibrated classifiers, and thresholds."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from ..node import Predictor
from ..nodes.calibration import Calibrated, Calibration, Isotonic, Sigmoid, Temperature
from ..nodes.thresholds import Threshold
from .given import Given, NotPacked
from .known import Inner, Known
from .linear import classes_of

Response = Literal["scores", "shares"]


def calibrated(step: Any, given: Given, inner: Inner) -> Predictor:
    members = [_member(each, step, given, inner) for each in step.calibrated_classifiers_]
    return Calibration(classes=classes_of(step), members=members)


def _member(pair: Any, step: Any, given: Given, inner: Inner) -> Calibrated:
    """One classifier with its calibrators, each of which is of one class."""
    classes, known = np.asarray(step.classes_), np.asarray(pair.estimator.classes_)
    # Of three classes and more scikit-learn takes the score of one of two for that of the other.
    if len(known) < min(len(classes), 3):
        raise NotPacked("a calibrated classifier that knows fewer classes is not known")
    by: Response = "scores" if hasattr(pair.estimator, "decision_function") else "shares"
    node = inner.predictor(pair.estimator, given)
    if pair.method == "temperature":
        if len(known) != len(classes):
            raise NotPacked("a temperature of fewer classes is not known")
        columns = len(classes) if len(classes) > 2 else 1
        temperature = Temperature(scale=float(pair.calibrators[0].beta_))
        return Calibrated(inner=node, by=by, calibrator=temperature, columns=columns)
    # Classes that are texts may have been numbered, which is so for a temperature alone.
    if not np.isin(known, classes).all():
        raise NotPacked("a calibrated classifier that knows other classes is not known")
    places = np.searchsorted(classes, known) if len(classes) > 2 else np.array([1])
    return Calibrated(
        inner=node,
        by=by,
        calibrator=_calibrator(pair),
        columns=len(places),
        places=places,
    )


def _calibrator(pair: Any) -> Sigmoid | Isotonic:
    found = pair.calibrators
    if pair.method == "sigmoid":
        return Sigmoid(
            slopes=np.array([each.a_ for each in found], dtype=np.float64),
            offsets=np.array([each.b_ for each in found], dtype=np.float64),
        )
    if pair.method != "isotonic" or any(each.out_of_bounds != "clip" for each in found):
        raise NotPacked(f"a calibration by {pair.method!r:.60} is not known")
    if any(each.X_thresholds_.dtype != np.float64 for each in found):
        raise NotPacked("an isotonic calibration of float32 is not known")
    return Isotonic(
        x=[each.X_thresholds_ for each in found], y=[each.y_thresholds_ for each in found]
    )


def fixed(step: Any, given: Given, inner: Inner) -> Predictor:
    by = _response(step)
    threshold = step.threshold
    if threshold == "auto":
        threshold = 0.5 if by == "shares" else 0.0
    return _threshold(step, by, threshold, step.pos_label, given, inner)


def tuned(step: Any, given: Given, inner: Inner) -> Predictor:
    label = step._curve_scorer._get_pos_label()
    return _threshold(step, _response(step), step.best_threshold_, label, given, inner)


def _threshold(
    step: Any, by: Response, threshold: Any, label: Any, given: Given, inner: Inner
) -> Predictor:
    classes = np.asarray(step.classes_)
    places = [1] if label is None else np.flatnonzero(classes == label).tolist()
    if len(places) != 1:
        raise NotPacked(f"a threshold of the class {label!r:.60} is not known")
    return Threshold(
        classes=classes_of(step),
        inner=inner.predictor(_estimator(step), given),
        by=by,
        threshold=float(threshold),
        positive=places[0],
    )


def _estimator(step: Any) -> Any:
    """What was fitted: the one that was given may have been before."""
    return getattr(step, "estimator_", step.estimator)


def _response(step: Any) -> Response:
    method = step.response_method
    if method == "auto":
        return "shares" if hasattr(_estimator(step), "predict_proba") else "scores"
    return "shares" if method == "predict_proba" else "scores"


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.CalibratedClassifierCV": Known.of(
        calibrated, "base_estimator cv ensemble estimator method n_jobs"
    ),
    "sklearn.FixedThresholdClassifier": Known.of(
        fixed, "estimator pos_label response_method threshold"
    ),
    "sklearn.TunedThresholdClassifierCV": Known.of(
        tuned,
        "cv estimator n_jobs random_state refit response_method scoring store_cv_results",
        "thresholds",
    ),
}
