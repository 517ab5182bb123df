"""What compiled code would follow without asking is checked before anything asks it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import re
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import pytest
import scipy.sparse
import skops.io
from scipy.interpolate import BSpline, PPoly, interp1d
from sklearn.base import BaseEstimator
from sklearn.cluster import Birch, BisectingKMeans, FeatureAgglomeration, KMeans
from sklearn.cluster._kmeans import _kmeans_single_lloyd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.kernel_approximation import AdditiveChi2Sampler, PolynomialCountSketch
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import DistanceMetric
from sklearn.metrics.pairwise import pairwise_distances, rbf_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._criterion import Gini
from sklearn.utils import Bunch
from sklearn.utils.discovery import all_estimators

from model_store import ModelStore, manifest
from model_store.errors import LoadFailed, ModelStoreError, Unsound, Untrusted
from model_store.files import write
from model_store.importer import ImportRequest, import_files
from model_store.manifest import ARTIFACT, MANIFEST, File
from model_store.soundness.check import CHECKS, require_sound, warnings_of
from model_store.soundness.guests import GUESTS
from model_store.soundness.known import KNOWN, name_of
from model_store.sources import skops as skops_files
from model_store.trust import Trust

from ..fuzz.subjects import CODES, LETTERS, MOODS, NUMBERS, SUBJECTS, TEXTS, THREE, X, Y

DEFAULT = Trust()


def loaded(pipeline: Any) -> Any:
    return pickle.loads(pickle.dumps(pipeline))


# What is sound ----------------------------------------------------------------------


def fitted(kind: Any) -> Any:
    """An estimator fitted on what it takes, or None where it wants something special."""
    inner = [("a", LogisticRegression())]
    for arguments in ((), (LogisticRegression(),), (LinearRegression(),), (inner,)):
        for data in (
            (X, Y),
            (X, np.column_stack([Y, Y])),
            (TEXTS, MOODS),
            (X[:, 0], Y),
            ([{"a": 1, "b": 2}] * 4,),
        ):
            try:
                return kind(*arguments).fit(*data)
            except Exception:
                continue
    return None


@pytest.mark.forms
@pytest.mark.filterwarnings("ignore")
def test_every_estimator_of_scikit_learn_is_welcome_and_listed_pickled_or_by_skops() -> None:
    seen = 0
    for name, kind in all_estimators():
        assert name_of(kind) is not None, name
        estimator = fitted(kind)
        if estimator is not None:
            seen += 1
            require_sound(loaded(estimator), DEFAULT)
        if estimator is not None and name != "Birch":  # Of which skops writes no file.
            data = skops.io.dumps(estimator)
            assert DEFAULT.refused(skops_files.listing(data).globals) == [], name
            again = skops_files.load(data, DEFAULT)
            assert type(again) is kind, name
            require_sound(again, DEFAULT)
    assert seen > 190


@pytest.mark.parametrize("kernel", [rbf_kernel, "precomputed"])
@pytest.mark.parametrize("kind", [SVC, SVR, NuSVC, OneClassSVM])
def test_a_machine_may_have_a_kernel_that_is_a_function(kind: Any, kernel: Any) -> None:
    rows = X @ X.T if kernel == "precomputed" else X
    machine = loaded(kind(kernel=kernel).fit(rows, Y))
    require_sound(machine, DEFAULT)
    assert len(machine.predict(rows)) == len(rows)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_sound_pipeline_answers_as_before(name: str) -> None:
    pipeline, rows, _ = SUBJECTS[name]()
    again = loaded(pipeline)
    require_sound(again, DEFAULT)
    assert np.array_equal(again.predict(rows), pipeline.predict(rows))


def test_every_check_is_for_classes_that_are_listed() -> None:
    listed = frozenset().union(*KNOWN.values())
    checked = {f"{part}.{name}" for part, names, _ in CHECKS for name in names.split()}
    assert checked <= listed | GUESTS


def test_a_class_without_a_check_needs_to_be_allowed_by_name() -> None:
    criterion = Gini(1, np.array([2], dtype=np.intp))
    tree = DecisionTreeClassifier(criterion=criterion, max_depth=2).fit(X, Y)
    name = "sklearn.tree._criterion.Gini"
    with pytest.raises(Untrusted, match=rf"criterion .*not checked here.*--trusted {name}\.$"):
        require_sound(tree, DEFAULT)
    require_sound(tree, Trust(frozenset({name})))
    # What is allowed is one class, and not what stands beside it.
    with pytest.raises(Unsound):
        require_sound(make_pipeline(led_astray(tree), tree), Trust(frozenset({name})))


def test_a_class_of_the_operators_own_may_hold_anything_but_what_is_unsound() -> None:
    class Own(BaseEstimator):  # type: ignore[misc]
        pass

    own = Own()
    own.anything = iter(())
    allowed = Trust(frozenset({f"{Own.__module__}.{Own.__qualname__}"}))
    with pytest.raises(Untrusted, match="is of a class that is not checked"):
        require_sound(make_pipeline(own), DEFAULT)
    require_sound(make_pipeline(own), allowed)
    own.tree = led_astray(DecisionTreeClassifier().fit(X, Y))
    with pytest.raises(Unsound, match="leads to node"):
        require_sound(make_pipeline(own), allowed)


# What is not --------------------------------------------------------------------------


def remade(value: Any, change: Callable[[dict[str, Any]], None]) -> Any:
    """A compiled tree with another state."""
    make, arguments, state = value.__reduce__()
    state = {
        name: np.copy(part) if name in ("nodes", "values") else part for name, part in state.items()
    }
    change(state)
    made = make(*arguments)
    made.__setstate__(state)
    return made


def led_astray(tree: Any, child: int = 10**9, side: str = "right_child") -> Any:
    """A decision tree of which one node leads elsewhere."""

    def change(state: dict[str, Any]) -> None:
        state["nodes"][side][0] = child

    tree.tree_ = remade(tree.tree_, change)
    return tree


def nodes_changed(field: str, value: Any, where: int = 0) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        def put(state: dict[str, Any]) -> None:
            state["nodes"][field][where] = value

        tree.tree_ = remade(tree.tree_, put)

    return change


def put(name: str, value: Any) -> Callable[[Any], None]:
    """Set an attribute; a callable makes it of the old one."""

    def change(estimator: Any) -> None:
        before = getattr(estimator, name, None)
        setattr(estimator, name, value(before) if callable(value) else value)

    return change


def item(name: str, at: Any, value: Any) -> Callable[[Any], None]:
    """Set an item of an attribute."""

    def change(estimator: Any) -> None:
        getattr(estimator, name)[at] = value

    return change


def of(find: Callable[[Any], Any], change: Callable[[Any], None]) -> Callable[[Any], None]:
    """The same with a part of an estimator."""
    return lambda estimator: change(find(estimator))


def histogram_node(field: str, value: Any) -> Callable[[Any], None]:
    def change(estimator: Any) -> None:
        estimator._predictors[0][0].nodes[field][0] = value

    return change


def with_state(value: Any, state: Any) -> Any:
    made = type(value).__new__(type(value))  # type: ignore[call-overload]
    made.__setstate__(state)
    return made


def random_state(position: int) -> np.random.RandomState:
    made = np.random.RandomState(0)
    state: Any = made.get_state(legacy=False)
    state["state"]["pos"] = position
    made.set_state(state)
    return made


def weightless(tree: Any) -> Any:
    state = list(tree.__getstate__())
    state[1] = np.full(len(state[1]), 10**9)
    return with_state(tree, tuple(state))


def sparse_coefficients(change: Callable[[Any], None]) -> Callable[[Any], None]:
    def sparsify(estimator: Any) -> None:
        estimator.sparsify()
        change(estimator.coef_)

    return sparsify


TREE = DecisionTreeClassifier(max_depth=3, random_state=0)
FOREST = RandomForestClassifier(3, max_depth=3, random_state=0)
HISTOGRAM = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5)
BY_CATEGORY = HistGradientBoostingClassifier(
    max_iter=2, min_samples_leaf=5, categorical_features=[0, 1, 2]
)
NEIGHBOURS = KNeighborsClassifier(3)
WORDS = make_pipeline(CountVectorizer(), LogisticRegression())
SHORT_DISTANCE = DistanceMetric.get_metric("seuclidean", V=[1])
LIES: dict[str, tuple[Any, Any, Any, Callable[[Any], None], str]] = {
    "a child that is not there": (
        *(TREE, X, Y),
        nodes_changed("left_child", 10**9),
        r"^DecisionTreeClassifier\.tree_ \(of class Tree\) .*: node 0 leads to node 1000000000,",
    ),
    "a child before its parent": (
        TREE, X, Y, nodes_changed("right_child", 0), "node 0 leads to node 0,"
    ),
    "one child": (TREE, X, Y, nodes_changed("left_child", -1), "has one child"),
    "two parents": (
        TREE, X, Y, lambda tree: nodes_changed("left_child", tree.tree_.children_right[0])(tree),
        "node 1 has not one parent",
    ),
    "a column that is not there": (
        TREE, X, Y, nodes_changed("feature", 3), "node 0 asks for column 3 of 3"
    ),
    "other columns than the nodes": (TREE, X, Y, put("n_features_in_", 2), "n_features_in_"),
    "no columns": (TREE, X, Y, lambda tree: delattr(tree, "n_features_in_"), "n_features_in_"),
    "other outputs": (TREE, X, Y, put("n_outputs_", 2), "n_outputs_ should be 1"),
    "other classes": (TREE, X, Y, put("classes_", np.arange(5)), "classes should be .5."),
    "a method of its own": (TREE, X, Y, put("predict", lambda _: np.round), "its predict stands"),
    "a tree of a forest": (
        FOREST, X, Y, of(lambda forest: forest.estimators_[1], nodes_changed("left_child", 99)),
        r"^RandomForestClassifier\.estimators_\[1\]\.tree_ ",
    ),
    "a forest of unlike trees": (
        FOREST, X, Y,
        item("estimators_", 2, DecisionTreeClassifier().fit(X[:, :2], Y)),
        "columns of tree 2 should be 3",
    ),
    "a forest of something else": (
        FOREST, X, Y, item("estimators_", 0, LogisticRegression()), "its trees is of class"
    ),
    "an isolation forest of unlike trees": (
        IsolationForest(n_estimators=2, max_samples=8), X, Y,
        lambda forest: forest.estimators_features_.pop(),
        "number of its choices",
    ),
    "a stage with more trees": (
        GradientBoostingClassifier(n_estimators=2), X, Y,
        put("estimators_", lambda stages: np.hstack([stages, stages])),
        "trees an iteration",
    ),
    "a start that is too narrow": (
        GradientBoostingClassifier(n_estimators=2, init=LogisticRegression()), X, THREE,
        lambda boosting: boosting.init_.fit(X, Y),
        "shape of what it starts with",
    ),
    "a node of a histogram that is not there": (
        HISTOGRAM, X, Y, histogram_node("left", 2**31), "node 0 leads to"
    ),
    "a column of a histogram": (
        HISTOGRAM, X, Y, histogram_node("feature_idx", 77), "a node of iteration 0 leads to 77"
    ),
    "a category of a number": (
        HISTOGRAM, X, Y, histogram_node("is_categorical", 1), "raw_left_cat_bitsets leads to 0"
    ),
    "a set of categories": (
        BY_CATEGORY, CODES, THREE, histogram_node("bitset_idx", 9),
        "raw_left_cat_bitsets leads to 9",
    ),
    "a histogram of other columns": (
        HISTOGRAM, X, Y, put("n_features_in_", 2), "columns of its mapper should be 2"
    ),
    "a preprocessor that drops columns": (
        BY_CATEGORY, CODES, THREE,
        lambda estimator: estimator._preprocessor.transformers_.pop(0),
        "its preprocessor is made of",
    ),
    "rows that would be taken as bins": (HISTOGRAM, X, Y, put("_in_fit", True), "being trained"),
    "a kernel that makes fewer columns": (
        SVC(kernel=rbf_kernel), X, Y, put("kernel", lambda _: np.round), "its kernel is 'round'"
    ),
    "fewer rows of a kernel": (
        SVC(kernel=rbf_kernel), X, Y, put("_BaseLibSVM__Xfit", X[:3]), "number of its rows"
    ),
    "no centres": (
        KMeans(2, n_init=1), X, Y, put("cluster_centers_", np.zeros((0, 3))), "no centres"
    ),
    "half a category": (
        OneHotEncoder(drop="first"), LETTERS, Y,
        put("_drop_idx_after_grouping", np.array([-0.5, 0, 0])),
        "it drops",
    ),
    "a degree for ever": (
        PolynomialFeatures(2), X, Y, put("_max_degree", 10**9), "its degree is 1000000000"
    ),
    "iterations for ever": (
        LatentDirichletAllocation(2, max_iter=2), X, Y, put("max_doc_update_iter", 10**12),
        "its max_doc_update_iter is",
    ),
    "more support vectors": (SVC(), X, THREE, item("_n_support", 0, 1000), "_n_support are"),
    "probabilities that are not there": (
        SVC(), scipy.sparse.csr_array(X), Y, put("_effective_probability", True),
        "it says that it knows probabilities",
    ),
    "fewer intercepts": (
        SVC(), X, THREE, put("_intercept_", lambda before: before[:1]), "number of its intercepts"
    ),
    "fewer coefficients": (
        SVC(), X, THREE, put("_dual_coef_", lambda before: before[:1].copy()), "_dual_coef_'s shape"
    ),
    "a support vector that was not there": (
        SVC(kernel="precomputed"), X @ X.T, Y, item("support_", 0, 10**6), "a support vector leads"
    ),
    "other classes of a machine": (
        SVC(), X, THREE, put("classes_", np.arange(2)), "number of its classes"
    ),
    "a regression that is a classifier": (
        OneClassSVM(), X, Y, put("_impl", "c_svc"), "its _impl stands in place"
    ),
    "shorter rows of neighbours": (
        KNeighborsClassifier(3, algorithm="brute"), X, Y,
        put("_fit_X", lambda rows: rows[:, :2].copy()),
        "n_features_in_ should be 2",
    ),
    "a label of neighbours": (NEIGHBOURS, X, Y, item("_y", 0, 10**9), "a label leads to 10000"),
    "fewer labels": (NEIGHBOURS, X, Y, put("_y", lambda labels: labels[:5]), "of its labels"),
    "a tree of other rows": (
        KNeighborsClassifier(3, algorithm="kd_tree"), X, Y, put("_tree", KDTree(X[:10])),
        "other rows",
    ),
    "a distance for fewer columns": (
        KNeighborsClassifier(3, algorithm="ball_tree"), X, Y,
        put("_tree", lambda tree: with_metric(tree, SHORT_DISTANCE)),
        "does not match",
    ),
    "centres of fewer columns": (
        KMeans(2, n_init=1), X, Y,
        put("cluster_centers_", lambda centres: centres[:, :1].copy()),
        "columns of its centres",
    ),
    "a centre of fewer columns": (
        BisectingKMeans(3), X, Y,
        of(lambda means: means._bisecting_tree.left, put("center", np.zeros(1))),
        "columns of a centre",
    ),
    "fewer norms": (
        Birch(threshold=1.0), X, Y, put("_subcluster_norms", np.zeros(1)), "number of its norms"
    ),
    "a cluster of columns": (
        FeatureAgglomeration(2), X, Y, item("labels_", 0, 10**9), "a label leads to"
    ),
    "a sparse matrix": (
        LogisticRegression(), X, Y,
        sparse_coefficients(lambda matrix: matrix.indices.__setitem__(0, 10**6)),
        "not what it should be: a look at its parts fails. ValueError: ",
    ),
    "a sparse vector of a machine": (
        SVC(), scipy.sparse.csr_array(X), Y,
        of(lambda machine: machine.support_vectors_, item("indices", 0, -5)),
        "support_vectors_ .of class",
    ),
    "columns of words": (
        WORDS, TEXTS, MOODS,
        of(lambda words: words[0].vocabulary_, lambda words: words.update(bad=99)),
        "does not count its columns",
    ),
    "words that are added": (
        WORDS, TEXTS, MOODS,
        of(lambda words: words[0], put("ngram_range", (-(10**9), 1))),
        "its ngram_range is",
    ),
    "a division by nothing": (
        make_pipeline(HashingVectorizer(n_features=4, alternate_sign=False), MultinomialNB()),
        TEXTS, MOODS, of(lambda words: words[0], put("n_features", 0)), "n_features is 0",
    ),
    "fewer columns of ones": (
        OneHotEncoder(), LETTERS, Y, item("_n_features_outs", 0, 1), "columns that it makes"
    ),
    "numbers that are not in order": (
        OneHotEncoder(), CODES, Y, put("categories_", lambda each: [c[::-1] for c in each]),
        "are not in order",
    ),
    "a group of categories": (
        OneHotEncoder(max_categories=2), LETTERS, Y,
        of(lambda e: e._default_to_infrequent_mappings[0], lambda each: each.__setitem__(0, 9)),
        "mapping of column 0 leads to 9",
    ),
    "encodings that are missing": (
        TargetEncoder(cv=2), LETTERS, Y, of(lambda e: e.encodings_, lambda each: each.pop()),
        "number of its encodings_",
    ),
    "columns that nobody fills": (
        PolynomialFeatures(2), X, Y, put("_n_out_full", 99), "columns that it makes should be"
    ),
    "splines that are missing": (
        SplineTransformer(3), X, Y, of(lambda e: e.bsplines_, lambda each: each.pop()),
        "number of its splines",
    ),
    "no neighbours": (NEIGHBOURS, X, Y, put("n_neighbors", 0), "n_neighbors is 0"),
    "phrases as long as the text": (
        WORDS, TEXTS, MOODS, of(lambda words: words[0], put("ngram_range", (1, 10**9))),
        "ngram_range ends at 1000000000",
    ),
    "columns out of nothing": (
        PolynomialCountSketch(n_components=4), X, Y, put("n_components", 10**9), "n_components is"
    ),
    "steps without an end": (
        AdditiveChi2Sampler(), X, Y, put("sample_steps", 10**9), "sample_steps is 1000000000"
    ),
    "more numbers than it has": (
        DummyRegressor(), X, NUMBERS, put("n_outputs_", 10**9), "n_outputs_ should be 1"
    ),
    "a count of threads that is none": (TREE, X, Y, put("n_jobs", "all"), "its n_jobs is 'all'"),
    "a start of fewer rows": (
        GradientBoostingRegressor(n_estimators=2, init=Ridge()), X, NUMBERS,
        put("init_", lambda ridge: make_pipeline(ridge, FunctionTransformer(np.mean))),
        "starts with what a function makes",
    ),
    "a start of fewer rows in an array": (
        GradientBoostingRegressor(n_estimators=2, init=Ridge()), X, NUMBERS,
        put("init_", lambda _: Pipeline(array_of(("a", FunctionTransformer(np.mean))))),
        "starts with what a function makes",
    ),
    "a method that its class has not": (
        LinearRegression(), X, Y, put("predict_proba", lambda _: np.mean), "its predict_proba is a"
    ),
    "itself": (
        make_pipeline(StandardScaler(), TREE), X, Y, lambda p: p.steps.append(("b", p)), "itself"
    ),
}  # fmt: skip


def array_of(value: Any) -> Any:
    made = np.empty(1, dtype=object)
    made[0] = value
    return made


def with_metric(tree: Any, metric: Any) -> Any:
    state = list(tree.__getstate__())
    state[11] = metric
    return with_state(tree, tuple(state))


def lying(name: str) -> tuple[Any, str]:
    estimator, rows, truth, change, sentence = LIES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = loaded(estimator).fit(rows, truth)
    require_sound(made, DEFAULT)
    change(made)
    return made, sentence


@pytest.mark.parametrize("name", LIES)
def test_what_contradicts_itself_is_refused_with_a_sentence(name: str) -> None:
    made, sentence = lying(name)
    with pytest.raises(Unsound) as caught:
        require_sound(made, DEFAULT)
    assert re.search(sentence, caught.value.told)


VALUES: dict[str, tuple[Callable[[], Any], str]] = {
    "a position of a generator": (lambda: random_state(10**6), "position is 1000000 of 624"),
    "a position of bits": (
        lambda: with_position(np.random.Philox(0), "buffer_pos", -9), "position is -9 of 4"
    ),
    "a csr matrix": (lambda: changed_matrix("csr", "indptr", 1, 99), "ValueError"),
    "a csc matrix": (lambda: changed_matrix("csc", "indices", 0, 99), "ValueError"),
    "a coo matrix": (lambda: changed_coordinates(), "a place on axis 1 leads to 99"),
    "a dia matrix": (
        lambda: replaced(scipy.sparse.dia_array(np.eye(3)), offsets=np.arange(5)), "rows of data"
    ),
    "a lil matrix": (lambda: changed_list(), "a column leads to 99"),
    "a dok matrix": (
        lambda: replaced(scipy.sparse.dok_array(np.eye(3)), _dict={(0, 99): 1.0}), "has a number at"
    ),
    "a spline": (lambda: replaced(BSpline(np.arange(8.0), np.ones(4), 3), k=9), "ValueError"),
    "pieces": (
        lambda: with_coefficients(PPoly(np.ones((2, 3)), np.arange(4.0)), np.ones((2, 9))),
        "ValueError",
    ),
    "a line": (
        lambda: replaced(interp1d([0.0, 1.0], [0.0, 1.0]), y=np.zeros(9)), "number of its values"
    ),
    "a matrix that checks itself": (
        lambda: replaced(scipy.sparse.csr_array(np.eye(3)), check_format=np.mean),
        "its check_format stands in place",
    ),
    "a matrix without an end": (
        lambda: replaced(scipy.sparse.coo_array(np.eye(3)), _shape=(10**9, 3)), "at most 10000000"
    ),
    "a function that writes": (
        lambda: partial(np.mean, out=np.zeros(3)), "it gives a function 'out'"
    ),
    "a function that writes behind what it is given": (
        lambda: partial(np.divmod, 7, 2, np.zeros(3)), "it gives divmod 3 arguments"
    ),
    "a function that writes in the place of another": (
        lambda: partial(np.mean, 7, 0, None, np.zeros(3)), "an array by its place"
    ),
    "a function that leaves out": (lambda: partial(np.add, 1, where=0), "gives a function 'where'"),
    "a step that leaves out": (
        lambda: FunctionTransformer(np.log, kw_args={"where": False}), "gives a function 'where'"
    ),
    "the way back": (
        lambda: FunctionTransformer(inverse_func=np.exp, inv_kw_args={"out": np.zeros(3)}),
        "it gives a function 'out'",
    ),
    "a distance that writes": (
        lambda: DistanceMetric.get_metric("pyfunc", func=np.add, out=np.zeros(3)),
        "it gives a function 'out'",
    ),
    "a function of training": (lambda: _kmeans_single_lloyd, "_lloyd, which is not allowed"),
    "a function that passes for an estimator": (
        lambda: Bunch(predict=np.mean), "its predict is a function"
    ),
    "a class that would be called": (lambda: np.ndarray, "is the class numpy.ndarray"),
    "a function that reads files": (lambda: np.load, "is the function numpy.load"),
    "a method": (lambda: [].append, "is the function"),
}  # fmt: skip


def with_position(bits: Any, name: str, position: int) -> Any:
    bits.state = {**bits.state, name: position}
    return bits


def replaced(value: Any, **attributes: Any) -> Any:
    vars(value).update(attributes)
    return value


def with_coefficients(pieces: Any, coefficients: Any) -> Any:
    pieces._c = coefficients
    return pieces


def changed_matrix(form: str, name: str, at: int, value: int) -> Any:
    made = scipy.sparse.csr_array(np.eye(3)).asformat(form)
    getattr(made, name)[at] = value
    return made


def changed_coordinates() -> Any:
    made = scipy.sparse.coo_array(np.eye(3))
    made.coords[1][0] = 99
    return made


def changed_list() -> Any:
    made = scipy.sparse.lil_array(np.eye(3))
    made.rows[0] = [99]
    return made


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", ["in a list", "in an array", "as a key's value", "on a step"])
def test_it_is_refused_wherever_it_stands(name: str, place: str) -> None:
    make, sentence = VALUES[name]
    step = StandardScaler().fit(X)
    array = np.empty(1, dtype=object)
    array[0] = make()
    step.own = {
        "in a list": [[make()]],
        "in an array": array,
        "as a key's value": {"a": (make(),)},
        "on a step": make(),
    }[place]
    with pytest.raises((Unsound, Untrusted)) as caught:
        require_sound(make_pipeline(step, LinearRegression()), DEFAULT)
    assert re.search(sentence, caught.value.told)


def test_search_trees_are_built_again_from_their_rows() -> None:
    for kind in (KDTree, BallTree):
        tree = weightless(kind(X, leaf_size=4))
        step = KNeighborsRegressor(3, algorithm="brute").fit(X, NUMBERS)
        step.own = tree
        require_sound(step, DEFAULT)
        assert np.array_equal(tree.query(X, 3)[1], kind(X, leaf_size=4).query(X, 3)[1])


def test_a_tree_says_how_deep_it_is() -> None:
    tree = DecisionTreeClassifier(max_depth=4).fit(X, Y)
    depth = tree.get_depth()
    tree.tree_ = remade(tree.tree_, lambda state: state.update(max_depth=0))
    require_sound(tree, DEFAULT)
    assert tree.get_depth() == depth
    assert tree.decision_path(X).shape == (len(X), tree.tree_.node_count)


def test_threads_are_no_more_than_there_are() -> None:
    means = KMeans(2, n_init=1).fit(X)
    means._n_threads = 10**6
    forest = RandomForestClassifier(2).fit(X, Y).set_params(n_jobs=10**6)
    require_sound([means, forest], DEFAULT)
    assert means._n_threads < 10**4
    assert forest.n_jobs < 10**4
    for jobs in (np.int64(10**6), 1e6, np.float64(1e300)):
        forest.set_params(n_jobs=jobs)
        require_sound(forest, DEFAULT)
        assert forest.n_jobs < 10**4
    distances = partial(pairwise_distances, n_jobs=10**6)
    require_sound(FunctionTransformer(distances), DEFAULT)
    assert distances.keywords["n_jobs"] < 10**4
    forest.set_params(n_jobs=-1)
    require_sound(forest, DEFAULT)
    assert forest.n_jobs == -1


def test_a_path_and_a_key_are_no_longer_than_a_sentence() -> None:
    deep: Any = np.load
    for key in [10**5000, "a" * 10**6, *range(10**4)]:
        deep = {key: [deep]}
    with pytest.raises(Untrusted, match=r"^LinearRegression\.own.* is the function") as raised:
        require_sound(replaced(LinearRegression(), own=deep), DEFAULT)
    assert len(str(raised.value)) < 1000


# Texts ------------------------------------------------------------------------------------


def read_from(kind: Any, **settings: Any) -> Any:
    """A vectorizer that opens files."""
    return kind(**settings).set_params(input="filename")


NESTED: dict[str, Callable[[Any], Any]] = {
    "first": lambda words: make_pipeline(words, LogisticRegression()),
    "in a column": lambda words: ColumnTransformer([("a", words, 0)]),
    "in a union": lambda words: FeatureUnion([("a", StandardScaler()), ("b", words)]),
    "in each of many": lambda words: OneVsRestClassifier(make_pipeline(words, MultinomialNB())),
    "in a stack": lambda words: StackingClassifier([("a", make_pipeline(words, MultinomialNB()))]),
    "in a bag": lambda words: replaced(BaggingClassifier(), estimators_=[words]),
    "on an attribute": lambda words: replaced(StandardScaler(), helper={"deep": [words]}),
}


@pytest.mark.parametrize("kind", [CountVectorizer, TfidfVectorizer, HashingVectorizer])
@pytest.mark.parametrize("where", NESTED)
def test_a_vectorizer_that_opens_files_is_refused_wherever_it_stands(where: str, kind: Any) -> None:
    require_sound(NESTED[where](kind()), DEFAULT)
    for value in ("filename", "file", None, "Content", b"content"):
        pipeline = NESTED[where](kind().set_params(input=value))
        with pytest.raises(Unsound, match="it may only be 'content'"):
            require_sound(pipeline, DEFAULT)


def test_so_is_one_of_the_operators_own_class() -> None:
    class Words(CountVectorizer):  # type: ignore[misc]
        input = "filename"

    words = Words()
    del words.input
    with pytest.raises(Unsound, match="it may only be 'content'"):
        require_sound(words, Trust(frozenset({f"{Words.__module__}.{Words.__qualname__}"})))


def test_a_vocabulary_is_no_path() -> None:
    with pytest.raises(Unsound, match="vocabulary is a text"):
        require_sound(CountVectorizer(vocabulary="/etc/passwd"), DEFAULT)
    require_sound(CountVectorizer(vocabulary=["good", "bad"]), DEFAULT)


@pytest.mark.parametrize("name", ["preprocessor", "tokenizer", "analyzer"])
@pytest.mark.parametrize("function", [np.load, np.ndarray, open, io.open_code, joblib.load])
def test_a_vectorizer_calls_no_function_that_is_not_allowed(name: str, function: Any) -> None:
    words = CountVectorizer().set_params(**{name: function})
    with pytest.raises(Untrusted, match="--trusted"):
        require_sound(words, DEFAULT)


@pytest.mark.parametrize("function", [np.load, np.fromfile, open, joblib.load, np.ndarray])
def test_nor_does_a_step_that_is_a_function(function: Any) -> None:
    for step in (FunctionTransformer(function), FunctionTransformer(inverse_func=function)):
        with pytest.raises(Untrusted, match="--trusted"):
            require_sound(make_pipeline(step, LinearRegression()), DEFAULT)
    require_sound(make_pipeline(FunctionTransformer(np.log1p)), DEFAULT)


def test_a_cache_on_the_disk_is_refused(tmp_path: Path) -> None:
    pipeline = make_pipeline(StandardScaler(), memory=joblib.Memory(tmp_path, verbose=0))
    with pytest.raises(Untrusted, match=r"memory .*--trusted joblib\.memory\.Memory"):
        require_sound(pipeline, DEFAULT)


def test_a_pattern_of_its_own_is_told() -> None:
    for kind in (CountVectorizer, TfidfVectorizer, HashingVectorizer):
        ordinary = ColumnTransformer([("a", kind(), 0), ("b", kind(analyzer="char"), 0)])
        assert warnings_of(ordinary, DEFAULT) == []
        own = ColumnTransformer([("a", kind(token_pattern=r"(?:a+)+b|\w+"), 0), ("b", kind(), 0)])
        [told] = warnings_of(own, DEFAULT)
        assert r"'(?:a+)+b|\\w+'" in told
        assert "holds up all other requests" in told


# At the doors ------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rows = np.column_stack([X, Y])
    np.savetxt(tmp_path / "xy.csv", rows, "%.3f", ",", header="a,b,c,y", comments="")
    return tmp_path


def write_file(path: Path, pipeline: Any) -> str:
    if path.suffix == ".skops":
        skops.io.dump(pipeline, path)
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(pipeline))
    else:
        joblib.dump(pipeline, path)
    return str(path)


@pytest.mark.parametrize("ending", ["pkl", "joblib", "skops"])
def test_an_import_is_refused_before_anything_is_asked(ending: str, files: Path) -> None:
    def request(pipeline: Any, **options: Any) -> ImportRequest:
        return ImportRequest(
            name="small",
            files=(write_file(files / f"small.{ending}", pipeline),),
            sample=str(files / "xy.csv"),
            target=("y",),
            **options,
        )

    tree = DecisionTreeClassifier(max_depth=2).fit(X, Y)
    report, draft = import_files(request(tree))
    assert draft is not None
    assert report.refusals == ()
    where = rf"small\.{ending}: DecisionTreeClassifier\.tree_ "
    for options in ({"publish": True}, {"publish": False}):
        with pytest.raises(Unsound, match=f"{where}.*leads to"):
            import_files(request(led_astray(tree), **options))
    report, _ = import_files(request(led_astray(tree), publish=False, attempt=False))
    assert len(report.refusals) == 1
    assert re.search(f"{where}.*leads to", report.refusals[0])


@pytest.mark.parametrize("ending", ["joblib", "skops"])
def test_an_import_of_what_opens_files_is_refused(ending: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, MOODS)
    pipeline[0].input = "filename"
    file = write_file(tmp_path / f"words.{ending}", pipeline)
    with pytest.raises(Unsound, match="it would open what a client names"):
        import_files(ImportRequest(name="words", files=(file,)))


def test_an_import_tells_of_a_pattern(tmp_path: Path) -> None:
    pipeline = make_pipeline(TfidfVectorizer(token_pattern=r"\w+"), LogisticRegression())
    file = write_file(tmp_path / "words.joblib", pipeline.fit(TEXTS, MOODS))
    report, _ = import_files(ImportRequest(name="words", files=(file,)))
    assert [warning[:44] for warning in report.warnings] == [
        "The pipeline brings a pattern of its own to "
    ]


def signed(root: Path, data: bytes) -> ModelStore:
    """A store with a version of this artifact, which nobody has looked at."""
    store = ModelStore(root)
    published = store.publish("small", DecisionTreeClassifier(max_depth=2).fit(X, Y), X, Y)
    write(root / "small" / "1" / ARTIFACT, data)
    files = {**published.files, ARTIFACT: File.of(data)}
    write(
        root / "small" / "1" / MANIFEST,
        manifest.write(msgspec.structs.replace(published, files=files)),
    )
    return store


@pytest.mark.parametrize(
    "pipeline",
    [
        led_astray(DecisionTreeClassifier(max_depth=2).fit(X, Y)),
        led_astray(DecisionTreeClassifier(max_depth=2).fit(X, Y), 0),
        replaced(KNeighborsClassifier(3, algorithm="brute").fit(X, Y), n_samples_fit_=10**6),
        replaced(DecisionTreeClassifier().fit(X, Y), own=random_state(700)),
    ],
)
def test_a_version_is_refused_whoever_signed_it(pipeline: Any, tmp_path: Path) -> None:
    store = signed(tmp_path, pickle.dumps(pipeline))
    verified = store.verify("small", pickles="always")
    # Of a position the reader of pickles tells before it makes the generator.
    with pytest.raises(ModelStoreError, match=r"is not what it should be|integer from 0 to 624"):
        store.load(verified)


@pytest.mark.parametrize("compress", [bz2.compress, gzip.compress, lzma.compress, zlib.compress])
def test_nothing_in_a_store_is_inflated(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = pickle.dumps(DecisionTreeClassifier(max_depth=2).fit(X, Y))
    whole, compressed = signed(tmp_path / "a", data), signed(tmp_path / "b", compress(data))
    whole.load(whole.verify("small", pickles="always"))
    verified = compressed.verify("small", pickles="always")
    with pytest.raises(LoadFailed, match="this is compressed"):
        compressed.load(verified)


def test_what_would_be_refused_is_not_published(tmp_path: Path) -> None:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, MOODS)
    store = ModelStore(tmp_path)
    store.publish("words", pipeline, TEXTS, MOODS)
    pipeline[0].ngram_range = (0, 1)
    with pytest.raises(ModelStoreError, match="its ngram_range is"):
        store.publish("words", pipeline, TEXTS, MOODS)
