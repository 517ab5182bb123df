"""What is served in ONNX. Most of this needs the extra onnx."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, FastICA
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler
from sklearn.svm import SVC, SVR
from threadpoolctl import threadpool_limits

from model_store import ModelStore, backend
from model_store.backend import served_here
from model_store.comparison import candidate
from model_store.converted import Converted, build_converted, convert
from model_store.errors import CorruptVersion, GoldenMismatch, LoadFailed
from model_store.manifest import GRAPH, MANIFEST, File
from model_store.model import Model
from model_store.plain import Refused
from model_store.proof_rows import beside
from model_store.requirements import packages

EXTRA = ("onnxruntime", "skl2onnx")
with_onnx = pytest.mark.skipif(
    not all(map(find_spec, EXTRA)), reason="the extra onnx is not installed"
)
without_onnx = pytest.mark.skipif(any(map(find_spec, EXTRA)), reason="the extra onnx is installed")

FEATURES = 5
RANDOM = np.random.default_rng(21)
X = RANDOM.normal(3, 2, (240, FEATURES))
Y = X @ RANDOM.normal(size=FEATURES) + np.sin(X[:, 0]) + RANDOM.normal(0, 0.3, len(X))
THREE = np.digitize(Y, np.quantile(Y, [0.3, 0.7])) * 10 - 10
MANY = np.random.default_rng(22).normal(3, 3, (1000, FEATURES))
LABELS: dict[str, NDArray[Any]] = {
    "two texts": np.array(["no", "yes"])[(np.median(Y) < Y).astype(int)],
    "two booleans": np.median(Y) < Y,
    "three integers": THREE,
    "three texts": np.array(["low", "middle", "high"], dtype=object)[THREE // 10 + 1],
    "two floats": np.where(np.median(Y) < Y, 1.0, 2.0),
}


def network(kind: Any, **parameters: Any) -> Any:
    return make_pipeline(StandardScaler(), kind((12,), random_state=0, **parameters))


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "Gaussian naive Bayes": GaussianNB,
    "support vectors": lambda: make_pipeline(StandardScaler(), SVC()),
    "a network": lambda: network(MLPClassifier, max_iter=30),
    "components": lambda: make_pipeline(StandardScaler(), PCA(3), LogisticRegression()),
    "linear discriminants": LinearDiscriminantAnalysis,
    "quadratic discriminants": QuadraticDiscriminantAnalysis,
    "calibrated": lambda: CalibratedClassifierCV(LogisticRegression(), cv=2),
    "bagged trees of some features": lambda: make_pipeline(
        StandardScaler(), BaggingClassifier(n_estimators=10, max_features=0.6, random_state=0)
    ),
    "boosted trees": lambda: AdaBoostClassifier(n_estimators=5, random_state=0),
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads that spin for work take seconds of each other on a busy machine."""
    with threadpool_limits(1):
        yield


