"""Trees, forests, and what is boosted of trees: what comes of the values of a table's leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final, Literal

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
    labels_of,
    require,
    require_floats,
)
from .linear import logistic, softmax
from .single_precision import exp32, logistic32, softmax32
from .tree_table import Table

Inverse = Literal["identity", "exp", "exp32"]
"""What becomes of a sum."""

Link = Literal["logistic", "softmax", "logistic32", "softmax32"]
"""How probabilities are made of scores; of a sum in float32 as XGBoost makes them."""


class OfTrees(Predictor):
    """What the nodes here have in common: a table of trees."""

    __slots__ = ()

    trees: Table

    def splits(self) -> Iterator[Splits]:
        return self.trees.splits()


class Forest(Node, OfTrees, frozen=True, kw_only=True):
    """The mean of the values of all trees: numbers, one or more; or the probabilities of the
    classes of one target, or of several targets side by side."""

    trees: Table
    classes: list[list[Label]] | None = None

    @cached_property
    def _labels(self) -> list[Array]:
        return [labels_of(each) for each in self.classes or []]

    def check(self, width: int) -> None:
        self.trees.check(width)
        if self.classes is not None:
            require(bool(self.classes) and all(self.classes), "classes of a target or more")
            together = sum(map(len, self.classes))
            require(self.trees.values.shape[1] == together, f"{together} values a leaf")

    def answer(self, rows: Rows) -> Answer:
        means = self.trees.sums(rows)
        means /= self.trees.trees
        if self.classes is None:
            return Answer(means[:, 0] if means.shape[1] == 1 else means)
        if len(self.classes) == 1:
            return Answer(self._labels[0].take(means.argmax(axis=1)), means)
        ends = np.cumsum([len(each) for each in self.classes])
        shares = tuple(np.split(means, ends[:-1], axis=1))
        targets = zip(self._labels, shares, strict=True)
        labels = [classes.take(each.argmax(axis=1)) for classes, each in targets]
        return Answer(np.stack(labels, axis=1), shares)


class BoostedRegression(Node, OfTrees, frozen=True, kw_only=True):
    """The sum of the values of all trees, or of each n-th tree for n `targets`."""

    trees: Table
    targets: int = 1
    link: Inverse = "identity"

    def check(self, width: int) -> None:
        self.trees.check(width)
        _require_turns(self.trees, self.targets)

    def answer(self, rows: Rows) -> Answer:
        sums = self.trees.sums(rows, self.targets)
        found = sums[:, 0] if self.targets == 1 else sums
        return Answer(_INVERSES[self.link](found))


class BoostedClassification(Node, OfTrees, Classifier, frozen=True, kw_only=True):
    """A score for the second of two classes, or one for each of several, each the sum of a value of
    each tree whose turn it is.

    The label is the class whose score is highest (`chosen` by "score": the second of two above 0;
    by "score_or_zero": at 0 as well), or whose "share" is. `slope` is what the score of two classes
    is multiplied with before it becomes a probability; `scored` says whether the estimator has a
    decision function.
    """

    trees: Table
    classes: list[Label]
    link: Link
    slope: float = 1.0
    chosen: Literal["score", "score_or_zero", "share"] = "score"
    scored: bool = True

    @property
    def decides(self) -> bool:
        return self.scored

    @property
    def has_scores(self) -> bool:
        return True

    @property
    def to_log_odds(self) -> float | None:
        return self.slope if self.link.startswith("logistic") else None

    @cached_property
    def _turns(self) -> int:
        return 1 if self.link.startswith("logistic") else len(self.classes)

    def check(self, width: int) -> None:
        self.trees.check(width)
        require(len(self.classes) > 1, "two classes or more")
        require(self._turns > 1 or len(self.classes) == 2, "two classes")
        _require_turns(self.trees, self._turns)

    def scores(self, rows: Rows) -> Array:
        sums = self.trees.sums(rows, self._turns)
        return sums[:, 0] if self._turns == 1 else sums

    def answer(self, rows: Rows) -> Answer:
        return self.both(rows)[0]

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        scores = self.scores(rows)
        shares = _SHARES[self.link](scores if self.slope == 1.0 else self.slope * scores)
        return Answer(self._labels.take(self._places(scores, shares)), shares), scores

    def _places(self, scores: Array, shares: Array) -> Array:
        if self.chosen == "share" or scores.ndim > 1:
            table = shares if self.chosen == "share" else scores
            return np.asarray(table.argmax(axis=1))
        return np.asarray(scores >= 0 if self.chosen == "score_or_zero" else scores > 0)


class WeightedVote(Node, OfTrees, Classifier, frozen=True, kw_only=True):
    """AdaBoost of classifiers: of each tree a score for each class, as much as the tree weighs;
    `weight` is what all trees do."""

    trees: Table
    classes: list[Label]
    weight: float

    @property
    def decides(self) -> bool:
        return True

    @property
    def to_log_odds(self) -> float | None:
        return 1.0 if len(self.classes) == 2 else None

    def check(self, width: int) -> None:
        self.trees.check(width)
        require(len(self.classes) > 1, "two classes or more")
        require(self.trees.values.shape[1] == len(self.classes), "a value a class")

    def scores(self, rows: Rows) -> Array:
        found = self.trees.sums(rows)
        found /= self.weight
        return found[:, 1] - found[:, 0] if len(self.classes) == 2 else found

    def answer(self, rows: Rows) -> Answer:
        return self.both(rows)[0]

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        scores = self.scores(rows)
        if scores.ndim > 1:
            places, shares = scores.argmax(axis=1), scores / (len(self.classes) - 1)
        else:
            places, shares = scores > 0, np.stack([-scores, scores], axis=1) / 2
        return Answer(self._labels.take(places), softmax(shares)), scores


class WeightedMedian(Node, OfTrees, frozen=True, kw_only=True):
    """AdaBoost of regressors: the median of what the trees say, each with its weight."""

    trees: Table
    weights: Array

    def check(self, width: int) -> None:
        self.trees.check(width)
        require(self.trees.values.shape[1] == 1, "a value a leaf")
        require_floats(self.weights, self.trees.trees)

    def answer(self, rows: Rows) -> Answer:
        return Answer(np.concatenate([self._medians(told) for told in self.trees.told(rows)]))

    def _medians(self, told: Array) -> Array:
        numbers = told[:, :, 0].T
        order = np.argsort(numbers, axis=1)
        weights = np.cumsum(self.weights[order], axis=1, dtype=np.float64)
        places = (weights >= 0.5 * weights[:, -1:]).argmax(axis=1)
        each = np.arange(len(numbers))
        found: Array = numbers[each, order[each, places]]
        return found


class Isolation(Node, OfTrees, frozen=True, kw_only=True):
    """An isolation forest: the fewer nodes apart a row from the others, the more it is an outlier.
    `longest` is how many all trees have on average that no row is set apart in; `offset` the score
    from which on a row is an inlier."""

    trees: Table
    longest: float
    offset: float

    @property
    def decides(self) -> bool:
        return True

    def check(self, width: int) -> None:
        self.trees.check(width)
        require(self.trees.values.shape[1] == 1, "a value a leaf")

    def scores(self, rows: Rows) -> Array:
        depths = self.trees.sums(rows)[:, 0]
        parts = np.divide(depths, self.longest) if self.longest else np.ones_like(depths)
        found: Array = -(2**-parts) - self.offset
        return found

    def answer(self, rows: Rows) -> Answer:
        return self.both(rows)[0]

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        scores = self.scores(rows)
        return Answer(np.where(scores < 0, -1, 1)), scores


def _require_turns(trees: Table, turns: int) -> None:
    require(trees.values.shape[1] == 1, "a value a leaf")
    require(turns > 0 and trees.trees % turns == 0, f"a multiple of {turns} trees")


def _same(numbers: Array) -> Array:
    return numbers


_INVERSES: Final[dict[Inverse, Callable[[Array], Array]]] = {
    "identity": _same,
    "exp": np.exp,
    "exp32": exp32,
}
_SHARES: Final[dict[Link, Callable[[Array], Array]]] = {
    "logistic": logistic,
    "softmax": softmax,
    "logistic32": logistic32,
    "softmax32": softmax32,
}

KINDS: Final[tuple[type[Any], ...]] = (
    Forest,
    BoostedRegression,
    BoostedClassification,
    WeightedVote,
    WeightedMedian,
    Isolation,
)
