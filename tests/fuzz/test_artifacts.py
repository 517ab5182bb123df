"""A short part of the fuzz of artifacts, the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pytest

from .__main__ import Outcome, run_batch
from .cases import publish
from .mutation import INTEGERS, changed
from .subjects import SUBJECTS

CASES: Final = 6


@pytest.mark.process
@pytest.mark.parametrize("name", SUBJECTS)
def test_an_artifact_with_another_value_ends_in_a_sentence_or_an_answer(
    name: str, tmp_path: Path
) -> None:
    publish(tmp_path, name)
    outcome = Outcome()
    run_batch(tmp_path, name, 0, CASES, outcome)
    assert outcome.faults == []
    assert sum(outcome.counts.values()) == CASES


@pytest.mark.process
def test_a_case_that_crashes_or_ends_its_process_is_told_and_the_next_one_runs(
    tmp_path: Path,
) -> None:
    """The store has no such subject, so its child ends before the first case."""
    outcome = Outcome()
    run_batch(tmp_path, "tree", 0, 2, outcome)
    assert [fault.split(":")[0] for fault in outcome.faults] == ["tree 0", "tree 1"]
    assert all("exit code 1" in fault for fault in outcome.faults)


@pytest.mark.parametrize(
    "value", [True, 3, 0.5, "text", [1, 2], (1, 2), {"a": 1}, np.arange(4), np.eye(2)], ids=repr
)
def test_a_value_becomes_another_of_its_type(value: object) -> None:
    random = np.random.default_rng(0)
    made = [changed(value, random) for _ in range(40)]
    assert {type(each) for each in made} == {type(value)}
    assert len({repr(each) for each in made} - {repr(value)}) >= 1
    assert max(INTEGERS) > 2**32
