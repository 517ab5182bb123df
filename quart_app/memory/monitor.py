"""How a model does in use: the figures of a window of time.

They are counts of hourly summaries, so that a million predictions cost no more than some hundred
hours. In a window of few hours, and where that is asked for, each record is read instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, NamedTuple

import msgspec
import numpy as np

from model_store.drift import ColumnDrift, Compared, Observed, Reference, drifting, verdict
from model_store.drift.reference import NO_REFERENCE, TOO_FEW
from model_store.manifest import Target

from ..figures import (
    ColumnFigures,
    Drift,
    Mix,
    Monitor,
    RecordState,
    Requests,
    Scores,
    ShareChange,
    Step,
    VersionFigures,
)
from ..window import Window, moment
from .parts import parts_of
from .pieces import Piece, read_pieces
from .scale import scale_of_target
from .scoring import Truths, estimate_of, read_truths, scores_of
from .store import Records
from .summary import MOST_COLUMNS, Counted, Summary, Traffic, total
from .versions import Version, Versions

SHADOW: Final = "shadow"

NOTHING_RECORDED: Final = "Nothing was recorded of it in this time."
NO_VALUES: Final = "No values of it were recorded in this time."


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a model, by the version that serves, and a window; with `exact` each record is
    read. `recording` says what is recorded of it."""

    model: str
    version: int
    window: Window
    recording: RecordState
    exact: bool = False


def monitor(records: Records, versions: Versions, question: Question) -> Monitor:
    """The figures of a model. Blocks, for some tenths of a second.

    Raises:
        RecordsUnavailable
    """
    pieces = read_pieces(records, versions, question.model, question.window, exact=question.exact)
    window, now = pieces.window, pieces.now
    # What a shadow said nobody got.
    told = [piece for piece in now if piece.variant != SHADOW]
    mixes = Mixes(versions, question.model)
    scores = Scored(versions, question.model, read_truths(records, question.model, window))
    serving = versions.find(question.model, question.version)
    asked = asked_of(now, question.version)
    return Monitor(
        model=question.model,
        version=question.version,
        window=window.text,
        since=moment(window.since),
        until=moment(window.until),
        source="records" if pieces.records else "summaries",
        recording=question.recording,
        reason=None if now else NOTHING_RECORDED,
        requests=requests_of(told),
        answers=mixes.of(told),
        scores=scores.of(question.version),
        estimate=estimate_of(serving, asked),
        over_time=_over_time(window, told, mixes),
        versions=_versions(now, mixes, scores),
        drift=drift_of(serving, question.version, asked, asked_of(pieces.former, question.version)),
    )


# Requests ------------------------------------------------------------------------


def requests_of(pieces: Iterable[Piece]) -> Requests:
    """What became of the requests of all pieces."""
    found = reduce(Traffic.merged, (piece.summary.traffic for piece in pieces), Traffic())
    total = found.requests
    return Requests(
        requests=total,
        rows=found.rows,
        errors=found.failures,
        error_share=found.failures / total if total else None,
        statuses={str(status): count for status, count in sorted(found.statuses.items())},
        kinds=dict(sorted(found.errors.items(), key=lambda each: -each[1])),
        doors=dict(sorted(found.doors.items(), key=lambda each: -each[1])),
        mean_ms=found.microseconds / 1000 / total if total else None,
        p50_ms=found.percentile(0.5),
        p95_ms=found.percentile(0.95),
        p99_ms=found.percentile(0.99),
    )


