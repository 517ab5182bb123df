"""All kinds of nodes by their names in the files."""

from __future__ import annotations

from typing import Final

from .node import Node
from .nodes import (
    bagging,
    bayes,
    calibration,
    categories,
    clusters,
    columns,
    constant,
    curves,
    discriminant,
    features,
    linear,
    missing,
    multiclass,
    multioutput,
    neighbours,
    networks,
    numbers,
    outliers,
    processes,
    stacking,
    support,
    targets,
    text,
    thresholds,
    trees,
    voting,
)

_MODULES: Final = (
    bagging,
    bayes,
    calibration,
    categories,
    clusters,
    columns,
    constant,
    curves,
    discriminant,
    features,
    linear,
    missing,
    multiclass,
    multioutput,
    neighbours,
    networks,
    numbers,
    outliers,
    processes,
    stacking,
    support,
    targets,
    text,
    thresholds,
    trees,
    voting,
)


def _kinds() -> dict[str, type[Node]]:
    found = [kind for module in _MODULES for kind in module.KINDS]
    return {kind.__name__.lower(): kind for kind in found}


KINDS: Final = _kinds()
