"""An estimator of any kind as a node: the tables of all families, and what stands in a pipeline."""

from __future__ import annotations

from typing import Any, Final

from ..node import Predictor, Transform
from ..nodes.columns import Chain, Pipeline, Transformed
from ..nodes.numbers import Finite
from . import (
    bayes,
    calibration,
    catboost,
    category_encoders,
    clusters,
    columns,
    constant,
    curves,
    encoders,
    ensembles,
    feature_engine,
    features,
    histogram,
    imputers,
    lightgbm,
    linear,
    multiclass,
    neighbours,
    networks,
    processes,
    scalers,
    support,
    targets,
    text,
    trees,
    xgboost,
)
from .given import Given, NotPacked
from .known import Known, Made, key_of, require_known

_TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    **category_encoders.TRANSFORMS,
    **columns.TRANSFORMS,
    **curves.TRANSFORMS,
    **encoders.TRANSFORMS,
    **feature_engine.TRANSFORMS,
    **features.TRANSFORMS,
    **imputers.TRANSFORMS,
    **scalers.TRANSFORMS,
    **text.TRANSFORMS,
}
_PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    **bayes.PREDICTORS,
    **calibration.PREDICTORS,
    **catboost.PREDICTORS,
    **clusters.PREDICTORS,
    **constant.PREDICTORS,
    **ensembles.PREDICTORS,
    **histogram.PREDICTORS,
    **lightgbm.PREDICTORS,
    **linear.PREDICTORS,
    **multiclass.PREDICTORS,
    **neighbours.PREDICTORS,
    **networks.PREDICTORS,
    **processes.PREDICTORS,
    **support.PREDICTORS,
    **targets.PREDICTORS,
    **trees.PREDICTORS,
    **xgboost.PREDICTORS,
}

_LET_PASS: Final = frozenset(
    {
        "imblearn.Pipeline",
        "sklearn.ColumnTransformer",
        "sklearn.FeatureUnion",
        "sklearn.FunctionTransformer",
        "sklearn.Pipeline",
    }
)
"""What does not refuse an infinite number itself."""


class Steps:
    """What makes the nodes of estimators, by the tables."""

    def predictor(self, step: Any, given: Given) -> Predictor:
        """The node of a pipeline or of an estimator that predicts.

        Raises:
            NotPacked: there is none.
        """
        *before, last = columns.flat(step)
        transforms, given = self.chain(before, given)
        node = _known(last, _PREDICTORS).pack(last, given, self)
        if transforms or isinstance(node, Pipeline):
            # So the last step is that of the pipeline, also where it takes several nodes.
            return Pipeline(steps=transforms, last=node)
        return node

    def transformation(self, step: Any, given: Given) -> Predictor:
        """The node of a pipeline or of an estimator that transforms, and is asked for that.

        Raises:
            NotPacked: there is none.
        """
        transforms, _ = self.chain(columns.flat(step), given)
        return Pipeline(steps=transforms, last=Transformed())

    def transform(self, step: Any, given: Given) -> Transform:
        """The node of a step that transforms.

        Raises:
            NotPacked: there is none.
        """
        node = _known(step, _TRANSFORMS).pack(step, given, self)
        if given.unbounded and key_of(step) not in _LET_PASS:
            return Chain(steps=[Finite(gaps=True), node])
        return node

    def chain(self, steps: list[Any], given: Given) -> tuple[list[Transform], Given]:
        """The nodes of steps one after another, and what comes of them."""
        found = []
        for step in steps:
            node = self.transform(step, given)
            found.append(node)
            given = given.behind(node)
        return encoders.filled(found), given


def _known(step: Any, table: dict[str, Known[Made]]) -> Known[Made]:
    key = key_of(step)
    known = table.get(key)
    if known is None:
        raise NotPacked(f"there is no node for {key}")
    require_known(step, key, known.parameters)
    return known
