"""Boosted trees of LightGBM, as it writes them itself."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Array, Predictor, Transform
from ..nodes.columns import Pipeline
from ..nodes.tree_table import Table
from ..nodes.trees import BoostedClassification, BoostedRegression, Inverse
from .codes import coded
from .given import Given, NotPacked
from .known import Inner, Known
from .linear import classes_of
from .tree_tables import Choice, Grown, table

_ZERO: Final = float(np.float32(1e-35))
"""Up to it, and down to the same below 0, LightGBM takes a number for 0."""

_LINKS: Final[dict[str, Inverse]] = {
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
}


def regression(step: Any, given: Given, inner: Inner) -> Predictor:
    model = _Model(step)
    name, options = model.objective
    if name not in _LINKS or "sqrt" in options:
        raise _unknown(model)
    steps, places = model.codes(given)
    node = BoostedRegression(trees=model.trees(places), link=_LINKS[name])
    return Pipeline(steps=steps, last=node) if steps else node


def classification(step: Any, given: Given, inner: Inner) -> Predictor:
    model = _Model(step)
    name, options = model.objective
    if name not in ("binary", "multiclass"):
        raise _unknown(model)
    slope = dict(option.split(":", 1) for option in options).get("sigmoid", "1")
    steps, places = model.codes(given)
    node = BoostedClassification(
        trees=model.trees(places),
        classes=classes_of(step),
        link="logistic" if name == "binary" else "softmax",
        slope=float(slope) if name == "binary" else 1.0,
        chosen="share",
        scored=hasattr(step, "decision_function"),
    )
    return Pipeline(steps=steps, last=node) if steps else node


def _unknown(model: _Model) -> NotPacked:
    return NotPacked(
        f"LightGBM with the objective {' '.join(model.objective[1])!r:.60} is not known"
    )


class _Model:
    """The text that LightGBM writes, up to its best iteration: lines of a name and a value, those
    of each tree behind a line that names it."""

    def __init__(self, step: Any) -> None:
        booster = step.booster_
        self._categories = booster.pandas_categorical or []
        head, *trees = booster.model_to_string().split("\nTree=")
        self._trees = [_fields(tree.split("\nend of trees")[0]) for tree in trees]
        if "average_output" in head.splitlines():
            raise NotPacked("a random forest of LightGBM is not known")
        name, *options = _fields(head)["objective"].split()
        self._features = _fields(head)["feature_infos"].split()
        self.objective = name, options

    def codes(self, given: Given) -> tuple[list[Transform], Array]:
        """The step that counts the categories of pandas, if there are any, and the place of each
        column behind it. What is unknown is missing."""
        if not self._categories:
            return [], np.arange(given.width)
        # Of numbers it has their range, and nothing of what is always the same.
        columns = [place for place, kind in enumerate(self._features) if _is_of_categories(kind)]
        if len(columns) != len(self._categories):
            raise NotPacked("LightGBM with categories of other columns is not known")
        step, places = coded(dict(zip(columns, self._categories, strict=True)), given)
        return [step], places

    def trees(self, places: Array) -> Table:
        """The trees, one of each score after another, of the features at these places."""
        return table([_grown(tree, places) for tree in self._trees], infinite=True)


def _is_of_categories(information: str) -> bool:
    return information != "none" and not information.startswith("[")


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _grown(tree: dict[str, str], places: Array) -> Grown:
    """A tree of inner nodes, and behind them leaves, which are counted from -1 down."""
    if tree.get("is_linear", "0") != "0":
        raise NotPacked("LightGBM with linear trees is not known")
    leaves = np.array(tree["leaf_value"].split(), dtype=np.float64)
    inner = len(leaves) - 1
    none = np.full(inner + len(leaves), -1)
    features, left, right = none.copy(), none.copy(), none.copy()
    thresholds, missing_right = np.zeros(len(none)), np.zeros(len(none), dtype=bool)
    choices: list[Choice] = []
    if inner:
        features[:inner] = places[_integers(tree["split_feature"])]
        for children, name in ((left, "left_child"), (right, "right_child")):
            found = _integers(tree[name])
            children[:inner] = np.where(found >= 0, found, inner + ~found)
        limits = np.array(tree["threshold"].split(), dtype=np.float64)
        kinds = _integers(tree["decision_type"])
        thresholds[:inner], missing_right[:inner] = _ways(limits, kinds)
        choices = _choices(tree, limits, kinds)
        thresholds[[choice.node for choice in choices]] = 0.0
    values = np.concatenate([np.zeros(inner), leaves])[:, np.newaxis]
    return Grown(features, thresholds, left, right, values, missing_right, choices)


def _integers(text: str) -> Array:
    return np.array(text.split(), dtype=np.int64)


def _ways(limits: Array, kinds: Array) -> tuple[Array, Array]:
    """The thresholds, and where missing values go right. A kind has a bit for categories, one for
    missing values that go left, and two for what is missing: nothing, zeros, or NaN."""
    missing, of_categories = kinds >> 2 & 3, kinds & 1 > 0
    if (missing == 1).any():
        raise NotPacked("LightGBM with zeros as missing values is not known")
    # Where nothing is missing, NaN is 0. To a category it is none of those that go left.
    right = np.where(missing == 0, limits < 0, kinds & 2 == 0) | of_categories
    # What it takes for 0 is at most a threshold that is 0 or above, and above those below.
    near = np.where(limits >= 0, _ZERO, np.nextafter(-_ZERO, -np.inf))
    return np.where(np.abs(limits) <= _ZERO, near, limits), right


def _choices(tree: dict[str, str], limits: Array, kinds: Array) -> list[Choice]:
    """Sets of categories as bits in words of 32; the threshold says which set."""
    if int(tree.get("num_cat", "0")) == 0:
        return []
    ends, words = _integers(tree["cat_boundaries"]), _integers(tree["cat_threshold"])
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little") > 0
    found = []
    for node in np.flatnonzero(kinds & 1).tolist():
        place = int(limits[node])
        left = bits[32 * ends[place] : 32 * ends[place + 1]]
        found.append(Choice(node, left, others=False))
    return found


_PARAMETERS: Final = (
    "boosting_type class_weight colsample_bytree importance_type learning_rate max_depth"
    " min_child_samples min_child_weight min_split_gain n_estimators n_jobs num_leaves objective"
    " random_state reg_alpha reg_lambda subsample subsample_for_bin subsample_freq"
    # What it takes beside these is for training only.
    " bagging_fraction bagging_freq bagging_seed cat_l2 cat_smooth data_sample_strategy"
    " deterministic early_stopping_round early_stopping_rounds extra_trees feature_fraction"
    " feature_fraction_bynode feature_fraction_seed force_col_wise force_row_wise is_unbalance"
    " lambda_l1 lambda_l2 max_bin max_cat_threshold max_cat_to_onehot max_delta_step metric"
    " min_data_in_bin min_data_in_leaf min_data_per_group min_gain_to_split"
    " min_sum_hessian_in_leaf monotone_constraints num_threads path_smooth scale_pos_weight seed"
    " use_missing verbose verbosity"
)

PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "lightgbm.LGBMClassifier": Known.of(classification, _PARAMETERS),
    "lightgbm.LGBMRegressor": Known.of(regression, _PARAMETERS),
}
