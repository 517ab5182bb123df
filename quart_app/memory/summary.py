"""What is kept of an hour of predictions when its records are gone: counts that add up.

Two summaries of the same version are merged by adding counts, so it does not matter in which order
or in which parts predictions come. What is counted by name has a bounded number of names, those
that come first in the alphabet; a name that is left out of one part would be left out of the whole
as well. Values are counted in the bins of the version's reference, without one in those of `scale`,
and texts only where the training data had them: what a client wrote is not kept.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import zip_longest
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from model_store import Column, Manifest
from model_store.column_facts import JSONLabel
from model_store.drift import Counts, Observed, Reference
from model_store.manifest import Target
from model_store.record_settings import DIGEST_BYTES

from .prediction import Prediction
from .scale import Scale, scale_of, scale_of_target

MOST_COLUMNS: Final = 200
MOST_TARGETS: Final = 20
MOST_LABELS: Final = 200
"""Categories of a column, or classes of a target, that are counted by name."""
MOST_NAMES: Final = 64
"""Kinds of errors, doors and statuses."""
OTHER: Final = "other"

PER_OCTAVE: Final = 8
"""Bins of latency from one duration to twice that."""
SHORTEST, LONGEST = 1e-3, 1e7
"""In milliseconds; what is beyond is counted there."""

FAILED: Final = 400
"""The first status of a request that was not answered."""

CONFIDENCE: Final = 200
"""Steps of a probability from 0 to 1."""

_HASH: Final = re.compile(f"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
"""What is recorded of a value of a column that is hashed."""

Name = TypeVar("Name", int, str)


class Counted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one column had, or what one target was told.

    Numbers stand in `bins` by their number, categories and classes in `labels` by their text.
    `other` counts values that are neither: a category beyond those that are named here, a text, a
    value that was hashed. `unseen` counts categories that the training data did not have.
    """

    bins: dict[int, int] = {}
    labels: dict[str, int] = {}
    other: int = 0
    missing: int = 0
    unseen: int = 0

    @property
    def values(self) -> int:
        """How many there were, without those that were missing."""
        return sum(self.bins.values()) + sum(self.labels.values()) + self.other + self.unseen

    @property
    def rows(self) -> int:
        """How many there were, those that were missing among them."""
        return self.values + self.missing

    def merged(self, more: Counted) -> Counted:
        """Both together."""
        return Counted(
            bins=_added(self.bins, more.bins),
            labels=_added(self.labels, more.labels),
            other=self.other + more.other,
            missing=self.missing + more.missing,
            unseen=self.unseen + more.unseen,
        )


NOTHING: Final = Counted()


class Traffic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of requests. `rows` were answered; all else counts requests, a table of many rows
    as one. `latency` has bins of `PER_OCTAVE`, and `microseconds` is the sum."""

    rows: int = 0
    statuses: dict[int, int] = {}
    errors: dict[str, int] = {}
    doors: dict[str, int] = {}
    latency: dict[int, int] = {}
    microseconds: int = 0

    @classmethod
    def of(cls, predictions: Sequence[Prediction]) -> Traffic:
        """Count the requests of predictions."""
        first = [each for each in predictions if each.row == 0]
        microseconds = [round(1000 * _duration(each.milliseconds)) for each in first]
        return cls(
            rows=sum(each.status < FAILED for each in predictions),
            statuses=_bounded(Counter(each.status for each in first), 0),
            errors=_bounded(Counter(each.error for each in first if each.error), OTHER),
            doors=_bounded(Counter(each.door for each in first), OTHER),
            latency=dict(Counter(map(_latency_bin, microseconds))),
            microseconds=sum(microseconds),
        )

    @property
    def requests(self) -> int:
        """How many there were, refused and failed ones among them."""
        return sum(self.statuses.values())

    @property
    def failures(self) -> int:
        """Those that were refused or failed."""
        return sum(count for status, count in self.statuses.items() if _is_failure(status))

    def percentile(self, share: float) -> float | None:
        """The milliseconds within which this share of the requests ended, off by at most 5 %; None
        without any."""
        wanted = share * sum(self.latency.values())
        passed = 0
        for place in sorted(self.latency):
            count = self.latency[place]
            if passed + count >= wanted:
                # Within a bin durations are taken to be even.
                return float(2 ** ((place - 0.5 + (wanted - passed) / count) / PER_OCTAVE))
            passed += count
        return None

    def merged(self, more: Traffic) -> Traffic:
        """Both together."""
        return Traffic(
            rows=self.rows + more.rows,
            statuses=_bounded(_added(self.statuses, more.statuses), 0),
            errors=_bounded(_added(self.errors, more.errors), OTHER),
            doors=_bounded(_added(self.doors, more.doors), OTHER),
            latency=_added(self.latency, more.latency),
            microseconds=self.microseconds + more.microseconds,
        )


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Predictions of one version, as one variant.

    `answers` are the targets in their order, and `confidences` the probabilities of the classes
    that were answered, in steps of one in CONFIDENCE. `observed` has the columns by the bins of the
    version's reference; of a version without one `columns` are what they had. Both have the first
    MOST_COLUMNS.
    """

    traffic: Traffic = Traffic()
    answers: tuple[Counted, ...] = ()
    confidences: dict[int, int] = {}
    observed: Observed | None = None
    columns: dict[str, Counted] = {}

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        predictions: Sequence[Prediction],
        reference: Reference | None = None,
    ) -> Summary:
        """Summarize predictions of this version. Takes some microseconds a row."""
        answered = [each for each in predictions if each.status < FAILED]
        return cls(
            traffic=Traffic.of(predictions),
            answers=_answers(manifest, answered),
            confidences=_confidences(manifest, answered),
            observed=None if reference is None else _observed(manifest, reference, answered),
            columns={} if reference is not None else _columns(manifest, answered),
        )

    def merged(self, more: Summary) -> Summary:
        """Both together, of the same version.

        Raises:
            ValueError: they were counted by other references.
        """
        targets = zip_longest(self.answers, more.answers, fillvalue=NOTHING)
        columns = {
            name: self.columns.get(name, NOTHING).merged(more.columns.get(name, NOTHING))
            for name in self.columns | more.columns
        }
        return Summary(
            traffic=self.traffic.merged(more.traffic),
            answers=tuple(first.merged(second) for first, second in targets),
            confidences=_added(self.confidences, more.confidences),
            observed=_both(self.observed, more.observed),
            columns=columns,
        )


