"""A recipe: where the data comes from, what is fitted to it, and how it is scored.

The score is always measured on rows that were not fitted on: five folds, shuffled once with a
fixed seed, stratified where there are classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..manifest import Manifest
from ..store import ModelStore, Progress

FOLDS: Final = 5
SEED: Final = 20
"""One seed for all that is drawn: the same recipe trains the same pipeline."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Training data: `X` of shape (rows, columns), `y` of shape (rows,)."""

    X: NDArray[Any]
    y: NDArray[Any]
    feature_names: tuple[str, ...]
    target_name: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model is trained. `scores` maps a metric's name to scikit-learn's scorer."""

    name: str
    title: str
    description: str
    data: Callable[[], Dataset]
    pipeline: Callable[[], Any]
    scores: Mapping[str, str]
    words: Mapping[str, str] = field(default_factory=dict)
    notice: str | None = None

    def train(self, store: ModelStore, progress: Progress = lambda step: None) -> Manifest:
        """Load the data, score, fit and publish; `progress` is told each step. Blocks."""
        progress("loading the data")
        data = self.data()
        progress(f"scoring on {FOLDS} folds")
        metrics = self._score(data)
        progress(f"fitting on {len(data.X)} rows")
        pipeline = self.pipeline().fit(data.X, data.y)
        progress("publishing")
        return store.publish(
            self.name,
            pipeline,
            data.X,
            data.y,
            feature_names=data.feature_names,
            target_name=data.target_name,
            title=self.title,
            description=self.description,
            notice=self.notice,
            words=self.words,
            metrics=metrics,
            validation=f"mean and standard deviation of {FOLDS}-fold cross-validation",
        )

    def _score(self, data: Dataset) -> dict[str, float]:
        from sklearn.base import is_classifier
        from sklearn.model_selection import KFold, StratifiedKFold, cross_validate

        pipeline = self.pipeline()
        folds = StratifiedKFold if is_classifier(pipeline) else KFold
        splitter = folds(FOLDS, shuffle=True, random_state=SEED)
        found = cross_validate(pipeline, data.X, data.y, cv=splitter, scoring=dict(self.scores))
        metrics: dict[str, float] = {}
        for metric in self.scores:
            # scikit-learn turns an error into a score by its sign.
            folded = (
                np.abs(found[f"test_{metric}"])
                if metric.endswith("error")
                else found[f"test_{metric}"]
            )
            metrics[metric] = float(np.mean(folded))
            metrics[f"{metric}_std"] = float(np.std(folded))
        return metrics
