"""What comes out is what the pipeline itself says of each row, whatever kind of model it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import model_store
from model_store import ModelStore
from model_store.batch import api
from model_store.errors import InvalidRun

from .conftest import Kind

KINDS = (
    *("classes", "whole", "regression", "several"),
    *("clusters", "outliers", "transformed", "text"),
)


def expected(name: str, pipeline: Any, X: Any) -> dict[str, Any]:
    """By column what the pipeline says."""
    if name == "transformed":
        told = pipeline.transform(X)
        return {f"prediction_pca{place}": told[:, place] for place in range(2)}
    said = pipeline.predict(X)
    if name == "several":
        found: dict[str, Any] = {}
        for place, target in enumerate(("side", "far")):
            found[f"prediction_{target}"] = said[:, place]
            shares = pipeline.predict_proba(X)[place]
            for column, label in enumerate(pipeline.classes_[place]):
                found[f"probability_{target}_{label}"] = shares[:, column]
        return found
    found = {"prediction": said}
    if hasattr(pipeline, "predict_proba"):
        shares = pipeline.predict_proba(X)
        found |= {f"probability_{each}": shares[:, i] for i, each in enumerate(pipeline.classes_)}
    if name == "outliers":
        found["score"] = pipeline.decision_function(X)
    return found


def require_told(table: pa.Table, kind: Kind, name: str) -> None:
    told = expected(name, kind.pipeline, kind.X)
    added = table.column_names[len(kind.table.column_names) :]
    assert added == [*told, "error"]
    for column, values in told.items():
        found = table.column(column).to_numpy()
        if np.asarray(values).dtype.kind == "f":
            np.testing.assert_allclose(found, values, rtol=1e-9, atol=1e-12)
        else:
            assert found.tolist() == np.asarray(values).tolist()
    assert table.column("error").null_count == len(table)


@pytest.mark.parametrize("name", KINDS)
def test_files_and_tables_of_each_kind_get_the_pipelines_own_answers(
    name: str, kinds: dict[str, Kind], models: ModelStore, tmp_path: Path
) -> None:
    kind = kinds[name]
    pq.write_table(kind.table, tmp_path / "in.parquet", row_group_size=40)
    done = model_store.score(name, tmp_path / "in.parquet", tmp_path / "out", store=models)
    assert (done.rows, done.faulty, done.missing) == (150, 0, 0)
    found = pq.read_table(tmp_path / "out")
    require_told(found, kind, name)
    assert found.select(kind.table.column_names).equals(kind.table)
    require_told(model_store.score(name, kind.table, store=models), kind, name)

    pyarrow.csv.write_csv(kind.table, tmp_path / "in.csv")
    model_store.score(name, tmp_path / "in.csv", tmp_path / "csv", store=models)
    require_told(pq.read_table(tmp_path / "csv"), kind, name)
    model_store.score(
        name, tmp_path / "in.csv", tmp_path / "text", store=models, columns="none", format="csv"
    )
    (part,) = (tmp_path / "text").glob("*.csv")
    types = {field.name: field.type for field in found.schema}
    again = pyarrow.csv.read_csv(
        part, convert_options=pyarrow.csv.ConvertOptions(column_types=types)
    )
    assert again.column_names == [*expected(name, kind.pipeline, kind.X), "error"]
    for column in again.column_names[:-1]:
        assert again.column(column).to_pylist() == found.column(column).to_pylist()


def test_base_and_reasons_of_each_row_are_its_answer_in_files_and_in_memory(
    kinds: dict[str, Kind], models: ModelStore, tmp_path: Path
) -> None:
    kind = kinds["classes"]
    pq.write_table(kind.table, tmp_path / "in.parquet")
    model_store.score(
        "classes", tmp_path / "in.parquet", tmp_path / "out", store=models, explain=True
    )
    told = pq.read_table(tmp_path / "out")
    names = models.manifest("classes").signature.names
    reasons = [f"reason_{name}" for name in names]
    assert told.column_names[-len(names) - 2 :] == ["base", *reasons, "error"]
    together = sum(told.column(name).to_numpy() for name in ("base", *reasons))
    shares = [
        told.column(f"probability_{label}")[row].as_py()
        for row, label in enumerate(told.column("prediction").to_pylist())
    ]
    np.testing.assert_allclose(together, shares, atol=1e-9)
    table = kind.table.slice(0, 20)
    assert model_store.score("classes", table, store=models, explain=True).equals(
        told.slice(0, 20).cast(told.schema)
    )


def test_what_cannot_be_explained_is_refused_before_anything_is_written(
    kinds: dict[str, Kind], models: ModelStore, tmp_path: Path
) -> None:
    pq.write_table(kinds["transformed"].table, tmp_path / "in.parquet")
    with pytest.raises(InvalidRun, match="there is nothing to explain"):
        model_store.score(
            "transformed", tmp_path / "in.parquet", tmp_path / "out", store=models, explain=True
        )
    assert not (tmp_path / "out").exists()


def test_a_frame_comes_back_with_its_index_and_its_own_columns(
    kinds: dict[str, Kind], models: ModelStore
) -> None:
    frame = kinds["classes"].table.to_pandas()
    frame.index = pd.Index(range(1000, 1150), name="id")
    frame["prediction"] = pd.Categorical(["x"] * 150)
    frame["a"] = frame["a"].astype(object)
    frame["b"] = frame["b"].astype("Float64")
    frame.iloc[3, 0] = "many"
    frame.iloc[4, 1] = pd.NA
    found = model_store.score("classes", frame, store=models)
    assert isinstance(found, pd.DataFrame)
    assert found.index.equals(frame.index)
    pd.testing.assert_frame_equal(found[frame.columns], frame)
    assert [*found.columns[4:]] == [
        "prediction_",
        "probability_above",
        "probability_below",
        "error",
    ]
    assert found["error"].iloc[3] == 'a: expected a number, got "many"'
    assert found["error"].iloc[4] == "b: expected a number, got null"
    assert found["prediction_"].isna().sum() == 2
    answers = kinds["classes"].pipeline.predict(kinds["classes"].X)
    sound = found["error"].isna().to_numpy()
    assert found["prediction_"][sound].tolist() == answers[sound].tolist()


WRONG: dict[str, tuple[Any, ...]] = {
    "a list": ("classes", [1, 2]),
    "a table with an output": ("classes", pa.table({"a": [1.0]}), "out"),
    "files without an output": ("classes", "in"),
    "a table without a column": ("classes", pa.table({"a": [1.0]})),
    "a column of lists": ("text", pa.table({"text": [["x"]]})),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_refused(case: str, models: ModelStore) -> None:
    with pytest.raises(model_store.errors.InvalidRun):
        api.score(*WRONG[case], store=models)
