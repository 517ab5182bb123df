"""A classifier of two classes that decides at a threshold of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from ..node import Answer, Array, Classifier, Label, Node, Predictor, Rows, Splits, require
from .members import shares_of, splits_of, vector


class Threshold(Node, Classifier, frozen=True, kw_only=True):
    """The class at the place `positive` where its probability, or its score, is at the threshold
    or above it; else the other. Probabilities and scores are those of the predictor within."""

    classes: Annotated[list[Label], msgspec.Meta(min_length=2, max_length=2)]
    inner: Predictor
    by: Literal["scores", "shares"]
    threshold: float
    positive: Annotated[int, msgspec.Meta(ge=0, le=1)] = 1

    @property
    def decides(self) -> bool:
        return self.inner.decides

    @property
    def scorer(self) -> Predictor:
        return self.inner

    def check(self, width: int) -> None:
        require(math.isfinite(self.threshold), "a finite threshold")
        require(self.by != "scores" or self.decides, "a member with a decision function")
        self.inner.check(width)

    def answer(self, rows: Rows) -> Answer:
        if self.by == "shares":
            return self._by_shares(self.inner.answer(rows))
        return self._by_scores(*self.inner.both(rows))

    def scores(self, rows: Rows) -> Array:
        return self.inner.scores(rows)

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        answer, scores = self.inner.both(rows)
        if self.by == "shares":
            return self._by_shares(answer), scores
        return self._by_scores(answer, scores), scores

    def _by_shares(self, answer: Answer) -> Answer:
        return self._told(answer, shares_of(answer, 2)[:, self.positive])

    def _by_scores(self, answer: Answer, scores: Array) -> Answer:
        return self._told(answer, vector(scores) if self.positive else -vector(scores))

    def _told(self, answer: Answer, response: Array) -> Answer:
        above = response >= self.threshold
        places = above if self.positive else np.logical_not(above)
        return Answer(self._labels.take(places), answer.shares)

    def splits(self) -> Iterator[Splits]:
        return splits_of([self.inner])


KINDS: Final = (Threshold,)
