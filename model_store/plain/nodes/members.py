"""What a wrapper asks of the predictors within it, and what these must answer.

Whether the answers of members fit their wrapper shows only when they answer: of a forged form,
which is Malformed then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec
import numpy as np

from ..node import (
    Answer,
    Array,
    Label,
    Malformed,
    Predictor,
    Rows,
    Splits,
    as_floats,
    require,
    require_floats,
)
from .columns import Pipeline

MAX_CELLS: Final = 1 << 22
"""Members times classes, where a member makes room for all classes."""

Way = Literal["labels", "scores", "shares"]


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A predictor that says one number of each row: its label, its score, or the probability of
    the second of its two classes."""

    inner: Predictor
    by: Way

    def check(self, width: int) -> None:
        self.inner.check(width)
        require(self.by != "scores" or self.inner.decides, "a member with a decision function")

    def response(self, rows: Rows) -> Array:
        """This number, of shape (n,)."""
        if self.by == "scores":
            return vector(self.inner.scores(rows))
        return self._in(self.inner.answer(rows))

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        """What it answers, and this number."""
        if self.by == "scores":
            answer, scores = self.inner.both(rows)
            return answer, vector(scores)
        answer = self.inner.answer(rows)
        return answer, self._in(answer)

    def of(self, answer: Answer, scores: Array) -> Array:
        """This number, of what it has answered."""
        return vector(scores) if self.by == "scores" else self._in(answer)

    def _in(self, answer: Answer) -> Array:
        return as_floats(vector(answer.labels)) if self.by == "labels" else second(answer)


def vector(array: Array) -> Array:
    """An array of shape (n,), if it is one; or that column.

    Raises:
        Malformed: it is not.
    """
    if array.ndim == 1:
        return array
    return table(array, 1)[:, 0]


def table(array: Array, columns: int) -> Array:
    """An array of shape (n, columns), if it is one, or if of one column it is (n,).

    Raises:
        Malformed: it is not.
    """
    array = array[:, np.newaxis] if array.ndim == 1 else array
    if array.shape[1:] != (columns,):
        raise Malformed(f"expected {columns} numbers a row of a member, got {array.shape[1:]}")
    return array


def shares_of(answer: Answer, classes: int) -> Array:
    """The probabilities of so many classes.

    Raises:
        Malformed: there are none, or others.
    """
    if not isinstance(answer.shares, np.ndarray):
        raise Malformed("expected a member with probabilities")
    return table(answer.shares, classes)


def second(answer: Answer) -> Array:
    """The probability of the second of two classes, of shape (n,)."""
    return shares_of(answer, 2)[:, 1]


def taken(labels: Array, places: Array) -> Array:
    """The labels of classes that a member has answered with by their places.

    Raises:
        Malformed: it has not.
    """
    try:
        return labels.take(vector(places))
    except (IndexError, TypeError) as error:
        raise Malformed("expected places of classes of a member") from error


def check_classes(classes: Sequence[Label], members: int = 1) -> None:
    """
    Raises:
        Malformed: there is none, or there is no room for all of so many members.
    """
    require(bool(classes), "classes")
    require(bool(members), "members")
    require(len(classes) * members <= MAX_CELLS, f"at most {MAX_CELLS} classes times members")


def check_weights(weights: Array | None, members: int) -> None:
    if weights is not None:
        require_floats(weights, members)
        require(bool(np.isfinite(weights).all()) and weights.sum() != 0, "weights")


def splits_of(members: Iterable[Predictor]) -> Iterator[Splits]:
    """The splits of those that are given the features as they are."""
    for member in members:
        if not (isinstance(member, Pipeline) and member.steps):
            yield from member.splits()
