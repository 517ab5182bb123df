"""Scalers and imputers of numbers."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ..node import Transform
from ..nodes.numbers import Fill, Operation, Scale
from .given import Given, NotPacked
from .known import Inner, Known, require_set


def standard(step: Any, given: Given, inner: Inner) -> Transform:
    return _scale(
        ("subtract", step.mean_ if step.with_mean else None),
        ("divide", step.scale_ if step.with_std else None),
        rounded=True,
    )


def robust(step: Any, given: Given, inner: Inner) -> Transform:
    return _scale(
        ("subtract", step.center_ if step.with_centering else None),
        ("divide", step.scale_ if step.with_scaling else None),
    )


def min_max(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, clip=False)
    return _scale(("multiply", step.scale_), ("add", step.min_))


def max_abs(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, clip=False)
    return _scale(("divide", step.scale_))


def _scale(*operations: tuple[Operation, Any], rounded: bool = False) -> Scale:
    """What is switched off stands as None."""
    known = [(name, np.asarray(each)) for name, each in operations if each is not None]
    return Scale(operations=known, rounded=rounded)


def imputer(step: Any, given: Given, inner: Inner) -> Transform:
    missing = step.missing_values
    if not (isinstance(missing, float) and math.isnan(missing)):
        raise NotPacked(f"SimpleImputer with missing_values={missing!r:.60} is not known")
    require_set(step, add_indicator=False)
    found = np.asarray(step.statistics_).tolist()
    if any(not isinstance(each, int | float) or each != each for each in found):
        raise NotPacked("a SimpleImputer that fills with other than numbers is not known")
    return Fill(numbers=np.array(found, dtype=np.float64))


TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    "sklearn.StandardScaler": Known.of(standard, "copy with_mean with_std"),
    "sklearn.RobustScaler": Known.of(
        robust, "copy quantile_range unit_variance with_centering with_scaling"
    ),
    "sklearn.MinMaxScaler": Known.of(min_max, "clip copy feature_range"),
    "sklearn.MaxAbsScaler": Known.of(max_abs, "clip copy"),
    "sklearn.SimpleImputer": Known.of(
        imputer, "add_indicator copy fill_value keep_empty_features missing_values strategy"
    ),
}
