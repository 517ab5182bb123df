"""The fields of a model's form: which control takes a column's values, and what stands in it.

Every control works without a script. Whatever was entered is kept: a value that a control could
not hold, such as a date that is none or a number with a comma, turns the control into a plain text
input.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, assert_never, cast

import msgspec

from model_store import Column, Fault, InvalidRows, Signature, text_rules
from model_store.column_facts import JSONLabel
from model_store.literals import parse_date, shown_category
from model_store.manifest import Manifest, Sample

from ..protocols import form
from .near import nearest

Control = Literal[
    "number", "radios", "select", "suggestions", "date", "datetime-local", "text", "textarea"
]

MOST_BUTTONS: Final = 3
"""More categories than this stand in a list."""
MOST_LISTED: Final = 200
"""More than this are searched: what is typed finds those that are suggested."""
MOST_OPTIONS: Final = 2000
"""So many stand on a page; those of a column for which there is no room are typed, and what is near
to a wrong one is told."""
MOST_EXAMPLES: Final = 5
LARGE: Final = 1e15
"""Where whole floats begin to be written with an exponent."""

# A valid floating-point number (HTML, 2.3.4.3).
_FLOAT: Final = re.compile(r"-?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)

# What a browser takes as the value of its date inputs (HTML, 2.3.5.2 and 2.3.5.5).
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_DATETIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?")


class Field(msgspec.Struct, frozen=True):
    """One column in the form.

    `options` are the values to choose from with what they are called, and `entered` is the one
    that is chosen; elsewhere it is the text that was entered.
    """

    id: str
    column: Column
    control: Control
    entered: str
    options: Sequence[tuple[str, str]]
    fault: Fault | None
    near: Sequence[str] = ()

    @property
    def typed(self) -> int:
        """How many categories there are to type one of, where they are too many to choose from."""
        choices = len(self.column.kind.choices(self.column))
        is_typed = self.control == "text" or choices > MOST_LISTED
        return choices if is_typed and self.control in ("suggestions", "text") else 0

    @property
    def example(self) -> str:
        """A value that is typical, in few characters."""
        typical = self.column.typical
        return f"{typical:.4g}" if isinstance(typical, float) else as_text(typical)

    @property
    def step(self) -> str:
        """The resolution of a number, as its input takes it."""
        if self.column.open:
            return "any"
        if self.column.step is not None:
            return shown_category(self.column.step)
        return "1" if self.whole else "any"

    @property
    def whole(self) -> bool:
        """Whether the value is a number without decimals."""
        return bool(self.column.kind.schema(self.column)["type"] == "integer")

    @property
    def expected(self) -> str:
        """What the value must be; that it may be left out, its hint says."""
        choices = self.column.kind.choices(self.column)
        if choices and all(isinstance(choice, bool) for choice in choices):
            return " or ".join(map(shown, choices))
        if self.typed and not self.column.open:
            return f"one of {self.typed:,}"
        return "" if self.fault is None else self.fault.expected.removesuffix(" or null")


def fields(
    columns: Sequence[Column], values: Mapping[str, object], faults: Mapping[str, Fault]
) -> list[Field]:
    """The fields of a form with the values that were sent, by name, and what is wrong with them."""
    found = []
    room = MOST_OPTIONS
    for number, column in enumerate(columns, 1):
        value, fault = values.get(column.name), faults.get(column.name)
        field = _field(f"field-{number}", column, value, fault, room)
        room -= len(field.options)
        found.append(field)
    return found


def shown(value: JSONLabel) -> str:
    """A value as the form calls it."""
    return ("yes" if value else "no") if isinstance(value, bool) else shown_category(value)


def as_text(value: object) -> str:
    """A value as a form sends it; nothing of one that stands twice, or that no form could send."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGE:
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else ""


