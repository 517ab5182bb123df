"""How often what transforms a row goes round until it is close enough."""

from __future__ import annotations

from typing import Any, Final

from .faults import MISSING, Wrong, count, own

MOST: Final = 1_000_000
ITERATIONS: Final = {
    "LatentDirichletAllocation": ("max_doc_update_iter",),
    "NMF": ("max_iter",),
    "MiniBatchNMF": ("max_iter", "transform_max_iter"),
    "DictionaryLearning MiniBatchDictionaryLearning SparseCoder": ("transform_max_iter",),
}
"""The parameters of estimators that iterate for each row. Others iterate in training alone."""


def iterations(value: Any, *, names: tuple[str, ...]) -> None:
    """Raises Wrong where it might go round for hours."""
    for name in names:
        if own(value, name) not in (None, MISSING) and count(value, name, 0) > MOST:
            raise Wrong(f"its {name} is {own(value, name)}, and may be at most {MOST}")