def fitted(pipeline: Any, labels: NDArray[Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a network has not converged
        return pipeline.fit(X, labels)


def converted(pipeline: Any) -> Converted:
    data = convert(pipeline)
    assert data is not None
    found = build_converted(pipeline, data)
    assert found is not None
    return found


def differs(pipeline: Any, found: Converted, rows: NDArray[Any]) -> bool:
    """Whether one of the answers to these rows is another one."""
    labels, shares = found.predict(rows)
    expected = pipeline.predict(rows)
    if expected.dtype.kind == "f" and not hasattr(pipeline, "classes_"):
        return not np.allclose(labels, expected, rtol=1e-12, atol=0)
    if not np.array_equal(labels, expected) or labels.dtype != expected.dtype:
        return True
    if not hasattr(pipeline, "predict_proba"):
        return shares is not None
    assert isinstance(shares, np.ndarray)
    return not np.allclose(shares, pipeline.predict_proba(rows), rtol=1e-12, atol=1e-6)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


# Converted -----------------------------------------------------------------------


@with_onnx
@pytest.mark.parametrize(
    ("name", "labels"),
    [
        (name, labels)
        for name in CLASSIFIERS
        for labels in ("two texts", "three texts")
        if (name, labels) != ("linear discriminants", "two texts")
    ],
)
def test_a_classifier_in_onnx_answers_like_its_pipeline(name: str, labels: str) -> None:
    pipeline = fitted(CLASSIFIERS[name](), LABELS[labels])
    found = converted(pipeline)
    for rows in (MANY, X, MANY[:1]):
        assert not differs(pipeline, found, rows)


@with_onnx
@pytest.mark.parametrize("labels", LABELS)
def test_labels_keep_their_type(labels: str) -> None:
    pipeline = fitted(GaussianNB(), LABELS[labels])
    found, shares = converted(pipeline).predict(MANY)
    assert found.dtype == pipeline.predict(MANY).dtype
    np.testing.assert_array_equal(found, pipeline.predict(MANY))
    assert shares is not None
    np.testing.assert_allclose(shares, pipeline.predict_proba(MANY), rtol=0, atol=1e-6)


@with_onnx
def test_a_regression_in_onnx_is_equal_within_the_twelfth_place() -> None:
    regressor = MLPRegressor(hidden_layer_sizes=(12,), max_iter=30, random_state=0)
    pipeline = fitted(make_pipeline(StandardScaler(), regressor), Y + 100)
    assert not differs(pipeline, converted(pipeline), X)


@with_onnx
def test_bagged_trees_go_their_way_on_both_sides_of_their_thresholds() -> None:
    forest = BaggingClassifier(n_estimators=10, max_features=0.6, random_state=0).fit(X, THREE)
    found = converted(forest)
    ((places, thresholds),) = found.last.splits()
    assert len(places) > 100
    assert set(places) == set(range(FEATURES))
    rows = beside(places, thresholds, X)
    assert not differs(forest, found, rows)
    # With each number moved to the next float32, a tree of it goes the other way on some of them.
    moved = np.nextafter(rows.astype(np.float32), np.float32(np.inf))
    assert not np.array_equal(found.predict(moved).labels, forest.predict(rows))


@with_onnx
def test_steps_that_are_known_are_not_converted() -> None:
    rows = np.empty((80, 2), dtype=object)
    rows[:, 0] = np.where(np.arange(80) % 9, RANDOM.normal(size=80), np.nan)
    rows[:, 1] = RANDOM.choice(["a", "b", "c"], 80)
    table = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), [0]),
            ("t", OneHotEncoder(handle_unknown="ignore"), [1]),
        ]
    )
    labels = (rows[:, 1] == "a") ^ (RANDOM.random(80) < 0.2)
    pipeline = make_pipeline(table, SVC()).fit(rows, labels)
    found = converted(pipeline)
    assert len(found.steps) == 1
    assert not differs(pipeline, found, rows)


@with_onnx
def test_a_graph_that_is_wrong_is_found() -> None:
    """For two classes skl2onnx makes a softmax of what takes a logistic function."""
    pipeline = LinearDiscriminantAnalysis().fit(X, LABELS["two texts"])
    assert differs(pipeline, converted(pipeline), X)


@with_onnx
@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_the_pipeline_refuses_is_left_to_it(odd: float) -> None:
    found = converted(GaussianNB().fit(X, THREE))
    rows = X[:3].copy()
    rows[1, 2] = odd
    with pytest.raises(Refused):
        found.predict(rows)


class Opposite(GaussianNB):  # type: ignore[misc]
    def predict(self, X: Any) -> Any:
        return -super().predict(X)


def with_own_method() -> Any:
    found = GaussianNB().fit(X, THREE)
    found.predict = lambda rows: np.zeros(len(rows))
    return found


UNKNOWN: dict[str, Callable[[], Any]] = {
    "a subclass": lambda: Opposite().fit(X, THREE),
    "a method of its own": with_own_method,
    "trees behind what would be rounded": lambda: make_pipeline(
        FastICA(3, random_state=0), RandomForestClassifier(3)
    ).fit(X, THREE),
    "calibrated trees": lambda: CalibratedClassifierCV(RandomForestClassifier(2), cv=2).fit(
        X, THREE
    ),
    "what takes minutes": lambda: make_pipeline(
        FastICA(3, random_state=0), QuantileTransformer(n_quantiles=10), LogisticRegression()
    ).fit(X, THREE),
    "a subclass within": lambda: BaggingClassifier(Opposite(), 2).fit(X, THREE),
    "forests that vote": lambda: BaggingClassifier(RandomForestClassifier(2), 2).fit(X, THREE),
    "no estimator": lambda: "GaussianNB",
    "what is not fitted": lambda: make_pipeline(StandardScaler(), GaussianNB()),
}


