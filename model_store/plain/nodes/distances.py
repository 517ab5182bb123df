"""Distances by a matrix product, with the rounding errors that scikit-learn's have.

They are less exact than sums of squared differences, and are needed where it matters which of two
are equal, or what is left of those that cancel out.
"""

from __future__ import annotations

import numpy as np

from ..node import Array


def squares_by_product(array: Array, others: Array) -> Array:
    """The squared Euclidean distances of all rows from all others, of shape (rows, others)."""
    found: Array = -2 * (array @ others.T)
    found += np.einsum("ij,ij->i", array, array)[:, np.newaxis]
    found += np.einsum("ij,ij->i", others, others)
    return np.maximum(found, 0, out=found)
