"""skops files: everything of scikit-learn comes in, and nothing in a file is called."""

from __future__ import annotations

import io
import json
import operator
import os
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from model_store.errors import LoadFailed, ModelStoreError, UnreadableFile, Unsound, Untrusted
from model_store.importer import ImportRequest, import_files
from model_store.soundness.check import require_sound
from model_store.sources.skops import listing, load
from model_store.trust import Trust

from ...fuzz.subjects import MOODS, SUBJECTS, TEXTS, X, Y
from ..test_soundness import led_astray

DEFAULT = Trust()
Edit = Callable[[Any], None]


def read(data: bytes) -> Any:
    """What an import makes of a file without any flag."""
    assert DEFAULT.refused(listing(data).globals) == []
    made = load(data, DEFAULT)
    require_sound(made, DEFAULT)
    return made


def edited(data: bytes, edit: Edit) -> bytes:
    """The file with another schema."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    schema = json.loads(members["schema.json"])
    edit(schema)
    members["schema.json"] = json.dumps(schema).encode()
    return zipped(members)


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def of_root(root: Any, **members: bytes) -> bytes:
    """A file whose object is that of this node."""
    schema = {**root, "protocol": 2}
    return zipped({"schema.json": json.dumps(schema).encode(), **members})


def node(loader: str, name: str, **parts: Any) -> dict[str, Any]:
    module, _, kind = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": kind, **parts}


def text(value: Any) -> dict[str, Any]:
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def items(*nodes: Any, loader: str = "ListNode", name: str = "builtins.list") -> dict[str, Any]:
    return node(loader, name, content=list(nodes))


def arguments(*nodes: Any) -> dict[str, Any]:
    return items(*nodes, loader="TupleNode", name="builtins.tuple")


# What comes in ----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_pipeline_answers_as_before(name: str) -> None:
    pipeline, rows, _ = SUBJECTS[name]()
    try:
        data = skops.io.dumps(pipeline, compression=zipfile.ZIP_DEFLATED)
    except Exception:
        pytest.skip("skops writes none")
    again = read(data)
    assert np.array_equal(again.predict(rows), pipeline.predict(rows))
    if hasattr(pipeline, "predict_proba"):
        assert np.array_equal(again.predict_proba(rows), pipeline.predict_proba(rows))


HOLES = np.where(X > 9, np.nan, X)
PIPELINES: dict[str, Any] = {
    "columns chosen by their dtype": lambda: make_pipeline(
        ColumnTransformer([("n", StandardScaler(), make_column_selector(dtype_include="number"))]),
        LogisticRegression(),
    ),
    "imputed": lambda: make_pipeline(SimpleImputer(), LogisticRegression()),
    "boosted histograms": lambda: HistGradientBoostingClassifier(max_iter=3),
    "searched": lambda: GridSearchCV(
        make_pipeline(SimpleImputer(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0]},
        scoring="roc_auc",
        cv=2,
    ),
    "calibrated": lambda: make_pipeline(
        SimpleImputer(), CalibratedClassifierCV(LogisticRegression(), cv=2)
    ),
    "neighbours": lambda: make_pipeline(SimpleImputer(), KNeighborsClassifier()),
    "network": lambda: make_pipeline(SimpleImputer(), MLPClassifier((3,), max_iter=5)),
    "process": lambda: make_pipeline(
        SimpleImputer(), GaussianProcessRegressor(RBF() + WhiteKernel())
    ),
    "function": lambda: make_pipeline(
        FunctionTransformer(np.log1p), SimpleImputer(), SGDClassifier()
    ),
    "forest of a state": lambda: make_pipeline(
        SimpleImputer(), RandomForestClassifier(3, random_state=np.random.RandomState(1))
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIPELINES)
def test_an_ordinary_pipeline_needs_no_flag(name: str, tmp_path: Path) -> None:
    import pandas

    frame = pandas.DataFrame(HOLES if "dtype" not in name else X, columns=list("abc"))
    pipeline = PIPELINES[name]().fit(frame, Y)
    assert np.array_equal(read(skops.io.dumps(pipeline)).predict(frame), pipeline.predict(frame))


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": [1, 2.5, None, True, "x"]},
        {1: "a", 2: "b"},
        {0.5: 1},
        {True: 1, False: 2},
        {np.int64(3): 1},
        {np.str_("a"): 1},
        (1, (2, [3])),
        {1, 2},
        frozenset({1, 2}),
        slice(1, None, 2),
        b"ab\x00",
        bytearray(b"ab"),
        np.float32,
        np.dtype("<M8[ns]"),
        np.dtype(object),
        np.float32(0.5),
        np.str_("ab"),
        np.datetime64("2024-01-01"),
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(["a", "bc"]),
        np.array([1, None, "x"], dtype=object),
        np.array([[1, "a"], [None, 2.0]], dtype=object),
        np.ma.MaskedArray([1.0, 2.0], [True, False]),
        scipy.sparse.csr_matrix([[0, 1], [2, 0]]),
        scipy.sparse.coo_array([[0, 1], [2, 0]]),
        partial(np.round, decimals=2),
        np.random.RandomState(3),
        np.random.default_rng(3),
        np.log1p,
    ],
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    made = load(skops.io.dumps(value), DEFAULT)
    assert type(made) is type(value)
    assert skops.io.dumps(made)
    if isinstance(value, dict):
        assert [type(key) for key in made] == [type(key) for key in value]
    if isinstance(value, np.random.RandomState | np.random.Generator):
        assert made.random() == value.random()
    elif isinstance(value, partial):
        assert (made.func, made.args, made.keywords) == (value.func, (), value.keywords)
    elif scipy.sparse.issparse(value):
        assert (made != value).nnz == 0
    elif isinstance(value, np.ndarray):
        assert made.dtype == value.dtype
        assert made.flags.f_contiguous == value.flags.f_contiguous
        assert made.tolist() == value.tolist()
    else:
        assert made == value


def test_one_object_in_two_places_stays_one() -> None:
    inner = LinearRegression()
    first, second = load(skops.io.dumps([inner, inner]), DEFAULT)
    assert first is second


def test_an_old_skops_names_functions_in_another_way() -> None:
    old = node("FunctionNode", "x.y", content={"module_path": "numpy", "function": "log1p"})
    data = of_root({**old, "protocol": 0})
    assert read(data) is np.log1p


# What does not ----------------------------------------------------------------------

CALLED = "numpy.median"
"""A function that estimators may hold."""
NUMBERS = items(text(1), text(2))
TREE = DecisionTreeClassifier(max_depth=2).fit(X, Y)


@pytest.mark.parametrize(
    "root",
    [
        node("ListNode", CALLED, content=[text(1)]),
        node("SetNode", CALLED, content=[text(1)]),
        node("TupleNode", CALLED, content=[text(1)]),
        node("ObjectNode", CALLED, content=text(None)),
        node("ConstructorFromReduceNode", CALLED, content=arguments(NUMBERS)),
        node("LossNode", CALLED, __reduce__={"args": arguments(NUMBERS)}, content=text(None)),
        node("DictNode", CALLED, content={}, key_types=items()),
        node(
            "DictNode",
            "builtins.dict",
            content={"1": text(1)},
            key_types=items(node("TypeNode", CALLED)),
        ),
        node("NdArrayNode", CALLED, type="numpy", file="a.npy"),
    ],
    ids=lambda root: root["__loader__"],
)
def test_a_function_that_may_be_held_is_not_called(root: Any, monkeypatch: Any) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(np, "median", lambda *given: calls.append(given))
    file = io.BytesIO()
    np.save(file, np.array(1.0))
    with pytest.raises(Untrusted, match="expected"):
        load(of_root(root, **{"a.npy": file.getvalue()}), DEFAULT)
    assert calls == []


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (FunctionTransformer(os.path.normpath), "posixpath.normpath"),
        (operator.methodcaller("predict"), "operator.methodcaller"),
        (operator.itemgetter(0), "operator.itemgetter"),
        (LinearRegression().fit, "LinearRegression.fit"),
        (os.system, "posix.system"),
    ],
)
def test_what_no_rule_allows_is_refused_by_name_until_it_is_allowed(value: Any, name: str) -> None:
    data = skops.io.dumps(value)
    found = listing(data)
    refused = DEFAULT.refused(found.globals)
    assert any(str(each).endswith(name) for each in refused)
    with pytest.raises(Untrusted, match="not allowed"):
        load(data, DEFAULT)
    allowed = Trust(frozenset(map(str, refused)))
    assert allowed.refused(found.globals) == []
    assert type(load(data, allowed)) is type(value)


def of_tree(schema: Any) -> Any:
    """The node of the compiled tree of a decision tree."""
    return schema["content"]["content"]["tree_"]


def set_outputs(schema: Any) -> None:
    of_tree(schema)["__reduce__"]["args"]["content"][2] = text(10**9)


def set_columns(schema: Any) -> None:
    of_tree(schema)["__reduce__"]["args"]["content"][0] = text(10**6)


def without_state(schema: Any) -> None:
    of_tree(schema)["content"] = text({})


def holds_itself(schema: Any) -> None:
    schema["content"]["content"]["criterion"] = schema | {"content": None}


def called_otherwise(schema: Any) -> None:
    of_tree(schema)["__loader__"] = "ObjectNode"


def of_other_types(schema: Any) -> None:
    schema["content"]["key_types"]["content"].pop()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (set_outputs, "a tree of 1000000000 outputs with other classes"),
        (set_columns, "n_features_in_ should be 1000000"),
        (without_state, r"gives sklearn\.tree\._tree\.Tree the state"),
        (holds_itself, "holds itself"),
        (called_otherwise, r"calls sklearn\.tree\._tree\.Tree with \(\)"),
        (of_other_types, "keys with"),
    ],
)
def test_a_forged_tree_ends_in_a_sentence(edit: Edit, sentence: str) -> None:
    data = skops.io.dumps(TREE)
    read(data)
    with pytest.raises(ModelStoreError, match=sentence):
        read(edited(data, edit))


@pytest.mark.parametrize("child", [10**9, 0])
def test_a_child_that_is_not_there_or_leads_back_is_refused(child: int) -> None:
    forest = RandomForestClassifier(3, max_depth=2).fit(X, Y)
    forest.estimators_[1] = led_astray(forest.estimators_[1], child)
    for made in (led_astray(TREE, child), forest):
        with pytest.raises(Unsound, match="leads to"):
            read(skops.io.dumps(made))


def test_a_vectorizer_that_opens_files_is_refused() -> None:
    words = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, MOODS)
    read(skops.io.dumps(words))
    words[0].input = "filename"
    with pytest.raises(Unsound, match="would open what a client names"):
        read(skops.io.dumps(words))


def set_shape(schema: Any) -> None:
    state = schema["content"]["content"]["_tree"]["content"]["content"]
    state[1] = state[0]


def set_distance(schema: Any) -> None:
    schema["content"]["content"]["_tree"]["content"]["content"][11] = text("euclidean")


@pytest.mark.parametrize("edit", [set_shape, set_distance])
@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_a_forged_tree_of_neighbours_ends_in_a_sentence(edit: Edit, algorithm: str) -> None:
    data = skops.io.dumps(KNeighborsClassifier(3, algorithm=algorithm).fit(X, Y))
    read(data)
    with pytest.raises(Untrusted, match="the state"):
        read(edited(data, edit))


def test_the_position_of_a_random_state_lies_within_it() -> None:
    def beyond(schema: Any) -> None:
        schema["content"]["content"]["state"]["content"]["pos"] = text(700)

    data = skops.io.dumps(np.random.RandomState(0))
    with pytest.raises(Untrusted, match="integer from 0 to 624"):
        load(edited(data, beyond), DEFAULT)


def test_no_object_of_numpy_is_unpickled() -> None:
    file = io.BytesIO()
    np.save(file, np.array([print], dtype=object), allow_pickle=True)
    root = node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy")
    with pytest.raises(Untrusted, match="bytes for objects"):
        load(of_root(root, **{"a.npy": file.getvalue()}), DEFAULT)


def test_the_same_array_is_not_copied_without_an_end() -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(10**5))
    one = node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy")
    root = items(*[one] * 1000)
    with pytest.raises(Untrusted, match="copied again and again"):
        load(of_root(root, **{"a.npy": file.getvalue()}), DEFAULT)


def deep() -> bytes:
    return b'{"protocol": 2, "a": ' + b"[" * 10**5 + b"]" * 10**5 + b"}"


def test_objects_within_objects_end_in_a_sentence() -> None:
    root: Any = text(1)
    for _ in range(sys.getrecursionlimit() // 3):
        root = items(root)
    data = zipped({"schema.json": _dumped({**root, "protocol": 2})})
    with pytest.raises(UnreadableFile, match="too deep"):
        load(data, DEFAULT)


def _dumped(root: Any) -> bytes:
    """The JSON of nodes that lie deeper than `json` goes."""
    parts, ends = [], []
    while isinstance(root.get("content"), list):
        parts.append('{"__loader__": "ListNode", "__module__": "builtins", "__class__": "list", ')
        parts.append('"protocol": 2, "content": [')
        ends.append("]}")
        [root] = root["content"]
    return "".join([*parts, json.dumps(root), *ends]).encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no whole zip"),
        (b"PK\x03\x04" + b"\0" * 40, "no whole zip"),
        (skops.io.dumps(TREE)[:500], "no whole zip"),
        (zipped({"a": b""}), r"without schema\.json"),
        (zipped({"schema.json": b"[1]"}), "no node"),
        (zipped({"schema.json": b"{"}), r"its schema\.json is none"),
        (zipped({"schema.json": deep()}), "too deep"),
        (of_root(node("ListNode", "builtins.list")), "lacks a part"),
        (of_root(node("NdArrayNode", "numpy.ndarray", type="numpy", file="a")), "not there"),
        (edited(skops.io.dumps(1), lambda schema: schema.update(protocol=3)), "protocol 3"),
        (edited(skops.io.dumps(1), lambda schema: schema.update(protocol=True)), "which protocol"),
        (of_root(node("ObjectNode", "a.\x1b[2J")), "cannot be a name"),
    ],
    # A zip has the time in it, and two collections would have other names.
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_what_is_no_skops_file_is_said_to_be_none(data: bytes, sentence: str) -> None:
    with pytest.raises(UnreadableFile, match=sentence) as caught:
        listed_and_read(data)
    assert "rite it" in str(caught.value)


def listed_and_read(data: bytes) -> Any:
    listing(data)
    return load(data, DEFAULT)


def test_a_matrix_that_scipy_does_not_take_is_refused() -> None:
    file = io.BytesIO()
    np.savez(file, format=np.bytes_("csr"), data=np.ones(3))
    root = node("SparseMatrixNode", "scipy.sparse._csr.csr_matrix", type="scipy", file="a.npz")
    with pytest.raises(LoadFailed, match="sparse matrix"):
        load(of_root(root, **{"a.npz": file.getvalue()}), DEFAULT)


def test_a_class_of_the_operators_own_module_needs_it_named(tmp_path: Path) -> None:
    (tmp_path / "halves.py").write_text(
        "from sklearn.base import BaseEstimator, RegressorMixin\n"
        "class Half(RegressorMixin, BaseEstimator):\n"
        "    n_features_in_ = 1\n"
        "    def fit(self, X, y):\n        return self\n"
        "    def predict(self, X):\n        return X[:, 0] / 2\n"
    )
    state = node("DictNode", "builtins.dict", content={}, key_types=items())
    file = tmp_path / "half.skops"
    file.write_bytes(of_root(node("ObjectNode", "halves.Half", content=state)))
    request = partial(ImportRequest, name="half", files=(str(file),))
    with pytest.raises(Untrusted, match=r"--code module\.py"):
        import_files(request())
    report, _ = import_files(request(code=str(tmp_path / "halves.py")))
    assert report.estimator == "Half"