@with_onnx
@pytest.mark.parametrize("what", UNKNOWN)
def test_what_might_answer_otherwise_is_not_converted(what: str) -> None:
    assert convert(UNKNOWN[what]()) is None


# Published -----------------------------------------------------------------------


def publish(store: ModelStore) -> Any:
    """No node knows this metric."""
    pipeline = KNeighborsClassifier(metric="cosine").fit(X, THREE)
    verdict = store.publish("m", pipeline, X, THREE).served
    assert verdict is not None
    assert verdict.by == "onnx", verdict.reason
    return pipeline


def load(store: ModelStore) -> Model:
    return store.load(store.verify("m"))


def edit(store: ModelStore, **changes: Any) -> None:
    """Another verdict in the manifest of the model `m`."""
    path = store.root / "m" / "1" / MANIFEST
    manifest = json.loads(path.read_bytes())
    manifest["served"].update(changes)
    path.write_text(json.dumps(manifest))


@with_onnx
def test_a_published_graph_is_loaded_and_answers_like_its_pipeline(store: ModelStore) -> None:
    pipeline = publish(store)
    model = load(store)
    model.replay()
    assert model.converted is not None
    assert served_here(model.manifest.served).sentence.startswith("its steps converted to ONNX: ")
    found, alone = model.predict(MANY), dataclasses.replace(model, converted=None).predict(MANY)
    np.testing.assert_array_equal(found.labels, pipeline.predict(MANY))
    assert found.probabilities is not None
    assert alone.probabilities is not None
    np.testing.assert_allclose(found.probabilities[0], alone.probabilities[0], rtol=0, atol=1e-6)


@with_onnx
def test_a_graph_takes_batches_of_any_size_and_threads_at_once(store: ModelStore) -> None:
    from concurrent.futures import ThreadPoolExecutor

    publish(store)
    model = load(store)
    whole = model.predict(MANY).labels
    with ThreadPoolExecutor(4) as threads:
        parts = list(
            threads.map(lambda i: model.predict(MANY[i : i + 7]).labels, range(0, 1000, 7))
        )
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@with_onnx
def test_a_graph_that_was_changed_is_refused(store: ModelStore) -> None:
    publish(store)
    path = store.root / "m" / "1" / GRAPH
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptVersion, match=r"pipeline\.onnx.*sha256"):
        store.verify("m")
    path.unlink()
    with pytest.raises(CorruptVersion, match=r"pipeline\.onnx cannot be read"):
        store.verify("m")


@with_onnx
def test_a_graph_that_onnxruntime_does_not_take_fails_the_load(store: ModelStore) -> None:
    publish(store)
    verified = msgspec.structs.replace(store.verify("m"), graph=b"no graph")
    with pytest.raises(LoadFailed, match="onnxruntime does not load pipeline"):
        store.load(verified)


@with_onnx
def test_a_graph_that_answers_the_golden_rows_otherwise_fails_their_replay(
    store: ModelStore,
) -> None:
    publish(store)
    other = KNeighborsClassifier(1, metric="cosine").fit(X, THREE)
    data = convert(other)
    model = store.load(msgspec.structs.replace(store.verify("m"), graph=data))
    with pytest.raises(GoldenMismatch):
        model.replay()


@with_onnx
@pytest.mark.parametrize("library", ["onnxruntime", "scikit_learn", "numpy"])
def test_with_other_libraries_than_it_was_compared_with_the_pipeline_answers(
    store: ModelStore, library: str
) -> None:
    publish(store)
    edit(store, **{library: "0.1.2"})
    model = load(store)
    model.replay()
    assert model.converted is None
    verdict = served_here(model.manifest.served)
    assert verdict.by == "pipeline"
    assert "0.1.2" in verdict.reason


