"""Files from outside are taken in by a child process: what it finds, and what cannot kill us."""

from __future__ import annotations

import csv
import os
import pickle
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from model_store import ModelStore, cage, errors
from model_store.draft import Draft
from model_store.errors import (
    Fault,
    IncompatibleVersion,
    InvalidPipeline,
    InvalidRows,
    InvalidTable,
    LoadFailed,
    ModelStoreError,
    TrialFailed,
    UnreadableFile,
    Untrusted,
)
from model_store.importer import ImportReport, ImportRequest, import_files
from model_store.isolated import Limits, _Failure, _failure, _receive, run

pytestmark = pytest.mark.process

X, Y = load_iris(return_X_y=True)
LIMITS = Limits(seconds=60)

STEPS = """
import os
from sklearn.base import BaseEstimator, TransformerMixin


class Ratio(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X[:, [0]] / X[:, [1]]


class Stubborn(BaseEstimator):
    n_features_in_ = 1

    def __init__(self, how=""):
        self.how = how

    def predict(self, X):
        if self.how == "hang":
            while True:
                pass
        if self.how == "eat":
            return bytearray(64 * 1024 * 1024 * 1024)
        if self.how == "crash":
            os.kill(os.getpid(), 11)
        if self.how == "exit":
            os._exit(7)
        if self.how == "quit":
            raise SystemExit(0)
        if self.how == "close":
            os.closerange(0, 100)
        print("noise on stdout")
        return [0.0] * len(X)
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "steps.py"
    path.write_text(STEPS)
    return path


def saved(path: Path, value: Any, **options: Any) -> str:
    """The path of a file that holds a value, by pickle or joblib as its name says."""
    if path.suffix == ".joblib":
        joblib.dump(value, path, **options)
    else:
        path.write_bytes(pickle.dumps(value, **options))
    return str(path)


def sample(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return str(path)


def taken(*files: str, **order: Any) -> tuple[ImportReport, Draft]:
    """What is found in files that do no harm, in this process, which is quicker."""
    finding, draft = import_files(ImportRequest(name="mine", files=files, **order))
    assert draft is not None
    return finding, draft


def pickled_own(code: Path, name: str, how: str, module: str = "steps") -> bytes:
    """What pickle writes of `Stubborn(how)`, whose module nobody here can import."""
    how_text = b"X" + len(how).to_bytes(4, "little") + how.encode()
    return (
        b"\x80\x02c"
        + f"{module}\n{name}\n".encode()
        + b")\x81}X\x03\x00\x00\x00how"
        + how_text
        + b"sb."
    )


def trials() -> list[str]:
    """The trials that this process has started and that are still there."""
    found = subprocess.run(
        ["ps", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in found.stdout.splitlines() if str(Path(cage.__file__)) in line]


# What is found ----------------------------------------------------------------------


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_a_joblib_file_is_taken_in_however_it_is_compressed(compress: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, Y)
    finding, draft = taken(saved(tmp_path / "iris.joblib", pipeline, compress=compress))
    store = ModelStore(tmp_path / "store")
    manifest = store.add(draft)
    model = store.load(store.verify("mine"))
    model.replay()
    assert model.predict(X).labels.tolist() == pipeline.predict(X).tolist()
    assert finding.estimator == "StandardScaler → LogisticRegression"
    assert manifest.source is not None
    assert list(manifest.source.files) == ["iris.joblib"]
    assert manifest.allowed == ()


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_of_every_protocol_is_taken_in(protocol: int, tmp_path: Path) -> None:
    forest = RandomForestClassifier(3, random_state=0).fit(X, Y)
    _, draft = taken(saved(tmp_path / "forest.pkl", forest, protocol=protocol))
    store = ModelStore(tmp_path / "store")
    store.add(draft)
    model = store.load(store.verify("mine"))
    assert model.predict(X).labels.tolist() == forest.predict(X).tolist()


def test_the_child_finds_what_is_found_here_and_tells_its_steps(tmp_path: Path) -> None:
    forest = RandomForestClassifier(3, random_state=0).fit(X, Y)
    file = saved(tmp_path / "forest.joblib", forest, compress=3)
    steps: list[str] = []
    finding, draft = run(ImportRequest(name="mine", files=(file,)), LIMITS, steps.append)
    assert steps[:3] == ["reading", "loading", "asking for the first predictions"]
    assert "packing the pipeline" in steps
    found, made = taken(file)
    assert finding == found
    assert draft is not None
    assert draft.contents.keys() == made.contents.keys()
    assert draft.sample == made.sample
    assert draft.manifest.signature == made.manifest.signature


def test_a_scaler_and_a_model_become_one_pipeline(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(X)
    model = SVC().fit(scaler.transform(X), Y)
    finding, draft = taken(saved(tmp_path / "a.pkl", scaler), saved(tmp_path / "b.pkl", model))
    assert finding.estimator == "StandardScaler → SVC"
    store = ModelStore(tmp_path / "store")
    store.add(draft)
    loaded = store.load(store.verify("mine"))
    expected = model.predict(scaler.transform(X))
    assert loaded.predict(X).labels.tolist() == expected.tolist()


def test_a_sample_tells_the_columns_and_how_often_the_pipeline_says_the_same(
    tmp_path: Path,
) -> None:
    plans = np.array(["basic", "pro"] * 10)
    years = np.arange(20.0)
    rows = np.array([years, plans], dtype=object).T
    y = np.where(years < 10, "leaves", "stays")
    encode = ColumnTransformer([("plan", OneHotEncoder(), [1])], remainder="passthrough")
    pipeline = make_pipeline(encode, LogisticRegression()).fit(rows, y)
    table = sample(
        tmp_path / "rows.csv",
        ["years", "left", "plan"],
        list(zip(years, y, plans, strict=True)),
    )
    file = saved(tmp_path / "churn.pkl", pipeline)
    finding, draft = taken(file, sample=table, target=("left",))
    years_column, plan = draft.manifest.signature.columns
    assert (years_column.name, years_column.type, years_column.minimum) == ("years", "number", 0)
    assert (plan.name, plan.type, plan.categories) == ("plan", "category", ("basic", "pro"))
    assert draft.manifest.target.name == "left"
    assert draft.manifest.target.counts == {"leaves": 10, "stays": 10}
    (agreement,) = finding.agreements
    assert (agreement.rows, agreement.equal) == (20, 20)


def test_a_text_pipeline_alone_has_the_column_text(tmp_path: Path) -> None:
    texts = ["good film", "bad film", "good book", "bad book"]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    finding, _ = taken(saved(tmp_path / "t.pkl", pipeline))
    assert finding.signature is not None
    assert [(c.name, c.type) for c in finding.signature.columns] == [("text", "text")]
    assert finding.sample is not None
    assert all(row["text"] for row in finding.sample.rows)


def test_a_look_publishes_nothing_and_unpickles_nothing_that_is_not_allowed(
    tmp_path: Path, code: Path
) -> None:
    file = tmp_path / "own.pkl"
    file.write_bytes(pickled_own(code, "Stubborn", ""))
    finding, draft = run(ImportRequest(name="mine", files=(str(file),), publish=False), LIMITS)
    assert draft is None
    assert finding.files[0].refused == ("steps.Stubborn",)
    assert "own.pkl names steps.Stubborn" in finding.refusals[0]
    assert finding.signature is None
    clean = saved(tmp_path / "clean.pkl", LinearRegression().fit(X, X[:, 0]))
    finding, draft = run(ImportRequest(name="mine", files=(clean,), publish=False), LIMITS)
    assert draft is None
    assert finding.signature is not None
    assert len(finding.signature.columns) == 4


# A class of the operator's own ---------------------------------------------------------


@pytest.mark.parametrize("module", ["__main__", "steps"])
def test_a_class_of_the_operator_comes_from_the_code_now_and_at_every_load(
    module: str, tmp_path: Path, code: Path
) -> None:
    file = tmp_path / "own.pkl"
    file.write_bytes(pickled_own(code, "Stubborn", "", module))
    with pytest.raises(Untrusted, match=rf"{module}\.Stubborn.*--code module\.py"):
        taken(str(file))
    _, draft = taken(str(file), code=str(code))
    store = ModelStore(tmp_path / "store")
    manifest = store.add(draft)
    assert manifest.code == "steps.py"
    code.unlink()
    model = store.load(store.verify("mine"))
    model.replay()
    assert model.predict(np.zeros((2, 1))).labels.tolist() == [0.0, 0.0]


def test_what_the_code_only_imports_is_not_reached_by_its_name(tmp_path: Path, code: Path) -> None:
    file = tmp_path / "own.pkl"
    marker = tmp_path / "marker"
    file.write_bytes(b"csteps\nos.system\n(S'touch " + str(marker).encode() + b"'\ntR.")
    with pytest.raises(LoadFailed, match=r"steps\.py defines no os\.system"):
        taken(str(file), code=str(code))
    assert not marker.exists()


def test_what_was_trusted_stands_in_the_manifest_and_no_more_is_allowed_later(
    tmp_path: Path,
) -> None:
    from sklearn.preprocessing import FunctionTransformer

    pipeline = make_pipeline(FunctionTransformer(np.sort), LinearRegression()).fit(X, X[:, 0])
    file = saved(tmp_path / "sort.pkl", pipeline)
    with pytest.raises(Untrusted, match=r"numpy\.sort.*--trusted numpy\.sort"):
        taken(file)
    store = ModelStore(tmp_path / "store")
    for allowed in ({"trust": True}, {"trusted": ("numpy.sort",)}):
        _, draft = taken(file, **allowed)
        assert store.add(draft).allowed == ("numpy.sort",)
        store.load(store.verify("mine")).replay()
    path = store.root / "mine/2/manifest.json"
    path.write_text(path.read_text().replace('"numpy.sort"', '"numpy.cumsum"'))
    with pytest.raises(Untrusted, match=r"numpy\.sort"):
        store.load(store.verify("mine"))


# What cannot kill us -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "limits", "message"),
    [
        ("hang", Limits(seconds=4), "more than 4 s.*--time-limit"),
        ("eat", Limits(megabytes=300), "more than 300 MB of memory.*--memory-limit"),
        ("crash", LIMITS, "killed by SIGSEGV"),
        ("exit", LIMITS, "exit code 7"),
        ("quit", LIMITS, "exit code 0 and said nothing"),
        ("close", LIMITS, "said nothing"),
    ],
)
def test_a_pipeline_that_misbehaves_ends_its_own_process(
    how: str, limits: Limits, message: str, tmp_path: Path, code: Path
) -> None:
    file = tmp_path / "own.pkl"
    file.write_bytes(pickled_own(code, "Stubborn", how))
    order = ImportRequest(name="mine", files=(str(file),), code=str(code))
    with pytest.raises((TrialFailed, InvalidPipeline), match=message):
        run(order, limits)
    assert trials() == []


def test_a_decompression_bomb_ends_at_the_limit_of_memory(tmp_path: Path) -> None:
    import zlib

    packer = zlib.compressobj(9)
    zeros = bytes(16 * 1024 * 1024)
    packed = b"".join(packer.compress(zeros) for _ in range(64)) + packer.flush()
    file = tmp_path / "bomb.joblib"
    file.write_bytes(packed)
    with pytest.raises(ModelStoreError, match="more than 200 MB of memory"):
        run(ImportRequest(name="mine", files=(str(file),)), Limits(megabytes=200))


def test_a_truncated_file_is_told_as_such(tmp_path: Path) -> None:
    whole = pickle.dumps(RandomForestClassifier(2).fit(X, Y))
    for end in (1, 2, 100, len(whole) // 2, len(whole) - 1):
        file = tmp_path / "cut.pkl"
        file.write_bytes(whole[:end])
        with pytest.raises(UnreadableFile, match=r"cut\.pkl: this is no whole pickle"):
            taken(str(file))


# What is refused, with a sentence -------------------------------------------------------


def test_what_does_not_fit_together_is_told(tmp_path: Path) -> None:
    scaler = saved(tmp_path / "scaler.pkl", StandardScaler().fit(X))
    model = saved(tmp_path / "model.pkl", LogisticRegression(max_iter=500).fit(X, Y))
    names = saved(tmp_path / "names.pkl", LabelEncoder().fit(Y))
    kept = saved(tmp_path / "kept.pkl", {"scaler": 1, "model": 2})
    wrong = sample(tmp_path / "wrong.csv", ["a", "b"], [[1, 2]])
    right = sample(tmp_path / "right.csv", ["a", "b", "c", "d", "kind"], [[1, 2, 3, 4, 9]])
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("a,b,c,d\n1,2,3,4\n1,2,3\n")
    cases: list[tuple[type[Exception], str, tuple[str, ...], dict[str, Any]]] = [
        (
            InvalidPipeline,
            "a LabelEncoder, which transforms what a pipeline .* to tell",
            (names,),
            {},
        ),
        (InvalidPipeline, "LogisticRegression, which transforms nothing", (model, scaler), {}),
        (InvalidPipeline, "a dict with the keys scaler, model", (kept,), {}),
        (UnreadableFile, "cannot be read: No such file", (str(tmp_path / "none.pkl"),), {}),
        (
            InvalidPipeline,
            "takes 4 columns, and .*wrong.csv has 2: a, b",
            (model,),
            {"sample": wrong},
        ),
        (InvalidPipeline, "has 5: .*--target", (model,), {"sample": right}),
        (
            InvalidPipeline,
            "has no column 'class'",
            (model,),
            {"sample": right, "target": ("class",)},
        ),
        (
            InvalidPipeline,
            "kind: expected one of 0, 1, 2, got '9'",
            (model,),
            {"sample": right, "target": ("kind",)},
        ),
        (InvalidTable, "line 3: expected 4 values, got 3", (model,), {"sample": str(ragged)}),
    ]
    for kind, message, files, order in cases:
        with pytest.raises(kind, match=message):
            taken(*files, **order)


def test_a_pipeline_of_another_minor_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    data = pickle.dumps(LogisticRegression(max_iter=500).fit(X, Y), protocol=3)
    import sklearn

    here = sklearn.__version__.encode()
    old = b"X" + (5).to_bytes(4, "little") + b"1.5.2"
    file = tmp_path / "old.pkl"
    file.write_bytes(data.replace(b"X" + len(here).to_bytes(4, "little") + here, old))
    with pytest.raises(IncompatibleVersion, match=r"by scikit-learn 1\.5\.2, .*--allow-version"):
        taken(str(file))
    finding, draft = taken(str(file), allow_version=True)
    assert "1.5.2" in finding.warnings[0]
    assert draft.manifest.source is not None
    assert draft.manifest.source.scikit_learn == "1.5.2"


def test_a_skops_file_is_read_with_the_operators_own_list(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io")
    from sklearn.preprocessing import FunctionTransformer

    plain = tmp_path / "plain.skops"
    skops.dump(LogisticRegression(max_iter=500).fit(X, Y), plain)
    finding, draft = taken(str(plain))
    assert finding.estimator == "LogisticRegression"
    store = ModelStore(tmp_path / "store")
    store.add(draft)
    store.load(store.verify("mine")).replay()

    odd = tmp_path / "odd.skops"
    skops.dump(make_pipeline(FunctionTransformer(os.path.normpath), LinearRegression()), odd)
    with pytest.raises(Untrusted, match=r"posixpath\.normpath"):
        taken(str(odd))
    broken = tmp_path / "broken.skops"
    broken.write_bytes(plain.read_bytes()[:500])
    with pytest.raises(UnreadableFile, match="no skops file"):
        taken(str(broken))


def test_a_parent_that_is_interrupted_leaves_no_child(tmp_path: Path, code: Path) -> None:
    file = tmp_path / "own.pkl"
    file.write_bytes(pickled_own(code, "Stubborn", "hang"))

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 3)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(ImportRequest(name="mine", files=(str(file),), code=str(code)), LIMITS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert trials() == []


# How an error comes back -------------------------------------------------------------


KINDS = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, ModelStoreError)
]
FAULTS = [Fault(row, "age", "a number", "'x'") for row in range(7)]
# The classes that are not made of a sentence alone.
MADE_OF: dict[type[ModelStoreError], ModelStoreError] = {
    InvalidRows: InvalidRows(FAULTS, rows=9, total=12)
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_comes_back_whole_from_the_child(kind: type[ModelStoreError]) -> None:
    error = MADE_OF.get(kind) or kind("The sentence.")
    data = msgspec.msgpack.encode(_failure(error))
    with pytest.raises(ModelStoreError) as caught:
        _receive(iter([data]), lambda step: None)
    assert type(caught.value) is kind
    assert str(caught.value) == str(error)
    assert vars(caught.value) == vars(error)


@pytest.mark.parametrize("kind", ["InvalidRows", "NobodyKnows", "Fault", "annotations"])
def test_of_an_error_that_cannot_be_made_here_the_sentence_comes_back(kind: str) -> None:
    data = msgspec.msgpack.encode(_Failure(kind, "The sentence."))
    with pytest.raises(TrialFailed, match=r"^The sentence\.$"):
        _receive(iter([data]), lambda step: None)


def test_an_error_that_a_class_of_the_operator_raises_comes_back_from_the_child(
    tmp_path: Path,
) -> None:
    code = tmp_path / "steps.py"
    code.write_text(
        "from model_store.errors import Fault, InvalidRows\n"
        "class Stubborn:\n"
        "    def __setstate__(self, state):\n"
        "        raise InvalidRows([Fault(0, 'age', 'a number', state['how'])], rows=1)\n"
    )
    file = tmp_path / "stubborn.pkl"
    file.write_bytes(pickled_own(code, "Stubborn", "nothing"))
    with pytest.raises(InvalidRows, match=r"^age: expected a number, got nothing$"):
        run(ImportRequest(name="mine", files=(str(file),), code=str(code)), LIMITS)
