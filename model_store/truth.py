"""What turned out true of a prediction: a value brought to what the model's targets tell.

A truth is kept as JSON has it: a class in the type that the model answers with, or a number; of
several targets a list of them, in the order of the model's outputs. It may be written as a text,
as files and forms have it: `1`, `yes` of a truth, or the word that the model's words have for a
class, where that is the name of no other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from .column_facts import JSONLabel
from .errors import Fault, InvalidRows
from .literals import NAMES_SHOWN, parse_number, shown_category, told_category
from .manifest import TEXTS, Manifest, Target
from .signature import got

Truth = JSONLabel | list[JSONLabel]


class Told(NamedTuple):
    """What turned out true of one row of a prediction."""

    id: str
    row: int
    truth: Truth


COLUMN: Final = "truth"
"""What a fault calls a truth of one target; of several each has the name of its target."""

SPELLINGS: Final = 4
MOST_INTEGER: Final = 2**63
"""Integers beyond that become floats, which is what tells of them."""


class Truths:
    """Reads truths of one model."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._targets = [
            _TruthOf(target, _named(target, position, several=manifest.several), manifest.words)
            for position, target in enumerate(manifest.targets)
        ]

    @property
    def names(self) -> list[str]:
        """What the truth of each target is called in a table: `truth`, or `truth_NAME`."""
        return [target.column for target in self._targets]

    @property
    def reason(self) -> str | None:
        """Why there is no truth to tell of this model; None where there is."""
        if self._manifest.task == "transformation":
            return f"{self._manifest.name} transforms its rows, of which nothing turns out true."
        return None

    def read(self, given: object, row: int = 0) -> Truth:
        """The truth that was given; of several targets a list, or an object by their names.

        Raises:
            InvalidRows: it is none; its faults have this `row`.
        """
        if not self._manifest.several:
            found, fault = self._targets[0].read(given, row)
            return _sound([found], [fault])[0]
        values = self._values(given, row)
        pairs = [
            target.read(value, row) for target, value in zip(self._targets, values, strict=True)
        ]
        return _sound([found for found, _ in pairs], [fault for _, fault in pairs])

    def _values(self, given: object, row: int) -> Sequence[object]:
        """One value of each target."""
        names = [target.name for target in self._manifest.targets]
        if isinstance(given, Mapping) and given.keys() == set(names):
            return [given[name] for name in names]
        if isinstance(given, list | tuple) and len(given) == len(names):
            return given
        shown = ", ".join(name or "one without a name" for name in names[:NAMES_SHOWN])
        more = ", …" if len(names) > NAMES_SHOWN else ""
        expected = f"a list of {len(names)}, which are {shown}{more}"
        raise InvalidRows([Fault(row, COLUMN, expected, got(given))], rows=row + 1)


class _TruthOf:
    """Reads the truth of one target."""

    def __init__(self, target: Target, column: str, words: Mapping[str, str]) -> None:
        self.column = column
        self._target = target
        classes = target.classes or ()
        spellings = [*map(_spellings, classes)]
        self._labels: dict[object, JSONLabel] = {}
        for number in range(SPELLINGS):  # the usual ones first: none takes the place of a class
            for label, texts in zip(classes, spellings, strict=True):
                self._labels.setdefault(texts[number], label)
        for label in classes:
            self._labels.setdefault(words.get(str(label), label), label)

    def read(self, given: object, row: int) -> tuple[JSONLabel, Fault | None]:
        """The truth, or what is wrong with it."""
        found = self._label(given)
        if found is None:
            return "", Fault(row, self.column, self._expected(), got(given))
        return found, None

    def _label(self, given: object) -> JSONLabel | None:
        if self._target.classes is not None:
            return self._class(given)
        if self._target.dtype == TEXTS:
            return given if isinstance(given, str) else None
        if isinstance(given, bool):
            return given if self._target.dtype == "bool" else None
        return _number(parse_number(given.strip()) if isinstance(given, str) else given)

    def _class(self, given: object) -> JSONLabel | None:
        """The class in its own type, however it was written: 1 and "1.0" are the class "1"."""
        if not isinstance(given, str | int | float):
            return None
        ways: list[object] = [given]
        if isinstance(given, str):
            ways += [given.strip(), parse_number(given.strip())]
        elif not isinstance(given, bool):
            ways.append(shown_category(given))
        return next((self._labels[way] for way in ways if way in self._labels), None)

    def _expected(self) -> str:
        classes = self._target.classes
        if classes is None:
            kinds = {TEXTS: "a text", "bool": "true or false"}
            return kinds.get(self._target.dtype or "", "a finite number")
        shown = ", ".join(
            json.dumps(each) if isinstance(each, bool) else told_category(each)
            for each in classes[:NAMES_SHOWN]
        )
        more = len(classes) - NAMES_SHOWN
        return f"one of {shown}" + (f" and {more} more" if more > 0 else "")


def _named(target: Target, position: int, *, several: bool) -> str:
    return f"{COLUMN}_{target.name or position}" if several else COLUMN


def _spellings(label: JSONLabel) -> tuple[JSONLabel, ...]:
    """A class, and how it may be written as a text; `SPELLINGS` of them."""
    if isinstance(label, bool):
        return label, json.dumps(label), str(label), "yes" if label else "no"
    return label, str(label), shown_category(label), label


def _number(value: object) -> float | None:
    """A finite number, None of anything else."""
    if not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) >= MOST_INTEGER:
        try:
            value = float(value)
        except OverflowError:
            return None
    return value if math.isfinite(value) else None


def _sound(found: list[JSONLabel], faults: Sequence[Fault | None]) -> list[JSONLabel]:
    wrong = [fault for fault in faults if fault is not None]
    if wrong:
        raise InvalidRows(wrong, rows=wrong[0].row + 1)
    return found


def same(one: Truth, other: Truth) -> bool:
    """Whether two truths are one: equal, and of the same type, as 1 and true are not."""
    return json.dumps(one) == json.dumps(other)
