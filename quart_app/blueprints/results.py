"""What a model's page shows of an answer: in words, as JSON, as a command, and what if a value were
another."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from model_store import Manifest
from model_store.column_facts import JSONLabel
from model_store.labels import json_labels
from model_store.literals import shown_category
from model_store.manifest import Target

from ..about import charts
from ..about.what_if import Effect, TargetEffects, WhatIf
from ..about.why import Why
from ..inference import InferenceResponse
from ..protocols import form, native
from .was_right import Question, question

WIDTH: Final = 320
MARGIN: Final = 8
LONGEST_LINK: Final = 4000
"""Characters: what is longer, some servers and browsers cut off."""


class Place(NamedTuple):
    """Where a number lies among those of the training data. `low`, `high`, `box` and `here` are
    places in a drawing that is WIDTH wide: the range, its middle half, and the number."""

    words: str
    minimum: float
    maximum: float
    low: float
    high: float
    box: tuple[float, float] | None
    here: float


class Run(NamedTuple):
    """Neighbouring values that get the same answer."""

    first: str
    last: str
    answer: str


@dataclass(frozen=True, slots=True)
class Change:
    """Where the answer changes as one column does, of a model that tells no probabilities."""

    name: str
    unit: str | None
    runs: Sequence[Run]


@dataclass(frozen=True, slots=True)
class Curves:
    """What if, for one target; `of` is the class whose probability is drawn, and with `scored` it
    is the score."""

    target: Target
    of: str | None
    charts: Sequence[charts.Curve | charts.Bars]
    changes: Sequence[Change]
    scored: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """An answer on a page. `link` repeats the request, where it is not too long for one."""

    told: Sequence[tuple[Target, form.Answer, Place | None]]
    link: str | None
    json: str
    command: str
    what_if: Sequence[Curves]
    reason: str | None
    """Why there is no what-if."""
    why: Why
    question: Question | None
    """Whether it was right, where that is kept."""


def result(
    manifest: Manifest,
    answer: InferenceResponse,
    row: Mapping[str, JSONLabel | None],
    found: WhatIf,
    reasons: Why,
    *,
    url: str,
    link: str,
    recorded: bool = False,
) -> Result:
    """All that the page shows of the answer to one row. `url` is where it was asked, and `link`
    asks it again. Where it was `recorded`, the page asks whether it was right."""
    answers = form.encode(answer, manifest.words, manifest.measures)
    labels = _numbers(manifest, answer)
    told = [
        (target, words, _place(target, value))
        for target, words, value in zip(manifest.targets, answers, labels, strict=True)
    ]
    return Result(
        told=told,
        link=link if len(link) <= LONGEST_LINK else None,
        json=msgspec.json.format(native.encode(answer, many=False), indent=2).decode(),
        command=_command(url, row),
        what_if=[_curves(each, manifest.words) for each in found.targets],
        reason=found.reason,
        why=reasons,
        question=_question(manifest, answer) if recorded else None,
    )


def _question(manifest: Manifest, answer: InferenceResponse) -> Question | None:
    """Whether the answer was right."""
    (labels,) = json_labels(answer.labels[:1])
    return question(manifest, answer.id, labels=labels if isinstance(labels, list) else [labels])


def _numbers(manifest: Manifest, answer: InferenceResponse) -> list[float | None]:
    """The predicted number of each target that is one."""
    labels = answer.labels.reshape(len(answer.labels), -1)[0]
    return [
        float(label) if target.numeric else None
        for label, target in zip(labels, manifest.targets, strict=True)
    ]


def _command(url: str, row: Mapping[str, JSONLabel | None]) -> str:
    """The same request for a shell."""
    body = json.dumps(row, ensure_ascii=False)
    kind = shlex.quote("Content-Type: application/json")
    return f"curl -s {shlex.quote(url)} -H {kind} -d {shlex.quote(body)}"


def _place(target: Target, value: float | None) -> Place | None:
    low, high = target.minimum, target.maximum
    if value is None or low is None or high is None or not low < high:
        return None
    x = charts.scale(min(low, value), max(high, value), MARGIN, WIDTH - MARGIN)
    quantiles = target.quantiles
    box = None
    if quantiles is not None:
        last = len(quantiles) - 1
        box = (x(quantiles[round(last / 4)]), x(quantiles[round(3 * last / 4)]))
    return Place(_rank(target, value), low, high, x(low), x(high), box, x(value))


def _rank(target: Target, value: float) -> str:
    """In words, where a number lies among those of the training data."""
    assert target.minimum is not None
    assert target.maximum is not None
    if value < target.minimum:
        return "Lower than all of the training data."
    if value > target.maximum:
        return "Higher than all of the training data."
    rank = target.rank(value)
    if rank is None:
        return "Within the range of the training data."
    return f"Higher than {100 * rank:.0f} % of the training data."


# What if -------------------------------------------------------------------------


def _curves(found: TargetEffects, words: Mapping[str, str]) -> Curves:
    named = found.target.classes is not None and not found.scored
    of = form.word(found.prediction, words) if named else None
    return Curves(
        target=found.target,
        of=of,
        charts=charts.effects(found),
        changes=[_change(effect, words) for effect in found.effects if effect.answers is None],
        scored=found.scored,
    )


def _change(effect: Effect, words: Mapping[str, str]) -> Change:
    name = effect.column.label or effect.column.name
    return Change(name, effect.column.unit, _runs(effect, words))


def _runs(effect: Effect, words: Mapping[str, str]) -> list[Run]:
    pairs = zip(effect.values, effect.labels, strict=True)
    runs = [
        ([_called(value) for value, _ in group], form.word(label, words))
        for label, group in groupby(pairs, key=lambda pair: pair[1])
    ]
    return [Run(values[0], values[-1], word) for values, word in runs]


def _called(value: JSONLabel) -> str:
    """A value in a person's words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return charts.number_text(value) if isinstance(value, float) else shown_category(value)
