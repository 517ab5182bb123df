"""Support vectors and kernel ridge."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Array, Predictor
from ..nodes.kernels import DenseVectors, Kernel, SparseVectors, Vectors
from ..nodes.outliers import Outliers
from ..nodes.support import KernelNumbers, SupportClasses, SupportNumbers
from .given import Given, NotPacked
from .known import Inner, Known, require_set
from .linear import classes_of

_VECTORS: Final = "cache_size coef0 degree gamma kernel max_iter shrinking tol verbose"
_CLASSES: Final = (
    f"{_VECTORS} break_ties class_weight decision_function_shape probability random_state"
)
_KERNELS: Final = ("linear", "rbf", "poly", "sigmoid")


def classifier(step: Any, given: Given, inner: Inner) -> Predictor:
    require_set(step, break_ties=False, decision_function_shape=("ovr", "ovo"))
    classes = classes_of(step)
    shared = step.probability is True and len(step._probA) > 0
    return SupportClasses(
        classes=classes,
        kernel=_kernel(step),
        vectors=vectors_of(step.support_vectors_),
        counts=np.asarray(step._n_support),
        weights=_dense(step._dual_coef_),
        intercept=np.asarray(step._intercept_),
        slopes=np.asarray(step._probA) if shared else None,
        shifts=np.asarray(step._probB) if shared else None,
        by_pair=step.decision_function_shape == "ovo",
    )


def regressor(step: Any, given: Given, inner: Inner) -> Predictor:
    return _numbers(step)


def one_class(step: Any, given: Given, inner: Inner) -> Predictor:
    return Outliers(score=_numbers(step), at_zero=True)


def ridge(step: Any, given: Given, inner: Inner) -> Predictor:
    name: Any = "poly" if step.kernel == "polynomial" else step.kernel
    if name not in _KERNELS or step.kernel_params:
        raise NotPacked(f"KernelRidge with kernel={step.kernel!r:.60} is not known")
    gamma = 1.0 / given.width if step.gamma is None else float(step.gamma)
    if hasattr(step.X_fit_, "tocsr"):
        raise NotPacked("KernelRidge of a sparse matrix is not known")
    return KernelNumbers(
        kernel=name,
        rows=np.asarray(step.X_fit_),
        weights=np.asarray(step.dual_coef_),
        gamma=gamma,
        shift=float(step.coef0),
        degree=float(step.degree),
    )


def _numbers(step: Any) -> SupportNumbers:
    return SupportNumbers(
        kernel=_kernel(step),
        vectors=vectors_of(step.support_vectors_),
        weights=_dense(step._dual_coef_)[0],
        intercept=float(step._intercept_[0]),
    )


def _kernel(step: Any) -> Kernel:
    require_set(step, kernel=_KERNELS)
    return Kernel(step.kernel, float(step._gamma), float(step.coef0), int(step.degree))


def vectors_of(rows: Any) -> Vectors:
    """Rows of training, with their zeros or without."""
    if not hasattr(rows, "tocsr"):
        return DenseVectors(np.asarray(rows))
    found = rows.tocsr().copy()
    found.sum_duplicates()
    return SparseVectors(ends=found.indptr, places=found.indices, values=found.data)


def _dense(weights: Any) -> Array:
    return np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights)


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.SVC": Known.of(classifier, _CLASSES, "C"),
    "sklearn.NuSVC": Known.of(classifier, _CLASSES, "nu"),
    "sklearn.SVR": Known.of(regressor, _VECTORS, "C epsilon"),
    "sklearn.NuSVR": Known.of(regressor, _VECTORS, "C nu"),
    "sklearn.OneClassSVM": Known.of(one_class, _VECTORS, "nu"),
    "sklearn.KernelRidge": Known.of(ridge, "alpha coef0 degree gamma kernel kernel_params"),
}
