"""A store with a small model of each kind, and tables of rows for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model_store import ModelStore

NAMES = ["a", "b", "c"]
NOTES = ("a dog", "a cat", "two dogs", "no pets", "cats and dogs", "a fish")


@dataclass(frozen=True)
class Kind:
    """A pipeline, and rows for it as the table that it is asked."""

    pipeline: Any
    X: Any
    table: pa.Table


@pytest.fixture(scope="session")
def kinds() -> dict[str, Kind]:
    """By the name of its model each pipeline, fitted."""
    random = np.random.default_rng(11)
    X = random.normal(size=(150, 3))
    sums = X.sum(axis=1)
    words = np.where(sums > 0, "above", "below")
    table = pa.table({name: X[:, place] for place, name in enumerate(NAMES)})
    notes = [str(each) for each in random.choice(NOTES, 150)]
    numbers = {
        "classes": make_pipeline(StandardScaler(), LogisticRegression()).fit(X, words),
        "whole": RandomForestClassifier(5, random_state=0).fit(X, (sums > 0).astype(int)),
        "regression": LinearRegression().fit(X, sums),
        "several": RandomForestClassifier(3, random_state=0).fit(
            X, np.column_stack([words, (sums > 1).astype(str)])
        ),
        "clusters": KMeans(3, random_state=0, n_init=1).fit(X),
        "outliers": make_pipeline(
            StandardScaler(), IsolationForest(n_estimators=9, random_state=0)
        ).fit(X),
        "transformed": make_pipeline(StandardScaler(), PCA(2)).fit(X),
    }
    found = {name: Kind(pipeline, X, table) for name, pipeline in numbers.items()}
    text = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(
        notes, ["dog" in note for note in notes]
    )
    found["text"] = Kind(text, notes, pa.table({"text": notes}))
    return found


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory, kinds: dict[str, Kind]) -> Path:
    """The folder of a store with these; not to be written to."""
    store = ModelStore(tmp_path_factory.mktemp("kinds"))
    targets = {
        "classes": lambda kind: kind.pipeline.predict(kind.X),
        "whole": lambda kind: kind.pipeline.predict(kind.X),
        "regression": lambda kind: kind.pipeline.predict(kind.X),
        "several": lambda kind: kind.pipeline.predict(kind.X),
        "text": lambda kind: kind.pipeline.predict(kind.X),
    }
    for name, kind in kinds.items():
        y = targets[name](kind) if name in targets else None
        names = None if name == "text" else NAMES
        targeted = ["side", "far"] if name == "several" else None
        store.publish(name, kind.pipeline, kind.X, y, feature_names=names, target_name=targeted)
    return store.root


@pytest.fixture
def models(root: Path) -> ModelStore:
    """That store; not to be written to."""
    return ModelStore(root)
