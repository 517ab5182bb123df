"""Sums of trees, and what is one of them but for a factor."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from ..plain.node import Array, Predictor
from ..plain.nodes.tree_table import Table
from ..plain.nodes.trees import BoostedClassification, BoostedRegression, Forest, WeightedVote
from .combined import Combined, Member
from .method import Method
from .scales import Scale
from .tree_boxes import Trees
from .way import Way


def method_of(predictor: Predictor, way: Way, scale: Scale, background: Array) -> Method | None:
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
        slope = predictor.slope if scale == "log-odds" else 1.0
        two = predictor.link.startswith("logistic")
        found = make(factor=slope, every=1 if two else len(predictor.classes), opposite=two)
    elif isinstance(predictor, WeightedVote) and scored:
        if len(predictor.classes) > 2:
            found = make(factor=1 / predictor.weight)
        else:
            both = make(factor=1 / predictor.weight)
            return Combined([Member(both, _OPPOSED)]) if both.fits else None
    return found if found is not None and found.fits else None


_OPPOSED: Final = np.array([[1.0, -1.0], [-1.0, 1.0]])
