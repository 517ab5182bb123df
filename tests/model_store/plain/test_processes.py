"""Gaussian processes as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec import structs
from sklearn.ensemble import VotingRegressor
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
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model_store.plain import Malformed, Refused, read, write
from model_store.plain.nodes.processes import GaussianProcess
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


def require_deviations(pipeline: Any, X: Any, y: Any, rows: Any) -> None:
    """That the variances of a form are those of its pipeline, within 1e-12 of their size, of rows
    together and alone."""
    form, _ = packed(pipeline, X, y)
    numbers, deviations = pipeline.predict(rows, return_std=True)
    answer, found = form.deviating(rows)
    alone = np.concatenate([form.deviating(row[np.newaxis])[1] for row in rows[:9]])
    assert found.shape == deviations.shape
    assert np.allclose(answer.labels, numbers, rtol=1e-12, atol=1e-12 * np.abs(numbers).max())
    size = 1e-12 * (deviations**2).max()
    assert np.abs(found**2 - deviations**2).max() <= size
    assert np.abs(alone**2 - deviations[:9] ** 2).max() <= size


@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_a_gaussian_process_answers_as_its_pipeline_does(kernel: Any, normal: bool) -> None:
    X, y = drawn(60)
    estimator = GaussianProcessRegressor(kernel, normalize_y=normal, alpha=1e-6, optimizer=None)
    pipeline = fitted(estimator, X, y, StandardScaler())
    require_answers(pipeline, X, y, wider(X))
    require_deviations(pipeline, X, y, np.concatenate([X[:30], wider(X)]))


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("normal", [False, True])
def test_a_gaussian_process_of_columns_answers_as_its_pipeline_does(
    targets: int, normal: bool
) -> None:
    X, number = drawn(60)
    y = np.stack([number, -X[:, 0]], axis=1)[:, :targets]
    estimator = GaussianProcessRegressor(RBF(), normalize_y=normal, alpha=1e-3, optimizer=None)
    pipeline = fitted(estimator, X, y, StandardScaler())
    require_answers(pipeline, X, y, wider(X))
    require_deviations(pipeline, X, y, wider(X))


def test_only_a_process_that_answers_itself_keeps_what_its_deviation_takes() -> None:
    X, y = drawn(30)
    process = GaussianProcessRegressor(RBF(), optimizer=None)
    searched = GridSearchCV(make_pipeline(StandardScaler(), process), {}, cv=2)
    form, _ = packed(searched.fit(X, y), X, y)
    assert form.deviates
    form, _ = packed(VotingRegressor([("one", process)]).fit(X, y), X, y)
    assert not form.deviates


def test_a_process_without_an_inverse_refuses_rows() -> None:
    X, y = drawn(30)
    form, _ = packed(GaussianProcessRegressor(RBF(), optimizer=None).fit(X, y), X, y)
    assert isinstance(form.root, GaussianProcess)
    flat = structs.replace(form, root=structs.replace(form.root, factor=np.zeros((30, 30))))
    with pytest.raises(Refused, match="no inverse"):
        flat.deviating(X)


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
        (
            b'"factor":{"dtype":"float64","shape":[30,30]',
            b'"factor":{"dtype":"float64","shape":[29,30]',
        ),
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
