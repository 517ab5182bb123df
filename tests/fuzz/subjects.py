"""Small good pipelines, one or more of each kind that compiled code reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import Birch, BisectingKMeans, FeatureAgglomeration, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import NMF, LatentDirichletAllocation
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomTreesEmbedding,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    RadiusNeighborsClassifier,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

random = np.random.default_rng(20260101)
X: Final = random.uniform(0, 10, (60, 3)).round(2)
Y: Final = (X.sum(axis=1) > 15).astype(int)
THREE: Final = np.digitize(X.sum(axis=1), [12, 18])
NUMBERS: Final = X @ np.array([1.0, -2.0, 0.5])
LETTERS: Final = np.where(X > 7, "c", np.where(X > 3, "b", "a")).astype(object)
TEXTS: Final = ["good fine nice", "bad ugly", "nice good fine", "ugly bad", "fine good", "bad"] * 4
MOODS: Final = [1, 0] * 12

Fitted = tuple[Any, Any, Any]
"""A pipeline, its rows and what it was fitted to say of them."""


def fitted(pipeline: Any, rows: Any = X, truth: Any = Y) -> Callable[[], Fitted]:
    return lambda: (pipeline.fit(rows, truth), rows, truth)


def sparse(pipeline: Any) -> Any:
    """Behind a step that makes rows sparse."""
    return make_pipeline(OneHotEncoder(handle_unknown="ignore"), pipeline)


def categories() -> Any:
    return HistGradientBoostingClassifier(
        max_iter=3, categorical_features=[0, 1], min_samples_leaf=5
    )


def columns(*steps: Any) -> Any:
    return ColumnTransformer([(f"s{i}", step, [i]) for i, step in enumerate(steps)])


CODES: Final = np.digitize(X, [3, 7]).astype(float)

SUBJECTS: Final[dict[str, Callable[[], Fitted]]] = {
    "tree": fitted(DecisionTreeClassifier(max_depth=3)),
    "tree-outputs": fitted(
        DecisionTreeRegressor(max_depth=3), X, np.column_stack([NUMBERS, X[:, 0]])
    ),
    "forest": fitted(RandomForestClassifier(4, max_depth=3), X, THREE),
    "extra-trees": fitted(ExtraTreesRegressor(3, max_depth=3), X, NUMBERS),
    "isolation": fitted(IsolationForest(n_estimators=3, max_samples=16)),
    "isolation-columns": fitted(IsolationForest(n_estimators=3, max_samples=16, max_features=2)),
    "embedding": fitted(
        make_pipeline(RandomTreesEmbedding(n_estimators=3, max_depth=2), LogisticRegression())
    ),
    "boosting": fitted(GradientBoostingClassifier(n_estimators=3, max_depth=2)),
    "boosting-three": fitted(
        GradientBoostingClassifier(n_estimators=3, max_depth=2, init=LogisticRegression()), X, THREE
    ),
    "boosting-numbers": fitted(GradientBoostingRegressor(n_estimators=3), X, NUMBERS),
    "histogram": fitted(HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5), X, NUMBERS),
    "histogram-categories": fitted(categories(), CODES, THREE),
    "bagging": fitted(BaggingRegressor(n_estimators=3, max_features=2), X, NUMBERS),
    "ada": fitted(AdaBoostClassifier(n_estimators=3)),
    "calibrated": fitted(
        CalibratedClassifierCV(DecisionTreeClassifier(max_depth=2), method="isotonic", cv=2)
    ),
    "isotonic": fitted(IsotonicRegression(out_of_bounds="clip"), X[:, :1], NUMBERS),
    "neighbours-kd": fitted(KNeighborsClassifier(3, algorithm="kd_tree", leaf_size=8), X, THREE),
    "neighbours-ball": fitted(
        KNeighborsRegressor(3, algorithm="ball_tree", metric="manhattan", leaf_size=8), X, NUMBERS
    ),
    "neighbours-brute": fitted(KNeighborsClassifier(3, algorithm="brute"), X, THREE),
    "neighbours-radius": fitted(
        RadiusNeighborsClassifier(4.0, algorithm="brute", outlier_label=0), X, THREE
    ),
    "neighbours-weights": fitted(
        KNeighborsClassifier(
            3, algorithm="ball_tree", metric="minkowski", metric_params={"w": np.ones(3)}
        )
    ),
    "outliers": fitted(LocalOutlierFactor(5, novelty=True)),
    "machine": fitted(SVC(probability=False), X, THREE),
    "machine-poly": fitted(make_pipeline(StandardScaler(), SVC(kernel="poly"))),
    "machine-sparse": fitted(sparse(SVC(kernel="rbf")), LETTERS, THREE),
    "machine-numbers": fitted(NuSVR(), X, NUMBERS),
    "machine-one": fitted(OneClassSVM(nu=0.3)),
    "means": fitted(make_pipeline(StandardScaler(), KMeans(3, n_init=1))),
    "means-bisecting": fitted(BisectingKMeans(3)),
    "birch": fitted(Birch(n_clusters=3, threshold=1.0)),
    "agglomeration": fitted(make_pipeline(FeatureAgglomeration(2), LinearRegression()), X, NUMBERS),
    "splines": fitted(make_pipeline(SplineTransformer(3), Ridge()), X, NUMBERS),
    "polynomials": fitted(make_pipeline(PolynomialFeatures(2), Ridge()), X, NUMBERS),
    "bins": fitted(
        make_pipeline(KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), Ridge()),
        X,
        NUMBERS,
    ),
    "one-hot": fitted(
        make_pipeline(
            columns(
                OneHotEncoder(drop="first"),
                OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2),
                OneHotEncoder(sparse_output=False),
            ),
            LogisticRegression(),
        ),
        LETTERS,
        Y,
    ),
    "one-hot-numbers": fitted(sparse(SGDClassifier().set_params(max_iter=2000)), CODES, Y),
    "target": fitted(make_pipeline(TargetEncoder(cv=2), LogisticRegression()), LETTERS, THREE),
    "words": fitted(make_pipeline(TfidfVectorizer(), LogisticRegression()), TEXTS, MOODS),
    "words-tree": fitted(
        make_pipeline(CountVectorizer(dtype=np.float32), DecisionTreeClassifier()), TEXTS, MOODS
    ),
    "words-boosting": fitted(
        make_pipeline(
            CountVectorizer(), MaxAbsScaler(), GradientBoostingClassifier(n_estimators=2)
        ),
        TEXTS,
        MOODS,
    ),
    "hashed": fitted(
        make_pipeline(HashingVectorizer(n_features=16, alternate_sign=False), MultinomialNB()),
        TEXTS,
        MOODS,
    ),
    "topics": fitted(
        make_pipeline(CountVectorizer(), LatentDirichletAllocation(2), LogisticRegression()),
        TEXTS,
        MOODS,
    ),
    "parts": fitted(make_pipeline(NMF(2, max_iter=500, tol=1e-2), Ridge()), X, NUMBERS),
    "imputed": fitted(
        make_pipeline(KNNImputer(), IterativeImputer(max_iter=2), Ridge()), X, NUMBERS
    ),
    "search": fitted(GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2)),
    "process": fitted(GaussianProcessRegressor(RBF() + WhiteKernel(), optimizer=None), X, NUMBERS),
    "network": fitted(MLPClassifier((4,), max_iter=20)),
    "sparse-weights": fitted(
        make_pipeline(FunctionTransformer(np.log1p), SGDClassifier()), X, THREE
    ),
    "dummy": fitted(DummyClassifier(strategy="prior", random_state=np.random.RandomState(0))),
}
