"""How the contributions to a predictor's outputs are computed without asking it for mixtures of
rows, where they can be."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final

from ..plain.node import Array, Predictor
from ..plain.nodes.columns import Pipeline
from ..plain.nodes.linear import Classification, Regression
from .linear_models import folded, linear, parts_of
from .method import Method
from .scales import Scale
from .way import Way

_MODULES: Final = {
    "trees": "tree_models",
    **dict.fromkeys(("bagging", "voting", "multioutput"), "member_models"),
}
"""Ours for the nodes of these modules, imported where a form has some: a server needs few."""


def exact(predictor: Predictor, way: Way, scale: Scale, background: Array) -> Method | None:
    """None where it takes coalitions that are asked one by one.

    Raises:
        Refused: a row of the background has no answer.
    """
    if isinstance(predictor, Pipeline):
        return _behind(predictor, way, scale, background)
    if predictor.scorer is not predictor:
        return exact(predictor.scorer, way, scale, background)
    if isinstance(predictor, Regression | Classification):
        if not way.parted:
            return None
        return linear(predictor, parts_of(predictor, way), scale, background)
    module = _MODULES.get(type(predictor).__module__.rpartition(".")[2])
    if module is None:
        return None
    method_of: Callable[[Predictor, Way, Scale, Array], Method | None]
    method_of = import_module(f"{__package__}.{module}").method_of
    return method_of(predictor, way, scale, background)


def _behind(pipeline: Pipeline, way: Way, scale: Scale, background: Array) -> Method | None:
    for place, step in enumerate(pipeline.steps):
        further = way.behind(step)
        if way.parted and not further.parted:
            found = folded(pipeline, place, way)
            if found is not None:
                return linear(*found, scale, background)
        way = further
    return exact(pipeline.last, way, scale, background)
