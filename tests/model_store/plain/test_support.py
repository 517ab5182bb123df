"""Support vectors, kernel ridge and label propagation as plain data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.kernel_ridge import KernelRidge
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from model_store.plain.pack import NotPacked, pack

from .forms import packed, require_same
from .trained import classed, drawn, fitted, require_answers, require_malformed, wider

CLASSIFIERS = [
    SVC(),
    SVC(kernel="linear"),
    SVC(kernel="poly", degree=2, coef0=1),
    SVC(kernel="sigmoid", gamma=0.1),
    SVC(decision_function_shape="ovo"),
    SVC(probability=True, random_state=1),
    NuSVC(nu=0.2),
]
REGRESSIONS = [
    SVR(),
    SVR(kernel="linear"),
    NuSVR(kernel="poly"),
    KernelRidge(),
    KernelRidge(kernel="rbf"),
    KernelRidge(kernel="polynomial", degree=2),
    KernelRidge(kernel="sigmoid", gamma=0.1),
]
SPREAD = [
    LabelPropagation(),
    LabelPropagation(kernel="knn"),
    LabelSpreading(gamma=0.5),
    LabelSpreading(kernel="knn", n_neighbors=5),
]

pytestmark = pytest.mark.filterwarnings("ignore:.*probability.*:FutureWarning")


def sparse() -> tuple[NDArray[Any], NDArray[Any]]:
    """Features half of which are 0, and a number that they tell."""
    random = np.random.default_rng(7)
    X = random.normal(size=(120, 6)) * (random.random(size=(120, 6)) < 0.5)
    return X, X @ [1, 2, -1, 0, 0.5, 1] + random.normal(scale=0.3, size=120)


@pytest.mark.parametrize("classes", [["no", "yes"], [3, 5, 9], [1, 2, 3, 4]], ids=str)
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
def test_support_vectors_of_classes_answer_as_the_pipeline_does(
    estimator: Any, classes: list[Any]
) -> None:
    X, number = drawn()
    y = classed(number, classes)
    require_answers(fitted(estimator, X, y, StandardScaler()), X, y, wider(X))


@pytest.mark.parametrize("estimator", REGRESSIONS, ids=repr)
def test_kernels_of_numbers_answer_as_the_pipeline_does(estimator: Any) -> None:
    X, y = drawn()
    require_answers(fitted(estimator, X, y, StandardScaler()), X, y, wider(X))


def test_kernel_ridge_of_several_targets_answers_as_its_pipeline_does() -> None:
    X, number = drawn()
    y = np.stack([number, -X[:, 0]], axis=1)
    require_answers(fitted(KernelRidge(kernel="rbf"), X, y, StandardScaler()), X, y, wider(X))


def test_support_vectors_of_one_class_answer_as_the_pipeline_does() -> None:
    X, _ = drawn()
    pipeline = fitted(OneClassSVM(nu=0.1), X, None, StandardScaler())
    require_answers(pipeline, X, pipeline.predict(X), wider(X))


@pytest.mark.parametrize("estimator", SPREAD, ids=repr)
def test_labels_that_were_spread_are_those_of_the_pipeline(estimator: Any) -> None:
    X, number = drawn()
    y = classed(number, [0, 1, 2])
    some = np.where(np.arange(len(y)) % 3, y, -1)
    require_answers(fitted(estimator, X, some, StandardScaler()), X, y, wider(X))


@pytest.mark.parametrize(
    "estimator",
    [*CLASSIFIERS, SVR()],
    ids=repr,
)
def test_vectors_of_a_sparse_matrix_answer_as_the_pipeline_does(estimator: Any) -> None:
    X, number = sparse()
    y = classed(number, [1, 2, 3])
    pipeline = fitted(estimator, csr_matrix(X), y)
    form, signature = packed(pipeline, csr_matrix(X), y)
    require_same(pipeline, form, signature, X * 2)
    missing = np.where(np.arange(6) == 3, np.nan, X[:2])
    require_same(pipeline, form, signature, missing)


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(break_ties=True),
        SVC(kernel=lambda rows, others: rows @ others.T),
        KernelRidge(kernel="laplacian"),
        LabelSpreading(kernel=lambda rows, others: np.exp(-abs(rows @ others.T))),
    ],
    ids=["ties", "own kernel", "other kernel", "own likeness"],
)
def test_what_no_kernel_is_known_for_is_not_packed(estimator: Any) -> None:
    X, number = drawn()
    X, y = np.abs(X), classed(number, [1, 2, 3])
    _, signature = packed(SVC().fit(X, y), X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)
    with pytest.raises(NotPacked, match="is not known"):
        pack(estimator, signature)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"classes":[1,2,3]', b'"classes":[1,2]'),
        (b'"classes":[1,2,3]', b'"classes":[1]'),
        (b'"shape":[3]', b'"shape":[2]'),
        (b'"as":"dense"', b'"as":"sparse"'),
        (b'"name":"rbf"', b'"name":"own"'),
        (b'"counts":{"dtype":"int32"', b'"counts":{"dtype":"uint8"'),
        (b'"weights":{"dtype":"float64","shape":[2,', b'"weights":{"dtype":"float64","shape":[1,'),
    ],
)
def test_forged_support_vectors_are_malformed(before: bytes, after: bytes) -> None:
    X, number = drawn()
    y = classed(number, [1, 2, 3])
    require_malformed(fitted(SVC(), X, y), X, y, before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"ends":{"dtype":"int32"', b'"ends":{"dtype":"int8"'),
        (b'"places":{"dtype":"int32"', b'"places":{"dtype":"float32"'),
        (b'"columns":6', b'"columns":5'),
    ],
)
def test_forged_sparse_vectors_are_malformed(before: bytes, after: bytes) -> None:
    X, number = sparse()
    y = classed(number, [1, 2, 3])
    require_malformed(fitted(SVC(), csr_matrix(X), y), csr_matrix(X), y, before, after)
