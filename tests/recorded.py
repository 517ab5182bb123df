"""A model, what it was asked, and records of that in a database, as servers leave them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model_store import Manifest, ModelStore
from model_store.text_rules import JSON
from quart_app.memory.database import Database
from quart_app.memory.journal import Batch, Entry, Source, pack
from quart_app.memory.store import Records
from quart_app.memory.versions import StoredSummaries, Versions

NAME: Final = "loans"
ROWS: Final = 3_000
TOWNS: Final = ("Ayr", "Bonn", "Cork")
BATCH: Final = 128

_ids = itertools.count()


def customers(rows: int, seed: int, **shifts: float) -> pd.DataFrame:
    """Rows of the kind that the model is trained on; each of `shifts` moves a column."""
    random = np.random.default_rng(seed)
    towns = np.array([0.6, 0.3, 0.1]) + np.array([-0.4, 0.4, 0.0]) * shifts.get("town", 0.0)
    return pd.DataFrame(
        {
            "age": random.normal(40, 10, rows) + 10 * shifts.get("age", 0.0),
            "children": random.poisson(1.5, rows) + int(shifts.get("children", 0)),
            "town": random.choice(TOWNS, rows, p=towns),
        }
    )


def truth_of(rows: pd.DataFrame, seed: int) -> np.ndarray[Any, Any]:
    """Whether each paid, with some luck."""
    luck = np.random.default_rng(seed).normal(0, 8, len(rows))
    return np.where(rows["age"] + 4 * rows["children"] + luck > 46, "paid", "failed")


def publish(store: ModelStore, name: str = NAME, *, rows: int = ROWS) -> Manifest:
    """Publish the model as its next version."""
    X = customers(rows, 0)
    columns = make_column_transformer(
        (StandardScaler(), ["age", "children"]), (OneHotEncoder(), ["town"])
    )
    pipeline = make_pipeline(columns, LogisticRegression())
    y = truth_of(X, 1)
    return store.publish(name, pipeline.fit(X, y), X, y, target_name="outcome")


class Asked(NamedTuple):
    """Rows, and what the model answered: labels, and probabilities in the order of its classes."""

    columns: dict[str, list[Any]]
    labels: list[Any]
    probabilities: list[list[float]] | None


def ask(store: ModelStore, rows: pd.DataFrame, name: str = NAME) -> Asked:
    """Have the model answer these rows."""
    model = store.load(store.verify(name))
    columns = {str(column): rows[column].tolist() for column in rows}
    found = model.predict(model.manifest.signature.validate(columns, len(rows), JSON))
    tables = found.probabilities
    shares = None if tables is None else tables[0].tolist()
    return Asked(columns, found.labels.tolist(), shares)


def records_of(url: str, store: ModelStore) -> tuple[Records, Versions]:
    """The records at a URL, with summaries of the models of this store."""
    versions = Versions(store)
    return Records(Database.at(url), StoredSummaries(versions)), versions


def record(
    records: Records,
    asked: Asked,
    at: Sequence[float],
    *,
    name: str = NAME,
    version: int = 1,
    **entry: Any,
) -> list[str]:
    """Leave a request for each row, at these moments; their ids."""
    names = tuple(asked.columns)
    given: dict[str, Any] = {
        "variant": "champion",
        "door": "json",
        "status": 200,
        "milliseconds": 2.0,
        "error": None,
    }
    entries = [
        Entry(
            source=0,
            id=f"test-{next(_ids):09d}",
            at=moment,
            rows=1,
            columns=[[asked.columns[column][row]] for column in names],
            labels=[asked.labels[row]],
            probabilities=None if asked.probabilities is None else [asked.probabilities[row]],
            **(given | entry),
        )
        for row, moment in enumerate(at)
    ]
    _write(records, Source(name, version, "0" * 64, names), entries)
    return [each.id for each in entries]


def refuse(
    records: Records,
    at: Sequence[float],
    kind: str = "invalid_rows",
    *,
    name: str = NAME,
    **facts: Any,
) -> None:
    """Leave requests that were refused."""
    given: dict[str, Any] = {"variant": "champion", "door": "v2", "status": 400}
    entries = [
        Entry(
            source=0,
            id=f"test-{next(_ids):09d}",
            at=moment,
            milliseconds=1.0,
            error=kind,
            rows=1,
            columns=None,
            labels=None,
            probabilities=None,
            **(given | facts),
        )
        for moment in at
    ]
    _write(records, Source(name, 1, "0" * 64, ()), entries)


def tell(records: Records, truths: Mapping[str, Any], at: float, name: str = NAME) -> None:
    """Leave what turned out true, by the ids of requests of one row."""
    with records.session() as session:
        session.many(
            'INSERT INTO quart_app_truths (id, "row", at, model, truth) VALUES (?, 0, ?, ?, ?)',
            [(id, at, name, msgspec.json.encode(truth).decode()) for id, truth in truths.items()],
        )


def _write(records: Records, source: Source, entries: Sequence[Entry]) -> None:
    parts = [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)]
    with records.session() as session:
        records.add(
            session,
            [(part[0].at, len(part), pack(Batch([source], list(part)))) for part in parts],
        )
