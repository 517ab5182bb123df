"""What is kept of the training data, which later rows are measured against: a file of its own.

A column is either one of numbers, which have an order and a distance, or one of categories. Dates
are numbers of seconds, and of free text the length is kept. Truths are categories.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np

from ..column_facts import JSONLabel
from ..column_types.base import Reading
from ..literals import parse_date
from .calibration import Calibration
from .counts import Counts
from .distance import Floats, binned_wasserstein, jensen_shannon

FORMAT: Final = 1
LEAST_ROWS: Final = 100
"""Below it there is too little to say: of a reference as of what is measured against it."""

FREQUENT: Final = 20
"""Categories that are counted each; the rest is counted as one."""

SHARES: Final = (
    *(0.0, 0.001, 0.0025, 0.005, 0.01),
    *(round(0.02 * step, 2) for step in range(1, 50)),
    *(0.99, 0.995, 0.9975, 0.999, 1.0),
)
"""At which shares of the training data the quantiles of a column stand."""

SIZES: Final = (100, 500, 2_000, 10_000)
"""For so many rows thresholds are found at publishing."""

_STEP: Final = 0.1
_GRID: Final = np.round(np.arange(-30, 31) * _STEP, 1)
"""Where bins end besides, in standard deviations from the mean."""

FARTHEST: Final = 1e9
"""Of how many standard deviations a number farther away is taken to be."""

NO_REFERENCE: Final = (
    "This version has no reference: it was published without rows of its training data, or before "
    "references were kept; publish it again with them."
)
TOO_FEW: Final = f"There is too little to say below {LEAST_ROWS} rows."


class NumberReference(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="number", dict=True
):
    """A column of numbers. `quantiles` are values of the data at `SHARES`, and make the `edges` of
    the bins in which it was `seen`. `center` and `spread` are its mean and its standard deviation,
    by which numbers are scaled. `sample` are values in the order in which they were drawn. The
    `thresholds` are those for `SIZES` rows; none of a reference of too few rows."""

    name: str
    reading: Reading = "number"
    center: float
    spread: float
    quantiles: tuple[float, ...]
    seen: Counts
    sample: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()

    @cached_property
    def edges(self) -> Floats:
        """The ends of the bins, ascending: the quantiles that differ, and between two that are far
        from each other a grid, since later numbers need not stand where those of training do."""
        ends = np.unique(np.array(self.quantiles, dtype=np.float64))
        if len(ends) < 2:
            return ends
        grid = self.center + self.spread * _GRID
        places = np.searchsorted(ends, grid)
        inside = (places > 0) & (places < len(ends))
        wide = np.diff(ends)[places[inside] - 1] > _STEP * self.spread
        return np.unique(np.concatenate([ends, grid[inside][wide]]))

    def scaled(self, numbers: Floats) -> Floats:
        """Numbers as distances from the mean in standard deviations. Where the reference has but
        one number all that differ from it are at -1 or 1, so that their share is the distance."""
        if self.spread == 0:
            return np.sign(numbers - self.center)
        with np.errstate(over="ignore"):
            return np.clip((numbers - self.center) / self.spread, -FARTHEST, FARTHEST)

    def numbers(self, cells: Sequence[Any]) -> tuple[Floats, int]:
        """The numbers among values as JSON has them, and how many are missing."""
        if self.reading == "number":
            try:
                found = np.array(cells, dtype=np.float64)
            except (TypeError, ValueError, OverflowError):
                found = np.array([_number(each) for each in cells])
        else:
            read = _seconds if self.reading == "date" else _length
            found = np.array([read(each) for each in cells], dtype=np.float64)
        missing = int(np.isnan(found).sum())
        return found[np.isfinite(found)], missing

    def count(self, cells: Sequence[Any]) -> Counts:
        """Values as JSON has them, in the bins of the reference."""
        numbers, missing = self.numbers(cells)
        bins = np.searchsorted(self.edges, numbers, side="left")
        size = len(self.edges) + 1
        return Counts(
            counts=tuple(np.bincount(bins, minlength=size).tolist()),
            sums=tuple(np.bincount(bins, self.scaled(numbers), minlength=size).tolist()),
            missing=missing,
        )

    def distance(self, now: Counts) -> float:
        """The Wasserstein distance from the reference, in its standard deviations."""
        return binned_wasserstein(self.scaled(self.edges), _table(self.seen), _table(now))


class CategoryReference(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="category", dict=True
):
    """A column of categories. `labels` are the most frequent ones; it was `seen` in a bin for each
    of them and one for all others. `others` are those, or None where they are too many to keep.
    `rare` is how many values stood there once. The `thresholds` are those for `SIZES` rows."""

    name: str
    labels: tuple[JSONLabel, ...]
    seen: Counts
    others: tuple[JSONLabel, ...] | None = None
    rare: int = 0
    thresholds: tuple[float, ...] = ()

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The bin of each category that is known, by its text."""
        places = {text_of(each): len(self.labels) for each in self.others or ()}
        return places | {text_of(each): place for place, each in enumerate(self.labels)}

    @property
    def is_whole(self) -> bool:
        """Whether all categories are known, so that others are new."""
        return self.others is not None

    def count(self, cells: Sequence[Any]) -> Counts:
        """Values as JSON has them, in the bins of the reference."""
        counts = [0] * (len(self.labels) + 1)
        missing = unseen = 0
        places = self.places
        for cell in cells:
            if cell is None or cell != cell:
                missing += 1
                continue
            place = places.get(text_of(cell))
            if place is None:
                place = len(self.labels)
                unseen += self.is_whole
            counts[place] += 1
        return Counts(counts=tuple(counts), missing=missing, unseen=unseen)

    def distance(self, now: Counts) -> float:
        """The Jensen-Shannon distance from the reference."""
        return float(jensen_shannon(np.array(self.seen.counts), np.array(now.counts)))


