"""Whether what a door answers is right, and a pipeline with all its rows at all doors."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from hypothesis import reject

from model_store import ModelStoreError
from model_store.column_types import INTEGER, NUMBER

from .doors import DOORS, FIRST, Asker, Door, Outcome, Refusal
from .dtypes import Asked
from .pipelines import Fitted, Row
from .rows import (
    COUNT,
    SEEN,
    Answer,
    Failure,
    Question,
    Said,
    agrees,
    questions,
    roughly,
    said,
)
from .served import Served

ALONE: Final = "answers rows together, and not each of them alone"

NARROW: Final = frozenset({"float16", "float32"})

SHOWN: Final = 5
"""So many pipelines are told of."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A wrong answer, with all that is needed to see it again."""

    kind: str
    fitted: Fitted
    question: Question | None
    door: str
    expected: str
    got: str

    @property
    def size(self) -> tuple[int, int]:
        """How much there is to look at."""
        odd = len(self.question.odd) if self.question else 0
        return odd, len(str(self))

    def __str__(self) -> str:
        lines = [
            f"{self.kind}:",
            f"  pipeline  {self.fitted.plan}",
            f"  row       {self.question or 'none'}",
            f"  door      {self.door}",
            f"  expected  {self.expected}",
            f"  got       {self.got}",
        ]
        return "\n".join(lines)


@dataclass(slots=True)
class Tally:
    """What was found: faults, rows by what became of them, and refusals by what was refused."""

    faults: list[Fault] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.faults += other.faults
        self.rows += other.rows
        self.refusals += other.refusals

    def told(self) -> str:
        """The smallest fault of each of a few pipelines."""
        smallest: dict[int, Fault] = {}
        for fault in sorted(self.faults, key=lambda fault: fault.size):
            smallest.setdefault(id(fault.fitted), fault)
        shown = list(smallest.values())[:SHOWN]
        return "\n".join([f"{len(self.faults)} faults, such as", *map(str, shown)])

    def __str__(self) -> str:
        told = ", ".join(f"{kind}: {rows}" for kind, rows in self.refusals.most_common())
        return f"{self.rows['answered']} rows answered, {self.rows['refused']} refused ({told})"


def judge(fitted: Fitted, question: Question, wanted: Said, door: str, found: Any) -> Fault | None:
    """What is wrong with the answer to one row, `found` being an `Answer` or a `Refusal`."""
    answers = [each for each in wanted if isinstance(each, Answer)]
    kind = None
    if isinstance(found, Refusal):
        kind = _wrongly_refused(question, wanted, found)
    elif any(each.refused for each in question.asked.values()):
        kind = "answered what must be refused"
    elif not answers:
        kind = "answered where the pipeline raises"
    elif not any(agrees(found, each) for each in answers):
        kind = "another answer"
    if kind is None:
        return None
    return Fault(kind, fitted, question, door, " or ".join(map(str, wanted)), str(found))


def _wrongly_refused(question: Question, wanted: Said, found: Refusal) -> str | None:
    if found.status == 500 and all(isinstance(e, Failure) and not e.of_values for e in wanted):
        return None
    if found.status != 400:
        return f"status {found.status}"
    raising = any(isinstance(each, Failure) for each in wanted)
    allowed = {name for name, each in question.asked.items() if each.refusable or each.refused}
    if raising or any(name in found.sentence for name in allowed):
        return None
    return "refused without the column's name" if allowed else "refused an honest row"


