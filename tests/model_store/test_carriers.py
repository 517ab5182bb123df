"""Files that carry code are told for what they are, and read only where that was allowed."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import numpy as np
import pytest

from model_store import ModelStore
from model_store.carriers import carrier_of, carries_code, require_python
from model_store.errors import (
    IncompatibleVersion,
    InvalidPipeline,
    LoadFailed,
    ModelStoreError,
    Untrusted,
)
from model_store.importer import ImportReport, ImportRequest, import_files
from model_store.manifest import ARTIFACT
from model_store.pickles import listing, load
from model_store.requirements import packages
from model_store.trust import Trust

X = np.random.default_rng(3).normal(3, 1, (60, 2))
Y = np.where(X[:, 0] > 3, "high", "low")

NOTEBOOK = """
import numpy as np
import statistics
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

limit = 4.5


class Ratio(TransformerMixin, BaseEstimator):
    def __init__(self, factor=2.0):
        self.factor = factor

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return np.column_stack([X[:, 0] / X[:, 1] * self.factor, X[:, 0]])


class Firm(LogisticRegression):
    def predict_proba(self, X):
        return np.round(super().predict_proba(X))


def below(X):
    return np.minimum(X, limit + statistics.mean([0.0]))


def times(factor):
    def product(X):
        return X * factor
    return product


class Alone:
    n_features_in_ = 2
    classes_ = ["high", "low"]

    def predict(self, X):
        return np.where(np.asarray(X, dtype=float)[:, 0] > 3, "high", "low")


PIPELINES = {
    "class": make_pipeline(Ratio(), LogisticRegression()),
    "subclass": Firm(),
    "lambda": make_pipeline(FunctionTransformer(lambda X: X * 2), LogisticRegression()),
    "function": make_pipeline(FunctionTransformer(below), LogisticRegression()),
    "closure": make_pipeline(FunctionTransformer(times(3)), LogisticRegression()),
    "object": Alone(),
}
"""
KINDS = ("class", "subclass", "lambda", "function", "closure", "object")
PICKLERS = (
    "cloudpickle",
    pytest.param("dill", marks=pytest.mark.guests),
)


def of_notebook(kind: str) -> Any:
    """A pipeline whose own functions and classes are of `__main__`, where nothing has them."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(NOTEBOOK, namespace)
    pipeline = namespace["PIPELINES"][kind]
    return pipeline if kind == "object" else pipeline.fit(X, Y)


def dumped(pipeline: Any, package: str, **options: Any) -> bytes:
    if package == "dill":
        options = {"recurse": True, **options}
    data: bytes = importlib.import_module(package).dumps(pipeline, **options)
    return data


