"""Passed or not, from the points of two exams: data made by a seeded generator."""

from __future__ import annotations

from typing import Any

import numpy as np

from .recipe import SEED, Dataset, Recipe

STUDENTS = 400


def _data() -> Dataset:
    """Points from 30 to 100; whoever has about 130 in both together passes, with some luck."""
    random = np.random.default_rng(SEED)
    points = np.round(random.uniform(30, 100, size=(STUDENTS, 2)), 1)
    luck = random.normal(0, 8, size=STUDENTS)
    passed = (points.sum(axis=1) + luck > 130).astype(np.int64)
    return Dataset(
        points,
        passed,
        ("X1", "X2"),
        "result",
        notice=f"Trained on {STUDENTS} students made by a seeded generator, not on real ones.",
        source="points made by a seeded generator",
    )


def _pipeline() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    return Pipeline([("classifier", LogisticRegression(max_iter=1000, random_state=SEED))])


RECIPE = Recipe(
    name="exam",
    title="Exam",
    description="Whether a student passes, from the points of two exams (X1 and X2).",
    data=_data,
    pipeline=_pipeline,
    scores={"accuracy": "accuracy"},
    words={"0": "did not pass", "1": "passed"},
)
