"""A short part of the fuzz of artifacts, the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pytest

from .__main__ import run_cases
from .cases import publish
from .children import Outcome
from .mutation import INTEGERS, changed
from .subjects import SUBJECTS

CASES: Final = 8
PARTS: Final = 4


@pytest.mark.process
@pytest.mark.parametrize("part", range(PARTS))
def test_an_artifact_with_another_value_ends_in_a_sentence_or_an_answer(
    part: int, tmp_path: Path
) -> None:
    names = list(SUBJECTS)[part::PARTS]
    for name in names:
        publish(tmp_path, name)
    outcome = Outcome()
    run_cases(tmp_path, [(name, number) for name in names for number in range(CASES)], outcome)
    assert outcome.faults == []
    assert sum(outcome.counts.values()) == len(names) * CASES


@pytest.mark.process
def test_a_case_that_ends_its_process_is_told_and_the_next_one_runs(tmp_path: Path) -> None:
    """The store has no such subject, so the child ends at the first case of it."""
    publish(tmp_path, "network")
    outcome = Outcome()
    run_cases(tmp_path, [("tree", 0), ("tree", 1), ("network", 0)], outcome)
    assert outcome.faults == ["tree 0: exit code 1", "tree 1: exit code 1"]
    assert sum(outcome.counts.values()) == 1


@pytest.mark.parametrize(
    "value", [True, 3, 0.5, "text", [1, 2], (1, 2), {"a": 1}, np.arange(4), np.eye(2)], ids=repr
)
def test_a_value_becomes_another_of_its_type(value: object) -> None:
    random = np.random.default_rng(0)
    made = [changed(value, random) for _ in range(40)]
    assert {type(each) for each in made} == {type(value)}
    assert len({repr(each) for each in made} - {repr(value)}) >= 1
    assert max(INTEGERS) > 2**32
