"""Bags: members that are each given some of the features, and the mean of what they say."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final, Literal

import msgspec
import numpy as np

from ..node import (
    MAX_DENSE,
    Answer,
    Array,
    Classifier,
    Label,
    Malformed,
    Node,
    Predictor,
    Rows,
    Splits,
    dense,
    require,
    require_places,
)
from ..sparse import Sparse, of_dense
from .members import check_classes, shares_of, splits_of


class Bagged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A member, and the places of the features that it is given; None where it is given all."""

    inner: Predictor
    columns: Array | None = None

    def check(self, width: int) -> None:
        if self.columns is None:
            return self.inner.check(width)
        require(width <= MAX_DENSE, f"at most {MAX_DENSE} features")
        require_places(self.columns, width, -1)
        self.inner.check(len(self.columns))

    def features(self, rows: Rows) -> Rows:
        if self.columns is None:
            return rows
        if isinstance(rows, Sparse):
            return of_dense(rows.dense()[:, self.columns])
        return dense(rows)[:, self.columns]

    def splits(self) -> Iterator[Splits]:
        for features, thresholds in splits_of([self.inner]):
            yield (features if self.columns is None else self.columns[features]), thresholds


class BaggedRegression(Node, Predictor, frozen=True, kw_only=True):
    """The mean of numbers, which are added one member after another."""

    members: list[Bagged]

    def check(self, width: int) -> None:
        require(bool(self.members), "members")
        for member in self.members:
            member.check(width)

    def answer(self, rows: Rows) -> Answer:
        said = [each.inner.answer(each.features(rows)).labels for each in self.members]
        return Answer(_sum(said) / len(said))

    def splits(self) -> Iterator[Splits]:
        for member in self.members:
            yield from member.splits()


class BaggedClassification(Node, Classifier, frozen=True, kw_only=True):
    """The class of the highest mean probability, or that most members say.

    `known` has for each member the places of its classes among all; None where it knows all.
    """

    classes: list[Label]
    members: list[Bagged]
    known: list[Array | None]
    by: Literal["shares", "labels"] = "shares"

    @property
    def decides(self) -> bool:
        return all(member.inner.decides for member in self.members) and not any(
            places is not None for places in self.known
        )

    def check(self, width: int) -> None:
        check_classes(self.classes, len(self.members))
        require(len(self.known) == len(self.members), "the classes of each member")
        for member, places in zip(self.members, self.known, strict=True):
            member.check(width)
            if places is not None:
                require_places(places, len(self.classes), -1)
                require(len(set(places.tolist())) == len(places), "each class once")

    def answer(self, rows: Rows) -> Answer:
        return self._mean([each.inner.answer(each.features(rows)) for each in self.members])

    def scores(self, rows: Rows) -> Array:
        said = [each.inner.scores(each.features(rows)) for each in self.members]
        found: Array = _sum(said) / len(said)
        return found

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        said = [each.inner.both(each.features(rows)) for each in self.members]
        scores: Array = _sum([score for _, score in said]) / len(said)
        return self._mean([answer for answer, _ in said]), scores

    def _mean(self, answers: list[Answer]) -> Answer:
        shares = np.zeros((len(answers[0].labels), len(self.classes)))
        for answer, places in zip(answers, self.known, strict=True):
            if self.by == "labels":
                shares += answer.labels[:, np.newaxis] == self._places
            elif places is None:
                shares += shares_of(answer, len(self.classes))
            else:
                shares[:, places] += shares_of(answer, len(places))
        shares /= len(answers)
        return Answer(self._labels.take(shares.argmax(axis=1)), shares)

    @cached_property
    def _places(self) -> Array:
        return np.arange(len(self.classes))

    def splits(self) -> Iterator[Splits]:
        for member in self.members:
            yield from member.splits()


def _sum(parts: list[Array]) -> Array:
    """Of what members say, one after another."""
    found = parts[0]
    for part in parts[1:]:
        if part.shape != found.shape:
            raise Malformed(f"expected members that say the same, got {part.shape}")
        found = found + part
    return found


KINDS: Final = (BaggedRegression, BaggedClassification)
