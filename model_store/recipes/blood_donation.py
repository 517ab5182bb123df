"""Whether somebody gives blood again, from when and how often they did before.

The real table is "Blood Transfusion Service Center" by I-Cheng Yeh (OpenML 1464; UCI 176).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..errors import InvalidTable
from ..tables import Table
from .recipe import SEED, Dataset, OpenML, Recipe, find_columns, integers

DONORS: Final = 748
DOSE: Final = 250
"""Cubic centimetres of blood that are given at a time."""

COLUMNS: Final = {
    "Recency": ("V1", "Recency (months)"),
    "Frequency": ("V2", "Frequency (times)"),
    "Monetary": ("V3", "Monetary (c.c. blood)"),
    "Time": ("V4", "Time (months)"),
}
TARGET: Final = {"Donated": ("Class", "whether he/she donated blood in March 2007")}


def _data() -> Dataset:
    """Donors with the ranges of the real table. Who gave often and lately gives again, mostly."""
    random = np.random.default_rng(SEED)
    frequency = np.clip(random.geometric(0.18, DONORS), 1, 50)
    recency = np.clip(random.exponential(9.5, DONORS).round(), 0, 74).astype(np.int64)
    since = recency + (frequency - 1) * random.integers(1, 9, DONORS)
    time = np.clip(since + 2, 2, 98)
    logit = -0.9 - 0.12 * recency + 0.16 * frequency - 0.015 * time
    donated = (random.random(DONORS) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    X = np.stack([recency, frequency, DOSE * frequency, time], axis=1)
    return Dataset(
        X,
        donated,
        tuple(COLUMNS),
        "Donated",
        notice=f"Trained on a generated sample of {DONORS} donors, not on real ones; "
        "quart-app models train blood-donation --data FILE trains on the real table.",
        source="donors made by a seeded generator",
    )


def _of_table(table: Table) -> Dataset:
    found = find_columns(table, COLUMNS | TARGET)
    X = np.stack([integers(table, found[name]) for name in COLUMNS], axis=1)
    y = integers(table, found["Donated"])
    labels = set(y.tolist())
    if labels == {1, 2}:  # OpenML counts its classes from 1
        y = y - 1
    elif labels != {0, 1}:
        raise InvalidTable(
            f"{found['Donated']}: expected 0 and 1, or 1 and 2, got {sorted(labels)[:5]}."
        )
    return Dataset(X, y, tuple(COLUMNS), "Donated")


def _pipeline() -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline

    # Leaves of many donors: single ones say little of others.
    forest = RandomForestClassifier(n_estimators=100, min_samples_leaf=12, random_state=SEED)
    return Pipeline([("classifier", forest)])


RECIPE = Recipe(
    name="blood-donation",
    title="Blood donation",
    description="Whether somebody who gave blood before gives it again, from when and how often "
    "they did.",
    data=_data,
    pipeline=_pipeline,
    scores={"accuracy": "accuracy", "roc_auc": "roc_auc"},
    words={"0": "does not donate", "1": "donates"},
    labels={"Monetary": "Blood given", "Time": "First donation", "Recency": "Last donation"},
    units={
        "Recency": "months ago",
        "Frequency": "donations",
        "Monetary": "c.c.",
        "Time": "months ago",
    },
    synonyms=COLUMNS,
    table=_of_table,
    openml=OpenML("blood-transfusion-service-center", 1),
)
