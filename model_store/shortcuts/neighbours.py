"""k-nearest neighbours: they are looked for once, for the label and for the probabilities.

The search is that of scikit-learn's own trees, without the thread pool around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .answers import Answer, Array, Final, NotCovered, as_floats

Search = Callable[[Array, int, bool], Any]
"""The places of so many neighbours of each row, and with True their distances before them."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """For `classes`, `values` of shape (training rows,) are the places of theirs; else they have
    the shape (training rows, targets), and `flat` says that there is one target. `nearer` says
    whether those that are nearer count more.
    """

    search: Search
    count: int
    values: Array
    classes: Array | None
    flat: bool
    nearer: bool
    mode: Callable[..., Any]

    def __call__(self, array: Array) -> Answer:
        rows = _finite(array)
        if not self.nearer:
            places, weights = self.search(rows, self.count, False), None
        else:
            distances, places = self.search(rows, self.count, True)
            weights = _weights(distances)
        values = self.values[places]
        if self.classes is None:
            means = _means(values, weights)
            return means.ravel() if self.flat else means, None
        shares = np.zeros((len(rows), len(self.classes)))
        each = np.arange(len(rows))
        for place in range(self.count):
            shares[each, values[:, place]] += 1 if weights is None else weights[:, place]
        if weights is None:
            # Of equal counts the first, which is the lowest class.
            chosen = shares.argmax(axis=1)
        else:
            chosen = self.mode(values, weights, axis=1)[0].ravel().astype(np.intp)
        shares /= shares.sum(axis=1)[:, np.newaxis]
        return self.classes.take(chosen), shares


@dataclass(frozen=True, slots=True)
class Votes:
    """A search through all rows, where the label is that of the greatest probability."""

    shares: Callable[[Array], Array]
    classes: Array

    def __call__(self, array: Array) -> Answer:
        shares = self.shares(_finite(array))
        return self.classes[shares.argmax(axis=1)], shares


def neighbours(step: Any, name: str) -> Final | None:
    """A search by one of the trees; or of classes through all rows, where they count alike."""
    classifier = name.endswith("Classifier")
    if step.weights not in ("uniform", "distance") or (classifier and step.outputs_2d_):
        return None
    if step._fit_method not in ("kd_tree", "ball_tree"):
        return _votes(step) if classifier and step.weights == "uniform" else None
    from sklearn.utils.extmath import weighted_mode

    return Neighbours(
        search=step._tree.query,
        count=step.n_neighbors,
        values=step._y if classifier else step._y.reshape(len(step._y), -1),
        classes=step.classes_ if classifier else None,
        flat=step._y.ndim == 1,
        nearer=step.weights == "distance",
        mode=weighted_mode,
    )


def _votes(step: Any) -> Final | None:
    from sklearn.metrics._pairwise_distances_reduction import ArgKminClassMode

    rows = step._fit_X
    if step._fit_method != "brute" or rows.dtype != np.float64:
        return None
    # Else its `predict` does not go by its `predict_proba`.
    if not ArgKminClassMode.is_usable_for(rows, rows, step.metric):
        return None
    return Votes(step.predict_proba, step.classes_)


def _finite(array: Array) -> Array:
    rows = np.ascontiguousarray(as_floats(array), dtype=np.float64)
    if not np.isfinite(rows).all():
        raise NotCovered
    return rows


def _weights(distances: Array) -> Array:
    """1 / distance; where that is infinite, 1 for those at no distance and 0 for the others."""
    weights = 1.0 / distances
    infinite = np.isinf(weights)
    at_hand = infinite.any(axis=1)
    weights[at_hand] = infinite[at_hand]
    return weights


def _means(values: Array, weights: Array | None) -> Array:
    """The means over the neighbours. `values` have the shape (rows, neighbours, targets)."""
    if weights is None:
        return np.asarray(np.mean(values, axis=1))
    total = weights.sum(axis=1)
    sums = [(values[:, :, place] * weights).sum(axis=1) for place in range(values.shape[2])]
    return np.stack([each / total for each in sums], axis=1)
