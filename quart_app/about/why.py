"""Why a row is answered as it is, for a person: what each column adds, from what is usual to the
answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from model_store import Column, Manifest
from model_store.column_facts import JSONLabel
from model_store.errors import PredictionFailed, Unexplained
from model_store.literals import shown_category
from model_store.manifest import Target

from ..inference import DeadlineExceeded, InferenceRequest
from ..protocols import form
from ..serving.servable import Servable
from .charts import number_text, scale

if TYPE_CHECKING:
    from model_store.reasons.explanation import Explanation

SECONDS: Final = 0.5
"""For the reasons of a page: what takes longer is left out."""
MOST_TARGETS: Final = 4
MOST_REASONS: Final = 8
"""Columns with a bar each; the rest is summed."""
LITTLE: Final = 1e-12
"""Of the size of the answer: what a column adds by rounding alone."""
LONGEST_VALUE: Final = 60
WIDTH: Final = 320

OPEN, CLOSE = "\N{LEFT DOUBLE QUOTATION MARK}", "\N{RIGHT DOUBLE QUOTATION MARK}"

BUSY: Final = "The server is too busy to say why."


class Reason(NamedTuple):
    """One bar, from `left` over `length` of WIDTH. It is an `end`, or speaks for or against, and
    then `verb` says so in words; `amount` is what it adds."""

    name: str
    value: str | None
    verb: str
    amount: str
    left: float
    length: float
    kind: str


@dataclass(frozen=True, slots=True)
class TargetReasons:
    """The reasons for one target, in order. `of` is the class that is explained, if it is one;
    `scale` says in words what is added up, and `estimated` that it is no exact account. `unchanged`
    columns add nothing. `rows` have every other column with its value and what it adds."""

    target: Target
    of: str | None
    scale: str
    reasons: Sequence[Reason]
    unchanged: int
    estimated: bool
    rows: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Why:
    """The reasons for each target; or none, and why not in a sentence, if that is worth one."""

    targets: Sequence[TargetReasons]
    reason: str | None = None


async def why(servable: Servable, asked: InferenceRequest, *, until: float | None = None) -> Why:
    """The reasons for the answer to the one row of a request. What cannot be explained, or not at
    once, is no error."""
    try:
        told = await servable.explanation(asked, seconds=SECONDS, until=until)
    except (Unexplained, PredictionFailed) as error:
        return Why((), str(error))
    except DeadlineExceeded:
        return Why((), BUSY)
    signature, manifest = servable.manifest.signature, servable.manifest
    (row,) = signature.values(signature.validate(asked.named(signature.names), 1, asked.rules))
    places = range(min(len(manifest.targets), MOST_TARGETS))
    return Why([_of_target(manifest, told, place, row) for place in places])


def _of_target(
    manifest: Manifest, told: Explanation, place: int, row: Mapping[str, JSONLabel | None]
) -> TargetReasons:
    target = manifest.targets[place]
    label = None if told.classes is None else told.classes[0][place]
    of = None if label is None else _quoted(form.word(label, manifest.words))
    words = _Words(told.scale, of, target.unit)
    shares = told.contributions[0, place].tolist()
    base, answer = float(told.base[0, place]), float(told.answers[0, place])
    least = LITTLE * max(1.0, abs(base), abs(answer))
    order = [at for at in _by_size(shares) if abs(shares[at]) > least]
    columns = manifest.signature.columns
    steps = [(columns[at], row[columns[at].name], shares[at]) for at in order[:MOST_REASONS]]
    rest = [shares[at] for at in order[MOST_REASONS:]]
    return TargetReasons(
        target=target,
        of=of,
        scale=words.scale,
        reasons=_bars(words, base, steps, rest, answer),
        unchanged=len(shares) - len(order),
        estimated=told.method == "sampling",
        rows=[_row(columns[at], row[columns[at].name], words.amount(shares[at])) for at in order],
    )


def _quoted(word: str) -> str:
    """A class in a sentence: of several words in quotes."""
    return f"{OPEN}{word}{CLOSE}" if " " in word else word


def _row(column: Column, value: JSONLabel | None, amount: str) -> tuple[str, str, str]:
    return column.label or column.name, value_text(value), amount


def _by_size(shares: Sequence[float]) -> list[int]:
    return sorted(range(len(shares)), key=lambda at: -abs(shares[at]))


def _bars(
    words: _Words,
    base: float,
    steps: Sequence[tuple[Column, JSONLabel | None, float]],
    rest: Sequence[float],
    answer: float,
) -> list[Reason]:
    """The bars from the base value to the answer."""
    sums = [base]
    for _, _, share in steps:
        sums.append(sums[-1] + share)
    x = _places(words, [*sums, answer])
    found = [Reason("On average", None, "", words.level(base), *_bar(x, words, base), "end")]
    for (column, value, share), before, after in zip(steps, sums, sums[1:], strict=False):
        name = column.label or column.name
        shown = value_text(value) + (f" {column.unit}" if column.unit and value is not None else "")
        kind = "for" if share > 0 else "against"
        left, length = _between(x, before, after)
        amount = words.amount(share)
        found.append(Reason(name, shown, words.verb(share), amount, left, length, kind))
    if rest:
        total = math.fsum(rest)
        name = f"{len(rest)} other column{'s' if len(rest) > 1 else ''} together"
        left, length = _between(x, sums[-1], sums[-1] + total)
        kind = "for" if total > 0 else "against"
        verb = words.verb(total, several=len(rest) > 1)
        found.append(Reason(name, None, verb, words.amount(total), left, length, kind))
    end = Reason("This row", None, "", words.level(answer), *_bar(x, words, answer), "end")
    return [*found, end]


def _places(words: _Words, levels: Sequence[float]) -> Callable[[float], float]:
    low, high = min(levels), max(levels)
    if words.shares:
        low, high = min(low, 0.0), max(high, 1.0)
    margin = 0.0 if words.shares else (high - low) / 20
    return scale(low - margin, high + margin, 0, WIDTH)


def _bar(x: Callable[[float], float], words: _Words, level: float) -> tuple[float, float]:
    """An end: a probability from 0 on, else a mark."""
    if words.shares:
        return _between(x, 0.0, level)
    return max(0.0, x(level) - 1.5), 3.0


def _between(x: Callable[[float], float], one: float, other: float) -> tuple[float, float]:
    left, right = sorted((x(one), x(other)))
    return left, max(round(right - left, 2), 1.0)


def value_text(value: JSONLabel | None) -> str:
    """A value in a person's words."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = number_text(value) if isinstance(value, float) else shown_category(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


