"""Pickles of every estimator and of typical pipelines, as releases of scikit-learn write them.

    python tests/corpus.py write FOLDER     in the environment of a release
    python -m tests.corpus read FOLDER...   in this project's environment

`make corpus-test` installs the releases, each in an environment of its own, and does both. Reading
compares what this project makes of each file with what `pickle.load` and `joblib.load` make of it:
their answers bit by bit, and all that they hold. A file that plain loading turns into an estimator
that works, and this project does not, is lost; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import pickle
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import scipy.sparse
import sklearn
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import (
    SelectFromModel,
    SelectKBest,
    f_regression,
    mutual_info_classif,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, Matern, RationalQuadratic, WhiteKernel
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer, mean_squared_error
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV, StratifiedKFold
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import (
    KernelDensity,
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    NearestNeighbors,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.discovery import all_estimators

ANSWERS = ("predict_proba", "decision_function", "predict", "transform", "score_samples")
draw = np.random.default_rng(0)
X = np.abs(draw.normal(size=(40, 4))) + 0.1
Y = (X[:, 0] > X[:, 0].mean()).astype(int)
TEXTS = ["good film", "bad film", "fine book", "poor book", "good book"] * 8

Case = tuple[str, Any, Any]
"""A name, a fitted estimator, and rows to ask it for."""


# What is written ------------------------------------------------------------------


SPECIAL: dict[str, Callable[[type], Any]] = {
    "ColumnTransformer": lambda kind: kind([("a", StandardScaler(), [0, 1])]).fit(X),
    "DictVectorizer": lambda kind: kind().fit([{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]),
    "FeatureUnion": lambda kind: kind([("a", StandardScaler())]).fit(X),
    "FrozenEstimator": lambda kind: kind(LogisticRegression().fit(X, Y)),
    "GammaRegressor": lambda kind: kind().fit(X, Y + 1),
    "GaussianRandomProjection": lambda kind: kind(2, random_state=0).fit(X),
    "GridSearchCV": lambda kind: kind(LinearRegression(), {}).fit(X, Y),
    "HalvingGridSearchCV": lambda kind: kind(LinearRegression(), {"positive": [True]}).fit(X, Y),
    "HalvingRandomSearchCV": lambda kind: kind(LinearRegression(), {"positive": [True]}).fit(X, Y),
    "KernelCenterer": lambda kind: kind().fit(X @ X.T),
    "Pipeline": lambda kind: kind([("a", StandardScaler()), ("b", LinearRegression())]).fit(X, Y),
    "RandomizedSearchCV": lambda kind: kind(LinearRegression(), {}, n_iter=1).fit(X, Y),
    "SparseCoder": lambda kind: kind(np.eye(4)),
    "SparseRandomProjection": lambda kind: kind(2, random_state=0).fit(X),
    "StackingClassifier": lambda kind: kind([("a", LogisticRegression())]).fit(X, Y),
    "StackingRegressor": lambda kind: kind([("a", LinearRegression())]).fit(X, Y),
    "VotingClassifier": lambda kind: kind([("a", LogisticRegression())]).fit(X, Y),
    "VotingRegressor": lambda kind: kind([("a", LinearRegression())]).fit(X, Y),
}


def estimators() -> Iterator[Case]:
    """Every estimator of scikit-learn, fitted on what it takes."""
    for name, kind in all_estimators():
        if name in SPECIAL:
            yield name, SPECIAL[name](kind), X @ X.T if name == "KernelCenterer" else X
            continue
        found = next(_fits(kind), None)
        if found is None:
            print(f"{name} could not be fitted", file=sys.stderr)
        else:
            yield name, *found


def _fits(kind: type) -> Iterator[tuple[Any, Any]]:
    tables = (X, Y), (X, np.column_stack([Y, Y])), (TEXTS,), (X[:, 0], Y), ((X > 0.5) * 1.0, Y)
    for arguments in ((), (LogisticRegression(),), (LinearRegression(),)):
        for table in tables:
            try:
                yield kind(*arguments).fit(*table), table[0]
            except Exception:
                continue


def plain_pipelines() -> Iterator[Case]:
    """Pipelines on arrays and texts."""
    scaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    yield "scaled", scaled.fit(X, Y), X
    forest = RandomForestClassifier(5, random_state=np.random.RandomState(3))
    yield "forest", make_pipeline(SimpleImputer(), forest).fit(X, Y), X
    yield "forest regression", RandomForestRegressor(5, random_state=0).fit(X, X[:, :2]), X
    yield "labels", LogisticRegression().fit(X, np.where(Y, "yes", "no")), X
    yield "object labels", GaussianNB().fit(X, np.where(Y, "yes", "no").astype(object)), X
    yield "mlp", MLPClassifier(max_iter=20, random_state=0).fit(X, Y), X
    mixed = np.array([[row[0], "long" if row[1] > 1 else "short"] for row in X], dtype=object)
    columns = ColumnTransformer([("n", SimpleImputer(), [0]), ("c", OneHotEncoder(), [1])])
    yield "mixed", make_pipeline(columns, LogisticRegression()).fit(mixed, Y), mixed
    slices = ColumnTransformer([("a", MinMaxScaler(), slice(0, 2))], remainder="passthrough")
    yield "slices", make_pipeline(slices, LogisticRegression()).fit(X, Y), X
    yield "spline", make_pipeline(SplineTransformer(), LinearRegression()).fit(X, Y), X
    steps = [("p", PolynomialFeatures(2)), ("q", QuantileTransformer(n_quantiles=10)), ("s", SVC())]
    yield "svc", Pipeline(steps).fit(X, Y), X
    yield "svr", SVR(kernel="poly").fit(X, Y), X
    yield "svc probabilities", SVC(probability=True, random_state=0).fit(X, Y), X
    yield "sparse svc", SVC().fit(scipy.sparse.csr_matrix(X), Y), scipy.sparse.csr_matrix(X)
    yield "best", make_pipeline(SelectKBest(f_regression, k=2), LinearRegression()).fit(X, Y), X
    informed = SelectKBest(partial(mutual_info_classif, random_state=0), k=2)
    yield "partial", make_pipeline(informed, LogisticRegression()).fit(X, Y), X
    chosen = SelectFromModel(RandomForestClassifier(3, random_state=0))
    yield "from model", make_pipeline(chosen, LogisticRegression()).fit(X, Y), X
    yield "function", make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit(X, Y), X
    rooted = FunctionTransformer(np.clip, kw_args={"a_min": 0.2, "a_max": 1.0})
    yield "clip", make_pipeline(rooted, LinearRegression()).fit(X, Y), X
    target = TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1)
    yield "target", target.fit(X, Y), X
    union = FeatureUnion([("s", SplineTransformer()), ("f", FunctionTransformer(np.log1p))])
    yield "union", make_pipeline(union, RidgeCV()).fit(X, Y), X
    binned = make_pipeline(KBinsDiscretizer(3), MultinomialNB())
    yield "binned", binned.fit(X, Y), X
    yield "many outputs", MultiOutputClassifier(LogisticRegression()).fit(X, np.c_[Y, 1 - Y]), X
    yield "calibrated", CalibratedClassifierCV(LogisticRegression(), cv=2).fit(X, Y), X
    isotonic = CalibratedClassifierCV(GaussianNB(), cv=2, method="isotonic")
    yield "calibrated isotonic", isotonic.fit(X, Y), X
    named = [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=2))]
    yield "voting", VotingClassifier(named, voting="soft").fit(X, Y), X
    yield "stacking", StackingClassifier(named, cv=2).fit(X, Y), X
    yield "knn imputer", make_pipeline(KNNImputer(), LogisticRegression()).fit(X, Y), X
    yield "several logistic", LogisticRegressionCV(Cs=3, cv=2).fit(X, Y), X


def texts() -> Iterator[Case]:
    """Pipelines on texts and on dicts."""
    labels = [0, 1, 0, 1, 1] * 8
    for name, vectorizer in (
        ("tfidf", TfidfVectorizer(ngram_range=(1, 2), dtype=np.float32)),
        ("counts", CountVectorizer(stop_words=["the"], analyzer="char", min_df=1)),
        ("hashed", HashingVectorizer(n_features=8)),
    ):
        yield name, make_pipeline(vectorizer, LogisticRegression()).fit(TEXTS, labels), TEXTS
    rows = [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]
    yield "dicts", make_pipeline(DictVectorizer(), LogisticRegression()).fit(rows, [0, 1]), rows


def losses() -> Iterator[Case]:
    """Each loss of boosting and of stochastic gradient descent."""
    for loss in ("log_loss", "exponential"):
        yield f"gb {loss}", GradientBoostingClassifier(loss=loss, n_estimators=2).fit(X, Y), X
    three = np.arange(40) % 3
    yield "gb multinomial", GradientBoostingClassifier(n_estimators=2).fit(X, three), X
    yield "gb initial", GradientBoostingClassifier(init=GaussianNB(), n_estimators=2).fit(X, Y), X
    for loss in ("squared_error", "absolute_error", "huber", "quantile"):
        yield f"gbr {loss}", GradientBoostingRegressor(loss=loss, n_estimators=2).fit(X, Y), X
    for loss in ("squared_error", "absolute_error", "gamma", "poisson", "quantile"):
        model = HistGradientBoostingRegressor(loss=loss, quantile=0.5, max_iter=2)
        yield f"hgbr {loss}", model.fit(X, Y + 1), X
    yield (
        "hgb",
        HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(
            np.c_[three, X], Y
        ),
        np.c_[three, X],
    )
    yield "hgb three", HistGradientBoostingClassifier(max_iter=2).fit(X, three), X
    for loss in ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron"):
        model = SGDClassifier(loss=loss, random_state=np.random.RandomState(0))
        yield f"sgd {loss}", model.fit(X, Y), X
    kinds = "squared_error huber epsilon_insensitive squared_epsilon_insensitive"
    for loss in kinds.split():
        yield f"sgdr {loss}", SGDRegressor(loss=loss, random_state=0).fit(X, Y), X
    yield "ada", AdaBoostClassifier(n_estimators=3, random_state=0).fit(X, Y), X
    yield "bagging", BaggingRegressor(n_estimators=3, random_state=0).fit(X, Y), X
    yield "gamma", GammaRegressor().fit(X, Y + 1), X


def neighbours() -> Iterator[Case]:
    """Trees of neighbours with each kind of distance, and Gaussian processes."""
    for metric in ("euclidean", "manhattan", "chebyshev", "minkowski"):
        for algorithm in ("kd_tree", "ball_tree"):
            for dtype in (np.float64, np.float32):
                model = KNeighborsClassifier(algorithm=algorithm, metric=metric)
                name = f"knn {metric} {algorithm} {dtype.__name__}"
                yield name, model.fit(X.astype(dtype), Y), X.astype(dtype)
    for metric, given in (
        ("seuclidean", {"V": X.var(axis=0)}),
        ("mahalanobis", {"VI": np.eye(4)}),
        ("minkowski", {"p": 3}),
        ("minkowski", {"p": 3, "w": np.ones(4)}),
        ("canberra", {}),
    ):
        model = KNeighborsRegressor(algorithm="ball_tree", metric=metric, metric_params=given)
        yield f"knr {metric} {sorted(given)}", model.fit(X, Y), X
    yield (
        "haversine",
        KNeighborsRegressor(algorithm="ball_tree", metric="haversine").fit(X[:, :2], Y),
        X[:, :2],
    )
    own = KNeighborsRegressor(algorithm="ball_tree", metric=mean_squared_error)
    yield "own distance", own.fit(X, Y), X
    yield "brute", KNeighborsClassifier(algorithm="brute", metric="cosine").fit(X, Y), X
    yield "outliers", LocalOutlierFactor(novelty=True).fit(X), X
    yield "nearest", NearestNeighbors().fit(X), X
    yield "density", KernelDensity().fit(X, sample_weight=Y + 1.0), X
    for place, kernel in enumerate((RBF() + WhiteKernel(), 2 * Matern(), RationalQuadratic() ** 2)):
        yield f"gp {place}", GaussianProcessRegressor(kernel, optimizer=None).fit(X, Y), X
    yield "gpc", GaussianProcessClassifier(optimizer=None).fit(X, np.arange(40) % 3), X


def searches() -> Iterator[Case]:
    """What a search keeps: masked arrays, splits, scorers, random states and generators."""
    grid = {"C": np.logspace(-1, 1, 3)}
    yield "grid", GridSearchCV(LogisticRegression(), grid, scoring="accuracy", cv=3).fit(X, Y), X
    several = GridSearchCV(LogisticRegression(), grid, scoring=["accuracy", "f1"], refit="f1")
    yield "grid of several", several.fit(X, Y), X
    own = make_scorer(mean_squared_error, greater_is_better=False)
    yield "grid of own", GridSearchCV(LinearRegression(), {}, scoring=own, cv=KFold(2)).fit(X, Y), X
    mixed = {"clf": [LogisticRegression(), SVC()], "scale": [None, StandardScaler()]}
    steps = Pipeline([("scale", None), ("clf", SVC())])
    yield "grid of estimators", GridSearchCV(steps, mixed, cv=StratifiedKFold(2)).fit(X, Y), X
    drawn = RandomizedSearchCV(
        LinearRegression(), {"positive": [True, False]}, n_iter=2, random_state=1
    )
    yield "randomized", drawn.fit(X, Y), X
    stacked = StackingRegressor([("a", LinearRegression()), ("b", SVR())], cv=2)
    yield "stacked regression", stacked.fit(X, Y), X
    yield "voted regression", VotingRegressor([("a", LinearRegression())]).fit(X, Y), X
    for bits in (np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64):
        state = np.random.RandomState(bits(5))
        yield f"state {bits.__name__}", Held(state), X
        yield f"generator {bits.__name__}", Held(np.random.Generator(bits(5))), X
    yield "shared state", Held(np.random.mtrand._rand), X
    for name in get_scorer_names():
        yield f"scorer {name}", Held(get_scorer(name)), X


def Held(value: Any) -> Any:
    """An estimator that holds a value as a parameter."""
    return FunctionTransformer(kw_args={"value": value})


def frames() -> Iterator[Case]:
    """Pipelines that were fitted on DataFrames, and keep something of them."""
    import pandas

    frame = pandas.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": np.where(Y, "yes", "no")})
    category = frame.astype({"c": "category"})
    end = LogisticRegression()
    numbers = [
        ("a", StandardScaler(), ["a"]),
        ("b", OrdinalEncoder(), ["c"]),
    ]
    yield "frame", make_pipeline(ColumnTransformer(numbers), end).fit(frame, Y), frame
    passed = ColumnTransformer(numbers, remainder="passthrough")
    yield "frame, rest", make_pipeline(passed, LogisticRegression()).fit(frame, Y), frame
    for place, columns in enumerate((frame.columns[:2], frame.select_dtypes("number").columns)):
        chosen = ColumnTransformer([("a", "passthrough", columns)])
        yield f"index {place}", make_pipeline(chosen, LogisticRegression()).fit(frame, Y), frame
    for place, kind in enumerate(("category", pandas.CategoricalDtype)):
        chosen = ColumnTransformer(
            [("c", OneHotEncoder(), make_column_selector(dtype_include=kind))]
        )
        yield (
            f"selected {place}",
            make_pipeline(chosen, LogisticRegression()).fit(category, Y),
            category,
        )
    encode = OneHotEncoder(categories=[pandas.Index(["no", "yes"])], sparse_output=False)
    yield "categories", encode.fit(frame[["c"]]), frame[["c"]]
    arrays = OneHotEncoder(categories=[pandas.array(["no", "yes"])], sparse_output=False)
    yield "categories as an array", arrays.fit(frame[["c"]]), frame[["c"]]
    numbered = ColumnTransformer([("a", "passthrough", pandas.RangeIndex(2))])
    yield "range", numbered.fit(X), X
    hgb = HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype")
    yield "hgb of categories", hgb.fit(category, Y), category
    encoded = make_pipeline(TargetEncoder(random_state=0), LogisticRegression())
    yield "target encoder", encoded.fit(frame[["c"]], Y), frame[["c"]]
    output = make_pipeline(StandardScaler().set_output(transform="pandas"), LinearRegression())
    yield "pandas output", output.fit(frame[["a"]], Y), frame[["a"]]
    search = GridSearchCV(make_pipeline(ColumnTransformer(numbers), end), {}, cv=2)
    yield "search on a frame", search.fit(frame, Y), frame
    for name, value in tables():
        yield f"held {name}", Held(value), X
    for storage in ("python", "pyarrow"):
        try:
            texts = frame.astype({"c": f"string[{storage}]"})
            yield (
                f"strings of {storage}",
                OneHotEncoder(sparse_output=False).fit(texts[["c"]]),
                texts[["c"]],
            )
            index = pandas.Index(["no", "yes"], dtype=f"string[{storage}]")
            held = OneHotEncoder(categories=[index], sparse_output=False)
            yield f"index of {storage}", held.fit(frame[["c"]]), frame[["c"]]
        except ImportError:
            continue


def tables() -> Iterator[tuple[str, Any]]:
    """What a step of one's own keeps: a DataFrame, its columns, and its kinds of index."""
    import pandas

    days = pandas.date_range("2024-02-27", periods=4, freq="D")
    columns = {
        "integers": np.arange(4),
        "small": np.arange(4, dtype=np.int8),
        "floats": [0.5, np.nan, -0.0, 1e300],
        "more": np.arange(4) / 4,
        "truths": [True, False, True, True],
        "objects": np.array(["a", None, 1, (2, "b")], dtype=object),
        "texts": ["a", "b", "\u00e9", ""],
        "days": days,
        "seconds": np.arange(4).astype("M8[s]"),
        "moments": days.tz_localize("UTC"),
        "spans": days - days[0],
        "categories": pandas.Categorical(["b", "a", None, "b"], ["b", "a"], ordered=True),
        "bins": pandas.cut([1, 2, 3, 4], 2),
        "gaps": pandas.array([1, None, 3, 2**62], dtype="Int64"),
        "unsigned": pandas.array([1, None, 3, 255], dtype="UInt8"),
        "fractions": pandas.array([0.5, None, 1.5, 2.5], dtype="Float32"),
        "answers": pandas.array([True, None, False, True], dtype="boolean"),
        "strings": pandas.array(["a", None, "b", "c"], dtype="string[python]"),
        "intervals": pandas.arrays.IntervalArray.from_breaks([0.0, 0.5, 1.0, 1.5, 2.0]),
    }
    frame = pandas.DataFrame(columns)
    yield "frame", frame
    yield "part of a frame", frame[["more", "texts", "integers"]].iloc[::2]
    yield "frame of numbers", pandas.DataFrame(X, columns=list("abcd"), index=list(range(9, 49)))
    yield "frame of no rows", frame.iloc[:0]
    yield "frame of no columns", frame[[]]
    yield "frame of names that stand twice", frame.set_axis([*frame.columns[1:], "small"], axis=1)
    pairs = frame.set_index(["texts", "integers"]).T.iloc[:2]
    yield "frame of pairs", pairs
    yield "frame with attributes", _with_attributes(frame[["more"]])
    for name in columns:
        yield f"column of {name}", frame[name]
        yield f"array of {name}", frame[name].array
    yield "index of pairs", pandas.MultiIndex.from_product([["a", "b"], days], names=["x", None])
    yield "index of months", pandas.date_range("2024-01-01", periods=3, freq="MS", tz="UTC")
    yield "index of spans", pandas.Index(frame["spans"], name="span")
    yield "index of intervals", pandas.interval_range(0, 3, closed="left")
    yield "index of gaps", pandas.Index(columns["gaps"])
    yield "index of categories", pandas.CategoricalIndex(["a", "b"], name=("a", 1))
    moment = pandas.Timestamp("2024-02-29 12:00:00.123456789")
    yield "moment", [moment, moment.tz_localize("UTC"), moment.as_unit("s"), pandas.NaT, pandas.NA]
    yield "span", [pandas.Timedelta("1D"), pandas.Interval(0, 1), pandas.Interval(moment, moment)]
    yield "objects of pandas", pandas.Series([moment, pandas.NaT, pandas.NA], dtype=object)


