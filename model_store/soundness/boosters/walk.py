"""Trees of any library: from its root each node is met once, and none beyond the tree."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from ..faults import Array, Wrong

DEEPEST: Final = 3_000
"""Libraries go down a tree in functions that call themselves, when they read it."""

LEAF: Final = -1


class Unchecked(Wrong):
    """It may be sound, and there is no check of its kind."""


class Trees(NamedTuple):
    """The nodes of trees behind one another: `counts` of each tree. A child is counted from the
    first node of its tree, and a leaf has `LEAF` for its left one."""

    left: Array
    right: Array
    counts: Array


def reached(trees: Trees) -> Array:
    """Which nodes are inner ones that a row may come to.

    Raises:
        Wrong: a child is not there, has two parents, or stands too deep.
    """
    ends = np.cumsum(trees.counts)
    firsts = ends - trees.counts
    if (trees.left < LEAF).any():
        raise Wrong("one of its nodes has a child before the first node")
    inner = trees.left >= 0
    met = np.zeros(len(inner), dtype=bool)
    level, tree, depth = firsts, np.arange(len(firsts)), 0
    while level.size:
        if met[level].any() or len(np.unique(level)) < len(level):
            raise Wrong("one of its nodes is the child of two, or of one below itself")
        met[level] = True
        if depth > DEEPEST:
            raise Wrong(f"one of its trees is deeper than {DEEPEST} nodes")
        going = inner[level]
        level, tree, depth = level[going], tree[going], depth + 1
        children = np.concatenate([trees.left[level], trees.right[level]])
        tree = np.tile(tree, 2)
        odd = (children < 0) | (children >= trees.counts[tree])
        if odd.any():
            at = int(odd.argmax())
            raise Wrong(
                f"a node of tree {tree[at]} leads to node {children[at]} of "
                f"{trees.counts[tree[at]]}"
            )
        level = children + firsts[tree]
    found: Array = met & inner
    return found
