"""Trees and forests.

A lone row goes down all trees of a forest at once, one level of them a turn; several rows go down
one tree after another. Both add the trees up in the order in which scikit-learn does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .answers import Answer, Array, Final, as_finite_float32
from .known import is_its_own
from .walk import Nodes, Walk

Splits = tuple[Array, Array]
"""Features, and the thresholds at which trees part their values."""


@dataclass(frozen=True, slots=True)
class Forest:
    """The mean of the trees' values. `classes` is None for a regression; `nan` says whether the
    trees know where to go without a value."""

    trees: tuple[Any, ...]
    walk: Walk | None
    classes: Array | None
    nan: bool

    def __call__(self, array: Array) -> Answer:
        narrow = as_finite_float32(array, nan=self.nan)
        if self.walk is not None and len(narrow) == 1 and not np.isnan(narrow).any():
            # One sum after another, which `sum` does not promise.
            total = np.add.accumulate(self.walk.values_for(narrow[0]))[-1:]
        else:
            total = self.trees[0].predict(narrow)
            for tree in self.trees[1:]:
                total += tree.predict(narrow)
        total /= len(self.trees)
        if self.classes is None:
            return total[:, 0], None
        return self.classes.take(total.argmax(axis=1)), total

    def splits(self) -> Splits:
        return splits_of(self.trees)


def splits_of(trees: Sequence[Any]) -> Splits:
    """Where the trees part their values."""
    features = np.concatenate([tree.feature for tree in trees])
    thresholds = np.concatenate([tree.threshold for tree in trees])
    inner = features >= 0
    return features[inner], thresholds[inner]


def forest(step: Any, name: str) -> Final | None:
    """A forest, or one tree."""
    if step.n_outputs_ != 1:
        return None
    members = [step] if name.startswith("Decision") else step.estimators_
    if not all(is_its_own(kind) for kind in set(map(type, members))):
        return None
    trees = tuple(member.tree_ for member in members)
    classes = step.classes_ if name.endswith("Classifier") else None
    # As the estimator itself decides: it depends on its version and its parameters.
    nan = bool(members[0]._support_missing_values(np.empty((1, 1))))
    return Forest(trees, Walk.of([_nodes(tree) for tree in trees]), classes, nan)


def _nodes(tree: Any) -> Nodes:
    return Nodes(
        leaf=tree.children_left == -1,
        feature=tree.feature,
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        value=tree.value[:, 0, :],
        depth=tree.max_depth,
    )
