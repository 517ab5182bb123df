"""Histogram gradient boosting: nodes in arrays, and sets of categories as bits."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .faults import MISSING, Wrong, array, as_array, count, equal, own, within
from .trees import Nodes, depths_of

WORDS: Final = 8
"""Of 32 bits, for the 256 categories that a column may have."""
FIELDS: Final = {
    **{"value": "f8", "count": "u4", "num_threshold": "f8", "missing_go_to_left": "u1"},
    **{"left": "u4", "right": "u4", "gain": "f8", "depth": "u4", "is_leaf": "u1"},
    **{"bin_threshold": "u1", "is_categorical": "u1", "bitset_idx": "u4"},
    "feature_idx": np.dtype(np.intp).str[1:],
}
ANY_COLUMN: Final = np.iinfo(np.int64).max


def predictors(values: Sequence[Any]) -> None:
    """Check the trees by themselves, and let each node say how deep it stands; for how many columns
    they are is known by the estimator that has them."""
    parts = [_nodes(value, index) for index, value in enumerate(values)]
    for value, depths in zip(values, depths_of(parts, [ANY_COLUMN] * len(values)), strict=True):
        if not np.array_equal(value.nodes["depth"], depths):
            value.nodes = value.nodes.copy()
            value.nodes["depth"] = depths


def _nodes(predictor: Any, index: int) -> Nodes:
    try:
        nodes = array(predictor, "nodes", "V", 1)
        if (
            nodes.dtype.names is None
            or {name: nodes.dtype[name].str[1:] for name in nodes.dtype.names} != FIELDS
        ):
            raise Wrong("its nodes have other fields than those of histogram gradient boosting")
        if not len(nodes):
            raise Wrong("it has no nodes")
        for name in ("raw_left_cat_bitsets", "binned_left_cat_bitsets"):
            _require_bitsets(predictor, name, nodes)
    except Wrong as wrong:
        raise Wrong(str(wrong), index, wrong.words) from wrong
    return Nodes(nodes["is_leaf"], nodes["left"], nodes["right"], nodes["feature_idx"])


def _require_bitsets(predictor: Any, name: str, nodes: Any) -> None:
    bitsets = array(predictor, name, "u", 2)
    equal(bitsets.dtype.str[1:], "u4", f"the dtype of its {name}")
    equal(bitsets.shape[1], WORDS, f"the width of its {name}")
    by_category = (nodes["is_categorical"] != 0) & (nodes["is_leaf"] == 0)
    within(nodes["bitset_idx"][by_category], len(bitsets), f"a node in {name}")


def estimator(value: Any) -> None:
    """The trees ask for columns that there are, and for categories of columns that have some."""
    iterations = own(value, "_predictors")
    if iterations is MISSING:
        return
    if own(value, "_in_fit") is not MISSING:
        raise Wrong("it says that it is being trained, and would take rows as bins")
    columns = count(value, "n_features_in_")
    width = count(value, "n_trees_per_iteration_")
    categorical = _categorical(value, columns)
    if not isinstance(iterations, list) or not all(isinstance(each, list) for each in iterations):
        raise Wrong("its trees do not stand in lists")
    for place, iteration in enumerate(iterations):
        equal(len(iteration), width, f"the number of trees in iteration {place}")
        for predictor in iteration:
            if type(predictor).__name__ != "TreePredictor":
                raise Wrong(f"it has a {type(predictor).__name__} where a tree should be")
            nodes = predictor.nodes[predictor.nodes["is_leaf"] == 0]
            within(nodes["feature_idx"], columns, f"a node of iteration {place}")
            if not categorical[nodes["feature_idx"][nodes["is_categorical"] != 0]].all():
                raise Wrong("a node asks for the category of a number")
    if np.size(own(value, "_baseline_prediction")) != width:
        raise Wrong(f"it starts with other than {width} numbers")


def _categorical(value: Any, columns: int) -> Any:
    """Which columns are categories, as those who map them see it."""
    mapper = own(value, "_bin_mapper")
    if type(mapper).__name__ != "_BinMapper":
        raise Wrong("it has no mapper of bins")
    categorical = array(mapper, "is_categorical_", "bu", 1)
    equal(len(categorical), columns, "the number of columns of its mapper")
    known = own(mapper, "bin_thresholds_")
    if not isinstance(known, list) or len(known) != columns:
        raise Wrong(f"its mapper has not one list of thresholds for each of {columns} columns")
    for place in np.flatnonzero(categorical):
        raw = as_array(known[place], "known categories", "f", 1)
        within(raw, 32 * WORDS, f"a category of column {place}")
    preprocessor = own(value, "_preprocessor")
    if preprocessor not in (None, MISSING):
        equal(_width(preprocessor), columns, "the number of columns of its preprocessor")
    return categorical != 0


def _width(preprocessor: Any) -> int:
    """The columns that come out of what scikit-learn sets before categories."""
    steps = [step for step in preprocessor.transformers_ if step[1] != "drop"]
    kinds = [type(step).__name__ for _, step, _ in steps]
    if type(preprocessor).__name__ != "ColumnTransformer" or kinds != [
        "OrdinalEncoder",
        "FunctionTransformer",
    ]:
        raise Wrong(f"its preprocessor is made of {', '.join(kinds)}")
    (_, encoder, _), (_, passing, rest) = steps
    if not _keeps_columns(passing.func):
        raise Wrong("its preprocessor calls another function than scikit-learn's")
    equal(len(encoder.categories_), count(encoder, "n_features_in_"), "the number of categories")
    return len(encoder.categories_) + int(np.sum(as_array(rest, "columns", "b", 1)))


def _keeps_columns(function: Any) -> bool:
    """Whether it is the one that scikit-learn puts there: it looks at numbers and changes none."""
    return (
        type(function) is functools.partial
        and getattr(function.func, "__qualname__", "") == "check_array"
        and not function.args
        and set(function.keywords) <= {"dtype", "ensure_all_finite", "force_all_finite"}
    )
