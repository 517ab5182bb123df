"""What an honest training makes is welcome, however its parameters are set."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas
import pytest
import scipy.sparse
from sklearn.cluster import Birch, BisectingKMeans, KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct, ExpSineSquared, Matern, PairwiseKernel
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics.pairwise import manhattan_distances, rbf_kernel
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    RadiusNeighborsClassifier,
)
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from model_store import pickles
from model_store.soundness.check import require_sound
from model_store.trust import Trust

from ..fuzz.subjects import CODES, LETTERS, MOODS, NUMBERS, TEXTS, THREE, X, Y

SPARSE = scipy.sparse.csr_array(X)
FRAME = pandas.DataFrame(X, columns=list("abc"))
WORDS = pandas.DataFrame(LETTERS, columns=list("abc"))
HOLES = np.where(CODES > 1, np.nan, CODES)
UNNAMED: Any = LETTERS.copy()
UNNAMED[LETTERS == "a"] = None
NAMES = np.where(Y, "yes", "no")
BOTH = np.column_stack([Y, THREE])
NUMBERS2 = np.column_stack([NUMBERS, X[:, 0]])

Case = tuple[Any, Any, Any]


def trees() -> Iterator[Case]:
    for rows, truth in ((X, NAMES), (X, BOTH), (SPARSE, Y), (FRAME, Y), (X, Y[:, np.newaxis])):
        yield DecisionTreeClassifier(max_leaf_nodes=5), rows, truth
        yield RandomForestClassifier(3, ccp_alpha=0.02, oob_score=True), rows, truth
    yield DecisionTreeClassifier(), X, np.zeros(len(X))
    yield DecisionTreeRegressor(criterion="absolute_error"), HOLES, NUMBERS
    yield ExtraTreesRegressor(3), SPARSE, NUMBERS2
    for settings in ({}, {"max_features": 0.5}, {"max_features": 2, "bootstrap": True}):
        for rows in (X, SPARSE, FRAME):
            yield IsolationForest(n_estimators=3, **settings), rows, Y


def boosting() -> Iterator[Case]:
    for settings in ({}, {"init": "zero"}, {"init": LogisticRegression()}, {"subsample": 0.5}):
        for rows, truth in ((X, NAMES), (X, THREE), (SPARSE, Y)):
            yield GradientBoostingClassifier(n_estimators=3, **settings), rows, truth
    for loss in ("squared_error", "absolute_error", "huber", "quantile"):
        init = LinearRegression()
        yield GradientBoostingRegressor(n_estimators=3, loss=loss, init=init), FRAME, NUMBERS
    for settings in ({}, {"categorical_features": [0]}, {"early_stopping": True}, {"max_bins": 8}):
        yield HistGradientBoostingClassifier(max_iter=3, **settings), CODES, THREE
        yield HistGradientBoostingRegressor(max_iter=3, **settings), HOLES, NUMBERS
    kinds = WORDS.astype("category").assign(d=X[:, 0])
    yield HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype"), kinds, Y
    yield (
        HistGradientBoostingClassifier(max_iter=3, categorical_features=["a"]),
        kinds[["a", "d"]],
        Y,
    )


def neighbours() -> Iterator[Case]:
    metrics: list[tuple[Any, Any]] = [
        *((name, None) for name in ("euclidean", "manhattan", "cosine", "braycurtis")),
        ("minkowski", {"w": np.ones(3)}),
        ("seuclidean", {"V": np.ones(3)}),
        ("mahalanobis", {"VI": np.eye(3)}),
        (manhattan_distances, None),
    ]
    for algorithm, (metric, params) in product(("brute", "kd_tree", "ball_tree"), metrics):
        settings = {"algorithm": algorithm, "metric": metric, "metric_params": params}
        yield KNeighborsClassifier(**settings), X, NAMES
        yield KNeighborsRegressor(**settings), X.astype(np.float32), NUMBERS2
    for algorithm in ("brute", "kd_tree"):
        outputs = {"algorithm": algorithm, "weights": "distance"}
        yield KNeighborsClassifier(**outputs), X, BOTH
        yield RadiusNeighborsClassifier(20, outlier_label=[0, 1], **outputs), X, BOTH
        yield LocalOutlierFactor(novelty=True, algorithm=algorithm), X, Y
    yield KNeighborsClassifier(), SPARSE, Y
    yield KNeighborsClassifier(metric="precomputed"), manhattan_distances(X), Y


def machines() -> Iterator[Case]:
    for kernel, kind in product(("linear", "poly", "sigmoid"), (SVC, NuSVC, SVR, OneClassSVM)):
        yield kind(kernel=kernel), X, Y
        yield kind(kernel=kernel), SPARSE, Y
    functions: list[Any] = ["rbf", rbf_kernel, partial(rbf_kernel, gamma=0.1)]
    for function in functions:
        yield SVC(kernel=function, probability=True, class_weight="balanced"), X, THREE
    yield SVC(decision_function_shape="ovo"), SPARSE, THREE


def encoders() -> Iterator[Case]:
    settings: Any
    for settings in (
        *({}, {"drop": "first"}, {"drop": "if_binary"}, {"min_frequency": 20}, {"dtype": bool}),
        {"max_categories": np.int64(2), "drop": "first"},
        {"handle_unknown": "infrequent_if_exist", "min_frequency": 0.3},
        {"categories": [["c", "a", "b"]] * 3, "sparse_output": False},
        {"drop": np.array(["a", "b", "c"], dtype=object), "handle_unknown": "ignore"},
    ):
        for rows in (LETTERS, WORDS, WORDS.astype("category"), LETTERS.astype(str)):
            yield OneHotEncoder(**settings), rows, Y
    for kind in (OneHotEncoder, OrdinalEncoder, TargetEncoder):
        yield kind(categories=[[3, 1, 0, 2]] * 3), CODES.astype(object), Y
    for rows in (UNNAMED, HOLES, CODES.astype(object), HOLES.astype(object), CODES > 1):
        yield OneHotEncoder(max_categories=2), rows, Y
        yield OrdinalEncoder(), rows, Y
        for truth in (Y, THREE, NUMBERS):
            yield TargetEncoder(cv=2), rows, truth
    for encode, strategy in product(("onehot", "onehot-dense", "ordinal"), ("uniform", "kmeans")):
        yield KBinsDiscretizer(3, encode=encode, strategy=strategy), X, Y
    for degree, outside, bias, sparse in product(
        (0, 1, 3), ("constant", "linear", "periodic"), (True, False), (True, False)
    ):
        settings = {"extrapolation": outside, "include_bias": bias, "sparse_output": sparse}
        yield SplineTransformer(5, degree=degree, **settings), X, Y
    powers: list[Any] = [1, 3, (2, 3), (0, 2)]
    for power, single, bias in product(powers, (True, False), (True, False)):
        for rows in (X, SPARSE):
            yield PolynomialFeatures(power, interaction_only=single, include_bias=bias), rows, Y
    for settings in (
        *({}, {"vocabulary": ["good", "bad"]}, {"vocabulary": {"good", "bad"}}, {"binary": True}),
        *({"ngram_range": (1, 2)}, {"analyzer": "char_wb", "ngram_range": (2, 4)}),
        *({"stop_words": "english"}, {"token_pattern": r"\w+"}, {"max_features": 3}),
    ):
        for kind in (CountVectorizer, TfidfVectorizer):
            yield kind(**settings), TEXTS, MOODS


def others() -> Iterator[Case]:
    for kind, rows in product((KMeans, MiniBatchKMeans, BisectingKMeans), (X, FRAME, SPARSE)):
        yield kind(3), rows, Y
    for clusters in (3, None, KMeans(2)):
        yield Birch(n_clusters=clusters, threshold=0.5), X.astype(np.float32), Y
    yield GaussianProcessRegressor(Matern() + PairwiseKernel() * DotProduct() ** 2), X, NUMBERS
    yield GaussianProcessClassifier(ExpSineSquared(), max_iter_predict=3), X, THREE
    yield ColumnTransformer([("a", StandardScaler(), make_column_selector("a"))]), FRAME, Y
    scaled = ColumnTransformer([("a", StandardScaler(), ["a"])], remainder="passthrough")
    yield scaled.set_output(transform="pandas"), FRAME, Y
    yield ClassifierChain(SVC()), X, BOTH > 0
    yield IterativeImputer(RandomForestRegressor(3), max_iter=2), HOLES, Y
    yield SimpleImputer(strategy="most_frequent", add_indicator=True), UNNAMED, Y
    inner = [("a", SVC()), ("b", KNeighborsClassifier())]
    yield StackingClassifier(inner, GradientBoostingClassifier(n_estimators=2)), X, Y
    yield GridSearchCV(Ridge(), {"alpha": np.logspace(-1, 1, 3)}, scoring="r2", cv=2), X, NUMBERS
    yield TransformedTargetRegressor(Ridge(), func=np.cbrt, inverse_func=np.square), X, NUMBERS
    yield LogisticRegression(random_state=np.random.RandomState(0)), X, Y


@pytest.mark.forms
@pytest.mark.parametrize("cases", [trees, boosting, neighbours, machines, encoders, others])
def test_honest_pipelines_are_welcome(cases: Any) -> None:
    fitted = 0
    for estimator, rows, truth in cases():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                estimator.fit(rows, truth)
            except ValueError:
                continue  # Not every combination can be.
            fitted += 1
            require_sound(pickles.load(pickle.dumps(estimator), Trust()), Trust())
    assert fitted >= 10
