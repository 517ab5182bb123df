"""The records in a database: written in batches, unpacked, and read.

Everything here blocks, and is called in a thread that nobody waits for in the event loop. Whoever
reads unpacks the journal first, so that it sees all that was written.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from .database import Database, RecordsUnavailable, Session
from .journal import rows_of, unpack
from .prediction import Prediction
from .schema import prepare

PIECE: Final = 1_000
"""Rows that are read at a time."""

BATCHES: Final = 8
"""Batches of the journal that are unpacked in one transaction."""

HOUR: Final = 3600

EARLY: Final = 24 * HOUR
"""Seconds by which a truth may come before the record of what was predicted."""

COLUMNS: Final = (
    'id, "row", at, model, version, digest, variant, door, status, milliseconds, error, inputs, '
    "outputs, probabilities"
)
_PREDICTION_COLUMNS: Final = ", ".join(f"p.{name.strip()}" for name in COLUMNS.split(","))

_ADD_BATCH: Final = "INSERT INTO quart_app_journal (at, rows, body) VALUES (?, ?, ?)"

_ADD_PREDICTION: Final = (
    f"INSERT INTO quart_app_predictions ({COLUMNS}) VALUES ({', '.join('?' * 14)}) "
    'ON CONFLICT (id, "row", variant, at) DO NOTHING'
)

# A client that sends an id again means its last request by it.
_IS_LAST: Final = (
    "NOT EXISTS (SELECT 1 FROM quart_app_predictions AS q WHERE q.id = p.id "
    'AND q."row" = p."row" AND q.variant = p.variant AND q.at > p.at)'
)

logger = logging.getLogger(__name__)

_json = msgspec.json.Encoder()


class Key(NamedTuple):
    """What a summary is of: an hour, counted since 1970, of a version as one variant."""

    model: str
    version: int
    variant: str
    hour: int


class Summed(NamedTuple):
    """A summary as it is kept."""

    key: Key
    body: bytes


class Summaries(Protocol):
    """Makes summaries, which can be merged, of rows. May raise anything: rows that it cannot take
    are kept, and stand in no summary."""

    def of(self, key: Key, rows: Sequence[Prediction]) -> bytes | None:
        """The summary of rows of one key; None where nothing can be said of them."""

    def merged(self, first: bytes, second: bytes) -> bytes:
        """The summary of the rows of both."""


class Records:
    """Reads and writes the records of a database, each call on a connection of its own unless one
    is given. Without `summaries` what is unpacked stands in none.

    Every method raises RecordsUnavailable.
    """

    def __init__(self, database: Database, summaries: Summaries | None = None) -> None:
        self.database = database
        self._summaries = summaries

    def session(self) -> AbstractContextManager[Session]:
        """A connection to tables of this format."""
        return contextlib.closing(self.open())

    def open(self) -> Session:
        """As `session`, to be closed by the caller."""
        session = self.database.open()
        try:
            prepare(self.database, session)
        except BaseException:
            session.close()
            raise
        return session

    # Writing ---------------------------------------------------------------------

    def add(self, session: Session, batches: Sequence[tuple[float, int, bytes]]) -> None:
        """Add batches to the journal, each with its moment and the number of its rows."""
        with session.transaction():
            for batch in batches:
                session.execute(_ADD_BATCH, batch)

    def unpack(self, session: Session, batches: int = BATCHES) -> int:
        """Make rows and summaries of the oldest batches of the journal; how many rows it were.

        What can be read of no batch, or fits no row, is dropped and logged.
        """
        try:
            return self._unpack(session, batches, "all")
        except RecordsUnavailable as error:
            if not error.unfit:
                raise
        return self._unpack(session, batches, "each")

    def backlog(self, session: Session) -> int:
        """The rows in the journal."""
        return int(session.execute("SELECT coalesce(sum(rows), 0) FROM quart_app_journal")[0][0])

    def unpack_all(self, session: Session) -> None:
        """Unpack what stands in the journal at this moment."""
        last = session.execute("SELECT max(id) FROM quart_app_journal")[0][0]
        while last is not None:
            first = session.execute("SELECT min(id) FROM quart_app_journal")[0][0]
            if first is None or first > last or not self.unpack(session):
                return

    def _unpack(self, session: Session, batches: int, way: str) -> int:
        with session.transaction():
            found = session.execute(
                "SELECT id, rows, body FROM quart_app_journal ORDER BY id LIMIT ?", (batches,)
            )
            if not found:
                return 0
            rows: list[Prediction] = []
            summed: list[Prediction] = []
            for *_, body in found:
                for is_summed, row in _rows(bytes(body)):
                    (summed if is_summed else rows).append(row)
            if way == "all":
                session.many(_ADD_PREDICTION, [_values(row) for row in rows])
            else:
                rows = [row for row in rows if _add(session, row)]
            self._sum(session, [*rows, *summed])
            session.change(
                f"DELETE FROM quart_app_journal WHERE id IN ({', '.join('?' * len(found))})",
                [id for id, *_ in found],
            )
        return sum(count for _, count, _ in found)

    def sum_up(self, session: Session, rows: Sequence[Prediction]) -> None:
        """Add rows to the summaries alone."""
        with session.transaction():
            self._sum(session, rows)

    def _sum(self, session: Session, rows: Sequence[Prediction]) -> None:
        if self._summaries is None:
            return
        groups: dict[Key, list[Prediction]] = defaultdict(list)
        for row in rows:
            groups[Key(row.model, row.version, row.variant, int(row.at // HOUR))].append(row)
        for key, group in groups.items():
            try:
                body = self._summaries.of(key, group)
                if body is None:
                    continue
                former = session.execute(f"SELECT body {_OF_KEY}", key)
                if former:
                    body = self._summaries.merged(bytes(former[0][0]), body)
            except RecordsUnavailable:
                raise
            except Exception:
                logger.exception("%d rows of %s stand in no summary.", len(group), key.model)
                continue
            session.execute(
                "INSERT INTO quart_app_summaries (model, version, variant, hour, body) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (model, version, variant, hour) "
                "DO UPDATE SET body = excluded.body",
                (*key, body),
            )

    # Reading ---------------------------------------------------------------------

    def predictions(
        self,
        model: str,
        since: float = 0.0,
        until: float = float("inf"),
        *,
        limit: int | None = None,
        after: Prediction | None = None,
    ) -> Iterator[Prediction]:
        """The rows of a model from `since` until before `until`, in seconds since 1970, the oldest
        first; at most `limit`, and only those that come after the row `after`."""
        with self.session() as session:
            self.unpack_all(session)
            pieces = _Pieces(session, _PREDICTION_COLUMNS, "quart_app_predictions AS p")
            for row in pieces.read(model, since, until, limit, after):
                yield prediction_of(row)

    def with_truth(
        self,
        model: str,
        since: float = 0.0,
        until: float = float("inf"),
        *,
        limit: int | None = None,
        after: Prediction | None = None,
    ) -> Iterator[tuple[Prediction, Any]]:
        """As `predictions`, those of which the truth is known, each with it. Of requests with the
        same id it is that of the last."""
        with self.session() as session:
            self.unpack_all(session)
            pieces = _Pieces(
                session,
                f"{_PREDICTION_COLUMNS}, t.truth",
                "quart_app_predictions AS p JOIN quart_app_truths AS t "
                f'ON t.id = p.id AND t."row" = p."row" AND t.model = p.model AND {_IS_LAST}',
            )
            for *row, truth in pieces.read(model, since, until, limit, after):
                yield prediction_of(row), msgspec.json.decode(truth)

    def count(self, model: str, since: float, until: float, most: int) -> int:
        """How many rows of a model there are from `since` until before `until`, or `most`."""
        with self.session() as session:
            self.unpack_all(session)
            found = session.execute(
                "SELECT count(*) FROM (SELECT 1 FROM quart_app_predictions "
                "WHERE model = ? AND at >= ? AND at < ? LIMIT ?) AS found",
                (model, since, until, most),
            )
        return int(found[0][0])

    def scored(
        self, model: str, since: float, until: float, limit: int
    ) -> Iterator[tuple[Prediction, Any]]:
        """What `with_truth` has, those first whose truth was told last, and without their inputs.

        It goes through truths, of which there may be few, and not through all predictions. One
        that was told more than EARLY before `since` is passed over.
        """
        with self.session() as session:
            self.unpack_all(session)
            place: tuple[Any, ...] = (math.inf, "", 0, "")
            while limit > 0:
                size = min(PIECE, limit)
                found = session.execute(_SCORED, (model, since - EARLY, since, until, *place, size))
                for _, *row, truth in found:
                    yield prediction_of(row), msgspec.json.decode(truth)
                if len(found) < size:
                    return
                limit -= len(found)
                last = found[-1]
                place = (last[0], last[1], last[2], last[7])

    def summaries(self, model: str, since: float, until: float) -> list[Summed]:
        """The summaries of the hours of a model that begin from the hour of `since` on and before
        `until`."""
        with self.session() as session:
            self.unpack_all(session)
            found = session.execute(
                "SELECT model, version, variant, hour, body FROM quart_app_summaries "
                "WHERE model = ? AND hour >= ? AND hour * 3600.0 < ? ORDER BY hour, version",
                (model, int(since // HOUR), until),
            )
        return [Summed(Key(*key), bytes(body)) for *key, body in found]


_SCORED: Final = (
    f"SELECT t.at, {_PREDICTION_COLUMNS.replace('p.inputs', 'NULL')}, t.truth "
    # SQLite keeps this order of tables, and finds predictions by their key, as all else of them is
    # an expression; PostgreSQL finds a way of its own.
    "FROM quart_app_truths AS t CROSS JOIN quart_app_predictions AS p "
    'WHERE t.model = ? AND t.at >= ? AND p.id = t.id AND p."row" = t."row" '
    f"AND p.model || '' = t.model AND p.at + 0 >= ? AND p.at + 0 < ? AND {_IS_LAST} "
    'AND (t.at, t.id, t."row", p.variant) < (?, ?, ?, ?) '
    'ORDER BY t.at DESC, t.id DESC, t."row" DESC, p.variant DESC LIMIT ?'
)

_OF_KEY: Final = (
    "FROM quart_app_summaries WHERE model = ? AND version = ? AND variant = ? AND hour = ?"
)


class _Pieces:
    """Reads rows of a model in the order of their moments, a piece at a time."""

    def __init__(self, session: Session, columns: str, tables: str) -> None:
        self._session = session
        self._select = f"SELECT {columns} FROM {tables}"

    def read(
        self,
        model: str,
        since: float,
        until: float,
        limit: int | None,
        after: Prediction | None,
    ) -> Iterator[Sequence[Any]]:
        place = (since, "", -1, "")
        if after is not None:
            place = (after.at, after.id, after.row, after.variant)
        left = limit
        while left is None or left > 0:
            size = PIECE if left is None else min(PIECE, left)
            found = self._session.execute(
                f"{self._select} WHERE p.model = ? AND p.at >= ? AND p.at < ? "
                'AND (p.at, p.id, p."row", p.variant) > (?, ?, ?, ?) '
                'ORDER BY p.at, p.id, p."row", p.variant LIMIT ?',
                (model, place[0], until, *place, size),
            )
            yield from found
            if len(found) < size:
                return
            left = None if left is None else left - len(found)
            last = prediction_of(found[-1])
            place = (last.at, last.id, last.row, last.variant)


def _rows(body: bytes) -> list[tuple[bool, Prediction]]:
    """The rows of a batch, each with whether it stands in a summary alone."""
    try:
        batch = unpack(body)
        return [
            (entry.summed, row) for entry in batch.entries for row in rows_of(batch.sources, entry)
        ]
    except (msgspec.DecodeError, ValueError, IndexError):
        logger.error(
            "A batch of %d bytes in the journal cannot be read, and is dropped.", len(body)
        )
        return []


def _add(session: Session, row: Prediction) -> bool:
    """Add a row where the database takes it."""
    try:
        session.execute("SAVEPOINT one")
        session.execute(_ADD_PREDICTION, _values(row))
    except RecordsUnavailable as error:
        if not error.unfit:
            raise
        session.execute("ROLLBACK TO SAVEPOINT one")
        logger.error("A row of %s cannot be kept: %s", row.model, error)
        return False
    finally:
        session.execute("RELEASE SAVEPOINT one")
    return True


def _values(row: Prediction) -> tuple[Any, ...]:
    return (
        row.id,
        row.row,
        row.at,
        row.model,
        row.version,
        row.digest,
        row.variant,
        row.door,
        row.status,
        row.milliseconds,
        row.error,
        _text(row.inputs),
        _text(row.outputs),
        _text(row.probabilities),
    )


def _text(value: object) -> str | None:
    return None if value is None else _json.encode(value).decode()


def prediction_of(row: Sequence[Any]) -> Prediction:
    """The prediction in a row with the columns of `COLUMNS`."""
    inputs, outputs, probabilities = (
        None if text is None else msgspec.json.decode(text) for text in row[11:14]
    )
    return Prediction(
        id=row[0],
        row=row[1],
        at=row[2],
        model=row[3],
        version=row[4],
        digest=row[5],
        variant=row[6],
        door=row[7],
        status=row[8],
        milliseconds=row[9],
        error=row[10],
        inputs=inputs,
        outputs=outputs,
        probabilities=probabilities,
    )
