"""A model of XGBoost, in JSON or UBJSON.

https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html has the form. What a booster
keeps for training alone, which a pickle has besides, is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ...errors import Unsound, Untrusted
from ..faults import Array, Wrong, equal, shown, within
from . import ubjson
from .walk import Trees, Unchecked, reached

MOST_COLUMNS: Final = 1_000_000
MOST_SCORES: Final = 10_000
MOST_CATEGORIES: Final = 1 << 24
"""So many XGBoost can tell apart, and for each it takes a bit."""
NO_PARENT: Final = (2**31 - 1, -1)
VERSIONS: Final = (2, 9)
"""The first and the last major release whose documents have this form."""

_WEIGHTS: Final = ("base_weights", "split_conditions", "loss_changes", "sum_hessian")
_ARRAYS: Final = {
    **dict.fromkeys(_WEIGHTS, "f4"),
    **dict.fromkeys(("left_children", "right_children", "parents", "split_indices"), "i4"),
    **dict.fromkeys(("default_left", "split_type"), "u1"),
}
"""Of each node."""
_SETS: Final = {
    **dict.fromkeys(("categories", "categories_nodes"), "i4"),
    **dict.fromkeys(("categories_segments", "categories_sizes"), "i8"),
}
_KINDS: Final = {9: "i1", 10: "u1", 11: "i2", 13: "i4", 15: "i8", 7: "f4", 8: "f8"}
"""The numbers that stand for dtypes of categories."""
_OBJECTIVES: Final = {
    **dict.fromkeys(("binary:logistic", "binary:logitraw", "reg:logistic"), "reg_loss_param"),
    **dict.fromkeys(("reg:gamma", "reg:squarederror", "reg:squaredlogerror"), "reg_loss_param"),
    **dict.fromkeys(("multi:softmax", "multi:softprob"), "softmax_multiclass_param"),
    **dict.fromkeys(("binary:hinge", "reg:absoluteerror", "survival:cox"), ""),
    "count:poisson": "poisson_regression_param",
    "reg:pseudohubererror": "pseudo_huber_param",
    "reg:quantileerror": "quantile_loss_param",
    "reg:tweedie": "tweedie_regression_param",
    "survival:aft": "aft_loss_param",
}
"""What a row's scores become, and the name of what that has been told."""
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_SETTING: Final = re.compile(r"[-+.,\[\]0-9A-Za-z_ ]{0,1000}")
_SCORE: Final = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?|-?inf|nan")


def sound_model(data: bytes) -> bytearray:
    """The UBJSON to give to XGBoost in place of the JSON or the UBJSON that is in `data`.

    Raises:
        Unsound: it is neither, or its parts contradict each other.
        Untrusted: there is no check here for what it is.
    """
    try:
        return bytearray(ubjson.write(_document(_read(data))))
    except Unchecked as unchecked:
        raise Untrusted(
            f"A model of XGBoost is not taken: {unchecked}. If you know who made the file, "
            "allow it with --trusted xgboost.core.Booster."
        ) from unchecked
    except Wrong as wrong:
        raise Unsound(f"A model of XGBoost is not what it should be: {wrong}.") from wrong


def threads(data: bytes) -> int:
    """On how many threads a booster wants to run, where its pickle says so; 0 for all."""
    try:
        told = _read(data)["Config"]["learner"]["generic_param"]["nthread"]
    except (Wrong, KeyError, TypeError):
        return 0
    return int(told) if isinstance(told, str) and _WHOLE.fullmatch(told) else 0


def _read(data: bytes) -> Any:
    if data[:1] == b"{" and data[1:2] in (b'"', b" ", b"\n", b"\r", b"\t"):
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Wrong("it is no whole JSON") from error
    return ubjson.read(data)


# Parts -----------------------------------------------------------------------------


def _part(holder: Any, name: str, *kinds: type) -> Any:
    """What an object has under a name."""
    found = holder.get(name) if isinstance(holder, dict) else None
    if type(found) not in kinds:
        raise Wrong(f"its {name} is {shown(found)}")
    return found


def _whole(holder: Any, name: str, most: int) -> int:
    """A number that is written as a text."""
    found = _part(holder, name, str)
    if not _WHOLE.fullmatch(found) or int(found) > most:
        raise Wrong(f"its {name} is {shown(found)}, and may be up to {most}")
    return int(found)


