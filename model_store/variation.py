"""Whether a pipeline's answer to a row is its own: the same beside other rows, and the next time.

A server answers rows of several clients in one call, and golden rows once more at each start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .answers import answers_at, differing, rounded
from .errors import InvalidPipeline
from .manifest import Variation
from .model import Prediction
from .signature import Matrix
from .training import missing

LONE: Final = 3
"""Rows that are asked alone, each of which shows a scale or a rank among the others."""
LACKING: Final = 2
"""The same of rows that lack a value."""
DRAWS: Final = 32
"""So many rows are asked again in all, since a few may draw the same answers twice."""
AGAIN: Final = 8
"""Calls for that, at most."""
SECONDS: Final = 1.0
"""After which a slow pipeline is asked no more: each question is asked once in any case."""

ALLOW: Final = "allow it with allow_varying=True, or when a file is imported with --allow-varying"


@dataclass(frozen=True, slots=True)
class Finding:
    """How answers vary, and two answers to one row."""

    kind: Variation
    one: Any
    other: Any

    @property
    def refusal(self) -> InvalidPipeline:
        """Why such a pipeline is not published, and what to do."""
        if self.kind == "call":
            return InvalidPipeline(
                f"The pipeline answers the same row differently from call to call: {self.one}, "
                f"then {self.other}. Take out what it draws at random when it predicts, or {ALLOW}."
            )
        return InvalidPipeline(
            "The pipeline's answer to a row depends on the rows beside it: "
            f"{self.one} among others, {self.other} alone; and a server answers rows of several "
            "clients together. Fit what it takes from the rows, such as a scale or a rank, when it "
            f"is trained, or {ALLOW}: then each row is asked alone."
        )


def of_calls(first: Prediction, ask: Callable[[], Prediction]) -> Finding | None:
    """Whether the same rows, which `ask` asks again, get other answers than the first ones."""
    until = time.monotonic() + SECONDS
    for _ in range(min(-(-DRAWS // len(first)), AGAIN)):
        found = _first(first, ask())
        if found is not None:
            return Finding("call", *found)
        if time.monotonic() > until:
            break
    return None


def of_batches(
    together: Prediction, ask: Callable[[Matrix], Prediction], matrix: Matrix
) -> Finding | None:
    """Whether rows get other answers alone than among all of these, which are answered `together`
    so; `ask` has one answer to the same rows."""
    until = time.monotonic() + SECONDS
    for row in _some(matrix):
        among, alone = together[row : row + 1], ask(matrix[[row]])
        found = _first(among, alone, together)
        if found is not None and not rounded(ask, matrix[[row]], among, alone).all():
            return Finding("batch", *found)
        if time.monotonic() > until:
            break
    return None


def _some(matrix: Matrix) -> list[int]:
    """Rows from the first to the last, and such that lack a value, which others may fill."""
    lacking = [place for place, row in enumerate(matrix) if missing(row).any()]
    return sorted({*_spread(range(len(matrix)), LONE), *_spread(lacking, LACKING)})


def _spread(places: Sequence[int], most: int) -> list[int]:
    return [places[i] for i in np.linspace(0, len(places) - 1, most).astype(int)] if places else []


def _first(
    one: Prediction, other: Prediction, among: Prediction | None = None
) -> tuple[Any, Any] | None:
    """The first two answers to one row that are not the same."""
    rows = np.flatnonzero(differing(one, other, among))
    return answers_at(one, other, int(rows[0])) if len(rows) else None
