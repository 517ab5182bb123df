"""What a pickle may name, by default and beyond, and what is said of the rest."""

from __future__ import annotations

import importlib
import io
import pickle
import pkgutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
import sklearn
from scipy import stats
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, Matern, RationalQuadratic, WhiteKernel
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer

from model_store import pickles
from model_store.errors import LoadFailed, UnreadableFile, Untrusted
from model_store.pickles import Global
from model_store.reconstruct.row import Named, Row
from model_store.trust import JUDGED, Trust, is_gone
from model_store.user_module import Code

draw = np.random.default_rng(0)
X = np.abs(draw.normal(size=(30, 3))) + 0.1
Y = (X[:, 0] > X[:, 0].mean()).astype(int)
DEFAULT = Trust()


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def called(module: str, name: str, *arguments: bytes) -> bytes:
    return named(module, name) + b"(" + b"".join(arguments) + b"tR"


def stream(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def refused(data: bytes) -> list[str]:
    return list(map(str, DEFAULT.refused(pickles.listing(data).globals)))


# What is beyond the default ------------------------------------------------------------


def test_a_distribution_of_scipy_would_run_the_text_in_its_state(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    normal = stats.norm.__class__(name="norm")
    state = {**normal.__getstate__(), "_parse_arg_template": f"open({str(marker)!r}, 'w').close()"}
    kind = type(normal)
    data = stream(
        named(kind.__module__, kind.__name__), b")\x81", pickle.dumps(state, 4)[2:-1], b"b"
    )
    with pytest.raises(KeyError):
        pickle.loads(data)
    assert marker.exists()
    marker.unlink()
    with pytest.raises(Untrusted, match="norm_gen"):
        DEFAULT.require("a.pkl", pickles.listing(data).globals)
    with pytest.raises(Untrusted, match="norm_gen"):
        pickles.load(data, DEFAULT)
    assert not marker.exists()


def test_an_array_on_a_file_makes_no_file(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = stream(
        called("numpy", "memmap", text(str(marker)), text("u1"), text("w+"), b"K\0K\1\x85")
    )
    pickle.loads(data)
    assert marker.exists()
    marker.unlink()
    with pytest.raises(Untrusted, match=r"calls numpy\.memmap"):
        pickles.load(data, DEFAULT)
    assert not marker.exists()


def test_a_folder_of_joblib_is_not_made(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = stream(called("joblib.memory", "Memory", text(str(marker))))
    pickle.loads(data)
    assert marker.exists()
    with pytest.raises(Untrusted, match=r"joblib\.memory\.Memory"):
        pickles.load(data, DEFAULT)


@pytest.mark.parametrize(
    "name",
    [
        "joblib.parallel.Parallel",
        "joblib.test.common.setup_autokill",
        "numpy.f2py.crackfortran.crackfortran",
        "numpy.lib.npyio.NpzFile",
        "numpy.random.bit_generator.abc",
        "scipy.interpolate._rbf.Rbf",
        "scipy.optimize._optimize._Brute_Wrapper",
        "scipy.sparse.linalg._interface.LinearOperator",
        "scipy.spatial._qhull._Qhull",
        "scipy.special._testutils.check_version",
        "sklearn.callback._scoring_monitor.ScoringMonitor",
        "sklearn.callback._transport.open_listener",
        "sklearn.metrics.pairwise._parallel_pairwise",
        "sklearn.metrics.pairwise.distance_metrics",
        "sklearn.metrics.pairwise.kernel_metrics",
        "sklearn.pipeline.clone",
        "sklearn.utils.deprecation.deprecated",
        "sklearn.utils.estimator_checks.check_estimator",
        "sklearn.utils.metaestimators.available_if",
        "sklearn.utils.parallel.Parallel",
        "sklearn.utils.parallel._FuncWrapper",
    ],
)
def test_what_reaches_further_than_an_estimator_is_refused(name: str) -> None:
    module, _, last = name.rpartition(".")
    assert refused(stream(named(module, last))) == [name]
    with pytest.raises(Untrusted, match="which is not allowed"):
        DEFAULT.resolve(module, last)


def test_what_the_whole_process_shares_is_not_changed() -> None:
    from sklearn.metrics import mean_squared_error
    from sklearn.metrics.pairwise import PAIRWISE_KERNEL_FUNCTIONS
    from sklearn.pipeline import Pipeline

    poisons = [
        stream(named("sklearn.pipeline", "FeatureUnion"), b"N}", text("a"), b"K\1s\x86b"),
        stream(
            named("sklearn.metrics._regression", "mean_squared_error"),
            *(b"N}", text("__defaults__"), b"K\1\x85s\x86b"),
        ),
        stream(
            named("sklearn.metrics._regression", "mean_squared_error"), b"}", text("a"), b"K\1sb"
        ),
        stream(
            called("sklearn.utils.deprecation", "deprecated"),
            *(named("sklearn.pipeline", "Pipeline"), b"\x85R"),
        ),
        stream(called("sklearn.metrics.pairwise", "kernel_metrics"), text("a"), b"K\1s"),
    ]
    made = Pipeline.__new__
    for data in poisons:
        with pytest.raises((Untrusted, UnreadableFile)):
            pickles.load(data, DEFAULT)
    assert not hasattr(FeatureUnion, "a")
    assert not vars(mean_squared_error).get("a")
    assert mean_squared_error.__defaults__ is None
    assert Pipeline.__new__ is made
    assert "a" not in PAIRWISE_KERNEL_FUNCTIONS


@pytest.mark.process
def test_a_look_imports_only_what_it_may_judge(tmp_path: Path) -> None:
    (tmp_path / "trap.py").write_text("open('marker', 'w')")
    script = """
import sys
from model_store import pickles
from model_store.trust import Trust
names = [
    ("trap", "x"), ("joblib.test.common", "x"), ("numpy.f2py", "x"), ("numpy", "f2py.os.system"),
    ("sklearn.conftest", "x"), ("numpy.testing", "x"), ("scipy.io", "x"), ("pandas", "read_pickle"),
    ("sklearn.utils.estimator_checks", "x"), ("sklearn.callback", "x"),
]
before = set(sys.modules)
data = b"".join(b"c" + m.encode() + b"\\n" + n.encode() + b"\\n" for m, n in names) + b"."
listing = pickles.listing(data)
print(sorted(set(sys.modules) - before))
refused = Trust().refused(listing.globals)
print(len(refused) == len(names))
print(sorted(m for m in set(sys.modules) - before if m.split(".")[0] in {"trap", "pandas", "pytest"}
    or set(m.split(".")) & {"test", "testing", "f2py", "conftest", "callback", "io"}
    and m.split(".")[0] in {"joblib", "numpy", "scipy", "sklearn"}))
"""
    root = Path(__file__).parent.parent.parent
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(root)!r}, '.']\n{script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines() == ["[]", "True", "[]"]
    assert not (tmp_path / "marker").exists()


def judged() -> Iterator[str]:
    """The modules of which names are judged by what they lead to."""
    yield from JUDGED
    for found in pkgutil.walk_packages(sklearn.__path__, "sklearn.", onerror=lambda name: None):
        yield found.name


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_a_module_has_imported_from_elsewhere_is_reached() -> None:
    seen = 0
    for module in judged():
        if {"tests", "externals", "_build_utils", "conftest", "__main__"} & set(module.split(".")):
            continue
        try:
            names = list(vars(importlib.import_module(module)))
        except ImportError:  # Of another numpy, or for a package that is not there.
            continue
        for name in names:
            if DEFAULT.refused([Global(module, name)]):
                continue
            seen += 1
            found = DEFAULT.resolve(module, name)
            if not isinstance(found, np.ufunc | Row | Named):
                home = found.__module__.split(".")
                assert home[0] in {"sklearn", "numpy"}, (module, name)
                assert not {"os", "subprocess", "callback", "externals"} & set(home)
    assert seen > 1000


# What is allowed, because ordinary pipelines name it ------------------------------------


def frames() -> Iterator[tuple[Any, Any]]:
    """Pipelines that keep something of pandas, and their rows."""
    frame = pandas.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": np.where(Y, "yes", "no")})
    category = frame.astype({"c": "category"})
    for columns in (frame.columns[:2], frame.select_dtypes("number").columns):
        chosen = ColumnTransformer([("a", "passthrough", columns)])
        yield make_pipeline(chosen, LogisticRegression()).fit(frame, Y), frame
    for kind in ("category", pandas.CategoricalDtype):
        chosen = ColumnTransformer(
            [("c", OneHotEncoder(), make_column_selector(dtype_include=kind))]
        )
        yield make_pipeline(chosen, LogisticRegression()).fit(category, Y), category
    encode = OneHotEncoder(categories=[pandas.Index(["no", "yes"])], sparse_output=False)
    yield encode.fit(frame[["c"]]), frame[["c"]]
    yield ColumnTransformer([("a", "passthrough", pandas.RangeIndex(2))]).fit(X), X
    for table in (frame, category["c"], frame.set_index(["c", "a"])):
        held = FunctionTransformer(np.clip, kw_args={"a_min": 0, "a_max": 1, "out": None})
        held.table_ = table
        yield held.fit(X), X


def matrices() -> Iterator[Any]:
    """Estimators that were fitted on X."""
    for metric in ("euclidean", "manhattan", "chebyshev", "minkowski"):
        for algorithm in ("kd_tree", "ball_tree"):
            for dtype in (np.float64, np.float32):
                model = KNeighborsClassifier(algorithm=algorithm, metric=metric)
                yield model.fit(X.astype(dtype), Y)
    yield KernelDensity().fit(X)
    for kernel in (RBF() + WhiteKernel(), 2 * Matern(), RationalQuadratic() ** 2):
        yield GaussianProcessRegressor(kernel).fit(X, Y)
    for loss in ("log_loss", "exponential"):
        yield GradientBoostingClassifier(loss=loss, n_estimators=2).fit(X, Y)
    for loss in ("squared_error", "absolute_error", "huber", "quantile"):
        yield GradientBoostingRegressor(loss=loss, n_estimators=2).fit(X, Y)
    for loss in ("squared_error", "absolute_error", "gamma", "poisson", "quantile"):
        model = HistGradientBoostingRegressor(loss=loss, quantile=0.5, max_iter=2)
        yield model.fit(X, Y + 1)
    for loss in ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron"):
        yield SGDClassifier(loss=loss, random_state=np.random.RandomState(0)).fit(X, Y)
    for splits in (KFold(2), StratifiedKFold(2), TimeSeriesSplit(2)):
        search = GridSearchCV(LinearRegression(), {"positive": [True, False]}, cv=splits)
        yield search.fit(X, Y)
    yield RandomizedSearchCV(LinearRegression(), {"positive": [True]}, n_iter=1, cv=2).fit(X, Y)
    yield FeatureUnion([("s", SplineTransformer()), ("f", FunctionTransformer(np.log1p))]).fit(X)


def reread(value: Any) -> Iterator[Any]:
    """The value as it comes back from a pickle and from a joblib file, with the default alone."""
    buffer = io.BytesIO()
    joblib.dump(value, buffer, compress=1)
    for data in (pickle.dumps(value), buffer.getvalue()):
        assert refused(data) == [], value
        yield pickles.load(data, DEFAULT)


def answer(estimator: Any, rows: Any) -> Any:
    for method in ("predict", "transform", "score_samples"):
        if hasattr(estimator, method):
            return getattr(estimator, method)(rows)
    raise AssertionError(estimator)


@pytest.mark.filterwarnings("ignore")
def test_what_ordinary_pipelines_hold_is_allowed_and_answers_the_same() -> None:
    for pipeline, rows in [*frames(), *((each, X) for each in matrices())]:
        for again in reread(pipeline):
            assert np.array_equal(answer(again, rows), answer(pipeline, rows)), pipeline


@pytest.mark.parametrize("name", get_scorer_names())
def test_a_search_may_hold_any_scorer(name: str) -> None:
    for again in reread(get_scorer(name)):
        assert repr(again) == repr(get_scorer(name))


@pytest.mark.parametrize(
    "name",
    [
        "numpy.log1p",
        "numpy._core._multiarray_umath.log1p",
        "numpy.core._multiarray_umath.log1p",
        "scipy.special.expit",
        "scipy.special._ufuncs.gammaln",
        "scipy.sparse.csr.csr_matrix",
        "scipy.interpolate.interpolate.interp1d",
        "scipy.spatial.ckdtree.cKDTree",
        "scipy.optimize.optimize.OptimizeResult",
        "numpy.core.records.recarray",
        "numpy.random.__RandomState_ctor",
        "sklearn.utils.Bunch",
    ],
)
def test_names_of_other_releases_are_found_without_a_warning(name: str) -> None:
    if name.startswith("numpy._core") and np.__version__.startswith("1."):
        pytest.skip("numpy 1 has no such module")
    module, _, last = name.rpartition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert DEFAULT.refused([Global(module, last)]) == []
        found = DEFAULT.resolve(module, last)
        assert callable(found) or isinstance(found, Row | Named)


# What is gone -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.linear_model.logistic", "LogisticRegression"),
        ("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper"),
        ("sklearn.compose._column_transformer", "_NoSuchColumns"),
        ("_loss", "__pyx_unpickle_NoSuchLoss"),
    ],
)
def test_what_scikit_learn_has_no_more_is_no_question_of_trust(module: str, name: str) -> None:
    assert is_gone(module, name)
    assert DEFAULT.refused([Global(module, name)]) == []
    with pytest.raises(
        LoadFailed, match=rf"^The installed scikit-learn has no {module}\.{name}\.$"
    ):
        DEFAULT.resolve(module, name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.base", "clone"),
        ("sklearn.base", "np.nothing"),
        ("sklearn.tests.nothing", "x"),
        ("sklearn", "nothing"),
        ("joblib.nothing", "x"),
        ("os", "nothing"),
    ],
)
def test_what_is_there_or_of_others_is_not_gone(module: str, name: str) -> None:
    assert not is_gone(module, name)


