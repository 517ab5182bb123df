"""Rows of a sample put to a pipeline, read in one way or another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .agreement import Truth, clearly_better
from .answers import differing
from .errors import LoadFailed
from .last_step import LastStep
from .model import Prediction, ask
from .readings import Reading as TextReading
from .signature import Container
from .targets import is_flat
from .task import classes_of
from .training import Training
from .typed_columns import TypedReading

Reading = TextReading | TypedReading

MOST_ROWS: Final = 300
"""So many rows are asked, spread over the sample."""
MOST_ALONE: Final = 50
"""So many rows are asked one by one, where they are not answered together."""


class State(NamedTuple):
    """Rows as the pipeline is given them: as which container, and how each column is read."""

    container: Container
    readings: tuple[Reading, ...]

    def put(self, place: int, reading: Reading) -> State:
        """The same with another reading of the column at this place."""
        return self._replace(
            readings=(*self.readings[:place], reading, *self.readings[place + 1 :])
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of a sample by column, all of one length: texts, or values of a file with types."""

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def read(self, state: State, rows: Sequence[int] | None = None) -> Training:
        """These rows, or all, as a state says."""
        features = [
            reading.feature(name, cells if rows is None else cells[np.asarray(rows, dtype=int)])
            for reading, (name, cells) in zip(state.readings, self.columns.items(), strict=True)
        ]
        return Training.of_features(features, state.container)

    def missing(self, readings: Sequence[Reading]) -> NDArray[np.bool_]:
        """Which cells are missing values, of shape (columns, rows)."""
        pairs = zip(readings, self.columns.values(), strict=True)
        return np.stack([reading.missing(cells) for reading, cells in pairs])


@dataclass(slots=True)
class Questions:
    """Some rows of a sample, and what the pipeline says of them. `truth` is what it should say, or
    None where that is not known of all."""

    pipeline: Any
    cells: Cells
    rows: Sequence[int]
    truth: Truth | None
    _answers: dict[State, Prediction | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls, pipeline: Any, cells: Cells, truth: Truth | None, wanted: NDArray[np.bool_]
    ) -> Questions:
        """About the rows that are wanted and whose truth is known, or else all of which it is."""
        known = np.ones(len(cells), dtype=bool) if truth is None else truth.known
        rows = next((mask for mask in (wanted & known, known) if mask.any()), None)
        if truth is None or rows is None:
            return cls(pipeline, cells, _spread(wanted), None)
        chosen = _spread(rows)
        return cls(pipeline, cells, chosen, truth.take(chosen))

    def alone(self, state: State) -> Questions:
        """About those of the rows that are answered one by one; about all, where none is."""
        answered = [
            i for i, row in enumerate(self.rows[:MOST_ALONE]) if self._ask(state, [row]) is not None
        ]
        if not answered:
            return self
        truth = None if self.truth is None else self.truth.take(answered)
        return Questions(self.pipeline, self.cells, [self.rows[i] for i in answered], truth)

    def answer(self, state: State) -> Prediction | None:
        """What the pipeline says of the rows; None where it does not answer all of them."""
        if state not in self._answers:
            self._answers[state] = self._ask(state, self.rows)
        return self._answers[state]

    def is_steady(self, state: State) -> bool:
        """Whether the pipeline says the same when it is asked again. Of one that does not, answers
        tell nothing."""
        return same(self.answer(state), self._ask(state, self.rows))

    def groups(self, states: Sequence[State]) -> list[list[State]]:
        """Those that are answered, by what is answered."""
        groups: list[list[State]] = []
        for state in states:
            answer = self.answer(state)
            if answer is None:
                continue
            for group in groups:
                if same(self.answer(group[0]), answer):
                    group.append(state)
                    break
            else:
                groups.append([state])
        return groups

    def best(self, groups: Sequence[list[State]]) -> list[State] | None:
        """The group that agrees with the truth clearly better than each other; None of none."""
        if self.truth is None:
            return None
        losses = [self.truth.losses(self._known(group[0])) for group in groups]
        first = int(np.argmin([loss.mean() for loss in losses]))
        others = [loss for i, loss in enumerate(losses) if i != first]
        won = all(clearly_better(losses[first], other) for other in others)
        return groups[first] if won else None

    def told(self, state: State) -> str:
        """How well a state that is answered agrees with the truth, in words."""
        assert self.truth is not None
        return str(self.truth.agreement(self._known(state)))

    def _known(self, state: State) -> Prediction:
        answer = self.answer(state)
        assert answer is not None
        return answer

    def _ask(self, state: State, rows: Sequence[int]) -> Prediction | None:
        if state.container == "matrix" and not all(each.in_arrays for each in state.readings):
            return None
        classes = classes_of(self.pipeline)
        several = (isinstance(classes, list) and not is_flat(classes)) or (
            self.truth is not None and len(self.truth.columns) > 1
        )
        tells = classes is not None and hasattr(self.pipeline, "predict_proba")
        try:
            given = self.cells.read(state, rows).original
            found = ask(LastStep(self.pipeline, given), probabilities=tells, several=several)
        except (LoadFailed, MemoryError):
            raise
        except Exception:  # whatever it is, the rows are not answered
            return None
        odd = found.labels.dtype.kind == "f" and not np.isfinite(found.labels).all()
        return None if odd or len(found) != len(rows) else found


def same(one: Prediction | None, other: Prediction | None) -> bool:
    """Whether two answers are there, and the same but for rounding."""
    if one is None or other is None or one.labels.shape != other.labels.shape:
        return False
    return not differing(one, other).any()


def _spread(rows: NDArray[np.bool_]) -> list[int]:
    """Up to MOST_ROWS of the rows, from the first to the last; of all, where there are none."""
    found = np.flatnonzero(rows) if rows.any() else np.arange(len(rows))
    chosen = np.unique(np.linspace(0, len(found) - 1, MOST_ROWS).astype(int))
    return [int(found[i]) for i in chosen]
