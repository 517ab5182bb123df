"""The question on the page of an answer whether it was right: yes, no, and what it was instead.

Every choice is a form of its own, or a button of one, so that it works without a script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from quart import url_for

from model_store import Manifest
from model_store.column_facts import JSONLabel
from model_store.manifest import Target

from ..protocols import form
from .fields import as_text

MOST_FIELDS: Final = 12
"""Targets that a person is asked for."""
MOST_LISTED: Final = 200
MOST_BUTTONS: Final = 2
"""Classes of which each has a button."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A truth to send by a button: a value of each target, and what the button says."""

    values: Sequence[str]
    word: str


@dataclass(frozen=True, slots=True)
class TruthField:
    """The control for the truth of one target, with what was entered."""

    id: str
    target: Target
    control: Literal["select", "number", "text"]
    options: Sequence[tuple[str, str]]
    entered: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked of one row of a response. `choices` are what can be said by a button:
    that it was right, where it is known what was answered, and what it was instead, where that can
    be little. Else `fields` take it."""

    action: str
    id: str
    row: int
    choices: Sequence[Choice]
    fields: Sequence[TruthField]


def question(
    manifest: Manifest,
    id: str,
    row: object = 0,
    *,
    labels: Sequence[JSONLabel] | None = None,
    entered: Sequence[str] = (),
) -> Question | None:
    """What to ask of an answer, which has a label for each target; None of a model of which nothing
    turns out true, or of more targets than a person tells."""
    if manifest.task == "transformation" or len(manifest.targets) > MOST_FIELDS:
        return None
    right = [] if labels is None else [Choice([_sent(label) for label in labels], "Yes")]
    others = _others(manifest, labels)
    return Question(
        action=url_for("records.tell", name=manifest.name),
        id=id,
        row=row if isinstance(row, int) else 0,
        choices=[*right, *others],
        fields=() if others else _fields(manifest, entered),
    )


def _others(manifest: Manifest, labels: Sequence[JSONLabel] | None) -> list[Choice]:
    """The other classes, of a model that has few."""
    classes = manifest.target.classes
    if labels is None or manifest.several or classes is None or len(classes) > MOST_BUTTONS:
        return []
    return [
        Choice([_sent(each)], f"No: {form.word(each, manifest.words)}")
        for each in classes
        if each != labels[0]
    ]


def _fields(manifest: Manifest, entered: Sequence[str]) -> list[TruthField]:
    found = []
    for number, target in enumerate(manifest.targets):
        classes = target.classes or ()
        listed = 0 < len(classes) <= MOST_LISTED
        options = [(_sent(each), form.word(each, manifest.words)) for each in classes]
        found.append(
            TruthField(
                id=f"truth-{number + 1}",
                target=target,
                control="select" if listed else "number" if target.numeric else "text",
                options=options if listed else (),
                entered=entered[number] if number < len(entered) else "",
            )
        )
    return found


def _sent(label: JSONLabel) -> str:
    """A label as a form sends it, and `Truths` reads it."""
    return repr(label) if isinstance(label, float) else as_text(label)
