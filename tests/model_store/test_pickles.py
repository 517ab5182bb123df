"""What pickles name is found without running it, and read with only what is trusted."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import sys
import tracemalloc
import types
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
import scipy.sparse
from hypothesis import given, settings, strategies
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.discovery import all_estimators

from model_store import pickles
from model_store.errors import LoadFailed, ModelStoreError, UnreadableFile, Untrusted
from model_store.trust import Trust

random = np.random.default_rng(0)
X = np.abs(random.normal(size=(40, 4))) + 0.1
Y = (X[:, 0] > X[:, 0].mean()).astype(int)


def dumped(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer, **options)
    return buffer.getvalue()


def require(data: bytes) -> None:
    Trust().require("file.pkl", pickles.listing(data).globals)


# Hostile ------------------------------------------------------------------------


class Hostile:
    """Its pickle makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def nested(marker: Path) -> Any:
    """An array of objects, which joblib writes as a pickle within the file."""
    array = np.empty(2, dtype=object)
    array[1] = Hostile(marker)
    return {"numbers": np.arange(5.0), "array": array}


def named(module: str, name: str, argument: str) -> bytes:
    """A pickle that calls a global with a text."""

    def text(value: str) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value.encode()

    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def plain(protocol: int, marker: Path) -> bytes:
    return pickle.dumps(Hostile(marker), protocol)


MALICIOUS: dict[str, Callable[[Path], bytes]] = {
    **{f"protocol {protocol}": partial(plain, protocol) for protocol in range(6)},
    "joblib": lambda marker: dumped({"x": np.arange(5.0), "y": Hostile(marker)}),
    "joblib, compressed": lambda marker: dumped([np.arange(5.0), Hostile(marker)], compress=3),
    "joblib, xz": lambda marker: dumped([np.arange(5.0), Hostile(marker)], compress=("xz", 3)),
    "in an array of joblib": lambda marker: dumped(nested(marker)),
    "in an array of a pickle": lambda marker: pickle.dumps(nested(marker)),
    "INST": lambda marker: b"(S'" + str(marker).encode() + b"'\nios\nmkdir\n.",
    "OBJ": lambda marker: b"(cos\nmkdir\nS'" + str(marker).encode() + b"'\no.",
    "in a partial call": lambda marker: pickle.dumps(partial(os.mkdir, str(marker))),
    "BUILD": lambda marker: (
        b"\x80\x02csklearn.linear_model._base\nLinearRegression\n)\x81}X\x07\x00\x00\x00predict"
        b"cos\nmkdir\nsb."
    ),
}

