"""Folders of MLflow and of Hugging Face: the model in them, and the rows that came along."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from model_store.errors import ModelStoreError, UnreadableFile, Untrusted
from model_store.importer import ImportReport, ImportRequest, import_files
from model_store.sources import folders

FRAME = pandas.DataFrame(
    {
        "age": [20, 30, 40, 50] * 10,
        "income": [1.5, 2.5, 3.0, 4.0] * 10,
        "city": ["a", "b", "c", "a"] * 10,
    }
)
TRUTH = np.array([0, 1, 0, 1] * 10)
PIPELINE = make_pipeline(
    make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough"),
    LogisticRegression(),
).fit(FRAME, TRUTH)

MLMODEL = """\
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: FILE
    predict_fn: predict
    python_version: 3.11.7
  sklearn:
    code: null
    pickled_model: FILE
    serialization_format: skops
    sklearn_version: 1.9.1
    skops_trusted_types:
    - posix.system
is_signature_from_type_hint: false
mlflow_version: 3.17.2
model_id: null
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '[{"type": "long", "name": "age", "required": true}, {"type": "double",
    "name": "income", "required": true}, {"type": "string", "name": "city", "required":
    true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: null
utc_time_created: '2026-11-30 17:32:41.551717'
"""
"""What MLflow 3.17 writes, but for what it trusts."""

EXAMPLE = '{"columns": ["age", "income", "city"], "data": [[20, 1, "a"], [30, 2.5, "b"]]}'


def mlflow_folder(path: Path, file: str = "model.skops", **other: str) -> Path:
    """A folder as MLflow writes it; `other` are texts in place of those in `MLMODEL`."""
    path.mkdir(exist_ok=True)
    text = MLMODEL.replace("FILE", file)
    for old, new in other.items():
        assert old in text
        text = text.replace(old, new)
    (path / "MLmodel").write_text(text)
    (path / "input_example.json").write_text(EXAMPLE)
    dump = skops.io.dumps if file.endswith("skops") else pickle.dumps
    (path / Path(file).name).write_bytes(dump(PIPELINE))
    return path


def config_folder(path: Path, **sklearn: Any) -> Path:
    """A folder as it lies on the hub of Hugging Face."""
    path.mkdir()
    found = {
        "columns": list(FRAME),
        "environment": ["scikit-learn"],
        "example_input": {name: FRAME[name].tolist()[:3] for name in FRAME},
        "model": {"file": "model.pkl"},
        "model_format": "pickle",
        "task": "tabular-classification",
        **sklearn,
    }
    (path / "config.json").write_text(json.dumps({"sklearn": found}))
    (path / "model.pkl").write_bytes(pickle.dumps(PIPELINE))
    return path


def taken(folder: Path, **order: Any) -> ImportReport:
    report, draft = import_files(ImportRequest(name="m", files=(str(folder),), **order))
    assert draft is not None
    return report


def refused(folder: Path, kind: type[ModelStoreError] = UnreadableFile) -> str:
    with pytest.raises(kind) as raised:
        import_files(ImportRequest(name="m", files=(str(folder),)))
    return str(raised.value)


def described(report: ImportReport) -> dict[str, str]:
    assert report.signature is not None
    return {column.name: column.type for column in report.signature.columns}


TYPES = {"age": "integer", "income": "number", "city": "category"}


@pytest.mark.parametrize("file", ["model.skops", "model.pkl"])
def test_a_folder_of_mlflow_brings_its_model_and_its_rows(file: str, tmp_path: Path) -> None:
    report = taken(mlflow_folder(tmp_path / "churn", file))
    assert [each.file for each in report.files] == [file]
    assert described(report) == TYPES
    assert report.sample is not None
    assert list(report.sample.rows) == [
        {"age": 20, "income": 1.0, "city": "a"},
        {"age": 30, "income": 2.5, "city": "b"},
    ]
    assert list(report.sample.predictions) == PIPELINE.predict(FRAME[:2]).tolist()


NUMBERS = FRAME[["age", "income"]].to_numpy()
OF_NUMBERS = make_pipeline(StandardScaler(), LogisticRegression()).fit(NUMBERS, TRUTH)
OF_NAMES = make_pipeline(StandardScaler(), LogisticRegression()).fit(
    FRAME[["age", "income"]], TRUTH
)
OF_TEXTS = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(
    FRAME["city"] + FRAME["city"], TRUTH
)
TENSOR = '[{"type": "tensor", "tensor-spec": {"dtype": "KIND", "shape": [-1, 2]}}]'


@pytest.mark.parametrize(
    ("pipeline", "example", "dtype", "columns"),
    [
        (OF_NUMBERS, {"inputs": [[20, 1.0], [30, 2.5]]}, "float64", {"x0": "float64"}),
        (OF_NUMBERS, {"inputs": [[20, 1], [30, 2]]}, "int32", {"x0": "int32", "x1": "int32"}),
        (OF_NUMBERS, {"inputs": [[20, 1], [30, 2]]}, "own", {"x0": "int64"}),
        (OF_NAMES, {"inputs": [[20, 1.0], [30, 2.5]]}, "float64", {"age": "float64"}),
        (OF_NAMES, {"inputs": {"income": [1.0], "age": [20]}}, "float64", {"age": "int64"}),
        (OF_TEXTS, {"inputs": ["aa", "bb"]}, "str", {"text": "object"}),
        (
            OF_NUMBERS,
            {"inputs": {"inputs": [[20, 1.0]]}, "params": {"depth": 1}},
            "float64",
            {"x0": "float64"},
        ),
    ],
    ids=["floats", "integers", "no dtype", "by place", "by name", "texts", "with parameters"],
)
def test_an_example_of_arrays_is_a_sample(
    pipeline: Any, example: Any, dtype: str, columns: dict[str, str], tmp_path: Path
) -> None:
    wished = "true" if "params" in example else ""
    saved = {"type": "ndarray", "format": "tf-serving", "params": wished}
    folder = array_folder(tmp_path / "m", pipeline, example, saved, TENSOR.replace("KIND", dtype))
    report = taken(folder)
    assert report.signature is not None
    found = {column.name: column.dtype for column in report.signature.columns}
    assert found | columns == found
    assert report.sample is not None
    rows = example["inputs"]
    assert len(report.sample.rows) == (1 if isinstance(rows, dict) else len(rows))


def test_a_table_whose_columns_have_no_names_is_one_of_an_array(tmp_path: Path) -> None:
    saved = {"type": "dataframe", "pandas_orient": "split"}
    folder = array_folder(tmp_path / "m", OF_NAMES, {"data": [[20, 1.5]]}, saved, "[]")
    report = taken(folder)
    assert report.sample is not None
    assert report.sample.rows == [{"age": 20, "income": 1.5}]


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        ({"inputs": [[1, 2], [3]]}, "has rows that are not as wide as its columns; give rows"),
        ({"inputs": {"a": [1, 2], "b": [1]}}, "columns that are not of one length; give rows"),
        ({"inputs": [[1, 2, 3]]}, "The pipeline takes 2 columns, and .* has 3: x0, x1, x2;"),
        ({"inputs": 7}, "is not what it should be"),
        ({"rows": []}, "is not what it should be"),
    ],
)
def test_arrays_that_are_no_rows_are_refused(example: Any, sentence: str, tmp_path: Path) -> None:
    saved = {"type": "ndarray", "format": "tf-serving"}
    folder = array_folder(tmp_path / "m", OF_NUMBERS, example, saved, "[]")
    assert re.search(sentence, refused(folder, ModelStoreError))


@pytest.mark.parametrize("inputs", [[], [[[1, 2]], [[3, 4]]], {"a": [[1], [2]]}])
def test_arrays_of_more_dimensions_are_no_sample(inputs: Any, tmp_path: Path) -> None:
    saved = {"type": "ndarray", "format": "tf-serving"}
    report = taken(array_folder(tmp_path / "m", OF_NUMBERS, {"inputs": inputs}, saved, "[]"))
    assert report.signature is not None
    assert report.signature.names == ("x0", "x1")


def array_folder(
    path: Path, pipeline: Any, example: Any, saved: dict[str, str], inputs: str
) -> Path:
    """A folder of MLflow with another example than a table of named columns."""
    path.mkdir()
    told = {
        "flavors": {"sklearn": {"pickled_model": "model.pkl"}},
        "saved_input_example_info": {"artifact_path": "input_example.json", **saved},
        "signature": {"inputs": inputs},
    }
    (path / "MLmodel").write_text(json.dumps(told))
    (path / "input_example.json").write_text(json.dumps(example))
    (path / "model.pkl").write_bytes(pickle.dumps(pipeline))
    return path


@pytest.mark.guests
def test_a_folder_with_a_file_that_needs_trust_says_what_to_type(tmp_path: Path) -> None:
    folder = tmp_path / "the trees"
    folder.mkdir()
    told = {"flavors": {"catboost": {"data": "model.cb"}}}
    (folder / "MLmodel").write_text(json.dumps(told))
    (folder / "model.cb").write_bytes(b'CBM1 {"loss_function": {"type": "Logloss"}}')
    said = refused(folder, Untrusted)
    assert "what CatBoost is given is not checked here" in said
    assert said.endswith(f"That is: quart-app models import '{folder}' --trust")


def test_rows_that_are_given_go_before_those_of_the_folder(tmp_path: Path) -> None:
    folder = mlflow_folder(tmp_path / "churn")
    FRAME.assign(left=TRUTH).to_csv(tmp_path / "rows.csv", index=False)
    report = taken(folder, sample=str(tmp_path / "rows.csv"), target=("left",))
    assert report.sample is not None
    assert len(report.sample.rows) > 2
    assert [each.rows for each in report.agreements] == [40]


def test_a_folder_needs_no_example_and_no_signature(tmp_path: Path) -> None:
    folder = mlflow_folder(tmp_path / "churn", saved_input_example_info="other", signature="more")
    assert list(described(taken(folder))) == list(FRAME)


def test_the_types_that_a_folder_trusts_are_not_trusted(tmp_path: Path) -> None:
    folder = mlflow_folder(tmp_path / "churn")
    odd = make_pipeline(FunctionTransformer(os.system), LogisticRegression())
    skops.io.dump(odd, folder / "model.skops")
    assert "posix.system" in refused(folder, Untrusted)


def test_code_that_a_folder_brings_needs_a_module_that_is_named(tmp_path: Path) -> None:
    folder = mlflow_folder(tmp_path / "churn", **{"code: null": "code: code"})
    assert "--code module.py" in refused(folder, Untrusted)
    (tmp_path / "steps.py").write_text("")
    assert described(taken(folder, code=str(tmp_path / "steps.py"))) == TYPES


def test_a_folder_of_hugging_face_brings_its_model_and_its_rows(tmp_path: Path) -> None:
    report = taken(config_folder(tmp_path / "a"))
    assert described(report) == TYPES
    assert report.sample is not None
    assert [row["city"] for row in report.sample.rows] == ["a", "b", "c"]


def test_its_rows_are_left_out_where_they_are_no_columns(tmp_path: Path) -> None:
    for number, example in enumerate((None, {"data": ["good", "bad"]}, {"a": [1], "b": []})):
        report = taken(config_folder(tmp_path / str(number), example_input=example))
        assert list(described(report)) == list(FRAME)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"pickled_model: model.skops": "pickled_model: ../model.skops"}, "which is not in it"),
        ({"pickled_model: model.skops": "pickled_model: /etc/passwd"}, "which is not in it"),
        ({"pickled_model: model.skops": "pickled_model: [1]"}, "expected the name of a file"),
        ({"pickled_model: model.skops": "pickled_model: other"}, "other cannot be read"),
        ({"  sklearn:": "  pytorch:"}, "flavours python_function, pytorch; taken are sklearn"),
        ({"artifact_path: input": "artifact_path: /etc/input"}, "which is not in it"),
        ({"flavors:": "flavors: !!python/object/apply:os.system ['true']\nmore:"}, "no YAML"),
        ({"flavors:": "flavors: [1]\nmore:"}, "is not what it should be"),
        ({"flavors:": "flavors: " + "[" * 5000 + "\nmore:"}, "no YAML"),
    ],
    ids=lambda part: str(part)[:60],
)
def test_a_folder_that_is_none_ends_in_a_sentence(
    other: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    message = refused(mlflow_folder(tmp_path / "churn", **other))
    assert sentence in message.replace("\n", " ")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = mlflow_folder(tmp_path / "churn")
    (tmp_path / "elsewhere").write_bytes((folder / "model.skops").read_bytes())
    (folder / "model.skops").unlink()
    (folder / "model.skops").symlink_to(tmp_path / "elsewhere")
    assert "cp -rL" in refused(folder)


def test_a_folder_of_nothing_known_says_what_to_name(tmp_path: Path) -> None:
    assert "quart-app models import" in refused(tmp_path)


def test_what_a_folder_says_of_itself_is_bounded(tmp_path: Path, monkeypatch: Any) -> None:
    folder = mlflow_folder(tmp_path / "churn")
    monkeypatch.setattr(folders, "MOST", 100)
    assert "larger than 100 bytes" in refused(folder)


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        ('{"columns": ["age"], "data": [[1, 2]]}', "not as wide"),
        ('{"columns": ["age"], "data": [[[1]]]}', "expected texts and numbers"),
        ('{"columns": 1, "data": []}', "is not what it should be"),
        ("[" * 10**5, "no JSON"),
        ("\ud800", "no JSON"),
    ],
)
def test_an_example_that_is_none_ends_in_a_sentence(
    example: str, sentence: str, tmp_path: Path
) -> None:
    folder = mlflow_folder(tmp_path / "churn")
    (folder / "input_example.json").write_bytes(example.encode(errors="surrogatepass"))
    assert sentence in refused(folder)


@pytest.mark.parametrize(
    ("kind", "cells", "dtype"),
    [
        ("long", [1, 2], "int64"),
        ("integer", [1, 2], "int32"),
        ("double", [1, None], "float64"),
        ("float", [1.5, 2], "float32"),
        ("boolean", [True, False], "bool"),
        ("datetime", ["2024-01-01T00:00:00", None], "datetime64[ns]"),
        ("string", ["a", None], "text"),
        ("string", [1, "a"], "object"),
        ("long", ["a", "b"], "text"),
        ("", [1, 2], "int64"),
        ("", [1, None], "float64"),
        ("", [True, False], "bool"),
        ("", ["a", 1], "object"),
        ("", [None, None], "text"),
    ],
)
def test_a_column_has_the_type_of_the_signature(kind: str, cells: Any, dtype: str) -> None:
    dtypes = {"a": folders._dtype_of(folders._Column(type=kind))}
    sample = folders._sample(Path("example"), {"a": cells}, dtypes)
    assert sample is not None
    found: Any = sample.columns["a"]
    assert found.dtype == dtype
    assert len(found.values) == 2


def test_a_zip_with_a_schema_is_a_file_of_skops_whatever_its_name(tmp_path: Path) -> None:
    skops.io.dump(PIPELINE, tmp_path / "model.bin")
    assert list(described(taken(tmp_path / "model.bin"))) == list(FRAME)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.pkl", b"")
    (tmp_path / "model.zip").write_bytes(file.getvalue())
    assert "name what is in it" in refused(tmp_path / "model.zip")
