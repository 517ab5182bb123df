"""How much is kept: days, rows, and what the disk has room for; the oldest goes first."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from typing import Final

from ..config import Config
from .database import Database, Session, SQLite

STEP: Final = 500
"""Rows that are deleted in one transaction."""

DAY: Final = 86_400
LOOK: Final = 10.0
"""Seconds between two looks at what is too old or too many."""

COUNT: Final = 300.0
"""Seconds after which the rows are counted anew: other processes add and delete as well."""

LEAST_FREE: Final = 64 * 1024 * 1024
LEAST_SHARE: Final = 0.05
"""Bytes, and the share of the disk, whichever is less, that stay free."""

REUSED: Final = 0.01
"""The share of the file that is free in itself with which it goes on beside a full disk."""

PREDICTIONS: Final = "quart_app_predictions"
TABLES: Final = (PREDICTIONS, "quart_app_truths")

AGE: Final = "age"
ROWS: Final = "rows"
DISK: Final = "disk"


class Bounds:
    """Deletes what is beyond the bounds, a step at a time. Belongs to one thread."""

    def __init__(self, config: Config) -> None:
        self.removed: Counter[str] = Counter()
        self._age = config.record_days * DAY
        self.most = config.record_max_rows
        self._looked = 0.0
        self._counted = 0.0
        self._rows: Counter[str] = Counter()

    def added(self, rows: int) -> None:
        """Count rows that were added."""
        self._rows[PREDICTIONS] += rows

    def is_due(self) -> bool:
        """Whether it is time to look."""
        return time.monotonic() - self._looked > LOOK

    def has_room(self, database: Database) -> bool:
        """Whether the disk has room for more; of a server's nothing is known."""
        if not isinstance(database, SQLite):
            return True
        try:
            usage = shutil.disk_usage(database.file.parent)
        except OSError:
            return True
        return usage.free >= min(LEAST_FREE, LEAST_SHARE * usage.total)

    def has_holes(self, session: Session) -> bool:
        """Whether the file has free pages for more."""
        free = session.execute("PRAGMA freelist_count")[0][0]
        pages = session.execute("PRAGMA page_count")[0][0]
        return bool(free > max(REUSED * pages, 64))

    def make_room(self, session: Session) -> None:
        """Delete some of the oldest from a file of SQLite, so that there is room in it for others,
        and give back what its log takes."""
        session.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._delete_oldest(session, DISK)

    def step(self, session: Session, packed: int) -> None:
        """Delete some of what is too old or too many, so many rows in the journal included."""
        now = time.monotonic()
        if now - self._counted > COUNT or not self._counted:
            for table in TABLES:
                self._rows[table] = session.execute(f"SELECT count(*) FROM {table}")[0][0]
            self._counted = now
        cutoff = time.time() - self._age
        aged = sum(self._delete_before(session, table, cutoff) for table in TABLES)
        session.change("DELETE FROM quart_app_former_truths WHERE replaced_at < ?", (cutoff,))
        many = 0
        for table in TABLES:
            rows = self._rows[table]
            excess = rows - self.most + (packed if table == PREDICTIONS else 0)
            if rows and excess > 0:
                many += self._delete_oldest(session, ROWS, table, min(STEP, excess))
        if not aged and not many:
            self._looked = now

    def _delete_before(self, session: Session, table: str, cutoff: float) -> int:
        found = _oldest(session, table)
        if found is None or found[1] >= cutoff:
            return 0
        return self._delete(session, table, found[0], STEP, AGE, cutoff)

    def _delete_oldest(
        self, session: Session, reason: str, table: str = PREDICTIONS, rows: int = STEP
    ) -> int:
        found = _oldest(session, table)
        if found is None:
            return 0
        return self._delete(session, table, found[0], rows, reason, float("inf"))

    def _delete(
        self, session: Session, table: str, model: str, rows: int, reason: str, cutoff: float
    ) -> int:
        """Delete about so many rows of a model, the oldest, of those before the cutoff."""
        with session.transaction():
            last = session.execute(
                f"SELECT at FROM {table} WHERE model = ? ORDER BY at LIMIT 1 OFFSET ?",
                (model, rows - 1),
            )
            until = min(last[0][0], cutoff) if last else cutoff
            deleted = session.change(
                f"DELETE FROM {table} WHERE model = ? AND at <= ?", (model, until)
            )
        self.removed[reason] += deleted
        self._rows[table] -= deleted
        return deleted


def _oldest(session: Session, table: str) -> tuple[str, float] | None:
    """The model that has the oldest row, and the moment of that."""
    found: list[tuple[float, str]] = []
    model = ""
    while True:
        # A model at a time by the index: to group all rows would read each of them.
        row = session.execute(f"SELECT min(model) FROM {table} WHERE model > ?", (model,))
        model = row[0][0]
        if model is None:
            break
        at = session.execute(f"SELECT min(at) FROM {table} WHERE model = ?", (model,))[0][0]
        if at is not None:
            found.append((at, model))
    if not found:
        return None
    at, model = min(found)
    return model, at
