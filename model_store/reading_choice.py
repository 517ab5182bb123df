"""Which reading of a sample a pipeline was trained on, found out by asking it.

The search starts from the plainest reading that the pipeline takes at all. Then each column that
may be something else is read otherwise, alone, and so are all rows as another container. Where the
answers are the same, the plainest stays. Where they differ, the truth that the sample tells
decides, if one agrees with it clearly better; else nobody can tell.

Known weak point: two columns that are wrong in a way that only both together show stay so. What
comes of that agrees badly with the truth, which is told.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from .agreement import Truth
from .column_facts import NULLS, Null
from .errors import InvalidPipeline, Undecided
from .literals import parse_number
from .questions import Cells, Questions, Reading, State, same
from .signature import Container
from .text_rules import MISSING_WORDS
from .typed_columns import TypedReading

PASSES: Final = 2
MOST_COLUMNS: Final = 20
"""Of more columns that are doubtful, those that are read alike are asked about together."""

_NUMERAL: Final = re.compile(r"[+-]?[0-9][0-9.,'\s]*[%€$]?")
"""A number as people write it."""

_CONTAINERS: Final = {"frame": "a DataFrame", "matrix": "a matrix", "texts": "a list of texts"}


def choose(
    pipeline: Any,
    cells: Cells,
    readings: Sequence[Sequence[Reading]],
    containers: Sequence[Container],
    truth: Truth | None,
) -> tuple[State, list[str]]:
    """How the rows are read, and a sentence for each choice that the truth decided. `readings` of
    each column and `containers` are what is possible, the plainest first. Blocks.

    Raises:
        Undecided: the answers differ, and nothing tells which reading is right.
        InvalidPipeline: a column holds numbers as no client could send them.
        LoadFailed: a DataFrame is needed, and pandas is not installed.
    """
    plainest = State(containers[0], tuple(each[0] for each in readings))
    state = plainest
    said: list[str] = []
    if len(containers) > 1 or any(len(each) > 1 for each in readings):
        whole = ~cells.missing(plainest.readings).any(axis=0)
        questions = Questions.of(pipeline, cells, truth, np.asarray(whole))
        columns = [
            _Columns([name], [place], each)
            for (place, name), each in zip(enumerate(cells.columns), readings, strict=True)
        ]
        search = _Search(questions, _Rows(containers), columns, truth)
        state = search.first_taken(plainest)
        if search.questions.answer(state) is None:
            _require_numerals(cells, plainest.readings)
        elif search.questions.is_steady(state):
            every = Questions.of(pipeline, cells, truth, np.ones(len(cells), dtype=bool))
            apart = not whole.all() and every.answer(state) is None
            if not whole.all() and not apart:
                # What is missing is another value in one reading than in another.
                search.questions = every
            state, said = search.decide(state)
            if apart:
                state, more = search.of_what_is_missing(state).decide_if_taken(state)
                said += more
    return state, said


class _Place(ABC):
    """Where states may differ: in one column, or in what all rows come as."""

    @abstractmethod
    def states(self, state: State) -> list[State]:
        """All that differ from this one at the place alone, itself among them, the plainest
        first."""

    @abstractmethod
    def called(self, states: Sequence[State]) -> list[str]:
        """What stands at the place in each of these states, in words that tell them apart."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """The beginning of a sentence that says what it is taken for."""

    @abstractmethod
    def undecided(self, state: State, states: Sequence[State]) -> State:
        """The state to take instead of this one, where nothing tells which of some is right.

        Raises:
            Undecided: there is none.
        """


@dataclass(frozen=True, slots=True)
class _Rows(_Place):
    containers: Sequence[Container]

    def states(self, state: State) -> list[State]:
        return [state._replace(container=each) for each in self.containers]

    def called(self, states: Sequence[State]) -> list[str]:
        return [_CONTAINERS[each.container] for each in states]

    @property
    def subject(self) -> str:
        return "The rows come"

    def undecided(self, state: State, states: Sequence[State]) -> State:
        raise Undecided(
            "The pipeline answers otherwise where the rows of the sample come as "
            f"{' or '.join(self.called(states))}, and nothing tells which it was trained on."
        )


@dataclass(frozen=True, slots=True)
class _Columns(_Place):
    """One column, or several that are read alike, for there are too many to ask about each."""

    names: Sequence[str]
    places: Sequence[int]
    readings: Sequence[Reading]

    def states(self, state: State) -> list[State]:
        now = self.reading(state)
        return [self.put(state, each) for each in self.readings if each == now or not each.last]

    def reading(self, state: State) -> Reading:
        """How they are read."""
        return state.readings[self.places[0]]

    def put(self, state: State, reading: Reading) -> State:
        """The same with another reading of them."""
        for place in self.places:
            state = state.put(place, reading)
        return state

    def called(self, states: Sequence[State]) -> list[str]:
        found = [self.reading(each) for each in states]
        called = []
        for each in found:
            alike = [other for other in found if other.type == each.type]
            nulls = {other.null for other in alike}
            others = [other for other in alike if other.null == each.null]
            missing = f" with {NULLS[each.null]}" if len(nulls) > 1 else ""
            dtype = f" of the dtype {each.dtype}" if len(others) > 1 else ""
            article = "an" if each.type[0] in "aeiou" else "a"
            called.append(f"{article} {each.type}{dtype}{missing}")
        return called

    @property
    def subject(self) -> str:
        return f"{self._shown} {'is' if len(self.names) == 1 else 'are each'} read"

    def of_what_is_missing(self, state: State) -> _Columns:
        """The same with the readings alone that differ from this one in the missing value."""
        now = self.reading(state)
        alike = [each for each in self.readings if (each.type, each.dtype) == (now.type, now.dtype)]
        return _Columns(self.names, self.places, alike)

    def undecided(self, state: State, states: Sequence[State]) -> State:
        found = [self.reading(each) for each in states]
        nulls = {each.null for each in found}
        if self.readings[-1].kind is not None and len(nulls) == 1:
            # Of what was said, the most literal.
            return self.put(state, [each for each in self.readings if each.null in nulls][-1])
        ways = " or ".join(filter(None, dict.fromkeys(self._ways(states))))
        what = "column" if len(self.names) == 1 else "columns"
        raise Undecided(
            f"The pipeline answers otherwise where the {what} {self._shown} of the sample "
            f"{'is' if len(self.names) == 1 else 'are each'} read as "
            f"{' or '.join(self.called(states))}, and nothing tells which it was trained on"
            f"{f': say it with {ways}' if ways else ''}."
        )

    def _ways(self, states: Sequence[State]) -> Iterator[str]:
        """The options that say each of these states."""
        name, found = self.names[0], [self.reading(each) for each in states]
        types, nulls = {each.type for each in found}, {each.null for each in found}
        for each in found:
            kind, null = f"--type {name}={each.type}", f"--missing {name}={each.null}"
            yield " ".join([kind] * (len(types) > 1) + [null] * (len(nulls) > 1))

    @property
    def _shown(self) -> str:
        more = len(self.names) - 1
        return f"{self.names[0]} and {more} more" if more else self.names[0]


@dataclass(slots=True)
class _Search:
    questions: Questions
    rows: _Rows
    columns: Sequence[_Columns]
    truth: Truth | None
    said: list[str] = field(default_factory=list)
    undecided: list[tuple[_Place, list[State]]] = field(default_factory=list)

    def first_taken(self, plainest: State) -> State:
        """The plainest state that is answered, or else the plainest of all."""
        for _ in range(2):
            for state in self._candidates(plainest):
                if self.questions.answer(state) is not None:
                    return state
            # One row that it does not take must not hide what it makes of the others.
            self.questions = self.questions.alone(plainest)
        return plainest

    def _candidates(self, plainest: State) -> Iterator[State]:
        """In each container: all columns as they are plainest, then all otherwise, then one."""
        readings = [column.readings for column in self.columns]
        for state in self.rows.states(plainest):
            yield state
            for depth in range(1, max(map(len, readings))):
                chosen = (each[min(depth, len(each) - 1)] for each in readings)
                yield state._replace(readings=tuple(chosen))
            for column in self.columns[:MOST_COLUMNS]:
                yield from (column.put(state, other) for other in column.readings[1:])

    def of_what_is_missing(self, state: State) -> _Search:
        """The search for the missing value of each column that may have had another one, in rows
        where nothing else is missing, if there are such."""
        columns = [each.of_what_is_missing(state) for each in self.columns]
        missing = self.questions.cells.missing(state.readings)
        several = np.array([len(each.readings) > 1 for each in columns])
        wanted = missing[several].any(axis=0)
        alone = wanted & ~missing[~several].any(axis=0)
        questions = Questions.of(
            self.questions.pipeline,
            self.questions.cells,
            self.truth,
            np.asarray(alone if alone.any() else wanted),
        )
        return _Search(questions, _Rows(self._alike(state)), columns, self.truth)

    def _alike(self, state: State) -> list[Container]:
        """The containers that make no difference to a state, the plainest first; its own where it
        is not answered."""
        answer = self.questions.answer(state)
        states = [each for each in self.rows.states(state) if each != state]
        alike = [each for each in states if same(self.questions.answer(each), answer)]
        found = {each.container for each in (state, *alike)}
        return [each for each in self.rows.containers if each in found]

    def decide_if_taken(self, state: State) -> tuple[State, list[str]]:
        """As `decide`, from the first state that is answered; the same where none is."""
        taken = self.first_taken(state)
        return (state, []) if self.questions.answer(taken) is None else self.decide(taken)

    def decide(self, state: State) -> tuple[State, list[str]]:
        """Each place in turn, and once more, since one bears on another. Columns are told apart in
        a DataFrame, where each has a dtype of its own; the rows stay one where that matters.

        Raises:
            Undecided: nothing tells.
        """
        for _ in range(PASSES):
            before = state
            self.said, self.undecided = [], []
            state = self._settle(self.rows, state, -1)
            for column in self._doubtful(state):
                state = self._settle(column, state)
            if state == before:
                break
        for place, states in self.undecided:
            state = place.undecided(state, states)
        return state._replace(container=self._alike(state)[0]), self.said

    def _settle(self, place: _Place, state: State, which: int = 0) -> State:
        """The best of the states that differ at this place, of several that are alike `which`; or
        the same where nothing tells."""
        groups = self.questions.groups(place.states(state))
        best = groups[0] if len(groups) == 1 else self.questions.best(groups)
        if best is None:
            self.undecided.append((place, [group[0] for group in groups]))
            return state
        if len(groups) > 1:
            self.said.append(self._sentence(place, best[which], groups))
        return best[which]

    def _doubtful(self, state: State) -> list[_Columns]:
        """The columns in which other readings may make a difference. They do not where it makes
        none to read all columns so at once."""
        alike = {kind for kind in self._kinds() if self._makes_no_difference(state, kind)}
        found = [
            column
            for column in self.columns
            if column.reading(state) != column.readings[0]
            or not all(each.last or _kind(each) in alike for each in column.readings[1:])
        ]
        return found if len(found) <= MOST_COLUMNS else _bunches(state, found)

    def _kinds(self) -> set[_Kind]:
        return {_kind(each) for column in self.columns for each in column.readings if not each.last}

    def _makes_no_difference(self, state: State, kind: _Kind) -> bool:
        together = state
        for column in self.columns:
            for each in column.readings:
                if _kind(each) == kind:
                    together = column.put(together, each)
        answers = self.questions.answer(state), self.questions.answer(together)
        return same(*answers)

    def _sentence(self, place: _Place, state: State, groups: Sequence[list[State]]) -> str:
        others = [group[0] for group in groups if state not in group]
        states = [state, *others]
        taken, *left = [
            f"as {called} ({self.questions.told(each)})"
            for called, each in zip(place.called(states), states, strict=True)
        ]
        return f"{place.subject} {taken}, not {' or '.join(left)}."


def _require_numerals(cells: Cells, readings: Sequence[Reading]) -> None:
    """Raises InvalidPipeline where a column that the pipeline does not take holds numbers as no
    client could send them: with a comma for the point, between thousands, or a unit behind."""
    for (name, column), reading in zip(cells.columns.items(), readings, strict=True):
        if isinstance(reading, TypedReading):
            continue  # texts to whoever wrote them
        texts = {cell.strip() for cell in column} - MISSING_WORDS
        odd = sorted(text for text in texts if parse_number(text) is None)
        if odd and all(_NUMERAL.fullmatch(text) for text in texts):
            raise InvalidPipeline(
                f"The pipeline does not take the column {name} of the sample as texts, and numbers "
                f"are written like 1234.5 here, got {odd[0]!r}."
            )


def _bunches(state: State, columns: Sequence[_Columns]) -> list[_Columns]:
    """Columns that are read alike and may be read alike, as one."""
    found: dict[object, list[_Columns]] = {}
    for column in columns:
        found.setdefault((column.reading(state), tuple(column.readings)), []).append(column)
    return [
        _Columns(
            [name for each in alike for name in each.names],
            [place for each in alike for place in each.places],
            alike[0].readings,
        )
        for alike in found.values()
    ]


_Kind = tuple[str, str, Null]


def _kind(reading: Reading) -> _Kind:
    return reading.type, reading.dtype, reading.null