REACHED_THROUGH = [
    ("joblib", "os.mkdir"),
    ("joblib.os", "mkdir"),
    ("joblib", "Memory"),
    ("joblib.memory", "Memory"),
    ("joblib.parallel", "Parallel"),
    ("joblib.externals.loky.backend.popen_loky_posix", "Popen"),
    ("joblib.externals.cloudpickle", "subimport"),
    ("sklearn.base", "np.os.mkdir"),
    ("sklearn.base", "BaseEstimator.__init__.__globals__"),
    ("sklearn.base", "sys.modules"),
    ("sklearn.datasets", "load_files"),
    ("sklearn.externals", "os.mkdir"),
    ("sklearn.utils._testing", "os.mkdir"),
    ("sklearn.utils.fixes", "os.mkdir"),
    ("sklearn.utils._bunch", "Bunch.__class__"),
    ("sklearn.conftest", "environ"),
    ("numpy", "os.mkdir"),
    ("numpy", "f2py.os.mkdir"),
    ("numpy", "load"),
    ("numpy", "fromfile"),
    ("numpy", "vectorize"),
    ("numpy", "dtype.__class__"),
    ("numpy.core", "_ufunc_reconstruct"),
    ("numpy._core", "_ufunc_reconstruct"),
    ("numpy.ctypeslib", "load_library"),
    ("numpy.f2py.__main__", "main"),
    ("numpy.lib._datasource", "DataSource"),
    ("numpy.testing", "runstring"),
    ("scipy.stats._continuous_distns", "norm_gen"),
    ("scipy.stats._distn_infrastructure", "rv_frozen"),
    ("scipy.io", "loadmat"),
    ("pandas", "read_pickle"),
    ("pandas", "eval"),
    ("pandas.core.frame", "read_csv"),
    ("pandas.io.parsers.readers", "read_csv"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("builtins", "open"),
    ("builtins", "__import__"),
    ("builtins", "compile"),
    ("builtins", "type"),
    ("__builtin__", "eval"),
    ("posix", "mkdir"),
    ("operator", "attrgetter"),
    ("functools", "reduce"),
    ("copyreg", "add_extension"),
    ("importlib", "import_module"),
    ("_pickle", "loads"),
    ("__main__", "anything"),
    ("no_such_package.anywhere", "anything"),
]


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.mark.parametrize("case", MALICIOUS)
def test_a_malicious_file_is_refused_by_what_it_names(case: str, marker: Path) -> None:
    data = MALICIOUS[case](marker)
    with pytest.raises(Untrusted, match=r"(posix|os)\.mkdir"):
        require(data)
    with pytest.raises(Untrusted, match=r"(posix|os)\.mkdir"):
        pickles.load(data, Trust())
    assert not marker.exists()


def test_the_malicious_files_would_make_their_folder(marker: Path) -> None:
    for case in ("protocol 4", "joblib", "in an array of joblib"):
        joblib.load(io.BytesIO(MALICIOUS[case](marker)))
        assert marker.is_dir()
        marker.rmdir()


@pytest.mark.parametrize(("module", "name"), REACHED_THROUGH)
def test_a_name_is_judged_by_what_it_leads_to(module: str, name: str, marker: Path) -> None:
    data = named(module, name, str(marker))
    with pytest.raises(Untrusted):
        require(data)
    with pytest.raises((Untrusted, LoadFailed)):
        pickles.load(data, Trust())
    assert not marker.exists()


def test_all_that_is_refused_is_named_with_the_way_out() -> None:
    data = pickle.dumps([os.getcwd, os.getpid, np.float64(1)])
    with pytest.raises(
        Untrusted,
        match=r"^file\.pkl names posix\.getcwd, posix\.getpid, which is not allowed: .*--trusted "
        r"posix\.getcwd --trusted posix\.getpid, or all that it names with --trust\.$",
    ):
        require(data)
    allowed = Trust(frozenset({"posix.getcwd", "posix.getpid"}))
    assert pickles.load(data, allowed) == [os.getcwd, os.getpid, 1.0]


def test_an_array_that_came_from_a_file_is_an_array(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "data", dtype=float, shape=(3,), mode="w+")
    mapped[:] = [1, 2, 3]
    for data in (pickle.dumps(mapped), dumped({"a": mapped})):
        require(data)
        found = pickles.load(data, Trust())
        array = found["a"] if isinstance(found, dict) else found
        assert type(array) is np.ndarray
        assert array.tolist() == [1, 2, 3]


# Not readable ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no whole pickle"),
        (b"hello", "no whole pickle"),
        (b"\x80\x63.", "no whole pickle"),
        (b"\x80\x02\x82\x01.", "extension codes"),
        (b"\x80\x02U\x01xQ.", "persistent"),
        (b"\x04\x22\x4d\x18rest", "lz4"),
        (b"PK\x03\x04", "zip"),
        (b"ZF0x12", "joblib before 0.10"),
        (b"\x1f\x8bnonsense", "broken or cut off"),
        (b"x\x9cnonsense", "broken or cut off"),
        (pickle.dumps(1) + pickle.dumps(2), "a file of its own"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", "no whole pickle"),
        (b"\x80\x04]" + b"(" * 10, "no whole pickle"),
    ],
)
def test_what_is_no_pickle_is_told_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(UnreadableFile, match=sentence):
        pickles.listing(data)


def wholes() -> Iterator[bytes]:
    value = {"x": np.arange(20.0), "o": np.array(["a", None], object), "s": scipy.sparse.eye(2)}
    yield dumped(value)
    yield dumped(value, compress=3)
    yield from (pickle.dumps(value, protocol) for protocol in range(6))


@pytest.mark.parametrize("number", range(8))
def test_a_file_that_is_cut_off_anywhere_is_told_as_such(number: int) -> None:
    whole = list(wholes())[number]
    for end in range(len(whole)):
        with pytest.raises(UnreadableFile):
            pickles.listing(whole[:end])


def test_an_array_that_claims_more_than_the_file_holds_takes_no_memory() -> None:
    data = dumped(np.arange(1000.0))
    claimed = data.replace(b"M\xe8\x03", b"J\xff\xff\xff\x7f")
    assert claimed != data
    for read in (pickles.listing, lambda data: pickles.load(data, Trust())):
        with pytest.raises(UnreadableFile, match="an array is cut off"):
            read(claimed)


