"""Regressions of a transformed target."""

from __future__ import annotations

from typing import Any, Final, cast, get_args

import numpy as np

from ..node import Predictor, Transform
from ..nodes.columns import Chain
from ..nodes.numbers import Finite, Function, Name, Operation, Scale
from ..nodes.targets import PowerBack, QuantilesBack, TransformedTarget
from .columns import flat
from .given import Given, NotPacked
from .known import Inner, Known, key_of, require_known, require_set


def transformed(step: Any, given: Given, inner: Inner) -> Predictor:
    if step._training_dim > 2:
        raise NotPacked("a target of more than two dimensions is not known")
    regressor = inner.predictor(step.regressor_, given)
    targets = Given(int(step.transformer_.n_features_in_))
    back = [_back(each, targets, inner) for each in reversed(flat(step.transformer_))]
    return TransformedTarget(inner=regressor, targets=targets.width, back=back)


def _back(step: Any, given: Given, inner: Inner) -> Transform:
    """What a transformer's inverse_transform does."""
    key = key_of(step)
    known = _BACK.get(key)
    if known is None:
        raise NotPacked(f"there is no way back from {key}")
    require_known(step, key, known.parameters)
    return known.pack(step, given, inner)


def _standard(step: Any, given: Given, inner: Inner) -> Transform:
    return _scale(
        ("multiply", step.scale_ if step.with_std else None),
        ("add", step.mean_ if step.with_mean else None),
        rounded=True,
    )


def _robust(step: Any, given: Given, inner: Inner) -> Transform:
    return _scale(
        ("multiply", step.scale_ if step.with_scaling else None),
        ("add", step.center_ if step.with_centering else None),
    )


def _min_max(step: Any, given: Given, inner: Inner) -> Transform:
    return _scale(("subtract", step.min_), ("divide", step.scale_))


def _max_abs(step: Any, given: Given, inner: Inner) -> Transform:
    return _scale(("multiply", step.scale_))


def _scale(*operations: tuple[Operation, Any], rounded: bool = False) -> Transform:
    known = [(name, np.asarray(each)) for name, each in operations if each is not None]
    return Scale(operations=known, rounded=rounded)


def _power(step: Any, given: Given, inner: Inner) -> Transform:
    before = [_standard(step._scaler, given, inner)] if step.standardize else []
    return Chain(steps=[*before, PowerBack(method=step.method, lambdas=np.asarray(step.lambdas_))])


def _quantiles(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, output_distribution="uniform")
    return QuantilesBack(shares=step.references_, quantiles=step.quantiles_)


def _function(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, inv_kw_args=(None, {}))
    function = step.inverse_func
    if function is None:
        return Chain(steps=[])
    name = getattr(function, "__name__", "")
    if name not in get_args(Name) or getattr(np, name) is not function:
        raise NotPacked(f"the function {name or function!r:.60} of a target is not known")
    found = Function(name=cast(Name, name))
    return Chain(steps=[Finite(), found]) if step.validate else found


_BACK: Final[dict[str, Known[Transform]]] = {
    "sklearn.StandardScaler": Known.of(_standard, "copy with_mean with_std"),
    "sklearn.RobustScaler": Known.of(
        _robust, "copy quantile_range unit_variance with_centering with_scaling"
    ),
    "sklearn.MinMaxScaler": Known.of(_min_max, "clip copy feature_range"),
    "sklearn.MaxAbsScaler": Known.of(_max_abs, "clip copy"),
    "sklearn.PowerTransformer": Known.of(_power, "copy method standardize"),
    "sklearn.QuantileTransformer": Known.of(
        _quantiles,
        "copy ignore_implicit_zeros n_quantiles output_distribution random_state subsample",
    ),
    "sklearn.FunctionTransformer": Known.of(
        _function,
        "accept_sparse check_inverse feature_names_out func inv_kw_args inverse_func kw_args",
        "validate",
    ),
}

PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.TransformedTargetRegressor": Known.of(
        transformed, "check_inverse func inverse_func regressor transformer"
    ),
}
