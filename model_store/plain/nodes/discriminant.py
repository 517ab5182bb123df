"""The class whose rows lie nearest, as each class scatters its rows."""

from __future__ import annotations

from functools import cached_property
from typing import Final, Literal

import numpy as np

from ..node import (
    Answer,
    Array,
    Classifier,
    Label,
    Node,
    Rows,
    as_floats,
    finite,
    require,
    require_floats,
)
from .blocks import in_blocks
from .distances import squares_by_product
from .likelihood import decision, shifted_shares


class Quadratic(Node, Classifier, frozen=True, kw_only=True):
    """Each class with a mean and a scatter of its own: `axes` of shape (features, axes of the
    class) bring what is away from the mean to unit variance, `constants` of shape (classes,) are
    what the determinants add, and `prior` the logarithms of the classes' shares."""

    classes: list[Label]
    means: list[Array]
    axes: list[Array]
    constants: Array
    prior: Array

    @property
    def decides(self) -> bool:
        return True

    def check(self, width: int) -> None:
        count = len(self.classes)
        require(count > 0 and len(self.means) == len(self.axes) == count, "a mean each")
        require_floats(self.constants, count)
        require_floats(self.prior, count)
        for mean, axes in zip(self.means, self.axes, strict=True):
            require_floats(mean, width)
            require_floats(axes, width, -1)

    def scores(self, rows: Rows) -> Array:
        return decision(self._logarithms(rows))

    def answer(self, rows: Rows) -> Answer:
        logarithms = self._logarithms(rows)
        return Answer(self._labels.take(logarithms.argmax(axis=1)), shifted_shares(logarithms))

    def _logarithms(self, rows: Rows) -> Array:
        array = finite(as_floats(rows))
        distances = [
            (((array - mean) @ axes) ** 2).sum(axis=1)
            for mean, axes in zip(self.means, self.axes, strict=True)
        ]
        found: Array = -0.5 * (np.stack(distances, axis=1) + self.constants) + self.prior
        return found


class Centroids(Node, Classifier, frozen=True, kw_only=True):
    """Each class by its centre, of shape (classes, features).

    Scores are those of features divided by `scale`, with `prior`, the logarithms of the classes'
    shares. The label goes by them, or where the classes are `equal` by the distance as it is.
    """

    classes: list[Label]
    centres: Array
    scale: Array
    prior: Array
    metric: Literal["euclidean", "manhattan"]
    equal: bool

    @property
    def decides(self) -> bool:
        return self.metric == "euclidean"

    @cached_property
    def _scaled(self) -> Array:
        found: Array = self.centres / self.scale
        return found

    def check(self, width: int) -> None:
        require(len(self.classes) > 0, "a class")
        require_floats(self.centres, len(self.classes), width)
        require_floats(self.scale, width)
        require_floats(self.prior, len(self.classes))

    def scores(self, rows: Rows) -> Array:
        return decision(self._logarithms(self._array(rows)))

    def answer(self, rows: Rows) -> Answer:
        array = self._array(rows)
        logarithms = self._logarithms(array)
        places = logarithms.argmax(axis=1)
        if self.equal:
            places = self._distances(array, self.centres).argmin(axis=1)
        shares = shifted_shares(logarithms) if self.decides else None
        return Answer(self._labels.take(places), shares)

    def _array(self, rows: Rows) -> Array:
        return finite(as_floats(rows)).astype(np.float64, copy=False)

    def _logarithms(self, array: Array) -> Array:
        scaled = array / self.scale
        # scikit-learn asks one class at a time, and takes squares of roots: so its last bits come.
        far = [self._distances(scaled, centre) for centre in self._scaled[:, np.newaxis]]
        found: Array = -(np.concatenate(far, axis=1) ** 2) + 2.0 * self.prior
        return found

    def _distances(self, array: Array, centres: Array) -> Array:
        if self.metric == "euclidean":
            return np.sqrt(squares_by_product(array, centres))
        return in_blocks(lambda rows: _manhattan(rows, centres), array, centres.size)


def _manhattan(array: Array, centres: Array) -> Array:
    found: Array = np.abs(array[:, np.newaxis] - centres).sum(axis=2)
    return found


KINDS: Final = (Quadratic, Centroids)
