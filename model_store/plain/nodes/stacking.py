"""Stacks: a last predictor that is given what others say."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Final

import msgspec
import numpy as np

from ..node import (
    MAX_DENSE,
    Answer,
    Array,
    Label,
    Node,
    Predictor,
    Rows,
    Splits,
    labels_of,
    require,
)
from ..sparse import Sparse
from .columns import joined
from .members import Way, check_classes, shares_of, splits_of, table, taken


class Stacked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A predictor, and what of it becomes so many features. Where it has two classes and `second`
    is set, that is the probability of the second alone."""

    inner: Predictor
    by: Way
    columns: Annotated[int, msgspec.Meta(ge=1, le=MAX_DENSE)] = 1
    second: bool = False

    def check(self, width: int) -> None:
        self.inner.check(width)
        require(self.by != "scores" or self.inner.decides, "a member with a decision function")
        require(self.columns == 1 or not self.second, "one probability of two")

    def features(self, rows: Rows) -> Array:
        """Of shape (n, columns)."""
        if self.by == "scores":
            found = self.inner.scores(rows)
        elif self.by == "labels":
            found = self.inner.answer(rows).labels
        elif self.second:
            found = shares_of(self.inner.answer(rows), 2)[:, 1:]
        else:
            found = shares_of(self.inner.answer(rows), self.columns)
        return table(found, self.columns)


class Stack(Node, Predictor, frozen=True, kw_only=True):
    """What members say as features, and those features themselves behind them where they pass
    `through`; and the last predictor.

    `classes` are those whose places it answers with; None where it answers with numbers.
    """

    members: list[Stacked]
    through: bool
    last: Predictor
    classes: list[Label] | None = None

    @property
    def decides(self) -> bool:
        return self.last.decides

    @cached_property
    def _labels(self) -> Array | None:
        return None if self.classes is None else labels_of(self.classes)

    def check(self, width: int) -> None:
        require(bool(self.members), "members")
        if self.classes is not None:
            check_classes(self.classes)
        for member in self.members:
            member.check(width)
        features = sum(member.columns for member in self.members)
        require(features <= MAX_DENSE, f"at most {MAX_DENSE} features")
        self.last.check(features + (width if self.through else 0))

    def answer(self, rows: Rows) -> Answer:
        return self._named(self.last.answer(self.features(rows)))

    def scores(self, rows: Rows) -> Array:
        return self.last.scores(self.features(rows))

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        answer, scores = self.last.both(self.features(rows))
        return self._named(answer), scores

    def features(self, rows: Rows) -> Rows:
        """What the last predictor is given."""
        parts = [member.features(rows) for member in self.members]
        if self.through:
            return joined([*parts, rows], sparse=isinstance(rows, Sparse))
        return np.concatenate(parts, axis=1)

    def _named(self, answer: Answer) -> Answer:
        if self._labels is None:
            return answer
        return Answer(taken(self._labels, answer.labels), answer.shares)

    def splits(self) -> Iterator[Splits]:
        return splits_of(member.inner for member in self.members)


KINDS: Final = (Stack,)
