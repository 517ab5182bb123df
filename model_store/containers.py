"""What a pipeline wants its rows in: a matrix, a DataFrame, texts, a sparse matrix. It is asked.

The rows as they were given are the truth. What a client's values become in each container is asked
for the same rows, and where two containers get the answers of the truth, the cheaper one serves.
Where none does, the column that is to blame is looked for, and what of its value was lost.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final

import numpy as np

from . import frames
from .answers import answers_at, answers_of, answers_to, differing, rounded
from .errors import InvalidPipeline, LoadFailed
from .literals import shown_value
from .model import Prediction
from .signature import Container, Matrix, Signature
from .training import Training
from .trial_rows import sendable
from .variation import Finding, of_calls

OF_NAMES: Final = "feature names"
"""What scikit-learn's warning says where an estimator was fitted with names and gets none."""
SECONDS: Final = 1.0
"""For rows that are asked one by one, where they are not answered together."""


def possible(training: Training, *, named: bool) -> tuple[Container, ...]:
    """The containers that rows of this training data may be wanted in, the cheapest first. `named`
    says that the pipeline keeps the names of its columns, as it does of a DataFrame only."""
    if named:
        return ("frame",)
    if training.container == "frame":
        # Not every transformer remembers that it was fitted on a DataFrame.
        return ("matrix", "frame")
    if frames.is_sparse(training.original):
        return ("matrix", "sparse")
    if training.container == "texts" and frames.is_series(training.original):
        return ("texts", "series")
    return (training.container,)


