"""Nearest neighbours."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from ...labels import json_labels, labels_of
from ..node import Array, Label, Predictor
from ..nodes.kd_tree import KDTree
from ..nodes.neighbours import (
    NeighbourClasses,
    NeighbourDensity,
    NeighbourNumbers,
    NeighbourShares,
)
from ..nodes.outliers import Outliers
from ..nodes.search import Search
from ..nodes.support import KernelShares
from .given import Given, NotPacked
from .known import Inner, Known, require_set
from .linear import classes_of

_NEIGHBOURS: Final = "algorithm leaf_size metric metric_params n_jobs n_neighbors p"
_PROPAGATION: Final = "gamma kernel max_iter n_jobs n_neighbors tol"
_METRICS: Final = ("euclidean", "manhattan", "chebyshev", "minkowski")

TRIED: Final = 2000
"""Rows of training whose neighbours are looked at."""
ROUNDING: Final = 1e-12
"""By how much of their size distances differ that may be equal."""


def classifier(step: Any, given: Given, inner: Inner) -> Predictor:
    require_set(step, weights=("uniform", "distance"))
    several = bool(step.outputs_2d_)
    targets = step.classes_ if several else [step.classes_]
    classes: list[list[Label]] = [json_labels(labels_of(each)) for each in targets]
    return NeighbourClasses(
        search=search(step),
        classes=classes,
        values=_columns(step._y),
        nearer=step.weights == "distance",
    )


def regressor(step: Any, given: Given, inner: Inner) -> Predictor:
    require_set(step, weights=("uniform", "distance"))
    return NeighbourNumbers(
        search=search(step), values=_columns(step._y), nearer=step.weights == "distance"
    )


def outliers(step: Any, given: Given, inner: Inner) -> Predictor:
    require_set(step, novelty=True)
    count = int(step.n_neighbors_)
    score = NeighbourDensity(
        search=search(step, count),
        reach=np.asarray(step._distances_fit_X_)[:, count - 1],
        density=np.asarray(step._lrd),
        offset=float(step.offset_),
    )
    return Outliers(score=score)


def propagation(step: Any, given: Given, inner: Inner) -> Predictor:
    """Labels that were spread over the rows of training, and go on to the next."""
    require_set(step, kernel=("rbf", "knn"))
    classes, shares = classes_of(step), np.asarray(step.label_distributions_)
    if step.kernel == "knn":
        return NeighbourShares(
            search=search(step.nn_fit, int(step.n_neighbors)), classes=classes, shares=shares
        )
    if hasattr(step.X_, "tocsr"):
        raise NotPacked(f"{type(step).__name__} of a sparse matrix is not known")
    return KernelShares(
        classes=classes, rows=np.asarray(step.X_), gamma=float(step.gamma), shares=shares
    )


def search(step: Any, count: int | None = None) -> Search:
    """What looks for neighbours as an estimator does.

    Raises:
        NotPacked: by another metric, or in sparse rows.
    """
    rows, metric = step._fit_X, step.effective_metric_
    given = step.effective_metric_params_ or {}
    parameters = {name: value for name, value in given.items() if value is not None}
    power = float(parameters.pop("p", 2.0))
    if metric not in _METRICS or parameters or hasattr(rows, "toarray"):
        raise NotPacked(f"{type(step).__name__} with metric={metric!r:.60} is not known")
    if metric != "minkowski":
        power = 2.0
    number = int(step.n_neighbors) if count is None else count
    rows = np.asarray(rows)
    # Distances of all but these floats are those of floats of 64 bits.
    if rows.dtype != np.float32:
        rows = rows.astype(np.float64)
    found = Search(rows=rows, count=number, metric=metric, power=power, tree=_tree(step))
    if found.tree is None and _has_ties(found):
        raise NotPacked(
            f"{type(step).__name__} without a k-d tree is not known where neighbours are as far"
        )
    return found


def _has_ties(search: Search) -> bool:
    """Whether some rows of training have a last neighbour that is as far as the next, but for
    rounding. Which of them scikit-learn takes is known of its k-d trees alone."""
    if search.count == len(search.rows):
        return False
    one_more = msgspec.structs.replace(search, count=search.count + 1)
    step = max(1, len(search.rows) // TRIED)
    far, _ = one_more.nearest(search.rows[::step])
    return bool((far[:, -1] - far[:, -2] <= ROUNDING * far[:, -1]).any())


def _tree(step: Any) -> KDTree | None:
    if step._fit_method != "kd_tree":
        return None
    _, order, parts, bounds = step._tree.get_arrays()
    return KDTree(
        order=np.asarray(order),
        starts=np.array(parts["idx_start"]),
        ends=np.array(parts["idx_end"]),
        leaves=np.array(parts["is_leaf"], dtype=np.uint8),
        lows=np.asarray(bounds[0]),
        highs=np.asarray(bounds[1]),
    )


def _columns(values: Any) -> Array:
    found = np.asarray(values)
    return found.reshape(len(found), -1)


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.KNeighborsClassifier": Known.of(classifier, _NEIGHBOURS, "weights"),
    "sklearn.KNeighborsRegressor": Known.of(regressor, _NEIGHBOURS, "weights"),
    "sklearn.LocalOutlierFactor": Known.of(outliers, _NEIGHBOURS, "contamination novelty"),
    "sklearn.LabelPropagation": Known.of(propagation, _PROPAGATION),
    "sklearn.LabelSpreading": Known.of(propagation, _PROPAGATION, "alpha"),
}
