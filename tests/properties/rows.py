"""The rows that a pipeline is asked, and what it says of them by itself."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from .dtypes import Asked
from .pipelines import Column, Fitted, Row

COUNT: Final = 50
MIXED: Final = 6
"""Rows in which every value may be an odd one."""
TOLERANCE: Final = 1e-9
SINGLE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Question:
    """A row, and what each value of it is."""

    asked: dict[str, Asked]

    @property
    def row(self) -> Row:
        return {name: each.value for name, each in self.asked.items()}

    @property
    def odd(self) -> dict[str, Asked]:
        """The values that training does not have."""
        return {name: each for name, each in self.asked.items() if each.what != SEEN}

    def __str__(self) -> str:
        told = [f"{name}={each.value!r} ({each.what})" for name, each in self.asked.items()]
        return ", ".join(told)


SEEN: Final = "of training"


def questions(
    fitted: Fitted, random: np.random.Generator, count: int = COUNT, *, trained: bool = False
) -> list[Question]:
    """Rows with no odd value, then with one, then with any number of them. `trained` leaves out
    what training does not have."""
    odd_ones = {column.plan.name: _odd(column, trained=trained) for column in fitted.columns}
    usual = [_usual(fitted, random) for _ in range(count)]
    odd = [(name, each) for name, several in odd_ones.items() for each in several]
    random.shuffle(odd)
    told = count - MIXED
    found = [Question(usual.pop()) for _ in range(max(3, told - len(odd)))]
    for name, each in odd[: told - len(found)]:
        found.append(Question({**usual.pop(), name: each}))
    while usual:
        mixed = usual.pop()
        for name, several in odd_ones.items():
            choices = [mixed[name], *several]
            mixed[name] = choices[random.integers(len(choices))]
        found.append(Question(mixed))
    return found


def _usual(fitted: Fitted, random: np.random.Generator) -> dict[str, Asked]:
    return {
        column.plan.name: Asked(SEEN, column.known[random.integers(len(column.known))])
        for column in fitted.columns
    }


def _odd(column: Column, *, trained: bool) -> list[Asked]:
    known = column.plan.missing
    missing = Asked("missing, as in training" if known else "missing, never in training", None)
    if trained:
        return [missing] if known else []
    return [*column.plan.dtype.asked(column.known), missing]


# What the pipeline says ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """A label or a number; `shares` are the probabilities of the classes. `tolerance` is how far
    another answer may differ that is the same one."""

    label: Any
    shares: tuple[float, ...] | None = None
    tolerance: float = TOLERANCE

    def __str__(self) -> str:
        if self.shares is None:
            return repr(self.label)
        return f"{self.label!r} of {', '.join(f'{share:.12g}' for share in self.shares)}"


@dataclass(frozen=True, slots=True)
class Failure:
    """What the pipeline raised. `of_values` says that the values are at fault, and not it."""

    error: str
    of_values: bool

    def __str__(self) -> str:
        return self.error


Said = tuple[Answer | Failure, ...]
"""What it says of each form of a row."""


def said(fitted: Fitted, row: Row) -> Said:
    """What the pipeline itself says of a row, in each form that a person might write it in; where
    it stumbles over all of these frames, which is no fault of the values, as objects too."""
    found = tuple(_said(fitted.pipeline, form) for form in fitted.forms(row))
    if any(isinstance(each, Answer) or each.of_values for each in found):
        return found
    frames = [form for form in fitted.forms(row) if isinstance(form, pd.DataFrame)]
    return found + tuple(_said(fitted.pipeline, frame.astype(object)) for frame in frames)


def depends_on_dtypes(fitted: Fitted) -> bool:
    """Whether a pipeline does not say the same of the numbers of training where these have the
    dtypes in which they are read from text. No file of texts tells the others."""
    for place in range(len(fitted.X)):
        row = {column.plan.name: column.values[place] for column in fitted.columns}
        typed = next(fitted.forms(row))
        read = typed.assign(**{each.plan.name: _read(each, place) for each in fitted.columns})
        one, other = _said(fitted.pipeline, typed), _said(fitted.pipeline, read)
        if isinstance(one, Failure) or isinstance(other, Failure):
            return True
        if not agrees(one, roughly(other)):
            return True
    return False


def roughly(answer: Answer) -> Answer:
    """An answer to numbers of which others are rounded to single precision or less."""
    return replace(answer, tolerance=SINGLE)


def _read(column: Column, place: int) -> Any:
    """A value of training as it is read from text, where it is a number."""
    value, holes = column.values[place], None in column.values
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        return column.plan.dtype.series([value], column.known)
    return [np.nan if value is None else float(value) if holes and abs(value) < 2**53 else value]


def _said(pipeline: Any, form: Any) -> Answer | Failure:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            labels = np.asarray(pipeline.predict(form))
            label = labels.tolist()[0]
            if not hasattr(pipeline, "predict_proba"):
                return Answer(label, None, _tolerance(labels))
            shares = pipeline.predict_proba(form)
            return Answer(label, tuple(shares[0].tolist()), _tolerance(shares))
        except Exception as error:
            of_values = isinstance(error, ValueError | TypeError)
            return Failure(f"{type(error).__name__}: {str(error)[:120]}", of_values)


def _tolerance(numbers: Any) -> float:
    """What is computed in single precision differs in its last bits, which are the seventh digit,
    with the number of rows."""
    return SINGLE if numbers.dtype == np.float32 else TOLERANCE


def agrees(found: Answer, wanted: Answer) -> bool:
    """Whether two answers are the same: labels equal and of a type, numbers to the tolerance."""
    if not _same(found.label, wanted.label, wanted.tolerance):
        return False
    if found.shares is None or wanted.shares is None:
        return True
    pairs = zip(found.shares, wanted.shares, strict=True)
    return all(math.isclose(one, other, abs_tol=wanted.tolerance) for one, other in pairs)


def _same(found: Any, wanted: Any, tolerance: float) -> bool:
    if isinstance(wanted, float) and isinstance(found, int | float):
        # Sums of large numbers that nearly cancel are as exact as what was summed.
        return math.isclose(found, wanted, rel_tol=tolerance, abs_tol=tolerance)
    return type(found) is type(wanted) and bool(found == wanted)
