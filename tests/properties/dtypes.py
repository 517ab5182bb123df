"""What a column may be: the values it is trained on, how pandas holds them, what it is asked.

A value is what a person would write: an int, a float, a bool, a text, a datetime, or None where it
is missing. `Dtype.series` makes the Series of training of such values, and `Dtype.forms` the Series
of one row that a person would make to ask the pipeline by hand.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.random import Generator

Value = int | float | bool | str | datetime | None
Values = Sequence[Value]
Family = Literal["integer", "float", "truth", "text", "day", "moment"]
Draw = Callable[[Generator, int], list[Any]]

NAN: Final = float("nan")
START: Final = datetime(2024, 1, 1)
BERLIN: Final = ZoneInfo("Europe/Berlin")
POOLS: Final[tuple[tuple[str, ...], ...]] = (
    ("red", "green", "blue"),
    ("01067", "10115", "80331", "02134"),
    ("1", "2", "3"),
    ("True", "False"),
    (" Private", " State-gov", " ?"),
    ("NA", "SA", "EU"),
    ("größe", "x,y", 'say "hi"'),
)
"""Texts that a careless reader takes for numbers, truths or missing values, or strips."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A value to ask for. `refusable` says that a fault which names the column is right as well,
    and `refused` that nothing else is."""

    what: str
    value: Value
    refusable: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Dtype(ABC):
    """A kind of column. Where `known` is asked for, it is what training holds beside None."""

    name: str

    @property
    @abstractmethod
    def family(self) -> Family:
        """What the values are, which tells who may consume them."""

    @property
    def may_miss(self) -> bool:
        """Whether the dtype has a missing value."""
        return True

    @property
    def plain(self) -> bool:
        """Whether an array of numbers can hold the column."""
        return False

    @abstractmethod
    def draw(self, random: Generator, count: int) -> list[Any]:
        """Values to train on, none of them missing."""

    @abstractmethod
    def series(self, values: Values, known: Values) -> pd.Series:
        """Values that fit, as training holds them."""

    @abstractmethod
    def fits(self, value: Value, known: Values) -> bool:
        """Whether the dtype holds a value that is not missing."""

    @abstractmethod
    def asked(self, known: list[Any]) -> list[Asked]:
        """Values that may not be among those of training."""

    def absent(self) -> list[pd.Series]:
        """What persons write for a missing value that training had none of."""
        return [self.series([None], [])]

    def forms(self, value: Value, known: Values, *, missing: bool) -> list[pd.Series]:
        """A value alone in its column as persons hold it: in the dtype of training where it fits,
        else as pandas itself does. `missing` says that training had missing values."""
        if value is None:
            return [self.series([None], known)] if missing else self.absent()
        return [self.series([value], known) if self.fits(value, known) else pd.Series([value])]


# Numbers -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Integer(Dtype):
    """An integer of numpy, or with a capital of pandas. `ids` draws 19 digits."""

    ids: bool = False

    family = "integer"

    @property
    def dtype(self) -> str:
        return self.name.partition(" ")[0]

    @property
    def nullable(self) -> bool:
        return self.name[0].isupper()

    may_miss = nullable

    @property
    def plain(self) -> bool:
        return not self.nullable

    @property
    def ends(self) -> tuple[int, int]:
        info = np.iinfo(self.dtype.lower())
        return int(info.min), int(info.max)

    def draw(self, random: Generator, count: int) -> list[Any]:
        if self.ids:
            known = random.integers(16 * 10**17, 18 * 10**17, 6)
        else:
            known = random.integers(max(self.ends[0], -20), 100, 12)
        return [int(value) for value in random.choice(known, count)]

    def series(self, values: Values, known: Values) -> pd.Series:
        if self.nullable:
            return pd.Series(pd.array(list(values), dtype=self.dtype))
        return pd.Series(list(values), dtype=self.dtype)

    def fits(self, value: Value, known: Values) -> bool:
        low, high = self.ends
        return type(value) is int and low <= value <= high

    def asked(self, known: list[Any]) -> list[Asked]:
        low, high = self.ends
        return [
            Asked("between two of training", (min(known) + max(known)) // 2),
            Asked("above training", min(max(known) + 3, high)),
            Asked("the largest of the dtype", high),
            Asked("the least of the dtype", low),
            Asked("above the dtype", high + 3, refusable=True),
            Asked("below the dtype", low - 3, refusable=True),
            Asked("a fraction", 2.5 if self.ids else min(known) + 0.5),
            Asked("a fraction below 0", -0.75),
            Asked("19 digits", 1_234_567_890_123_456_789, refusable=high < 2**62),
        ]

    def absent(self) -> list[pd.Series]:
        return [self.series([None], [])] if self.nullable else [pd.Series([NAN])]

    def forms(self, value: Value, known: Values, *, missing: bool) -> list[pd.Series]:
        found = Dtype.forms(self, value, known, missing=missing)
        if self.fits(value, known):
            return found
        if self.nullable and type(value) is float:
            found.append(pd.Series(pd.array([value], dtype="Float64")))
        elif self.nullable and type(value) is int and -(2**63) <= value < 2**63:
            found.append(pd.Series(pd.array([value], dtype="Int64")))
        return found


@dataclass(frozen=True, slots=True)
class Float(Dtype):
    """A float of numpy, or with a capital of pandas."""

    family = "float"

    @property
    def plain(self) -> bool:
        return self.name.islower()

    @property
    def largest(self) -> float:
        return float(np.finfo(self.name.lower()).max)

    def draw(self, random: Generator, count: int) -> list[Any]:
        known = [round(float(value), 2) for value in random.uniform(-5, 20, 16)]
        return [known[place] for place in random.integers(0, 16, count)]

    def series(self, values: Values, known: Values) -> pd.Series:
        return pd.Series(list(values), dtype=self.name)

    def fits(self, value: Value, known: Values) -> bool:
        return isinstance(value, int | float) and abs(value) <= self.largest

    def asked(self, known: list[Any]) -> list[Asked]:
        asked = [
            Asked("between two of training", (min(known) + max(known)) / 3),
            Asked("above training", 137.25),
            Asked("below training", -1250.5),
            Asked("a whole number", 3),
            Asked("a small number", 1e-3),
        ]
        if self.largest < 1e300:
            asked.append(Asked("above the dtype", self.largest * 3, refusable=True))
        return asked


@dataclass(frozen=True, slots=True)
class Truth(Dtype):
    """`bool`, or `boolean` of pandas."""

    family = "truth"

    @property
    def may_miss(self) -> bool:
        return self.name == "boolean"

    @property
    def plain(self) -> bool:
        return self.name == "bool"

    def draw(self, random: Generator, count: int) -> list[Any]:
        return [bool(value) for value in random.integers(0, 2, count)]

    def series(self, values: Values, known: Values) -> pd.Series:
        return pd.Series(pd.array(list(values), dtype=self.name))

    def fits(self, value: Value, known: Values) -> bool:
        return isinstance(value, bool)

    def asked(self, known: list[Any]) -> list[Asked]:
        return [Asked("true", True), Asked("false", False)]

    def absent(self) -> list[pd.Series]:
        if self.may_miss:
            return [self.series([None], [])]
        return [pd.Series([None], dtype=object), pd.Series([NAN], dtype=object), pd.Series([NAN])]


# Texts, and values as objects ------------------------------------------------------


def words(random: Generator, count: int) -> list[Any]:
    """Texts of one of the pools."""
    pool = POOLS[random.integers(len(POOLS))]
    return [pool[place] for place in random.integers(0, len(pool), count)]


def notes(random: Generator, count: int) -> list[Any]:
    """Texts that do not repeat."""
    return [f"note {place} of {place % 7}" for place in random.permutation(count).tolist()]


@dataclass(frozen=True, slots=True)
class Text(Dtype):
    """Texts in a dtype of pandas, or as objects beside a `marker` for what is missing."""

    dtype: str
    draws: Draw = words
    marker: Any = None

    @property
    def family(self) -> Family:
        return "text"

    def draw(self, random: Generator, count: int) -> list[Any]:
        return self.draws(random, count)

    def series(self, values: Values, known: Values) -> pd.Series:
        marked = [self.marker if value is None else value for value in values]
        return pd.Series(marked, dtype=self.dtype)

    def fits(self, value: Value, known: Values) -> bool:
        return isinstance(value, str)

    def asked(self, known: list[Any]) -> list[Asked]:
        return [
            Asked("an unseen text", "zebra"),
            Asked("an unseen text of two words", "two words"),
            Asked("an unseen numeral", "0123"),
        ]

    def absent(self) -> list[pd.Series]:
        if self.dtype == "object":
            return [pd.Series([marker], dtype=object) for marker in (None, NAN)]
        return [self.series([None], [])]


@dataclass(frozen=True, slots=True)
class Day(Text):
    """Texts that write days."""

    pattern: str = "%Y-%m-%d"

    @property
    def family(self) -> Family:
        return "day"

    def draw(self, random: Generator, count: int) -> list[Any]:
        known = [START + timedelta(days=int(day)) for day in random.integers(12, 300, 8)]
        return [known[place].strftime(self.pattern) for place in random.integers(0, 8, count)]

    def asked(self, known: list[Any]) -> list[Asked]:
        return [
            Asked("another day", (START + timedelta(days=200)).strftime(self.pattern)),
            Asked("the last day", datetime(2024, 12, 31).strftime(self.pattern)),
        ]


@dataclass(frozen=True, slots=True)
class ObjectInteger(Dtype):
    """Python's integers as objects, beside a marker."""

    marker: Any = None

    family = "integer"

    def draw(self, random: Generator, count: int) -> list[Any]:
        return [int(value) for value in random.integers(0, 9, count)]

    def series(self, values: Values, known: Values) -> pd.Series:
        marked = [self.marker if value is None else value for value in values]
        return pd.Series(marked, dtype=object)

    def fits(self, value: Value, known: Values) -> bool:
        return isinstance(value, int | float)

    def asked(self, known: list[Any]) -> list[Asked]:
        return [
            Asked("above training", 77),
            Asked("a fraction", 2.5),
            Asked("19 digits", 1_234_567_890_123_456_789),
        ]

    def absent(self) -> list[pd.Series]:
        return [pd.Series([marker], dtype=object) for marker in (None, NAN)]


