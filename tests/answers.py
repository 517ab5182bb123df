"""A class of an operator's own, which answers with whatever its table has: each kind of label that
numpy, pandas and Python know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

HIGH: Final = 2**63 + 5
"""Needs all 64 bits, which no float has."""
FINE: Final = 2**53 + 1
"""The first integer that no float is."""


class Case(NamedTuple):
    """What a pipeline answers to its rows, in any container, and what clients have to read; the
    classes as the pipeline holds them and as JSON has them, and their datatype in V2."""

    answers: Any
    told: list[Any]
    datatype: str
    classes: Any = None
    known: list[Any] | None = None


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def objects(*values: Any) -> Any:
    return np.fromiter(values, dtype=object, count=len(values))


def of_classes(datatype: str, answers: Any, told: Sequence[Any]) -> Case:
    """A case whose answers are one of each class."""
    several = isinstance(told[0], list)
    classes = list(map(objects, *answers)) if several else answers
    known = [list(each) for each in zip(*told, strict=True)] if several else list(told)
    return Case(answers, list(told), datatype, classes, known)


def integers(dtype: str, *values: int, datatype: str = "INT64") -> Case:
    return of_classes(datatype, np.array(values, dtype), values)


DAYS: Final = ("2024-02-29", "2024-03-01")

CLASSES: Final[dict[str, Case]] = {
    **{f"int{bits}": integers(f"int{bits}", -(2 ** (bits - 1)), 7) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": integers(f"uint{bits}", 0, 2**bits - 1) for bits in (8, 16, 32)},
    "uint64": integers("uint64", 0, 2**64 - 1, datatype="UINT64"),
    "uint64 of small ones": integers("uint64", 1, 2),
    "big-endian": integers(">i4", 1, 2),
    "beyond a float": integers("int64", FINE, -FINE),
    "nullable integers": of_classes("UINT64", pd.array([1, HIGH], dtype="UInt64"), [1, HIGH]),
    "integers of Python": of_classes("UINT64", [HIGH, 3], [HIGH, 3]),
    "of both signs": of_classes("BYTES", [HIGH, -3], [HIGH, -3]),
    "integers for floats": Case(np.array([1.0, 2.0]), [1, 2], "INT64", np.array([1, 2]), [1, 2]),
    "float16": of_classes("FP64", np.array([0.5, 65504], "float16"), [0.5, 65504.0]),
    "float32": of_classes("FP64", np.array([16777216, 3], "float32"), [16777216.0, 3.0]),
    "fractions in float32": of_classes(
        "FP64", np.array([0.1], "float32"), [float(np.float32(0.1))]
    ),
    "float64": of_classes("FP64", np.array([0.1234567890123, 2.0]), [0.1234567890123, 2.0]),
    "longdouble": of_classes("FP64", np.array([1, 2], np.longdouble), [1.0, 2.0]),
    "decimals": of_classes("FP64", objects(Decimal("0.1"), Decimal("2.5")), [0.1, 2.5]),
    "booleans": of_classes("BOOL", np.array([False, True]), [False, True]),
    "nullable booleans": of_classes(
        "BOOL", pd.array([True, False], dtype="boolean"), [True, False]
    ),
    "truths for numbers": Case(
        np.array([1, 0]), [True, False], "BOOL", [False, True], [False, True]
    ),
    "texts of numpy": of_classes("BYTES", np.array(["ä", "☃ 雪"]), ["ä", "☃ 雪"]),
    "objects of numpy": of_classes("BYTES", objects(np.str_("a"), np.str_("b")), ["a", "b"]),
    "spaces": of_classes("BYTES", objects(" a", "a ", "", "a"), [" a", "a ", "", "a"]),
    "awkward texts": of_classes("BYTES", objects('"<b>,', "a\n;", "007"), ['"<b>,', "a\n;", "007"]),
    "an enumeration": of_classes("BYTES", list(Colour), ["red", "blue"]),
    "strings of pandas": of_classes("BYTES", pd.Series(["a", "b"], dtype="string"), ["a", "b"]),
    "categories of pandas": of_classes("BYTES", pd.Categorical(["b", "a"]), ["b", "a"]),
    "mixed": of_classes("BYTES", objects(1, "a", 2.5), [1, "a", 2.5]),
    "mixed, as numpy merges them": Case(
        np.array([1, "a"]), [1, "a"], "BYTES", objects(1, "a"), [1, "a"]
    ),
    "integers and floats": of_classes("FP64", objects(1, 2.5), [1, 2.5]),
    "integers no float holds, and floats": of_classes("BYTES", objects(FINE, 0.5), [FINE, 0.5]),
    "days": of_classes("BYTES", np.array(DAYS, "datetime64[D]"), DAYS),
    "nanoseconds": of_classes(
        "BYTES",
        np.array([DAYS[0], "2024-03-01T00:00:00.000000001"], "datetime64[ns]"),
        [DAYS[0], "2024-03-01T00:00:00.000000001"],
    ),
    "years beyond Python's": of_classes(
        "BYTES", np.array(["12024-03-15", DAYS[0]], "datetime64[D]"), ["12024-03-15", DAYS[0]]
    ),
    "dates": of_classes("BYTES", objects(date(2024, 2, 29), date(2024, 3, 1)), DAYS),
    "moments of pandas": of_classes("BYTES", pd.Series(pd.to_datetime(DAYS)), DAYS),
    "moments with a zone": of_classes(
        "BYTES",
        objects(datetime(2024, 1, 1, tzinfo=UTC), pd.Timestamp("2024-01-01T05:00+02:00")),
        ["2024-01-01T00:00:00+00:00", "2024-01-01T05:00:00+02:00"],
    ),
    "two targets": of_classes(
        "BYTES", pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}).to_numpy(), [["x", 1], ["y", 2]]
    ),
    "two targets that numpy merged": Case(
        np.array([["x", 1], ["y", 2]]),
        [["x", 1], ["y", 2]],
        "BYTES",
        [objects("x", "y"), objects(1, 2)],
        [["x", "y"], [1, 2]],
    ),
    "a frame of two targets": Case(
        pd.DataFrame({"a": np.array([HIGH, 1], "uint64"), "b": np.array([-FINE, 2])}),
        [[HIGH, -FINE], [1, 2]],
        "BYTES",
        [objects(HIGH, 1), objects(-FINE, 2)],
        [[HIGH, 1], [-FINE, 2]],
    ),
}

FITTED: Final = (
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *("big-endian", "beyond a float", "float32", "longdouble", "booleans", "texts of numpy"),
    *("spaces", "categories of pandas", "days", "nanoseconds", "moments of pandas"),
)
"""The cases whose labels scikit-learn's trees learn as they are."""

