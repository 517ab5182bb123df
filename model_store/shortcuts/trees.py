"""Trees and forests.

To ask a tree costs microseconds whatever its size. So a few rows go down all trees of a forest in
one call of what scikit-learn adds up a gradient boosting with; many rows go down one tree after
another, which then is quicker. Both add the trees up in the order in which scikit-learn does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .answers import Answer, Array, Final, as_finite_float32
from .supported import is_its_own

FEW_ROWS = 128
"""As many go down all trees in one call."""

MAX_NODES = 250_000
"""Of the copies that one call needs where a tree has several values; a node takes 72 bytes."""

Splits = tuple[Array, Array]
"""Features, and the thresholds at which trees part their values."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A tree, where scikit-learn's code for gradient boosting looks for one."""

    tree_: Any


@dataclass(frozen=True, slots=True)
class Stages:
    """The trees of a forest as if they were those of a gradient boosting: `stages` has a row for
    each of them, and in it a tree for each of its values."""

    stages: Array
    add: Callable[[Array, Array, float, Array], None]

    @classmethod
    def of(cls, trees: Sequence[Any]) -> Self | None:
        """None where it would not pay, or take much memory."""
        width = trees[0].value.shape[2]
        copied = 0 if width == 1 else width * sum(tree.node_count for tree in trees)
        if len(trees) == 1 or copied > MAX_NODES:
            return None
        from sklearn.ensemble._gradient_boosting import predict_stages

        stages = np.empty((len(trees), width), dtype=object)
        for row, tree in zip(stages, trees, strict=True):
            row[:] = [Stage(_of_value(tree, place)) for place in range(width)]
        return cls(stages, predict_stages)

    def sums(self, narrow: Array) -> Array:
        """The values of all trees added up, for each row of float32 without NaN."""
        total = np.zeros((len(narrow), self.stages.shape[1]))
        self.add(self.stages, narrow, 1.0, total)
        return total


@dataclass(frozen=True, slots=True)
class Forest:
    """The mean of the trees' values. `classes` is None for a regression; `nan` says whether the
    trees know where to go without a value."""

    trees: tuple[Any, ...]
    stages: Stages | None
    classes: Array | None
    nan: bool

    def __call__(self, array: Array) -> Answer:
        narrow = as_finite_float32(array, nan=self.nan)
        total = self._sums(narrow)
        total /= len(self.trees)
        if self.classes is None:
            return total[:, 0], None
        return self.classes.take(total.argmax(axis=1)), total

    def _sums(self, narrow: Array) -> Array:
        whole = not self.nan or not np.isnan(narrow).any()
        if self.stages is not None and whole and len(narrow) <= FEW_ROWS:
            return self.stages.sums(narrow)
        total: Array = self.trees[0].predict(narrow)
        for tree in self.trees[1:]:
            total += tree.predict(narrow)
        return total

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
    return Forest(trees, Stages.of(trees), classes, nan)


def _of_value(tree: Any, place: int) -> Any:
    """A tree with one of the values alone."""
    if tree.value.shape[2] == 1:
        return tree
    kind, (features, _, outputs), state = tree.__reduce__()
    single = kind(features, np.ones(outputs, dtype=np.intp), outputs)
    values = np.ascontiguousarray(tree.value[:, :, place : place + 1])
    single.__setstate__(state | {"values": values})
    return single
