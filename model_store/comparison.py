"""A shortcut beside its pipeline: on which rows both are asked, when they count as equal, and for
what is converted to ONNX, whether it is faster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import frames
from .backend import Served
from .errors import InvalidRows
from .labels import classes_of
from .shortcuts import NotCovered, Shortcut, build, build_converted, convert
from .shortcuts.trees import Splits
from .signature import Matrix, Signature

RELATIVE: Final = 1e-12
NEAR_ZERO: Final = 1e-15
"""How far probabilities may differ beside that: scikit-learn takes some as the rest to 1, whose
rounding is that of 1."""
SUBNORMAL: Final = 1e-300
"""How far other numbers may, below which a relative error means nothing."""

ROWS: Final = 2000
LONE_ROWS: Final = 20
SPLITS: Final = 300
SHARE_MISSING: Final = 0.1
SEED: Final = 20260101

SLOW: Final = 0.5
"""Seconds for the golden rows beyond which the pipeline is not compared at all."""
SECONDS: Final = 1.0
"""For lone rows, of which fewer are compared where the pipeline is slow."""

BATCH: Final = 256
TIMED_CALLS: Final = 20
TIMED_SECONDS: Final = 0.2

REASON_LENGTH: Final = 300

AsFitted = Callable[[Matrix], Any]


def _itself(rows: Matrix) -> Matrix:
    return rows


def judge(pipeline: Any, signature: Signature, golden: Matrix) -> tuple[Served, bytes | None]:
    """Which way to serve a fitted pipeline: by its shortcut, where there is one and no difference
    is found; else converted to ONNX, where that can be, makes no difference either, and is faster.
    The bytes are those of the ONNX graph, if it is to be used."""
    shortcut = build(pipeline)
    if shortcut is None:
        return _judge_converted(pipeline, signature, golden)
    difference = _tried(pipeline, shortcut, signature, golden)
    if difference is not None:
        return Served.found("pipeline", _shorten(difference)), None
    reason = f"it gave the answers of the pipeline to {ROWS} rows and more"
    return Served.found("shortcut", reason), None


def _judge_converted(
    pipeline: Any, signature: Signature, golden: Matrix
) -> tuple[Served, bytes | None]:
    reason = "there is no exact shortcut for all of its steps"
    try:
        data = convert(pipeline)
        shortcut = None if data is None else build_converted(pipeline, data)
    except ImportError:
        return Served.found("pipeline", reason), None
    # onnxruntime does not take all that skl2onnx makes.
    except Exception:
        shortcut = None
    if shortcut is None:
        return Served.found("pipeline", f"{reason}, and they cannot be converted to ONNX"), None
    difference = _tried(pipeline, shortcut, signature, golden)
    if difference is not None:
        return Served.found("pipeline", _shorten(f"{reason}, and in ONNX {difference}")), None
    slower = _slower(pipeline, shortcut, signature, golden)
    if slower is not None:
        return Served.found("pipeline", f"{reason}, and {slower}"), None
    reason = f"it gave the answers of the pipeline to {ROWS} rows and more, and sooner"
    return Served.found("onnx", reason), data


def _tried(pipeline: Any, shortcut: Shortcut, signature: Signature, golden: Matrix) -> str | None:
    """Why the pipeline has to answer; None where nothing speaks for it."""
    try:
        with np.errstate(all="ignore"):
            return _difference(pipeline, shortcut, signature, golden)
    except NotCovered:
        return "its shortcut does not take the rows of training"
    # Rows that are drawn may be such that a pipeline fails on them in any way.
    except Exception as error:
        return f"it failed on drawn rows: {error}"


def _slower(pipeline: Any, shortcut: Shortcut, signature: Signature, golden: Matrix) -> str | None:
    """Whether the shortcut takes as long as the pipeline for one row, or longer for a batch."""

    def ask_pipeline(rows: Matrix) -> None:
        known = frames.as_fitted(rows, signature)
        pipeline.predict(known)
        if hasattr(pipeline, "predict_proba"):
            pipeline.predict_proba(known)

    for what, rows in (("one row", golden[:1]), ("a batch", _batch(golden))):
        if _fastest(partial(shortcut.predict, rows)) >= _fastest(partial(ask_pipeline, rows)):
            return f"converted to ONNX they would take longer for {what}"
    return None


def _batch(golden: Matrix) -> Matrix:
    return golden[np.arange(BATCH) % len(golden)]


def _fastest(call: Callable[[], object]) -> float:
    """The seconds of the fastest of some calls: what else the machine does only adds to it."""
    call()
    seconds: list[float] = []
    until = time.monotonic() + TIMED_SECONDS
    while not seconds or (len(seconds) < TIMED_CALLS and time.monotonic() < until):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def _difference(
    pipeline: Any, shortcut: Shortcut, signature: Signature, golden: Matrix
) -> str | None:
    """Why the pipeline has to answer; None where nothing speaks for it."""

    def as_fitted(matrix: Matrix) -> Any:
        return frames.as_fitted(matrix, signature)

    begun = time.monotonic()
    difference = compare(pipeline, shortcut, golden, as_fitted)
    if difference is not None:
        return difference
    if time.monotonic() - begun > SLOW:
        return f"to compare a shortcut with it takes too long: {len(golden)} rows took > {SLOW} s"
    random = np.random.default_rng(SEED)
    try:
        drawn = draw(signature, golden, ROWS, random, missing=0.0)
        gaps = draw(signature, golden, ROWS, random, missing=SHARE_MISSING)
    except InvalidRows as error:
        return f"no rows can be drawn from its ranges to compare a shortcut on: {error}"
    until = begun + SECONDS
    lone = (drawn[i : i + 1] for i in range(LONE_ROWS) if time.monotonic() < until)
    for rows in (drawn, *lone):
        difference = _compare_served(pipeline, shortcut, signature, rows)
        if difference is not None:
            return difference
    difference = _beside_splits(shortcut, signature, drawn, random, as_fitted)
    if difference is not None:
        return difference
    # Where it takes no missing values, the pipeline gets them.
    with contextlib.suppress(NotCovered):
        return _compare_served(pipeline, shortcut, signature, gaps)
    return None


def _compare_served(
    pipeline: Any, shortcut: Shortcut, signature: Signature, rows: Matrix
) -> str | None:
    """As `compare`, with those rows together that a server asks together."""
    parts = frames.parts(rows, signature)
    for part in [slice(None)] if parts is None else parts:
        difference = compare(
            pipeline, shortcut, rows[part], lambda matrix: frames.as_fitted(matrix, signature)
        )
        if difference is not None:
            return difference
    return None


def compare(
    pipeline: Any, shortcut: Shortcut, rows: Matrix, as_fitted: AsFitted = _itself
) -> str | None:
    """Why the answers to `rows` differ, or None. `as_fitted` makes of them what the pipeline takes.

    Classes are equal; numbers within 1e-12 relative (or 1e-300, where that means nothing), and
    probabilities within 1e-12 relative and 1e-15, or the `rounding` of the shortcut.

    Raises:
        NotCovered: the shortcut does not take the rows.
    """
    labels, shares = shortcut.predict(rows)
    known = as_fitted(rows)
    expected = np.asarray(pipeline.predict(known))
    if (labels.shape, labels.dtype) != (expected.shape, expected.dtype):
        return (
            f"its shortcut answers with {labels.dtype} of the shape {labels.shape}, and the "
            f"pipeline with {expected.dtype} of {expected.shape}"
        )
    regression = classes_of(pipeline) is None
    same = _close(labels, expected, SUBNORMAL) if regression else labels == expected
    if not same.all():
        return _found("says", rows, same, labels, expected)
    if (shares is not None) != hasattr(pipeline, "predict_proba"):
        return "its shortcut and the pipeline do not both have probabilities"
    if shares is None:
        return None
    expected = np.asarray(pipeline.predict_proba(known))
    if shares.shape != expected.shape:
        return f"its shortcut has probabilities of the shape {shares.shape}"
    same = _close(shares, expected, max(NEAR_ZERO, shortcut.rounding))
    return None if same.all() else _found("gives the probabilities", rows, same, shares, expected)


def draw(
    signature: Signature,
    golden: Matrix,
    count: int,
    random: np.random.Generator,
    *,
    missing: float,
) -> Matrix:
    """Rows within the ranges of training, with this share of missing values in the columns that
    take them. Texts and dates are those of the golden rows.

    Raises:
        InvalidRows: the ranges do not fit the signature.
    """
    values = {}
    for place, column in enumerate(signature.columns):
        known = [value for cell in golden[:, place] if (value := column.plain(cell)) is not None]
        found = column.kind.draw(column, known, count, random)
        if column.missing and missing:
            gaps = random.random(count) < missing
            found = [None if gap else value for value, gap in zip(found, gaps, strict=True)]
        values[column.name] = found
    return signature.validate(values, count)


def _beside_splits(
    shortcut: Shortcut,
    signature: Signature,
    drawn: Matrix,
    random: np.random.Generator,
    as_fitted: AsFitted,
) -> str | None:
    """Compare the last step, where it parts values, on the thresholds and on both sides of them.

    They are thresholds of what the steps before it made, so it is asked alone.
    """
    found: Splits | None = getattr(shortcut.final, "splits", lambda: None)()
    if found is None:
        return None
    places, thresholds = found
    alone = replace(shortcut, transforms=(), columns=shortcut.last.n_features_in_)
    features = shortcut.features(drawn)
    known: AsFitted = as_fitted if not shortcut.transforms else _itself
    if not shortcut.transforms:
        # A column of whole numbers alone cannot hold what lies beside a threshold.
        floats = [
            column.dtype == "float64" or (column.open and column.kind.measured)
            for column in signature.columns
        ]
        kept = np.take(floats, places)
        places, thresholds = places[kept], thresholds[kept]
        if features.dtype.kind in "iu":
            features = features.astype(np.float64)
    if not len(places):
        return None
    chosen = random.integers(len(places), size=SPLITS)
    rows = beside(zip(places[chosen], thresholds[chosen], strict=True), features)
    return compare(shortcut.last, alone, rows, known)


def beside(splits: Iterable[tuple[int, float]], features: NDArray[Any]) -> NDArray[Any]:
    """Rows of `features`, each with one value at a threshold or next to it, as float64 and as the
    float32 that trees compare."""
    edges = [(feature, value) for feature, at in splits for value in neighbours(at)]
    rows = features[np.arange(len(edges)) % len(features)]
    for row, (feature, value) in zip(rows, edges, strict=True):
        row[feature] = value
    return rows


def neighbours(at: float) -> list[float]:
    """A threshold, and what lies on both sides of it in float64 and in float32."""
    narrow = np.float32(at)
    found = [at, float(narrow)]
    for end in (-np.inf, np.inf):
        found.append(float(np.nextafter(at, end)))
        found.append(float(np.nextafter(narrow, np.float32(end))))
    return [each for each in found if np.isfinite(each)]


def _close(found: NDArray[Any], expected: NDArray[Any], absolute: float) -> NDArray[np.bool_]:
    close: NDArray[np.bool_] = np.abs(found - expected) <= np.maximum(
        RELATIVE * np.abs(expected), absolute
    )
    return close


def _shorten(reason: str) -> str:
    """A row may have hundreds of columns."""
    return reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…"


def _found(
    what: str, rows: Matrix, same: NDArray[Any], found: NDArray[Any], expected: NDArray[Any]
) -> str:
    row = int(np.flatnonzero(~same.reshape(len(same), -1).all(axis=1))[0])
    return (
        f"its shortcut {what} {found[row]!s} to {rows[row].tolist()!r}, and the pipeline "
        f"{expected[row]!s}"
    )
