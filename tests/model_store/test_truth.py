"""Truths: what turned out is brought to what the model's targets tell, or refused in words."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from model_store import InvalidRows, Manifest, ModelStore
from model_store.manifest import TEXTS, Target
from model_store.truth import Truths, same

TARGETS = {
    "numbers": Target(classes=[0, 1]),
    "texts": Target(classes=["no", "yes", "1"]),
    "truths": Target(classes=[False, True]),
    "floats": Target(classes=[0.5, 2.0]),
    "both": Target(classes=[1, "1", "one"]),
    "regression": Target(minimum=0.0, maximum=1.0),
    "whole": Target(dtype="int64"),
    "column of texts": Target(dtype=TEXTS),
}


@pytest.fixture
def manifest(bundled: ModelStore) -> Manifest:
    return bundled.manifest("exam")


def truths_of(manifest: Manifest, *targets: Target, **words: str) -> Truths:
    return Truths(structs.replace(manifest, targets=targets, words=words))


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("numbers", 1, 1),
        ("numbers", 1.0, 1),
        ("numbers", "1", 1),
        ("numbers", " 1.0", 1),
        ("numbers", True, 1),
        ("texts", "yes", "yes"),
        ("texts", "yes ", "yes"),
        ("texts", 1, "1"),
        ("truths", True, True),
        ("truths", "true", True),
        ("truths", "False", False),
        ("truths", "yes", True),
        ("truths", "0", False),
        ("floats", "2", 2.0),
        ("floats", 0.5, 0.5),
        ("both", 1, 1),
        ("both", "1", "1"),
        ("regression", 3, 3),
        ("regression", "2.5e1", 25.0),
        ("whole", 2**70, float(2**70)),
        ("column of texts", "a", "a"),
    ],
)
def test_a_truth_is_kept_in_the_type_that_the_model_answers_with(
    kind: str, given: object, kept: object, manifest: Manifest
) -> None:
    found = truths_of(manifest, TARGETS[kind]).read(given)
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("kind", "given", "expected", "got"),
    [
        ("numbers", 2, "one of 0, 1", "2"),
        ("numbers", None, "one of 0, 1", "null"),
        ("numbers", [1], "one of 0, 1", "[1]"),
        ("numbers", "", "one of 0, 1", '""'),
        ("numbers", float("nan"), "one of 0, 1", "NaN"),
        ("texts", "maybe", "one of no, yes, 1", '"maybe"'),
        ("truths", "perhaps", "one of false, true", '"perhaps"'),
        ("regression", float("inf"), "a finite number", "Infinity"),
        ("regression", "1e999", "a finite number", '"1e999"'),
        ("regression", True, "a finite number", "true"),
        ("regression", 10**400, "a finite number", "a number of about 401 digits"),
        ("regression", {}, "a finite number", "{}"),
        ("column of texts", 1, "a text", "1"),
    ],
)
def test_what_no_answer_of_the_model_can_be_is_refused(
    kind: str, given: object, expected: str, got: str, manifest: Manifest
) -> None:
    with pytest.raises(InvalidRows) as raised:
        truths_of(manifest, TARGETS[kind]).read(given, row=4)
    (fault,) = raised.value.faults
    assert (fault.row, fault.column, fault.expected, fault.got) == (4, "truth", expected, got)


def test_a_persons_word_for_a_class_is_that_class_unless_it_is_another(manifest: Manifest) -> None:
    assert Truths(manifest).read("passed") == 1
    swapped = truths_of(manifest, Target(classes=["a", "b"]), a="b", b="a")
    assert [swapped.read("a"), swapped.read("b")] == ["a", "b"]


def test_of_several_targets_all_are_told_in_their_order_or_by_their_names(
    manifest: Manifest,
) -> None:
    truths = truths_of(manifest, Target(name="sea", classes=["warm", "cold"]), Target(name="wind"))
    assert truths.names == ["truth_sea", "truth_wind"]
    assert truths.read(["cold", 3]) == ["cold", 3]
    assert truths.read({"wind": "3", "sea": "cold"}) == ["cold", 3]
    wrong: list[tuple[Any, list[str]]] = [
        (["cool", "x"], ["truth_sea", "truth_wind"]),
        (["cold", None], ["truth_wind"]),
        ("cold", ["truth"]),
        (["cold"], ["truth"]),
        ({"sea": "cold"}, ["truth"]),
    ]
    for given, columns in wrong:
        with pytest.raises(InvalidRows) as raised:
            truths.read(given)
        assert [fault.column for fault in raised.value.faults] == columns
    assert "a list of 2, which are sea, wind" in str(raised.value)


def test_of_many_classes_the_first_are_named_and_the_others_counted(manifest: Manifest) -> None:
    truths = truths_of(manifest, Target(classes=list(range(50))))
    with pytest.raises(InvalidRows, match=r"one of 0, 1, .*, 19 and 30 more, got 50"):
        truths.read(50)


def test_nothing_turns_out_true_of_a_transformation(manifest: Manifest) -> None:
    assert Truths(manifest).reason is None
    reason = Truths(structs.replace(manifest, task="transformation")).reason
    assert reason == "exam transforms its rows, of which nothing turns out true."


def test_truths_are_the_same_where_they_are_equal_and_of_one_type() -> None:
    assert same([1, "a"], [1, "a"])
    assert not same(1, True)
    assert not same(1, 1.0)
