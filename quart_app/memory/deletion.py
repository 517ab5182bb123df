"""Deletes records so that nothing of them is left: not in a table, and not in its file.

A row that is deleted stays in the file of a database until something else is written there, and
`secure_delete` of SQLite leaves what was moved within a page before. So the file is written anew:
by VACUUM and a checkpoint that truncates the log in SQLite, by VACUUM FULL in PostgreSQL, where a
plain VACUUM leaves most of it. Hourly summaries, which hold counts, stay; so do backups, replicas
and the log of PostgreSQL, for as long as these are kept.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from .database import Session
from .prediction import Prediction, record_id
from .store import Records
from .truths import Place

STEP: Final = 200
"""Rows that are deleted in one transaction, so that nobody who writes waits for long."""

LEAST_PAUSE, MOST_PAUSE = 0.002, 0.1
"""Seconds between two transactions, in which others may write: as many as the last one took."""

TABLES: Final = (
    "quart_app_journal",
    "quart_app_predictions",
    "quart_app_truths",
    "quart_app_former_truths",
)


class Deleted(NamedTuple):
    """How many predictions and truths there are no longer, former ones included."""

    predictions: int
    truths: int

    def __bool__(self) -> bool:
        return self.predictions > 0 or self.truths > 0


def delete_ids(records: Records, model: str, ids: Iterable[str]) -> Deleted:
    """Delete all rows of requests.

    Raises:
        RecordsUnavailable
    """
    with records.session() as session:
        records.unpack_all(session)
        places: list[Place] = []
        for id in map(record_id, ids):
            for table in TABLES[1:]:
                # By the id alone, so that it is found by the index that begins with it.
                found = session.execute(f'SELECT model, "row" FROM {table} WHERE id = ?', (id,))
                places += [(id, row) for of, row in found if of == model]
        deleted = _delete(session, model, places)
        session.rewrite(TABLES)
    return deleted


def delete_where(records: Records, model: str, is_meant: Callable[[Prediction], bool]) -> Deleted:
    """Delete the rows of requests of which a prediction is meant.

    Raises:
        RecordsUnavailable
    """
    with records.session() as session:
        places = ((each.id, each.row) for each in records.predictions(model) if is_meant(each))
        deleted = _delete(session, model, dict.fromkeys(places))
        session.rewrite(TABLES)
    return deleted


def delete_before(records: Records, model: str, moment: float) -> Deleted:
    """Delete what was predicted before a moment, in seconds since 1970, with what turned out true
    of it; and the truths that were told before of what was never recorded.

    Raises:
        RecordsUnavailable
    """
    deleted = Deleted(0, 0)
    with records.session() as session:
        records.unpack_all(session)
        for places in _before(session, model, moment):
            found = _delete(session, model, places)
            deleted = Deleted(*map(sum, zip(deleted, found, strict=True)))
        session.rewrite(TABLES)
    return deleted


def _before(session: Session, model: str, moment: float) -> Iterator[Sequence[Place]]:
    """The places that are to be deleted, each piece read when the former has been."""
    for query in (
        'SELECT id, "row" FROM quart_app_predictions WHERE model = ? AND at < ? LIMIT ?',
        'SELECT id, "row" FROM quart_app_truths AS t WHERE model = ? AND at < ? AND NOT EXISTS ('
        "SELECT 1 FROM quart_app_predictions AS p WHERE p.id = t.id) LIMIT ?",
    ):
        while found := session.execute(query, (model, moment, STEP)):
            yield [(id, row) for id, row in found]


def _delete(session: Session, model: str, places: Iterable[Place]) -> Deleted:
    wanted = list(dict.fromkeys(places))
    deleted = Deleted(0, 0)
    for start in range(0, len(wanted), STEP):
        begun = time.monotonic()
        found = _delete_step(session, model, wanted[start : start + STEP])
        deleted = Deleted(*map(sum, zip(deleted, found, strict=True)))
        # Who waits for SQLite only looks now and then whether it is free.
        time.sleep(min(max(time.monotonic() - begun, LEAST_PAUSE), MOST_PAUSE))
    return deleted


def _delete_step(session: Session, model: str, places: Sequence[Place]) -> Deleted:
    one = "(CAST(? AS TEXT), CAST(? AS INTEGER))"  # PostgreSQL takes no type from where it compares
    condition = f'model = ? AND (id, "row") IN (VALUES {", ".join([one] * len(places))})'
    values = [model, *itertools.chain.from_iterable(places)]
    with session.transaction():
        predictions, *truths = [
            session.change(f"DELETE FROM {table} WHERE {condition}", values) for table in TABLES[1:]
        ]
    return Deleted(predictions, sum(truths))