NUMBERS: Final[dict[str, Case]] = {
    "float16": Case(np.array([0.5, 2], "float16"), [0.5, 2.0], "FP64"),
    "float32": Case(np.array([0.1, 2], "float32"), [float(np.float32(0.1)), 2.0], "FP64"),
    "longdouble": Case(np.array([0.5, 2], np.longdouble), [0.5, 2.0], "FP64"),
    "int8": Case(np.array([-128, 127], "int8"), [-128, 127], "INT64"),
    "int64": Case(np.array([FINE, -(2**63)]), [FINE, -(2**63)], "INT64"),
    "uint64": Case(np.array([HIGH, 0], "uint64"), [HIGH, 0], "UINT64"),
    "booleans": Case(np.array([True, False]), [True, False], "BOOL"),
    "a list of integers": Case([HIGH, 1], [HIGH, 1], "UINT64"),
    "objects": Case(objects(1, np.float32(2.5)), [1, 2.5], "FP64"),
    "decimals": Case(objects(Decimal("0.1"), Decimal(1) / 3), [0.1, 1 / 3], "FP64"),
    "fractions": Case(objects(Fraction(1, 2), Fraction(1, 3)), [0.5, 1 / 3], "FP64"),
    "integers beyond 64 bits": Case([2**70 + 1, 1.5], [float(2**70), 1.5], "FP64"),
    "nullable integers": Case(pd.Series([FINE, 2], dtype="Int64"), [FINE, 2], "INT64"),
    "a column of a frame": Case(pd.DataFrame({"y": [0.5, 2.0]}), [0.5, 2.0], "FP64"),
    "two targets": Case(np.array([[0.5, 1], [2, 3]]), [[0.5, 1.0], [2.0, 3.0]], "FP64"),
    "a masked array": Case(np.ma.masked_equal([3, FINE], 0), [3, FINE], "INT64"),
    "a sparse matrix": Case(csr_array([[0, 1], [2, 0]]), [[0, 1], [2, 0]], "INT64"),
}

CASES: Final = {
    **{f"classes: {name}": case for name, case in CLASSES.items()},
    **{f"numbers: {name}": case for name, case in NUMBERS.items()},
}


class Says:
    """Answers the row 0 with the first answer of its case, and so on."""

    def __init__(self, case: str) -> None:
        self.case = case

    def predict(self, rows: Any) -> Any:
        answers, places = CASES[self.case].answers, np.asarray(rows)[:, 0].astype(int)
        if isinstance(answers, list):
            return [answers[place] for place in places]
        return answers.iloc[places] if hasattr(answers, "iloc") else answers[places]


class Chooses(Says):
    """The same where these are classes, all of which are as likely."""

    @property
    def classes_(self) -> Any:
        return CASES[self.case].classes

    def predict_proba(self, rows: Any) -> Any:
        known = CASES[self.case].known or []
        if not isinstance(known[0], list):
            return np.full((len(rows), len(known)), 1 / len(known))
        return [np.full((len(rows), len(each)), 1 / len(each)) for each in known]


def pipeline(case: str) -> Says:
    return Says(case) if CASES[case].classes is None else Chooses(case)


class Strays:
    """Answers as it should, and from the row 100 on with `stray`, which may be none of its
    classes; with `shares`, there each row has so many probabilities."""

    def __init__(self, good: Any, stray: Any, classes: Any, shares: int | None = None) -> None:
        self.good, self.stray, self.classes_, self.shares = good, stray, classes, shares

    def predict(self, rows: Any) -> Any:
        places = np.asarray(rows)[:, 0].astype(int)
        return np.concatenate([self.good, self.stray])[np.where(places < 100, places, -1)]

    def predict_proba(self, rows: Any) -> Any:
        astray = self.shares is not None and (rows >= 100).all()
        if not isinstance(self.classes_, list):
            return np.full((len(rows), self.shares if astray else len(self.classes_)), 0.5)
        return [np.full((len(rows), len(each)), 0.5) for each in self.classes_]