class Trial:
    """One pipeline with its rows. `everywhere` asks each row alone at each door, else at the first
    and at another one in turn."""

    def __init__(
        self,
        fitted: Fitted,
        tally: Tally,
        *,
        everywhere: bool,
        count: int = COUNT,
        trained: bool = False,
    ) -> None:
        self.fitted, self.tally, self.everywhere = fitted, tally, everywhere
        self.trained = trained
        random = np.random.default_rng(fitted.plan.seed + 1)
        self.questions = questions(fitted, random, count, trained=trained)
        self.said = [said(fitted, each.row) for each in self.questions]
        if trained and any(column.plan.dtype.name.lower() in NARROW for column in fitted.columns):
            # What is read from text is not rounded to single precision before it is computed with.
            self.said = [
                tuple([roughly(each) if isinstance(each, Answer) else each for each in wanted])
                for wanted in self.said
            ]

    def run(self, served: Served, name: str) -> None:
        """Publish it and ask at each door."""
        plan, fitted = self.fitted.plan, self.fitted
        names = [column.name for column in plan.columns]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                manifest = served.store.publish(
                    name,
                    fitted.pipeline,
                    fitted.X,
                    fitted.y,
                    code=fitted.code,
                    feature_names=None if plan.container == "frame" else names,
                )
        except Exception as error:
            if ALONE in str(error) and not fitted.answers_each_alone:
                reject()  # Whoever sends one row gets no answer of it.
            kind = "not published" if isinstance(error, ModelStoreError) else "publishing broke"
            told = f"{type(error).__name__}: {error}"
            self.tally.faults.append(Fault(kind, fitted, None, "publish", "a version", told))
            return
        assert manifest.signature.names == tuple(names)
        self.ask_loaded(served, name)

    def ask_loaded(self, served: Served, name: str) -> None:
        """Ask a model that is in the store."""
        if self.trained:
            columns = served.store.manifest(name).signature.columns
            numbers = {each.name for each in columns if each.type in (NUMBER.name, INTEGER.name)}
            pairs = zip(self.questions, self.said, strict=True)
            self.questions = [self._as_read(*pair, numbers) for pair in pairs]
        with served.loaded(name):
            served.runner.run(self.ask(served.asker, name))

    def _as_read(self, question: Question, wanted: Said, numbers: set[str]) -> Question:
        """A question to a model whose columns `numbers` were read as such. Texts of training may be
        refused there, where the pipeline says the same of the numbers that they are: nothing in the
        sample told which it was trained on."""
        asked = dict(question.asked)
        for name in numbers & asked.keys():
            value = asked[name].value
            if isinstance(value, str) and self._says(wanted, {**question.row, name: float(value)}):
                asked[name] = replace(asked[name], refusable=True)
        return Question(asked)

    def _says(self, wanted: Said, row: Row) -> bool:
        """Whether the pipeline says the same of another row."""
        answers = [each for each in wanted if isinstance(each, Answer)]
        others = [each for each in said(self.fitted, row) if isinstance(each, Answer)]
        return any(agrees(other, answer) for other in others for answer in answers)

    async def ask(self, asker: Asker, model: str) -> None:
        """Each row alone, then those that are answered alone together."""
        alone = [door for door in DOORS if door.one and door is not FIRST]
        answered: list[int] = []
        for place, question in enumerate(self.questions):
            doors = [FIRST, *(alone if self.everywhere else [alone[place % len(alone)]])]
            for door in doors:
                if not door.carries(self.fitted, question.row):
                    continue
                outcome = await door.ask(asker, model, self.fitted, [question.row])
                right = self._note(place, door, outcome)
                if door is FIRST:
                    self._count(question, outcome)
                    if right and not isinstance(outcome, Refusal):
                        answered.append(place)
        for door in DOORS:
            if door.many:
                await self._together(asker, model, door, answered)

    async def _together(
        self, asker: Asker, model: str, door: Door, answered: Sequence[int]
    ) -> None:
        rows = [self.questions[place].row for place in answered]
        places = door.together(self.fitted, rows)
        if not places:
            return
        outcome = await door.ask(asker, model, self.fitted, [rows[place] for place in places])
        if isinstance(outcome, Refusal):
            asked = [self.questions[answered[place]].asked for place in places]
            if any(name in outcome.sentence for each in asked for name in _doubtful(each)):
                return
            self._add(
                Fault(
                    "refused together",
                    self.fitted,
                    None,
                    f"{door.name}, {len(places)} rows",
                    "the answers of the rows alone",
                    str(outcome),
                )
            )
            return
        for place, answer in zip(places, outcome, strict=True):
            row = answered[place]
            fault = judge(
                self.fitted,
                self.questions[row],
                self.said[row],
                f"{door.name}, {len(places)} rows",
                answer,
            )
            self._add(fault)

    def _note(self, place: int, door: Door, outcome: Outcome) -> bool:
        found = outcome if isinstance(outcome, Refusal) else outcome[0]
        fault = judge(self.fitted, self.questions[place], self.said[place], door.name, found)
        self._add(fault)
        return fault is None

    def _add(self, fault: Fault | None) -> None:
        if fault is not None:
            self.tally.faults.append(fault)

    def _count(self, question: Question, outcome: Outcome) -> None:
        refused = isinstance(outcome, Refusal)
        self.tally.rows["refused" if refused else "answered"] += 1
        if refused:
            self.tally.refusals[kind_of(question.odd.values())] += 1


def _doubtful(asked: dict[str, Asked]) -> list[str]:
    """The columns with a value of training that may be refused: see `Trial._as_read`."""
    return [name for name, each in asked.items() if each.refusable and each.what == SEEN]


def kind_of(asked: Iterable[Any]) -> str:
    """What is odd about a row, in words."""
    found = sorted({each.what for each in asked})
    return " and ".join(found) if len(found) <= 1 else "several odd values"
