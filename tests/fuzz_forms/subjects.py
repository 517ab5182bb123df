"""Small good forms, together with a node of each kind."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model_store.inspection import Inspection
from model_store.plain import write
from model_store.plain.pack import pack

from ..fuzz.subjects import SUBJECTS
from .cases import save
from .mutation import Files
from .predictors import PREDICTORS
from .transforms import TRANSFORMS, made
from .wrappers import WRAPPERS

ROWS: Final = 12

WITHOUT_FORM: Final = frozenset(
    {
        "agglomeration",
        "boosting-three",
        "embedding",
        "neighbours-radius",
        "neighbours-weights",
        "parts",
        "topics",
    }
)
"""Artifacts of which there is no plain form."""


_MADE: Final = {name: (made_form, rows) for name, made_form, rows in made()}
_FITTED: Final = SUBJECTS | PREDICTORS | TRANSFORMS | WRAPPERS
NAMES: Final = [*sorted(_FITTED.keys() - WITHOUT_FORM), *_MADE]
"""Of all forms."""


@cache
def form(name: str) -> tuple[Files, NDArray[Any]]:
    """The files of a form, and rows that it answers."""
    if name in _MADE:
        by_hand, cells = _MADE[name]
        return write(by_hand), _matrix(cells)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline, rows, truth = _FITTED[name]()
        # Some solve for all rows together, up to a tolerance.
        found = Inspection.of_data(pipeline, rows, truth, allow_varying=True)
        return write(pack(pipeline, found.signature)), _matrix(rows)


def _matrix(rows: Any) -> NDArray[Any]:
    """The first rows as the matrix that a form is asked."""
    if isinstance(rows, np.ndarray):
        return rows[:ROWS]
    texts = np.empty((len(rows), 1), dtype=object)
    texts[:, 0] = list(rows)
    return texts[:ROWS]


def save_all(root: Path) -> list[str]:
    """Save all forms, a folder each."""
    for name in NAMES:
        save(root / name, *form(name))
    return NAMES
