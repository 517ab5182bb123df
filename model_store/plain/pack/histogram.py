"""Gradient boosting on histograms, of scikit-learn."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Array, Predictor
from ..nodes.columns import Pipeline
from ..nodes.trees import BoostedClassification, BoostedRegression, Inverse, Link
from .codes import beside
from .given import Given
from .known import Inner, Known
from .linear import classes_of
from .tree_tables import Choice, Grown, started, stump, table

_LINKS: Final[dict[str, Inverse]] = {"IdentityLink": "identity", "LogLink": "exp"}


def histogram(step: Any, given: Given, inner: Inner) -> Predictor:
    """With the encoder that it has where there are categories."""
    node = _boosted(step)
    if step.is_categorical_ is None:
        return node
    # Before the trees the categories stand first. Numbers are only checked there.
    encoder = step._preprocessor.named_transformers_["encoder"]
    columns = np.flatnonzero(step.is_categorical_).tolist()
    codes = inner.transform(encoder, given.of_columns(columns))
    return Pipeline(steps=[beside(columns, codes, given)[0]], last=node)


def _boosted(step: Any) -> Predictor:
    start = np.asarray(step._baseline_prediction).ravel()
    known = _Known(step)
    trees = [known.grown(each) for iteration in step._predictors for each in iteration]
    together = table(started(trees or [stump(np.zeros(1)) for _ in start], start), infinite=True)
    if not hasattr(step, "classes_"):
        return BoostedRegression(trees=together, link=_LINKS[type(step._loss.link).__name__])
    link: Link = "logistic" if len(start) == 1 else "softmax"
    return BoostedClassification(trees=together, classes=classes_of(step), link=link)


class _Known:
    """The categories that were known in training, which decide where others go."""

    def __init__(self, step: Any) -> None:
        self._known, self._places = step._bin_mapper.make_known_categories_bitsets()

    def grown(self, predictor: Any) -> Grown:
        nodes = predictor.nodes
        inner = nodes["is_leaf"] == 0
        choosing = np.flatnonzero(inner & (nodes["is_categorical"] != 0))
        return Grown(
            np.where(inner, nodes["feature_idx"].astype(np.int64), -1),
            np.where(nodes["is_categorical"] != 0, 0.0, nodes["num_threshold"]),
            nodes["left"].astype(np.int64),
            nodes["right"].astype(np.int64),
            np.array(nodes["value"])[:, np.newaxis],
            nodes["missing_go_to_left"] == 0,
            [self._choice(int(node), nodes[node], predictor) for node in choosing],
        )

    def _choice(self, node: int, fields: Any, predictor: Any) -> Choice:
        left = _bits(predictor.raw_left_cat_bitsets[fields["bitset_idx"]])
        known = _bits(self._known[self._places[fields["feature_idx"]]])
        # What is not known goes as if it were missing.
        others = bool(fields["missing_go_to_left"])
        return Choice(node, np.where(known, left, others), others)


def _bits(words: Array) -> Array:
    """The bits of words of 32, the lowest first."""
    return np.unpackbits(np.asarray(words, dtype="<u4").view(np.uint8), bitorder="little") > 0


_PARAMETERS: Final = (
    "categorical_features early_stopping interaction_cst l2_regularization learning_rate loss"
    " max_bins max_depth max_features max_iter max_leaf_nodes min_samples_leaf monotonic_cst"
    " n_iter_no_change random_state scoring tol validation_fraction verbose warm_start"
)

PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.HistGradientBoostingClassifier": Known.of(histogram, _PARAMETERS, "class_weight"),
    "sklearn.HistGradientBoostingRegressor": Known.of(histogram, _PARAMETERS, "quantile"),
}