@dataclass(frozen=True)
class Trial:
    """A pipeline and the rows of its training data that it is tried with."""

    pipeline: Any
    training: Training
    rows: Sequence[int]
    _chosen: list[_Outcome] = field(default_factory=list, init=False, repr=False, compare=False)

    def choose(self, signatures: Iterable[Signature]) -> Signature | None:
        """The first of the signatures by which most of the rows are answered as they were given;
        None where there are no signatures.

        Raises:
            InvalidPipeline: there is no such one; it names the column to blame.
        """
        outcomes: list[_Outcome] = []
        for signature in signatures:
            outcome = self._outcome(signature)
            if outcome.agrees and not outcome.refused and not outcome.warned:
                self._chosen.append(outcome)
                return signature
            outcomes.append(outcome)
        if not outcomes:
            return None
        agreeing = [each for each in outcomes if each.agrees]
        if not agreeing:
            # The last is the nearest to what was given.
            raise self._refusal(outcomes[-1])
        return min(agreeing, key=lambda each: (each.refused, each.warned)).signature

    def calls(self) -> Finding | None:
        """How the answers to the rows as they were given vary from call to call; None also where it
        has no answer to them."""
        if self.told is None:
            return None
        given = self.training.take(self.rows)
        return of_calls(self.told, lambda: answers_to(self.pipeline, given))

    @cached_property
    def told(self) -> Prediction | None:
        """The answers to the rows as they were given, if there are such."""
        return self._truth(self.rows)

    def answered(self, signature: Signature) -> tuple[Matrix, Prediction] | None:
        """The rows as they are served with their answers, where they are answered together. What
        was found when this signature was chosen is not asked again."""
        if self._chosen and self._chosen[-1].signature == signature:
            return self._chosen[-1].served
        _, matrix = sendable(signature, self.training, self.rows)
        try:
            return matrix, answers_of(self.pipeline, signature, matrix)
        except MemoryError:
            raise
        except Exception:
            return None

    def blame(self, signature: Signature) -> InvalidPipeline | None:
        """Why the rows are answered as they were given, and not by this signature; None where they
        are not answered as they were given."""
        outcome = self._outcome(signature)
        if outcome.difference is None or self._truth([outcome.difference.row]) is None:
            return None
        return self._refusal(outcome)

    def _outcome(self, signature: Signature) -> _Outcome:
        rows, matrix = sendable(signature, self.training, self.rows)
        places, then = self._truths(rows)
        rows, matrix = [rows[place] for place in places], matrix[places]
        refused = len(self.rows) - len(rows)
        if then is None:
            return _Outcome(signature, refused)
        ask = partial(answers_of, self.pipeline, signature)
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                now = ask(matrix)
        except (LoadFailed, MemoryError):
            raise
        except Exception as error:
            difference = self._failed(signature, rows, matrix, error)
            return _Outcome(signature, refused, difference=difference)
        warned = any(OF_NAMES in str(each.message) for each in told)
        differ = differing(now, then)
        if differ.any():
            differ &= ~rounded(ask, matrix, then, now)
        if not differ.any():
            return _Outcome(signature, refused, warned, served=(matrix, now))
        place = int(differ.argmax())
        answers = answers_at(then, now, place)
        difference = _Difference(rows[place], matrix[[place]], answers)
        return _Outcome(signature, refused, warned, difference)

    def _failed(
        self, signature: Signature, rows: Sequence[int], matrix: Matrix, error: Exception
    ) -> _Difference:
        """The first of the rows that is not answered alone, if there is one."""
        for place, row in enumerate(rows):
            try:
                answers_of(self.pipeline, signature, matrix[[place]])
            except Exception as found:
                return _Difference(row, matrix[[place]], found)
        return _Difference(rows[0], matrix[:1], error)

    def _truths(self, rows: Sequence[int]) -> tuple[list[int], Prediction | None]:
        """The answers to rows as they were given, with the places of these rows: of all, or of
        those that have an answer alone; None where none has."""
        if not rows:
            return [], None
        told = self.told if len(rows) == len(self.rows) else self._truth(rows)
        if told is not None:
            return list(range(len(rows))), told
        until = time.monotonic() + SECONDS
        places = [
            place
            for place, row in enumerate(rows)
            if time.monotonic() < until and self._truth([row]) is not None
        ]
        return places, self._truth([rows[place] for place in places]) if places else None

    def _truth(self, rows: Sequence[int]) -> Prediction | None:
        """What the pipeline says of these rows as they were given; None where they came as text, or
        it does not answer them so, as where a DataFrame was fitted on and an array is given."""
        given = self.training.take(rows)
        if given is None:
            return None
        try:
            told = answers_to(self.pipeline, given)
        except MemoryError:
            raise
        except Exception:
            return None
        return told if told.labels.shape[:1] == (len(rows),) else None

    # What to say -------------------------------------------------------------

    def _refusal(self, outcome: _Outcome) -> InvalidPipeline:
        difference = outcome.difference
        assert difference is not None
        column = self._culprit(outcome.signature, difference)
        if isinstance(difference.what, Exception):
            cause = difference.what
            begin = f"The pipeline fails on row {difference.row} of its training data"
        else:
            cause = None
            then, now = difference.what
            begin = (
                f"The pipeline answers row {difference.row} of its training data with {then}, and "
                f"with {now}"
            )
        begin += " when the same values come from a client"
        if column is None:
            sentence = f"{begin}, as {_SAID[outcome.signature.container]}"
        else:
            name = outcome.signature.names[column]
            given = _shown(_cell(self.training.take([difference.row]), column))
            served = frames.as_fitted(difference.matrix, outcome.signature)
            sentence = (
                f"{begin}: of the column {name} it was fitted on {given}, and gets "
                f"{_shown(_cell(served, column))}; fit it on texts, numbers, booleans or dates "
                "there, so that what it does depends on the value alone"
            )
        if cause is None:
            return InvalidPipeline(f"{sentence}.")
        return InvalidPipeline(f"{sentence}. It said: {type(cause).__name__}: {cause}")

    def _culprit(self, signature: Signature, difference: _Difference) -> int | None:
        """The column whose served value alone changes the answer, beside others as they were given,
        found by halving; None where no column can be told."""
        given = self.training.take([difference.row])
        served = frames.as_fitted(difference.matrix, signature)
        then = self._truth([difference.row])
        if then is None or not _alike(given, served):
            return None

        def changes(count: int) -> bool:
            """Whether these first columns as they are served change the answer."""
            try:
                now = answers_to(self.pipeline, _mixed(served, given, count))
            except MemoryError:
                raise
            except Exception:
                return True
            return bool(differing(now, then).any())

        low, high = 0, len(signature.columns)
        if changes(low) or not changes(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if changes(middle) else (middle, high)
        return high - 1


@dataclass(frozen=True, slots=True)
class _Difference:
    """A row that is not answered as it was given: with what it was and is answered, or with what
    the pipeline raised. `matrix` is the row as it is served."""

    row: int
    matrix: Matrix
    what: tuple[Any, Any] | Exception


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a container: how many rows of training a client could not send, and the first
    of the others that has another answer."""

    signature: Signature
    refused: int
    warned: bool = False
    difference: _Difference | None = None
    served: tuple[Matrix, Prediction] | None = None
    """The rows as they are served, with the answers that agree."""

    @property
    def agrees(self) -> bool:
        return self.difference is None


_SAID: Final[dict[Container, str]] = {
    "matrix": "an array of numbers or objects; fit it on such an array, or on a DataFrame",
    "frame": "an array or as a DataFrame with texts for names; fit it on one of these",
    "texts": "an array of objects; fit it on a list of texts, or on a DataFrame",
    "series": "an array or as a Series; fit it on a list of texts, or on a DataFrame",
    "sparse": "an array or as a csr_matrix; fit it on one of these",
}


def _alike(given: Any, served: Any) -> bool:
    """Whether columns of the one can stand in the other without another dtype."""
    if frames.is_frame(given):
        return frames.is_frame(served)
    if not isinstance(given, np.ndarray) or not isinstance(served, np.ndarray):
        return False
    kinds = {given.dtype, served.dtype}
    return given.ndim == served.ndim == 2 and (len(kinds) == 1 or np.dtype(object) in kinds)


def _mixed(served: Any, given: Any, count: int) -> Any:
    """A row whose first columns are as they are served, and the others as they were given."""
    if frames.is_frame(given):
        return frames.beside(served, given, count)
    return np.concatenate([served[:, :count], given[:, count:]], axis=1)


def _cell(row: Any, column: int) -> Any:
    return row.iloc[0, column] if hasattr(row, "iloc") else row[0, column]


def _shown(value: Any) -> str:
    """A value with its type, since it may be this that was lost."""
    plain = value.item() if isinstance(value, np.generic) else value
    return f"{shown_value(plain)} ({type(value).__name__})"
