"""What all ways to compute contributions have in common."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..plain.node import Array
from .clock import Clock

ROUNDING = 1e-9
"""How far the base value and the contributions together may be from the answer, by its size."""
SINGLE = 1e-5
"""The same of models that add up in single precision, and here in double."""


class Shares(NamedTuple):
    """The contributions of all columns to some outputs of each row, of shape (rows, outputs,
    columns), and their standard errors where they are estimates."""

    contributions: Array
    errors: Array | None = None


class Method(Protocol):
    """Computes contributions. `exact` says that they are no estimates, `rounding` how far sums may
    be off."""

    @property
    def exact(self) -> bool: ...

    @property
    def rounding(self) -> float: ...

    def shares(self, matrix: Array, outputs: Array, clock: Clock) -> Shares:
        """The contributions in the rows of a matrix to their `outputs`, of shape (rows, outputs):
        which of all outputs, by their numbers.

        Raises:
            Refused: there is no answer to rows that have some of their values.
            Unexplained: the time is over.
        """
