"""Features that are combinations of how alike a row is to some rows of training."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..node import (
    MAX_DENSE,
    Array,
    Node,
    Rows,
    Transform,
    as_floats,
    finite,
    require,
    require_floats,
)
from .blocks import in_blocks
from .distances import squares_by_product
from .kernels import Kernel


class KernelFeatures(Node, Transform, frozen=True, kw_only=True):
    """The kernel of a row with each of `vectors`, which are rows of training, times `weights` of
    shape (vectors, features).

    With `means` of shape (vectors,) and their `mean` the kernel is centred before: as if the points
    that it stands for had those of training around the origin.
    """

    kernel: Kernel
    vectors: Array
    weights: Array
    means: Array | None = None
    mean: float = 0.0

    def check(self, width: int) -> int:
        require_floats(self.vectors, -1, width)
        require_floats(self.weights, len(self.vectors), -1)
        require(self.weights.shape[1] <= MAX_DENSE, f"at most {MAX_DENSE} features")
        if self.means is not None:
            require_floats(self.means, len(self.vectors))
            require(len(self.vectors) > 0, "a row of training")
        return int(self.weights.shape[1])

    def transform(self, rows: Rows) -> Rows:
        return in_blocks(self._block, finite(as_floats(rows)), len(self.vectors))

    def _block(self, array: Array) -> Array:
        found = self._alike(array)
        if self.means is not None:
            own = found.sum(axis=1, keepdims=True) / len(self.vectors)
            found -= self.means
            found -= own
            found += self.mean
        product: Array = found @ self.weights
        return product

    def _alike(self, array: Array) -> Array:
        """The kernel, of shape (rows, vectors). What `weights` make of it is large where it is the
        difference of much that is alike, so it is computed as scikit-learn does, to the last bit.
        """
        kernel = self.kernel
        if kernel.name == "rbf":
            squares = squares_by_product(array, self.vectors)
            squares *= -kernel.gamma
            return np.exp(squares, out=squares)
        found: Array = array @ self.vectors.T
        if kernel.name == "linear":
            return found
        found *= kernel.gamma
        found += kernel.shift
        if kernel.name == "sigmoid":
            return np.tanh(found, out=found)
        found **= kernel.degree
        return found


KINDS: Final = (KernelFeatures,)
