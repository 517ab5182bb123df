"""Linear models, and linear models of linear combinations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..plain.node import Array
from ..plain.nodes.columns import Pipeline
from ..plain.nodes.linear import SHARES, Classification, Regression
from .linear_parts import Linked, Parts, Scores
from .method import ROUNDING, SINGLE, Method
from .scales import Scale
from .way import Way

Linear = Regression | Classification


def parts_of(predictor: Linear, way: Way) -> Parts:
    """The parts of its scores behind a way on which each feature is made of one column."""
    return Parts(way, _table(predictor), predictor.intercept)


def folded(pipeline: Pipeline, place: int, way: Way) -> tuple[Linear, Parts] | None:
    """The last step, and the parts of the linear model that it is of what the step at a place is
    given; None where it is none."""
    last = pipeline.last
    if not isinstance(last, Linear):
        return None
    found: tuple[Array, Array] | None = (_table(last), last.intercept)
    for step in reversed(pipeline.steps[place:]):
        if found is None:
            return None
        found = step.folded(*found)
    return None if found is None else (last, Parts(way, *found))


def _table(predictor: Linear) -> Array:
    """The coefficients, of shape (features, scores)."""
    found = predictor.coefficients
    return found if found.ndim == 2 else found[:, np.newaxis]


def linear(predictor: Linear, parts: Parts, scale: Scale, background: Array) -> Method | None:
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
