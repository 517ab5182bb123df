"""Summaries of a window of time: those of the database, or made of its records one by one."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from ..window import HOUR, Window
from .prediction import Prediction
from .store import Records, Summed
from .summary import Summary
from .versions import Versions, read

MOST_ROWS: Final = 100_000
"""So many records are read for one window; of more the summaries are taken."""
PIECE: Final = 2_000
"""Rows that are summarized together."""

logger = logging.getLogger(__name__)


class Piece(NamedTuple):
    """The summary of a stretch of time, from `at` on, of one version as one variant."""

    at: float
    version: int
    variant: str
    summary: Summary


class Pieces(NamedTuple):
    """What a window is made of, and what the one before; whether of `records`, and whether that is
    all that there was."""

    window: Window
    now: list[Piece]
    former: list[Piece]
    records: bool


def read_pieces(
    records: Records, versions: Versions, model: str, window: Window, *, exact: bool = False
) -> Pieces:
    """The pieces of a window and of the one before: with `exact`, and in one of few hours, made of
    records, as long as there are not too many of them. Blocks.

    Raises:
        RecordsUnavailable
    """
    if not records.database.is_there:  # nor need it be made to be read
        return Pieces(window, [], [], records=False)
    if exact or window.is_fine:
        former = window.former()
        found = _of_records(records, versions, model, former.since, window)
        if found is not None:
            return _parted(window, found, records=True)
        window = window._replace(since=window.since // HOUR * HOUR)
    summed = records.summaries(model, window.former().since, window.until)
    return _parted(window, [*_of_summaries(summed)], records=False)


def _parted(window: Window, pieces: Iterable[Piece], *, records: bool) -> Pieces:
    now: list[Piece] = []
    former: list[Piece] = []
    for piece in pieces:
        (now if piece.at >= window.since else former).append(piece)
    return Pieces(window, now, former, records)


def _of_summaries(summed: Iterable[Summed]) -> Iterator[Piece]:
    for key, body in summed:
        try:
            yield Piece(key.hour * HOUR, key.version, key.variant, read(body))
        except msgspec.DecodeError:
            logger.warning("The summary of hour %d of %s cannot be read.", key.hour, key.model)


def _of_records(
    records: Records, versions: Versions, model: str, since: float, window: Window
) -> list[Piece] | None:
    """Pieces of a step each; None where there are more records than are read."""
    if records.count(model, since, window.until, MOST_ROWS + 1) > MOST_ROWS:
        return None
    found: dict[tuple[float, int, str], Summary] = {}
    rows = iter(records.predictions(model, since, window.until))
    while part := [*islice(rows, PIECE)]:
        groups: dict[tuple[float, int, str], list[Prediction]] = defaultdict(list)
        for row in part:
            groups[_begin(row.at, window), row.version, row.variant].append(row)
        for key, group in groups.items():
            summary = _summary(versions, model, key[1], group)
            if summary is not None:
                found[key] = found[key].merged(summary) if key in found else summary
    return [Piece(*key, summary) for key, summary in found.items()]


def _begin(at: float, window: Window) -> float:
    """When the step begins in which a moment is; no step is in two windows."""
    begin = at // window.step * window.step
    return max(begin, window.since) if at >= window.since else begin


def _summary(versions: Versions, model: str, number: int, rows: list[Prediction]) -> Summary | None:
    version = versions.find(model, number)
    return None if version is None else Summary.of(version.manifest, rows, version.reference)