@pytest.mark.parametrize("compress", [("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_a_compressed_file_that_is_cut_off_anywhere_is_told_as_such(compress: Any) -> None:
    whole = dumped({"x": np.arange(9.0), "o": np.array(["a", None], object)}, compress=compress)
    for end in range(len(whole)):
        with pytest.raises(UnreadableFile):
            pickles.listing(whole[:end])


@pytest.mark.parametrize("number", range(8))
def test_loading_what_is_cut_off_ends_in_the_same_sentence(number: int) -> None:
    whole = list(wholes())[number]
    for end in range(len(whole)):
        with pytest.raises(UnreadableFile):
            pickles.load(whole[:end], Trust())


@settings(max_examples=400, deadline=None, derandomize=True)
@given(strategies.binary(max_size=60), strategies.sampled_from([b"", b"\x80\x02", b"\x80\x05"]))
def test_bytes_of_any_kind_end_in_a_sentence_or_in_a_listing(data: bytes, start: bytes) -> None:
    with contextlib.suppress(UnreadableFile):
        pickles.listing(start + data)


def wrapper(shape: bytes) -> bytes:
    """A pickle of an array of joblib, of bytes, with this as its shape."""
    return (
        b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\x05\x00\x00\x00dtypecnumpy\ndtype\n"
        b"X\x02\x00\x00\x00u1\x89\x88\x87RX\x05\x00\x00\x00shape" + shape + b"ub."
    )


@pytest.mark.parametrize(
    "shape",
    [b"J\xce\xff\xff\xff\x85", b"N", b"X\x01\x00\x00\x003\x85", b"G@\b" + b"\0" * 6 + b"\x85"],
)
def test_an_array_of_a_shape_that_cannot_be_leads_nowhere(shape: bytes) -> None:
    with pytest.raises(UnreadableFile, match="an array of no shape"):
        pickles.listing(wrapper(shape) + b"rest")
    with pytest.raises(Untrusted, match=r"gives joblib\.numpy_pickle\.NumpyArrayWrapper the state"):
        pickles.load(wrapper(shape) + b"rest", Trust())


def test_bytes_that_claim_more_than_the_file_holds_take_no_memory() -> None:
    data = b"\x80\x05\x96" + (1 << 30).to_bytes(8, "little") + b"."
    tracemalloc.start()
    try:
        for read in (pickles.listing, lambda data: pickles.load(data, Trust())):
            with pytest.raises(UnreadableFile):
                read(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_arrays_within_arrays_without_end_are_told() -> None:
    value = np.empty(1, object)
    start = dumped(value)
    start = start[: start.index(b"b", start.index(b"alignment_bytes")) + 1]
    for read in (pickles.listing, lambda data: pickles.load(data, Trust())):
        with pytest.raises(UnreadableFile):
            read(start * 3000)


ONES = b"C\x08" + b"\x01" * 8
ARRAY = b"cnumpy\nndarray\n"
OBJECTS = b"K\x01\x85cbuiltins\nobject\n" + ONES + b"\x87"


@pytest.mark.parametrize(
    "data",
    [
        ARRAY + OBJECTS + b"R.",
        ARRAY + OBJECTS + b"\x81.",
        ARRAY + OBJECTS + b"}\x92.",
        b"ccopyreg\n__newobj__\n(" + ARRAY + OBJECTS[:-1] + b"tR.",
        b"(" + ARRAY + OBJECTS[:-1] + b"o.",
        b"(" + OBJECTS[:-1] + b"inumpy\nndarray\n.",
    ],
    ids=["REDUCE", "NEWOBJ", "NEWOBJ_EX", "__newobj__", "OBJ", "INST"],
)
def test_bytes_are_never_taken_for_the_addresses_of_objects(data: bytes) -> None:
    with pytest.raises(Untrusted, match=r"calls numpy\.ndarray"):
        pickles.load(b"\x80\x04" + data, Trust())


@pytest.mark.parametrize("inner", ["O", ("O", 2), [("b", "O")]])
def test_a_dtype_cannot_hide_that_it_holds_objects(inner: Any) -> None:
    dtype = np.dtype([("a", inner)])
    whole = pickle.dumps(dtype, 2)
    reduced: Any = dtype.__reduce__()
    flags: int = reduced[2][-1]
    assert pickles.load(whole, Trust()) == dtype
    end = b"K" + bytes([flags]) + whole[whole.rindex(b"K") + 2 :]
    assert whole.endswith(end)
    with pytest.raises(Untrusted, match="says otherwise of itself"):
        pickles.load(whole[: -len(end)] + b"K\x00" + end[2:], Trust())


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\rb", "a\u202eb", "a\x00"])
def test_a_name_that_would_write_over_the_sentence_is_refused(name: str) -> None:
    text = b"X" + len(name.encode()).to_bytes(4, "little") + name.encode()
    data = b"\x80\x04X\x02\x00\x00\x00os" + text + b"\x93."
    for read in (pickles.listing, lambda data: pickles.load(data, Trust())):
        with pytest.raises(UnreadableFile, match="what cannot be a name"):
            read(data)


def test_what_an_allowed_class_raises_is_not_taken_for_a_broken_file() -> None:
    data = b"\x80\x04cfractions\nFraction\nK\x01K\x00\x86R."
    with pytest.raises(ZeroDivisionError):
        pickles.load(data, Trust(frozenset({"fractions.Fraction"})))
    with pytest.raises(Untrusted, match=r"calls fractions\.Fraction with \(1, 0\)"):
        pickles.load(data, Trust())


def test_flipped_bits_never_end_in_anything_but_a_sentence_or_an_object() -> None:
    whole = dumped(DecisionTreeClassifier(max_depth=2).fit(X, Y))
    draw = np.random.default_rng(3)
    for _ in range(200):
        broken = bytearray(whole)
        broken[draw.integers(len(broken))] ^= 1 << draw.integers(8)
        try:
            require(bytes(broken))
        except (ModelStoreError, MemoryError):
            continue


# What is found ----------------------------------------------------------------------


def test_a_listing_names_each_global_once_and_the_version_that_wrote_it() -> None:
    import sklearn

    for data in (pickle.dumps(StandardScaler().fit(X)), dumped(StandardScaler().fit(X))):
        found = pickles.listing(data)
        names = list(map(str, found.globals))
        assert names[0] == "sklearn.preprocessing._data.StandardScaler"
        assert len(set(names)) == len(names)
        assert found.versions == (sklearn.__version__,)


def old_pickle(module: str, name: str, version: str | None, protocol: int) -> bytes:
    """What an old scikit-learn wrote, from a class that stands where it stood then."""
    kind = type(name, (), {"__module__": module})
    made = kind()
    made.__dict__.update(C=1.0, coef_=np.arange(3.0))
    if version is not None:
        made.__dict__["_sklearn_version"] = version
    parts = module.split(".")
    modules = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    before = {each: sys.modules.get(each) for each in modules}
    for each in modules:
        sys.modules.setdefault(each, types.ModuleType(each))
    setattr(sys.modules[module], name, kind)
    try:
        return pickle.dumps(made, protocol)
    finally:
        if before[module] is None:
            del sys.modules[module]


@pytest.mark.parametrize("protocol", range(5))
def test_an_old_pickle_is_listed_though_its_modules_are_gone(protocol: int) -> None:
    data = old_pickle("sklearn.linear_model.logistic", "LogisticRegression", "0.18.2", protocol)
    found = pickles.listing(data)
    assert "sklearn.linear_model.logistic.LogisticRegression" in map(str, found.globals)
    assert found.versions == ("0.18.2",)


def test_bytes_that_python_2_wrote_as_text_are_listed_and_read() -> None:
    data = b"\x80\x02c__builtin__\nset\n]U\x03a\xff\xfea\x85R."
    assert list(map(str, pickles.listing(data).globals)) == ["builtins.set"]
    assert pickles.load(data, Trust()) == {"a\xff\xfe"}


def test_only_what_looks_like_a_version_is_taken_for_one() -> None:
    scaler = StandardScaler().fit(X)
    version = pickle.loads(pickle.dumps(scaler)).__getstate__()["_sklearn_version"].encode()
    data = pickle.dumps(scaler, 2)
    for text in (b"\x1b[2J", b"<script>", b"9" * 60, b""):
        old = b"X" + len(version).to_bytes(4, "little") + version
        assert data.count(old) == 1
        found = pickles.listing(data.replace(old, b"X" + len(text).to_bytes(4, "little") + text))
        assert found.versions == ()


# Ordinary pipelines -----------------------------------------------------------------


def fitted(name: str, kind: Any) -> Any:
    """An estimator fitted on what it takes, or None where it wants something special."""
    for arguments in ((), (LogisticRegression(),)):
        for data in (
            (X, Y),
            (X, np.column_stack([Y, Y])),
            (["a b", "b c", "c d"] * 4,),
            (X[:, 0], Y),
        ):
            try:
                return kind(*arguments).fit(*data)
            except Exception:
                continue
    return None


@pytest.mark.forms
@pytest.mark.filterwarnings("ignore")
def test_the_estimators_of_scikit_learn_are_read_without_any_trust() -> None:
    seen = 0
    for name, kind in all_estimators():
        estimator = fitted(name, kind)
        if estimator is None:
            continue
        seen += 1
        for data in (pickle.dumps(estimator), dumped(estimator)):
            refused = Trust().refused(pickles.listing(data).globals)
            assert refused == [], name
            assert type(pickles.load(data, Trust())) is kind, name
    assert seen > 170


TEXTS = ["good film", "bad film"]


def pipelines() -> Iterator[Any]:
    frame = pandas.DataFrame({"a": X[:, 0], "b": np.where(Y, "yes", "no")})
    mixed = ColumnTransformer(
        [("a", StandardScaler(), ["a"]), ("b", OneHotEncoder(), ["b"])], remainder="passthrough"
    )
    yield make_pipeline(mixed, LogisticRegression()).fit(frame, Y)
    yield make_pipeline(StandardScaler().set_output(transform="pandas"), LinearRegression()).fit(
        frame[["a"]], Y
    )
    yield GridSearchCV(
        LogisticRegression(), {"C": np.logspace(-1, 1, 3)}, scoring="accuracy", cv=3
    ).fit(X, Y)
    yield GridSearchCV(LinearRegression(), {}, scoring="neg_mean_absolute_error", cv=3).fit(X, Y)
    yield make_pipeline(SelectKBest(f_regression, k=2), LinearRegression()).fit(X, Y)
    yield make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit(X, Y)
    yield make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [0, 1])
    yield make_pipeline(HashingVectorizer(n_features=8), LogisticRegression()).fit(
        ["a", "b"], [0, 1]
    )
    categories = frame.astype({"b": "category"})
    yield HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype").fit(
        categories, Y
    )
    yield GaussianProcessRegressor(RBF() + WhiteKernel()).fit(X, Y)
    yield CalibratedClassifierCV(LogisticRegression(), cv=2).fit(X, Y)
    yield MultiOutputClassifier(LogisticRegression()).fit(X, np.column_stack([Y, 1 - Y]))
    yield TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1).fit(
        X, Y
    )
    named = [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=2))]
    yield VotingClassifier(named).fit(X, Y)
    yield StackingClassifier(named, cv=2).fit(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_composed_pipelines_are_read_without_any_trust_and_predict_the_same() -> None:
    for pipeline in pipelines():
        for data in (pickle.dumps(pipeline), dumped(pipeline), dumped(pipeline, compress=3)):
            require(data)
            loaded = pickles.load(data, Trust())
            assert loaded.get_params().keys() == pipeline.get_params().keys()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaded.predict(X).tolist() == pipeline.predict(X).tolist()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.array(5.0),
        np.empty((0, 3)),
        np.array(["a", "bc"]),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["2024-01-01"], dtype="datetime64[D]"),
        np.array([1, None, "x"], dtype=object),
        np.array([[1], [2]], dtype=object),
        np.array([1, 2], dtype=">i4"),
        np.array([True, False]),
        np.empty((2, 0), dtype="S3"),
        np.array([([1, None], 2.0)], dtype=[("a", "O", (2,)), ("b", "f8")]),
    ],
    ids=str,
)
def test_an_array_of_joblib_comes_back_as_it_was(array: Any, order: Any) -> None:
    laid = np.asarray(array, order=order)
    for data in (dumped({"a": laid}), dumped([laid, laid], compress=1), pickle.dumps(laid)):
        require(data)
        found = pickles.load(data, Trust())
        found = (
            found["a"]
            if isinstance(found, dict)
            else found[1]
            if isinstance(found, list)
            else found
        )
        assert found.dtype.newbyteorder("=") == laid.dtype.newbyteorder("=")
        assert found.shape == laid.shape
        assert np.array_equal(found, laid)
        assert found.flags.writeable
