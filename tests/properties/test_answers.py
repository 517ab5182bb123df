"""Any pipeline, any row, any door: the answer is the pipeline's own, or a fault that names the
column.

A short part runs with the other tests, the same each time. `make property-test` runs much more;
`SEED=…` repeats what it ran.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, reject, seed, settings

from .pipelines import Fitted, Plan, plans
from .served import Served, served
from .verdicts import Tally, Trial

SEED: Final = int(os.environ.get("SEED", "1"))
SHORT: Final = 20
SHORT_ROWS: Final = 36
PARTS: Final = 16
PIPELINES: Final = 25
"""In each part; with 50 rows each, 20,000 in all."""

pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass
class Trials:
    """Pipelines, one after the other, at one server."""

    served: Served
    tally: Tally = field(default_factory=Tally)
    numbers: Iterator[int] = field(default_factory=count)

    def run(self, part: int, pipelines: int, rows: int, *, everywhere: bool) -> None:
        """So many of them, until one is answered wrongly; then the smallest that is."""

        @seed(SEED + part)
        @settings(
            max_examples=pipelines,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(plans(part))
        def all_is_right(plan: Plan) -> None:
            self.prove(plan, rows, everywhere=everywhere)

        all_is_right()

    def prove(self, plan: Plan, rows: int, *, everywhere: bool) -> None:
        """Require that each row is answered as the pipeline itself does."""
        try:
            fitted = Fitted.of(plan)
        except Exception:
            reject()  # scikit-learn itself does not take such columns.
        found = Tally()
        trial = Trial(fitted, found, everywhere=everywhere, count=rows)
        trial.run(self.served, f"p{next(self.numbers)}")
        self.tally.add(found)
        if found.faults:
            pytest.fail(f"SEED={SEED}, {found.told()}", pytrace=False)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with served(tmp_path_factory.mktemp("properties")) as running:
        yield Trials(running)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What the server logs of a failing pipeline would bury the smallest example."""
    caplog.set_level(logging.CRITICAL + 1)


def test_each_door_answers_what_the_pipeline_answers(trials: Trials) -> None:
    trials.run(0, SHORT, SHORT_ROWS, everywhere=False)
    assert trials.tally.rows["answered"] > trials.tally.rows["refused"]


@pytest.mark.property
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_each_door_answers_what_each_of_many_pipelines_answers(trials: Trials, part: int) -> None:
    trials.tally = Tally()
    trials.run(part, PIPELINES, 50, everywhere=True)
    print(f"SEED={SEED}, part {part}: {trials.tally}")
    assert trials.tally.rows["answered"] > trials.tally.rows["refused"]