# Categories ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Category(Dtype):
    """A dtype that knows its categories. What it lacks is held as pandas has it, or refused."""

    draws: Draw
    unseen: Value
    ordered: bool = False

    @property
    def family(self) -> Family:
        return "text" if isinstance(self.unseen, str) else "integer"

    def draw(self, random: Generator, count: int) -> list[Any]:
        return self.draws(random, count)

    def series(self, values: Values, known: Values) -> pd.Series:
        categories = sorted(set(known))  # type: ignore[type-var]
        return pd.Series(list(values)).astype(pd.CategoricalDtype(categories, ordered=self.ordered))

    def fits(self, value: Value, known: Values) -> bool:
        return value in known and type(value) is type(known[0])

    def asked(self, known: list[Any]) -> list[Asked]:
        asked = [Asked("an unseen category", self.unseen, refusable=True)]
        if self.family == "integer":
            asked.append(Asked("a fraction", 2.5, refusable=True))
        return asked

    def forms(self, value: Value, known: Values, *, missing: bool) -> list[pd.Series]:
        if value is None:
            return [self.series([None], known)]
        return Dtype.forms(self, value, known, missing=missing)


def few_integers(random: Generator, count: int) -> list[Any]:
    return [int(value) for value in random.choice([1, 2, 3, 7], count)]