class _Words(NamedTuple):
    """How numbers of a scale are said, of a class or in a unit."""

    name: str
    of: str | None
    unit: str | None

    @property
    def shares(self) -> bool:
        return self.name == "probability"

    @property
    def scale(self) -> str:
        """What is added up."""
        if self.of is not None:
            return f"the {self.name} of {self.of}"
        return "the score, by which a row is usual" if self.name != "number" else "the answer"

    def level(self, value: float) -> str:
        if self.shares:
            return f"{100 * value:.1f} %"
        return f"{number_text(float(f'{value:.4g}'))}{self._unit}"

    def amount(self, value: float) -> str:
        if self.shares:
            return f"{100 * value:+.1f} points".replace("-", "\N{MINUS SIGN}")
        text = f"{float(f'{value:.3g}'):+g}".replace("-", "\N{MINUS SIGN}", 1)
        return f"{text}{self._unit}"

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit and self.name == "number" else ""

    def verb(self, value: float, *, several: bool = False) -> str:
        """What a column does, or several do."""
        s = "" if several else "s"
        if self.of is not None:
            return f"speak{s} {'for' if value > 0 else 'against'} {self.of}"
        if self.name == "number":
            return f"raise{s} it" if value > 0 else f"lower{s} it"
        return f"make{s} it more {'usual' if value > 0 else 'unusual'}"
