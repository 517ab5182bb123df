"""Clusters: which one a row belongs to."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Final, Literal

import numpy as np

from ..node import (
    Answer,
    Array,
    Node,
    Predictor,
    Rows,
    as_floats,
    finite,
    require,
    require_floats,
    require_places,
    require_shape,
)
from .blocks import in_blocks
from .distances import squares_by_product
from .likelihood import shares
from .linear import product

MAX_CLUSTERS: Final = 1 << 31


class Nearest(Node, Predictor, frozen=True, kw_only=True):
    """The cluster of the nearest centre. `centres` of shape (centres, features), `clusters` are
    those that they belong to.

    Distances are compared less the row's own square, which is the same of all centres, or `whole`:
    then that of a row is infinite which is very far away, and the first centre is its nearest.
    """

    centres: Array
    clusters: Array
    whole: bool = False

    @cached_property
    def _twice(self) -> Array:
        return np.ascontiguousarray(-2.0 * self.centres).T

    @cached_property
    def _norms(self) -> Array:
        norms: Array = np.einsum("ij,ij->i", self.centres, self.centres)
        return norms

    def check(self, width: int) -> None:
        require_floats(self.centres, -1, width)
        require(len(self.centres) > 0, "a centre")
        require_places(self.clusters, MAX_CLUSTERS, len(self.centres), start=-1)

    def answer(self, rows: Rows) -> Answer:
        if self.whole:
            array = finite(as_floats(rows))
            places = in_blocks(self._by_whole, array, len(self.centres))
        else:
            places = finite(product(rows, self._twice) + self._norms).argmin(axis=1)
        return Answer(self.clusters.take(places))

    def _by_whole(self, array: Array) -> Array:
        return np.asarray(squares_by_product(array, self.centres).argmin(axis=1))


class Bisected(Node, Predictor, frozen=True, kw_only=True):
    """A cluster that was parted in two, again and again: a row goes to the nearer of two centres
    until there are none. Each part stands behind that which it is of, and has `children` of shape
    (parts, 2), or -1, and the cluster that ends there."""

    centres: Array
    children: Array
    clusters: Array

    def check(self, width: int) -> None:
        require_floats(self.centres, -1, width)
        count = len(self.centres)
        require(count > 0, "a part")
        require_places(self.children, count, count, 2, start=-1)
        require_places(self.clusters, MAX_CLUSTERS, count, start=-1)
        parted = self.children >= 0
        behind = self.children > np.arange(count)[:, np.newaxis]
        require(bool((parted[:, 0] == parted[:, 1]).all()), "two children or none")
        require(bool((behind | ~parted).all()), "children behind their parent")

    def answer(self, rows: Rows) -> Answer:
        array = finite(as_floats(rows))
        found = np.zeros(len(array), dtype=np.int64)
        for part in range(len(self.children)):
            here = np.flatnonzero(found == part)
            if self.children[part, 0] >= 0 and len(here):
                two = self.centres[self.children[part]]
                nearer = (two * two).sum(axis=1) - 2.0 * (array[here] @ two.T)
                found[here] = self.children[part][nearer.argmin(axis=1)]
        return Answer(self.clusters.take(found))


class Mixture(Node, Predictor, frozen=True, kw_only=True):
    """The Gaussian that a row is most likely of. `means` of shape (components, features), `roots`
    the Cholesky factors of the precisions as scikit-learn has them, and `constants` of shape
    (components,) the logarithms of their determinants and weights."""

    means: Array
    roots: Array
    constants: Array
    covariance: Literal["full", "tied", "diag", "spherical"]

    def check(self, width: int) -> None:
        require_floats(self.means, -1, width)
        count = len(self.means)
        shapes = {
            "full": (count, width, width),
            "tied": (width, width),
            "diag": (count, width),
            "spherical": (count,),
        }
        require(count > 0, "a component")
        require(self.roots.dtype.kind == "f", "floats")
        require_shape(self.roots, *shapes[self.covariance])
        require_floats(self.constants, count)

    @cached_property
    def _shift(self) -> Array:
        """What the means become, of shape (components, 1, features)."""
        found: Array = self.means[:, np.newaxis] @ self.roots
        return found

    @cached_property
    def _precisions(self) -> Array:
        """Of each component, for all features or for each."""
        found: Array = np.square(self.roots)
        return found[:, np.newaxis] if self.covariance == "spherical" else found

    @cached_property
    def _norms(self) -> Array:
        found: Array = (self.means**2 * self._precisions).sum(axis=1)
        return found

    def answer(self, rows: Rows) -> Answer:
        array = finite(as_floats(rows))
        whole = self.covariance in ("full", "tied")
        distances = in_blocks(self._whole if whole else self._by_feature, array, self.means.size)
        logarithms = -0.5 * (array.shape[1] * math.log(2 * math.pi) + distances) + self.constants
        return Answer(logarithms.argmax(axis=1), shares(logarithms))

    def _whole(self, array: Array) -> Array:
        found: Array = np.square(array @ self.roots - self._shift).sum(axis=2).T
        return found

    def _by_feature(self, array: Array) -> Array:
        if self.covariance == "spherical":
            precisions = self._precisions[:, 0]
            norms = np.einsum("ij,ij->i", array, array)
            found: Array = (
                (self.means**2).sum(axis=1) * precisions
                - 2 * (array @ self.means.T * precisions)
                + np.outer(norms, precisions)
            )
            return found
        precisions = self._precisions
        return np.asarray(
            self._norms - 2.0 * (array @ (self.means * precisions).T) + array**2 @ precisions.T
        )


KINDS: Final = (Nearest, Bisected, Mixture)
