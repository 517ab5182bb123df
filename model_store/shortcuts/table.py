"""Columns of several kinds, side by side: a ColumnTransformer, or an encoder alone.

Each block of columns writes its features into its own part of one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .answers import Array, NotCovered, Transform, as_floats
from .supported import name_of
from .transforms import TRANSFORMS, fillers

MAX_WIDTH = 4096
"""Features beyond which scikit-learn's sparse matrices are left alone."""


class Block(Protocol):
    """Some of the columns, and the features that they become."""

    @property
    def width(self) -> int: ...

    def fill(self, features: Array, matrix: Array) -> None:
        """Write the features; they are all 0 before."""


@dataclass(frozen=True, slots=True)
class Numbers:
    columns: list[int]
    transforms: tuple[Transform, ...]

    @property
    def width(self) -> int:
        return len(self.columns)

    def fill(self, features: Array, matrix: Array) -> None:
        array = as_floats(matrix[:, self.columns])
        for transform in self.transforms:
            array = transform(array)
        features[:] = array


@dataclass(frozen=True, slots=True)
class Category:
    """One column. `places` leads from a category to its feature, which is -1 where it was dropped;
    `strict` says that the pipeline refuses others. `filler` stands for NaN, if there is one."""

    column: int
    places: dict[Any, int]
    width: int
    strict: bool
    filler: Any = None

    def fill(self, features: Array, matrix: Array) -> None:
        places = self.places
        for row, value in enumerate(matrix[:, self.column].tolist()):
            if value != value:
                value = _NAN if self.filler is None else self.filler
            place = places.get(value)
            if place is None:
                if self.strict:
                    raise NotCovered
            elif place >= 0:
                features[row, place] = 1.0


_NAN = object()
"""Stands for NaN among the categories: it is not equal to itself."""


@dataclass(frozen=True, slots=True)
class Table:
    """Blocks in the order of their features. `width` is that of all."""

    blocks: tuple[tuple[slice, Block], ...]
    width: int

    @classmethod
    def of(cls, blocks: list[Block]) -> Table | None:
        ends = np.cumsum([block.width for block in blocks]).tolist()
        if not ends or ends[-1] > MAX_WIDTH:
            return None
        parts = [slice(end - block.width, end) for block, end in zip(blocks, ends, strict=True)]
        return cls(tuple(zip(parts, blocks, strict=True)), ends[-1])

    def __call__(self, array: Array) -> Array:
        if array.dtype.name not in {"float64", "int64", "object"}:
            raise NotCovered
        features = np.zeros((len(array), self.width))
        for part, block in self.blocks:
            block.fill(features[:, part], array)
        return features


def column_transformer(step: Any, steps_of: Any) -> Transform | None:
    """A fitted ColumnTransformer; `steps_of` takes its pipelines apart."""
    if step.transformer_weights is not None:
        return None
    blocks: list[Block] = []
    for _, transformer, chosen in step.transformers_:
        columns = _columns(chosen, step)
        if columns is None:
            return None
        if not columns or (isinstance(transformer, str) and transformer == "drop"):
            continue
        steps = steps_of(transformer)
        found = None if steps is None else _blocks(steps, columns)
        if found is None:
            return None
        blocks += found
    return Table.of(blocks)


def encoder(steps: list[Any], columns: int) -> Transform | None:
    """An encoder of all columns, perhaps after an imputer."""
    found = _encoded(steps, list(range(columns)))
    return None if found is None else Table.of(found)


def _columns(chosen: Any, step: Any) -> list[int] | None:
    """The columns' places; None for one by itself, which its transformer gets as a vector."""
    count = int(step.n_features_in_)
    if isinstance(chosen, slice):
        ends = (chosen.start, chosen.stop, chosen.step)
        if not all(each is None or isinstance(each, int) for each in ends):
            return None
        return list(range(count)[chosen])
    if isinstance(chosen, str) or not hasattr(chosen, "__len__"):
        return None
    given = np.asarray(chosen).tolist()
    if given and all(isinstance(each, bool) for each in given):
        return np.flatnonzero(given).tolist() if len(given) == count else None
    if all(isinstance(each, str) for each in given):
        names = getattr(step, "feature_names_in_", np.empty(0)).tolist()
        return [names.index(each) for each in given] if set(given) <= set(names) else None
    if all(isinstance(each, int) for each in given):
        return [range(count)[each] for each in given]
    return None


def _blocks(steps: list[Any], columns: list[int]) -> list[Block] | None:
    steps = [step for step in steps if not _does_nothing(step)]
    if steps and name_of(steps[-1]) == "OneHotEncoder":
        return _encoded(steps, columns)
    transforms = []
    for step in steps:
        name = name_of(step)
        transform = TRANSFORMS[name](step, name) if name in TRANSFORMS else None
        if transform is None:
            return None
        transforms.append(transform)
    return [Numbers(columns, tuple(transforms))]


def _does_nothing(step: Any) -> bool:
    return name_of(step) == "FunctionTransformer" and step.func is None and not step.validate


def _encoded(steps: list[Any], columns: list[int]) -> list[Block] | None:
    """The blocks of a OneHotEncoder, perhaps after an imputer."""
    *before, step = steps
    names = [name_of(each) for each in steps]
    if names[-1] != "OneHotEncoder" or names[:-1] not in ([], ["SimpleImputer"]):
        return None
    if step.min_frequency is not None or step.max_categories is not None:
        return None
    if step.handle_unknown not in {"error", "ignore", "infrequent_if_exist"}:
        return None
    if np.dtype(step.dtype) != np.float64:
        return None
    found = fillers(before[0]) if before else [None] * len(columns)
    if found is None:
        return None
    drops = [None] * len(columns) if step.drop_idx_ is None else list(step.drop_idx_)
    # Where a category was dropped, scikit-learn warns of others.
    strict = step.handle_unknown == "error" or step.drop_idx_ is not None
    return [
        _category(column, categories.tolist(), filler, drop, strict)
        for column, categories, filler, drop in zip(
            columns, step.categories_, found, drops, strict=True
        )
    ]


def _category(
    column: int, categories: list[Any], filler: Any, drop: int | None, strict: bool
) -> Category:
    kept = [place for place in range(len(categories)) if place != drop]
    places = {
        _NAN if category != category else category: -1 if place == drop else kept.index(place)
        for place, category in enumerate(categories)
    }
    return Category(column, places, len(kept), strict, filler)
