"""Features side by side, some of them, and linear combinations of them."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Final

import numpy as np

from ..node import (
    MAX_DENSE,
    MAX_WIDTH,
    Array,
    Node,
    Rows,
    Transform,
    as_floats,
    dense,
    finite,
    require,
    require_floats,
    require_places,
)
from ..sparse import Sparse
from .columns import checked, joined, owners_behind
from .linear import product


class Union(Node, Transform, frozen=True, kw_only=True):
    """What comes of the same features in several ways, side by side. Each way is some steps."""

    parts: list[list[Transform]]

    def check(self, width: int) -> int:
        found = sum(checked(steps, width) for steps in self.parts)
        require(found <= MAX_WIDTH, f"at most {MAX_WIDTH} features")
        return found

    def owners(self, columns: Array) -> Array:
        parts = [owners_behind(steps, columns) for steps in self.parts]
        return np.concatenate(parts) if parts else columns[:0]

    def transform(self, rows: Rows) -> Rows:
        parts = []
        for steps in self.parts:
            part = rows
            for step in steps:
                part = step.transform(part)
            parts.append(part)
        sparse = any(isinstance(part, Sparse) for part in parts)
        width = sum(part.width if isinstance(part, Sparse) else part.shape[1] for part in parts)
        require(sparse or width <= MAX_DENSE, f"at most {MAX_DENSE} features")
        return joined(parts, sparse=sparse)


class Select(Node, Transform, frozen=True, kw_only=True):
    """Some of the features, in their order."""

    columns: Array

    def check(self, width: int) -> int:
        require_places(self.columns, width, -1)
        require(bool((np.diff(self.columns.astype(np.int64)) > 0).all()), "places in order")
        return len(self.columns)

    def owners(self, columns: Array) -> Array:
        found: Array = columns[self.columns]
        return found

    def transform(self, rows: Rows) -> Rows:
        if isinstance(rows, Sparse):
            return self._sparse(rows)
        return rows[:, self.columns]

    def _sparse(self, rows: Sparse) -> Sparse:
        places = np.searchsorted(self.columns, rows.places)
        chosen = self.columns.take(places, mode="clip") == rows.places
        before = np.concatenate([[0], np.cumsum(chosen)])
        return Sparse(before[rows.ends], places[chosen], rows.values[chosen], len(self.columns))


class Project(Node, Transform, frozen=True, kw_only=True):
    """Linear combinations of the features less their `center`: `components` of shape
    (combinations, features). The `shift` is subtracted of them, and they are divided by `scale`."""

    components: Array
    center: Array | None = None
    shift: Array | None = None
    scale: Array | None = None

    def check(self, width: int) -> int:
        require_floats(self.components, -1, width)
        found = len(self.components)
        require(found <= MAX_DENSE, f"at most {MAX_DENSE} features")
        if self.center is not None:
            require_floats(self.center, width)
        for numbers in (self.shift, self.scale):
            if numbers is not None:
                require_floats(numbers, found)
        return found

    def transform(self, rows: Rows) -> Rows:
        rows = _finite(rows)
        if self.center is not None:
            rows = as_floats(rows) - self.center
        found = product(rows, self.components.T)
        if self.shift is not None:
            found -= self.shift
        if self.scale is not None:
            found /= self.scale
        return found

    def folded(self, coefficients: Array, intercept: Array) -> tuple[Array, Array]:
        if self.scale is not None:
            coefficients = coefficients / self.scale[:, np.newaxis]
        if self.shift is not None:
            intercept = intercept - self.shift @ coefficients
        coefficients = self.components.T @ coefficients
        if self.center is not None:
            intercept = intercept - self.center @ coefficients
        return coefficients, intercept


class Waves(Node, Transform, frozen=True, kw_only=True):
    """Cosines of random combinations, whose products come near those of a radial kernel.

    By A. Rahimi and B. Recht, "Random features for large-scale kernel machines" (2007)."""

    weights: Array
    offset: Array

    def check(self, width: int) -> int:
        require_floats(self.weights, width, -1)
        require_floats(self.offset, self.weights.shape[1])
        require(0 < len(self.offset) <= MAX_DENSE, f"at most {MAX_DENSE} features")
        return len(self.offset)

    @cached_property
    def _height(self) -> float:
        return math.sqrt(2.0 / len(self.offset))

    def transform(self, rows: Rows) -> Rows:
        found = product(_finite(rows), self.weights)
        found += self.offset
        np.cos(found, out=found)
        found *= self._height
        return found


def _finite(rows: Rows) -> Rows:
    if isinstance(rows, Sparse):
        finite(rows.values)
        return rows
    return finite(as_floats(dense(rows)))


KINDS: Final = (Union, Select, Project, Waves)
