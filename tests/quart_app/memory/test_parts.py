"""Training and live data side by side."""

from __future__ import annotations

import numpy as np
import pytest

from model_store.drift import NumberReference
from model_store.drift.learning import Cells, learn_columns
from quart_app.memory.parts import parts_of


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).poisson(0.6, 900),
        np.random.default_rng(2).poisson(3, 900) - 2,
        np.random.default_rng(3).normal(size=900).round(1),
        np.random.default_rng(4).lognormal(3, 1, 900),
    ],
    ids=["few whole numbers", "whole numbers about 0", "tenths", "amounts"],
)
def test_the_same_values_have_the_same_shares_on_both_sides(values: np.ndarray) -> None:
    (reference,) = learn_columns([Cells("x", values.tolist(), "number")])
    assert isinstance(reference, NumberReference)
    found = parts_of(reference, reference.count(values.tolist()))
    for part in found:
        assert part.training == pytest.approx(part.now)
    if values.dtype.kind == "i":
        share = float((values == 1).mean())
        assert {part.label: part.training for part in found}["1"] == pytest.approx(share)
