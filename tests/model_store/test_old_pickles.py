"""Pickles that another scikit-learn wrote, where `OLD_PICKLES` names a folder of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from model_store import ModelStore
from model_store.errors import IncompatibleVersion, ModelStoreError
from model_store.importer import ImportRequest, import_files

pytestmark = pytest.mark.skipif(
    "OLD_PICKLES" not in os.environ, reason="OLD_PICKLES names no folder of pickles"
)

FILES = ("scaled.pkl", "forest.joblib", "boosting.pkl", "neighbours.joblib", "mixed.pkl")


CHANGED = ("mixed.pkl",)
"""Of these the inside has changed since 1.5: imputers remember one dtype more."""


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(os.environ["OLD_PICKLES"])


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    """The version that wrote them, and what it answered."""
    content: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return content


@pytest.mark.parametrize("file", [*FILES, "text.pkl"])
def test_each_is_refused_with_the_version_that_wrote_it(
    file: str, folder: Path, told: dict[str, Any]
) -> None:
    with pytest.raises(IncompatibleVersion, match=rf"written by scikit-learn {told['version']},"):
        import_files(ImportRequest(name="old", files=(str(folder / file),)))


@pytest.mark.parametrize("file", FILES)
def test_where_it_is_allowed_it_answers_as_it_did_or_is_refused_in_a_sentence(
    file: str, folder: Path, told: dict[str, Any], tmp_path: Path
) -> None:
    order = ImportRequest(name="old", files=(str(folder / file),), allow_version=True)
    if file in CHANGED:
        with pytest.raises(ModelStoreError, match=rf"scikit-learn {told['version']}, and "):
            import_files(order)
        return
    _, draft = import_files(order)
    assert draft is not None
    store = ModelStore(tmp_path / "models")
    manifest = store.add(draft)
    assert manifest.source is not None
    assert manifest.source.scikit_learn == told["version"]
    model = store.load(store.verify("old"))
    model.replay()
    X, _ = load_iris(return_X_y=True)
    if file == "mixed.pkl":
        X = np.array([[row[0], "long" if row[2] > 3 else "short"] for row in X], dtype=object)
    columns = {name: X[:, i].tolist() for i, name in enumerate(manifest.signature.names)}
    matrix = manifest.signature.validate(columns, len(X))
    assert model.predict(matrix).labels.tolist() == told["answers"][file]
