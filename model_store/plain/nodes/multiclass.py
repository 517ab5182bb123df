"""Classifiers of several classes made of members that tell two things from each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Annotated, Final

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
    Splits,
    finite,
    require,
    require_floats,
)
from ..sparse import Sparse
from .distances import squares_by_product
from .members import Member, check_classes, second, splits_of, vector


class Constant(Node, Predictor, frozen=True, kw_only=True):
    """A member that saw only one of two things, which is its label, its score, and as such the
    probability of the second."""

    label: Annotated[int, msgspec.Meta(ge=-1, le=1)]

    @property
    def decides(self) -> bool:
        return True

    def check(self, width: int) -> None:
        """It looks at no feature."""

    def answer(self, rows: Rows) -> Answer:
        labels = self.scores(rows)
        shares = np.array([[1.0 - self.label, self.label]])
        return Answer(labels, shares.repeat(len(labels), axis=0))

    def scores(self, rows: Rows) -> Array:
        return np.full(rows.length if isinstance(rows, Sparse) else len(rows), self.label)


class _EachByItself(Node, Predictor, frozen=True, kw_only=True):
    """Members each of which tells whether one thing is so, the more the higher its number.
    `shares` says whether they have probabilities, which are those of the second of two classes."""

    members: list[Member]
    threshold: float
    shares: bool = False

    @property
    def decides(self) -> bool:
        return all(member.inner.decides for member in self.members)

    def check(self, width: int) -> None:
        for member in self.members:
            member.check(width)

    def answer(self, rows: Rows) -> Answer:
        if not self.shares:
            return self._told([member.response(rows) for member in self.members], [])
        said = [member.both(rows) for member in self.members]
        responses = [response for _, response in said]
        return self._told(responses, [second(answer) for answer, _ in said])

    def scores(self, rows: Rows) -> Array:
        return _side_by_side([vector(member.inner.scores(rows)) for member in self.members])

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        said = [member.inner.both(rows) for member in self.members]
        responses = [member.of(*found) for member, found in zip(self.members, said, strict=True)]
        shares = [second(answer) for answer, _ in said] if self.shares else []
        return self._told(responses, shares), _side_by_side([vector(each) for _, each in said])

    def _told(self, responses: list[Array], shares: list[Array]) -> Answer:
        """What comes of the numbers of all members, and of their probabilities, if there are."""
        raise NotImplementedError

    def splits(self) -> Iterator[Splits]:
        return splits_of(member.inner for member in self.members)


def _side_by_side(scores: list[Array]) -> Array:
    """Of shape (n, members), of one member (n,)."""
    return scores[0] if len(scores) == 1 else np.stack(scores, axis=1)


class OneVsRest(_EachByItself, Classifier, frozen=True, kw_only=True):
    """The class whose member says the highest number; or of two classes the second where that of
    the only member is above the threshold."""

    classes: list[Label]

    def check(self, width: int) -> None:
        check_classes(self.classes, len(self.members))
        several = len(self.classes) > 2
        require(len(self.members) == (len(self.classes) if several else 1), "a member a class")
        require(len(self.classes) > 1, "two classes or more")
        super().check(width)

    def _told(self, responses: list[Array], shares: list[Array]) -> Answer:
        if len(responses) == 1:
            labels = self._labels.take(responses[0] > self.threshold)
        else:
            labels = self._labels.take(np.stack(responses).argmax(axis=0))
        return Answer(labels, _normalized(shares) if shares else None)


def _normalized(shares: list[Array]) -> Array:
    """The probabilities of all classes, of which those of each, or of the second, are known."""
    found: Array = np.array(shares).T
    if len(shares) == 1:
        found = np.concatenate([1 - found, found], axis=1)
    sums = found.sum(axis=1)[:, np.newaxis]
    np.divide(found, sums, out=found, where=sums != 0)
    return found


class ManyLabels(_EachByItself, frozen=True, kw_only=True):
    """Targets each of which applies, 1, or does not, 0: it does where its member says a number
    above the threshold."""

    def check(self, width: int) -> None:
        require(len(self.members) > 1, "several members")
        super().check(width)

    def _told(self, responses: list[Array], shares: list[Array]) -> Answer:
        labels = (np.stack(responses, axis=1) > self.threshold).astype(np.int64)
        tables = tuple([np.stack([1 - each, each], axis=1) for each in shares])
        return Answer(labels, tables or None)


class OneVsOne(Node, Classifier, frozen=True, kw_only=True):
    """The class with the most votes: each member tells one class, 0, from one behind it, 1. What
    they say besides, as far as it is above 0, tells apart those with as many votes."""

    classes: list[Label]
    members: list[Member]
    threshold: float

    @property
    def decides(self) -> bool:
        return True

    def check(self, width: int) -> None:
        check_classes(self.classes)
        pairs = len(self.classes) * (len(self.classes) - 1) // 2
        require(len(self.members) == pairs > 0, "a member for two classes each")
        for member in self.members:
            member.check(width)

    def answer(self, rows: Rows) -> Answer:
        return self.both(rows)[0]

    def scores(self, rows: Rows) -> Array:
        return self.both(rows)[1]

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        said = [member.both(rows) for member in self.members]
        votes, sums = self._votes(said)
        scores = votes + sums / (3 * (np.abs(sums) + 1))
        if len(self.classes) == 2:
            scores = scores[:, 1]
            return Answer(self._labels.take(scores > self.threshold)), scores
        return Answer(self._labels.take(scores.argmax(axis=1))), scores

    def _votes(self, said: list[tuple[Answer, Array]]) -> tuple[Array, Array]:
        """The votes for each class, and the sums of what members say for it, member by member."""
        count = len(self.classes)
        votes = np.zeros((len(said[0][1]), count))
        sums = np.zeros_like(votes)
        for (i, j), (answer, response) in zip(combinations(range(count), 2), said, strict=True):
            labels = vector(answer.labels)
            sums[:, i] -= response
            sums[:, j] += response
            votes[:, i] += labels == 0
            votes[:, j] += labels == 1
        return votes, sums

    def splits(self) -> Iterator[Splits]:
        return splits_of(member.inner for member in self.members)


class OutputCode(Node, Classifier, frozen=True, kw_only=True):
    """The class whose code, a row of `codes`, is nearest to what the members say."""

    classes: list[Label]
    members: list[Member]
    codes: Array

    def check(self, width: int) -> None:
        check_classes(self.classes, len(self.members))
        require_floats(self.codes, len(self.classes), len(self.members))
        for member in self.members:
            member.check(width)

    def answer(self, rows: Rows) -> Answer:
        numbers = finite(np.stack([member.response(rows) for member in self.members], axis=1))
        # Of numbers so large that all codes are as far away, the first code is the nearest.
        distances = squares_by_product(numbers, self.codes)
        return Answer(self._labels.take(distances.argmin(axis=1)))

    def splits(self) -> Iterator[Splits]:
        return splits_of(member.inner for member in self.members)


KINDS: Final = (Constant, OneVsRest, ManyLabels, OneVsOne, OutputCode)