def _texts(holder: Any, name: str) -> list[str]:
    found = holder.get(name, []) if isinstance(holder, dict) else []
    if type(found) is not list or not all(type(each) is str for each in found):
        raise Wrong(f"its {name} is no list of texts")
    return found


def _array(holder: Any, name: str, kind: str) -> Array:
    found = _part(holder, name, list, np.ndarray)
    if isinstance(found, np.ndarray) and found.dtype == np.dtype(kind):
        return found
    values = list(found) if isinstance(found, list) else found.tolist()
    allowed = (int, float, bool) if kind[0] == "f" else (int, bool)
    if not all(type(each) in allowed for each in values):
        raise Wrong(f"its {name} holds what is no number of {kind}")
    try:
        wide = np.array(values, dtype="f8" if kind[0] == "f" else "i8")
    except OverflowError as error:
        raise Wrong(f"its {name} holds what is no number of {kind}") from error
    with np.errstate(over="ignore"):
        narrow = wide.astype(kind)
    if kind[0] != "f" and not np.array_equal(wide, narrow):
        raise Wrong(f"its {name} holds what is no number of {kind}")
    return narrow


def _integers(holder: Any, name: str) -> list[int]:
    return [int(each) for each in _array(holder, name, "i8")]


# The document ------------------------------------------------------------------------


def _document(found: Any) -> dict[str, Any]:
    if isinstance(found, dict) and "Model" in found:
        found = found["Model"]
    version = _integers(found, "version")
    if len(version) != 3 or not VERSIONS[0] <= version[0] <= VERSIONS[1]:
        raise Unchecked(f"its version is {shown(tuple(version))}")
    learner = _part(found, "learner", dict)
    parameters = _part(learner, "learner_model_param", dict)
    columns = _whole(parameters, "num_feature", MOST_COLUMNS)
    scores = _scores(parameters)
    booster = _booster(_part(learner, "gradient_booster", dict), columns, scores)
    names, types = _texts(learner, "feature_names"), _texts(learner, "feature_types")
    for texts, what in ((names, "feature_names"), (types, "feature_types")):
        if len(texts) not in (0, columns):
            raise Wrong(f"its {what} are {len(texts)} for {columns} columns")
    return {
        "learner": {
            "attributes": _attributes(learner.get("attributes", {}), booster),
            "feature_names": names,
            "feature_types": types,
            "gradient_booster": booster,
            "learner_model_param": _settings(parameters, "learner_model_param"),
            "objective": _objective(_part(learner, "objective", dict), parameters, scores),
        },
        "version": version,
    }


def _scores(parameters: Mapping[str, Any]) -> int:
    """How many scores a row gets: one for each class or for each target."""
    classes = _whole(parameters, "num_class", MOST_SCORES)
    targets = 1
    if "num_target" in parameters:
        targets = max(_whole(parameters, "num_target", MOST_SCORES), 1)
    if classes > 1 and targets > 1:
        raise Wrong("it has several classes of several targets")
    scores = max(classes, targets)
    start = _part(parameters, "base_score", str)
    many = start.strip("[]").split(",")
    if not all(_SCORE.fullmatch(each) for each in many) or len(many) not in (1, scores):
        raise Wrong(f"its base_score is {shown(start)} for {scores} scores")
    return scores


def _settings(holder: Any, what: str) -> dict[str, str]:
    if type(holder) is not dict or not all(
        type(each) is str and _SETTING.fullmatch(each) for each in holder.values()
    ):
        raise Wrong(f"its {what} is {shown(holder)}")
    return dict(holder)


def _objective(objective: Any, parameters: Mapping[str, Any], scores: int) -> dict[str, Any]:
    name = _part(objective, "name", str)
    if name not in _OBJECTIVES:
        raise Unchecked(
            f"its objective {shown(name)} is not one of {', '.join(sorted(_OBJECTIVES))}"
        )
    group = _OBJECTIVES[name]
    if not group:
        return {"name": name}
    told = _settings(_part(objective, group, dict), group)
    if name.startswith("multi:"):
        equal(_whole(told, "num_class", MOST_SCORES), scores, "the classes of its objective")
    elif int(parameters["num_class"]) > 1:
        raise Wrong(f"its objective {name} has {parameters['num_class']} classes")
    if name == "reg:quantileerror":
        parts = [each for each in told.get("quantile_alpha", "").strip("[]").split(",") if each]
        equal(len(parts), scores, "the quantiles of its objective")
    return {"name": name, group: told}


