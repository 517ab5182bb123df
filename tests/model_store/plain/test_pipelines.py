"""Pipelines of the kinds that people have: as plain data they answer as they do themselves."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from model_store.inspection import Inspection
from model_store.plain import read, write
from model_store.plain.pack import NotPacked, pack
from model_store.proof_rows import draw

from .forms import require_same
from .pipelines import CASES

# One in eight is tried with all other tests.
NAMES = [
    pytest.param(name, marks=[pytest.mark.forms] if place % 8 or "histogram" in name else [])
    for place, name in enumerate(CASES)
]


@pytest.mark.parametrize("name", NAMES)
def test_a_pipeline_of_every_kind_answers_alike_as_plain_data(name: str) -> None:
    case = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some have not converged
        pipeline = case.make().fit(case.X, case.y)
        inspection = Inspection.of_data(pipeline, case.X, case.y)
        if case.by == "pipeline":
            with pytest.raises(NotPacked):
                pack(pipeline, inspection.signature)
            return
        form = read(*write(pack(pipeline, inspection.signature)))
        for missing in (0.0, 0.2):
            random = np.random.default_rng(9)
            rows = draw(inspection.signature, inspection.golden, 60, random, missing=missing)
            require_same(pipeline, form, inspection.signature, rows)
