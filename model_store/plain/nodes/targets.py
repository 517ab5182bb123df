"""Regressions of a target that was transformed, and the ways back to the target itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np

from ..node import (
    Answer,
    Array,
    Elementwise,
    Node,
    Predictor,
    Refused,
    Rows,
    Splits,
    Transform,
    as_floats,
    require,
    require_floats,
)
from .columns import checked
from .members import splits_of, table


class TransformedTarget(Node, Predictor, frozen=True, kw_only=True):
    """What a regression says, one column a target, and the steps that lead back from it."""

    inner: Predictor
    targets: int
    back: list[Transform]

    def check(self, width: int) -> None:
        self.inner.check(width)
        require(self.targets > 0, "targets")
        require(checked(self.back, self.targets) == self.targets, "as many targets again")

    def answer(self, rows: Rows) -> Answer:
        labels = self.inner.answer(rows).labels
        found = as_floats(
            table(labels.reshape(-1, 1) if labels.ndim == 1 else labels, self.targets)
        )
        for step in self.back:
            found = as_floats(step.transform(found))
        return Answer(found[:, 0] if self.targets == 1 else found)

    def splits(self) -> Iterator[Splits]:
        return splits_of([self.inner])


class PowerBack(Node, Elementwise, frozen=True, kw_only=True):
    """The way back from a power transform, by a lambda a column."""

    method: Literal["yeo-johnson", "box-cox"]
    lambdas: Array

    def check(self, width: int) -> int:
        require_floats(self.lambdas, width)
        require(bool(np.isfinite(self.lambdas).all()), "finite lambdas")
        return width

    def transform(self, rows: Rows) -> Rows:
        array = _not_infinite(as_floats(rows))
        back = _from_yeo_johnson if self.method == "yeo-johnson" else _from_box_cox
        columns = zip(array.T, self.lambdas.tolist(), strict=True)
        return np.stack([back(column, power) for column, power in columns], axis=1)


def _from_box_cox(column: Array, power: float) -> Array:
    """x of (x ** power - 1) / power, and of log(x) where the power is 0."""
    found: Array = np.exp(column if power == 0 else np.log1p(power * column) / power)
    return found


def _from_yeo_johnson(column: Array, power: float) -> Array:
    """The same of x + 1; below 0 of 1 - x, the power being 2 - power and the sign the other one.
    A power that is 0 but for rounding counts as 0."""
    found = np.empty_like(column)
    above = column >= 0
    below = ~above
    if abs(power) < _ROUNDING:
        found[above] = np.exp(column[above]) - 1
    else:
        found[above] = np.power(column[above] * power + 1, 1 / power) - 1
    if abs(power - 2) > _ROUNDING:
        found[below] = 1 - np.power(-(2 - power) * column[below] + 1, 1 / (2 - power))
    else:
        found[below] = 1 - np.exp(-column[below])
    return found


_ROUNDING: Final = float(np.spacing(1.0))


class QuantilesBack(Node, Elementwise, frozen=True, kw_only=True):
    """The way back from a quantile transform to a uniform distribution: the value at each share,
    on straight lines between the `quantiles`, of shape (points, columns), at the `shares`."""

    shares: Array
    quantiles: Array

    def check(self, width: int) -> int:
        require_floats(self.shares, -1)
        require(len(self.shares) > 0, "shares")
        require(bool((np.diff(self.shares) > 0).all()), "shares that rise")
        require_floats(self.quantiles, len(self.shares), width)
        return width

    def transform(self, rows: Rows) -> Rows:
        array = _not_infinite(as_floats(rows))
        columns = zip(array.T, self.quantiles.T, strict=True)
        return np.stack([np.interp(each, self.shares, known) for each, known in columns], axis=1)


def _not_infinite(array: Array) -> Array:
    if np.isinf(array).any():
        raise Refused("a number is too large")
    return array


KINDS: Final = (TransformedTarget, PowerBack, QuantilesBack)