def _with_attributes(frame: Any) -> Any:
    frame.attrs = {"unit": "m"}
    return frame.set_flags(allows_duplicate_labels=False)


def cases() -> Iterator[Case]:
    """Everything that is written."""
    for each in (estimators, plain_pipelines, texts, losses, neighbours, searches, frames):
        yield from each()


COMPRESSIONS = {"zlib": 3, "gzip": ("gzip", 3), "bz2": ("bz2", 3), "xz": ("xz", 3)}


def files(value: Any) -> Iterator[tuple[str, bytes]]:
    """A value in each protocol and in each form of joblib, by the ending of the file."""
    for protocol in range(6):
        yield f"{protocol}.pkl", pickle.dumps(value, protocol)
    for name, compress in {"plain": 0, **COMPRESSIONS}.items():
        buffer = io.BytesIO()
        joblib.dump(value, buffer, compress=compress)
        yield f"{name}.joblib", buffer.getvalue()


def packed(rows: Any) -> Any:
    """The rows without what only some releases of pandas can unpickle."""
    if not hasattr(rows, "columns"):
        return rows
    category = [name for name in rows.columns if str(rows[name].dtype) == "category"]
    columns = {name: np.array(rows[name].tolist(), dtype=object) for name in rows.columns}
    return {"columns": columns, "category": category}


