"""Several targets, each of which a member of its own predicts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final

import numpy as np

from ..node import (
    Answer,
    Array,
    Malformed,
    Node,
    Predictor,
    Rows,
    Splits,
    as_floats,
    finite,
    require,
    require_places,
)
from ..sparse import Sparse, beside
from .members import Way, second, splits_of, vector


class Several(Node, Predictor, frozen=True, kw_only=True):
    """A member a target, each of which is given the same rows."""

    members: list[Predictor]

    def check(self, width: int) -> None:
        require(bool(self.members), "members")
        for member in self.members:
            member.check(width)

    def answer(self, rows: Rows) -> Answer:
        answers = [member.answer(rows) for member in self.members]
        if len(answers) == 1:
            return answers[0]
        labels = _side_by_side([vector(answer.labels) for answer in answers])
        shares = [answer.shares for answer in answers]
        if any(each is None for each in shares):
            return Answer(labels)
        return Answer(labels, tuple(_one(each) for each in shares))

    def splits(self) -> Iterator[Splits]:
        return splits_of(self.members)


def _one(shares: Array | tuple[Array, ...] | None) -> Array:
    if not isinstance(shares, np.ndarray):
        raise Malformed("expected a member of one target")
    return shares


def _side_by_side(columns: list[Array]) -> Array:
    """Of shape (n, targets), each target in its own type."""
    if len({column.dtype.kind for column in columns}) == 1:
        return np.asarray(columns).T
    found = np.empty((len(columns[0]), len(columns)), dtype=object)
    for place, column in enumerate(columns):
        found[:, place] = column.tolist()
    return found


class TargetChain(Node, Predictor, frozen=True, kw_only=True):
    """A member a target, each of which is given what the members before it said, behind the
    features: their labels, which are numbers, or of two classes the scores or probabilities.

    `order` has the target of each member.
    """

    members: list[Predictor]
    order: Array
    by: Way = "labels"

    @property
    def decides(self) -> bool:
        return all(member.decides for member in self.members)

    @cached_property
    def _inverse(self) -> Array:
        """The place of each target in the order."""
        return np.argsort(self.order)

    def check(self, width: int) -> None:
        require(bool(self.members), "members")
        count = len(self.members)
        require_places(self.order, count, count)
        require(len(set(self.order.tolist())) == count, "each target once")
        require(self.by != "scores" or self.decides, "members with decision functions")
        for place, member in enumerate(self.members):
            member.check(width + place)

    def answer(self, rows: Rows) -> Answer:
        return self._told(self._said(rows, scores=self.by == "scores")[0])

    def scores(self, rows: Rows) -> Array:
        return self.both(rows)[1]

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        answers, scores = self._said(rows, scores=True)
        return self._told(answers), self._in_order(scores)

    def _said(self, rows: Rows, *, scores: bool) -> tuple[list[Answer], list[Array]]:
        """What each member answers, and its scores where they are asked for."""
        given = _finite(rows)
        answers: list[Answer] = []
        decisions: list[Array] = []
        before: list[Array] = []
        for member in self.members:
            features = _behind(given, before)
            if scores:
                answer, decision = member.both(features)
                decisions.append(vector(decision))
            else:
                answer = member.answer(features)
            answers.append(answer)
            before.append(decisions[-1] if self.by == "scores" else self._number(answer))
        return answers, decisions

    def _number(self, answer: Answer) -> Array:
        return second(answer) if self.by == "shares" else as_floats(vector(answer.labels))

    def _told(self, answers: list[Answer]) -> Answer:
        labels = self._in_order([as_floats(vector(answer.labels)) for answer in answers])
        if any(answer.shares is None for answer in answers):
            return Answer(labels)
        applies = self._in_order([second(answer) for answer in answers]).T
        return Answer(labels, tuple(np.stack([1 - each, each], axis=1) for each in applies))

    def _in_order(self, columns: list[Array]) -> Array:
        return np.stack(columns, axis=1)[:, self._inverse].astype(np.float64, copy=False)

    def splits(self) -> Iterator[Splits]:
        """None: the members are given more than the features."""
        yield from ()


def _finite(rows: Rows) -> Rows:
    """Numbers of float64, all of which are finite."""
    if isinstance(rows, Sparse):
        finite(rows.values)
        return rows
    return finite(as_floats(rows)).astype(np.float64, copy=False)


def _behind(given: Rows, columns: list[Array]) -> Rows:
    """The features, and these columns behind them."""
    if not columns:
        return given
    more = np.stack(columns, axis=1)
    if isinstance(given, Sparse):
        return beside([given, more])
    return np.concatenate([given, more], axis=1)


KINDS: Final = (Several, TargetChain)
