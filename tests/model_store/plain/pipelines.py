"""Pipelines of the kinds that people have, and which of them have a plain form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from sklearn import (
    calibration,
    cluster,
    compose,
    covariance,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_selection,
    frozen,
    gaussian_process,
    impute,
    isotonic,
    kernel_ridge,
    linear_model,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    semi_supervised,
    svm,
    tree,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction import text
from sklearn.pipeline import FeatureUnion, make_pipeline

ROWS: Final = 240
RANDOM: Final = np.random.default_rng(5)

NUMBERS: Final = RANDOM.normal(3, 2, (ROWS, 5))
GAPS: Final = np.where(RANDOM.random(NUMBERS.shape) < 0.1, np.nan, NUMBERS)
AMOUNT: Final = (
    NUMBERS @ RANDOM.normal(size=5) + np.sin(NUMBERS[:, 0]) + RANDOM.normal(0, 0.3, ROWS)
)
POSITIVE: Final = np.exp(AMOUNT / 10)
THREE: Final = np.digitize(AMOUNT, np.quantile(AMOUNT, [0.3, 0.7]))
LEVELS: Final = np.array(["high", "low", "middle"])[THREE]
SIDES: Final = np.where(np.median(AMOUNT) < AMOUNT, "yes", "no")
BOTH: Final = np.stack([AMOUNT, NUMBERS[:, 1] ** 2], axis=1)
TRUTHS: Final = np.median(AMOUNT) < AMOUNT
FLAGS: Final = np.stack([TRUTHS, NUMBERS[:, 0] > 3], axis=1).astype(int)

PEOPLE: Final = pd.DataFrame(
    {
        "age": GAPS[:, 0] * 10,
        "fare": np.abs(NUMBERS[:, 1]) * 20,
        "siblings": RANDOM.integers(0, 5, ROWS),
        "class": RANDOM.integers(1, 4, ROWS),
        "port": pd.Series(RANDOM.choice(["C", "Q", "S"], ROWS), dtype=object),
        "alone": RANDOM.random(ROWS) < 0.5,
    }
)
LIVED: Final = (
    (PEOPLE["fare"] > 60) ^ (PEOPLE["port"] == "C") ^ (RANDOM.random(ROWS) < 0.1)
).to_numpy()
WORDS: Final = ["good", "bad", "fine", "poor", "great", "awful", "nice", "ugly", "warm", "cold"]
TEXTS: Final = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(2, 9))) for _ in range(ROWS)]
MOODS: Final = np.array(["up" if "good" in each or "nice" in each else "down" for each in TEXTS])


class Case(NamedTuple):
    """A pipeline that is not fitted, and what to fit it on. `by` says what serves it."""

    make: Callable[[], Any]
    X: Any
    y: Any
    by: str = "plain"


def _people(last: Any, *, encoder: Any = None, scaler: Any = None) -> Any:
    numbers = make_pipeline(impute.SimpleImputer(), scaler or preprocessing.StandardScaler())
    categories = encoder or preprocessing.OneHotEncoder(handle_unknown="ignore")
    columns = compose.ColumnTransformer(
        [
            ("numbers", numbers, ["age", "fare"]),
            ("categories", categories, ["class", "port"]),
            ("rest", "passthrough", ["siblings", "alone"]),
        ]
    )
    return make_pipeline(columns, last)


def _scaled(last: Any) -> Any:
    return make_pipeline(preprocessing.StandardScaler(), last)


def _logistic() -> Any:
    return linear_model.LogisticRegression(max_iter=500)


def _forest(**parameters: Any) -> Any:
    return ensemble.RandomForestClassifier(20, random_state=0, **parameters)


def _own(rows: Any) -> Any:
    return np.asarray(rows) * 2


CLASSIFIERS: Final[dict[str, Callable[[], Any]]] = {
    "logistic": lambda: _scaled(_logistic()),
    "logistic cv": lambda: _scaled(linear_model.LogisticRegressionCV(Cs=3, max_iter=500)),
    "sgd": lambda: _scaled(linear_model.SGDClassifier(random_state=0)),
    "sgd log": lambda: _scaled(linear_model.SGDClassifier(loss="log_loss", random_state=0)),
    "sgd huber": lambda: _scaled(linear_model.SGDClassifier(loss="modified_huber", random_state=0)),
    "perceptron": lambda: _scaled(linear_model.Perceptron(random_state=0)),
    "ridge classifier": linear_model.RidgeClassifier,
    "linear svc": lambda: _scaled(svm.LinearSVC(random_state=0)),
    "svc": lambda: _scaled(svm.SVC()),
    "svc poly": lambda: _scaled(svm.SVC(kernel="poly", degree=2)),
    "svc linear": lambda: _scaled(svm.SVC(kernel="linear")),
    "nu svc": lambda: _scaled(svm.NuSVC(nu=0.3)),
    "mlp": lambda: _scaled(neural_network.MLPClassifier((8,), max_iter=40, random_state=0)),
    "gaussian nb": naive_bayes.GaussianNB,
    "bernoulli nb": naive_bayes.BernoulliNB,
    "knn": neighbors.KNeighborsClassifier,
    "knn distance": lambda: _scaled(neighbors.KNeighborsClassifier(weights="distance")),
    "nearest centroid": neighbors.NearestCentroid,
    "lda": discriminant_analysis.LinearDiscriminantAnalysis,
    "qda": discriminant_analysis.QuadraticDiscriminantAnalysis,
    "tree": lambda: tree.DecisionTreeClassifier(random_state=0),
    "forest": _forest,
    "extra trees": lambda: ensemble.ExtraTreesClassifier(20, random_state=0),
    "boosting": lambda: ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0),
    "histogram": lambda: ensemble.HistGradientBoostingClassifier(max_iter=8, random_state=0),
    "ada": lambda: ensemble.AdaBoostClassifier(n_estimators=8, random_state=0),
    "bagging": lambda: ensemble.BaggingClassifier(n_estimators=5, random_state=0),
    "voting hard": lambda: ensemble.VotingClassifier([("a", _logistic()), ("b", _forest())]),
    "voting soft": lambda: ensemble.VotingClassifier(
        [("a", _logistic()), ("b", _forest())], voting="soft", weights=[1, 2]
    ),
    "stacking": lambda: ensemble.StackingClassifier(
        [("a", _scaled(_logistic())), ("b", _forest())], _logistic(), cv=3
    ),
    "calibrated": lambda: calibration.CalibratedClassifierCV(_scaled(_logistic()), cv=3),
    "calibrated isotonic": lambda: calibration.CalibratedClassifierCV(
        _forest(), method="isotonic", cv=3
    ),
    "one vs rest": lambda: multiclass.OneVsRestClassifier(_scaled(svm.LinearSVC(random_state=0))),
    "one vs one": lambda: multiclass.OneVsOneClassifier(_scaled(svm.LinearSVC(random_state=0))),
    "output code": lambda: multiclass.OutputCodeClassifier(_scaled(_logistic()), random_state=0),
    "grid search": lambda: model_selection.GridSearchCV(
        _scaled(_logistic()), {"logisticregression__C": [0.1, 1.0]}, cv=3
    ),
    "random search": lambda: model_selection.RandomizedSearchCV(
        _forest(), {"max_depth": [2, 3, 4]}, n_iter=2, cv=3, random_state=0
    ),
    "pca": lambda: make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(3), _logistic()),
    "select": lambda: make_pipeline(feature_selection.SelectKBest(k=3), _logistic()),
    "select from model": lambda: make_pipeline(
        feature_selection.SelectFromModel(_forest()), _logistic()
    ),
    "polynomial": lambda: make_pipeline(
        preprocessing.PolynomialFeatures(2), preprocessing.StandardScaler(), _logistic()
    ),
    "union": lambda: make_pipeline(
        FeatureUnion([("a", preprocessing.StandardScaler()), ("b", decomposition.PCA(2))]),
        _logistic(),
    ),
    "power": lambda: make_pipeline(preprocessing.PowerTransformer(), _logistic()),
    "quantile": lambda: make_pipeline(
        preprocessing.QuantileTransformer(n_quantiles=50), _logistic()
    ),
    "bins": lambda: make_pipeline(
        preprocessing.KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), _logistic()
    ),
    "splines": lambda: make_pipeline(preprocessing.SplineTransformer(), _logistic()),
    "normalizer": lambda: make_pipeline(preprocessing.Normalizer(), _logistic()),
    "max abs": lambda: make_pipeline(preprocessing.MaxAbsScaler(), _logistic()),
    "robust": lambda: make_pipeline(preprocessing.RobustScaler(), _logistic()),
    "frozen": lambda: frozen.FrozenEstimator(_scaled(_logistic()).fit(NUMBERS, LEVELS)),
    "dummy": lambda: dummy.DummyClassifier(strategy="prior"),
}
"""For three classes that are texts."""

REGRESSIONS: Final[dict[str, Callable[[], Any]]] = {
    "linear": linear_model.LinearRegression,
    "ridge": lambda: _scaled(linear_model.Ridge()),
    "lasso poly": lambda: make_pipeline(
        preprocessing.PolynomialFeatures(2), linear_model.Lasso(0.01, max_iter=20000)
    ),
    "elastic net": lambda: linear_model.ElasticNet(0.01),
    "bayesian ridge": linear_model.BayesianRidge,
    "huber": lambda: linear_model.HuberRegressor(max_iter=1000),
    "quantile regressor": lambda: linear_model.QuantileRegressor(alpha=0.01),
    "lars": linear_model.Lars,
    "tree": lambda: tree.DecisionTreeRegressor(random_state=0),
    "forest": lambda: ensemble.RandomForestRegressor(20, random_state=0),
    "boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0),
    "histogram": lambda: ensemble.HistGradientBoostingRegressor(max_iter=8, random_state=0),
    "ada": lambda: ensemble.AdaBoostRegressor(n_estimators=8, random_state=0),
    "bagging": lambda: ensemble.BaggingRegressor(n_estimators=5, random_state=0),
    "svr": lambda: _scaled(svm.SVR()),
    "nu svr": lambda: _scaled(svm.NuSVR()),
    "linear svr": lambda: _scaled(svm.LinearSVR(random_state=0)),
    "knn": lambda: _scaled(neighbors.KNeighborsRegressor()),
    "mlp": lambda: _scaled(
        neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=40, random_state=0)
    ),
    "kernel ridge": lambda: _scaled(kernel_ridge.KernelRidge(kernel="rbf")),
    "gaussian process": lambda: _scaled(
        gaussian_process.GaussianProcessRegressor(
            gaussian_process.kernels.ConstantKernel() * gaussian_process.kernels.RBF(2.0),
            alpha=0.1,
            optimizer=None,
        )
    ),
    "pls": lambda: cross_decomposition.PLSRegression(2),
    "transformed func": lambda: compose.TransformedTargetRegressor(
        linear_model.Ridge(), func=np.log, inverse_func=np.exp
    ),
    "transformed": lambda: compose.TransformedTargetRegressor(
        linear_model.Ridge(), transformer=preprocessing.StandardScaler()
    ),
    "voting": lambda: ensemble.VotingRegressor(
        [("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))]
    ),
    "stacking": lambda: ensemble.StackingRegressor(
        [("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))], cv=3
    ),
    "poisson": lambda: _scaled(linear_model.PoissonRegressor()),
    "gamma": lambda: _scaled(linear_model.GammaRegressor()),
    "tweedie": lambda: _scaled(linear_model.TweedieRegressor(power=1.5)),
    "dummy": dummy.DummyRegressor,
    "log1p": lambda: make_pipeline(
        preprocessing.FunctionTransformer(np.expm1),
        preprocessing.StandardScaler(),
        linear_model.Ridge(),
    ),
    "kmeans": lambda: _scaled(cluster.KMeans(3, n_init=2, random_state=0)),
    "mini batch": lambda: _scaled(cluster.MiniBatchKMeans(3, n_init=2, random_state=0)),
    "isolation": lambda: ensemble.IsolationForest(n_estimators=20, random_state=0),
    "one class": lambda: _scaled(svm.OneClassSVM()),
    "elliptic": lambda: covariance.EllipticEnvelope(random_state=0),
    "outlier factor": lambda: neighbors.LocalOutlierFactor(novelty=True),
    "mixture": lambda: mixture.GaussianMixture(2, random_state=0),
}
"""For a number that is above 0."""

CASES: Final[dict[str, Case]] = {
    **{f"classify: {name}": Case(make, NUMBERS, LEVELS) for name, make in CLASSIFIERS.items()},
    **{f"measure: {name}": Case(make, NUMBERS, POSITIVE) for name, make in REGRESSIONS.items()},
    "two classes": Case(lambda: _scaled(_logistic()), NUMBERS, SIDES),
    "threshold": Case(
        lambda: model_selection.FixedThresholdClassifier(
            _scaled(_logistic()), threshold=0.3, pos_label="yes"
        ),
        NUMBERS,
        SIDES,
    ),
    "tuned threshold": Case(
        lambda: model_selection.TunedThresholdClassifierCV(_scaled(_logistic()), cv=3),
        NUMBERS,
        TRUTHS,
    ),
    "truths": Case(lambda: ensemble.HistGradientBoostingClassifier(max_iter=8), GAPS, TRUTHS),
    "gaps forest": Case(_forest, GAPS, LEVELS),
    "gaps mean": Case(lambda: make_pipeline(impute.SimpleImputer(), _forest()), GAPS, THREE),
    "gaps indicated": Case(
        lambda: make_pipeline(impute.SimpleImputer(add_indicator=True), _logistic()), GAPS, THREE
    ),
    "gaps iterative": Case(
        lambda: make_pipeline(impute.IterativeImputer(max_iter=3), _logistic()), GAPS, THREE
    ),
    "gaps neighbours": Case(lambda: make_pipeline(impute.KNNImputer(), _logistic()), GAPS, THREE),
    "people logistic": Case(lambda: _people(_logistic()), PEOPLE, LIVED),
    "people forest": Case(lambda: _people(_forest()), PEOPLE, LIVED),
    "people boosting": Case(
        lambda: _people(ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0)),
        PEOPLE,
        LIVED,
    ),
    "people dense": Case(
        lambda: _people(
            ensemble.HistGradientBoostingClassifier(max_iter=8),
            encoder=preprocessing.OneHotEncoder(
                handle_unknown="infrequent_if_exist", min_frequency=20, sparse_output=False
            ),
        ),
        PEOPLE,
        LIVED,
    ),
    "people ordinal": Case(
        lambda: _people(
            _forest(),
            encoder=preprocessing.OrdinalEncoder(
                handle_unknown="use_encoded_value", unknown_value=-1
            ),
        ),
        PEOPLE,
        LIVED,
    ),
    "people target": Case(
        lambda: _people(_logistic(), encoder=preprocessing.TargetEncoder(random_state=0)),
        PEOPLE,
        LIVED,
    ),
    "people dropped": Case(
        lambda: _people(_logistic(), encoder=preprocessing.OneHotEncoder(drop="first")),
        PEOPLE,
        LIVED,
    ),
    "people knn": Case(lambda: _people(neighbors.KNeighborsRegressor()), PEOPLE, POSITIVE),
    "people selected": Case(
        lambda: make_pipeline(
            compose.make_column_transformer(
                (
                    preprocessing.OneHotEncoder(),
                    compose.make_column_selector(dtype_include=object),
                ),
                (impute.SimpleImputer(), compose.make_column_selector(dtype_include="number")),
            ),
            linear_model.Ridge(),
        ),
        PEOPLE,
        POSITIVE,
    ),
    "people pandas": Case(
        lambda: _people(
            _logistic(), encoder=preprocessing.OneHotEncoder(sparse_output=False)
        ).set_output(transform="pandas"),
        PEOPLE,
        LIVED,
    ),
    "people categories": Case(
        lambda: ensemble.HistGradientBoostingClassifier(
            categorical_features="from_dtype", max_iter=8
        ),
        PEOPLE.astype({"port": "category"}),
        LIVED,
    ),
    "texts": Case(lambda: make_pipeline(text.TfidfVectorizer(), _logistic()), TEXTS, MOODS),
    "texts sgd": Case(
        lambda: make_pipeline(
            text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            linear_model.SGDClassifier(random_state=0),
        ),
        TEXTS,
        MOODS,
    ),
    "texts bayes": Case(
        lambda: make_pipeline(
            text.CountVectorizer(stop_words="english"), naive_bayes.MultinomialNB()
        ),
        TEXTS,
        MOODS,
    ),
    "texts hashed": Case(
        lambda: make_pipeline(text.HashingVectorizer(n_features=256), _logistic()), TEXTS, MOODS
    ),
    "texts svd": Case(
        lambda: make_pipeline(
            text.TfidfVectorizer(), decomposition.TruncatedSVD(4, random_state=0), _logistic()
        ),
        TEXTS,
        MOODS,
    ),
    "text beside numbers": Case(
        lambda: make_pipeline(
            compose.ColumnTransformer(
                [
                    ("words", text.TfidfVectorizer(), "words"),
                    ("fare", preprocessing.StandardScaler(), ["fare"]),
                    ("port", preprocessing.OneHotEncoder(), ["port"]),
                ]
            ),
            _logistic(),
        ),
        PEOPLE[["fare", "port"]].assign(words=pd.Series(TEXTS, dtype=object)),
        LIVED,
    ),
    "several numbers": Case(linear_model.LinearRegression, NUMBERS, BOTH),
    "several forest": Case(
        lambda: ensemble.RandomForestRegressor(10, random_state=0), NUMBERS, BOTH
    ),
    "several regressors": Case(
        lambda: multioutput.MultiOutputRegressor(linear_model.Ridge()), NUMBERS, BOTH
    ),
    "several classes": Case(
        lambda: multioutput.MultiOutputClassifier(_scaled(_logistic())), NUMBERS, FLAGS
    ),
    "several chained": Case(
        lambda: multioutput.ClassifierChain(_logistic(), random_state=0), NUMBERS, FLAGS
    ),
    "several labels": Case(
        lambda: multiclass.OneVsRestClassifier(_scaled(_logistic())), NUMBERS, FLAGS
    ),
    "several knn": Case(neighbors.KNeighborsClassifier, NUMBERS, FLAGS),
    "isotonic": Case(
        lambda: isotonic.IsotonicRegression(out_of_bounds="clip"), NUMBERS[:, :1], AMOUNT
    ),
    "float32": Case(lambda: _scaled(_logistic()), NUMBERS.astype(np.float32), LEVELS),
    "self training": Case(
        lambda: semi_supervised.SelfTrainingClassifier(_scaled(_logistic())), NUMBERS, THREE
    ),
    "gaussian process": Case(
        lambda: gaussian_process.GaussianProcessClassifier(random_state=0),
        NUMBERS,
        LEVELS,
        by="pipeline",
    ),
    "own function": Case(
        lambda: make_pipeline(preprocessing.FunctionTransformer(_own), _logistic()),
        NUMBERS,
        LEVELS,
        by="pipeline",
    ),
}
