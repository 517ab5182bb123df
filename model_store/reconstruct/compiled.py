"""What scikit-learn and scipy compile: trees, trees of neighbours, distances, losses.

These take what a state says for what is there. Here the kinds of numbers, the shapes and the counts
of their arrays are checked, before anything compiled sees them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from . import blank
from .forms import (
    FLOAT,
    INTEGER,
    NATURAL,
    NONE,
    NOTHING,
    NUMBER,
    Form,
    array,
    either,
    exact,
    fields,
    items,
    within,
)
from .plain import FUNCTION
from .row import Named, Row, find, named, refuse

LARGE: Final = 2**31 - 1

# Decision trees -------------------------------------------------------------------

TREE: Final = "sklearn.tree._tree"
_NODES: Final = Form(
    "nodes",
    lambda value: (
        type(value) is np.ndarray
        and value.ndim == 1
        and value.dtype.names is not None
        and not value.dtype.hasobject
        and value.flags.c_contiguous
    ),
)


def _tree(columns: int, classes: Any, outputs: int, state: dict[str, Any]) -> Any:
    """A decision tree: `nodes` of shape (nodes,), `values` of shape (nodes, outputs, classes)."""
    nodes, values = state["nodes"], state["values"]
    if len(classes) != outputs or classes.min() < 1 or classes.max() > LARGE:
        refuse(f"has a tree of {outputs} outputs with other classes", "one or more for each")
    shape = (len(nodes), outputs, int(classes.max()))
    if values.shape != shape or state["node_count"] != len(nodes):
        refuse(f"has a tree with the values {values.shape}", f"{shape}")
    made = find(TREE, "Tree")(columns, classes.astype(np.intp), outputs)
    made.__setstate__(state)
    return made


def _predictor(state: dict[str, Any]) -> Any:
    """A tree of histogram gradient boosting, whose own way converts the nodes of other machines."""
    made = blank.make(find(PREDICTOR, "TreePredictor"))
    made.__setstate__(state)
    return made


PREDICTOR: Final = "sklearn.ensemble._hist_gradient_boosting.predictor"
_BITSETS: Final = array("sets of bits", "u", 2)
_TREES: Final = (
    Row(
        f"{TREE}.Tree",
        _tree,
        items(within(1, LARGE), array("classes", "i", 1), within(1, LARGE)),
        fields(
            {
                "max_depth": within(0, LARGE),
                "node_count": within(1, LARGE),
                "nodes": _NODES,
                "values": array("values", "f", 3),
            }
        ),
    ),
    Row(
        f"{PREDICTOR}.TreePredictor",
        _predictor,
        NOTHING,
        fields(
            {
                "nodes": _NODES,
                "binned_left_cat_bitsets": _BITSETS,
                "raw_left_cat_bitsets": _BITSETS,
            }
        ),
    ),
)

# Neighbours -----------------------------------------------------------------------

DISTANCES: Final = "sklearn.metrics._dist_metrics"
_METRICS: Final = (
    *("BrayCurtis", "Canberra", "Chebyshev", "Dice", "Euclidean", "Hamming", "Haversine"),
    *("Jaccard", "Mahalanobis", "Manhattan", "Matching", "Minkowski", "PyFunc"),
    *("RogersTanimoto", "RussellRao", "SEuclidean", "SokalMichener", "SokalSneath"),
)
_DISTANCES: Final = tuple(
    f"{DISTANCES}.{metric}Distance{width}" for metric in _METRICS for width in ("", "64", "32")
)
_SEARCHES: Final = {
    "sklearn.neighbors._kd_tree": ("KDTree", "KDTree64", "KDTree32"),
    "sklearn.neighbors._ball_tree": ("BallTree", "BallTree64", "BallTree32"),
}


def _class(kind: Named) -> Any:
    module, _, name = kind.name.rpartition(".")
    return find(module, name)


def _distance(kind: Named, state: tuple[Any, ...]) -> Any:
    """A distance, with its power, its weights of shape (columns,) and a matrix."""
    own = "PyFunc" in kind.name
    if own != (len(state) == 5):
        refuse(f"gives {kind.name} {len(state)} parts", "5" if own else "3")
    if "Mahalanobis" in kind.name and state[2].shape[0] != state[2].shape[1]:
        refuse(f"gives {kind.name} a matrix of shape {state[2].shape}", "a square one")
    found = _class(kind)
    made = found.__new__(found)
    made.__setstate__(state)
    return made


def _search(kind: Named, state: tuple[Any, ...]) -> Any:
    """A tree of neighbours: data of shape (rows, columns), the rows in the order of the leaves,
    and nodes with their bounds of shape (1 or 2, nodes, columns)."""
    data, order, nodes, bounds, *_ = state
    count, metric, weights = state[6], state[11], state[12]
    rows, columns = data.shape
    sides = 2 if "KDTree" in kind.name else 1
    same = (
        rows > 0
        and order.shape == (rows,)
        and len(nodes) == count
        and bounds.shape == (sides, count, columns)
        and (weights is None or weights.shape == (rows,))
    )
    if not same:
        refuse(f"has a {kind.name} of other shapes than its data", f"those for {data.shape}")
    _require_columns(metric, columns)
    found = _class(kind)
    made = found.__new__(found)
    made.__setstate__(state)
    return made


def _require_columns(metric: Any, columns: int) -> None:
    """Whether the weights and the matrix of a distance are for so many columns."""
    name = type(metric).__name__
    _, weights, matrix, *_ = metric.__getstate__()
    if name.startswith("Mahalanobis"):
        counts = (len(weights), len(matrix)) if len(weights) > 1 else (len(matrix),)
    elif name.startswith("SEuclidean") or (name.startswith("Minkowski") and len(weights)):
        counts = (len(weights),)
    elif name.startswith("Haversine"):
        counts = (2,) if columns != 2 else (columns,)
    else:
        return
    if any(count != columns for count in counts):
        refuse(f"has a {name} for {counts[0]} columns", f"{columns}")


_METRIC: Final = Form("a distance", lambda value: type(value).__module__ == DISTANCES)
_SEARCH_STATE: Final = items(
    array("data", "f", 2),
    array("an order of rows", "i", 1),
    _NODES,
    array("bounds", "f", 3),
    within(1, LARGE),
    *(NATURAL,) * 6,
    _METRIC,
    either(NONE, array("weights", "f", 1)),
)
_NEIGHBOURS: Final = (
    Row(
        f"{DISTANCES}.newObj",
        _distance,
        items(named(*_DISTANCES)),
        items(
            FLOAT,
            array("weights", "f", 1),
            array("a matrix", "f", 2),
            FUNCTION,
            exact("named arguments", dict),
            least=3,
        ),
    ),
    *(
        Row(
            f"{module}.newObj",
            _search,
            items(named(*(f"{module}.{name}" for name in names))),
            _SEARCH_STATE,
        )
        for module, names in _SEARCHES.items()
    ),
)

# Losses ---------------------------------------------------------------------------

LOSSES: Final = "sklearn._loss._loss"
DESCENT: Final = "sklearn.linear_model._sgd_fast"
_LOSSES: Final = (
    *("CyAbsoluteError", "CyExponentialLoss", "CyHalfBinomialLoss", "CyHalfGammaLoss"),
    *("CyHalfMultinomialLoss", "CyHalfPoissonLoss", "CyHalfSquaredError"),
)
_LOSSES_OF_A_NUMBER: Final = (
    *("CyHalfTweedieLoss", "CyHalfTweedieLossIdentity", "CyHuberLoss", "CyPinballLoss"),
)
_DESCENTS: Final = ("Log", "ModifiedHuber", "SquaredLoss")
_DESCENTS_OF_A_NUMBER: Final = (
    *("EpsilonInsensitive", "Hinge", "Huber", "SquaredEpsilonInsensitive", "SquaredHinge"),
)


def _losses(module: str, names: Iterable[str], args: Form) -> Iterable[Row]:
    """Classes that are called with no argument or with one number."""
    for name in names:

        def make(*given: Any, name: str = name) -> Any:
            return find(module, name)(*given)

        def rebuild(_kind: Row, _checksum: int, state: Any, name: str = name) -> Any:
            return find(module, name)(*(state or ()))

        yield Row(f"{module}.{name}", make, args)
        yield Row(
            f"{module}.__pyx_unpickle_{name}",
            rebuild,
            items(named(f"{module}.{name}"), INTEGER, args if args is not NOTHING else _NO_STATE),
        )


_NO_STATE: Final = either(NONE, NOTHING)
_NUMBER: Final = items(NUMBER)

# Rebuilt --------------------------------------------------------------------------

POINTS: Final = {
    "scipy.spatial._ckdtree": "cKDTree",
    "scipy.spatial._kdtree": "KDTree",
}


def _points(module: str, name: str) -> Row:
    """scipy's tree of neighbours: built anew of its data, since its nodes are raw memory."""

    def make(state: tuple[Any, ...]) -> Any:
        _, data, rows, columns, leaf_size, *_, box = state
        if data.shape != (rows, columns):
            refuse(f"has a {name} of other shapes than its data", f"those for {data.shape}")
        size = None if box is None else box[:columns]
        return find(module, name)(data, leafsize=leaf_size, boxsize=size)

    bound = array("bounds", "f", 1)
    return Row(
        f"{module}.{name}",
        make,
        NOTHING,
        items(
            exact("nodes", np.ndarray),
            array("data", "f", 2),
            NATURAL,
            NATURAL,
            within(1, LARGE),
            bound,
            bound,
            array("an order of rows", "i", 1),
            either(NONE, bound, array("a box", "f", 2)),
            either(NONE, bound),
        ),
    )


