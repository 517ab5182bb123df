"""A store of the test's own, a small model to put into it, and ways to damage it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

from model_store import Manifest, ModelStore
from model_store.manifest import MANIFEST, File

X: NDArray[np.float64] = np.array(
    [[0.5, 9.0], [1.0, 8.5], [1.5, 9.5], [8.0, 1.0], [8.5, 0.5], [9.5, 1.5]]
)
LABELS: NDArray[np.str_] = np.array(["low", "low", "low", "high", "high", "high"])
NUMBERS: NDArray[np.float64] = X @ np.array([2.0, -1.0]) + 3.0


def classifier() -> Any:
    return LogisticRegression().fit(X, LABELS)


def regressor() -> Any:
    return LinearRegression().fit(X, NUMBERS)


def publish_small(store: ModelStore, name: str = "small", **extra: Any) -> Manifest:
    return store.publish(name, classifier(), X, LABELS, **extra)


def folder(store: ModelStore, name: str = "small", version: int = 1) -> Path:
    return store.root / name / str(version)


def edit_manifest(path: Path, *keys: str, value: Any) -> None:
    """Put a value at a place of the manifest in this version's folder."""
    whole = json.loads((path / MANIFEST).read_bytes())
    place = whole
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (path / MANIFEST).write_text(json.dumps(whole))


def put(path: Path, data: bytes) -> None:
    """Put a file into a version's folder, and its size and digest into the manifest."""
    path.write_bytes(data)
    digest = File.of(data)
    entry = {"size": digest.size, "sha256": digest.sha256}
    edit_manifest(path.parent, "files", path.name, value=entry)


@pytest.fixture
def empty(tmp_path: Path) -> ModelStore:
    """A store in a folder that does not exist yet."""
    return ModelStore(tmp_path / "models")


@pytest.fixture(scope="session")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a store, published once, since that takes a while."""
    store = ModelStore(tmp_path_factory.mktemp("small"))
    publish_small(store)
    return store.root


@pytest.fixture
def small(empty: ModelStore, small_root: Path) -> ModelStore:
    """A store with one version of one small classifier, named `small`."""
    shutil.copytree(small_root, empty.root)
    return empty