def saved(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def taken(store: ModelStore, *files: str, **order: Any) -> ImportReport:
    found, draft = import_files(ImportRequest(name="mine", files=files, **order))
    assert draft is not None
    store.add(draft)
    return found


@pytest.mark.parametrize("package", PICKLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_notebook_defines_is_taken_with_trust_and_kept_in_its_own_bytes(
    kind: str, package: str, tmp_path: Path
) -> None:
    pipeline = of_notebook(kind)
    data = dumped(pipeline, package)
    store = ModelStore(tmp_path / "store")
    found = taken(store, saved(tmp_path / "mine.pkl", data), trust=True)
    sentence = (
        f"Reading the artifact runs its author's code, which it carries as {package} wrote it."
    )
    assert sentence in found.warnings
    manifest = store.manifest("mine")
    assert (manifest.runs_code, manifest.reading) == (True, sentence)
    assert (store.root / "mine" / "1" / ARTIFACT).read_bytes() == data
    verified = store.verify("mine", pickles="always")
    model = store.load(verified)
    model.replay()
    columns = {"x0": X[:, 0], "x1": X[:, 1]}
    assert model.answer(columns, len(X)).labels.tolist() == pipeline.predict(X).tolist()
    assert packages(verified) == {package}


@pytest.mark.parametrize("package", PICKLERS)
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_without_trust_the_file_is_told_for_what_it_is_and_nothing_of_it_runs(
    kind: str, protocol: int, package: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "mine.pkl", dumped(of_notebook(kind), package, protocol=protocol))
    order = ImportRequest(name="mine", files=(path,), attempt=False, publish=False)
    (refusal,) = import_files(order)[0].refusals
    assert refusal.startswith(
        f"mine.pkl was written by {package} and carries the code of functions or classes, such as "
    )
    assert f"with --trust; then {package} has to be installed wherever it is served" in refusal
    with pytest.raises(Untrusted) as caught:
        import_files(ImportRequest(name="mine", files=(path,)))
    assert str(caught.value) == refusal
    with pytest.raises(ModelStoreError):
        load(Path(path).read_bytes(), Trust())


def test_what_a_file_would_do_does_not_happen_by_looking_at_it(tmp_path: Path) -> None:
    path = tmp_path / "ran"
    source = f"""
import os
class Sly:
    def __reduce__(self):
        return (os.mkdir, ({str(path)!r},))
value = [Sly(), lambda: 1]
"""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(source, namespace)
    data = cloudpickle.dumps(namespace["value"])
    assert carries_code(listing(data).globals)
    with pytest.raises(Untrusted):
        import_files(
            ImportRequest(name="mine", files=(saved(tmp_path / "sly.pkl", data),), attempt=False)
        )
    assert not path.exists()
    cloudpickle.loads(data)
    assert path.exists()


@pytest.mark.guests
def test_dill_without_code_is_told_to_be_saved_by_joblib(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    path = saved(tmp_path / "mine.pkl", dumped(LogisticRegression().fit(X, Y), "dill"))
    with pytest.raises(Untrusted, match=r"Save it by joblib\.dump or pickle, which need none"):
        import_files(ImportRequest(name="mine", files=(path,)))
    store = ModelStore(tmp_path / "store")
    taken(store, path, trust=True)
    assert store.manifest("mine").reading.startswith("Reading the artifact may run code: it may ")


@pytest.mark.guests
def test_dill_that_kept_code_without_its_imports_is_told_to_take_them_along(tmp_path: Path) -> None:
    # dill refers to all of `__main__` where that is the module of a function.
    import dill

    import __main__ as main

    pipeline = of_notebook("function")
    function = pipeline.steps[0][1].func
    pipeline.steps[0][1].func = type(function)(function.__code__, vars(main), "below")
    path = saved(tmp_path / "mine.pkl", dill.dumps(pipeline))
    with pytest.raises(InvalidPipeline, match=r"dill\.dump\(pipeline, file, recurse=True\)"):
        import_files(ImportRequest(name="mine", files=(path,), trust=True))


def test_a_file_with_code_is_not_joined_to_another(tmp_path: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    scaler = saved(tmp_path / "scaler.pkl", pickle.dumps(StandardScaler().fit(X)))
    model = saved(tmp_path / "model.pkl", cloudpickle.dumps(of_notebook("subclass")))
    with pytest.raises(InvalidPipeline, match=r"model\.pkl was written by .* cannot be joined"):
        import_files(ImportRequest(name="mine", files=(scaler, model), trust=True))


def test_a_server_allows_no_other_names_than_those_that_were_allowed() -> None:
    data = cloudpickle.dumps(of_notebook("class"))
    named = frozenset(map(str, Trust().refused(listing(data).globals)))
    assert hasattr(load(data, Trust(named)), "predict")
    for name in named:
        with pytest.raises(Untrusted, match=f"names {name}, which is not allowed"):
            load(data, Trust(named - {name}))


@pytest.mark.parametrize("length", [10, 100, -1])
def test_a_file_with_code_that_is_cut_off_is_told_as_such(length: int) -> None:
    data = cloudpickle.dumps(of_notebook("lambda"))
    allowed = frozenset(map(str, listing(data).globals))
    with pytest.raises(ModelStoreError, match="this is no whole pickle"):
        load(data[:length], Trust(allowed))


def test_code_that_needs_what_is_not_installed_names_it() -> None:
    data = cloudpickle.dumps(of_notebook("function"))
    data = data.replace(b"\x8c\nstatistics\x94", b"\x8c\nstatistixx\x94")
    allowed = frozenset(map(str, listing(data).globals))
    assert "statistixx" in listing(data).imports
    with pytest.raises(LoadFailed, match="needs statistixx, which is not installed here"):
        load(data, Trust(allowed))


def test_code_of_another_python_is_not_read(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    taken(store, saved(tmp_path / "mine.pkl", cloudpickle.dumps(of_notebook("class"))), trust=True)
    manifest = store.manifest("mine")
    other = msgspec.structs.replace(manifest.libraries, python="3.9.1")
    with pytest.raises(IncompatibleVersion, match=r"was compiled by Python 3\.9\.1"):
        require_python("mine", manifest.allowed, other.python)
    require_python("mine", ("xgboost.sklearn.XGBClassifier",), other.python)
    path = store.root / "mine" / "1" / "manifest.json"
    told = msgspec.json.decode(path.read_bytes())
    told["libraries"]["python"] = "3.9.1"
    path.write_bytes(msgspec.json.encode(told))
    with pytest.raises(IncompatibleVersion, match=r"serve it with Python 3\.9, or publish"):
        store.verify("mine", pickles="always")


@pytest.mark.parametrize("kind", ["class", "lambda", "function", "closure"])
def test_publish_refuses_what_is_of_the_notebook_and_names_both_ways(
    kind: str, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path / "store")
    with pytest.raises(InvalidPipeline) as caught:
        store.publish("mine", of_notebook(kind), X, Y)
    assert "publish with code='that_module.py'" in str(caught.value)
    assert "cloudpickle.dump" in str(caught.value)
    assert "models import --trust" in str(caught.value)


def test_who_wrote_a_file_is_told_by_its_names() -> None:
    assert carrier_of(["numpy.dtype", "dill._dill._create_array"]) == "dill"
    assert carrier_of(["cloudpickle.cloudpickle.subimport"]) == "cloudpickle"
    assert carrier_of(["joblib.externals.cloudpickle.cloudpickle._make_cell"]) == (
        "joblib.externals.cloudpickle"
    )
    assert carrier_of(["dillinger.Thing", "sklearn.svm._classes.SVC"]) is None
