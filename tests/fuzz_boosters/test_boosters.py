"""A short part of the fuzz of boosters, the same each time."""

from __future__ import annotations

from typing import Final

import pytest

from ..fuzz.children import Outcome
from .__main__ import ANSWER, run_cases
from .subjects import SUBJECTS

pytestmark = [pytest.mark.guests, pytest.mark.process]

CASES: Final = 30


def test_a_changed_booster_ends_in_a_sentence_or_an_answer() -> None:
    outcome = Outcome()
    run_cases([(name, number) for name in SUBJECTS for number in range(CASES)], outcome)
    assert outcome.faults == []
    assert sum(outcome.counts.values()) == len(SUBJECTS) * CASES
    assert outcome.counts[ANSWER] > CASES
