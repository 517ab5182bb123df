"""Where numbers are counted: bins that are as narrow as the training data is dense.

The place of a bin follows from the facts of a column or a target, which no version changes. So bins
of the same version add up, whoever counted them and when. A bin is a step of 1/RESOLUTION of
asinh((x - centre) / width): in the middle of the data its size is even, and far outside it grows
with the distance, so that any number has a bin and there are at most 2 * LAST + 1. Change none of
these numbers: summaries that were written before would mean others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_store import Column
from model_store.manifest import Target

RESOLUTION: Final = 32
LAST: Final = 512
"""The last bin, and with a minus the first: some 4 million widths away from the centre."""

NORMAL_QUARTILES: Final = 1.349
"""How far apart the quartiles of a normal distribution are, in standard deviations."""
SPAN: Final = 8
"""Standard deviations that the range of a column is taken for where its quartiles are equal."""


class Scale(NamedTuple):
    """The bins of one column: the middle of its data, and about a standard deviation."""

    centre: float = 0.0
    width: float = 1.0

    def bins(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The number of the bin of each value, none of which is NaN."""
        with np.errstate(over="ignore", invalid="ignore"):
            steps = np.rint(np.arcsinh((values - self.centre) / self.width) * RESOLUTION)
        found: NDArray[np.int64] = np.clip(steps, -LAST, LAST).astype(np.int64)
        return found

    def values(self, bins: Sequence[int]) -> NDArray[np.float64]:
        """The value in the middle of each bin."""
        middles = np.sinh(np.asarray(bins, np.float64) / RESOLUTION)
        found: NDArray[np.float64] = middles * self.width + self.centre
        return found


def scale_of(column: Column) -> Scale | None:
    """The bins of an amount; None of what is named or written."""
    if not column.kind.measured:
        return None
    return _scale(column.quartiles, column.minimum, column.maximum)


def scale_of_target(target: Target) -> Scale | None:
    """The bins of a number that is told; None of a class or a text."""
    if not target.numeric:
        return None
    found = target.quantiles
    last = 0 if found is None else len(found) - 1
    quartiles = None if found is None else [found[last * part // 4] for part in (1, 2, 3)]
    return _scale(quartiles, target.minimum, target.maximum)


def _scale(quartiles: Sequence[float] | None, low: object, high: object) -> Scale:
    numbers = [float(end) for end in (low, high) if isinstance(end, int | float)]
    if quartiles is not None:
        lower, centre, upper = map(float, quartiles)
        width = upper / NORMAL_QUARTILES - lower / NORMAL_QUARTILES
    elif numbers:
        centre, width = numbers[0] / 2 + numbers[-1] / 2, 0.0
    else:
        return Scale()
    if not width > 0 and numbers:
        width = numbers[-1] / SPAN - numbers[0] / SPAN
    usable = math.isfinite(width) and width > 0
    return Scale(centre, width if usable else abs(centre) / SPAN or 1.0)
