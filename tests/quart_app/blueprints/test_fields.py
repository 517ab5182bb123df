"""The control for each column, and what stands in it, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from model_store import Column, Fault, InvalidRows, ModelStore, Signature, text_rules
from quart_app.blueprints.fields import MOST_LISTED, MOST_OPTIONS, Field, as_text, fields

from ...drawing import drawn_rows
from ...kinds import PUBLISHED


def field(column: Column, value: object = None, fault: Fault | None = None) -> Field:
    (found,) = fields([column], {column.name: value}, {column.name: fault} if fault else {})
    return found


def faulty(column: Column, value: object) -> Field:
    """The field with what the signature says of the value."""
    signature = Signature(columns=(column,), dtype="object")
    with pytest.raises(InvalidRows) as caught:
        signature.validate({column.name: (value,)}, 1, text_rules.FORM)
    return field(column, value, caught.value.faults[0])


def category(*categories: str | int | float, **more: Any) -> Column:
    return Column(name="c", type="category", categories=categories, dtype="object", **more)


def date(*known: str, dtype: str = "datetime64[us]", **more: Any) -> Column:
    minimum, typical, maximum = known if known else (None, None, None)
    return Column(
        name="d",
        type="date",
        minimum=minimum,
        typical=typical,
        maximum=maximum,
        dtype=dtype,
        **more,
    )


DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
TIMES = ("2024-01-01", "2024-01-02", "2024-01-03T12:30:00")
TRUTH = Column(name="b", type="boolean", dtype="bool")

CONTROLS: dict[str, tuple[Column, str]] = {
    "a number": (Column(name="x", type="number"), "number"),
    "an integer": (Column(name="x", type="integer"), "number"),
    "a text": (Column(name="x", type="text"), "textarea"),
    "a boolean": (TRUTH, "radios"),
    "two categories": (category("a", "b"), "radios"),
    "three categories": (category(1, 2, 3), "radios"),
    "four categories": (category("a", "b", "c", "d"), "select"),
    "open categories": (category("a", "b", open=True), "suggestions"),
    "days": (date(*DAYS), "date"),
    "some with a time": (date(*TIMES), "datetime-local"),
    "dates of which nothing is known": (date(), "date"),
    "dates with a time zone": (
        date(*(f"{day}T00:00:00+01:00" for day in DAYS), dtype="datetime64[us, Europe/Oslo]"),
        "text",
    ),
    "texts of days": (date(*DAYS, dtype="str"), "date"),
    "texts of moments": (date(*(f"{day}T12:30" for day in DAYS), dtype="str"), "datetime-local"),
    "texts of moments in another format": (
        date(*(f"{day} 12:30" for day in DAYS), dtype="str"),
        "text",
    ),
    "texts of days and moments": (date(*TIMES, dtype="str"), "text"),
}


@pytest.mark.parametrize(("open_", "step", "whole"), [(False, "1", True), (True, "any", False)])
def test_a_control_of_integers_takes_fractions_where_the_model_does(
    open_: bool, step: str, whole: bool
) -> None:
    found = field(Column(name="x", type="integer", step=1, open=open_))
    assert (found.control, found.step, found.whole) == ("number", step, whole)


@pytest.mark.parametrize(("column", "control"), CONTROLS.values(), ids=CONTROLS)
def test_each_kind_of_column_has_its_control(column: Column, control: str) -> None:
    assert field(column).control == control
    assert field(column).entered == ""
    assert field(column).fault is None


KEPT: dict[str, tuple[Column, object, str, str]] = {
    # the column, what was sent, the control, and what stands in it
    "a number as it was written": (Column(name="x", type="number"), " 1e3 ", "text", " 1e3 "),
    "a JSON number": (Column(name="x", type="number"), 1.5, "number", "1.5"),
    "a JSON integer": (Column(name="x", type="integer"), 2, "number", "2"),
    "a fraction": (Column(name="x", type="integer", open=True), 2.5, "number", "2.5"),
    "null": (Column(name="x", type="number", missing=True), None, "number", ""),
    "a text": (Column(name="x", type="text"), "a\r\nb ", "textarea", "a\r\nb "),
    "a category": (category("a", "b"), "b", "radios", "b"),
    "a category with spaces round it": (category("a", "b"), " b ", "radios", "b"),
    "a category that has spaces round it": (category(" b ", "b"), " b ", "radios", " b "),
    "a number that is a category": (category(1, 2), "2.0", "radios", "2"),
    "a fraction that is a category": (category(0.1 + 0.2, 0.3), "0.3", "radios", "0.3"),
    "a long fraction": (category(0.1 + 0.2, 0.3), repr(0.1 + 0.2), "radios", repr(0.1 + 0.2)),
    "a category of a list": (category(*"abcd"), "d", "select", "d"),
    "a category that was never seen": (category("a", open=True), "new", "suggestions", "new"),
    "yes": (TRUTH, "Yes", "radios", "true"),
    "zero": (TRUTH, "0", "radios", "false"),
    "a JSON boolean": (TRUTH, True, "radios", "true"),
    "a day": (date(*DAYS), "2024-02-29", "date", "2024-02-29"),
    "a moment among days": (date(*DAYS), "2024-02-29T10:00", "text", "2024-02-29T10:00"),
    "a day among moments": (date(*TIMES), "2024-02-29", "text", "2024-02-29"),
    "a moment": (date(*TIMES), "2024-02-29T10:00", "datetime-local", "2024-02-29T10:00"),
    "a moment with seconds": (
        date(*TIMES),
        "2024-02-29T10:00:01.5",
        "datetime-local",
        "2024-02-29T10:00:01.5",
    ),
    "more digits than a browser takes": (
        date(*TIMES),
        "2024-02-29T10:00:01.123456",
        "text",
        "2024-02-29T10:00:01.123456",
    ),
    "a moment with a blank": (date(*TIMES), "2024-02-29 10:00", "text", "2024-02-29 10:00"),
}


@pytest.mark.parametrize(("column", "value", "control", "entered"), KEPT.values(), ids=KEPT)
def test_what_was_entered_stands_in_a_control_that_holds_it(
    column: Column, value: object, control: str, entered: str
) -> None:
    found = field(column, value)
    assert (found.control, found.entered) == (control, entered)
    if control in ("radios", "select") and entered:
        assert entered in dict(found.options)


WRONG: dict[str, tuple[Column, str, str]] = {
    "no number": (Column(name="x", type="number"), "many", "text"),
    "an unknown category": (category("a", "b"), "c", "radios"),
    "an unknown category of a list": (category(*"abcd"), "e", "select"),
    "no truth": (TRUTH, "perhaps", "radios"),
    "no date": (date(*DAYS), "tomorrow", "text"),
    "a date that there is not": (date(*DAYS), "2023-02-29", "text"),
    "a moment that there is not": (date(*TIMES), "2023-02-28T25:00", "text"),
    "no date at all": (date(*DAYS), "", "date"),
    "nothing chosen": (category("a", "b"), "", "radios"),
}


@pytest.mark.parametrize(("column", "value", "control"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_kept_with_its_fault(column: Column, value: str, control: str) -> None:
    found = faulty(column, value)
    assert (found.control, found.entered) == (control, value)
    assert found.fault is not None
    assert all(option != value for option, _ in found.options if option)


def test_a_value_that_stands_twice_leaves_its_field_empty() -> None:
    assert faulty(Column(name="x", type="number"), ["1", "2"]).entered == ""
    assert faulty(category("a", "b"), ["a", "a"]).entered == ""


OPTIONS: dict[str, tuple[Column, list[tuple[str, str]]]] = {
    "a boolean": (TRUTH, [("true", "yes"), ("false", "no")]),
    "categories": (category("a", "b"), [("a", "a"), ("b", "b")]),
    "numbers": (category(1.0, 2.5), [("1", "1"), ("2.5", "2.5")]),
    "categories that may be missing": (
        category("a", "b", missing=True),
        [("a", "a"), ("b", "b"), ("", "unknown")],
    ),
    "a list": (category(*"abcd"), [("", "Choose…"), *zip("abcd", "abcd", strict=True)]),
    "a list that may be missing": (
        category(*"abcd", missing=True),
        [("", "unknown"), *zip("abcd", "abcd", strict=True)],
    ),
    "an empty text that is a category": (
        category("", "a", missing=True),
        [("", "(empty)"), ("a", "a")],
    ),
    "suggestions": (category("a", "b", open=True, missing=True), [("a", "a"), ("b", "b")]),
    "no choice": (Column(name="x", type="number"), []),
}


@pytest.mark.parametrize(("column", "options"), OPTIONS.values(), ids=OPTIONS)
def test_the_options_are_what_a_person_may_choose(
    column: Column, options: list[tuple[str, str]]
) -> None:
    assert list(field(column).options) == options


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_a_form_shows_of_a_row_is_read_as_that_row(name: str, kinds: ModelStore) -> None:
    manifest = kinds.manifest(name)
    for row in drawn_rows(manifest, 1, 20):
        shown = fields(manifest.signature.columns, row, {})
        sent = {each.column.name: (each.entered,) for each in shown}
        matrix = manifest.signature.validate(sent, 1, text_rules.FORM)
        assert manifest.signature.values(matrix) == [row]
        for each in shown:
            if each.control in ("radios", "select"):
                assert each.entered in dict(each.options)


def test_ids_go_by_the_place_of_a_column() -> None:
    columns = [Column(name=name, type="number") for name in ('"', "a b", "é")]
    assert [each.id for each in fields(columns, {}, {})] == ["field-1", "field-2", "field-3"]


def test_values_become_the_text_that_a_form_sends() -> None:
    values: tuple[object, ...] = ("a", 1, 0.1, True, False, None, ["1", "2"], {})
    assert list(map(as_text, values)) == ["a", "1", "0.1", "true", "false", "", "", ""]


# Many categories ------------------------------------------------------------------


def many(count: int, **more: Any) -> Column:
    return category(*(f"city-{number:05}" for number in range(count)), **more)


@pytest.mark.parametrize(
    ("count", "control", "options"),
    [
        (MOST_LISTED, "select", MOST_LISTED + 1),
        (MOST_LISTED + 1, "suggestions", MOST_LISTED + 1),
        (MOST_OPTIONS, "suggestions", MOST_OPTIONS),
        (MOST_OPTIONS + 1, "text", 0),
        (10_000, "text", 0),
    ],
)
def test_many_categories_are_searched_and_more_are_typed(
    count: int, control: str, options: int
) -> None:
    found = field(many(count), "city-00007")
    assert (found.control, len(found.options)) == (control, options)
    assert found.entered == "city-00007"
    assert found.typed == (0 if control == "select" else count)


@pytest.mark.parametrize("count", [300, 10_000])
def test_a_category_that_is_none_of_many_is_told_what_is_near_it(count: int) -> None:
    found = faulty(many(count), "City-0012")
    assert found.control == "suggestions"
    assert found.near[0] == "city-00120"
    assert set(found.near) <= {value for value, _ in found.options}
    assert len(found.options) <= MOST_OPTIONS


def test_all_options_of_a_page_together_are_bounded() -> None:
    columns = [
        Column(name=f"c{i}", type="category", categories=many(150).categories, dtype="object")
        for i in range(50)
    ]
    found = fields(columns, {}, {})
    assert sum(len(each.options) for each in found) <= MOST_OPTIONS
    assert {each.control for each in found} == {"select", "text"}
    assert all(each.typed == 150 for each in found if each.control == "text")
