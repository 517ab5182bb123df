"""Small good forms of other last steps than those of which artifacts are changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sklearn.covariance import EllipticEnvelope
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import AdaBoostRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    DotProduct,
    Matern,
    RationalQuadratic,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeClassifier
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import CategoricalNB, GaussianNB
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.semi_supervised import LabelSpreading

from ..fuzz.subjects import CODES, NUMBERS, THREE, Fitted, X, fitted
from .wrappers import LABELS

covariance = ConstantKernel(2.0) * Matern(nu=1.5) + RationalQuadratic() * DotProduct() ** 2

PREDICTORS: Final[dict[str, Callable[[], Fitted]]] = {
    "ada-numbers": fitted(AdaBoostRegressor(n_estimators=3, random_state=1), X, NUMBERS),
    "bayes": fitted(GaussianNB(), X, THREE),
    "bayes-categories": fitted(CategoricalNB(), CODES, THREE),
    "centroids": fitted(NearestCentroid(), X, THREE),
    "quadratic": fitted(QuadraticDiscriminantAnalysis(), X, THREE),
    "mean": fitted(DummyRegressor(), X, NUMBERS),
    "envelope": fitted(EllipticEnvelope(random_state=1)),
    "mixture": fitted(GaussianMixture(2, random_state=1)),
    "ridge-labels": fitted(RidgeClassifier(), X, LABELS),
    "ridge-kernel": fitted(KernelRidge(kernel="rbf"), X, NUMBERS),
    "spreading": fitted(LabelSpreading(gamma=0.5), X, THREE),
    "spreading-near": fitted(LabelSpreading("knn", n_neighbors=5), X, THREE),
    "network-numbers": fitted(MLPRegressor(hidden_layer_sizes=(4,), max_iter=20), X, NUMBERS),
    "network-labels": fitted(MLPClassifier((4,), max_iter=20), X, LABELS),
    "covariances": fitted(GaussianProcessRegressor(covariance, optimizer=None), X, NUMBERS),
}