def total(summaries: Sequence[Summary]) -> Summary:
    """All of them together, of the same version, as `merged` has it; quicker for hundreds.

    Raises:
        ValueError: they were counted by other references.
    """
    # What was observed has thousands of numbers, which are added up as arrays.
    bare = [msgspec.structs.replace(each, observed=None) for each in summaries]
    observed = [each.observed for each in summaries if each.observed is not None]
    found = reduce(Summary.merged, bare, Summary())
    return msgspec.structs.replace(found, observed=_total(observed) if observed else None)


def _total(observed: Sequence[Observed]) -> Observed:
    columns: dict[str, list[Counts]] = defaultdict(list)
    for each in observed:
        for name, counts in each.columns.items():
            columns[name].append(counts)
    answers = [each.answers for each in observed if each.answers]
    return Observed(
        columns={name: _sum(counts) for name, counts in columns.items()},
        answers=tuple(_sum(counts) for counts in zip(*answers, strict=True)),
    )


def _sum(counts: Sequence[Counts]) -> Counts:
    """The sum of counts in the same bins."""
    sums = np.array([each.sums for each in counts]).sum(axis=0)
    return Counts(
        counts=tuple(np.array([each.counts for each in counts]).sum(axis=0).tolist()),
        sums=tuple(np.atleast_1d(sums).tolist()),
        missing=sum(each.missing for each in counts),
        unseen=sum(each.unseen for each in counts),
    )


# Requests ------------------------------------------------------------------------


def _is_failure(status: int) -> bool:
    return status >= FAILED or status == 0


def _duration(milliseconds: float) -> float:
    """A duration within those that are counted apart."""
    return min(max(milliseconds, SHORTEST), LONGEST)


def _latency_bin(microseconds: int) -> int:
    return round(PER_OCTAVE * math.log2(max(microseconds, 1) / 1000))


def _added(first: Mapping[Name, int], second: Mapping[Name, int]) -> dict[Name, int]:
    """The sums of counts by name."""
    sums = dict(first)
    for name, count in second.items():
        sums[name] = sums.get(name, 0) + count
    return sums


def _bounded(counts: Mapping[Name, int], rest: Name) -> dict[Name, int]:
    """Counts of the first MOST_NAMES names; those of all others together are `rest`."""
    if len(counts) <= MOST_NAMES:
        return dict(counts)
    kept = {name: counts[name] for name in sorted(set(counts) - {rest})[:MOST_NAMES]}
    return {**kept, rest: sum(counts.values()) - sum(kept.values())}


# Values --------------------------------------------------------------------------


def _both(first: Observed | None, second: Observed | None) -> Observed | None:
    if first is None or second is None:
        return first or second
    return first.merged(second)


def _observed(
    manifest: Manifest, reference: Reference, answered: Sequence[Prediction]
) -> Observed | None:
    if not answered:
        return None
    return Observed.of(reference, _recorded(manifest, answered), _told(manifest, answered))


