"""Trees as libraries keep them, brought into one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ..node import Array
from ..nodes.tree_table import Choices, Table
from .given import NotPacked

WIDE: Final = 256
"""Features from which on a table has only those that it uses."""

MAX_CATEGORIES: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Choice:
    """The node that has a category, which categories go left, and whether all others do."""

    node: int
    left: Array
    others: bool


@dataclass(frozen=True, slots=True)
class Grown:
    """One tree: its first node is the root, its leaves have the feature -1. `values` are of shape
    (nodes, k); those of the inner nodes do not matter."""

    features: Array
    thresholds: Array
    left: Array
    right: Array
    values: Array
    missing_right: Array | None = None
    choices: list[Choice] = field(default_factory=list)


def table(trees: Sequence[Grown], **how: Any) -> Table:
    """The trees in the order in which a table has their nodes. `how` are its other fields."""
    sizes = [len(tree.features) for tree in trees]
    starts = np.cumsum([0, *sizes[:-1]])
    features = np.concatenate([tree.features for tree in trees]).astype(np.int64)
    order, roots = _order(
        starts, features, _joined(trees, starts, "left"), _joined(trees, starts, "right")
    )
    features = features[order]
    inner = features >= 0
    thresholds = np.concatenate([tree.thresholds for tree in trees])[order]
    thresholds[~inner] = np.nan
    values = np.concatenate([tree.values for tree in trees])[order[~inner]]
    used, places = np.unique(features[inner], return_inverse=True)
    columns = None
    if len(used) and used[-1] >= WIDE and 2 * len(used) <= used[-1]:
        columns, features[inner] = used, places
    return Table(
        roots=roots,
        features=features.astype(np.int16 if features.max() < 1 << 15 else np.int32),
        thresholds=thresholds,
        values=values,
        missing_right=_missing_right(trees, order, inner),
        choices=_choices(trees, starts, order),
        columns=columns,
        **how,
    )


def _joined(trees: Sequence[Grown], starts: Array, name: str) -> Array:
    return np.concatenate(
        [getattr(tree, name) + start for tree, start in zip(trees, starts, strict=True)]
    )


def _order(starts: Array, features: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """The nodes that a row can reach in the order of a table, and where there each tree starts."""
    owners, nodes = np.arange(len(starts)), starts
    found = [(owners, nodes)]
    while len(nodes):
        inner = features[nodes] >= 0
        owners = owners[inner].repeat(2)
        nodes = np.stack([left[nodes[inner]], right[nodes[inner]]], axis=1).ravel()
        found.append((owners, nodes))
    owners, nodes = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.argsort(owners, kind="stable")
    roots = np.searchsorted(owners[order], np.arange(len(starts))).astype(np.int32)
    return nodes[order], roots


def _missing_right(trees: Sequence[Grown], order: Array, inner: Array) -> Array | None:
    known = [tree.missing_right for tree in trees if tree.missing_right is not None]
    if len(known) < len(trees):
        return None
    found = np.concatenate(known)[order].astype(np.uint8)
    found[~inner] = 0
    return found


def _choices(trees: Sequence[Grown], starts: Array, order: Array) -> Choices | None:
    choices = {
        int(start) + choice.node: choice
        for tree, start in zip(trees, starts, strict=True)
        for choice in tree.choices
    }
    nodes = np.flatnonzero(np.isin(order, list(choices)))
    if not len(nodes):
        return None
    chosen = [choices[node] for node in order[nodes].tolist()]
    width = max(len(choice.left) for choice in chosen)
    if width > MAX_CATEGORIES:
        raise NotPacked(f"trees of more than {MAX_CATEGORIES} categories are not known")
    sets = np.empty((len(chosen), width + 1), dtype=np.uint8)
    for row, choice in zip(sets, chosen, strict=True):
        row[: len(choice.left)] = choice.left
        row[len(choice.left) :] = choice.others
    return Choices(nodes=nodes, sets=sets)


def narrow(thresholds: Array) -> Array:
    """The largest float32 that are at most these: a float32 is above both or none."""
    found = thresholds.astype(np.float32)
    above = found > thresholds
    found[above] = np.nextafter(found[above], np.float32(-np.inf))
    return found


def started(trees: Sequence[Grown], start: Array) -> list[Grown]:
    """The trees, of whose first ones, as many as there are numbers, each leaf has that number
    added: sums that start from there have the same bits."""
    for tree, number in zip(trees, start, strict=False):
        tree.values[:] = number + tree.values
    return list(trees)


def stump(value: Array) -> Grown:
    """A tree of one leaf."""
    none = np.full(1, -1)
    values = np.reshape(value, (1, -1))
    return Grown(none, np.zeros(1, dtype=np.float32), none, none, values, np.zeros(1))
