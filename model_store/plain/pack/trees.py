"""Trees, forests and boosted trees of scikit-learn, and forests of imbalanced-learn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from ...labels import json_labels, labels_of
from ..node import Array, Label, Predictor
from ..nodes.tree_table import Table
from ..nodes.trees import (
    BoostedClassification,
    BoostedRegression,
    Forest,
    Isolation,
    WeightedMedian,
    WeightedVote,
)
from .given import Given, NotPacked
from .known import Inner, Known, key_of, require_known, require_set
from .linear import classes_of
from .tree_tables import Grown, narrow, started, table

_TREE: Final = (
    "ccp_alpha criterion max_depth max_features max_leaf_nodes min_impurity_decrease"
    " min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst random_state"
)
_FOREST: Final = f"{_TREE} bootstrap max_samples n_estimators n_jobs oob_score verbose warm_start"
_BOOSTING: Final = (
    "ccp_alpha criterion init learning_rate loss max_depth max_features max_leaf_nodes"
    " min_impurity_decrease min_samples_leaf min_samples_split min_weight_fraction_leaf"
    " n_estimators n_iter_no_change random_state subsample tol validation_fraction verbose"
    " warm_start"
)
_ADAPTIVE: Final = "estimator learning_rate n_estimators random_state"

_TREES: Final = {
    "sklearn.DecisionTreeClassifier": f"{_TREE} class_weight splitter",
    "sklearn.ExtraTreeClassifier": f"{_TREE} class_weight splitter",
    "sklearn.DecisionTreeRegressor": f"{_TREE} splitter",
    "sklearn.ExtraTreeRegressor": f"{_TREE} splitter",
}


def tree(step: Any, given: Given, inner: Inner) -> Predictor:
    return _forest(step, [step])


def forest(step: Any, given: Given, inner: Inner) -> Predictor:
    return _forest(step, _members(step.estimators_))


def balanced_forest(step: Any, given: Given, inner: Inner) -> Predictor:
    """A forest whose trees may stand in pipelines behind what draws their rows."""
    members = [each.steps[-1][1] if hasattr(each, "steps") else each for each in step.estimators_]
    return _forest(step, _members(members))


def _members(estimators: Iterable[Any]) -> list[Any]:
    """The trees, if they are scikit-learn's own as we know them."""
    found = list(estimators)
    for each in found:
        key = key_of(each)
        if key not in _TREES:
            raise NotPacked(f"trees of {key} are not known")
        require_known(each, key, frozenset(_TREES[key].split()))
    return found


def _forest(step: Any, members: Sequence[Any]) -> Predictor:
    missing = _takes_missing(members)
    trees = [_grown(each.tree_, _leaf_values(each), missing=missing) for each in members]
    return Forest(trees=table(trees), classes=_classes(step))


def _classes(step: Any) -> list[list[Label]] | None:
    """The classes of each target; None of a regression."""
    if not hasattr(step, "classes_"):
        return None
    targets = [step.classes_] if step.n_outputs_ == 1 else step.classes_
    return [json_labels(labels_of(each)) for each in targets]


def _leaf_values(member: Any) -> Array:
    """The values of all nodes, those of several targets side by side."""
    values = member.tree_.value
    if not hasattr(member, "classes_"):
        return np.array(values[:, :, 0])
    counts = np.atleast_1d(member.n_classes_)
    return np.concatenate(
        [values[:, target, :count] for target, count in enumerate(counts)], axis=1
    )


def _takes_missing(members: Sequence[Any]) -> bool:
    """As the estimator itself decides: it depends on its version and its parameters."""
    return bool(members[0]._support_missing_values(np.empty((1, 1))))


def _grown(
    tree: Any, values: Array, *, missing: bool = False, features: Array | None = None
) -> Grown:
    """A tree whose features are those of its own, or places in `features`. They are compared as
    float32 with float64."""
    leaf = tree.children_left < 0
    own = tree.feature if features is None else np.asarray(features)[tree.feature]
    return Grown(
        np.where(leaf, -1, own),
        narrow(tree.threshold),
        tree.children_left,
        tree.children_right,
        values,
        np.asarray(tree.missing_go_to_left) == 0 if missing else None,
    )


# What is boosted -----------------------------------------------------------------


def boosting(step: Any, given: Given, inner: Inner) -> Predictor:
    if not (step.init is None or (isinstance(step.init, str) and step.init == "zero")):
        raise NotPacked("a gradient boosting with an estimator to start from is not known")
    # The same for all rows.
    start = step._raw_predict_init(np.zeros((1, step.n_features_in_), dtype=np.float32))
    trees = [
        _grown(each.tree_, step.learning_rate * each.tree_.value[:, :, 0])
        for each in step.estimators_.ravel()
    ]
    together = table(started(trees, start[0]))
    if not hasattr(step, "classes_"):
        return BoostedRegression(trees=together)
    require_set(step, loss=("log_loss", "exponential"))
    return BoostedClassification(
        trees=together,
        classes=classes_of(step),
        link="logistic" if start.shape[1] == 1 else "softmax",
        slope=2.0 if step.loss == "exponential" else 1.0,
        chosen="score_or_zero",
    )


