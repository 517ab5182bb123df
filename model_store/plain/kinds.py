"""All kinds of nodes by their names in the files."""

from __future__ import annotations

from typing import Final

from .node import Node
from .nodes import (
    bayes,
    categories,
    clusters,
    columns,
    constant,
    curves,
    discriminant,
    features,
    linear,
    missing,
    neighbours,
    networks,
    numbers,
    outliers,
    processes,
    support,
    text,
)

_MODULES: Final = (
    bayes,
    categories,
    clusters,
    columns,
    constant,
    curves,
    discriminant,
    features,
    linear,
    missing,
    neighbours,
    networks,
    numbers,
    outliers,
    processes,
    support,
    text,
)


def _kinds() -> dict[str, type[Node]]:
    found = [kind for module in _MODULES for kind in module.KINDS]
    return {kind.__name__.lower(): kind for kind in found}


KINDS: Final = _kinds()