# Moments ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moment(Dtype):
    """`datetime64`, in a zone or in none."""

    zone: tzinfo | None = None

    family = "moment"

    def draw(self, random: Generator, count: int) -> list[Any]:
        moments = [START + timedelta(hours=int(hour)) for hour in random.integers(0, 8000, count)]
        if self.zone is None:
            return moments
        return [moment.replace(tzinfo=UTC).astimezone(self.zone) for moment in moments]

    def series(self, values: Values, known: Values) -> pd.Series:
        moments = pd.Series(pd.to_datetime(list(values), utc=self.zone is not None))
        return moments.astype(self.name)

    def fits(self, value: Value, known: Values) -> bool:
        aware = isinstance(value, datetime) and value.tzinfo is not None
        return aware == (self.zone is not None)

    def asked(self, known: list[Any]) -> list[Asked]:
        naive = datetime(2024, 7, 1, 8, 30)
        aware = naive.replace(tzinfo=UTC)
        asked = [
            Asked("a later moment", datetime(2025, 2, 3, 23, 0, tzinfo=self.zone)),
            Asked("a moment long ago", datetime(1931, 5, 6, 7, 0, tzinfo=self.zone)),
        ]
        if self.zone is None:
            return [*asked, Asked("a moment with a zone", aware, refused=True)]
        return [
            *asked,
            Asked("a moment of another zone", aware),
            Asked("a moment without a zone", naive, refused=True),
        ]


DTYPES: Final[tuple[Dtype, ...]] = (
    Float("float64"),
    *(Integer(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)),
    Integer("int64 of 19 digits", ids=True),
    Integer("uint64 of 19 digits", ids=True),
    Float("float32"),
    Float("float16"),
    Truth("bool"),
    Text("object with None", "object"),
    Text("object with nan", "object", marker=NAN),
    Text("object with pd.NA", "object", marker=pd.NA),
    Text("object, all different", "object", notes),
    Text("str", "str"),
    Text("str, all different", "str", notes),
    Text("string[python]", "string[python]"),
    Text("string[pyarrow]", "string[pyarrow]"),
    ObjectInteger("integers as objects"),
    ObjectInteger("integers as objects with nan", marker=NAN),
    Integer("Int64"),
    Integer("Int8"),
    Integer("UInt16"),
    Truth("boolean"),
    Float("Float64"),
    Float("Float32"),
    Category("category of texts", words, "zebra"),
    Category("category of integers", few_integers, 5),
    Category("category in order", few_integers, 5, ordered=True),
    Moment("datetime64[ns]"),
    Moment("datetime64[us]"),
    Moment("datetime64[s]"),
    Moment("datetime64[ns, Europe/Berlin]", BERLIN),
    Moment("datetime64[us, UTC]", UTC),
    Day("days as str", "str"),
    Day("days as objects", "object"),
    Day("days as objects, month last", "object", pattern="%d.%m.%Y"),
)