def adaptive_classifier(step: Any, given: Given, inner: Inner) -> Predictor:
    if getattr(step, "algorithm", "SAMME") not in ("SAMME", "deprecated"):
        raise NotPacked(f"AdaBoostClassifier with algorithm={step.algorithm!r:.60} is not known")
    members = _members(step.estimators_)
    weights = step.estimator_weights_[: len(members)]
    trees = [
        _grown(each.tree_, _votes(each, step.classes_, weight))
        for each, weight in zip(members, weights, strict=True)
    ]
    weight = float(step.estimator_weights_.sum())
    return WeightedVote(trees=table(trees), classes=classes_of(step), weight=weight)


def _votes(member: Any, classes: Array, weight: float) -> Array:
    """For each node the tree's weight for the class that it chooses, and less for the others."""
    chosen = member.classes_.take(member.tree_.value[:, 0, :].argmax(axis=1))
    others = -1 / (len(classes) - 1) * weight
    return np.where(chosen[:, np.newaxis] == classes, weight, others)


def adaptive_regressor(step: Any, given: Given, inner: Inner) -> Predictor:
    members = _members(step.estimators_)
    trees = [_grown(each.tree_, np.array(each.tree_.value[:, :, 0])) for each in members]
    weights = np.array(step.estimator_weights_[: len(members)], dtype=np.float64)
    return WeightedMedian(trees=table(trees), weights=weights)


# What is drawn apart -------------------------------------------------------------


def is_bag_of_trees(step: Any) -> bool:
    """Whether all that it holds are trees, each with some of the features."""
    return all(key_of(each) in _TREES for each in step.estimators_)


def bag_of_trees(step: Any) -> Predictor:
    """A forest whose trees have some of the features."""
    members = _members(step.estimators_)
    missing = _takes_missing(members)
    trees = [
        _grown(each.tree_, _bagged(each, step), missing=missing, features=features)
        for each, features in zip(members, _drawn(step), strict=True)
    ]
    if not hasattr(step, "classes_"):
        return Forest(trees=table(trees))
    return Forest(trees=table(trees), classes=[classes_of(step)])


def _drawn(step: Any) -> list[Array]:
    """The places of the features that each tree has."""
    places = np.arange(step.n_features_in_)
    return [places[features] for features in step.estimators_features_]


def _bagged(member: Any, step: Any) -> Array:
    """The values of all nodes, with a 0 for the classes that a tree has not seen: it was fitted on
    their places."""
    values = _leaf_values(member)
    if not hasattr(step, "classes_") or len(member.classes_) == len(step.classes_):
        return values
    found = np.zeros((len(values), len(step.classes_)))
    found[:, member.classes_] = values
    return found


def isolation(step: Any, given: Given, inner: Inner) -> Predictor:
    from sklearn.ensemble._iforest import _average_path_length

    members = _members(step.estimators_)
    lengths = zip(step._decision_path_lengths, step._average_path_length_per_tree, strict=True)
    drawn = zip(members, _drawn(step), lengths, strict=True)
    unchecked = _is_unchecked(step)
    trees = [
        _grown(each.tree_, _depths(*paths), missing=unchecked, features=features)
        for each, features, paths in drawn
    ]
    longest = len(members) * float(_average_path_length([step._max_samples])[0])
    together: Table = table(trees, infinite=unchecked)
    return Isolation(trees=together, longest=longest, offset=float(step.offset_))


def _is_unchecked(step: Any) -> bool:
    """Whether an isolation forest takes missing and infinite numbers, as it does from 1.6 on."""
    if hasattr(step, "__sklearn_tags__"):
        return bool(step.__sklearn_tags__().input_tags.allow_nan)
    return bool(step._get_tags()["allow_nan"])


def _depths(passed: Array, beyond: Array) -> Array:
    """How many nodes a row passes, with those that a leaf of several rows stands for."""
    found: Array = (np.asarray(passed) + np.asarray(beyond) - 1.0)[:, np.newaxis]
    return found


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    **{key: Known.of(tree, parameters) for key, parameters in _TREES.items()},
    "sklearn.RandomForestClassifier": Known.of(forest, _FOREST, "class_weight"),
    "sklearn.ExtraTreesClassifier": Known.of(forest, _FOREST, "class_weight"),
    "sklearn.RandomForestRegressor": Known.of(forest, _FOREST),
    "sklearn.ExtraTreesRegressor": Known.of(forest, _FOREST),
    "imblearn.BalancedRandomForestClassifier": Known.of(
        balanced_forest, _FOREST, "class_weight replacement sampling_strategy"
    ),
    "sklearn.GradientBoostingClassifier": Known.of(boosting, _BOOSTING),
    "sklearn.GradientBoostingRegressor": Known.of(boosting, _BOOSTING, "alpha"),
    "sklearn.AdaBoostClassifier": Known.of(adaptive_classifier, _ADAPTIVE, "algorithm"),
    "sklearn.AdaBoostRegressor": Known.of(adaptive_regressor, _ADAPTIVE, "loss"),
    "sklearn.IsolationForest": Known.of(
        isolation,
        "bootstrap contamination max_features max_samples n_estimators n_jobs random_state verbose",
        "warm_start",
    ),
}