ColumnReference = NumberReference | CategoryReference


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `rows` rows of the training data were like: each column, and what the model `answers` to
    them, by target. `calibration` says how often answers are right of which the model is so sure;
    where there is none, `uncalibrated` says why, as a clause."""

    format: int = FORMAT
    rows: int
    columns: tuple[ColumnReference, ...]
    answers: tuple[ColumnReference, ...] = ()
    calibration: Calibration | None = None
    uncalibrated: str | None = None

    @property
    def is_enough(self) -> bool:
        """Whether there are rows enough to say anything of drift."""
        return self.rows >= LEAST_ROWS

    @property
    def sentence(self) -> str:
        """What it is good for, for a person."""
        if not self.is_enough:
            return f"{self.rows} rows of the training data: {TOO_FEW[0].lower()}{TOO_FEW[1:]}"
        if self.calibration is None:
            return f"{self.rows} rows of the training data; no accuracy is expected without truth."
        return (
            f"{self.rows} rows of the training data; its accuracy can be expected without truth, "
            f"by {self.calibration.rows} rows that it was not trained on."
        )


def read_reference(data: bytes) -> Reference:
    """What `ModelStore.reference` has the bytes of.

    Raises:
        msgspec.DecodeError: it is something else, or of a newer format.
    """
    found = msgspec.json.decode(data, type=Reference)
    if found.format > FORMAT:
        raise msgspec.ValidationError(
            f"The reference has format {found.format}, and this program reads up to {FORMAT}."
        )
    return found


def text_of(label: Any) -> str:
    """A category by its text, however it was sent: 1, 1.0 and "1" are one."""
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def _table(counts: Counts) -> Floats:
    return np.array([counts.counts, counts.sums], dtype=np.float64)


def _number(cell: Any) -> float:
    """NaN for a missing value, infinity for what is no number."""
    if cell is None:
        return math.nan
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.inf


def _seconds(cell: Any) -> float:
    """Seconds since 1970 of a date as text; without a zone it is taken to be of UTC."""
    if cell is None or cell != cell:
        return math.nan
    moment = parse_date(cell) if isinstance(cell, str) else None
    if moment is None:
        return math.inf
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH).total_seconds()


def _length(cell: Any) -> float:
    if cell is None or cell != cell:
        return math.nan
    return float(len(cell)) if isinstance(cell, str) else math.inf


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
