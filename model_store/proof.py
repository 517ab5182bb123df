"""That a form answers as its pipeline does: what was asked, what was told, and where they differ.

Classes are equal; numbers within 1e-12 of their size, and probabilities within 1e-15 beside that.
What the one refuses the other refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import InvalidRows, words_of
from .labels import json_labels
from .last_step import LastStep
from .model import Model, Prediction, answer_with, ask, steady
from .plain import Form
from .proof_rows import Computed, Question, questions
from .signature import Matrix

RELATIVE: Final = 1e-12
NEAR_ZERO: Final = 1e-15
"""How far probabilities may differ beside that: scikit-learn takes some as the rest to 1, whose
rounding is that of 1."""
SUBNORMAL: Final = 1e-300
"""How far other numbers may, below which a relative error means nothing."""

SIZED: Final = 2000
"""Rows that tell how large the numbers of a column are."""

SECONDS: Final = 1.5
"""After which rows that the pipeline refused together are not asked by themselves any more."""

CELLS_TOGETHER: Final = 3_000_000
"""Of the questions that are asked at once."""

PROGRESS_SECONDS: Final = 2.0

REASON_LENGTH: Final = 300


class Told(msgspec.Struct, frozen=True, array_like=True):
    """An answer to some rows: labels, a table of probabilities for each target, what the decision
    function says, and the measures in the order of their names, where there are any."""

    labels: list[Any]
    shares: list[list[list[float]]] = []
    scores: list[Any] | None = None
    measures: list[list[Any]] = []

    @classmethod
    def of_prediction(cls, found: Prediction, scores: NDArray[np.float64] | None = None) -> Told:
        """The same of what was predicted."""
        return cls(
            json_labels(found.labels),
            [each.tolist() for each in found.probabilities or ()],
            None if scores is None else scores.tolist(),
            [each.tolist() for _, each in sorted(found.measures.items())],
        )

    def of(self, first: int, count: int = 1) -> Told:
        """What was said to so many of the rows, from one on."""
        here = slice(first, first + count)
        scores = None if self.scores is None else self.scores[here]
        shares = [each[here] for each in self.shares]
        return Told(self.labels[here], shares, scores, [each[here] for each in self.measures])


class Part(msgspec.Struct, frozen=True, array_like=True):
    """What was said to so many rows that were asked together; None where they were refused."""

    rows: int
    told: Told | None


class Claim(msgspec.Struct, frozen=True):
    """What a pipeline said to the rows of each question to its form, part by part."""

    told: list[list[Part]]

    def first(self, rows: int) -> Iterator[Told]:
        """What was said to so many of the golden rows, and to as many that were drawn."""
        for parts in self.told[:2]:
            left = rows
            for part in parts:
                if part.told is not None and left:
                    yield part.told.of(0, min(left, part.rows))
                left -= min(left, part.rows)


class NotCompared(Exception):
    """A pipeline and its form cannot be asked the same rows. The message says why, as a clause."""


class Verdict(msgspec.Struct, frozen=True):
    """`rows` were answered alike; `difference` says, as a clause, where they were not."""

    rows: int
    difference: str | None = None


def claim(model: Model, asked: Computed, last: Any) -> Claim:
    """What a pipeline says of the rows that `asked` is to be asked in its place. `last` is the
    estimator that the last step of that stands for.

    Raises:
        NotCompared: no rows can be drawn from its ranges, or what it is to be asked fails on them.
    """
    until = time.monotonic() + SECONDS
    told: list[list[Part]] = []
    for together in _together(_questions(model, asked)):
        known = None
        if len(together) > 1:
            known = _of_model(model, np.concatenate([question.rows for question in together]))
        first = 0
        for question in together:
            count = len(question.rows)
            if known is not None:
                told.append([Part(count, known.of(first, count))])
                first += count
                continue
            ask_pipeline = partial(_of_pipeline, model, last, question.of_last)
            told.append(list(_parts(ask_pipeline, question.rows, until)))
    return Claim(told)


def verdict(
    model: Model,
    asked: Computed,
    claimed: Claim,
    rounding: float = 0.0,
    progress: Callable[[int], None] = lambda rows: None,
) -> Verdict:
    """Whether a model says the same that is served by `asked`, whose probabilities may be wrong by
    `rounding`. `progress` is told how many rows were answered alike, now and then.

    Raises:
        NotCompared: as `claim`.
    """
    rows = 0
    told = time.monotonic()
    sizes = _sizes(claimed) if model.manifest.task == "transformation" else None
    for question, parts in zip(_questions(model, asked), claimed.told, strict=True):
        for asked_rows, expected in _compared(question, parts):
            found = _of_computed(model, asked, question.of_last, asked_rows)
            difference = _difference(model, asked_rows, found, expected, rounding, sizes)
            if difference is not None:
                return Verdict(rows, _shorten(difference))
            rows += len(asked_rows)
            if time.monotonic() > told + PROGRESS_SECONDS:
                told = time.monotonic()
                progress(rows)
    return Verdict(rows)


# Asking --------------------------------------------------------------------------


def _questions(model: Model, asked: Computed) -> Iterator[Question]:
    """
    Raises:
        NotCompared: as `claim`.
    """
    try:
        told = model.manifest
        yield from questions(asked, told.signature, model.golden_rows(), len(told.targets))
    except InvalidRows as error:
        raise NotCompared(f"no rows can be drawn from its ranges: {error}") from error
    except MemoryError:
        raise
    # A form may stumble over rows that are drawn, and a pipeline that serves is no reason to stop.
    except Exception as error:
        raise NotCompared(f"its plain form failed on drawn rows: {words_of(error)}") from error


def _together(questions: Iterable[Question]) -> Iterator[list[Question]]:
    """The questions in groups whose rows the pipeline is asked at once: it may take as long for
    eight rows as for a thousand. Rows of the kind of training's and odd ones stay apart, since one
    value may widen its column for all rows."""
    group: list[Question] = []
    for question in questions:
        cells = question.rows.size + sum(each.rows.size for each in group)
        if group and not (_is_of(group[-1], question) and cells <= CELLS_TOGETHER):
            yield group
            group = []
        group.append(question)
    if group:
        yield group


def _is_of(one: Question, other: Question) -> bool:
    """Whether the rows of two questions can be those of one."""
    kinds = {(each.of_last, each.odd, each.rows.dtype) for each in (one, other)}
    return len(kinds) == 1 and not one.of_last


def _parts(
    asked: Callable[[NDArray[Any]], Told | None], rows: NDArray[Any], until: float
) -> Iterator[Part]:
    """What is said to all rows together, or else to those of either half, so that what is refused
    hides no more than itself."""
    told = asked(rows)
    if told is not None or len(rows) == 1 or time.monotonic() > until:
        yield Part(len(rows), told)
        return
    middle = len(rows) // 2
    yield from _parts(asked, rows[:middle], until)
    yield from _parts(asked, rows[middle:], until)


def _of_pipeline(model: Model, last: Any, of_last: bool, rows: NDArray[Any]) -> Told | None:
    if not of_last:
        return _of_model(model, rows)
    shares = hasattr(last, "predict_proba") and model.manifest.probabilities
    measures = model.manifest.measures
    step = LastStep(last, rows)
    return _told(lambda: (ask(step, probabilities=shares, several=None, measures=measures), None))


def _of_computed(model: Model, asked: Computed, of_last: bool, rows: NDArray[Any]) -> Told | None:
    if not of_last:
        return _of_model(model, rows)
    manifest = model.manifest

    def said() -> tuple[Prediction, None]:
        measures: dict[str, NDArray[np.float64]] = {}
        with np.errstate(all="ignore"):
            if isinstance(asked, Form):
                last = msgspec.structs.replace(asked, root=asked.last)
                answer, measures = answer_with(last, rows, manifest.measures)
            else:
                answer = asked.last.answer(rows)
        found = Prediction.of(
            answer,
            probabilities=manifest.probabilities,
            several=manifest.several,
            measures=measures,
        )
        return found, None

    return _told(said)


def _of_model(model: Model, rows: NDArray[Any]) -> Told | None:
    """Rows of which one has no scores are refused together, and a lone one is told without."""
    found = _told(lambda: model.judged(rows))
    lacking = found is not None and model.decides and found.scores is None
    return None if lacking and len(rows) > 1 else found


def _told(asked: Callable[[], tuple[Prediction, NDArray[np.float64] | None]]) -> Told | None:
    """None where the rows are refused, in whatever way: rows that are drawn may be such that a
    pipeline fails on them."""
    try:
        found, scores = asked()
    except MemoryError:
        raise
    except Exception:
        return None
    return Told.of_prediction(found, scores)


# Comparing -----------------------------------------------------------------------


def _compared(question: Question, parts: list[Part]) -> Iterator[tuple[Matrix, Told | None]]:
    """The rows to ask the form together, with what the pipeline said to them."""
    start = 0
    for part in parts:
        rows = question.rows[start : start + part.rows]
        start += part.rows
        if not question.alone or part.told is None:
            yield rows, part.told
            continue
        for row in range(part.rows):
            yield rows[row : row + 1], part.told.of(row)


def _difference(
    model: Model,
    rows: Matrix,
    found: Told | None,
    expected: Told | None,
    rounding: float,
    sizes: NDArray[np.float64] | None,
) -> str | None:
    """Where two answers to the same rows are not one, as a clause. With the `sizes` of what comes
    out of each column they are transformed."""
    if found is None or expected is None:
        if found is expected:
            return None
        who, other = ("it", "the pipeline") if found is None else ("the pipeline", "it")
        return f"{who} refuses rows that {other} answers, such as {_shown(rows, 0)}"
    if sizes is not None:
        return _transformed(rows, found.labels, expected.labels, sizes)
    classes = model.manifest.exact
    pairs = [("says", found.labels, expected.labels, None if classes else SUBNORMAL)]
    if len(found.shares) != len(expected.shares):
        return "it has not the probabilities that the pipeline has"
    for shares, others in zip(found.shares, expected.shares, strict=True):
        pairs.append(("gives the probabilities", shares, others, max(NEAR_ZERO, rounding)))
    if len(found.measures) != len(expected.measures):
        return "it has not the numbers beside the prediction that the pipeline has"
    numbers = list(zip(*(_measured(model, each) for each in (found, expected)), strict=True))
    if found.scores is not None and expected.scores is not None:
        numbers.append((found.scores, expected.scores))
    for scores, others in numbers:
        size = float(np.abs(np.asarray(others)).max(initial=0.0))
        pairs.append(("gives the scores", scores, others, RELATIVE * size))
    for what, ours, theirs, absolute in pairs:
        same = _same(ours, theirs, absolute)
        if not all(same):
            row = same.index(False)
            told = f"it {what} {ours[row]!r} to {_shown(rows, row)}"
            return f"{told}, and the pipeline {theirs[row]!r}"
    return None


def _sizes(claimed: Claim) -> NDArray[np.float64]:
    """The greatest number in each column that rows of the kind of training's are transformed to."""
    found = [
        [[_size(cell) for cell in _cells(row)] for row in told.labels]
        for told in claimed.first(SIZED)
    ]
    return np.asarray(np.max([row for rows in found for row in rows] or [[0.0]], axis=0))


