"""Clusters, mixtures, and outliers of one cluster."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Array, Predictor
from ..nodes.clusters import Bisected, Mixture, Nearest
from ..nodes.outliers import Mahalanobis, Outliers
from .given import Given, NotPacked
from .known import Inner, Known

_MEANS: Final = "init max_iter n_clusters n_init random_state tol verbose"
_MIXTURE: Final = (
    "covariance_type init_params max_iter n_components n_init random_state reg_covar tol verbose"
    " verbose_interval warm_start"
)


def means(step: Any, given: Given, inner: Inner) -> Predictor:
    """The place of the nearest centre."""
    return _nearest(step, whole=False)


def nearest(step: Any, given: Given, inner: Inner) -> Predictor:
    """The same, by whole distances."""
    return _nearest(step, whole=True)


def _nearest(step: Any, *, whole: bool) -> Predictor:
    centres = np.asarray(step.cluster_centers_)
    if not len(centres):
        raise NotPacked(f"{type(step).__name__} without a cluster is not known")
    clusters = np.arange(len(centres), dtype=np.int32)
    return Nearest(centres=centres, clusters=clusters, whole=whole)


def tree(step: Any, given: Given, inner: Inner) -> Predictor:
    """Centres of small clusters, which belong to larger ones."""
    clusters = np.asarray(step.subcluster_labels_)
    return Nearest(centres=np.asarray(step.subcluster_centers_), clusters=clusters, whole=True)


def bisected(step: Any, given: Given, inner: Inner) -> Predictor:
    parts = [step._bisecting_tree]
    children: list[tuple[int, int]] = []
    while len(children) < len(parts):
        part = parts[len(children)]
        two = [part.left, part.right] if part.left is not None else []
        children.append((len(parts), len(parts) + 1) if two else (-1, -1))
        parts += two
    centres = np.array([part.center for part in parts[1:]] or [np.zeros(given.width)])
    # Whatever holds all rows has no centre that anything is compared with.
    centres = np.concatenate([np.zeros_like(centres[:1]), centres]) if parts[1:] else centres
    return Bisected(
        centres=centres + getattr(step, "_X_mean", 0.0),
        children=np.array(children),
        clusters=np.array([getattr(part, "label", -1) for part in parts], dtype=np.int32),
    )


def gaussian(step: Any, given: Given, inner: Inner) -> Predictor:
    return _mixture(step, np.log(step.weights_))


def bayesian(step: Any, given: Given, inner: Inner) -> Predictor:
    """As scikit-learn's own, whose terms that no row changes are those of a row at the mean."""
    from sklearn.mixture._gaussian_mixture import _estimate_log_gaussian_prob

    means = np.asarray(step.means_)
    plain = _estimate_log_gaussian_prob(
        means, means, step.precisions_cholesky_, step.covariance_type
    )
    terms = (step._estimate_log_prob(means) - plain)[0]
    return _mixture(step, terms + step._estimate_log_weights())


def _mixture(step: Any, constants: Array) -> Predictor:
    from sklearn.mixture._gaussian_mixture import _compute_log_det_cholesky

    means, roots = np.asarray(step.means_), np.asarray(step.precisions_cholesky_)
    determinants = _compute_log_det_cholesky(roots, step.covariance_type, means.shape[1])
    return Mixture(
        means=means,
        roots=roots,
        constants=np.asarray(determinants + constants),
        covariance=step.covariance_type,
    )


def envelope(step: Any, given: Given, inner: Inner) -> Predictor:
    score = Mahalanobis(
        location=np.asarray(step.location_),
        precision=np.asarray(step.get_precision()),
        offset=float(step.offset_),
    )
    return Outliers(score=score)


PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    "sklearn.KMeans": Known.of(means, _MEANS, "algorithm copy_x"),
    "sklearn.MiniBatchKMeans": Known.of(
        means,
        _MEANS,
        "batch_size compute_labels init_size max_no_improvement reassignment_ratio",
    ),
    "sklearn.BisectingKMeans": Known.of(bisected, _MEANS, "algorithm bisecting_strategy copy_x"),
    "sklearn.MeanShift": Known.of(
        nearest, "bandwidth bin_seeding cluster_all max_iter min_bin_freq n_jobs seeds"
    ),
    "sklearn.AffinityPropagation": Known.of(
        nearest,
        "affinity convergence_iter copy damping max_iter preference random_state verbose",
    ),
    "sklearn.Birch": Known.of(tree, "branching_factor compute_labels copy n_clusters threshold"),
    "sklearn.GaussianMixture": Known.of(
        gaussian, _MIXTURE, "means_init precisions_init weights_init"
    ),
    "sklearn.BayesianGaussianMixture": Known.of(
        bayesian,
        _MIXTURE,
        "covariance_prior degrees_of_freedom_prior mean_precision_prior mean_prior",
        "weight_concentration_prior weight_concentration_prior_type",
    ),
    "sklearn.EllipticEnvelope": Known.of(
        envelope, "assume_centered contamination random_state store_precision support_fraction"
    ),
}
