"""Clusters, mixtures and outliers of one cluster as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn import cluster, mixture
from sklearn.covariance import EllipticEnvelope
from sklearn.preprocessing import StandardScaler

from .forms import packed, require_same
from .trained import drawn, fitted, require_answers, require_malformed, wider

COVARIANCES = ("full", "tied", "diag", "spherical")
ESTIMATORS = [
    cluster.KMeans(4, random_state=1),
    cluster.MiniBatchKMeans(4, random_state=1),
    cluster.BisectingKMeans(5, random_state=1),
    cluster.BisectingKMeans(1, random_state=1),
    cluster.MeanShift(),
    cluster.AffinityPropagation(random_state=1, max_iter=1000),
    cluster.Birch(n_clusters=3),
    cluster.Birch(n_clusters=None),
    EllipticEnvelope(random_state=1),
    *(mixture.GaussianMixture(3, covariance_type=kind, random_state=1) for kind in COVARIANCES),
    *(
        mixture.BayesianGaussianMixture(
            n_components=3,
            covariance_type=kind,
            random_state=1,
            weight_concentration_prior_type=f"dirichlet_{prior}",
        )
        for kind in COVARIANCES
        for prior in ("process", "distribution")
    ),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_the_cluster_of_a_row_is_that_of_the_pipeline(estimator: Any) -> None:
    X, _ = drawn()
    pipeline = fitted(estimator, X, None, StandardScaler())
    require_answers(pipeline, X, pipeline.predict(X), wider(X))


def test_clusters_of_a_sparse_matrix_are_those_of_the_pipeline() -> None:
    random = np.random.default_rng(7)
    X = random.normal(size=(100, 5)) * (random.random(size=(100, 5)) < 0.4)
    pipeline = fitted(cluster.KMeans(4, random_state=1), csr_matrix(X), None)
    form, signature = packed(pipeline, csr_matrix(X), pipeline.predict(csr_matrix(X)))
    require_same(pipeline, form, signature, X * 2)


@pytest.mark.parametrize(
    ("estimator", "before", "after"),
    [
        (cluster.KMeans(3, random_state=1), b'"shape":[3,4]', b'"shape":[4,3]'),
        (cluster.KMeans(3, random_state=1), b'"shape":[3]', b'"shape":[2]'),
        (cluster.BisectingKMeans(3, random_state=1), b'"shape":[5,2]', b'"shape":[2,5]'),
        (mixture.GaussianMixture(2, random_state=1), b'"full"', b'"tied"'),
        (mixture.GaussianMixture(2, random_state=1), b'"full"', b'"round"'),
        (EllipticEnvelope(random_state=1), b'"shape":[4,4]', b'"shape":[4,3]'),
        (EllipticEnvelope(random_state=1), b'"mahalanobis"', b'"outliers"'),
    ],
)
def test_a_forged_one_is_malformed(estimator: Any, before: bytes, after: bytes) -> None:
    X, _ = drawn()
    pipeline = fitted(estimator, X, None)
    require_malformed(pipeline, X, pipeline.predict(X), before, after)