ISOTONIC: Final = "sklearn.isotonic"
COORDINATES: Final = "scipy.sparse._coo"


def _isotonic(state: dict[str, Any]) -> Any:
    """An isotonic regression, whose function is made anew of its thresholds."""
    thresholds, values = state.get("X_thresholds_"), state.get("y_thresholds_")
    made = blank.make(find(ISOTONIC, "IsotonicRegression"))
    blank.fill(made, {name: each for name, each in state.items() if name != blank.VERSION_KEY})
    if thresholds is not None and values is not None:
        line = array("thresholds", "f", 1)
        if not (line.fits(thresholds) and line.fits(values) and len(thresholds) == len(values)):
            refuse("has an isotonic regression without thresholds", "as many as values")
        made._build_f(thresholds, values)
    return made


def _coordinates(name: str) -> Row:
    """A sparse matrix by coordinates, which once had them under other names."""

    def make(state: dict[str, Any]) -> Any:
        if "coords" not in state and {"row", "col"} <= state.keys():
            state = {**state, "coords": (state["row"], state["col"])}
            del state["row"], state["col"]
        made = blank.make(find(COORDINATES, name))
        blank.fill(made, state)
        return made

    return Row(f"{COORDINATES}.{name}", make, NOTHING, _ATTRIBUTES, value=True)


_ATTRIBUTES: Final = exact("attributes", dict)

CLASSES: Final = tuple(
    Named(name)
    for name in (
        *_DISTANCES,
        *(f"{module}.{name}" for module, names in _SEARCHES.items() for name in names),
    )
)
ROWS: Final = (
    *_TREES,
    *_NEIGHBOURS,
    *_losses(LOSSES, _LOSSES, NOTHING),
    *_losses(LOSSES, _LOSSES_OF_A_NUMBER, _NUMBER),
    *_losses(DESCENT, _DESCENTS, NOTHING),
    *_losses(DESCENT, _DESCENTS_OF_A_NUMBER, _NUMBER),
    *(_points(module, name) for module, name in POINTS.items()),
    *map(_coordinates, ("coo_array", "coo_matrix")),
    Row(f"{ISOTONIC}.IsotonicRegression", _isotonic, NOTHING, _ATTRIBUTES, value=True),
)
