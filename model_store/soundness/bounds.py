"""Parameters that say how long a row takes, and how much memory."""

from __future__ import annotations

from typing import Any, Final

from .faults import MISSING, Wrong, array, count, equal, own

MOST: Final = 100_000
"""Rounds: of matrix factors, one takes 50 µs."""
MOST_COLUMNS: Final = 10_000_000
"""A row of so many takes 80 MB."""
HIGHEST_DEGREE: Final = 100
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
        if own(value, name) not in (None, MISSING):
            _require_at_most(value, name, MOST)


def sketch(value: Any) -> None:
    """`PolynomialCountSketch` makes so many columns for each degree, whatever it was fitted on."""
    _require_at_most(value, "n_components", MOST_COLUMNS)
    _require_at_most(value, "degree", HIGHEST_DEGREE)


def steps(value: Any) -> None:
    """`AdditiveChi2Sampler` makes a copy of its columns at each step."""
    _require_at_most(value, "sample_steps", HIGHEST_DEGREE)


def constant(value: Any) -> None:
    """`DummyRegressor` fills as many columns as it counts."""
    if own(value, "constant_") is not MISSING:
        width = array(value, "constant_", "biuf", 2).shape[1]
        equal(count(value, "n_outputs_"), width, "its n_outputs_")


def _require_at_most(value: Any, name: str, most: int) -> None:
    if count(value, name) > most:
        raise Wrong(f"its {name} is {own(value, name)}, and may be at most {most}")
