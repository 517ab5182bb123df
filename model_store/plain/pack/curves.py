"""Curves fitted to each column, and products of columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Transform
from ..nodes.categories import Categories, OneHot
from ..nodes.columns import Chain
from ..nodes.curves import Bins, Polynomial, Power, Quantiles, Splines
from .given import Given, NotPacked
from .known import Inner, Known, require_set
from .scalers import standard


def power(step: Any, given: Given, inner: Inner) -> Transform:
    node = Power(method=step.method, powers=np.asarray(step.lambdas_, dtype=np.float64))
    if not step.standardize:
        return node
    return Chain(steps=[node, standard(step._scaler, given, inner)])


def quantiles(step: Any, given: Given, inner: Inner) -> Transform:
    normal = step.output_distribution == "normal"
    found = np.asarray(step.quantiles_)
    if normal and (found.dtype != np.float64 or given.narrow is not None):
        raise NotPacked("a QuantileTransformer of narrow floats to a normal distribution")
    return Quantiles(references=np.asarray(step.references_), quantiles=found, normal=normal)


def bins(step: Any, given: Given, inner: Inner) -> Transform:
    edges = [np.asarray(each)[1:-1] for each in step.bin_edges_]
    dtype = None if step.dtype is None else np.dtype(step.dtype).name
    node = Bins(edges=edges, dtype=dtype)
    if step.encode == "ordinal":
        return node
    counts = [int(count) for count in step.n_bins_]
    columns = [Categories(list(map(float, range(count)))) for count in counts]
    width = sum(counts)
    features = np.arange(width, dtype=np.int32)
    sparse = step.encode == "onehot"
    return Chain(
        steps=[node, OneHot(columns=columns, features=features, width=width, sparse=sparse)]
    )


def polynomial(step: Any, given: Given, inner: Inner) -> Transform:
    least, most = step._min_degree, step._max_degree
    return Polynomial(
        columns=int(step.n_features_in_),
        least=max(1, int(least)),
        most=int(most),
        apart=bool(step.interaction_only),
        bias=bool(step.include_bias),
    )


def splines(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, sparse_output=False)
    curves = step.bsplines_
    linear = step.extrapolation == "linear"
    if linear and step.degree == 1 and len(curves) > 1:
        # scikit-learn takes other ends for the second column and those behind it.
        raise NotPacked("SplineTransformer with degree=1 and extrapolation='linear' is not known")
    return Splines(
        degree=int(step.degree),
        knots=np.stack([curve.t for curve in curves], axis=1),
        beyond=step.extrapolation,
        slopes=_slopes(curves, int(step.degree)) if linear else None,
        last=bool(step.include_bias),
        gaps=getattr(step, "handle_missing", "error") == "zeros",
    )


def _slopes(curves: list[Any], degree: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The slopes of all splines at both ends, those that lie there; others have none but by
    rounding."""
    count = max(degree, 2)
    low = np.stack([curve(curve.t[degree], nu=1) for curve in curves])
    high = np.stack([curve(curve.t[-degree - 1], nu=1) for curve in curves])
    low[:, count:] = 0.0
    high[:, : max(0, high.shape[1] - count)] = 0.0
    return np.stack([low, high])


TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    "sklearn.PowerTransformer": Known.of(power, "copy method standardize"),
    "sklearn.QuantileTransformer": Known.of(
        quantiles,
        "copy ignore_implicit_zeros n_quantiles output_distribution random_state subsample",
    ),
    "sklearn.KBinsDiscretizer": Known.of(
        bins, "dtype encode n_bins quantile_method random_state strategy subsample"
    ),
    "sklearn.PolynomialFeatures": Known.of(
        polynomial, "degree include_bias interaction_only order"
    ),
    "sklearn.SplineTransformer": Known.of(
        splines,
        "degree extrapolation handle_missing include_bias knots n_knots order sparse_output",
    ),
}
