"""One row down many trees at once, a level of all of them a turn.

To ask a tree costs microseconds whatever its size, and so does an operation on an array. Of many
trees that are not deep, this takes far fewer operations than one for each tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from .answers import Array

MAX_NODES: Final = 250_000
"""Of all trees together; a node takes 48 bytes and 16 for each value."""


class Nodes(NamedTuple):
    """The nodes of one tree, its root first. `value` has the shape (nodes, values)."""

    leaf: Array
    feature: Array
    threshold: Array
    left: Array
    right: Array
    value: Array
    depth: int


@dataclass(frozen=True, slots=True)
class Walk:
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
    def of(cls, trees: Sequence[Nodes]) -> Walk | None:
        """None where it would not pay, or take much memory."""
        counts = [len(tree.leaf) for tree in trees]
        depth = max(tree.depth for tree in trees)
        # A level costs as much as two trees that are asked one by one.
        if sum(counts) > MAX_NODES or 2 * depth > len(trees):
            return None
        firsts = np.cumsum([0, *counts[:-1]])
        shift, own = np.repeat(firsts, counts), np.arange(sum(counts))
        leaf = np.concatenate([tree.leaf for tree in trees]).astype(bool)
        left = np.concatenate([tree.left for tree in trees]).astype(np.intp) + shift
        right = np.concatenate([tree.right for tree in trees]).astype(np.intp) + shift
        features = np.concatenate([tree.feature for tree in trees])
        thresholds = np.concatenate([tree.threshold for tree in trees])
        ways = np.stack([np.where(leaf, own, left), np.where(leaf, own, right)], axis=1)
        return cls(
            roots=(2 * firsts).astype(np.intp),
            depth=depth,
            features=np.repeat(np.where(leaf, 0, features), 2).astype(np.intp),
            thresholds=np.repeat(np.where(leaf, np.inf, thresholds), 2),
            ways=(2 * ways).ravel().astype(np.intp),
            values=np.repeat(np.concatenate([tree.value for tree in trees]), 2, axis=0),
        )

    def values_for(self, row: Array) -> Array:
        """What each tree says of one row without NaN, of shape (trees, values)."""
        at = self.roots
        for _ in range(self.depth):
            above = row.take(self.features.take(at)) > self.thresholds.take(at)
            at = self.ways.take(at + above)
        return self.values.take(at, axis=0)
