"""Truths, on SQLite and on PostgreSQL alike: a later one wins, and the former is kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from model_store.truth import Told
from quart_app.memory import truths
from quart_app.memory.store import Records
from quart_app.memory.truths import Former, Kept

from .test_store import add, entry


def test_a_truth_stands_beside_its_prediction_and_a_later_one_takes_its_place(
    records: Records,
) -> None:
    add(records, entry("one", rows=2))
    assert truths.keep(records, "iris", [Told("one", 0, "a"), Told("one", 1, "b")], 2000.0) == Kept(
        2, 0, []
    )
    assert truths.keep(records, "iris", [Told("one", 1, "c")], 3000.0) == Kept(1, 1, [])
    assert truths.keep(records, "iris", [Told("one", 1, "c")], 4000.0) == Kept(1, 0, [])
    assert truths.keep(records, "iris", [Told("one", 1, "d")], 5000.0) == Kept(1, 1, [])
    assert [(each.row, truth) for each, truth in records.with_truth("iris")] == [(0, "a"), (1, "d")]
    first, second = truths.find(records, "one")
    assert (first.truth, first.told_at, first.former) == ("a", 2000.0, [])
    assert (second.truth, second.told_at) == ("d", 5000.0)
    assert second.former == [Former("b", 2000.0, 3000.0), Former("c", 3000.0, 5000.0)]
    assert [each.row for each in second.predictions] == [1]


def test_a_truth_that_comes_before_its_record_is_kept_and_told_as_unknown(records: Records) -> None:
    told = [Told("later", 0, [1, "x"]), Told("later", 7, [2, "y"])]
    assert truths.keep(records, "exam", told, 1.0) == Kept(2, 0, [("later", 0), ("later", 7)])
    (alone, _) = truths.find(records, "later")
    assert (alone.predictions, alone.truth) == ([], [1, "x"])
    add(records, entry("later", source=1, columns=[[1]]))
    assert [truth for _, truth in records.with_truth("exam")] == [[1, "x"]]
    assert truths.keep(records, "exam", told, 2.0) == Kept(2, 0, [("later", 7)])


def test_nobody_tells_the_truth_of_another_models_prediction(records: Records) -> None:
    add(records, entry("one"), entry("two", source=1, columns=[[1]]))
    truths.keep(records, "exam", [Told("two", 0, 1)], 1.0)
    assert truths.keep(records, "iris", [Told("two", 0, 0)], 2.0) == Kept(0, 0, [("two", 0)])
    truths.keep(records, "iris", [Told("three", 0, "a")], 3.0)
    assert truths.keep(records, "exam", [Told("three", 0, 1)], 4.0) == Kept(0, 0, [("three", 0)])
    assert [known.truth for known in truths.find(records, "two")] == [1]
    assert truths.find(records, "two", "iris") == []
    # Once it is known whose prediction it was, that model's truth counts.
    add(records, entry("three", source=1, columns=[[1]]))
    assert truths.keep(records, "exam", [Told("three", 0, 1)], 5.0) == Kept(1, 1, [])
    assert [known.truth for known in truths.find(records, "three", "exam")] == [1]


def test_ids_that_are_too_long_for_a_database_are_found_again(records: Records) -> None:
    id = "x" * 5000 + "\0"
    assert truths.keep(records, "iris", [Told(id, 0, "a")], 1.0).kept == 1
    assert [known.truth for known in truths.find(records, id)] == ["a"]


def test_of_truths_that_are_told_at_once_none_is_lost(records: Records) -> None:
    add(records, entry("one", rows=50))
    told = [[Told("one", row, f"{writer}") for row in range(50)] for writer in range(6)]
    with ThreadPoolExecutor(6) as threads:
        kept = list(threads.map(lambda each: truths.keep(records, "iris", each, 1.0), told))
    assert sum(each.replaced for each in kept) == 5 * 50
    for known in truths.find(records, "one"):
        assert {known.truth, *(former.truth for former in known.former)} == set("012345")
