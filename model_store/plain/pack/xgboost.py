"""Boosted trees and forests of XGBoost, as it writes them itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, TypeVar

import numpy as np

from ..node import Array, Predictor, Transform
from ..nodes.columns import Pipeline
from ..nodes.tree_table import Table
from ..nodes.trees import BoostedClassification, BoostedRegression, Inverse, Link
from .codes import coded
from .given import Given, NotPacked
from .known import Inner, Known
from .linear import classes_of
from .tree_tables import Choice, Grown, started, stump, table

Facts = TypeVar("Facts")


def _same(share: Array) -> Array:
    return share


def _log(number: Array) -> Array:
    # Of float64: numpy's logarithm of float32 has other bits than the C library's.
    found: Array = np.log(number.astype(np.float64)).astype(np.float32)
    return found


def _log_odds(share: Array) -> Array:
    return -_log(np.float32(1) / share - np.float32(1))


_REGRESSIONS: Final[dict[str, tuple[Inverse, Callable[[Array], Array]]]] = {
    "reg:squarederror": ("identity", _same),
    "reg:squaredlogerror": ("identity", _same),
    "reg:absoluteerror": ("identity", _same),
    "reg:pseudohubererror": ("identity", _same),
    "reg:quantileerror": ("identity", _same),
    "count:poisson": ("exp32", _log),
    "reg:gamma": ("exp32", _log),
    "reg:tweedie": ("exp32", _log),
}
"""The link of an objective, and what its base score is to the sum of the trees."""

_CLASSIFICATIONS: Final[dict[str, tuple[Link, Callable[[Array], Array]]]] = {
    "binary:logistic": ("logistic32", _log_odds),
    "multi:softprob": ("softmax32", _same),
}


def regression(step: Any, given: Given, inner: Inner) -> Predictor:
    found = _Model(step)
    link, margin = _known(found.objective, _REGRESSIONS)
    steps, places = found.codes(given)
    trees = found.trees(margin, places)
    node = BoostedRegression(trees=trees, targets=found.turns, link=link)
    return Pipeline(steps=steps, last=node) if steps else node


def classification(step: Any, given: Given, inner: Inner) -> Predictor:
    found = _Model(step)
    link, margin = _known(found.objective, _CLASSIFICATIONS)
    if link == "logistic32" and found.turns > 1:
        raise NotPacked("an XGBClassifier of several targets is not known")
    steps, places = found.codes(given)
    node = BoostedClassification(
        trees=found.trees(margin, places),
        classes=classes_of(step),
        link=link,
        chosen="share",
        scored=False,
    )
    return Pipeline(steps=steps, last=node) if steps else node


def _known(objective: str, table: dict[str, Facts]) -> Facts:
    if objective not in table:
        raise NotPacked(f"XGBoost with the objective {objective!r:.60} is not known")
    return table[objective]


class _Model:
    """What XGBoost writes of a model, up to its best iteration."""

    def __init__(self, step: Any) -> None:
        missing = step.missing
        if not (isinstance(missing, float) and missing != missing):
            raise NotPacked(f"XGBoost with missing={missing!r:.60} is not known")
        learner = json.loads(bytes(step.get_booster().save_raw("json")))["learner"]
        self._best: int | None = getattr(step, "best_iteration", None)
        self.objective = str(learner["objective"]["name"])
        self._parameters = learner["learner_model_param"]
        self._booster = learner["gradient_booster"]
        self._types = learner.get("feature_types") or []

    @property
    def turns(self) -> int:
        """How many scores there are."""
        counts = (self._parameters["num_class"], self._parameters.get("num_target", 1))
        return max(1, *map(int, counts))

    def codes(self, given: Given) -> tuple[list[Transform], Array]:
        """The step that counts categories, if there are any, and the place of each column behind
        it. What is unknown is missing, as it is in a column of pandas with these categories."""
        if "c" not in self._types:
            return [], np.arange(given.width)
        encodings = self._booster["model"]["cats"]["enc"]
        known = {place: _categories(each) for place, each in enumerate(encodings) if each["values"]}
        if sorted(known) != [place for place, kind in enumerate(self._types) if kind == "c"]:
            raise NotPacked("XGBoost with categories that it does not name is not known")
        step, places = coded(known, given)
        return [step], places

    def trees(self, margin: Callable[[Array], Array], places: Array) -> Table:
        """The trees, one of each score after another, of the features at these places."""
        scores = np.atleast_1d(json.loads(self._parameters["base_score"])).astype(np.float32)
        start = np.broadcast_to(margin(scores), (self.turns,))
        trees, turns = self._grown(start, places)
        if not trees:
            trees = [stump(np.zeros(1, dtype=np.float32)) for _ in start]
            turns = np.arange(len(start))
        counts = np.bincount(turns, minlength=self.turns)
        if (counts != counts[0]).any():
            raise NotPacked("XGBoost with more trees of one class than of another is not known")
        order = np.argsort(turns, kind="stable").reshape(self.turns, -1).T.ravel()
        return table(started([trees[each] for each in order], start), infinite=True, absent=True)

    def _grown(self, start: Array, places: Array) -> tuple[list[Grown], Array]:
        """The trees in the order in which they are added up, and whose turn each is."""
        weights = self._booster.get("weight_drop")
        model = (self._booster if weights is None else self._booster["gbtree"])["model"]
        # Cutting the booster itself, as XGBoost can, it would forget its categories.
        end = None if self._best is None else model["iteration_indptr"][self._best + 1]
        trees = [_grown(each, places) for each in model["trees"][:end]]
        turns = np.array(model["tree_info"][:end], dtype=np.int64)
        for tree, weight, turn in zip(trees, weights or (), turns, strict=False):
            # Each is asked by itself, what it starts from is taken off, then it is weighed.
            alone = (tree.values + start[turn]) - start[turn]
            tree.values[:] = alone * np.float32(weight)
        return trees, turns


def _categories(encoding: Any) -> list[Any]:
    """The categories of a column: numbers, or texts one after another, with their ends."""
    values = encoding["values"]
    if "offsets" not in encoding:
        return list(values)
    texts = bytes(value % 256 for value in values)
    # It counts characters where it means bytes: it cuts off texts, and takes one for another.
    if not texts.isascii():
        raise NotPacked(
            "XGBoost itself mixes up categories of other than ASCII characters; encode them before"
        )
    return [texts[start:end].decode() for start, end in pairwise(encoding["offsets"])]


def _grown(tree: Any, places: Array) -> Grown:
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise NotPacked("XGBoost with several values a leaf is not known")
    left = np.array(tree["left_children"])
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    return Grown(
        np.where(left < 0, -1, places[tree["split_indices"]]),
        # It goes left below a threshold: up to the number before it.
        np.nextafter(conditions, np.float32(-np.inf)),
        left,
        np.array(tree["right_children"]),
        conditions[:, np.newaxis].copy(),
        np.array(tree["default_left"]) == 0,
        _choices(tree),
    )


def _choices(tree: Any) -> list[Choice]:
    found = []
    nodes = tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"]
    for node, start, size in zip(*nodes, strict=True):
        right = np.array(tree["categories"][start : start + size])
        left = np.ones(right.max(initial=0) + 1, dtype=bool)
        left[right] = False
        found.append(Choice(node, left, others=True))
    return found


_PARAMETERS: Final = (
    "base_score booster callbacks colsample_bylevel colsample_bynode colsample_bytree device"
    " early_stopping_rounds enable_categorical eval_metric feature_types feature_weights gamma"
    " grow_policy importance_type interaction_constraints learning_rate max_bin max_cat_threshold"
    " max_cat_to_onehot max_delta_step max_depth max_leaves min_child_weight missing"
    " monotone_constraints multi_strategy n_estimators n_jobs num_parallel_tree objective"
    " random_state reg_alpha reg_lambda sampling_method scale_pos_weight subsample tree_method"
    " use_label_encoder validate_parameters verbosity"
    # What it takes beside these is for training only.
    " normalize_type one_drop rate_drop sample_type skip_drop"
)

PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "xgboost.XGBClassifier": Known.of(classification, _PARAMETERS),
    "xgboost.XGBRFClassifier": Known.of(classification, _PARAMETERS),
    "xgboost.XGBRegressor": Known.of(regression, _PARAMETERS),
    "xgboost.XGBRFRegressor": Known.of(regression, _PARAMETERS),
}
