"""Steps one after another, and parts of the columns side by side."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final, Literal

import msgspec
import numpy as np

from ..node import (
    MAX_COLUMNS,
    MAX_DENSE,
    MAX_WIDTH,
    Answer,
    Array,
    Node,
    Predictor,
    Rows,
    Splits,
    Transform,
    as_floats,
    dense,
    require,
    require_places,
)
from ..sparse import Sparse, beside

Narrow = Literal["float32", "float16"]


class Pipeline(Node, Predictor, frozen=True, kw_only=True):
    """Steps, and the last one that answers."""

    steps: list[Transform]
    last: Predictor

    @property
    def decides(self) -> bool:
        return self.last.decides

    @property
    def scorer(self) -> Predictor:
        return self.last

    def check(self, width: int) -> None:
        self.last.check(checked(self.steps, width))

    def answer(self, rows: Rows) -> Answer:
        return self.last.answer(self.features(rows))

    def scores(self, rows: Rows) -> Array:
        return self.last.scores(self.features(rows))

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        return self.last.both(self.features(rows))

    @property
    def deviates(self) -> bool:
        return self.last.deviates

    def deviating(self, rows: Rows) -> tuple[Answer, Array]:
        return self.last.deviating(self.features(rows))

    def features(self, rows: Rows) -> Rows:
        """What the last step is given."""
        for step in self.steps:
            rows = step.transform(rows)
        return rows

    def splits(self) -> Iterator[Splits]:
        return self.last.splits()


class Transformed(Node, Predictor, frozen=True, kw_only=True):
    """The features themselves, where steps that transform are all there is."""

    def check(self, width: int) -> None:
        require(0 < width <= MAX_DENSE, f"at most {MAX_DENSE} features")

    def answer(self, rows: Rows) -> Answer:
        return Answer(dense(rows))


class Chain(Node, Transform, frozen=True, kw_only=True):
    """Steps one after another, as one step."""

    steps: list[Transform]

    def check(self, width: int) -> int:
        return checked(self.steps, width)

    def owners(self, columns: Array) -> Array:
        return owners_behind(self.steps, columns)

    def transform(self, rows: Rows) -> Rows:
        for step in self.steps:
            rows = step.transform(rows)
        return rows


def checked(steps: list[Transform], width: int) -> int:
    for step in steps:
        width = step.check(width)
        require(0 <= width <= MAX_WIDTH, f"at most {MAX_WIDTH} features")
    return width


def owners_behind(steps: list[Transform], columns: Array) -> Array:
    """The column of each feature that comes of steps one after another, as `Transform.owners`."""
    for step in steps:
        columns = step.owners(columns)
    return columns


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Some of the columns by their places, and what becomes of them. `narrow` says that the
    pipeline has them as floats of this type together."""

    columns: Array
    steps: list[Transform]
    narrow: Narrow | None = None


class Columns(Node, Transform, frozen=True, kw_only=True):
    """Parts of the columns side by side. `sparse` says whether scikit-learn joins them to a sparse
    matrix."""

    parts: list[Part]
    sparse: bool = False

    def check(self, width: int) -> int:
        require(width <= MAX_COLUMNS, f"at most {MAX_COLUMNS} columns")
        found = 0
        for part in self.parts:
            require_places(part.columns, width, -1)
            found += checked(part.steps, len(part.columns))
        require(self.sparse or found <= MAX_DENSE, f"at most {MAX_DENSE} features")
        return found

    def owners(self, columns: Array) -> Array:
        parts = [owners_behind(part.steps, columns[part.columns]) for part in self.parts]
        return np.concatenate(parts) if parts else columns[:0]

    @cached_property
    def _chosen(self) -> list[Array | slice]:
        """The columns of each part; those beside each other are quicker to take as a slice."""
        return [_as_slice(part.columns) for part in self.parts]

    def transform(self, rows: Rows) -> Rows:
        array = dense(rows)
        parts = zip(self.parts, self._chosen, strict=True)
        return joined([self._part(part, array[:, at]) for part, at in parts], sparse=self.sparse)

    def _part(self, part: Part, array: Array) -> Rows:
        if part.narrow is not None:
            array = as_floats(array).astype(part.narrow)
        elif part.steps and array.dtype.kind == "f":
            # Narrow are the floats of all columns together, and those of this part were integers.
            array = array.astype(np.float64, copy=False)
        rows: Rows = array
        for step in part.steps:
            rows = step.transform(rows)
        return rows


def _as_slice(places: Array) -> Array | slice:
    """Places as a slice where they are one after another."""
    if not len(places) or (np.diff(places.astype(np.int64)) != 1).any():
        return places
    return slice(int(places[0]), int(places[-1]) + 1)


def joined(parts: list[Rows], *, sparse: bool) -> Rows:
    """Features side by side. Where there is a text among them, they stay objects."""
    if sparse:
        return beside([part if isinstance(part, Sparse) else as_floats(part) for part in parts])
    arrays = [dense(part) for part in parts]
    if not any(array.dtype.kind == "O" for array in arrays):
        return np.concatenate(arrays, axis=1)
    return np.concatenate([array.astype(object) for array in arrays], axis=1)


KINDS: Final = (Pipeline, Transformed, Chain, Columns)
