"""Boosted trees of CatBoost on numbers, as it writes them itself."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..node import Predictor
from ..nodes.tree_table import Table
from ..nodes.trees import BoostedClassification, BoostedRegression
from .given import Given, NotPacked
from .known import Inner, Known
from .linear import classes_of
from .tree_tables import Grown, stump, table

_IDENTITY: Final = ("RMSE", "MAE", "Quantile", "MAPE", "Huber", "LogCosh", "Expectile")

MAX_LEAVES: Final = 1 << 22


def regression(step: Any, given: Given, inner: Inner) -> Predictor:
    model = _Model(step)
    if model.loss not in _IDENTITY or model.turns > 1:
        raise NotPacked(f"CatBoost with the loss {model.loss!r:.60} is not known")
    return BoostedRegression(trees=model.trees())


def classification(step: Any, given: Given, inner: Inner) -> Predictor:
    model = _Model(step)
    if model.loss not in ("Logloss", "MultiClass"):
        raise NotPacked(f"CatBoost with the loss {model.loss!r:.60} is not known")
    if step.get_probability_threshold() not in (None, 0.5):
        raise NotPacked("CatBoost with a threshold of its own is not known")
    return BoostedClassification(
        trees=model.trees(),
        classes=classes_of(step),
        link="logistic" if model.turns == 1 else "softmax",
        scored=False,
    )


class _Model:
    """What CatBoost writes of a model."""

    def __init__(self, step: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            step.save_model(str(path), format="json")
            self._model = json.loads(path.read_bytes())
        self.loss = str(step.get_all_params()["loss_function"]).partition(":")[0]
        features = self._model["features_info"]
        if set(features) - {"float_features"} or "oblivious_trees" not in self._model:
            raise NotPacked("CatBoost is known with numbers and symmetric trees alone")
        self._scale, self._bias = self._model["scale_and_bias"]
        if self._scale != 1:
            raise NotPacked(f"CatBoost with the scale {self._scale} is not known")
        # Features by themselves, as there are no others.
        self._right = np.array(
            [each["nan_value_treatment"] == "AsTrue" for each in features["float_features"]]
        )

    @property
    def turns(self) -> int:
        """How many scores there are."""
        return len(self._bias)

    def trees(self) -> Table:
        """The trees, one of each score after another. What is added last is a tree of one leaf."""
        found = self._model["oblivious_trees"]
        if sum(len(tree["leaf_values"]) for tree in found) > MAX_LEAVES:
            raise NotPacked(f"CatBoost with more than {MAX_LEAVES} leaves is not known")
        trees = [each for tree in found for each in self._grown(tree)]
        trees += [stump(np.array([bias], dtype=np.float64)) for bias in self._bias]
        return table(trees, infinite=True)

    def _grown(self, tree: Any) -> list[Grown]:
        """A tree for each score, with all nodes that stand for a split; the last one is asked
        first, as it is the highest bit of a leaf's place."""
        splits = list(reversed(tree["splits"] or []))
        levels = 1 << np.arange(len(splits) + 1)
        features = np.array([split["float_feature_index"] for split in splits], dtype=np.int64)
        borders = np.array([split["border"] for split in splits], dtype=np.float32)
        inner = len(features) and (1 << len(splits)) - 1
        leaves = np.array(tree["leaf_values"]).reshape(1 << len(splits), -1)
        return [
            Grown(
                np.append(features.repeat(levels[:-1]), np.full(len(leaves), -1)),
                np.append(borders.repeat(levels[:-1]), np.zeros(len(leaves), dtype=np.float32)),
                2 * np.arange(inner + len(leaves)) + 1,
                2 * np.arange(inner + len(leaves)) + 2,
                np.append(np.zeros(inner), values)[:, np.newaxis],
                np.append(self._right[features].repeat(levels[:-1]), np.zeros(len(leaves))),
            )
            for values in leaves.T
        ]


_PARAMETERS: Final = (
    "allow_const_label allow_writing_files auto_class_weights bagging_temperature"
    " best_model_min_trees boost_from_average boosting_type bootstrap_type border_count"
    " class_names class_weights classes_count custom_loss custom_metric depth"
    " diffusion_temperature early_stopping_rounds eta eval_metric feature_border_type"
    " fold_len_multiplier grow_policy iterations l2_leaf_reg langevin leaf_estimation_backtracking"
    " leaf_estimation_iterations leaf_estimation_method learning_rate logging_level loss_function"
    " max_bin max_depth max_leaves metric_period min_child_samples min_data_in_leaf"
    " model_shrink_mode model_shrink_rate n_estimators nan_mode num_boost_round num_leaves"
    " num_trees objective od_pval od_type od_wait posterior_sampling random_seed random_state"
    " random_strength reg_lambda rsm sampling_frequency sampling_unit save_snapshot"
    " scale_pos_weight score_function silent snapshot_file snapshot_interval subsample task_type"
    " thread_count train_dir use_best_model verbose verbose_eval"
)

PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "catboost.CatBoostClassifier": Known.of(classification, _PARAMETERS),
    "catboost.CatBoostRegressor": Known.of(regression, _PARAMETERS),
}
