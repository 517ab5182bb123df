"""What a column of text may have been, the plainest first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model_store import Column
from model_store.column_facts import Null, narrow_learned
from model_store.errors import InvalidPipeline
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


DECIMALS = np.round(np.random.default_rng(0).uniform(-5, 20, 300), 2)
SINGLES = DECIMALS.astype(np.float32).astype(float)
HALVES = DECIMALS.astype(np.float16).astype(float)
LEARNED: dict[str, tuple[Any, str | None]] = {
    "numbers in their own dtype": (np.array([1, 2], dtype=np.float32), "float32"),
    "integers": (np.array([1, 2]), None),
    "truths": (np.array([True, False]), None),
    "texts": (np.array(["a"], dtype=object), None),
    "nothing": (np.array([]), None),
    "decimals": (DECIMALS, None),
    "means of decimals": ((DECIMALS[1:] + DECIMALS[:-1]) / 2, None),
    "numbers with all digits": (np.random.default_rng(0).normal(size=300), None),
    "halves and quarters": (np.arange(40) / 4, None),
    "single precision": (SINGLES, "float32"),
    "single precision with a value that is missing": (np.append(SINGLES, np.nan), "float32"),
    "single precision with its mean": (np.append(SINGLES[:5], SINGLES.mean()), "float32"),
    "means of two in single precision": ((SINGLES[1:] + SINGLES[:-1]) / 2, "float32"),
    "half precision": (HALVES, "float16"),
    "means of two in half precision": ((HALVES[1:] + HALVES[:-1]) / 2, "float16"),
    "a decimal among singles": (np.append(SINGLES, 0.1), None),
}


@pytest.mark.parametrize("case", LEARNED)
def test_numbers_tell_the_narrow_floats_that_they_were_learned_of(case: str) -> None:
    numbers, dtype = LEARNED[case]
    assert narrow_learned(numbers) == dtype


@pytest.mark.parametrize(
    ("texts", "hint", "null", "sentence"),
    [
        (("1", "2"), Hint(), "none", "no value of the column a is missing in the sample"),
        (("1.5", ""), Hint(values=(1.5,)), "none", "expected nan, got 'none'"),
        (
            ("x", ""),
            Hint(categories=("x",), null="none"),
            "na",
            "expected none, got 'na'",
        ),
    ],
)
def test_a_missing_value_that_cannot_have_been_is_refused(
    texts: tuple[str, ...], hint: Hint, null: Null, sentence: str
) -> None:
    with pytest.raises(InvalidPipeline, match=f"--missing a={null}: {sentence}"):
        readings("a", texts, hint, None, null)


def test_what_the_widest_narrow_float_does_not_hold_is_no_such_float() -> None:
    (found,) = readings("a", ["1e6", "0.1", ""], Hint(values=(0.5,), narrow="float16"))
    assert found.dtype == "float64"