def _over_time(window: Window, pieces: Iterable[Piece], mixes: Mixes) -> list[Step]:
    parts: dict[float, list[Piece]] = defaultdict(list)
    for piece in pieces:
        parts[piece.at // window.step * window.step].append(piece)
    steps = []
    for at in window.steps():
        requests = requests_of(parts[at])
        steps.append(
            Step(
                at=moment(at),
                requests=requests.requests,
                errors=requests.errors,
                p50_ms=requests.p50_ms,
                answers=mixes.of(parts[at]),
            )
        )
    return steps


def _versions(pieces: Iterable[Piece], mixes: Mixes, scores: Scored) -> list[VersionFigures]:
    """By version and variant, the newest first."""
    groups: dict[tuple[int, str], list[Piece]] = defaultdict(list)
    for piece in pieces:
        groups[piece.version, piece.variant].append(piece)
    return [
        VersionFigures(
            version=version,
            variant=variant,
            requests=requests_of(group),
            answers=mixes.of(group),
            scores=scores.of(version, variant),
        )
        for (version, variant), group in sorted(
            groups.items(), key=lambda each: (-each[0][0], each[0][1])
        )
    ]


# Answers -------------------------------------------------------------------------


class Mixes:
    """What the versions of a model told."""

    def __init__(self, versions: Versions, model: str) -> None:
        self._versions = versions
        self._model = model

    def of(self, pieces: Iterable[Piece]) -> list[Mix]:
        """The mix of each target. Versions have bins of their own, so those of each are added up
        first."""
        by_version: dict[int, list[tuple[Counted, ...]]] = defaultdict(list)
        for piece in pieces:
            by_version[piece.version].append(piece.summary.answers)
        found: list[list[_Told]] = []
        for number, answers in by_version.items():
            version = self._versions.find(self._model, number)
            if version is None:
                continue
            for at, target in enumerate(version.manifest.targets):
                counted = [each[at] for each in answers if at < len(each)]
                if at == len(found):
                    found.append([])
                if at < len(found) and counted:
                    found[at].append(_Told(target, reduce(Counted.merged, counted)))
        return [_mix(told) for told in found if told]


class _Told(NamedTuple):
    """What one version told of a target."""

    target: Target
    counted: Counted


def _mix(told: Sequence[_Told]) -> Mix:
    rows = sum(each.counted.rows for each in told)
    name = told[0].target.name
    if any(each.target.numeric for each in told):
        return _numbers(name, rows, told)
    labels: dict[str, int] = {}
    for _, counted in told:
        for label, count in counted.labels.items():
            labels[label] = labels.get(label, 0) + count
    if others := sum(each.counted.values for each in told) - sum(labels.values()):
        labels["others"] = others
    ordered = sorted(labels.items(), key=lambda each: (-each[1], each[0]))
    return Mix(target=name, rows=rows, shares={label: n / rows for label, n in ordered})


def _numbers(name: str | None, rows: int, told: Sequence[_Told]) -> Mix:
    """Where the numbers lie, as near as their bins tell."""
    values, counts = [], []
    for target, counted in told:
        scale = scale_of_target(target)
        if scale is not None and counted.bins:
            values.append(scale.values([*counted.bins]))
            counts.append(np.array([*counted.bins.values()]))
    if not values:
        return Mix(target=name, rows=rows)
    numbers, weights = np.concatenate(values), np.concatenate(counts)
    order = np.argsort(numbers)
    shares = np.cumsum(weights[order]) / weights.sum()
    p10, p50, p90 = (float(numbers[order][np.searchsorted(shares, q)]) for q in (0.1, 0.5, 0.9))
    return Mix(target=name, rows=rows, p10=p10, p50=p50, p90=p90)


# Scores --------------------------------------------------------------------------


class Scored:
    """How good the predictions of a model were."""

    def __init__(self, versions: Versions, model: str, truths: Truths) -> None:
        self._versions = versions
        self._model = model
        self._truths = truths
        self._found: dict[tuple[tuple[int, str], ...], Scores] = {}

    def of(self, version: int, variant: str | None = None) -> Scores:
        """The scores of a version, as one variant or as all but a shadow; most have one."""
        keys = tuple(
            (number, role)
            for number, role in self._truths.pairs
            if number == version and (role == variant if variant else role != SHADOW)
        )
        if keys not in self._found or not keys:
            pairs = [pair for key in keys for pair in self._truths.pairs[key]]
            found = scores_of(self._versions.find(self._model, version), pairs, name=self._model)
            self._found[keys] = msgspec.structs.replace(found, left=self._truths.left)
        return self._found[keys]


# Drift ---------------------------------------------------------------------------


def drift_of(version: Version | None, number: int, now: Summary, former: Summary) -> Drift:
    """How far what a version was asked, and told, is from its training data: now, and in the window
    before."""
    rows = now.traffic.rows
    if version is None or version.reference is None:
        return Drift(version=number, rows=rows, reason=NO_REFERENCE)
    reference = version.reference
    if not reference.is_enough or rows == 0:
        return Drift(version=number, rows=rows, reason=TOO_FEW if rows else NOTHING_RECORDED)
    if now.observed is None:
        return Drift(version=number, rows=rows, reason=NO_VALUES)
    found = verdict(reference, now.observed)
    before = verdict(reference, former.observed or Observed())
    marked = drifting([before, found])
    lasting = {(each.name, each.answers) for each in before if each.drifts}
    return Drift(
        version=number,
        rows=rows,
        reason=None if any(each.is_known for each in found) else TOO_FEW,
        columns=[_column(reference, now.observed, each, lasting) for each in found],
        marked=marked,
        left=max(0, len(reference.columns) - MOST_COLUMNS),
    )


def asked_of(pieces: Iterable[Piece], version: int) -> Summary:
    """What a version was asked by clients, whether as the champion or as a canary."""
    return total([p.summary for p in pieces if p.version == version and p.variant != SHADOW])


def _column(
    reference: Reference,
    observed: Observed,
    found: ColumnDrift,
    lasting: set[tuple[str, bool]],
) -> ColumnFigures:
    if found.answers:
        places = [each.name for each in reference.answers]
        place = places.index(found.name)
        known, counts = reference.answers[place], observed.answers[place]
    else:
        known = next(each for each in reference.columns if each.name == found.name)
        counts = observed.columns[found.name]
    return ColumnFigures(
        name=found.name,
        answers=found.answers,
        measure=found.measure,
        rows=found.rows,
        drifts=found.drifts,
        lasting=found.drifts and (found.name, found.answers) in lasting,
        reason=None if found.is_known else TOO_FEW,
        distance=found.distance,
        threshold=found.threshold,
        missing=_change(found.missing),
        unseen=_change(found.unseen),
        parts=parts_of(known, counts),
    )


def _change(found: Compared | None) -> ShareChange | None:
    if found is None:
        return None
    return ShareChange(training=found.before, now=found.now, threshold=found.threshold)
