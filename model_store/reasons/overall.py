"""Which columns matter overall, and how: contributions in rows of the training data."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from ..column_facts import JSONLabel
from ..errors import Unexplained
from ..labels import Labels
from ..manifest import Manifest, Target
from ..plain.node import Array
from ..signature import Matrix
from .clock import Clock
from .explainer import Explainer
from .explanation import Reasons
from .scales import Scale

ROWS: Final = 200
SECONDS: Final = 1.0
BLOCK: Final = 10
"""Rows that are explained together."""
LEAST: Final = 10
SHOWN: Final = 5
"""Columns whose points are kept."""
MOST_CLASSES: Final = 3
"""Of more, the points are those of the most frequent one."""
DIGITS: Final = 6


class Points(msgspec.Struct, frozen=True):
    """What one column contributes in each row, beside its value there."""

    column: str
    points: list[tuple[JSONLabel | None, float]]


class OfOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """What contributes to one output: of a target, and of one of its classes if it has any."""

    points: list[Points]
    target: str | None = None
    label: JSONLabel | None = None


class Overall(msgspec.Struct, frozen=True):
    """Of `rows` rows, on a scale, the mean size of what each column contributes to what is
    predicted, the largest first; and points of the first columns."""

    scale: Scale
    rows: int
    columns: list[tuple[str, float]]
    outputs: list[OfOutput]


def overall(reasons: Reasons, manifest: Manifest, matrix: Matrix, labels: Labels) -> Overall | None:
    """What contributes to the answers to rows, which are these labels. None where too few rows are
    explained in time.

    Raises:
        Unexplained: none can be.
    """
    found = reasons.explainer()
    every = np.arange(len(found.base), dtype=np.intp)
    clock, parts = Clock(SECONDS), []
    for start in range(0, len(matrix), BLOCK):
        rows = matrix[start : start + BLOCK]
        try:
            parts.append(found.shares(rows, np.tile(every, (len(rows), 1)), clock).contributions)
        except Unexplained:
            if clock.over:
                break
            raise
    if sum(map(len, parts)) < max(1, min(LEAST, len(matrix))):
        return None
    shares = np.concatenate(parts)
    outputs, _ = reasons.outputs_of(found, labels[: len(shares)])
    told = np.take_along_axis(shares, outputs[:, :, np.newaxis], axis=1)
    sizes = np.abs(told).mean(axis=(0, 1))
    order = np.argsort(-sizes, kind="stable").tolist()
    names = manifest.signature.names
    drawn = _drawn(manifest, found, matrix[: len(shares)], shares, order[:SHOWN])
    return Overall(
        scale=found.scale,
        rows=len(shares),
        columns=[(names[at], _rounded(float(sizes[at]))) for at in order],
        outputs=drawn,
    )


def _drawn(
    manifest: Manifest, found: Explainer, matrix: Matrix, shares: Array, places: list[int]
) -> list[OfOutput]:
    """The points of some columns: of numbers for the first target; of its classes for the second
    of two, for each of three, or for the most frequent one."""
    columns = [manifest.signature.columns[at] for at in places]
    values = [column.plain_all(matrix[:, at]) for column, at in zip(columns, places, strict=True)]
    target = manifest.target
    classes = target.classes or []
    chosen = [0] if found.scale in ("number", "anomaly score") else _shown(target)
    drawn = []
    for output in chosen:
        points = [
            Points(
                column.name,
                [
                    (value, _rounded(share))
                    for value, share in zip(told, shares[:, output, at].tolist(), strict=True)
                ],
            )
            for column, told, at in zip(columns, values, places, strict=True)
        ]
        label = None if found.scale in ("number", "anomaly score") else classes[output]
        drawn.append(OfOutput(points, target.name, label))
    return drawn


def _shown(target: Target) -> list[int]:
    classes = target.classes or []
    if len(classes) == 2:
        return [1]
    if len(classes) <= MOST_CLASSES:
        return list(range(len(classes)))
    counts = target.counts or {}
    return [max(range(len(classes)), key=lambda at: counts.get(str(classes[at]), 0))]


def _rounded(number: float) -> float:
    """As exact as it is drawn."""
    return float(f"{number:.{DIGITS}g}")
