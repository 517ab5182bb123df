"""The way from the columns of a form to what one of its predictors is given."""

from __future__ import annotations

import msgspec
import numpy as np

from ..plain.node import SEVERAL, Array, Predictor, Rows, Transform, dense
from ..plain.nodes.columns import Pipeline
from ..plain.sparse import Sparse


class Way(msgspec.Struct, frozen=True):
    """Steps one after another. `owners` are the columns of the features behind them, as
    `Transform.owners` has them; `columns` is how many columns there are."""

    columns: int
    owners: Array
    steps: tuple[Transform, ...] = ()

    @classmethod
    def of(cls, columns: int) -> Way:
        return cls(columns, np.arange(columns))

    def behind(self, step: Transform) -> Way:
        """The way through one more step."""
        return Way(self.columns, step.owners(self.owners), (*self.steps, step))

    def features(self, matrix: Array) -> Rows:
        """
        Raises:
            Refused: a step refuses these rows.
        """
        rows: Rows = matrix
        for step in self.steps:
            rows = step.transform(rows)
        return rows

    @property
    def parted(self) -> bool:
        """Whether each feature is made of one column."""
        return not (self.owners == SEVERAL).any()


def parted(root: Predictor, columns: int) -> tuple[Way, Predictor]:
    """The way as far as each feature is made of one column, and what predicts from there."""
    way, rest = Way.of(columns), root
    while isinstance(rest, Pipeline):
        steps, last = rest.steps, rest.last
        for place, step in enumerate(steps):
            further = way.behind(step)
            if not further.parted:
                return way, Pipeline(steps=steps[place:], last=last)
            way = further
        rest = last
    return way, rest


def floats(rows: Rows) -> Array:
    """Features as an array."""
    array = dense(rows)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def is_sparse(rows: Rows) -> bool:
    return isinstance(rows, Sparse)