def _attributes(found: Any, booster: Mapping[str, Any]) -> dict[str, str]:
    """What Python code has put there; with it goes the number of the best iteration."""
    if type(found) is not dict or not all(type(each) is str for each in found.values()):
        raise Wrong("its attributes are no texts")
    best = found.get("best_iteration")
    if best is not None:
        inner = booster.get("gbtree", booster)["model"]
        rounds = len(inner["iteration_indptr"]) - 1
        if not _WHOLE.fullmatch(best) or int(best) >= max(rounds, 1):
            raise Wrong(f"its best_iteration is {shown(best)} of {rounds}")
    return dict(found)


# Trees -------------------------------------------------------------------------------


def _booster(booster: Any, columns: int, scores: int) -> dict[str, Any]:
    name = _part(booster, "name", str)
    if name == "gbtree":
        return {"model": _forest(booster, columns, scores), "name": "gbtree"}
    if name != "dart":
        raise Unchecked(f"there is no check for the booster {shown(name)}, and there is for trees")
    inner = _booster(_part(booster, "gbtree", dict), columns, scores)
    weights = _array(booster, "weight_drop", "f4").tolist()
    if "gbtree" in inner:
        raise Wrong("one of its boosters holds another")
    equal(len(weights), len(inner["model"]["trees"]), "the number of its weights")
    return {"gbtree": inner, "name": "dart", "weight_drop": [float(each) for each in weights]}


def _forest(booster: Any, columns: int, scores: int) -> dict[str, Any]:
    model = _part(booster, "model", dict)
    found = _part(model, "trees", list)
    made = [_tree(tree, place, columns, scores) for place, tree in enumerate(found)]
    told = _settings(_part(model, "gbtree_model_param", dict), "gbtree_model_param")
    equal(_whole(told, "num_trees", 2**31), len(made), "its num_trees")
    turns = _integers(model, "tree_info")
    equal(len(turns), len(made), "the size of its tree_info")
    within(np.array(turns), scores, "a tree's score")
    _require_trees(made, columns)
    return {
        "gbtree_model_param": told,
        "tree_info": turns,
        "trees": made,
        "iteration_indptr": _rounds(model, told, len(made)),
        **({"cats": _categories(model["cats"], columns)} if "cats" in model else {}),
    }


def _rounds(model: Any, told: Mapping[str, str], trees: int) -> list[int]:
    """The first tree of each round, and where the last one ends."""
    found = _integers(model, "iteration_indptr")
    if not found or found[0] != 0 or found[-1] != trees or sorted(found) != found:
        raise Wrong(f"its iteration_indptr does not lead through {trees} trees")
    if _whole(told, "num_parallel_tree", 2**20) < 1:
        raise Wrong("it grows no tree at a time")
    return found


def _tree(tree: Any, place: int, columns: int, scores: int) -> dict[str, Any]:
    """The arrays of a tree, each as long as it has nodes; a leaf of several values has them in an
    array of their own, and its place there where others have their right child."""
    told = _settings(_part(tree, "tree_param", dict), "tree_param")
    nodes, size = _whole(told, "num_nodes", 2**28), max(_whole(told, "size_leaf_vector", scores), 1)
    equal(_whole(told, "num_feature", MOST_COLUMNS), columns, f"the columns of tree {place}")
    equal(_part(tree, "id", int), place, f"the id of tree {place}")
    if nodes < 1 or size not in (1, scores):
        raise Wrong(f"tree {place} has {nodes} nodes, and leaves of {size} values")
    made: dict[str, Any] = {"id": place, "tree_param": told}
    for name, kind in _ARRAYS.items():
        made[name] = _array(tree, name, kind)
        length = nodes * size if name == "base_weights" else nodes
        equal(len(made[name]), length, f"the size of {name} of tree {place}")
    made.update({name: _array(tree, name, kind) for name, kind in _SETS.items()})
    leaf = made["left_children"] < 0
    if size > 1:
        made["leaf_weights"] = _array(tree, "leaf_weights", "f4")
        equal(len(made["leaf_weights"]), leaf.sum() * size, f"the leaves of tree {place}")
        within(made["right_children"][leaf], int(leaf.sum()), f"a leaf of tree {place}")
    elif "leaf_weights" in tree:
        raise Wrong(f"tree {place} has leaves twice")
    _require_sets(made, nodes, place)
    return made


