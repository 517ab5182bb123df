"""Votes and averages: what several members say, all of the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final

import numpy as np

from ..node import Answer, Array, Classifier, Label, Node, Predictor, Rows, Splits, require
from .members import check_classes, check_weights, shares_of, splits_of, vector


class Average(Node, Predictor, frozen=True, kw_only=True):
    """The mean of numbers, or one that is weighted with a weight a member."""

    members: list[Predictor]
    weights: Array | None = None

    def check(self, width: int) -> None:
        require(bool(self.members), "members")
        check_weights(self.weights, len(self.members))
        for member in self.members:
            member.check(width)

    def answer(self, rows: Rows) -> Answer:
        numbers = np.asarray([vector(member.answer(rows).labels) for member in self.members]).T
        if self.weights is None:
            return Answer(numbers.mean(axis=1))
        weighed = np.multiply(numbers, self.weights)
        return Answer(weighed.sum(axis=1) / self._sum)

    @cached_property
    def _sum(self) -> Array:
        """Of the weights, in the order in which numpy's average adds them up."""
        assert self.weights is not None
        found: Array = self.weights.reshape(1, -1).sum(axis=1)
        return found

    def splits(self) -> Iterator[Splits]:
        return splits_of(self.members)


class SoftVote(Node, Classifier, frozen=True, kw_only=True):
    """The class of the highest mean probability; each member knows all classes."""

    classes: list[Label]
    members: list[Predictor]
    weights: Array | None = None

    def check(self, width: int) -> None:
        check_classes(self.classes, len(self.members))
        check_weights(self.weights, len(self.members))
        for member in self.members:
            member.check(width)

    def answer(self, rows: Rows) -> Answer:
        count = len(self.classes)
        parts = np.asarray([shares_of(each.answer(rows), count) for each in self.members])
        if self._weights is None:
            shares = parts.mean(axis=0)
        else:
            shares = np.multiply(parts, self._weights).sum(axis=0) / self._weights.sum(axis=0)
        return Answer(self._labels.take(shares.argmax(axis=1)), shares)

    @cached_property
    def _weights(self) -> Array | None:
        return None if self.weights is None else self.weights.reshape(-1, 1, 1)

    def splits(self) -> Iterator[Splits]:
        return splits_of(self.members)


class HardVote(Node, Classifier, frozen=True, kw_only=True):
    """The class that most members say, by its place among the classes; of several the first."""

    classes: list[Label]
    members: list[Predictor]
    weights: Array | None = None

    @cached_property
    def _weights(self) -> list[float]:
        return [1.0] * len(self.members) if self.weights is None else self.weights.tolist()

    def check(self, width: int) -> None:
        check_classes(self.classes, len(self.members))
        check_weights(self.weights, len(self.members))
        # A class without votes has 0.
        require(min(self._weights) >= 0, "weights that are not negative")
        for member in self.members:
            member.check(width)

    def answer(self, rows: Rows) -> Answer:
        classes = np.arange(len(self.classes))
        votes: Array | float = 0.0
        for member, weight in zip(self.members, self._weights, strict=True):
            places = vector(member.answer(rows).labels)
            votes = votes + (places[:, np.newaxis] == classes) * weight
        assert isinstance(votes, np.ndarray)
        return Answer(self._labels.take(votes.argmax(axis=1)))

    def splits(self) -> Iterator[Splits]:
        return splits_of(self.members)


KINDS: Final = (Average, SoftVote, HardVote)