def unpacked(rows: Any) -> Any:
    """The rows that `packed` packed."""
    if not (isinstance(rows, dict) and "columns" in rows):
        return rows
    import pandas

    frame = pandas.DataFrame({name: column.tolist() for name, column in rows["columns"].items()})
    return frame.astype(dict.fromkeys(rows["category"], "category"))


def write(folder: Path) -> None:
    """Write all cases, and what they are asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = 0
    for name, estimator, rows in cases():
        seen += 1
        (folder / f"{name}.rows").write_bytes(pickle.dumps(packed(rows)))
        for ending, data in files(estimator):
            (folder / f"{name}.{ending}").write_bytes(data)
    print(f"scikit-learn {sklearn.__version__}: {seen} estimators and pipelines")


# What is read ---------------------------------------------------------------------


def plainly(path: Path) -> Any:
    """What pickle or joblib make of a file."""
    if path.suffix == ".joblib":
        return joblib.load(path)
    with path.open("rb") as file:
        return pickle.load(file)


def answers(estimator: Any, rows: Any) -> dict[str, Any]:
    """What an estimator answers, by its methods; a sentence where it raises."""
    found: dict[str, Any] = {}
    for name in ANSWERS:
        try:
            method = getattr(estimator, name)
        except AttributeError:
            continue
        np.random.seed(0)
        try:
            found[name] = method(rows)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def difference(one: Any, other: Any, where: str = "it", seen: set[int] | None = None) -> str | None:
    """Where two values are not the same, bit by bit, or None."""
    seen = set() if seen is None else seen
    if one is other or id(one) in seen:
        return None
    if type(one) is not type(other):
        return f"{where}: {type(one)} and {type(other)}"
    if isinstance(one, np.ndarray):
        return _array_difference(one, other, where, seen)
    if isinstance(one, float | complex | np.generic):
        return None if repr(one) == repr(other) else f"{where}: {one!r} and {other!r}"
    if isinstance(one, str | bytes | int | np.dtype | type(None)):
        return None if one == other else f"{where}: {one!r} and {other!r}"
    if isinstance(one, set | frozenset):
        return None if one == other else f"{where}: {one!r} and {other!r}"
    seen.add(id(one))
    if type(one) in (list, tuple):
        pairs = enumerate(zip(one, other, strict=False))
        if len(one) != len(other):
            return f"{where}: {len(one)} and {len(other)} items"
        found = (difference(a, b, f"{where}[{i}]", seen) for i, (a, b) in pairs)
        return next(filter(None, found), None)
    if type(one) is dict:
        if list(one) != list(other):
            return f"{where}: the keys {list(one)} and {list(other)}"
        found = (difference(one[key], other[key], f"{where}[{key!r}]", seen) for key in one)
        return next(filter(None, found), None)
    if callable(getattr(one, "__reduce_ex__", None)) and not isinstance(one, type):
        return difference(_parts(one), _parts(other), f"{where}<{type(one).__name__}>", seen)
    return None if one == other else f"{where}: {one!r} and {other!r}"


def _array_difference(one: Any, other: Any, where: str, seen: set[int]) -> str | None:
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return f"{where}: {one.dtype} {one.shape} and {other.dtype} {other.shape}"
    for flag in ("C_CONTIGUOUS", "F_CONTIGUOUS", "ALIGNED"):
        if one.flags[flag] != other.flags[flag]:
            return f"{where}: {flag} {one.flags[flag]}"
    if one.dtype.names is not None:  # What lies between its fields is nobody's.
        found = (
            difference(one[name], other[name], f"{where}.{name}", seen) for name in one.dtype.names
        )
        return next(filter(None, found), None)
    if one.dtype.hasobject:
        return difference(one.tolist(), other.tolist(), where, seen)
    return None if one.tobytes() == other.tobytes() else f"{where}: other bytes"


def _parts(value: Any) -> Any:
    """What a value is made of, as pickle sees it."""
    if isinstance(value, np.random.BitGenerator):
        return value.state  # Its seeds are drawn anew where a file has none.
    if type(value).__module__.split(".")[0] == "pandas":
        return _parts_of_pandas(value)
    parts = value.__reduce_ex__(4)
    if isinstance(parts, str):
        return parts
    return [list(part) if hasattr(part, "__next__") else part for part in parts]


def _parts_of_pandas(value: Any) -> Any:
    """The same without which columns lie in one block, and what pandas notes to be faster."""
    if type(value).__name__ == "DataFrame":
        columns = [value.iloc[:, place] for place in range(value.shape[1])]
        return [value.columns, columns, value.index, value.attrs, str(value.flags)]
    if type(value).__name__ == "Series":
        plain = isinstance(value.dtype, np.dtype)
        values = np.ascontiguousarray(value.to_numpy()) if plain else value.array
        return [value.name, values, value.index, value.attrs, str(value.flags)]
    return [_noted(part) for part in value.__reduce_ex__(4)]


def _noted(part: Any) -> Any:
    """A part of an array or an index without notes."""
    if type(part) is tuple:
        return [each for each in map(_noted, part) if not (type(each) is dict and not each)]
    if type(part) is dict:
        notes = {"_cache", "_readonly", *(["_freq"] if part.get("_freq") is None else [])}
        return {name: part[name] for name in sorted(part.keys() - notes)}
    return part


def compared(path: Path, rows: Any, load: Callable[[bytes], Any]) -> str:
    """What became of a file: the same, not loaded by scikit-learn itself, or a sentence."""
    try:
        expected = plainly(path)
    except Exception as error:
        return f"scikit-learn: {type(error).__name__}"
    try:
        found = load(path.read_bytes())
    except Exception as error:
        working = not all(isinstance(each, str) for each in answers(expected, rows).values())
        lost = "lost" if working or isinstance(expected, BaseEstimator) else "useless"
        return f"{lost}: {type(error).__name__}: {error}"
    told = difference(expected, found) or difference(answers(expected, rows), answers(found, rows))
    return "the same" if told is None else f"lost: other: {told}"


def read(folders: list[Path]) -> int:
    """Read all files in folders, and say what became of them; the number of lost ones."""
    from model_store import pickles
    from model_store.trust import Trust

    lost = 0
    for folder in folders:
        counts: Counter[str] = Counter()
        for path in sorted(folder.glob("*.*")):
            if path.suffix == ".rows":
                continue
            name = path.name.rpartition(".")[0].rpartition(".")[0]
            rows = unpacked(pickle.loads((folder / f"{name}.rows").read_bytes()))
            became = compared(path, rows, lambda data: pickles.load(data, Trust()))
            counts[became.partition(":")[0]] += 1
            if became.startswith("lost"):
                lost += 1
                print(f"{folder}/{path.name}: {became}")
        print(f"{folder}: {sum(counts.values())} files: {dict(counts)}")
    return lost


def main() -> None:
    """Write or read."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("write", "read"))
    parser.add_argument("folders", nargs="+", type=Path)
    given = parser.parse_args()
    if given.what == "read":
        sys.exit(read(given.folders) > 0)
    for folder in given.folders:
        write(folder)


if __name__ == "__main__":
    main()
