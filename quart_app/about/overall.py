"""Which columns matter overall, and how, as charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from model_store import Column, Manifest, ModelStore
from model_store.column_facts import JSONLabel
from model_store.reasons.keeping import read_overall
from model_store.reasons.overall import OfOutput, Overall, Points

from ..protocols import form
from . import charts
from .charts import Box, Place, Plot, Tick
from .why import value_text

MOST_NAMES: Final = 8
"""Of more categories the most frequent ones are drawn."""
HEIGHT: Final = 104.0
MISSING: Final = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip(Plot):
    """What one column adds, over its value: a point a row. `zero` is where it adds nothing."""

    points: Sequence[Place]
    zero: float


@dataclass(frozen=True, slots=True)
class Strips:
    """The strips of the first columns for one output, which `of` names."""

    of: str
    strips: Sequence[Strip]


@dataclass(frozen=True, slots=True)
class Matters:
    """Which columns matter overall, in `rows` rows of the training data, and how."""

    rows: int
    of: str
    columns: charts.Bars
    more: int
    strips: Sequence[Strips]


def matters(store: ModelStore, manifest: Manifest) -> Matters | None:
    """None where the version keeps nothing of it. Blocks.

    Raises:
        ModelStoreError: its file is damaged.
    """
    data = store.overall(manifest.name, manifest.version)
    if data is None:
        return None
    try:
        found = read_overall(data)
    except msgspec.DecodeError:  # of a later program
        return None
    labels = {column.name: column.label or column.name for column in manifest.signature.columns}
    shown = found.columns[: charts.MOST_BARS]
    factor = _factor(found)
    return Matters(
        rows=found.rows,
        of=_what(found, manifest),
        columns=charts.bars(
            [labels.get(name, name) for name, _ in shown],
            [float(f"{factor * size:.3g}") for _, size in shown],
            None,
            title="Which columns matter",
            low=0.0,
        ),
        more=len(found.columns) - len(shown),
        strips=[_strips(output, found, manifest) for output in found.outputs],
    )


def _factor(found: Overall) -> float:
    """Probabilities are drawn in points."""
    return 100.0 if found.scale == "probability" else 1.0


def _what(found: Overall, manifest: Manifest) -> str:
    """What the numbers are of."""
    if found.scale == "number":
        unit = manifest.target.unit
        return f"the answer, in {unit}" if unit else "the answer"
    if found.scale == "probability":
        return "the probability of the class that is predicted, in points"
    if found.scale == "anomaly score":
        return "the score by which a row is usual"
    return f"the {found.scale} of the class that is predicted"


def _strips(output: OfOutput, found: Overall, manifest: Manifest) -> Strips:
    known = {column.name: column for column in manifest.signature.columns}
    word = None if output.label is None else form.word(output.label, manifest.words)
    drawn = [
        _strip(points, known[points.column], _factor(found))
        for points in output.points
        if points.column in known
    ]
    return Strips(f"the {found.scale} of {word}" if word else "the answer", drawn)


def _strip(found: Points, column: Column, factor: float) -> Strip:
    shares = [factor * share for _, share in found.points]
    values = [value for value, _ in found.points]
    low, high = min(0.0, *shares), max(0.0, *shares)
    low, high = low - (high - low) / 20, high + (high - low) / 20
    y_axis = charts.axis(low, high, 4, charts.number_text)
    box = Box(charts.room(y_axis), charts.MARGIN, charts.WIDTH - 2 * charts.MARGIN, HEIGHT)
    xs, x_ticks = _across(values, column, box)
    y = charts.scale(low, high, box.bottom, box.top)
    points = [Place(x, y(share)) for x, share in zip(xs, shares, strict=True) if x is not None]
    title = column.label or column.name
    return Strip(
        title=f"{title} ({column.unit})" if column.unit else title,
        description=_told(values, shares),
        width=charts.WIDTH,
        height=box.bottom + 1.5 * charts.LINE,
        box=box,
        x_ticks=x_ticks,
        y_ticks=charts.placed(y_axis, y),
        points=points,
        zero=y(0.0),
    )


def _across(
    values: Sequence[JSONLabel | None], column: Column, box: Box
) -> tuple[list[float | None], list[Tick]]:
    """Where values stand from left to right, None of what is not drawn; and the ticks."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if column.kind.measured and len(numbers) == len([v for v in values if v is not None]):
        if not numbers:
            return [None] * len(values), []
        low, high = float(min(numbers)), float(max(numbers))
        x = charts.scale(low, high, box.left + charts.MARGIN, box.right - charts.MARGIN)
        ticks = charts.placed(charts.axis(low, high, 4, charts.number_text), x)
        return [None if v is None else x(float(v)) for v in values], ticks
    texts = [value_text(value) for value in values]
    names = sorted(set(texts), key=lambda each: -texts.count(each))[:MOST_NAMES]
    names.sort()
    width = (box.right - box.left) / len(names)
    places = {name: round(box.left + width * (at + 0.5), 2) for at, name in enumerate(names)}
    most = max(3, int(width / charts.CHARACTER))
    ticks = [Tick(places[name], charts.short(name, most)) for name in names]
    return [places.get(text) for text in texts], ticks


def _told(values: Sequence[JSONLabel | None], shares: Sequence[float]) -> str:
    """What a glance at the points tells."""
    least = min(range(len(shares)), key=shares.__getitem__)
    most = max(range(len(shares)), key=shares.__getitem__)
    text = charts.number_text
    return (
        f"{len(shares)} rows; it adds from {text(float(f'{shares[least]:.3g}'))}, where it is "
        f"{value_text(values[least])}, to {text(float(f'{shares[most]:.3g}'))}, where it is "
        f"{value_text(values[most])}."
    )
