"""Folders with one file of a model in them, and rows beside it."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pandas
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from model_store.errors import InvalidPipeline, ModelStoreError, UnreadableFile
from model_store.importer import ImportReport, ImportRequest, import_files

from .test_folders import FRAME, PIPELINE, TRUTH

X = np.random.default_rng(1).normal(size=(40, 2))
ARRAY = LogisticRegression().fit(X, X[:, 0] > 0)


def folder(path: Path, *files: str, model: object = PIPELINE) -> Path:
    """A folder with the model in each of these files, by their endings."""
    path.mkdir()
    for file in files:
        if file.endswith(".skops"):
            skops.io.dump(model, path / file)
        else:
            joblib.dump(model, path / file)
    return path


def taken(path: Path) -> ImportReport:
    return import_files(ImportRequest(name="it", files=(str(path),), publish=False))[0]


def refused(path: Path, kind: type[ModelStoreError] = UnreadableFile) -> str:
    with pytest.raises(kind) as told:
        taken(path)
    return str(told.value)


@pytest.mark.parametrize("file", ["model.joblib", "model.pkl", "a.pickle", "MODEL.SKOPS"])
def test_the_one_file_is_the_model_and_the_sample_beside_it_its_rows(
    file: str, tmp_path: Path
) -> None:
    found = folder(tmp_path / "it", file.replace("SKOPS", "skops"))
    FRAME.to_csv(found / "sample.csv", index=False)
    (found / "README.md").write_text("Other files are left alone.")
    (found / "requirements.txt").write_text("scikit-learn")
    (found / "deeper").mkdir()
    joblib.dump(PIPELINE, found / "deeper" / "other.joblib")

    report = taken(found)
    assert report.signature is not None
    assert report.signature.names == ("age", "income", "city")
    assert report.signature.columns[0].maximum == 50


@pytest.mark.parametrize("file", ["sample.parquet", "sample.feather"])
def test_a_sample_with_types_keeps_them(file: str, tmp_path: Path) -> None:
    found = folder(tmp_path / "it", "model.joblib")
    getattr(FRAME, f"to_{file.partition('.')[2]}")(found / file)
    report = taken(found)
    assert report.signature is not None
    assert [column.type for column in report.signature.columns][:2] == ["integer", "number"]


def test_columns_that_the_pipeline_does_not_know_are_not_used(tmp_path: Path) -> None:
    found = folder(tmp_path / "it", "model.joblib")
    frame = FRAME.assign(left=TRUTH, id=range(len(FRAME)))
    frame[["id", *FRAME.columns, "left"]].to_csv(found / "sample.csv", index=False)
    report = taken(found)
    assert report.signature is not None
    assert report.signature.names == ("age", "income", "city")
    assert report.notes[0] == "id, left: not used, since the pipeline does not know them"


def test_of_a_pipeline_without_names_no_column_is_left_out(tmp_path: Path) -> None:
    found = folder(tmp_path / "it", "model.joblib", model=ARRAY)
    pandas.DataFrame(X, columns=["a", "b"]).assign(c=1).to_csv(found / "sample.csv", index=False)
    assert "takes 2 columns" in refused(found, InvalidPipeline)


def test_a_pipeline_that_knows_its_columns_needs_no_sample(tmp_path: Path) -> None:
    report = taken(folder(tmp_path / "it", "model.joblib"))
    assert report.signature is not None
    assert report.signature.names == ("age", "income", "city")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["a.pkl", "b.joblib"], "holds several models: a.pkl, b.joblib; leave one"),
        ([], "nor one file of a model (.joblib, .pkl"),
    ],
)
def test_more_or_less_than_one_model_is_refused(
    files: list[str], sentence: str, tmp_path: Path
) -> None:
    assert sentence in refused(folder(tmp_path / "it", *files))


def test_two_samples_are_refused(tmp_path: Path) -> None:
    found = folder(tmp_path / "it", "model.joblib")
    FRAME.to_csv(found / "sample.csv", index=False)
    FRAME.to_parquet(found / "sample.parquet")
    assert "holds several samples: sample.csv, sample.parquet" in refused(found)
