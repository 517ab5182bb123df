"""What a column of text may have been, the plainest first."""

from __future__ import annotations

from typing import Any

import pytest

from model_store import Column
from model_store.readings import KnownValues, readings
from model_store.structure import Hint
from model_store.training import Training


def plainest(*texts: str, hint: Hint | None = None) -> Column:
    """The column that the plainest reading makes."""
    known = hint or Hint()
    first = readings("a", texts, known)[0]
    (found,) = Training.of_features([first.feature("a", texts)], "matrix").columns([known])
    return found


@pytest.mark.parametrize(
    ("texts", "kind", "typical"),
    [
        (("1", "2", "3"), "integer", 2),
        (("1", " 2 ", "3"), "integer", 2),
        (("1.5", "", "3"), "number", 1.5),
        (("1.5", "<NA>", "3"), "number", 1.5),
        (("1", "#N/A", "3"), "number", 1.0),
        (("1", "007", "3"), "text", "3"),
        (("1", "-07", "3"), "text", "3"),
        (("0", "0.5", "-0"), "number", 0.0),
        (("9" * 20, "8" * 20), "text", "9" * 20),
        (("true", "False", "TRUE"), "boolean", True),
        (("true", "None", "TRUE"), "boolean", True),
        (("red", "blue", "red", ""), "category", "red"),
        (("red", "NA", "red", "NA"), "category", "red"),
        (("one text", "another one", "a third"), "text", "one text"),
        (("2024-05-01", "", "2024-05-02"), "date", "2024-05-01"),
        (("2024-05-01", "NaT", "2024-05-02"), "date", "2024-05-01"),
        (("1", "two", "1"), "category", "1"),
        (("yes", "no", "yes"), "category", "yes"),
        ((" x", "x", " x"), "category", " x"),
    ],
)
def test_the_plainest_reading_is_what_all_of_a_column_reads_as(
    texts: tuple[str, ...], kind: str, typical: Any
) -> None:
    found = plainest(*texts)
    assert (found.type, found.typical) == (kind, typical)
    assert type(found.typical) is type(typical)


def test_an_encoder_tells_what_the_text_of_a_category_means() -> None:
    found = plainest("1", "3", "1", hint=Hint(categories=(1, 2, 3)))
    assert (found.type, found.typical, found.dtype) == ("category", 1, "int64")
    assert type(found.typical) is int
    found = plainest("1", "3", hint=Hint(categories=("1", "3")))
    assert (found.type, found.typical) == ("category", "1")


def test_truths_are_truths_also_where_an_encoder_made_numbers_of_them() -> None:
    found = plainest("True", "False", "", hint=Hint(categories=(0.0, 1.0)))
    assert found.type == "boolean"
    assert plainest("0", "1", hint=Hint(categories=(0.0, 1.0))).type == "category"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, text) for text in ("a", " a", "b")),
        *((" b ", "b"), ("a ", "a"), ("1", 1), ("1.0", 1), ("01", 1), ("2.5", 2.5)),
        *((text, None) for text in ("A", "", "nan", "True")),
    ],
)
def test_a_known_value_is_found_by_its_text_then_without_spaces_then_by_its_number(
    text: str, value: Any
) -> None:
    found = KnownValues(["a", " a", "b", 1, 2.5]).find(text)
    assert (found, type(found)) == (value, type(value))
