"""Any pipeline, any row, any door: the pipeline's own answer, or a fault that names the column.

A short part runs with the other tests, the same each time. `make property-test` runs much more.
"""

from __future__ import annotations

from typing import Final

import pytest

from .pipelines import Fitted
from .trials import SEED, Trials, for_each_drawn

SHORT: Final = 20
SHORT_ROWS: Final = 36
PARTS: Final = 16
PIPELINES: Final = 25
ROWS: Final = 50
"""Of each of the pipelines of each part: 20,000 in all."""

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.forms
def test_each_door_answers_what_the_pipeline_answers(trials: Trials) -> None:
    def prove(fitted: Fitted) -> None:
        trials.prove(fitted, SHORT_ROWS, everywhere=False)

    for_each_drawn(prove, SHORT, seed_=1, part=0)
    assert trials.tally.rows["answered"] > trials.tally.rows["refused"]


@pytest.mark.property
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_each_door_answers_what_each_of_many_pipelines_answers(trials: Trials, part: int) -> None:
    def prove(fitted: Fitted) -> None:
        trials.prove(fitted, ROWS, everywhere=True)

    for_each_drawn(prove, PIPELINES, seed_=SEED, part=part)
    print(f"SEED={SEED}, until part {part}: {trials.tally}")
    assert trials.tally.rows.total() >= PIPELINES * ROWS
    assert trials.tally.rows["answered"] > trials.tally.rows["refused"]
