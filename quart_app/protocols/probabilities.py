"""Probabilities as JSON has them: keyed by the texts of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inference import InferenceResponse


def by_row(response: InferenceResponse) -> list[Any] | None:
    """For each row the probabilities by class, or a list of such of several targets."""
    if response.probabilities is None:
        return None
    tables = [
        _by_class(shares, classes)
        for shares, classes in zip(response.probabilities, response.classes, strict=True)
    ]
    return (
        tables[0] if response.labels.ndim == 1 else [list(row) for row in zip(*tables, strict=True)]
    )


def _by_class(shares: NDArray[np.float64], classes: Sequence[object]) -> list[dict[str, float]]:
    names = [str(label) for label in classes]
    return [dict(zip(names, row, strict=True)) for row in shares.tolist()]
