"""Ensembles of any estimators: votes, bags and stacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from ..node import Array, Predictor
from ..nodes.bagging import Bagged, BaggedClassification, BaggedRegression
from ..nodes.members import Way
from ..nodes.stacking import Stack, Stacked
from ..nodes.voting import Average, HardVote, SoftVote
from .given import Given, NotPacked
from .known import Inner, Known
from .linear import classes_of
from .trees import bag_of_trees, is_bag_of_trees

_VOTING: Final = "estimators n_jobs verbose weights"
_STACKING: Final = "cv estimators final_estimator n_jobs passthrough verbose"
_BAGGING: Final = (
    "bootstrap bootstrap_features estimator max_features max_samples n_estimators n_jobs oob_score"
    " random_state verbose warm_start"
)
_WAYS: Final[dict[str, Way]] = {
    "predict": "labels",
    "predict_proba": "shares",
    "decision_function": "scores",
}


def classifier(step: Any, given: Given, inner: Inner) -> Predictor:
    classes = classes_of(step)
    members = [inner.predictor(each, given) for each in step.estimators_]
    kind = SoftVote if step.voting == "soft" else HardVote
    if kind is SoftVote and any(len(each.classes_) != len(classes) for each in step.estimators_):
        raise NotPacked("a VotingClassifier whose members know other classes is not known")
    return kind(classes=classes, members=members, weights=_weights(step))


def regressor(step: Any, given: Given, inner: Inner) -> Predictor:
    members = [inner.predictor(each, given) for each in step.estimators_]
    return Average(members=members, weights=_weights(step))


def _weights(step: Any) -> Array | None:
    """Those of the members that were not dropped."""
    if step.weights is None:
        return None
    pairs = zip(step.estimators, step.weights, strict=True)
    kept = [weight for (_, each), weight in pairs if not isinstance(each, str)]
    return np.array(kept, dtype=np.float64)


def bagged_classifier(step: Any, given: Given, inner: Inner) -> Predictor:
    if is_bag_of_trees(step):
        _require_whole(step)
        return bag_of_trees(step)
    classes = classes_of(step)
    shares = {hasattr(each, "predict_proba") for each in step.estimators_}
    known = [np.asarray(each.classes_) for each in step.estimators_]
    whole = np.arange(len(classes))
    node = BaggedClassification(
        classes=classes,
        members=_bagged(step, given, inner),
        known=[None if np.array_equal(each, whole) else each for each in known],
        by="shares" if shares == {True} else "labels",
    )
    if len(shares) > 1 or node.decides != hasattr(step, "decision_function"):
        raise NotPacked(f"a {type(step).__name__} of such different members is not known")
    return node


def bagged_regressor(step: Any, given: Given, inner: Inner) -> Predictor:
    if is_bag_of_trees(step):
        _require_whole(step)
        return bag_of_trees(step)
    return BaggedRegression(members=_bagged(step, given, inner))


def _require_whole(step: Any) -> None:
    """What it adds up it divides by the parameter."""
    if len(step.estimators_) != step.n_estimators:
        raise NotPacked(f"a {type(step).__name__} whose n_estimators was changed is not known")


def _bagged(step: Any, given: Given, inner: Inner) -> list[Bagged]:
    _require_whole(step)
    given = given.as_array()
    members = []
    for each, features in zip(step.estimators_, step.estimators_features_, strict=True):
        columns = np.asarray(features)
        if columns.dtype.kind == "b":
            columns = np.flatnonzero(columns)
        node = inner.predictor(each, given.of_columns(columns.tolist()))
        all_of_them = np.array_equal(columns, np.arange(given.width))
        members.append(Bagged(inner=node, columns=None if all_of_them else columns))
    return members


def stacked_classifier(step: Any, given: Given, inner: Inner) -> Predictor:
    classes = classes_of(step)
    found = [
        Stacked(inner=node, by=by, second=by == "shares" and len(classes) == 2, columns=columns)
        for node, by, columns in _stacked(step, given, inner)
    ]
    return Stack(
        members=found, through=step.passthrough, last=_last(step, given, inner), classes=classes
    )


def stacked_regressor(step: Any, given: Given, inner: Inner) -> Predictor:
    found = [
        Stacked(inner=node, by=by, columns=columns)
        for node, by, columns in _stacked(step, given, inner)
    ]
    return Stack(members=found, through=step.passthrough, last=_last(step, given, inner))


def _stacked(step: Any, given: Given, inner: Inner) -> list[tuple[Predictor, Way, int]]:
    """The members, what of them becomes features, and how many these are."""
    members = zip(step.estimators_, step.stack_method_, step._n_feature_outs, strict=True)
    return [
        (inner.predictor(each, given), _WAYS[method], int(count)) for each, method, count in members
    ]


def _last(step: Any, given: Given, inner: Inner) -> Predictor:
    width = sum(step._n_feature_outs)
    if step.passthrough:
        given = replace(given, width=width + given.width, dtypes=())
    else:
        given = Given(width)
    return inner.predictor(step.final_estimator_, given)


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.VotingClassifier": Known.of(classifier, _VOTING, "flatten_transform voting"),
    "sklearn.VotingRegressor": Known.of(regressor, _VOTING),
    "sklearn.BaggingClassifier": Known.of(bagged_classifier, _BAGGING),
    "sklearn.BaggingRegressor": Known.of(bagged_regressor, _BAGGING),
    # Their members draw rows for training before they fit, which is all that they do besides.
    "imblearn.BalancedBaggingClassifier": Known.of(
        bagged_classifier, _BAGGING, "replacement sampler sampling_strategy"
    ),
    "imblearn.EasyEnsembleClassifier": Known.of(
        bagged_classifier,
        "estimator n_estimators n_jobs random_state replacement sampling_strategy verbose",
        "warm_start",
    ),
    "sklearn.StackingClassifier": Known.of(stacked_classifier, _STACKING, "stack_method"),
    "sklearn.StackingRegressor": Known.of(stacked_regressor, _STACKING),
}
