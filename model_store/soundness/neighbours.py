"""Neighbours: trees are built anew from their data; labels and rows fit each other.

A k-d or ball tree is four arrays that refer to one another. To check them would take as long as to
build them: 0.4 s for 300,000 rows of 5 columns.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from . import functions
from .faults import MISSING, Wrong, array, as_array, count, equal, own, shown, within

STATE: Final = ("data", "idx_array", "node_data", "node_bounds", "leaf_size")
METRIC, WEIGHTS = 11, 12
"""Places in the state of a tree: see `__getstate__` in `sklearn/neighbors/_binary_tree.pxi.tp`."""


def distance(value: Any) -> None:
    """A distance with weights, or with a matrix, has numbers for each column of what it is for."""
    _, weights, matrix, *function = value.__getstate__()
    if function:
        functions.keywords(function[1])
    as_array(weights, "weights", "f", 1)
    rows, columns = as_array(matrix, "matrix", "f", 2).shape
    if rows != columns:
        raise Wrong(f"its matrix has {rows} rows and {columns} columns")


def tree(value: Any) -> None:
    """Build a k-d or ball tree again in place, from its rows, distance and weights."""
    state = value.__getstate__()
    data, leaf_size = state[0], state[STATE.index("leaf_size")]
    weights = state[WEIGHTS]
    if weights is not None and np.shape(weights) != (len(data),):
        raise Wrong(f"it has weights of the shape {np.shape(weights)} for {len(data)} rows")
    # It is checked in there that the data are finite, and that the distance is for such rows.
    value.__init__(data, leaf_size=leaf_size, metric=state[METRIC], sample_weight=weights)


def estimator(value: Any) -> None:
    """Rows, their number, columns and labels are those of the tree, and of one another."""
    rows = own(value, "_fit_X")
    if rows is MISSING:
        return
    shape = np.shape(rows)
    if len(shape) != 2:
        raise Wrong(f"its rows have the shape {shape}")
    equal(count(value, "n_features_in_"), shape[1], "its n_features_in_")
    equal(count(value, "n_samples_fit_"), shape[0], "its n_samples_fit_")
    method = own(value, "_fit_method")
    if method in ("kd_tree", "ball_tree"):
        _require_tree(value, method, rows)
    elif method != "brute" or own(value, "_tree") is not None:
        raise Wrong(f"it looks for neighbours by {shown(method)}")
    if own(value, "n_neighbors") not in (None, MISSING):
        count(value, "n_neighbors")
    _require_norms(value, shape[0])
    if own(value, "classes_") is not MISSING:
        _require_labels(value, shape[0])


def _require_tree(value: Any, method: str, rows: Any) -> None:
    built = own(value, "_tree")
    kind = method.replace("_", "")
    if type(built).__name__.lower() not in (kind, f"{kind}32", f"{kind}64"):
        raise Wrong(f"its tree is of class {type(built).__name__}, and should be a {method}")
    if not np.array_equal(built.data, rows):
        raise Wrong("its tree has other rows than it has itself")


def _require_norms(value: Any, rows: int) -> None:
    """What it may have reckoned before."""
    params = own(value, "effective_metric_params_")
    if params not in (None, MISSING) and {"X_norm_squared", "Y_norm_squared"} & set(params):
        raise Wrong("its metric brings norms of rows that it was not trained on")


def _require_labels(value: Any, rows: int) -> None:
    labels, classes = own(value, "_y"), own(value, "classes_")
    several = classes if isinstance(classes, list) else [classes]
    labels = as_array(labels, "labels", "iu", 2 if isinstance(classes, list) else 1)
    equal(len(labels), rows, "the number of its labels")
    columns = labels.T if labels.ndim > 1 else labels[np.newaxis]
    equal(len(columns), len(several), "the number of its outputs")
    for column, known in zip(columns, several, strict=True):
        within(column, len(known), "a label")


# Clusters: rows that are compared to centres ------------------------------------------


def means(value: Any) -> None:
    """`KMeans` compares rows to centres of as many columns, by the threads of where it was fitted;
    here it takes no more than there are."""
    if own(value, "cluster_centers_") is MISSING:
        return
    columns = count(value, "n_features_in_")
    centres = array(value, "cluster_centers_", "f", 2)
    if not len(centres):
        raise Wrong("it has no centres")
    equal(centres.shape[1], columns, "the columns of its centres")
    _limit_threads(value)


def bisecting_means(value: Any) -> None:
    """As `KMeans`, going down a tree of centres."""
    means(value)
    node = own(value, "_bisecting_tree")
    columns = own(value, "n_features_in_")
    waiting = [] if node is MISSING else [node]
    while waiting:
        node = waiting.pop()
        if type(node).__name__ != "_BisectingTree":
            raise Wrong(f"its tree of centres holds a {type(node).__name__}")
        centre = as_array(own(node, "center"), "centre", "f", 1)
        equal(len(centre), columns, "the columns of a centre")
        sides = [own(node, side) for side in ("left", "right")]
        waiting += [side for side in sides if side is not None]


def _limit_threads(value: Any) -> None:
    import os

    threads = count(value, "_n_threads")
    value._n_threads = min(threads, os.cpu_count() or 1)


def birch(value: Any) -> None:
    """The norms of the centres, which are reckoned in training, are as many as those."""
    centres = own(value, "subcluster_centers_")
    if centres is MISSING:
        return
    centres = array(value, "subcluster_centers_", "f", 2)
    norms = array(value, "_subcluster_norms", "f", 1)
    equal(len(norms), len(centres), "the number of its norms")
    equal(count(value, "n_features_in_"), centres.shape[1], "its n_features_in_")


def agglomeration(value: Any) -> None:
    """Each column belongs to one of the clusters; their number is memory that is taken."""
    if own(value, "labels_") is MISSING:
        return
    columns = count(value, "n_features_in_")
    labels = array(value, "labels_", "iu", 1)
    equal(len(labels), columns, "the number of its labels")
    within(labels, columns, "a label")
