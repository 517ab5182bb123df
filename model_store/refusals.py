"""Why a pipeline answers no row of its training data, in our own words before its own."""

from __future__ import annotations

import time
from typing import Any, Final

from .errors import InvalidPipeline, LoadFailed
from .literals import NAMES_SHOWN, shown_value
from .probe import Probe
from .structure import Structure

SECONDS: Final = 1.0
"""How long the column to blame is looked for."""


def unanswered(
    probe: Probe, structure: Structure, *, training: bool, together: bool
) -> InvalidPipeline:
    """The refusal of a pipeline that does not answer the row of the probe. `training` says that the
    row is one of training data, `together` that it does answer several of them together.

    Raises:
        LoadFailed: pandas is needed and not installed.
    """
    try:
        probe.ask({})
    except (LoadFailed, MemoryError):
        raise
    except Exception as error:
        said = f"It said: {type(error).__name__}: {error}"
        reason = _reason(probe, structure, error, together=together)
        refusal = InvalidPipeline(f"{_begin(training)}{reason}. {said}")
        refusal.__cause__ = error
        return refusal
    return InvalidPipeline(f"{_begin(training)}.")


def _begin(training: bool) -> str:
    if training:
        return "The pipeline does not predict rows of its training data"
    return (
        "The pipeline does not predict rows that its own parts suggest; give some that it was "
        "trained on (--sample rows.csv)"
    )


def _reason(probe: Probe, structure: Structure, error: Exception, *, together: bool) -> str:
    """What is wrong, as a clause with a colon before it; nothing where that cannot be told."""
    names = probe.signature.names
    shown = ", ".join(names[:NAMES_SHOWN])
    if type(error).__name__ == "NotFittedError":
        return ": it is not fitted; call its fit before"
    if together:
        return ": it answers several together, and none alone, as a client may ask"
    if len(structure.hints) not in {0, len(names)}:
        return f": it takes {len(structure.hints)} columns, and the data has {len(names)}: {shown}"
    column = _culprit(probe, structure)
    if column is not None:
        value = shown_value(probe.cells[column])
        return (
            f": it has no answer to {value} in the column {names[column]}, and has one to another "
            "value there; give the data that it was fitted on, or change it in a step of its own"
        )
    if isinstance(error, KeyError):
        return f": it looks for what the data has not, whose columns are {shown}"
    return ""


def _culprit(probe: Probe, structure: Structure) -> int | None:
    """The first column of which another value alone gives the row an answer."""
    until = time.monotonic() + SECONDS
    for column in range(len(probe.cells)):
        known = structure.hints[column].values[:1] if structure.hints else ()
        others: tuple[Any, ...] = (*known, 0)
        if any(probe.answers({column: other}) for other in others):
            return column
        if time.monotonic() > until:
            break
    return None
