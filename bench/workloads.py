"""The models that are measured, published each to a store of its own, and what is asked of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store import ModelStore
from model_store.recipes import RECIPES

SEED = 7
BATCH = 10_000
NAMES = ("logistic", "forest", "boosting", "titanic")


@dataclass(frozen=True, slots=True)
class Workload:
    """A published model, `BATCH` rows for it as JSON values, and what its pipeline says of them."""

    name: str
    store: Path
    columns: tuple[str, ...]
    rows: list[list[Any]]
    labels: list[Any]

    @property
    def artifact(self) -> Path:
        """The pipeline as joblib wrote it, for the peers."""
        return self.store / self.name / "1" / "pipeline.joblib"

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers, so that a tensor holds them."""
        return all(isinstance(value, int | float) for value in self.rows[0])


def publish(name: str, folder: Path) -> Workload:
    """Train and publish one of `NAMES` below the folder."""
    root = folder / name
    store = ModelStore(root)
    if name == "titanic":
        data = RECIPES[name].data()
        RECIPES[name].train(store)
        return _workload(name, store, data.X)
    from sklearn.datasets import load_iris

    iris = load_iris()
    pipeline = _estimator(name).fit(iris.data, iris.target)
    store.publish(name, pipeline, iris.data, iris.target, feature_names=iris.feature_names)
    return _workload(name, store, iris.data)


def publish_wide(columns: int, folder: Path) -> Workload:
    """A logistic regression of that many columns of random numbers."""
    generator = np.random.default_rng(SEED)
    X = generator.normal(size=(max(200, 4 * columns), columns)).round(3)
    y = (X[:, 0] > 0).astype(int)
    name = f"wide-{columns}"
    store = ModelStore(folder / name)
    store.publish(name, _estimator("logistic").fit(X, y), X, y)
    return _workload(name, store, X)


def multiply(workload: Workload, copies: int, folder: Path) -> Path:
    """A store of so many models, each a copy under another name."""
    root = folder / f"{workload.name}-{copies}"
    source = workload.artifact.parent
    for number in range(copies):
        name = workload.name if number == 0 else f"{workload.name}-{number}"
        target = root / name / "1"
        target.mkdir(parents=True)
        for file in source.iterdir():
            (target / file.name).write_bytes(file.read_bytes())
        manifest = json.loads((source / "manifest.json").read_bytes())
        (target / "manifest.json").write_text(json.dumps(manifest | {"name": name}))
    return root


def _estimator(name: str) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    match name:
        case "logistic":
            return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        case "forest":
            return RandomForestClassifier(n_estimators=100, n_jobs=1, random_state=SEED)
        case "boosting":
            return GradientBoostingClassifier(random_state=SEED)
    raise ValueError(name)


def _workload(name: str, store: ModelStore, X: NDArray[Any]) -> Workload:
    """Rows are drawn from the training data, those with a missing value left out."""
    model = store.load(store.verify(name, pickles="always"))
    whole = [
        row for row in X.tolist() if all(value == value and value is not None for value in row)
    ]
    drawn = np.random.default_rng(SEED).integers(len(whole), size=BATCH)
    rows = [whole[index] for index in drawn]
    labels = model.pipeline.predict(np.array(rows, dtype=X.dtype)).tolist()
    columns = tuple(column.name for column in model.manifest.signature.columns)
    return Workload(name, store.root, columns, rows, labels)
