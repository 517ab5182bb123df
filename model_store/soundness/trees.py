"""Trees, and everything that is made of them.

Compiled code goes from node to node without asking: a child that is not there is read all the same,
and one that leads back never ends. scikit-learn numbers the nodes of a tree as it makes them, so a
child comes after its parent, and each node but the first has one parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from .faults import MISSING, Array, Wrong, array, count, equal, holds, own

LEAF: Final = -1
NODES_AT_ONCE: Final = 20_000


class Nodes(NamedTuple):
    """The nodes of one tree or of several behind one another. A leaf's `left` and `right` are
    beyond all nodes, so that nothing follows them."""

    leaf: Array
    left: Array
    right: Array
    feature: Array


# One tree ------------------------------------------------------------------------


def trees(values: Sequence[Any]) -> None:
    """Check compiled trees, and let each say how deep it is: so much room has a path through it."""
    parts = [_nodes(tree, index) for index, tree in enumerate(values)]
    columns = [tree.n_features for tree in values]
    for tree, depths in zip(values, depths_of(parts, columns), strict=True):
        tree.max_depth = int(depths.max())


def _nodes(tree: Any, index: int) -> Nodes:
    """The nodes of a tree, once as many are there as it says."""
    if not tree.node_count == tree.capacity >= 1:
        raise Wrong(f"its node_count is {tree.node_count} of {tree.capacity} nodes", index)
    if tree.n_outputs < 1 or tree.max_n_classes < 1 or tree.n_features < 1:
        raise Wrong("it has no columns, outputs or values", index)
    # By the sizes above, so it was not safe to look at them before.
    classes = tree.n_classes
    if len(classes) != tree.n_outputs or classes.min() < 1 or classes.max() != tree.max_n_classes:
        raise Wrong(f"its n_classes are {classes.tolist()} for {tree.n_outputs} outputs", index)
    nodes = tree.__getstate__()["nodes"]
    left, right = nodes["left_child"], nodes["right_child"]
    leaf = left == LEAF
    if not np.array_equal(leaf, right == LEAF):
        raise Wrong("one of its nodes has one child", index)
    return Nodes(leaf, left, right, nodes["feature"])


def depths_of(parts: Sequence[Nodes], columns: Sequence[int]) -> Iterator[Array]:
    """How deep each node stands in its tree, of so many columns, for each tree.

    To look at a tree takes longer than to look at its nodes, unless it is large. So small ones are
    looked at together.

    Raises:
        Wrong: they are no trees.
    """
    first = 0
    while first < len(parts):
        end, nodes = first + 1, len(parts[first].leaf)
        while end < len(parts) and nodes < NODES_AT_ONCE:
            nodes += len(parts[end].leaf)
            end += 1
        try:
            yield from _depths_of(parts[first:end], np.array(columns[first:end]))
        except Wrong as wrong:
            raise Wrong(str(wrong), first + wrong.index, wrong.words) from wrong
        first = end


def _depths_of(parts: Sequence[Nodes], columns: Array) -> list[Array]:
    counts = np.array([len(nodes.leaf) for nodes in parts])
    ends = np.cumsum(counts)
    firsts = ends - counts
    leaf = np.concatenate([nodes.leaf for nodes in parts]).astype(bool)
    inner = np.flatnonzero(~leaf)
    tree = np.searchsorted(ends, inner, side="right")
    own = inner - firsts[tree]
    children = np.empty((2, len(inner)), dtype=np.int64)
    for row, side in zip(children, ("left", "right"), strict=True):
        row[:] = np.concatenate([getattr(nodes, side) for nodes in parts])[inner]
    _require_children(children, own, counts[tree], tree)
    feature = np.concatenate([nodes.feature for nodes in parts])[inner]
    _require_columns(feature, columns[tree], own, tree)
    children += firsts[tree]
    _require_parents(children.ravel(), firsts, ends)
    return np.split(_depths(leaf, inner, children, firsts), ends[:-1])


def _require_children(children: Array, parent: Array, counts: Array, tree: Array) -> None:
    odd = (children <= parent) | (children >= counts)
    if odd.any():
        side, at = np.argwhere(odd)[0]
        raise Wrong(
            f"node {parent[at]} leads to node {children[side, at]}, which is not one of those "
            f"after it up to {counts[at] - 1}",
            int(tree[at]),
        )


def _require_columns(feature: Array, columns: Array, node: Array, tree: Array) -> None:
    odd = (feature < 0) | (feature >= columns)
    if odd.any():
        at = int(odd.argmax())
        raise Wrong(
            f"node {node[at]} asks for column {feature[at]} of {columns[at]}", int(tree[at])
        )


def _require_parents(children: Array, firsts: Array, ends: Array) -> None:
    """Each node but the first of its tree is the child of one other."""
    parents = np.bincount(children, minlength=ends[-1])
    parents[firsts] += 1
    odd = parents != 1
    if odd.any():
        at = int(odd.argmax())
        tree = int(np.searchsorted(ends, at, side="right"))
        raise Wrong(f"node {at - firsts[tree]} has not one parent", tree)


def _depths(leaf: Array, inner: Array, children: Array, firsts: Array) -> Array:
    """How deep each node stands: level by level, in all trees at once."""
    ways = np.zeros((2, len(leaf)), dtype=np.int64)
    ways[:, inner] = children
    depths = np.zeros(len(leaf), dtype=np.int64)
    level, depth = firsts, 0
    while level.size:
        depths[level] = depth
        level = ways[:, level[~leaf[level]]].ravel()
        depth += 1
    return depths


# Estimators of one tree ------------------------------------------------------------


def estimator(value: Any) -> None:
    """A decision tree says of its columns, outputs and classes what its nodes were made for."""
    tree = own(value, "tree_")
    if tree is MISSING:
        return
    _require_kind(tree, "Tree", "tree_")
    equal(count(value, "n_features_in_"), tree.n_features, "its n_features_in_")
    equal(count(value, "n_outputs_"), tree.n_outputs, "its n_outputs_")
    classes = own(value, "classes_")
    if classes is MISSING:
        equal(tree.max_n_classes, 1, "the number of its values")
        return
    several = classes if isinstance(classes, list) else [classes]
    equal(tree.n_classes.tolist(), [len(each) for each in several], "the number of its classes")


def _require_kind(value: Any, name: str, attribute: str) -> None:
    if type(value).__name__ != name:
        raise Wrong(f"its {attribute} is of class {type(value).__name__}, not {name}")


# Ensembles -------------------------------------------------------------------------


def forest(value: Any) -> None:
    """Forests hand their rows to each tree without looking again."""
    members = own(value, "estimators_")
    if members is MISSING:
        return
    found = list(_trees_of(members))
    columns = count(value, "n_features_in_")
    for place, tree in enumerate(found):
        equal(tree.n_features, columns, f"the columns of tree {place}")
        equal(tree.n_outputs, found[0].n_outputs, f"the outputs of tree {place}")
        equal(tree.n_classes.tolist(), found[0].n_classes.tolist(), f"the classes of tree {place}")
    if own(value, "n_outputs_") is not MISSING:
        equal(count(value, "n_outputs_"), found[0].n_outputs, "its n_outputs_")


def _trees_of(members: Any) -> Iterator[Any]:
    if not isinstance(members, list) or not members:
        raise Wrong("it has no list of trees")
    for member in members:
        tree = own(member, "tree_")
        _require_kind(tree, "Tree", "trees")
        yield tree


def isolation_forest(value: Any) -> None:
    """As a forest, but that a tree may have been given some of the columns."""
    members = own(value, "estimators_")
    if members is MISSING:
        return
    columns = count(value, "n_features_in_")
    chosen = own(value, "estimators_features_")
    if not isinstance(chosen, list) or not isinstance(members, list):
        raise Wrong("it has no list of columns for its trees")
    equal(len(chosen), len(members), "the number of its choices of columns")
    whole = count(value, "_max_features") == columns
    for place, (tree, features) in enumerate(zip(_trees_of(members), chosen, strict=True)):
        given = columns if whole else len(features)
        equal(tree.n_features, given, f"the columns of tree {place}")


def boosting(value: Any) -> None:
    """Gradient boosting adds its trees up in an array that its first estimator has made."""
    stages = own(value, "estimators_")
    if stages is MISSING:
        return
    stages = array(value, "estimators_", "O", 2)
    width = stages.shape[1]
    equal(width, count(value, "n_trees_per_iteration_"), "the number of its trees an iteration")
    columns = count(value, "n_features_in_")
    for tree in _trees_of(stages.ravel().tolist()):
        equal(tree.n_features, columns, "the columns of a tree")
    if holds(own(value, "init_"), "FunctionTransformer"):
        raise Wrong("it starts with what a function makes of rows, which may be fewer")
    # Only by asking it can be known how wide that array gets. Its parts are sound: they come first.
    start = value._raw_predict_init(np.zeros((1, columns), dtype=np.float32))
    equal(np.shape(start), (1, width), "the shape of what it starts with")
