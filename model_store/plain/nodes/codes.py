"""Categories that stand among numbers as the number of their place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def codes(numbers: NDArray[np.floating], count: int) -> NDArray[np.intp]:
    """The places of these categories; `count` of a number that is none of them, and `count` + 1
    where it is missing. A fraction is cut off."""
    found = np.full(len(numbers), count, dtype=np.intp)
    known = np.flatnonzero((numbers > -1) & (numbers < count))
    found[known] = numbers[known]
    found[np.isnan(numbers)] = count + 1
    return found
