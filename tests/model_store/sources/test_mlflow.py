"""Folders as the released MLflow writes them, in its environment of `make client-test`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from model_store.importer import ImportRequest, import_files

pytestmark = pytest.mark.clients

SAVE = """
import sys
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

X = pd.DataFrame({
    "age": [20, 30, 40, 50] * 10,
    "income": [1.5, 2.5, 3, 4] * 10,
    "city": ["a", "b", "c", "a"] * 10,
})
y = np.array([0, 1, 0, 1] * 10)
steps = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
pipeline = make_pipeline(steps, LogisticRegression()).fit(X, y)
mlflow.sklearn.save_model(
    pipeline, sys.argv[1], serialization_format=sys.argv[2],
    signature=infer_signature(X, y), input_example=X.head(2),
    pip_requirements=["scikit-learn"],
)
print(pipeline.predict(X.head(2)).tolist())
"""


@pytest.fixture(scope="module")
def python() -> Path:
    found = Path(os.environ.get("CLIENT_VENVS", ".clients")).absolute() / "mlflow/bin/python"
    if not found.exists() and not os.environ.get("REQUIRE_CLIENTS"):
        pytest.skip("needs make clients")
    return found


@pytest.mark.parametrize("how", ["skops", "cloudpickle", "pickle"])
def test_a_folder_of_mlflow_is_imported_as_it_is(how: str, python: Path, tmp_path: Path) -> None:
    folder = tmp_path / "churn"
    ended = subprocess.run(
        [python, "-c", SAVE, folder, how],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    request = ImportRequest(name="churn", files=(str(folder),), allow_version=True)
    report, draft = import_files(request)
    assert draft is not None
    assert report.sample is not None
    assert list(report.sample.rows) == [
        {"age": 20, "income": 1.5, "city": "a"},
        {"age": 30, "income": 2.5, "city": "b"},
    ]
    assert str(list(report.sample.predictions)) == ended.stdout.splitlines()[-1]
