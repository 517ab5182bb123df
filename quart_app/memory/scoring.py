"""How good the predictions of a window were, as far as it has turned out; and how good they are
expected to be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_store import Manifest
from model_store.column_facts import JSONLabel
from model_store.drift.calibration import ASSUMES
from model_store.live_scores import LiveScore, class_scores, number_scores
from model_store.task import SUPERVISED

from ..figures import Estimate, Score, Scores, TargetScores
from ..window import Window
from .store import Records
from .summary import CONFIDENCE, FAILED, Summary
from .versions import Version

MOST_ROWS: Final = 100_000
"""Rows with a truth that are read for one window."""

PIECE: Final = 5_000

NO_TRUTH: Final = (
    "No truth is known yet of what was predicted in this time. Send it to POST "
    "/models/{name}/feedback, or with quart-app predictions truth {name} FILE."
)
NOTHING_TRUE: Final = "Nobody has said which answers are right here, so there is nothing to score."
UNFIT: Final = "The truths that came are none of what this version tells."
NO_CLASSES: Final = "the expected accuracy is known of classifiers alone"
NO_CALIBRATION: Final = (
    "none was made when the version was published, which takes rows that it was not trained on"
)
NO_CONFIDENCES: Final = "no probabilities were recorded in this time"


class Pair(NamedTuple):
    """What was predicted of a row, and what turned out true."""

    answer: Any
    truth: Any
    probabilities: Any


Pairs = Mapping[tuple[int, str], Sequence[Pair]]
"""By version and variant."""


class Truths(NamedTuple):
    """The rows of a window of which the truth is known; with `left` there are more."""

    pairs: Pairs
    left: bool


def read_truths(records: Records, model: str, window: Window, *, most: int | None = None) -> Truths:
    """Read at most so many of them, else MOST_ROWS. Blocks.

    Raises:
        RecordsUnavailable
    """
    found: dict[tuple[int, str], list[Pair]] = defaultdict(list)
    if not records.database.is_there:
        return Truths({}, left=False)
    most = MOST_ROWS if most is None else most
    rows = records.scored(model, window.since, window.until, most + 1)
    for row, truth in islice(rows, most):
        if row.status < FAILED and row.outputs is not None:
            found[row.version, row.variant].append(Pair(row.outputs, truth, row.probabilities))
    return Truths(found, next(rows, None) is not None)


def scores_of(version: Version | None, pairs: Sequence[Pair], *, name: str) -> Scores:
    """The scores of one version beside those that it was published with."""
    if version is None or not pairs:
        is_unsupervised = version is not None and version.manifest.task not in SUPERVISED
        reason = NOTHING_TRUE if is_unsupervised else NO_TRUTH.format(name=name)
        return Scores(rows=0, reason=reason)
    manifest = version.manifest
    targets = [
        TargetScores(target=target.name, scores=scores)
        for at, target in enumerate(manifest.targets)
        if (scores := _of_target(manifest, at, pairs))
    ]
    rows = max((score.rows for each in targets for score in each.scores), default=0)
    return Scores(rows=rows, reason=None if targets else UNFIT, targets=targets)


def _of_target(manifest: Manifest, at: int, pairs: Sequence[Pair]) -> list[Score]:
    target, parts = manifest.targets[at], pairs
    if manifest.several:
        parts = [Pair(*(_part(value, at) for value in pair)) for pair in pairs]
    if target.classes is not None:
        found = _classes(target.classes, parts)
    elif target.numeric:
        numbers = [pair for pair in parts if _is_number(pair.answer) and _is_number(pair.truth)]
        found = number_scores(
            [float(pair.truth) for pair in numbers], [float(pair.answer) for pair in numbers]
        )
    else:
        return []
    published = {} if manifest.several else manifest.metrics
    return [_score(each, published) for each in found]


def _part(values: Any, at: int) -> Any:
    return values[at] if isinstance(values, list) and at < len(values) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _classes(classes: Sequence[JSONLabel], pairs: Iterable[Pair]) -> list[LiveScore]:
    """The scores of rows whose answer and truth are classes; those that need probabilities, where
    all of these have some."""
    known = set(classes)
    fit = [pair for pair in pairs if _is_in(pair.answer, known) and _is_in(pair.truth, known)]
    complete = all(
        isinstance(pair.probabilities, list) and len(pair.probabilities) == len(classes)
        for pair in fit
    )
    return class_scores(
        classes,
        [pair.truth for pair in fit],
        [pair.answer for pair in fit],
        _table([pair.probabilities for pair in fit]) if complete and fit else None,
    )


def _table(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Rows as an array, made of some at a time: numpy keeps the interpreter to itself meanwhile."""
    starts = range(0, len(rows), PIECE)
    return np.concatenate([np.array(rows[at : at + PIECE], np.float64) for at in starts])


def _is_in(value: Any, known: set[JSONLabel]) -> bool:
    return isinstance(value, str | int | float) and value in known


def _score(found: LiveScore, published: Mapping[str, float]) -> Score:
    return Score(
        name=found.name,
        value=found.value,
        low=found.low,
        high=found.high,
        interval=found.interval,
        rows=found.rows,
        published=published.get(found.name),
    )


# Without truth -------------------------------------------------------------------


def estimate_of(version: Version | None, summary: Summary) -> Estimate:
    """How often the answers are expected to be right, by how sure the model was of each."""
    if version is None or version.manifest.task != "classification":
        return Estimate(reason=NO_CLASSES)
    reference = version.reference
    if reference is None or reference.calibration is None:
        why = None if reference is None else reference.uncalibrated
        return Estimate(reason=why or NO_CALIBRATION)
    if not summary.confidences:
        return Estimate(reason=NO_CONFIDENCES)
    steps = np.array([*summary.confidences]) / CONFIDENCE
    counts = np.array([*summary.confidences.values()])
    expected = reference.calibration.expected(steps)
    return Estimate(
        reason=None,
        accuracy=float(np.average(expected, weights=counts)),
        rows=int(counts.sum()),
        assumes=ASSUMES,
    )
