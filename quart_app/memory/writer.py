"""The thread that records: from the queue into the journal, and from there into rows.

What waits is packed in batches, each one row of the journal, and what waits by then goes into the
same transaction. When nobody wants the processor, rows and summaries are made of the journal, and
what is beyond the bounds is deleted, both in small steps. Under load the journal grows up to
BACKLOG rows before that is done beside the requests.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from model_store import InvalidRows, ModelStoreError
from model_store.manifest import ARTIFACT

from ..inference import InferenceRequest, InvalidRequest
from .bounds import Bounds
from .cells import Columns, columns_of, kept, probabilities_of, sound_columns
from .database import RecordsUnavailable, Session
from .journal import Batch, Entry, Source, pack
from .pace import Pace
from .prediction import record_id
from .store import Records
from .waiting import Item, Waiting

BATCH_ROWS: Final = 128
TOGETHER: Final = 16
"""Batches that are added in one transaction, where so much waits."""

GATHER: Final = 0.2
"""Seconds in which rows are gathered: a transaction costs as much as to pack a hundred of them."""

BREATH: Final = 0.0005
"""Seconds after each batch in which others may have the interpreter."""

TICK: Final = 1.0
"""Seconds between two looks at what can wait, where nothing comes."""

UNPACKED: Final = 2
"""Batches that are unpacked at a time."""

BACKLOG: Final = 200_000
"""Rows in the journal beyond which they are unpacked also while others want the processor; a
quarter of those that are kept where that is less."""

REST: Final = 1.0
BUSY_REST: Final = 9.0
"""How many times as long as it took to unpack some batches the thread rests afterwards."""

WAITS: Final = (0.1, 0.25, 0.5, 1.0)
"""Seconds until a database that failed is tried again; the last one from then on."""

LEAVE: Final = 2.0
"""Seconds that what waits has at the end of the process."""

UNFIT: Final = "unfit"
DISK: Final = "disk"
UNWRITTEN: Final = "unwritten"
"""Why rows are not kept: they cannot be written down, the disk has no room, or the process ended
before the database took them."""

logger = logging.getLogger(__name__)

Taken = list[tuple[Item, int]]
Packed = tuple[float, int, bytes]
"""The moment, the number of rows and the body of a batch."""


class Writer:
    """Writes what waits. `kept` counts the rows that are in the database, `dropped` by reason those
    that will never be."""

    def __init__(self, waiting: Waiting, records: Records, bounds: Bounds) -> None:
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.bounds = bounds
        self._waiting = waiting
        self._records = records
        self._session: Session | None = None
        self._backlog = 0
        self._pace = Pace()
        self._failures = 0
        self._closing = threading.Event()
        # A daemon, since a database that hangs must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, seconds: float = LEAVE) -> None:
        """Write what waits, for at most so long. Blocks."""
        self._closing.set()
        self._waiting.wake.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        if left := self._waiting.rows:
            self.dropped[UNWRITTEN] += left
            logger.warning("%d predictions are not recorded: the database did not take them.", left)

    # The thread --------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            if self._waiting.wake.wait(TICK):
                self._closing.wait(GATHER)
                self._waiting.wake.clear()
            try:
                self._write_all()
                self._do_what_can_wait()
            except RecordsUnavailable as error:
                self._note_failure(error)
            except Exception:
                logger.exception("recording failed; it goes on")
                self._closing.wait(TICK)
        try:
            self._write_all()
        except Exception:
            logger.exception("recording failed")
        self._close_session()

    def _write_all(self) -> None:
        """Write all that waits."""
        while True:
            taken: Taken = []
            batches: list[Packed] = []
            while len(batches) < TOGETHER and (some := self._waiting.take(BATCH_ROWS)):
                taken += some
                batches += self._packed([item for item, _ in some])
                time.sleep(BREATH)
            if not taken:
                return
            try:
                self._write(batches)
            finally:
                self._waiting.done(taken)

    def _write(self, batches: Sequence[Packed]) -> None:
        """Write batches, however often that has to be tried."""
        rows = sum(count for _, count, _ in batches)
        while batches:
            try:
                session = self._opened()
                if not self._has_room(session):
                    self.dropped[DISK] += rows
                    return
                self._records.add(session, batches)
            except RecordsUnavailable as error:
                if error.unfit:
                    self.dropped[UNFIT] += rows
                    logger.error("%d predictions are not recorded: %s", rows, error)
                    return
                self._note_failure(error)
                if error.full:
                    self.dropped[DISK] += rows
                    with contextlib.suppress(RecordsUnavailable):
                        self.bounds.make_room(self._opened())
                    return
            else:
                self._note_success()
                self.kept += rows
                self._backlog += rows
                return

    def _packed(self, items: Sequence[Item]) -> list[Packed]:
        """A batch of these; none where nothing of them fits one, and several where one does not."""
        sources: dict[Source, int] = {}
        entries: list[Entry] = []
        try:
            for item in items:
                entries.append(_entry(item, sources))
            body = pack(Batch([*sources], entries))
        except Exception as error:
            if len(items) > 1:
                return [batch for item in items for batch in self._packed([item])]
            (item,) = items
            self.dropped[UNFIT] += item.rows
            logger.error("A prediction of %s is not recorded: %r", item.manifest.name, error)
            return []
        return [(entries[0].at, sum(entry.rows for entry in entries), body)]

    # What can wait -----------------------------------------------------------------

    def _do_what_can_wait(self) -> None:
        """Unpack and delete, until there is something to write."""
        while not self._closing.is_set() and not self._waiting.wake.is_set():
            if not self._backlog and not self.bounds.is_due():
                return
            idle = self._pace.is_idle()
            if not idle and self._backlog < min(BACKLOG, self.bounds.most // 4):
                return
            begun = time.monotonic()
            self._tidy(self._opened())
            took = time.monotonic() - begun
            self._closing.wait((REST if idle else BUSY_REST) * took)

    def _tidy(self, session: Session) -> None:
        """Unpack some batches, or delete some rows."""
        if self.bounds.is_due():
            self.bounds.step(session, self._backlog)
            return
        rows = self._records.unpack(session, UNPACKED)
        self.bounds.added(rows)
        self._backlog = max(0, self._backlog - rows) if rows else 0

    # The database ------------------------------------------------------------------

    def _opened(self) -> Session:
        """A connection that works as far as one can tell."""
        if self._session is not None and not self._session.is_current():
            self._close_session()
        if self._session is None:
            self._session = self._records.open()
            self._backlog = self._records.backlog(self._session)
        return self._session

    def _close_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _has_room(self, session: Session) -> bool:
        """Whether the disk has room for a batch; where it has not, room is made in the file."""
        if self.bounds.has_room(self._records.database):
            return True
        self.bounds.make_room(session)
        return self.bounds.has_holes(session)

    def _note_failure(self, error: RecordsUnavailable) -> None:
        """Tell of a failure once, and wait until the database may be tried again."""
        if not self._failures:
            logger.warning("predictions are not recorded for the time being: %s", error)
        is_current = self._session is None or self._session.is_current()
        self._close_session()
        # A file that never was a database of records may be somebody else's.
        if error.damaged and is_current and self.kept:
            aside = self._records.database.set_aside()
            if aside is not None:
                logger.error("%s is no sound database; it is now %s", error, aside)
        pause = WAITS[min(self._failures, len(WAITS) - 1)]
        self._failures += 1
        if self._closing.wait(pause):
            time.sleep(WAITS[0])

    def _note_success(self) -> None:
        if self._failures:
            logger.warning("predictions are recorded again")
            self._failures = 0


def _entry(item: Item, sources: dict[Source, int]) -> Entry:
    """A request as a part of a batch, whose sources get another where it has one of its own."""
    columns = None if item.request is None else _columns(item, item.request)
    manifest = item.manifest
    source = Source(
        manifest.name, manifest.version, manifest.files[ARTIFACT].sha256, tuple(columns or ())
    )
    return Entry(
        source=sources.setdefault(source, len(sources)),
        id=record_id(item.id),
        at=item.at,
        variant=item.variant,
        door=item.door,
        status=item.status,
        milliseconds=item.milliseconds,
        error=item.error,
        rows=item.rows,
        columns=None if columns is None else [*columns.values()],
        labels=None if item.labels is None else item.labels.tolist(),
        probabilities=probabilities_of(item.probabilities),
        summed=item.summed,
    )


def _columns(item: Item, request: InferenceRequest) -> Columns | None:
    """What is kept of the values of a request; of one that failed only what fits the model."""
    try:
        columns = columns_of(item.manifest, request, checked=item.error is not None)
    except InvalidRows as error:
        found = sound_columns(item.manifest, request, error)
        if found is None:
            return None
        columns = found
    except (InvalidRequest, ModelStoreError):
        return None
    return kept(columns, item.settings)