def _require_sets(tree: Mapping[str, Any], nodes: int, place: int) -> None:
    """The sets of categories, each of one node, in their order."""
    categories, of_node = tree["categories"], tree["categories_nodes"]
    starts, sizes = tree["categories_segments"], tree["categories_sizes"]
    if not len(of_node) == len(starts) == len(sizes) or (of_node[1:] <= of_node[:-1]).any():
        raise Wrong(f"tree {place} has not one set of categories for each node with one")
    within(of_node, nodes, f"a set of categories of tree {place}")
    if (starts < 0).any() or (sizes < 0).any() or (sizes > len(categories) - starts).any():
        raise Wrong(f"a set of categories of tree {place} reaches beyond all of them")
    within(categories, MOST_CATEGORIES, f"a category of tree {place}")


def _require_trees(trees: list[dict[str, Any]], columns: int) -> None:
    if not trees:
        return
    counts = np.array([len(tree["left_children"]) for tree in trees])
    left, right, parents, feature, kinds = (
        np.concatenate([tree[name] for tree in trees])
        for name in ("left_children", "right_children", "parents", "split_indices", "split_type")
    )
    inner = reached(Trees(left, right, counts))
    within(feature[inner], columns, "a node's column")
    within(kinds[inner], 2, "the kind of a node")
    firsts = np.cumsum(counts) - counts
    _require_parents(inner, (left, right), parents, np.repeat(firsts, counts), firsts)
    sets = np.concatenate(
        [tree["categories_nodes"] + first for tree, first in zip(trees, firsts, strict=True)]
    )
    if not np.isin(np.flatnonzero(inner & (kinds == 1)), sets).all():
        raise Wrong("a node asks for a category, and has no set of them")


def _require_parents(
    inner: Array, sides: tuple[Array, Array], parents: Array, first: Array, firsts: Array
) -> None:
    """Each child says whose it is; nobody else leads beyond its tree, whom no row comes to."""
    at = np.flatnonzero(inner)
    for children in sides:
        if (parents[children[at] + first[at]] + first[at] != at).any():
            raise Wrong("a node has another parent than it says")
    counts = np.diff(np.append(firsts, len(parents)))
    others = np.delete(parents, firsts)
    if (
        not np.isin(parents[firsts], NO_PARENT).all()
        or ((others < 0) | (others >= np.repeat(counts, counts - 1))).any()
    ):
        raise Wrong("a node says that its parent is one that is not there")


# Categories --------------------------------------------------------------------------


def _categories(cats: Any, columns: int) -> dict[str, Any]:
    """What each category was in training: texts one after another, or numbers."""
    made = [_encoding(each, place) for place, each in enumerate(_part(cats, "enc", list))]
    if len(made) not in (0, columns):
        raise Wrong(f"it has categories of {len(made)} columns of {columns}")
    sizes = [len(each.get("offsets", each["values"])) for each in made]
    sizes = [
        max(size - 1, 0) if "offsets" in each else size
        for size, each in zip(sizes, made, strict=True)
    ]
    ends = np.cumsum([0, *sizes]) if made else np.zeros(0, dtype=int)
    segments, order = _array(cats, "feature_segments", "i4"), _array(cats, "sorted_idx", "i4")
    if segments.tolist() != ends.tolist() or len(order) != sum(sizes):
        raise Wrong("its categories are other ones than it counts")
    for start, size in zip(ends, sizes, strict=False):
        if not np.array_equal(np.sort(order[start : start + size]), np.arange(size)):
            raise Wrong("the order of its categories does not name each of them")
    return {"enc": made, "feature_segments": segments, "sorted_idx": order}


def _encoding(encoding: Any, place: int) -> dict[str, Any]:
    if isinstance(encoding, dict) and "offsets" in encoding:
        values, offsets = _array(encoding, "values", "i1"), _array(encoding, "offsets", "i4")
        known = offsets.tolist() or [0]
        if known[0] != 0 or sorted(known) != known or known[-1] != len(values):
            raise Wrong(f"the categories of column {place} do not end where they should")
        return {"offsets": offsets, "values": values}
    kind = _KINDS.get(_part(encoding, "type", int))
    if kind is None:
        raise Wrong(f"the categories of column {place} are of no type that is known")
    return {"type": encoding["type"], "values": _array(encoding, "values", kind)}
