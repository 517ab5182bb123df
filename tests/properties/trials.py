"""Drawn pipelines, one after the other at one server, until one is answered wrongly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, reject, seed, settings

from .pipelines import CONTAINERS, Container, Fitted, Plan, plans
from .served import Served
from .verdicts import Tally, Trial

SEED: Final = int(os.environ.get("SEED", "1"))


def for_each_drawn(
    prove: Callable[[Fitted], None],
    pipelines: int,
    *,
    seed_: int,
    part: int,
    containers: Sequence[Container] = CONTAINERS,
    shrink: bool = True,
) -> None:
    """Prove something of so many fitted pipelines. Where it is wrong of one, `shrink` looks for the
    smallest of which it is."""

    @seed(seed_ + part)
    @settings(
        max_examples=pipelines,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(plans(part, containers))
    def is_right(plan: Plan) -> None:
        try:
            fitted = Fitted.of(plan)
        except Exception:
            reject()  # scikit-learn itself does not take such columns.
        prove(fitted)

    is_right()


@dataclass
class Trials:
    """Pipelines that are published and asked."""

    served: Served
    tally: Tally = field(default_factory=Tally)
    numbers: Iterator[int] = field(default_factory=count)

    def prove(self, fitted: Fitted, rows: int, *, everywhere: bool) -> None:
        """Require that each row is answered as the pipeline itself does."""
        found = Tally()
        trial = Trial(fitted, found, everywhere=everywhere, count=rows)
        trial.run(self.served, f"p{next(self.numbers)}")
        self.tally.add(found)
        require_none(found)


def require_none(found: Tally) -> None:
    """Require that there are no faults."""
    if found.faults:
        pytest.fail(found.told(), pytrace=False)
