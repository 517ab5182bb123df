"""A short part of the fuzz of forms, the same each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from model_store.inspection import Inspection
from model_store.plain.kinds import kind_names
from model_store.plain.pack import NotPacked, pack

from ..fuzz.children import Outcome
from ..fuzz.subjects import SUBJECTS
from .__main__ import run_cases
from .cases import ANSWERED, Subject, files_of, outcome_of
from .mutation import Files, mutated
from .subjects import WITHOUT_FORM, save_all

CASES: Final = 30

pytestmark = pytest.mark.forms


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    save_all(folder)
    return folder


def kinds_in(part: Any) -> set[str]:
    """The kinds of all nodes in a decoded header."""
    if isinstance(part, list):
        return {kind for each in part for kind in kinds_in(each)}
    if not isinstance(part, dict):
        return set()
    inner = {kind for each in part.values() for kind in kinds_in(each)}
    return inner | {part["kind"]} if "kind" in part else inner


def test_a_node_of_each_kind_is_in_a_form_that_is_changed(saved: Path) -> None:
    headers = [json.loads(files_of(each)[0]) for each in saved.iterdir()]
    assert set(kind_names()) <= {kind for header in headers for kind in kinds_in(header)}


@pytest.mark.parametrize("name", sorted(WITHOUT_FORM))
def test_only_what_has_no_form_is_left_out(name: str) -> None:
    pipeline, rows, truth = SUBJECTS[name]()
    signature = Inspection.of_data(pipeline, rows, truth, allow_varying=True).signature
    with pytest.raises(NotPacked):
        pack(pipeline, signature)


def test_a_form_that_is_not_changed_answers(saved: Path) -> None:
    for folder in sorted(saved.iterdir()):
        subject = Subject(saved, folder.name)
        random = np.random.default_rng(0)
        assert outcome_of(subject.files, subject.rows, random) == ANSWERED, folder.name


@pytest.mark.process
def test_a_changed_form_is_malformed_or_answers_or_refuses(saved: Path) -> None:
    names = sorted(folder.name for folder in saved.iterdir())
    outcome = Outcome()
    run_cases(saved, [(name, number) for name in names for number in range(CASES)], outcome)
    assert outcome.faults == []
    assert sum(outcome.counts.values()) == len(names) * CASES


@pytest.mark.process
def test_a_case_that_ends_its_process_is_told_and_the_next_one_runs(saved: Path) -> None:
    """There is no such form, so the child ends at the first case of it."""
    outcome = Outcome()
    run_cases(saved, [("no such form", 0), ("threshold", 0)], outcome)
    assert outcome.faults == ["no such form 0: exit code 1"]
    assert sum(outcome.counts.values()) == 1


def test_a_change_is_one_and_the_same_for_the_same_number(saved: Path) -> None:
    subject = Subject(saved, "threshold")

    def made() -> list[Files]:
        randoms = [np.random.default_rng(number) for number in range(40)]
        return [mutated(subject.files, subject.others, random) for random in randoms]

    assert made() == made()
    assert len(set(made()) - {subject.files}) > 30