@with_onnx
def test_the_version_is_copied_whole_and_needs_onnxruntime(
    store: ModelStore, tmp_path: Path
) -> None:
    publish(store)
    verified = store.verify("m")
    assert packages(verified) == {"onnxruntime"}
    store.copy(verified, tmp_path / "other")
    assert ModelStore(tmp_path / "other").verify("m").graph == verified.graph


@with_onnx
@pytest.mark.parametrize(
    ("pipeline", "y", "reason"),
    [
        # What is far from all rows has no answer there.
        (RadiusNeighborsClassifier(3.0, outlier_label=0), THREE, "in ONNX"),
        (make_pipeline(FastICA(3, random_state=0), SVR()), Y, "cannot be converted to ONNX"),
    ],
)
def test_what_differs_in_onnx_or_fails_is_answered_by_its_pipeline(
    store: ModelStore, pipeline: Any, y: NDArray[Any], reason: str
) -> None:
    verdict = store.publish("m", pipeline.fit(X, y), X, y).served
    assert verdict is not None
    assert verdict.by == "pipeline"
    assert reason in verdict.reason
    assert not (store.root / "m" / "1" / GRAPH).exists()
    load(store).replay()


@with_onnx
def test_what_would_take_longer_in_onnx_is_answered_by_the_pipeline(store: ModelStore) -> None:
    """A graph asks all rows for the nearest; a tree does not. No node knows its weights."""
    rows = np.random.default_rng(1).random((20_000, 2))
    labels = rows[:, 0] > rows[:, 1]
    pipeline = KNeighborsClassifier(weights=ones).fit(rows, labels)
    store.publish("m", pipeline, rows, labels)
    found = candidate(load(store))
    assert (found.served.by, found.files) == ("pipeline", {})


def ones(distances: NDArray[Any]) -> NDArray[Any]:
    return np.ones_like(distances)


# Without the extra ---------------------------------------------------------------


def test_a_server_without_onnxruntime_answers_by_the_pipeline_and_says_so(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "version_of", lambda package: None)
    pipeline = GaussianNB().fit(X, THREE)
    manifest = store.publish("m", pipeline, X, THREE)
    graph = b"a graph that nobody reads"
    folder = store.root / "m" / "1"
    (folder / GRAPH).write_bytes(graph)
    assert manifest.served is not None
    verdict = msgspec.structs.replace(manifest.served, by="onnx", onnxruntime="1.2.3")
    files = {**manifest.files, GRAPH: File.of(graph)}
    told = msgspec.structs.replace(manifest, served=verdict, files=files)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(told))
    model = load(store)
    model.replay()
    assert model.converted is None
    np.testing.assert_array_equal(model.predict(MANY).labels, pipeline.predict(MANY))
    assert "onnxruntime is not installed" in served_here(model.manifest.served).sentence


@without_onnx
def test_publishing_needs_no_onnx(store: ModelStore) -> None:
    pipeline = KNeighborsClassifier(metric="cosine").fit(X, THREE)
    verdict = store.publish("m", pipeline, X, THREE).served
    assert verdict is not None
    assert (verdict.by, verdict.onnxruntime) == ("pipeline", None)


@pytest.mark.process
def test_what_has_a_plain_form_imports_no_onnx(tmp_path: Path) -> None:
    script = (
        "import sys, numpy as np\n"
        "from sklearn.linear_model import Ridge\n"
        "from model_store import ModelStore\n"
        "X = np.random.default_rng(0).random((40, 2))\n"
        "store = ModelStore(sys.argv[1])\n"
        "store.publish('m', Ridge().fit(X, X[:, 0]), X, X[:, 0])\n"
        "store.load(store.verify('m')).replay()\n"
        "print(sorted({'onnx', 'onnxruntime', 'skl2onnx', 'google.protobuf'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.process
@with_onnx
def test_a_server_imports_onnxruntime_alone_and_writes_nothing(store: ModelStore) -> None:
    publish(store)
    script = (
        "import sys\n"
        "from model_store import ModelStore\n"
        "store = ModelStore(sys.argv[1])\n"
        "store.load(store.verify('m')).replay()\n"
        "print(sorted({'onnx', 'onnxruntime', 'skl2onnx'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, store.root],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (found.stdout.strip(), found.stderr) == ("['onnxruntime']", "")
