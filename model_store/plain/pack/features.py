"""Features side by side, selections of them, and projections."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..node import MAX_DENSE, Transform
from ..nodes.columns import Chain
from ..nodes.features import Project, Select, Union, Waves
from ..nodes.kernel_features import KernelFeatures
from ..nodes.kernels import Kernel
from ..nodes.numbers import Finite
from .columns import weighted
from .given import Given, NotPacked
from .known import Inner, Known

MAX_COMPONENTS: Final = 1 << 24
"""Numbers of a projection that scikit-learn keeps as a sparse matrix."""


def union(step: Any, given: Given, inner: Inner) -> Transform:
    weights = step.transformer_weights or {}
    parts = [
        weighted(transformer, weights.get(name), given, inner)
        for name, transformer in step.transformer_list
        if not (isinstance(transformer, str) and transformer == "drop")
    ]
    if not parts:
        raise NotPacked("a FeatureUnion of nothing is not known")
    return Union(parts=parts)


def select(step: Any, given: Given, inner: Inner) -> Transform:
    node = Select(columns=np.flatnonzero(step.get_support()))
    # What pandas holds it does not look at where pandas is to come of it.
    config = getattr(step, "_sklearn_output_config", {}).get("transform", "default")
    if config != "default" or _takes_gaps(step):
        return node
    return Chain(steps=[Finite(), node])


def _takes_gaps(step: Any) -> bool:
    """Whether a value may be missing."""
    try:
        from sklearn.utils import get_tags
    except ImportError:  # before scikit-learn 1.6
        return bool(step._get_tags()["allow_nan"])
    return bool(get_tags(step).input_tags.allow_nan)


def principal(step: Any, given: Given, inner: Inner) -> Transform:
    components = np.asarray(step.components_)
    scale = None
    if step.whiten:
        scale = np.sqrt(np.asarray(step.explained_variance_))
        scale = np.maximum(scale, np.finfo(scale.dtype).eps)
    shift = np.asarray(step.mean_).reshape(1, -1) @ components.T
    return Project(components=components, shift=shift[0], scale=scale)


def components(step: Any, given: Given, inner: Inner) -> Transform:
    found = step.components_
    if hasattr(found, "toarray"):
        if found.shape[0] > MAX_DENSE or found.shape[0] * found.shape[1] > MAX_COMPONENTS:
            raise NotPacked(f"so large a {type(step).__name__} is not known")
        found = found.toarray()
    return Project(components=np.asarray(found))


def discriminant(step: Any, given: Given, inner: Inner) -> Transform:
    if step.solver == "lsqr":
        raise NotPacked("LinearDiscriminantAnalysis with solver='lsqr' is not known")
    directions = np.asarray(step.scalings_)[:, : step._max_components]
    center = np.asarray(step.xbar_) if step.solver == "svd" else None
    return Project(components=directions.T, center=center)


def fourier(step: Any, given: Given, inner: Inner) -> Transform:
    return Waves(weights=np.asarray(step.random_weights_), offset=np.asarray(step.random_offset_))


_KERNELS: Final = {
    "linear": "linear",
    "poly": "poly",
    "polynomial": "poly",
    "rbf": "rbf",
    "sigmoid": "sigmoid",
}


def _kernel(step: Any, gamma: float | None, shift: float | None, degree: float | None) -> Kernel:
    """What is None is as scikit-learn has it by default."""
    if step.kernel not in _KERNELS or step.kernel_params:
        raise NotPacked(f"{type(step).__name__} with kernel={step.kernel!r:.60} is not known")
    name: Any = _KERNELS[step.kernel]
    gamma = 1 / int(step.n_features_in_) if gamma is None else float(gamma)
    degree = 3 if degree is None else degree
    if int(degree) != degree:
        raise NotPacked(f"{type(step).__name__} with degree={degree} is not known")
    return Kernel(name, gamma, 1.0 if shift is None else float(shift), int(degree))


def _vectors(rows: Any, given: Given) -> NDArray[np.float64]:
    if not isinstance(rows, np.ndarray) or rows.dtype != np.float64 or given.narrow is not None:
        raise NotPacked("kernels of sparse rows or narrow floats are not known")
    return rows


def nystroem(step: Any, given: Given, inner: Inner) -> Transform:
    return KernelFeatures(
        kernel=_kernel(step, step.gamma, step.coef0, step.degree),
        vectors=_vectors(step.components_, given),
        weights=np.asarray(step.normalization_).T,
    )


def kernel_components(step: Any, given: Given, inner: Inner) -> Transform:
    center = step._centerer
    values, vectors = np.asarray(step.eigenvalues_), np.asarray(step.eigenvectors_)
    scale = np.where(values == 0, 1.0, np.sqrt(values))
    return KernelFeatures(
        kernel=_kernel(step, step.gamma_, step.coef0, step.degree),
        vectors=_vectors(step.X_fit_, given),
        weights=np.where(values == 0, 0.0, vectors / scale),
        means=np.asarray(center.K_fit_rows_),
        mean=float(center.K_fit_all_),
    )


_TESTS: Final = "score_func"

TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    "sklearn.FeatureUnion": Known.of(
        union, "n_jobs transformer_list transformer_weights verbose verbose_feature_names_out"
    ),
    "sklearn.SelectKBest": Known.of(select, _TESTS, "k"),
    "sklearn.SelectPercentile": Known.of(select, _TESTS, "percentile"),
    "sklearn.SelectFpr": Known.of(select, _TESTS, "alpha"),
    "sklearn.SelectFdr": Known.of(select, _TESTS, "alpha"),
    "sklearn.SelectFwe": Known.of(select, _TESTS, "alpha"),
    "sklearn.GenericUnivariateSelect": Known.of(select, _TESTS, "mode param"),
    "sklearn.VarianceThreshold": Known.of(select, "threshold"),
    "sklearn.SelectFromModel": Known.of(
        select, "estimator importance_getter max_features norm_order prefit threshold"
    ),
    "sklearn.RFE": Known.of(
        select, "estimator importance_getter n_features_to_select step verbose"
    ),
    "sklearn.RFECV": Known.of(
        select,
        "cv estimator importance_getter min_features_to_select n_jobs scoring step verbose",
    ),
    "sklearn.SequentialFeatureSelector": Known.of(
        select, "cv direction estimator n_features_to_select n_jobs scoring tol"
    ),
    "sklearn.PCA": Known.of(
        principal,
        "copy iterated_power n_components n_oversamples power_iteration_normalizer random_state",
        "svd_solver tol whiten",
    ),
    "sklearn.IncrementalPCA": Known.of(principal, "batch_size copy n_components whiten"),
    "sklearn.TruncatedSVD": Known.of(
        components,
        "algorithm n_components n_iter n_oversamples power_iteration_normalizer random_state tol",
    ),
    "sklearn.GaussianRandomProjection": Known.of(
        components, "compute_inverse_components eps n_components random_state"
    ),
    "sklearn.SparseRandomProjection": Known.of(
        components, "compute_inverse_components dense_output density eps n_components random_state"
    ),
    "sklearn.LinearDiscriminantAnalysis": Known.of(
        discriminant,
        "covariance_estimator n_components priors shrinkage solver store_covariance tol",
    ),
    "sklearn.KernelPCA": Known.of(
        kernel_components,
        "alpha coef0 copy_X degree eigen_solver fit_inverse_transform gamma iterated_power kernel",
        "kernel_params max_iter n_components n_jobs random_state remove_zero_eig tol",
    ),
    "sklearn.Nystroem": Known.of(
        nystroem, "coef0 degree gamma kernel kernel_params n_components n_jobs random_state"
    ),
    "sklearn.RBFSampler": Known.of(fourier, "gamma n_components random_state"),
}
