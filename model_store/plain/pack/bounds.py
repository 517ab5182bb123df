"""Whether numbers may become infinite, which most steps of scikit-learn refuse.

The rows that a form is given are finite. A function may make an infinite number, such as the
logarithm of 0, and so may a product; before a step that refuses such numbers stands a node that
does.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..node import Transform
from ..nodes.columns import Chain, Columns
from ..nodes.curves import Polynomial
from ..nodes.features import Union
from ..nodes.numbers import UNBOUNDED, Finite, Function


def is_unbounded(steps: Iterable[Transform], unbounded: bool = False) -> bool:
    """Whether what comes of these steps may be infinite, by whether what they are given may be."""
    for step in steps:
        if isinstance(step, Finite):
            unbounded = False
        elif isinstance(step, Polynomial):
            unbounded = True
        elif isinstance(step, Function):
            unbounded = unbounded or step.name in UNBOUNDED
        elif isinstance(step, Chain):
            unbounded = is_unbounded(step.steps, unbounded)
        elif isinstance(step, Columns):
            unbounded = any(is_unbounded(part.steps, unbounded) for part in step.parts)
        elif isinstance(step, Union):
            unbounded = any(is_unbounded(part, unbounded) for part in step.parts)
    return unbounded
