"""What a shortcut answers, and the little that all of them share."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Answer = tuple[Array, Array | None]
"""Labels of shape (n,) or (n, targets), and probabilities of shape (n, classes) or None."""


class NotCovered(Exception):
    """These rows are for the pipeline itself: only it knows how to answer or to refuse them."""


class Transform(Protocol):
    """A step before the last. `array` is never changed."""

    def __call__(self, array: Array) -> Array: ...


class Final(Protocol):
    """The last step: what it says of the features of some rows."""

    def __call__(self, array: Array) -> Answer: ...


def as_floats(array: Array) -> Array:
    """The array itself where its numbers are floats, else as float64, as scikit-learn does.

    Raises:
        NotCovered: there is something else than numbers in it.
    """
    if array.dtype.kind == "f":
        return array
    try:
        return array.astype(np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise NotCovered from error


def as_finite_float32(array: Array, *, nan: bool) -> Array:
    """The array in C order as float32, in which trees compare.

    Raises:
        NotCovered: an infinity, or a NaN where `nan` is not set.
    """
    narrow = np.ascontiguousarray(as_floats(array), dtype=np.float32)
    if not np.isfinite(narrow).all() and (not nan or np.isinf(narrow).any()):
        raise NotCovered
    return narrow
