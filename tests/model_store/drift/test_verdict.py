"""Drift is seen where there is some, and seldom where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.column_types.base import Reading
from model_store.drift import (
    CategoryReference,
    ColumnDrift,
    Compared,
    Observed,
    Reference,
    drifting,
    read_reference,
    verdict,
)
from model_store.drift.learning import Cells, learn_columns
from model_store.drift.reference import SIZES
from model_store.drift.verdict import threshold

COLUMNS = 20
"""Columns of training data, each drawn anew."""
WINDOWS = 25
TRAINED = 1000
ROWS = 500

Draw = Callable[[np.random.Generator, int], Any]

NUMBERS: dict[str, Draw] = {
    "normal": lambda random, rows: random.normal(20, 4, rows),
    "uniform": lambda random, rows: random.uniform(size=rows),
    "two numbers": lambda random, rows: random.integers(0, 2, rows).astype(float),
    "nine tenths 0": lambda random, rows: (
        random.exponential(size=rows) * (random.random(rows) < 0.1)
    ),
    "heavy: t with 3 degrees of freedom": lambda random, rows: random.standard_t(3, rows),
    "heavy: lognormal": lambda random, rows: random.lognormal(size=rows),
}
CATEGORIES: dict[str, list[float]] = {
    "two": [1, 1],
    "two, one of them rare": [9, 1],
    "five": [5, 4, 3, 2, 1],
    "twenty": [1] * 20,
    "twenty, most of them rare": [1 / place for place in range(1, 21)],
}


def reference_of(columns: Sequence[Sequence[Any]], reading: Reading | None) -> Reference:
    cells = [Cells(f"x{place}", values, reading) for place, values in enumerate(columns)]
    return Reference(rows=len(columns[0]), columns=tuple(learn_columns(cells)))


def share_that_drifts(reference: Reference, draw: Callable[[], Sequence[Any]]) -> float:
    """Of all columns in all windows of rows drawn so."""
    found: list[bool] = [
        each.drifts
        for _ in range(WINDOWS)
        for each in verdict(
            reference, Observed.of(reference, {column.name: draw() for column in reference.columns})
        )
    ]
    assert len(found) == WINDOWS * COLUMNS
    return sum(found) / len(found)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_drift_by_half_a_deviation_and_seldom_by_chance(name: str) -> None:
    random, draw = np.random.default_rng(6), NUMBERS[name]
    training = [draw(random, TRAINED) for _ in range(COLUMNS)]
    reference = reference_of([column.tolist() for column in training], "number")
    shift = float(np.std(draw(random, 100_000))) / 2
    by_chance = share_that_drifts(reference, lambda: draw(random, ROWS).tolist())
    shifted = share_that_drifts(reference, lambda: (draw(random, ROWS) + shift).tolist())
    assert by_chance <= (0.03 if name.startswith("heavy") else 0.01)
    assert shifted >= 0.95


@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_drift_by_20_points_and_seldom_by_chance(name: str) -> None:
    random = np.random.default_rng(6)
    shares = np.array(CATEGORIES[name]) / sum(CATEGORIES[name])
    labels = np.array([f"c{place}" for place in range(len(shares))])
    half = len(shares) // 2
    moved = shares.copy()
    moved[:half] -= 0.2 * shares[:half] / shares[:half].sum()
    moved[half:] += 0.2 / (len(shares) - half)
    training = [random.choice(labels, TRAINED, p=shares).tolist() for _ in range(COLUMNS)]
    reference = reference_of(training, None)
    by_chance = share_that_drifts(reference, lambda: random.choice(labels, ROWS, p=shares).tolist())
    shifted = share_that_drifts(reference, lambda: random.choice(labels, ROWS, p=moved).tolist())
    assert by_chance <= 0.01
    assert shifted >= 0.95


@pytest.mark.parametrize(("trained", "rows"), [(99, 500), (500, 99)])
def test_below_100_rows_there_is_too_little_to_say(trained: int, rows: int) -> None:
    random = np.random.default_rng(1)
    reference = reference_of([random.normal(size=trained).tolist()], "number")
    observed = Observed.of(reference, {"x0": (random.normal(size=rows) + 9).tolist()})
    (found,) = verdict(reference, observed)
    assert (found.rows, found.is_known, found.drifts, found.size) == (rows, False, False, 0.0)


def test_missing_values_drift_on_their_own() -> None:
    random = np.random.default_rng(1)
    reference = reference_of([[*random.normal(size=900).tolist(), *[None] * 100]], "number")
    usual = [*random.normal(size=450).tolist(), *[None] * 50]
    assert not verdict(reference, Observed.of(reference, {"x0": usual}))[0].drifts
    lacking = [*random.normal(size=350).tolist(), *[None] * 150]
    (found,) = verdict(reference, Observed.of(reference, {"x0": lacking}))
    assert found.missing == Compared(0.1, 0.3, 0.1)
    assert found.drifts
    assert found.distance is not None
    assert found.threshold is not None
    assert found.distance < found.threshold
    # Where hardly any is there, that alone is said.
    (found,) = verdict(reference, Observed.of(reference, {"x0": [1.0] * 50 + [None] * 450}))
    assert found.drifts
    assert (found.missing, found.distance) == (Compared(0.1, 0.9, 0.1), None)


def test_new_categories_drift_on_their_own_and_names_that_never_repeat_do_not() -> None:
    reference = reference_of([["a", "b"] * 500, [f"id{place}" for place in range(1000)]], None)
    cells = {"x0": ["a", "b"] * 200 + ["z"] * 100, "x1": [f"new{place}" for place in range(500)]}
    first, second = verdict(reference, Observed.of(reference, cells))
    assert first.name == "x0"
    assert first.unseen == Compared(0.0, 0.2, 0.1)
    assert first.drifts
    # Of 1,000 names too many are kept by none to say which are new.
    assert isinstance(reference.columns[1], CategoryReference)
    assert not reference.columns[1].is_whole
    assert second.unseen is None
    assert not second.drifts
    few = reference_of([[f"id{place}" for place in range(400)]], None)
    cells = {"x0": [f"new{place}" for place in range(500)]}
    (found,) = verdict(few, Observed.of(few, cells))
    assert found.unseen == Compared(1.0, 1.0, 0.1)
    assert not found.drifts


def test_a_column_of_one_number_drifts_by_the_share_of_others() -> None:
    reference = reference_of([[7.0] * 200], "number")
    for share, drifts in ((0.05, False), (0.2, True)):
        others = round(500 * share)
        cells = [7.0] * (500 - others) + [1e300] * others
        (found,) = verdict(reference, Observed.of(reference, {"x0": cells}))
        assert found.distance == pytest.approx(share)
        assert found.drifts == drifts


def test_what_drifts_most_stands_first_and_what_was_not_recorded_is_left_out() -> None:
    random = np.random.default_rng(1)
    reference = reference_of([random.normal(size=500).tolist() for _ in range(3)], "number")
    whole = msgspec.structs.replace(reference, answers=reference.columns[:1])
    answers = (random.normal(size=500) + 1).tolist()
    cells = {"x1": random.normal(size=500).tolist(), "x2": [value + 1 for value in answers]}
    found = verdict(whole, Observed.of(whole, cells, [answers]))
    assert [(each.name, each.answers, each.drifts) for each in found] == [
        ("x2", False, True),
        ("x0", True, True),
        ("x1", False, False),
    ]


def drift(name: str, *, drifts: bool, answers: bool = False, known: bool = True) -> ColumnDrift:
    distance = (0.3 if drifts else 0.05) if known else None
    return ColumnDrift(
        name=name,
        answers=answers,
        measure="Wasserstein",
        rows=500,
        distance=distance,
        threshold=0.1 if known else None,
    )


def test_a_model_is_marked_by_a_column_that_drifts_in_two_windows_running() -> None:
    no, yes = drift("x", drifts=False), drift("x", drifts=True)
    unknown = drift("x", drifts=False, known=False)
    for windows, marked in [
        ([], []),
        ([yes], []),
        ([no, yes], []),
        ([yes, no], []),
        ([yes, no, yes], []),
        ([yes, yes], ["x"]),
        ([no, yes, yes], ["x"]),
        ([yes, unknown, yes], ["x"]),
        ([yes, yes, unknown], []),
    ]:
        assert drifting([[window] for window in windows]) == marked
    other = drift("x", drifts=True, answers=True)
    assert drifting([[yes], [other]]) == []
    assert drifting([[yes, other], [no, other]]) == ["x"]


def test_the_threshold_is_that_of_a_size_and_falls_between_them() -> None:
    thresholds = (0.5, 0.3, 0.2, 0.1)
    assert [threshold(thresholds, size) for size in SIZES] == pytest.approx(thresholds)
    between = [threshold(thresholds, rows) for rows in range(100, 10_001, 300)]
    assert between == sorted(between, reverse=True)
    assert threshold(thresholds, 1_000_000) == 0.1


@cache
def numbers_and_labels() -> Reference:
    numbers = reference_of([np.random.default_rng(1).normal(size=200).tolist()], "number")
    labels = reference_of([["a", "b", "c", "d"] * 50], None)
    return msgspec.structs.replace(numbers, answers=labels.columns)


@given(st.lists(st.integers(0, 99), max_size=5), st.integers(0, 100))
def test_the_counts_of_parts_add_up_to_those_of_all_rows(cuts: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    whole = numbers_and_labels()
    numbers = [None if value > 1 else value for value in random.normal(size=100).tolist()]
    told = random.choice(["a", "b", "e"], 100).tolist()
    ends = [0, *sorted(cuts), 100]
    merged = Observed()
    for start, end in pairwise(ends):
        part = Observed.of(whole, {"x0": numbers[start:end]}, [told[start:end]])
        merged = merged.merged(msgspec.json.decode(msgspec.json.encode(part), type=Observed))
    at_once = Observed.of(whole, {"x0": numbers}, [told])
    assert merged.answers == at_once.answers
    one, other = merged.columns["x0"], at_once.columns["x0"]
    assert (one.counts, one.missing) == (other.counts, other.missing)
    assert one.sums == pytest.approx(other.sums)


def test_counts_of_another_reference_are_not_added() -> None:
    first = reference_of([["a", "b"] * 50], None)
    second = reference_of([["a", "b", "c"] * 50], None)
    one, other = (Observed.of(each, {"x0": ["a"]}) for each in (first, second))
    with pytest.raises(ValueError, match="zip"):
        one.merged(other)


def test_a_reference_of_a_newer_format_is_refused() -> None:
    reference = msgspec.structs.replace(reference_of([["a"] * 9], None), format=2)
    with pytest.raises(msgspec.DecodeError, match="has format 2, and this program reads up to 1"):
        read_reference(msgspec.json.encode(reference))
