"""Classifiers of several classes or targets that are made of members of one."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Predictor
from ..nodes.members import Member, Way
from ..nodes.multiclass import Constant, ManyLabels, OneVsOne, OneVsRest, OutputCode
from ..nodes.multioutput import Several, TargetChain
from .given import Given, NotPacked
from .known import Inner, Known
from .linear import classes_of

_CHAIN: Final = "base_estimator cv estimator order random_state verbose"
_CHAINED: Final[dict[str, Way]] = {
    "predict": "labels",
    "predict_proba": "shares",
    "decision_function": "scores",
}


def one_vs_rest(step: Any, given: Given, inner: Inner) -> Predictor:
    members = [_member(each, given, inner) for each in step.estimators_]
    threshold = _threshold(step.estimators_[0])
    shares = all(hasattr(each, "predict_proba") for each in step.estimators_)
    node: Predictor
    if step.multilabel_:
        node = ManyLabels(members=members, threshold=threshold, shares=shares)
    else:
        node = OneVsRest(
            classes=classes_of(step), members=members, threshold=threshold, shares=shares
        )
    if shares != hasattr(step, "predict_proba") or node.decides != hasattr(
        step, "decision_function"
    ):
        raise NotPacked("a OneVsRestClassifier of such different members is not known")
    return node


def one_vs_one(step: Any, given: Given, inner: Inner) -> Predictor:
    if step.pairwise_indices_ is not None:
        raise NotPacked("a OneVsOneClassifier of distances is not known")
    given = given.as_array()
    return OneVsOne(
        classes=classes_of(step),
        members=[_member(each, given, inner) for each in step.estimators_],
        threshold=_threshold(step.estimators_[0]),
    )


def output_code(step: Any, given: Given, inner: Inner) -> Predictor:
    return OutputCode(
        classes=classes_of(step),
        members=[_member(each, given, inner) for each in step.estimators_],
        codes=step.code_book_,
    )


def constant(step: Any, given: Given, inner: Inner) -> Predictor:
    (label,) = step.y_
    return Constant(label=int(label))


def _member(estimator: Any, given: Given, inner: Inner) -> Member:
    from sklearn.base import is_regressor

    way: Way = "scores" if hasattr(estimator, "decision_function") else "shares"
    node = inner.predictor(estimator, given)
    return Member(inner=node, by="labels" if is_regressor(estimator) else way)


def _threshold(estimator: Any) -> float:
    from sklearn.base import is_classifier

    decides = hasattr(estimator, "decision_function")
    return 0.0 if decides and is_classifier(estimator) else 0.5


def several(step: Any, given: Given, inner: Inner) -> Predictor:
    return Several(members=[inner.predictor(each, given) for each in step.estimators_])


def classifier_chain(step: Any, given: Given, inner: Inner) -> Predictor:
    if any(len(each.classes_) != 2 for each in step.estimators_):
        raise NotPacked("a ClassifierChain of other than two classes each is not known")
    # Which the estimators are given it by is a choice since 1.6.
    method = getattr(step, "chain_method_", "predict")
    if method not in _CHAINED:
        raise NotPacked(f"a ClassifierChain with chain_method={method!r:.60} is not known")
    return _chain(step, given, inner, _CHAINED[method])


def regressor_chain(step: Any, given: Given, inner: Inner) -> Predictor:
    if any(hasattr(each, "classes_") for each in step.estimators_):
        raise NotPacked("a RegressorChain of classifiers is not known")
    return _chain(step, given, inner, "labels")


def _chain(step: Any, given: Given, inner: Inner, way: Way) -> Predictor:
    members = [
        inner.predictor(each, Given(given.width + place))
        for place, each in enumerate(step.estimators_)
    ]
    return TargetChain(members=members, order=np.asarray(step.order_, dtype=np.int64), by=way)


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.OneVsRestClassifier": Known.of(one_vs_rest, "estimator n_jobs verbose"),
    "sklearn.OneVsOneClassifier": Known.of(one_vs_one, "estimator n_jobs"),
    "sklearn.OutputCodeClassifier": Known.of(
        output_code, "code_size estimator n_jobs random_state"
    ),
    "sklearn._ConstantPredictor": Known.of(constant),
    "sklearn.MultiOutputClassifier": Known.of(several, "estimator n_jobs"),
    "sklearn.MultiOutputRegressor": Known.of(several, "estimator n_jobs"),
    "sklearn.ClassifierChain": Known.of(classifier_chain, _CHAIN, "chain_method"),
    "sklearn.RegressorChain": Known.of(regressor_chain, _CHAIN),
}
