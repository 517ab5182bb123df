"""The figures of a model in use, as clients read them: the shapes of `GET /models/<name>/monitor`.

Moments are ISO 8601 in UTC, durations milliseconds, shares from 0 to 1. What is null has a `reason`
beside it, or nothing that could be counted. Nothing here needs numpy or the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """What became of requests; `errors` were refused or failed, by their `kinds`. `rows` were
    answered, and `doors` are the protocols and pages by which requests came. Percentiles of
    durations are off by at most 5 %."""

    requests: int
    rows: int
    errors: int
    error_share: float | None
    statuses: Mapping[str, int]
    kinds: Mapping[str, int]
    doors: Mapping[str, int]
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """What one target was told: the share of each class, or where a tenth, half and nine tenths of
    the numbers lie below. `rows` were counted."""

    target: str | None
    rows: int
    shares: Mapping[str, float] | None = None
    p10: float | None = None
    p50: float | None = None
    p90: float | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the window, from `at` on."""

    at: str
    requests: int
    errors: int
    p50_ms: float | None
    answers: Sequence[Mix]


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A score of scikit-learn's name, from `low` to `high` with 95 %; `interval` is how that was
    found, and `published` the score that the version was published with."""

    name: str
    value: float
    low: float | None
    high: float | None
    interval: str
    rows: int
    published: float | None


class TargetScores(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of one target."""

    target: str | None
    scores: Sequence[Score]


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """How good predictions were, of `rows` whose truth is known; `left` says that there are more.
    `reason` says why there are no scores."""

    rows: int
    reason: str | None
    targets: Sequence[TargetScores] = ()
    left: bool = False


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The accuracy that is expected of `rows` without their truth, and what that `assumes`; or the
    `reason` why there is none, as a clause."""

    reason: str | None
    accuracy: float | None = None
    rows: int = 0
    assumes: str | None = None


class VersionFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One version as one variant: champion, canary, or shadow, whose answers nobody got."""

    version: int
    variant: str
    requests: Requests
    answers: Sequence[Mix]
    scores: Scores


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A category or a range of numbers, and its shares of the training data and now."""

    label: str
    training: float
    now: float


class ShareChange(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the training data and now; a difference of `threshold` is more than chance."""

    training: float
    now: float
    threshold: float


class ColumnFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How far one column is from the training data, or of one target the `answers`. `distance` is
    the Wasserstein distance in standard deviations of the training data, or the Jensen-Shannon
    distance; from `threshold` on it is more than chance. `missing` and `unseen` are the shares of
    missing values and of new categories. `lasting` says that it drifted in the window before too.
    """

    name: str
    answers: bool
    measure: str
    rows: int
    drifts: bool
    lasting: bool
    reason: str | None
    distance: float | None
    threshold: float | None
    missing: ShareChange | None
    unseen: ShareChange | None
    parts: Sequence[Part]


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """Of the version that serves, what is farthest from the training data first. `marked` are the
    columns that drift in two windows running; `left` is how many columns were not looked at."""

    version: int
    rows: int
    reason: str | None
    columns: Sequence[ColumnFigures] = ()
    marked: Sequence[str] = ()
    left: int = 0


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What the home page and the metrics are told of a model."""

    drift: Drift
    scores: Scores


class RecordState(msgspec.Struct, frozen=True, kw_only=True):
    """Which share of the predictions is recorded; `reason` says why there is none."""

    share: float
    reason: str | None


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """A model from `since` until `until`. `source` says what was counted: `records`, each row, or
    hourly `summaries`, which last longer. `reason` says why there is nothing. `scores`, `estimate`
    and `drift` are those of the version that serves."""

    model: str
    version: int
    window: str
    since: str
    until: str
    source: Literal["records", "summaries"]
    recording: RecordState
    reason: str | None
    requests: Requests
    answers: Sequence[Mix]
    scores: Scores
    estimate: Estimate
    over_time: Sequence[Step]
    versions: Sequence[VersionFigures]
    drift: Drift
