"""A model of LightGBM, in the text that it writes.

Lines of a name and a value, some for all and then some for each tree behind a line that names it.
What follows behind the trees (how often columns were used, what training was told) is left out, and
so is the size of each tree's text, which LightGBM would go by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ...errors import Unsound, Untrusted
from ..faults import Array, Wrong, equal, shown, within
from .walk import Trees, Unchecked, reached

MOST_SCORES: Final = 10_000
MOST_COLUMNS: Final = 1_000_000
MOST_LEAVES: Final = 1 << 24

_NUMBER: Final = r"-?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|inf|nan)"
_NUMBERS: Final = re.compile(rf"(?:{_NUMBER}(?: {_NUMBER})*)?")
_INTEGERS: Final = re.compile(r"(?:-?[0-9]{1,18}(?: -?[0-9]{1,18})*)?")
_INFORMATION: Final = re.compile(rf"none|\[{_NUMBER}:{_NUMBER}\]|-?[0-9]+(?::-?[0-9]+)*")
_OPTION: Final = re.compile(rf"sqrt|(?:num_class|sigmoid|alpha|c|tweedie_variance_power):{_NUMBER}")
_OBJECTIVES: Final = (
    *("binary", "cross_entropy", "cross_entropy_lambda", "custom", "fair", "gamma", "huber"),
    *("lambdarank", "mape", "multiclass", "multiclassova", "poisson", "quantile"),
    *("rank_xendcg", "regression", "regression_l1", "tweedie"),
)
_HEAD: Final = (
    *("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx"),
    *("objective", "average_output", "feature_names", "monotone_constraints", "feature_infos"),
)
_OF_LEAVES: Final = {"leaf_value": _NUMBERS, "leaf_weight": _NUMBERS, "leaf_count": _INTEGERS}
_OF_INNER: Final = {
    **dict.fromkeys(("split_feature", "decision_type", "left_child", "right_child"), _INTEGERS),
    **{"split_gain": _NUMBERS, "threshold": _NUMBERS, "internal_value": _NUMBERS},
    **{"internal_weight": _NUMBERS, "internal_count": _INTEGERS},
}
_TREE: Final = (
    *("num_leaves", "num_cat", "split_feature", "split_gain", "threshold", "decision_type"),
    *("left_child", "right_child", "leaf_value", "leaf_weight", "leaf_count", "internal_value"),
    *("internal_weight", "internal_count", "cat_boundaries", "cat_threshold", "is_linear"),
    "shrinkage",
)
_NEEDED: Final = frozenset(
    ("split_feature", "threshold", "decision_type", "left_child", "right_child", "leaf_value")
)
CATEGORICAL: Final = 1
MISSING: Final = 2
"""The bits of how a node decides: by categories, where missing values go, and above these two what
is missing: nothing, zeros or NaN."""


def sound_model(text: str) -> str:
    """The text to give to LightGBM in place of this one.

    Raises:
        Unsound: it is none, or its parts contradict each other.
        Untrusted: there is no check here for what it is.
    """
    try:
        return _rewritten(text)
    except Unchecked as unchecked:
        raise Untrusted(
            f"A model of LightGBM is not taken: {unchecked}. If you know who made the file, "
            "allow it with --trusted lightgbm.basic.Booster."
        ) from unchecked
    except Wrong as wrong:
        raise Unsound(f"A model of LightGBM is not what it should be: {wrong}.") from wrong


def scores(text: str) -> int:
    """How many scores a sound model gives to a row."""
    return int(_fields(text.partition("\n\n")[0], "the head")["num_class"])


def _rewritten(text: str) -> str:
    if not text.isprintable() and not text.replace("\n", "").isprintable():
        raise Wrong("it holds other characters than those of a text")
    whole, end, _ = text.partition("\nend of trees")
    if not whole.startswith("tree\n") or not end:
        raise Wrong("it does not begin and end as one")
    head, *blocks = whole.split("\nTree=")
    told = _fields(head.removeprefix("tree\n"), "the head")
    columns = _require_head(told, len(blocks))
    trees = [_tree_fields(block, place) for place, block in enumerate(blocks)]
    _require_trees(trees, columns)
    written = [f"Tree={place}\n{_lines(tree, _TREE)}\n\n" for place, tree in enumerate(trees)]
    sizes = " ".join(str(len(each.encode())) for each in written)
    return f"tree\n{_lines(told, _HEAD)}tree_sizes={sizes}\n\n{''.join(written)}end of trees\n"


def _fields(text: str, what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition("=")
        if name in found:
            raise Wrong(f"{what} has {name[:60]!r} twice")
        if line:
            found[name] = value
    return found


def _lines(fields: Mapping[str, str], names: Iterable[str]) -> str:
    lines = (
        name if name == "average_output" else f"{name}={fields[name]}"
        for name in names
        if name in fields
    )
    return "".join(f"{line}\n" for line in lines)


def _whole(fields: Mapping[str, str], name: str, most: int, otherwise: str | None = None) -> int:
    found = fields.get(name, otherwise)
    if found is None or not re.fullmatch(r"[0-9]{1,9}", found) or int(found) > most:
        raise Wrong(f"its {name} is {shown(found)}, and may be up to {most}")
    return int(found)


# The head ----------------------------------------------------------------------------


def _require_head(told: Mapping[str, str], trees: int) -> int:
    """How many columns there are."""
    if not re.fullmatch(r"v[0-9]", told.get("version", "")):
        raise Wrong(f"its version is {shown(told.get('version'))}")
    scores = _whole(told, "num_tree_per_iteration", MOST_SCORES)
    if scores < 1 or trees % scores:
        raise Wrong(f"it has {trees} trees for {scores} scores")
    equal(_whole(told, "num_class", MOST_SCORES), scores, "its num_class")
    _whole(told, "label_index", MOST_COLUMNS)
    columns = _whole(told, "max_feature_idx", MOST_COLUMNS) + 1
    names = told.get("feature_names", "").split(" ")
    equal(len(names), columns, "the number of its feature_names")
    known = told.get("feature_infos", "").split(" ")
    if len(known) != columns or not all(map(_INFORMATION.fullmatch, known)):
        raise Wrong(f"its feature_infos are none of {columns} columns")
    if "monotone_constraints" in told:
        _numbers(told, "monotone_constraints", _INTEGERS, (columns,))
    if told.get("average_output"):
        raise Wrong("its average_output has a value")
    _require_objective(told.get("objective"), scores)
    return columns


def _require_objective(objective: str | None, scores: int) -> None:
    """What becomes of the scores of a row is for as many of them."""
    if objective is None:
        return
    name, *options = objective.split(" ")
    if name not in _OBJECTIVES or not all(map(_OPTION.fullmatch, options)):
        raise Wrong(f"its objective is {shown(objective)}")
    told = dict(each.split(":") for each in options if ":" in each)
    if name in ("multiclass", "multiclassova"):
        equal(told.get("num_class"), str(scores), "the classes of its objective")
    elif scores > 1 or "num_class" in told:
        raise Wrong(f"its objective {name} has {scores} classes")


# Trees -------------------------------------------------------------------------------


def _tree_fields(block: str, place: int) -> dict[str, str]:
    number, _, text = block.partition("\n")
    equal(number, str(place), "the number of a tree")
    fields = _fields(text, f"tree {place}")
    if fields.get("is_linear", "0") != "0":
        raise Unchecked("there is no check for trees with lines in their leaves")
    return fields


def _numbers(
    fields: Mapping[str, str], name: str, form: re.Pattern[str], sizes: Sequence[int]
) -> Array:
    """The numbers of a line, of which there are as many as one of `sizes` says."""
    text = fields.get(name, "")
    if not form.fullmatch(text):
        raise Wrong(f"its {name} are no numbers")
    found = np.array(text.split(), dtype=np.int64 if form is _INTEGERS else np.float64)
    if len(found) not in sizes:
        raise Wrong(f"its {name} are {len(found)}, and should be {sizes[0]}")
    return found


def _require_trees(trees: Sequence[Mapping[str, str]], columns: int) -> None:
    """Inner nodes are counted from 0 and leaves from -1 down; here leaves stand behind them."""
    if not trees:
        return
    left, right, counts = [], [], []
    for place, tree in enumerate(trees):
        try:
            children = _children(tree, columns)
        except Wrong as wrong:
            raise Wrong(f"of tree {place} {wrong}") from wrong
        inner = len(children[0])
        leaf = np.full(inner + 1, -1)
        behind = [np.where(each < 0, inner + ~each, each) for each in children]
        left.append(np.append(behind[0], leaf))
        right.append(np.append(behind[1], leaf))
        counts.append(2 * inner + 1)
    reached(Trees(np.concatenate(left), np.concatenate(right), np.array(counts)))


def _children(tree: Mapping[str, str], columns: int) -> tuple[Array, Array]:
    """The children of the inner nodes, once all else of a tree fits itself."""
    leaves = _whole(tree, "num_leaves", MOST_LEAVES)
    if leaves < 1:
        raise Wrong("its num_leaves is 0")
    found: dict[str, Any] = {}
    for forms, size in ((_OF_LEAVES, leaves), (_OF_INNER, leaves - 1)):
        for name, form in forms.items():
            sizes = (size,) if name in _NEEDED else (size, 0)
            found[name] = _numbers(tree, name, form, sizes)
    _numbers(tree, "shrinkage", _NUMBERS, (1, 0))
    within(found["split_feature"], columns, "the column of a node")
    within(found["decision_type"], 12, "the kind of a node")
    _require_sets(tree, found["threshold"][found["decision_type"] & CATEGORICAL > 0])
    for side in ("left_child", "right_child"):
        within(found[side] + leaves, 2 * leaves - 1, f"a {side}, counted from the last leaf,")
    return found["left_child"], found["right_child"]


def _require_sets(tree: Mapping[str, str], places: Array) -> None:
    """The sets of categories, of which the nodes that need one name one by its place."""
    count = _whole(tree, "num_cat", MOST_LEAVES, "0")
    within(places, count, "the set of categories of a node")
    if (places != np.floor(places)).any():
        raise Wrong("a node names a set of categories by a fraction")
    if not count:
        if "cat_boundaries" in tree or "cat_threshold" in tree:
            raise Wrong("it has sets of categories, and counts none")
        return
    ends = _numbers(tree, "cat_boundaries", _INTEGERS, (count + 1,))
    words = _numbers(tree, "cat_threshold", _INTEGERS, (int(ends[-1]),))
    if ends[0] != 0 or (ends[1:] < ends[:-1]).any():
        raise Wrong("its sets of categories do not follow one another")
    within(words, 2**32, "a word of a set of categories")
