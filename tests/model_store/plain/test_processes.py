"""Gaussian processes as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    CompoundKernel,
    ConstantKernel,
    DotProduct,
    ExpSineSquared,
    Matern,
    RationalQuadratic,
    WhiteKernel,
)
from sklearn.preprocessing import StandardScaler

from model_store.plain import Malformed, read, write
from model_store.plain.pack import NotPacked, pack

from .forms import packed
from .trained import classed, drawn, fitted, require_answers, require_malformed, wider

KERNELS = [
    None,
    ConstantKernel() * RBF(),
    RBF([1, 2, 3, 4.0]) + WhiteKernel(),
    Matern(nu=0.5),
    Matern([1, 2, 1, 1.0], nu=1.5) + ConstantKernel(2),
    Matern(nu=2.5) * 2.0,
    RationalQuadratic(),
    DotProduct() + WhiteKernel(),
    ExpSineSquared() * RBF() + WhiteKernel(),
    RBF() ** 2 + WhiteKernel(),
]


@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_a_gaussian_process_answers_as_its_pipeline_does(kernel: Any, normal: bool) -> None:
    X, y = drawn(60)
    estimator = GaussianProcessRegressor(kernel, normalize_y=normal, alpha=1e-6, optimizer=None)
    require_answers(fitted(estimator, X, y, StandardScaler()), X, y, wider(X))


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("normal", [False, True])
def test_a_gaussian_process_of_columns_answers_as_its_pipeline_does(
    targets: int, normal: bool
) -> None:
    X, number = drawn(60)
    y = np.stack([number, -X[:, 0]], axis=1)[:, :targets]
    estimator = GaussianProcessRegressor(RBF(), normalize_y=normal, alpha=1e-3, optimizer=None)
    require_answers(fitted(estimator, X, y, StandardScaler()), X, y, wider(X))


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianProcessRegressor(Matern(nu=1.7), optimizer=None),
        GaussianProcessClassifier(optimizer=None),
    ],
    ids=repr,
)
def test_a_process_that_is_not_known_is_not_packed(estimator: Any) -> None:
    X, number = drawn(30)
    y = classed(number, [1, 2])
    with pytest.raises(NotPacked, match=r"is not known|no node"):
        packed(fitted(estimator, X, y), X, y)


def test_a_kernel_of_several_is_not_packed() -> None:
    X, y = drawn(30)
    pipeline = GaussianProcessRegressor(RBF(), optimizer=None).fit(X, y)
    _, signature = packed(pipeline, X, y)
    pipeline.kernel_ = CompoundKernel([RBF()])
    with pytest.raises(NotPacked, match="is not known"):
        pack(pipeline, signature)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"shape":[30,4]', b'"shape":[20,6]'),
        (b'"shape":[30]', b'"shape":[29]'),
        (b'"covariance":"radial"', b'"covariance":"own"'),
        (b'"lengths":{"dtype":"float64","shape":[]', b'"lengths":{"dtype":"float64","shape":[3]'),
    ],
)
def test_a_forged_process_is_malformed(before: bytes, after: bytes) -> None:
    X, y = drawn(30)
    pipeline = fitted(GaussianProcessRegressor(RBF(), optimizer=None), X, y)
    require_malformed(pipeline, X, y, before, after)


@pytest.mark.parametrize("depth", [100, 100_000])
def test_covariances_without_end_are_malformed(depth: int) -> None:
    X, y = drawn(30)
    pipeline = GaussianProcessRegressor(DotProduct(), alpha=1.0, optimizer=None).fit(X, y)
    _, signature = packed(pipeline, X, y)
    header, data = write(pack(pipeline, signature))
    inner = b'{"covariance":"product","constant":1.0}'
    assert inner in header
    before = b'{"covariance":"power","exponent":1.0,"of":' * depth
    with pytest.raises(Malformed):
        read(header.replace(inner, before + inner + b"}" * depth), data)