def _size(cell: Any) -> float:
    return 0.0 if isinstance(cell, str) else abs(float(cell))


def _cells(row: Any) -> list[Any]:
    return row if isinstance(row, list) else [row]


def _transformed(
    rows: Matrix, found: list[Any], expected: list[Any], sizes: NDArray[np.float64]
) -> str | None:
    """Where transformed rows are not the same: texts and the types of numbers are, and numbers are
    within 1e-12 of their size or of that of their column, of which the terms cancel out near 0."""
    for row, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        cells = zip(_cells(ours), _cells(theirs), sizes.tolist(), strict=True)
        if not all(_near(*each) for each in cells):
            return f"it makes {ours!r} of {_shown(rows, row)}, and the pipeline {theirs!r}"
    return None


def _near(one: Any, other: Any, size: float) -> bool:
    if type(one) is not type(other) or not isinstance(one, float):
        return type(one) is type(other) and bool(one == other)
    return one == other or bool(abs(one - other) <= RELATIVE * max(abs(other), size))


def _measured(model: Model, told: Told) -> list[list[Any]]:
    """The measures as they are compared."""
    names = sorted(measure.name for measure in model.manifest.measures)
    pairs = zip(names, told.measures, strict=True)
    return [[steady(name, number) for number in numbers] for name, numbers in pairs]


def _same(found: list[Any], expected: list[Any], absolute: float | None) -> list[bool]:
    """Which rows have one answer: equal, or as near as numbers must be."""
    if absolute is None:
        return [_equal(*pair) for pair in zip(found, expected, strict=True)]
    one, other = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if one.shape != other.shape:
        return [False] * len(expected)
    near = np.abs(one - other) <= np.maximum(RELATIVE * np.abs(other), absolute)
    return [bool(each.all()) for each in near.reshape(len(near), -1)]


def _equal(one: Any, other: Any) -> bool:
    return isinstance(one, str) == isinstance(other, str) and bool(one == other)


def _shown(rows: NDArray[Any], row: int) -> str:
    return repr(rows[row].tolist())


def _shorten(reason: str) -> str:
    """A row may have hundreds of columns."""
    return reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…"