def _columns(manifest: Manifest, answered: Sequence[Prediction]) -> dict[str, Counted]:
    recorded = _recorded(manifest, answered)
    return {
        column.name: _counted(recorded[column.name], scale_of(column), _named(column))
        for column in manifest.signature.columns
        if column.name in recorded
    }


def _recorded(manifest: Manifest, answered: Sequence[Prediction]) -> dict[str, list[Any]]:
    """The values of each column that any of the rows has: one that is not recorded is in none, and
    of one that is hashed nothing is known."""
    inputs = [each.inputs for each in answered if each.inputs]
    found = {}
    for name in manifest.signature.names[:MOST_COLUMNS]:
        values = [row[name] for row in inputs if name in row]
        if any(map(_is_hash, values)):
            values = [value for value in values if value is not None and not _is_hash(value)]
        if values:
            found[name] = values
    return found


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _answers(manifest: Manifest, answered: Sequence[Prediction]) -> tuple[Counted, ...]:
    told = _told(manifest, answered)
    return tuple(
        _counted(values, scale_of_target(target), _classes(target))
        for target, values in zip(manifest.targets, told, strict=False)
    )


def _told(manifest: Manifest, answered: Sequence[Prediction]) -> list[list[Any]]:
    """What each target was told; none of what has more than are counted."""
    outputs = [each.outputs for each in answered if each.outputs is not None]
    if not outputs or len(manifest.targets) > MOST_TARGETS:
        return []
    if not manifest.several:
        return [outputs]
    return [[_part(output, at) for output in outputs] for at in range(len(manifest.targets))]


def _confidences(manifest: Manifest, answered: Sequence[Prediction]) -> dict[int, int]:
    """How often the class that was answered had which probability, of one target."""
    if manifest.several or not manifest.probabilities or not manifest.target.classes:
        return {}
    places: dict[Any, int] = {each: at for at, each in enumerate(manifest.target.classes)}
    steps: Counter[int] = Counter()
    for each in answered:
        place = places.get(each.outputs) if isinstance(each.outputs, Hashable) else None
        shares = each.probabilities
        if place is None or not isinstance(shares, Sequence) or place >= len(shares):
            continue
        steps[round(CONFIDENCE * min(max(shares[place], 0.0), 1.0))] += 1
    return dict(steps)


def _part(output: Any, at: int) -> Any:
    """What one of several targets was told."""
    return output[at] if isinstance(output, Sequence) and at < len(output) else None


def _counted(
    values: Sequence[Any], scale: Scale | None, named: Mapping[JSONLabel, str | None] | None
) -> Counted:
    """Values of one column: numbers where it has a scale, else by name where names are known."""
    if scale is not None:
        return _numbers(values, scale)
    if named is None:
        missing = sum(value is None for value in values)
        return Counted(other=len(values) - missing, missing=missing)
    return _labels(values, named)


def _numbers(values: Sequence[Any], scale: Scale) -> Counted:
    if set(map(type, values)) <= {float, int}:
        numbers: Sequence[float] = values
        missing = other = 0
    else:
        numbers = [value for value in values if type(value) in {float, int}]
        missing = sum(value is None for value in values)
        other = len(values) - missing - len(numbers)
    array = _floats(numbers)
    holes = np.isnan(array)
    if holes.any():
        array, missing = array[~holes], missing + int(holes.sum())
    return Counted(
        bins=dict(Counter(scale.bins(array).tolist())),
        other=other,
        missing=missing,
    )


def _floats(numbers: Sequence[float]) -> Any:
    try:
        return np.array(numbers, np.float64)
    except OverflowError:  # of an integer of more than 308 digits
        return np.array([_float(number) for number in numbers])


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _labels(values: Iterable[Any], named: Mapping[JSONLabel, str | None]) -> Counted:
    labels: Counter[str] = Counter()
    other = missing = unseen = 0
    for value, count in Counter(values).items():
        if value is None:
            missing += count
        elif value not in named:
            unseen += count
        elif (name := named[value]) is None:
            other += count
        else:
            labels[name] += count
    return Counted(labels=dict(labels), other=other, missing=missing, unseen=unseen)


def _named(column: Column) -> Mapping[JSONLabel, str | None] | None:
    """The name of each category that the training data had, None of one that is not counted by
    name; None of a column that has no categories."""
    choices = column.kind.choices(column)
    if not choices:
        return None
    return {value: str(value) if at < MOST_LABELS else None for at, value in enumerate(choices)}


def _classes(target: Target) -> Mapping[JSONLabel, str | None] | None:
    if target.classes is None:
        return None
    return {
        value: str(value) if at < MOST_LABELS else None for at, value in enumerate(target.classes)
    }
