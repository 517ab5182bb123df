"""Gaussian processes."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from ..node import Array, Predictor
from ..nodes.columns import Pipeline
from ..nodes.processes import (
    Both,
    Constant,
    Covariance,
    GaussianProcess,
    Matern,
    Noise,
    Periodic,
    Power,
    Product,
    Radial,
    Rational,
)
from .given import Given, NotPacked
from .known import Inner, Known, key_of


def with_deviation(root: Predictor, last: Any) -> Predictor:
    """The same where a Gaussian process, of which `last` is the estimator, is what answers: then it
    tells its standard deviation as well."""
    if isinstance(root, Pipeline):
        return msgspec.structs.replace(root, last=with_deviation(root.last, last))
    if not isinstance(root, GaussianProcess):
        return root
    return msgspec.structs.replace(root, factor=np.tril(np.asarray(last.L_)))


def regressor(step: Any, given: Given, inner: Inner) -> Predictor:
    return GaussianProcess(
        covariance=covariance(step.kernel_),
        rows=np.asarray(step.X_train_),
        weights=np.asarray(step.alpha_),
        scale=np.asarray(step._y_train_std, dtype=np.float64),
        mean=np.asarray(step._y_train_mean, dtype=np.float64),
    )


def covariance(kernel: Any) -> Covariance:
    """
    Raises:
        NotPacked: there is none for this kernel.
    """
    found = _terms(kernel, key_of(kernel).removeprefix("sklearn."))
    if found is None:
        raise NotPacked(f"the kernel {kernel!r:.60} is not known")
    return found


def _terms(kernel: Any, name: str) -> Covariance | None:
    if name in ("Sum", "Product"):
        return Both(covariance(kernel.k1), covariance(kernel.k2), times=name == "Product")
    if name == "Exponentiation":
        return Power(covariance(kernel.kernel), float(kernel.exponent))
    if name == "ConstantKernel":
        return Constant(float(kernel.constant_value))
    if name == "WhiteKernel":
        return Noise(float(kernel.noise_level))
    if name == "DotProduct":
        return Product(float(kernel.sigma_0) ** 2)
    return _of_distance(kernel, name)


def _of_distance(kernel: Any, name: str) -> Covariance | None:
    if name == "RBF":
        return Radial(_lengths(kernel))
    if name == "Matern" and kernel.nu in (0.5, 1.5, 2.5):
        smoothness = {0.5: "0.5", 1.5: "1.5", 2.5: "2.5"}[kernel.nu]
        return Matern(_lengths(kernel), smoothness)  # type: ignore[arg-type]
    if name == "RationalQuadratic":
        scale = 2 * kernel.alpha * kernel.length_scale**2
        return Rational(np.ones(1), float(scale), float(kernel.alpha))
    if name == "ExpSineSquared":
        return Periodic(np.ones(1), float(kernel.length_scale), float(kernel.periodicity))
    return None


def _lengths(kernel: Any) -> Array:
    return np.asarray(kernel.length_scale, dtype=np.float64)


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.GaussianProcessRegressor": Known.of(
        regressor,
        "alpha copy_X_train kernel n_restarts_optimizer n_targets normalize_y optimizer",
        "random_state",
    ),
}