def _field(id: str, column: Column, value: object, fault: Fault | None, room: int) -> Field:
    """The field of a column, which may have so many values to choose from."""
    entered = as_text(value)
    control = _control(column, entered)
    options = _options(column, control)
    near: list[str] = []
    if control in ("select", "suggestions"):
        near = [] if fault is None else nearest(entered, (value for value, _ in options))
        if len(column.kind.choices(column)) > MOST_LISTED:
            control, options = "suggestions", _options(column, "suggestions")
        if len(options) > room:
            # What is near a value that is none of them is suggested for all that.
            control = "suggestions" if near else "text"
            options = [(value, value) for value in near]
    if control in ("radios", "select") and fault is None:
        entered = _chosen(column, entered)
    return Field(id, column, control, entered, options, fault, near)


def _control(column: Column, entered: str) -> Control:
    """The control for a column, where it holds what was entered."""
    kind = column.kind
    wanted = kind.control(column)
    match wanted:
        case "number":
            return "number" if not entered or _holds(entered) else "text"
        case "choice":
            return "radios" if len(kind.choices(column)) <= MOST_BUTTONS else "select"
        case "suggestions":
            return "suggestions"
        case "date":
            return "date" if _is_sent(_DATE, entered) else "text"
        case "datetime":
            return "datetime-local" if _is_sent(_DATETIME, entered) else "text"
        case "line":
            return "text"
        case "paragraph":
            return "textarea"
    assert_never(wanted)


def _holds(entered: str) -> bool:
    """Whether an input for numbers can hold a text: a finite number as HTML writes it."""
    return _FLOAT.fullmatch(entered) is not None and math.isfinite(float(entered))


def _is_sent(form: re.Pattern[str], entered: str) -> bool:
    """Whether an input for dates holds a text: nothing, or a date as HTML writes it."""
    return not entered or bool(form.fullmatch(entered) and parse_date(entered))


def _options(column: Column, control: Control) -> list[tuple[str, str]]:
    """The values to choose from, and the empty one where that means something else."""
    known = [(_exact(each), shown(each)) for each in column.kind.choices(column)]
    if any(not value for value, _ in known):
        return [(value, word or "(empty)") for value, word in known]
    if control == "select":
        return [("", "unknown" if column.missing else "Choose…"), *known]
    return [*known, ("", "unknown")] if control == "radios" and column.missing else known


def _exact(value: JSONLabel | None) -> str:
    """A choice as text that is read as the same one."""
    if value is None or isinstance(value, bool):
        return as_text(value)
    text = shown_category(value)
    return text if isinstance(value, str) or float(text) == value else str(value)


def _chosen(column: Column, entered: str) -> str:
    """The option that was entered, however it was written: `Yes` is `true`, and 2.0 is 2."""
    try:
        signature = Signature(columns=(column,), dtype="object")
        matrix = signature.validate({column.name: (entered,)}, 1, text_rules.FORM)
    except InvalidRows:
        return entered
    (row,) = signature.values(matrix)
    return _exact(row[column.name])


# Examples ------------------------------------------------------------------------


class Example(msgspec.Struct, frozen=True):
    """A row to fill the form with, and what to call it."""

    called: str
    row: Mapping[str, object]


def examples(manifest: Manifest, sample: Sample) -> list[Example]:
    """What is typical of each column; and of the golden rows one for each answer, or of numbers
    those with the least and the greatest."""
    first = sample.rows[0]
    typical = {
        column.name: first[column.name] if column.typical is None else column.typical
        for column in manifest.signature.columns
    }
    rows: dict[str, Mapping[str, object]] = {}
    answers = zip(sample.predictions, sample.rows, strict=True)
    if manifest.several:
        return [Example("typical values", typical)]
    if manifest.target.numeric:
        ordered = sorted(answers, key=lambda pair: cast(float, pair[0]))
        rows = {"a low answer": ordered[0][1], "a high answer": ordered[-1][1]}
    else:
        for label, row in answers:
            rows.setdefault(_called(cast(JSONLabel, label), manifest), row)
    shown = list(rows.items())[:MOST_EXAMPLES]
    return [Example("typical values", typical), *(Example(*each) for each in shown)]


def _called(label: JSONLabel, manifest: Manifest) -> str:
    """What an example is called that gets this answer; the number of a cluster says little."""
    bare = manifest.task == "clustering" and str(label) not in manifest.words
    return f"cluster {label}" if bare else form.word(label, manifest.words)
