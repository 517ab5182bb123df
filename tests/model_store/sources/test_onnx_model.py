"""ONNX graphs become estimators, and reach nothing beyond themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model_store import ModelStore
from model_store.errors import UnreadableFile, Unsound, Untrusted
from model_store.importer import ImportRequest, import_files
from model_store.sources.finding import format_of
from model_store.trust import Trust

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")

X = np.random.default_rng(0).normal(size=(60, 3)).round(2).astype(np.float32)
Y = (X.sum(axis=1) > 0).astype(int)
WORDS = np.where(Y, "yes", "no")
FRAME = pandas.DataFrame({"size": X[:, 0], "city": np.where(X[:, 1] > 0, "a", "b")})


def converted(pipeline: Any, **options: Any) -> bytes:
    found = skl2onnx.to_onnx(pipeline, X[:1], **options).SerializeToString()
    assert isinstance(found, bytes)
    return found


def read(data: bytes) -> Any:
    return format_of("model.onnx", data).load(data, Trust())


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("truth", [Y, WORDS])
def test_a_graph_tells_the_classes_of_its_pipeline(truth: Any, zipmap: bool) -> None:
    # Of one forest in twenty a row lies on a threshold, and the converter, which scales in float32,
    # puts it on the other side than scikit-learn: such a graph differs, by whomever it is read.
    forest = RandomForestClassifier(5, random_state=0)
    pipeline = make_pipeline(StandardScaler(), forest).fit(X, truth)
    options = {id(pipeline): {"zipmap": zipmap}}
    again = read(converted(pipeline, options=options))
    assert again.predict(X).tolist() == pipeline.predict(X).tolist()
    assert again.classes_.tolist() == pipeline.classes_.tolist()
    assert again.predict_proba(X) == pytest.approx(pipeline.predict_proba(X), abs=1e-6)


def test_a_graph_tells_the_numbers_of_its_pipeline() -> None:
    pipeline = LinearRegression().fit(X, X @ [1.0, 2.0, 3.0])
    again = read(converted(pipeline))
    assert again.n_features_in_ == 3
    assert again.predict(X) == pytest.approx(pipeline.predict(X), abs=1e-4)


def test_a_graph_with_an_input_for_each_column_is_published(tmp_path: Path) -> None:
    steps = make_column_transformer((OneHotEncoder(), ["city"]), ("passthrough", ["size"]))
    pipeline = make_pipeline(steps, LogisticRegression()).fit(FRAME, WORDS)
    kinds = skl2onnx.common.data_types
    inputs = [
        ("size", kinds.FloatTensorType([None, 1])),
        ("city", kinds.StringTensorType([None, 1])),
    ]
    graph = skl2onnx.convert_sklearn(pipeline, initial_types=inputs)
    file, sample = tmp_path / "cities.onnx", tmp_path / "rows.csv"
    file.write_bytes(graph.SerializeToString())
    FRAME.assign(y=WORDS).to_csv(sample, index=False)
    order = {"name": "cities", "files": (str(file),), "sample": str(sample), "target": ("y",)}
    with pytest.raises(Untrusted, match=r"onnxruntime is given is not checked.*--trust"):
        import_files(ImportRequest(**order))  # type: ignore[arg-type]
    report, draft = import_files(ImportRequest(**order, trust=True))  # type: ignore[arg-type]
    assert draft is not None
    store = ModelStore(tmp_path / "store")
    store.add(draft)
    store.load(store.verify("cities")).replay()
    [agreement] = report.agreements
    assert agreement.equal == int((pipeline.predict(FRAME) == WORDS).sum())


def edited(edit: Any) -> bytes:
    model = onnx.load_model_from_string(converted(LinearRegression().fit(X, Y)))
    edit(model)
    found = model.SerializeToString()
    assert isinstance(found, bytes)
    return found


def foreign(model: Any) -> None:
    model.graph.node[0].domain = "com.example"


def outside(model: Any) -> None:
    tensor = model.graph.initializer.add(name="a", data_type=1, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def function(model: Any) -> None:
    model.functions.add(name="f", domain="com.example")


@pytest.mark.parametrize("edit", [foreign, outside, function])
def test_a_graph_that_reaches_beyond_itself_is_refused(edit: Any) -> None:
    read(edited(lambda model: None))
    with pytest.raises(Unsound, match="The ONNX graph has"):
        read(edited(edit))


def test_what_is_no_graph_of_rows_ends_in_a_sentence() -> None:
    def pictures(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim.add(dim_value=3)

    def endless(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "N"

    data = edited(lambda model: None)
    for odd in (data[: len(data) // 2], b"\x08", b"x" * 50, edited(pictures), edited(endless)):
        with pytest.raises(UnreadableFile, match="convert"):
            read(odd)
