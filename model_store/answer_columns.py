"""The columns that an answer adds to a table: their names, and what stands in them.

Added are a prediction, a probability for each class, the numbers that the model measures beside
that, and where answers are explained the base value and a reason for each column of the model; of
several targets these for each, by its name; and the error, which is always the last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from .column_types import Datatype, datatype_of
from .labels import datatype_of_numbers
from .manifest import TEXTS, Manifest, Target

if TYPE_CHECKING:
    from .reasons.explanation import Explanation

ERROR: Final = "error"


class Told(Protocol):
    """What a model says of some rows, as `Prediction` has it."""

    @property
    def labels(self) -> NDArray[Any]: ...

    @property
    def probabilities(self) -> Sequence[NDArray[np.float64]] | None: ...

    @property
    def measures(self) -> Mapping[str, NDArray[np.float64]]: ...


def added_names(
    names: Collection[str], manifest: Manifest, *, explained: bool = False
) -> list[str]:
    """The names of the added columns. One that the table has already gets underscores at its
    end."""
    added = []
    for position, target in enumerate(manifest.targets):
        suffix = f"_{target.name or position}" if manifest.several else ""
        added.append(f"prediction{suffix}")
        if manifest.probabilities:
            added += [f"probability{suffix}_{label}" for label in target.classes or ()]
        added += [f"{measure.name}{suffix}" for measure in manifest.measures]
        if explained:
            added.append(f"base{suffix}")
            added += [f"reason{suffix}_{name}" for name in manifest.signature.names]
    taken = set(names)
    free = []
    for name in (*added, ERROR):
        while name in taken:
            name += "_"
        taken.add(name)
        free.append(name)
    return free


def added_datatypes(manifest: Manifest, *, explained: bool = False) -> list[Datatype]:
    """What holds the values of each added column but the error, in their order."""
    found: list[Datatype] = []
    for target in manifest.targets:
        found.append(_datatype(target))
        if manifest.probabilities:
            found += ["FP64"] * len(target.classes or ())
        found += ["FP64"] * len(manifest.measures)
        if explained:
            found += ["FP64"] * (1 + len(manifest.signature.columns))
    return found


def added_values(told: Told, explanation: Explanation | None = None) -> list[NDArray[Any]]:
    """What stands in each of these columns, of the shape (n,)."""
    labels = told.labels if told.labels.ndim > 1 else told.labels[:, np.newaxis]
    columns: list[NDArray[Any]] = []
    for position, found in enumerate(labels.T):
        columns.append(found)
        if told.probabilities is not None:
            columns += list(told.probabilities[position].T)
        for numbers in told.measures.values():
            columns.append(numbers if numbers.ndim == 1 else numbers[:, position])
        if explanation is not None:
            columns.append(explanation.base[:, position])
            columns += list(explanation.contributions[:, position].T)
    return columns


def _datatype(target: Target) -> Datatype:
    if target.dtype == TEXTS:
        return "BYTES"
    if target.classes is None:
        return datatype_of_numbers([target.dtype or "float64"])
    return datatype_of(target.classes)
