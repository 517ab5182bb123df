"""How the contributions to a predictor's outputs are computed without asking it for mixtures of
rows, where they can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from ..plain.node import Array, Predictor
from ..plain.nodes.bagging import BaggedClassification, BaggedRegression
from ..plain.nodes.columns import Pipeline
from ..plain.nodes.features import Project, Select
from ..plain.nodes.linear import SHARES, Classification, Regression
from ..plain.nodes.multioutput import Several
from ..plain.nodes.thresholds import Threshold
from ..plain.nodes.tree_table import Table
from ..plain.nodes.trees import (
    BoostedClassification,
    BoostedRegression,
    Forest,
    WeightedVote,
)
from ..plain.nodes.voting import Average, SoftVote
from .clock import Clock
from .linear_parts import Linked, Parts, Scores
from .method import ROUNDING, SINGLE, Method, Shares
from .scales import Scale, slope_of
from .tree_boxes import Trees
from .way import Way


def exact(predictor: Predictor, way: Way, scale: Scale, background: Array) -> Method | None:
    """None where it takes coalitions that are asked one by one.

    Raises:
        Refused: a row of the background has no answer.
    """
    if isinstance(predictor, Pipeline):
        return _behind(predictor, way, scale, background)
    if isinstance(predictor, Threshold):
        return exact(predictor.inner, way, scale, background)
    if isinstance(predictor, Regression | Classification):
        if not way.parted:
            return None
        parts = Parts(way, _table(predictor.coefficients), predictor.intercept)
        return _linear(predictor, parts, scale, background)
    trees = _trees(predictor, way, scale, background)
    return trees or _of_members(predictor, way, scale, background)


def _behind(pipeline: Pipeline, way: Way, scale: Scale, background: Array) -> Method | None:
    for place, step in enumerate(pipeline.steps):
        further = way.behind(step)
        if way.parted and not further.parted:
            folded = _folded(pipeline, place, way, scale, background)
            if folded is not None:
                return folded
        way = further
    return exact(pipeline.last, way, scale, background)


def _folded(
    pipeline: Pipeline, place: int, way: Way, scale: Scale, background: Array
) -> Method | None:
    """A linear model of linear combinations is a linear model of what they combine."""
    last, steps = pipeline.last, pipeline.steps[place:]
    if not isinstance(last, Regression | Classification):
        return None
    coefficients = _table(last.coefficients)
    intercept = np.broadcast_to(last.intercept, coefficients.shape[1:]).astype(np.float64)
    for step in reversed(steps):
        if not isinstance(step, Project):
            return None
        if step.scale is not None:
            coefficients = coefficients / step.scale[:, np.newaxis]
        if step.shift is not None:
            intercept = intercept - step.shift @ coefficients
        coefficients = step.components.T @ coefficients
        if step.center is not None:
            intercept = intercept - step.center @ coefficients
    return _linear(last, Parts(way, coefficients, intercept), scale, background)


def _table(coefficients: Array) -> Array:
    return coefficients if coefficients.ndim == 2 else coefficients[:, np.newaxis]


# Linear models ---------------------------------------------------------------------


def _linear(
    predictor: Regression | Classification, parts: Parts, scale: Scale, background: Array
) -> Method | None:
    single = predictor.coefficients.dtype != np.float64
    rounding = SINGLE if single else ROUNDING
    if isinstance(predictor, Regression):
        if scale != "number":
            return None
        if predictor.link == "identity":
            return Scores(parts, background, rounding=rounding)
        return _linked(parts, np.exp, background, rounding)
    if scale in ("score", "log-odds"):
        return Scores(parts, background, rounding=rounding, opposite=parts.scores == 1)
    if predictor.shares is None or scale != "probability":
        return None
    link = SHARES[predictor.shares]
    if parts.scores > 1:
        return _linked(parts, link, background, rounding)
    logistic = predictor.shares in ("logistic", "one_vs_rest")
    second = _expit if logistic else partial(_second, link)
    return _linked(parts, second, background, rounding, opposite=True)


def _expit(scores: Array) -> Array:
    """1 / (1 + exp(-x)), in place."""
    np.negative(scores, out=scores)
    np.exp(scores, out=scores)
    scores += 1.0
    return np.reciprocal(scores, out=scores)


def _second(link: Callable[[Array], Array], scores: Array) -> Array:
    return link(scores)[:, 1]


def _linked(
    parts: Parts,
    link: Callable[[Array], Array],
    background: Array,
    rounding: float,
    *,
    opposite: bool = False,
) -> Method | None:
    if not Linked.possible(parts, len(background)):
        return None
    return Linked(parts, link, background, rounding=rounding, opposite=opposite)


# Trees -----------------------------------------------------------------------------


def _trees(predictor: Predictor, way: Way, scale: Scale, background: Array) -> Method | None:
    table = getattr(predictor, "trees", None)
    if not isinstance(table, Table) or not Trees.possible(table, way):
        return None
    make = partial(Trees, table, way, background)
    found: Trees | None = None
    scored = scale in ("score", "log-odds")
    if isinstance(predictor, Forest):
        found = make(factor=1 / table.trees)
    elif isinstance(predictor, BoostedRegression) and predictor.link == "identity":
        found = make(every=predictor.targets)
    elif isinstance(predictor, BoostedClassification) and scored:
        slope = slope_of(predictor) if scale == "log-odds" else 1.0
        two = predictor.link.startswith("logistic")
        found = make(factor=slope, every=1 if two else len(predictor.classes), opposite=two)
    elif isinstance(predictor, WeightedVote) and scored:
        if len(predictor.classes) > 2:
            found = make(factor=1 / predictor.weight)
        else:
            both = make(factor=1 / predictor.weight)
            return Combined([_Member(both, _OPPOSED)]) if both.fits else None
    return found if found is not None and found.fits else None


_OPPOSED: Final = np.array([[1.0, -1.0], [-1.0, 1.0]])

# Means of members ------------------------------------------------------------------


@dataclass(frozen=True)
class _Member:
    """A method, and what each of its outputs counts for each output of all: `counts` of shape
    (outputs of all, its outputs)."""

    method: Method
    counts: Array


class Combined:
    """Contributions to sums of what members say, which are the same sums of contributions to what
    they say."""

    exact = True

    def __init__(self, members: Sequence[_Member]) -> None:
        self._members = members
        self.effort = sum(member.method.effort for member in members)
        self.rounding = max(member.method.rounding for member in members)

    def shares(self, matrix: Array, outputs: Array, clock: Clock) -> Shares:
        found: Array | None = None
        for member in self._members:
            inner = np.arange(member.counts.shape[1])
            wanted = np.tile(inner, (len(outputs), 1))
            of_all = member.method.shares(matrix, wanted, clock).contributions
            part = np.matmul(member.counts[outputs], of_all)
            found = part if found is None else found + part
        assert found is not None
        return Shares(found)


def _of_members(predictor: Predictor, way: Way, scale: Scale, background: Array) -> Method | None:
    parts: list[tuple[Predictor, Way, Array]] = []
    if isinstance(predictor, Average) and scale == "number":
        weights = _weights(predictor.weights, len(predictor.members))
        parts = [
            (member, way, weight.reshape(1, 1))
            for member, weight in zip(predictor.members, weights, strict=True)
        ]
    elif isinstance(predictor, SoftVote) and scale == "probability":
        weights = _weights(predictor.weights, len(predictor.members))
        one = np.eye(len(predictor.classes))
        parts = [
            (member, way, weight * one)
            for member, weight in zip(predictor.members, weights, strict=True)
        ]
    elif isinstance(predictor, BaggedRegression) and scale == "number":
        share = np.array([[1 / len(predictor.members)]])
        parts = [(each.inner, _chosen(way, each.columns), share) for each in predictor.members]
    elif isinstance(predictor, BaggedClassification) and scale == "probability":
        parts = _bagged(predictor, way)
    elif isinstance(predictor, Several) and scale == "number":
        one = np.eye(len(predictor.members))[:, :, np.newaxis]
        parts = [(member, way, one[at]) for at, member in enumerate(predictor.members)]
    members = []
    for inner, inner_way, counts in parts:
        method = exact(inner, inner_way, scale, background)
        if method is None:
            return None
        members.append(_Member(method, counts))
    return Combined(members) if members else None


def _weights(weights: Array | None, count: int) -> Array:
    found = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    return np.asarray(found / found.sum())


def _bagged(predictor: BaggedClassification, way: Way) -> list[tuple[Predictor, Way, Array]]:
    if predictor.by != "shares":
        return []
    one = np.eye(len(predictor.classes)) / len(predictor.members)
    return [
        (each.inner, _chosen(way, each.columns), one if known is None else one[:, known])
        for each, known in zip(predictor.members, predictor.known, strict=True)
    ]


def _chosen(way: Way, columns: Array | None) -> Way:
    return way if columns is None else way.behind(Select(columns=columns))
