"""Scalers, and functions of numbers."""

from __future__ import annotations

import warnings
from typing import Any, Final, get_args

import msgspec
import numpy as np

from ..node import Transform
from ..nodes.columns import Chain
from ..nodes.numbers import Binarize, Clip, Finite, Function, Name, Normalize, Operation, Scale
from .given import Given, NotPacked
from .known import Inner, Known, require_set


def standard(step: Any, given: Given, inner: Inner) -> Transform:
    scale = _scale(
        ("subtract", step.mean_ if step.with_mean else None),
        ("divide", step.scale_ if step.with_std else None),
    )
    rounded = msgspec.structs.replace(scale, rounded=True)
    return rounded if _is_alike(rounded, step) or not _is_alike(scale, step) else scale


def _is_alike(scale: Scale, step: Any) -> bool:
    """Whether a scaler makes the same of narrow floats. Newer ones round their own numbers first;
    which do is found out by asking, with rows that are near those of training and beyond."""
    numbers = [each for _, each in scale.operations]
    if not numbers:
        return True
    rows = np.stack([numbers[0] + factor * numbers[-1] for factor in (0.1, 0.7, -1.3, 2.9)])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        rows = rows.astype(np.float32)
        rows = np.where(np.isinf(rows), np.float32(1), rows)
        found = np.asarray(step.transform(rows))
        return bool(np.array_equal(found, np.asarray(scale.transform(rows)), equal_nan=True))


def robust(step: Any, given: Given, inner: Inner) -> Transform:
    return _scale(
        ("subtract", step.center_ if step.with_centering else None),
        ("divide", step.scale_ if step.with_scaling else None),
    )


def min_max(step: Any, given: Given, inner: Inner) -> Transform:
    scale = _scale(("multiply", step.scale_), ("add", step.min_))
    return _clipped(scale, given, *map(float, step.feature_range)) if step.clip else scale


def max_abs(step: Any, given: Given, inner: Inner) -> Transform:
    scale = _scale(("divide", step.scale_))
    clip = getattr(step, "clip", False)  # new in 1.9
    return _clipped(scale, given, -1.0, 1.0) if clip else scale


def _clipped(scale: Scale, given: Given, low: float, high: float) -> Transform:
    width = given.width
    return Chain(steps=[scale, Clip(low=np.full(width, low), high=np.full(width, high))])


def _scale(*operations: tuple[Operation, Any]) -> Scale:
    """What is switched off stands as None."""
    known = [(name, np.asarray(each)) for name, each in operations if each is not None]
    return Scale(operations=known)


def normalizer(step: Any, given: Given, inner: Inner) -> Transform:
    return Normalize(norm=step.norm)


def binarizer(step: Any, given: Given, inner: Inner) -> Transform:
    return Binarize(threshold=float(step.threshold))


def function(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, kw_args=(None, {}))
    steps: list[Transform] = [Finite()] if step.validate else []
    if step.func is np.ravel:
        if given.width != 1:
            raise NotPacked("np.ravel of several columns is not known")
    elif step.func is not None:
        name = _name(step.func)
        _require_floats(name, given)
        steps.append(Function(name=name))
    return Chain(steps=steps)


def _name(func: Any) -> Name:
    names: tuple[Name, ...] = get_args(Name)
    for name in names:
        if func is getattr(np, name):
            return name
    named = getattr(func, "__qualname__", None) or getattr(func, "__name__", type(func).__name__)
    raise NotPacked(f"the function {named} is not known")


def _require_floats(name: Name, given: Given) -> None:
    """Raises NotPacked where numpy computes with something else than the floats of a form: narrow
    floats for some columns or for small integers, and other integers that stay such."""
    odd = {"square", "reciprocal", "negative"}
    for dtype in given.dtypes:
        if dtype is not None and dtype == np.float64:
            continue
        if dtype is not None and dtype.kind == "f" and given.narrow == dtype.name == "float32":
            continue
        if dtype is None or dtype.kind not in "iu" or dtype.itemsize < 4 or name in odd:
            raise NotPacked(f"np.{name} of columns that are {dtype or 'objects'} is not known")


TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    "sklearn.StandardScaler": Known.of(standard, "copy with_mean with_std"),
    "sklearn.RobustScaler": Known.of(
        robust, "copy quantile_range unit_variance with_centering with_scaling"
    ),
    "sklearn.MinMaxScaler": Known.of(min_max, "clip copy feature_range"),
    "sklearn.MaxAbsScaler": Known.of(max_abs, "clip copy"),
    "sklearn.Normalizer": Known.of(normalizer, "copy norm"),
    "sklearn.Binarizer": Known.of(binarizer, "copy threshold"),
    "sklearn.FunctionTransformer": Known.of(
        function,
        "accept_sparse check_inverse feature_names_out func inv_kw_args inverse_func kw_args",
        "validate",
    ),
}
