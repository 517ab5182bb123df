"""Many rows, a block at a time, so that what is computed on the way stays small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ..node import Array

NUMBERS: Final = 1 << 17
"""Numbers that are computed at a time: 1 MB, which a processor's cache holds."""


def in_blocks(answer: Callable[[Array], Array], rows: Array, numbers: int) -> Array:
    """What is answered to all rows, of which each needs so many numbers on the way."""
    size = max(1, NUMBERS // max(1, numbers))
    if len(rows) <= size:
        return answer(rows)
    blocks = [answer(rows[start : start + size]) for start in range(0, len(rows), size)]
    return np.concatenate(blocks)
