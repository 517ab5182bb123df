"""Gradient boosting, of both kinds: scikit-learn's own compiled code adds the trees up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .answers import Answer, Array, Final, NotCovered, as_finite_float32, as_floats
from .tree_walk import Nodes, Walk
from .trees import Splits, splits_of

ROWS_OF_ONE_THREAD = 1024
"""Below, more threads cost more than they bring."""


@dataclass(frozen=True, slots=True)
class Boosting:
    """GradientBoosting. `start` of shape (1, trees an iteration) is the same for each row."""

    estimators: Array
    rate: float
    start: Array
    add: Callable[[Array, Array, float, Array], None]
    loss: Any
    classes: Array | None

    def __call__(self, array: Array) -> Answer:
        narrow = as_finite_float32(array, nan=False)
        raw = self.start.repeat(len(narrow), axis=0)
        self.add(self.estimators, narrow, self.rate, raw)
        if self.classes is None:
            return raw.ravel(), None
        if raw.shape[1] == 1:
            raw = raw.ravel()
            places = (raw >= 0).astype(int)
        else:
            places = raw.argmax(axis=1)
        return self.classes[places], self.loss.predict_proba(raw)

    def splits(self) -> Splits:
        return splits_of([estimator.tree_ for estimator in self.estimators.ravel()])


@dataclass(frozen=True, slots=True)
class Histogram:
    """HistGradientBoosting of numbers. NaN has its way in each tree."""

    predictors: list[list[Any]]
    start: Array
    known: tuple[Array, Array]
    loss: Any
    classes: Array | None
    threads: Callable[[], int]
    walk: Walk | None

    def __call__(self, array: Array) -> Answer:
        wide = np.ascontiguousarray(as_floats(array), dtype=np.float64)
        if np.isinf(wide).any():
            raise NotCovered
        raw = self._sums(wide)
        if self.classes is None:
            return self.loss.link.inverse(raw.ravel()), None
        single = raw.shape[1] == 1
        places = (raw.ravel() > 0).astype(int) if single else raw.argmax(axis=1)
        return self.classes[places], self.loss.predict_proba(raw)

    def _sums(self, wide: Array) -> Array:
        """What the trees add up to, from `start` on and one after another."""
        if self.walk is not None and len(wide) == 1 and not np.isnan(wide).any():
            values = self.walk.values_for(wide[0]).reshape(-1, self.start.size)
            return np.add.accumulate(np.concatenate([self.start.reshape(1, -1), values]))[-1:]
        threads = 1 if len(wide) < ROWS_OF_ONE_THREAD else self.threads()
        raw = np.zeros((len(wide), self.start.size), dtype=self.start.dtype, order="F")
        raw += self.start
        columns = [raw[:, place] for place in range(self.start.size)]
        bitsets, features = self.known
        for iteration in self.predictors:
            for column, predictor in zip(columns, iteration, strict=True):
                column += predictor.predict(wide, bitsets, features, threads)
        return raw

    def splits(self) -> Splits:
        nodes = np.concatenate([each.nodes for iteration in self.predictors for each in iteration])
        inner = nodes[nodes["is_leaf"] == 0]
        return inner["feature_idx"], inner["num_threshold"]


def boosting(step: Any, name: str) -> Final | None:
    if step.init not in (None, "zero"):
        return None
    from sklearn.ensemble._gradient_boosting import predict_stages

    start = step._raw_predict_init(np.zeros((1, step.n_features_in_), dtype=np.float32))
    classes = step.classes_ if name.endswith("Classifier") else None
    return Boosting(
        step.estimators_, step.learning_rate, start, predict_stages, step._loss, classes
    )


def histogram(step: Any, name: str) -> Final | None:
    if step.is_categorical_ is not None:
        return None
    from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

    return Histogram(
        step._predictors,
        np.asarray(step._baseline_prediction),
        step._bin_mapper.make_known_categories_bitsets(),
        step._loss,
        step.classes_ if name.endswith("Classifier") else None,
        _openmp_effective_n_threads,
        Walk.of([_nodes(each.nodes) for iteration in step._predictors for each in iteration]),
    )


def _nodes(nodes: Array) -> Nodes:
    return Nodes(
        leaf=nodes["is_leaf"],
        feature=nodes["feature_idx"],
        threshold=nodes["num_threshold"],
        left=nodes["left"],
        right=nodes["right"],
        value=nodes["value"].reshape(-1, 1),
        depth=int(nodes["depth"].max()),
    )
