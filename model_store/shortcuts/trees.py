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

MAX_NODES = 100_000
"""Of a forest whose trees are laid side by side, which takes 48 bytes a node."""

Split = tuple[int, float]
"""A feature and the threshold at which a tree parts its values."""


@dataclass(frozen=True, slots=True)
class Level:
    """All trees side by side, every node twice: once for each way out.

    A walk is at the even place of its node; `ways` leads from that place, or from the next one when
    the value is above the threshold, to the even place of the child. A leaf leads to itself.
    """

    roots: Array
    depth: int
    features: Array
    thresholds: Array
    ways: Array
    values: Array

    @classmethod
    def of(cls, trees: Sequence[Any]) -> Level | None:
        counts = [tree.node_count for tree in trees]
        depth = max(tree.max_depth for tree in trees)
        # A level costs as much as two trees that are asked one by one.
        if sum(counts) > MAX_NODES or 2 * depth > len(trees):
            return None
        firsts = np.cumsum([0, *counts[:-1]])
        own = np.arange(sum(counts))
        leaf = np.concatenate([tree.children_left == -1 for tree in trees])
        pairs = zip(trees, firsts, strict=True)
        children = [(t.children_left + first, t.children_right + first) for t, first in pairs]
        left = np.where(leaf, own, np.concatenate([each for each, _ in children]))
        right = np.where(leaf, own, np.concatenate([each for _, each in children]))
        features = np.where(leaf, 0, np.concatenate([tree.feature for tree in trees]))
        thresholds = np.where(leaf, np.inf, np.concatenate([tree.threshold for tree in trees]))
        values = np.concatenate([tree.value[:, 0, :] for tree in trees])
        return cls(
            roots=(2 * firsts).astype(np.intp),
            depth=depth,
            features=np.repeat(features, 2).astype(np.intp),
            thresholds=np.repeat(thresholds, 2),
            ways=2 * np.stack([left, right], axis=1).ravel().astype(np.intp),
            values=np.repeat(values, 2, axis=0),
        )

    def total(self, row: Array) -> Array:
        """The values of all trees for one row of float32, added up tree by tree."""
        at = self.roots
        for _ in range(self.depth):
            above = row.take(self.features.take(at)) > self.thresholds.take(at)
            at = self.ways.take(at + above)
        return np.add.accumulate(self.values.take(at, axis=0), axis=0)[-1:]


@dataclass(frozen=True, slots=True)
class Forest:
    """The mean of the trees' values. `classes` is None for a regression; `nan` says whether the
    trees know where to go without a value."""

    trees: tuple[Any, ...]
    level: Level | None
    classes: Array | None
    nan: bool

    def __call__(self, array: Array) -> Answer:
        narrow = as_finite_float32(array, nan=self.nan)
        if self.level is not None and len(narrow) == 1 and not np.isnan(narrow).any():
            total = self.level.total(narrow[0])
        else:
            total = self.trees[0].predict(narrow)
            for tree in self.trees[1:]:
                total += tree.predict(narrow)
        total /= len(self.trees)
        if self.classes is None:
            return total[:, 0], None
        return self.classes.take(total.argmax(axis=1)), total

    def splits(self) -> list[Split]:
        return splits_of(self.trees)


def splits_of(trees: Sequence[Any]) -> list[Split]:
    """Where the trees part their values."""
    return [
        (int(feature), float(threshold))
        for tree in trees
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True)
        if feature >= 0
    ]


def forest(step: Any, name: str) -> Final | None:
    """A forest, or one tree."""
    if step.n_outputs_ != 1:
        return None
    members = [step] if name.startswith("Decision") else step.estimators_
    trees = tuple(member.tree_ for member in members)
    classes = step.classes_ if name.endswith("Classifier") else None
    # As the estimator itself decides: it depends on its version and its parameters.
    nan = bool(members[0]._support_missing_values(np.empty((1, 1))))
    return Forest(trees, Level.of(trees), classes, nan)
