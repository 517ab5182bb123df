"""Random generators: where they are in what they have drawn is within that."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .faults import Wrong, as_array, equal

WORDS: Final = {"MT19937": 624, "Philox": 4}
"""How many numbers a generator draws in advance. Its position may be behind the last."""


def generator(value: Any) -> None:
    """One of numpy's new ones around a source of bits."""
    bits(value.bit_generator)


def legacy(value: Any) -> None:
    """One of the old ones, with a source of bits of its own."""
    state = value.get_state(legacy=False)
    _require_position(state)


def bits(value: Any) -> None:
    """The source of bits itself."""
    _require_position(value.state)


def _require_position(state: Any) -> None:
    words = WORDS.get(state["bit_generator"])
    if words is None:
        return
    position = state["state"]["pos"] if "pos" in state["state"] else state["buffer_pos"]
    if not 0 <= position <= words:
        raise Wrong(f"its position is {position} of {words} numbers")


def sequence(value: Any) -> None:
    """What generators are seeded by: a pool of the size that it says."""
    pool = as_array(value.pool, "pool", "u", 1)
    equal(pool.dtype, np.dtype(np.uint32), "the dtype of its pool")
    equal(len(pool), value.pool_size, "the size of its pool")