# What the operator allows, and what is said ----------------------------------------------


def test_what_is_allowed_is_looked_up_anywhere_and_told_where_it_is_not() -> None:
    trust = Trust(frozenset({"os.path.join", "collections.abc.Nothing", "__main__.Own"}))
    assert trust.resolve("os", "path.join") is trust.resolve("os.path", "join")
    with pytest.raises(LoadFailed, match=r"^collections\.abc\.Nothing is not there; install"):
        trust.resolve("collections.abc", "Nothing")
    with pytest.raises(LoadFailed, match=r"^__main__\.Own is not there; put .* --code\.$"):
        trust.resolve("__main__", "Own")
    with pytest.raises(Untrusted):
        trust.resolve("os", "system")


def test_all_that_is_refused_is_named_and_a_class_of_ones_own_is_told_where_to_go() -> None:
    names = [Global("__main__", "Own"), Global("os", "system"), Global("sklearn.base", "clone")]
    with pytest.raises(
        Untrusted,
        match=r"^a\.pkl names __main__\.Own, os\.system, sklearn\.base\.clone\. __main__\.Own is "
        r"of no installed package: put it into a module file and name that with "
        r"--code module\.py\.$",
    ):
        DEFAULT.require("a.pkl", names)
    with pytest.raises(
        Untrusted, match=r"with --trusted os\.system --trusted sklearn\.base\.clone, or all"
    ):
        DEFAULT.require("a.pkl", names[1:])
    code = Code("steps", b"class Own:\n    pass\n")
    assert list(map(str, Trust(code=code).refused(names))) == ["os.system", "sklearn.base.clone"]
    assert Trust(code=code).resolve("__main__", "Own").__name__ == "Own"
