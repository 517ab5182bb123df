"""Exponentials and links in float32, with the bits that XGBoost and scipy have of the GNU C
library.

numpy's own exponential of float32 has other bits for four values in ten.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_PARTS: Final = 32
_POWERS: Final = np.exp2(np.arange(_PARTS) / _PARTS)
"""Of two, between 1 and 2."""

_SCALE: Final = float.fromhex("0x1.71547652b82fep+0") * _PARTS
_CUBIC: Final = float.fromhex("0x1.c6af84b912394p-5") / _PARTS**3
_SQUARE: Final = float.fromhex("0x1.ebfce50fac4f3p-3") / _PARTS**2
_LINEAR: Final = float.fromhex("0x1.62e42ff0c52d6p-1") / _PARTS
_LARGEST: Final = float.fromhex("0x1.62e42ep6")
_SMALLEST: Final = float.fromhex("-0x1.9fe368p6")


def exp32(numbers: Array) -> Array:
    """exp of float32 as `expf` of glibc 2.28 and later (sysdeps/ieee754/flt-32/e_expf.c): in
    float64, a power of two in 32 parts times a cubic polynomial for what remains."""
    wide = numbers.astype(np.float64)
    scaled = np.clip(wide, _SMALLEST, _LARGEST) * _SCALE
    whole = np.rint(scaled)
    rest = scaled - whole
    parts = whole.astype(np.int64)
    powers = np.ldexp(_POWERS.take(parts % _PARTS), parts // _PARTS)
    found = ((_CUBIC * rest + _SQUARE) * (rest * rest) + (_LINEAR * rest + 1.0)) * powers
    found = np.where(wide > _LARGEST, np.inf, np.where(wide < _SMALLEST, 0.0, found))
    return found.astype(np.float32)


def logistic32(scores: Array) -> Array:
    """The probabilities of two classes by the score of the second."""
    # As XGBoost, which keeps the exponential below infinity.
    shares = np.float32(1) / (exp32(np.minimum(-scores, np.float32(88.7))) + np.float32(1))
    found = np.empty((len(scores), 2), dtype=np.float32)
    np.subtract(np.float32(1), shares, out=found[:, 0])
    found[:, 1] = shares
    return found.astype(np.float64)


def softmax32(scores: Array) -> Array:
    """The probabilities of classes by a score each."""
    found = exp32(scores - scores.max(axis=1, keepdims=True))
    # Added up in float64, one after another.
    totals = np.add.accumulate(found, axis=1, dtype=np.float64)[:, -1:]
    found /= totals.astype(np.float32)
    return found.astype(np.float64)
