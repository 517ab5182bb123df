"""Steps of numbers: scalers, and imputers that fill with a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .answers import Array, Transform, as_floats

Operation = Callable[..., Array]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Operations with one number a column, one after another, in place as scikit-learn does them.

    So with float32 they are computed in float64 and then rounded, unless the numbers are `rounded`
    before.
    """

    operations: tuple[tuple[Operation, Array], ...]
    rounded: bool

    def __call__(self, array: Array) -> Array:
        array = as_floats(array)
        scaled: Array | None = None
        for operation, numbers in self.operations:
            if self.rounded:
                numbers = numbers.astype(array.dtype, copy=False)
            scaled = np.empty_like(array) if scaled is None else scaled
            array = operation(array, numbers, out=scaled, casting="same_kind")
        return array


@dataclass(frozen=True, slots=True)
class Filling:
    """The number of its column in place of a NaN."""

    numbers: Array

    def __call__(self, array: Array) -> Array:
        array = as_floats(array)
        return np.where(np.isnan(array), self.numbers.astype(array.dtype, copy=False), array)


def scaler(step: Any, name: str) -> Transform | None:
    """A scaler in the operations and the order of scikit-learn; None where it clips."""
    if getattr(step, "clip", False):
        return None
    operations: list[tuple[Operation, Any]]
    if name == "StandardScaler":
        shift, width = step.with_mean and step.mean_, step.with_std and step.scale_
        operations = [(np.subtract, shift), (np.divide, width)]
    elif name == "RobustScaler":
        shift, width = step.with_centering and step.center_, step.with_scaling and step.scale_
        operations = [(np.subtract, shift), (np.divide, width)]
    elif name == "MinMaxScaler":
        operations = [(np.multiply, step.scale_), (np.add, step.min_)]
    else:
        operations = [(np.divide, step.scale_)]
    # What is switched off stands as False.
    known = tuple(each for each in operations if isinstance(each[1], np.ndarray))
    return Scaling(known, rounded=name == "StandardScaler")


def imputer(step: Any, name: str) -> Transform | None:
    """An imputer of numbers; None where it has other missing values than NaN, or adds columns."""
    numbers = fillers(step)
    if numbers is None or not all(isinstance(each, int | float) for each in numbers):
        return None
    return Filling(np.array(numbers, dtype=np.float64))


def fillers(step: Any) -> list[Any] | None:
    """What a SimpleImputer puts in place of NaN in each column; None where it does more."""
    missing = step.missing_values
    if not (isinstance(missing, float) and math.isnan(missing)) or step.add_indicator:
        return None
    found: list[Any] = np.asarray(step.statistics_).tolist()
    return None if any(each is None or each != each for each in found) else found


TRANSFORMS: Final[dict[str, Callable[[Any, str], Transform | None]]] = {
    **dict.fromkeys(("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler"), scaler),
    "SimpleImputer": imputer,
}
