"""Layers of neurons, one after another."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import numpy as np

from ..node import (
    Answer,
    Array,
    Classifier,
    Label,
    Node,
    Predictor,
    Rows,
    as_floats,
    finite,
    require,
    require_floats,
)
from ..sparse import Sparse
from .linear import expit, product, softmax

Activation = Literal["identity", "relu", "tanh", "logistic", "softmax", "exp"]


class Layers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`weights` of shape (neurons before, neurons) and `biases` of shape (neurons,) of each layer.
    What comes of a layer goes through `hidden`, what comes of the last through `output`."""

    weights: list[Array]
    biases: list[Array]
    hidden: Activation
    output: Activation

    @property
    def width(self) -> int:
        """How many numbers come of them."""
        return len(self.biases[-1])

    def check(self, width: int) -> None:
        require(len(self.weights) == len(self.biases) > 0, "layers")
        for weights, biases in zip(self.weights, self.biases, strict=True):
            require_floats(weights, width, -1)
            width = weights.shape[1]
            require(width > 0, "a neuron")
            require_floats(biases, width)

    def of(self, rows: Rows) -> Array:
        """What comes of rows, of shape (rows, width).

        Raises:
            Refused: a value is not finite, or becomes so.
        """
        if isinstance(rows, Sparse):
            finite(rows.values)
        else:
            rows = finite(as_floats(rows))
        last = len(self.weights) - 1
        for place, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            found = product(rows, weights)
            found += biases
            rows = found = _activated(found, self.output if place == last else self.hidden)
        return finite(found)


def _activated(array: Array, activation: Activation) -> Array:
    if activation == "relu":
        return np.asarray(np.maximum(array, 0, out=array))
    if activation == "tanh":
        return np.asarray(np.tanh(array, out=array))
    if activation == "logistic":
        return expit(array)
    if activation == "softmax":
        return softmax(array)
    return np.asarray(np.exp(array, out=array)) if activation == "exp" else array


class NetworkNumbers(Node, Predictor, frozen=True, kw_only=True):
    """A number, or several."""

    layers: Layers

    def check(self, width: int) -> None:
        self.layers.check(width)

    def answer(self, rows: Rows) -> Answer:
        found = self.layers.of(rows)
        return Answer(found[:, 0] if found.shape[1] == 1 else found)


class NetworkClasses(Node, Classifier, frozen=True, kw_only=True):
    """A class by its share: of two classes the second has one, of more each."""

    classes: list[Label]
    layers: Layers

    def check(self, width: int) -> None:
        self.layers.check(width)
        require(len(self.classes) > 1, "two classes or more")
        shares = 1 if len(self.classes) == 2 else len(self.classes)
        require(self.layers.width == shares, "a share a class")

    def answer(self, rows: Rows) -> Answer:
        found = self.layers.of(rows)
        if found.shape[1] > 1:
            return Answer(self._labels.take(found.argmax(axis=1)), found)
        shares = found[:, 0]
        return Answer(self._labels.take(shares > 0.5), np.stack([1 - shares, shares], axis=1))


class NetworkTargets(Node, Predictor, frozen=True, kw_only=True):
    """Several targets, each of which applies, 1, or not, 0."""

    layers: Layers

    def check(self, width: int) -> None:
        self.layers.check(width)
        require(self.layers.width > 1, "two targets or more")

    def answer(self, rows: Rows) -> Answer:
        found = self.layers.of(rows)
        shares = tuple([np.stack([1 - each, each], axis=1) for each in found.T])
        return Answer((found > 0.5).astype(np.int64), shares)


KINDS: Final = (NetworkNumbers, NetworkClasses, NetworkTargets)
