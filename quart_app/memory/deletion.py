"""Deletes records so that nothing of them is left: not in a table, and not in its file.

A row that is deleted stays in the file of a database until something else is written there, and
`secure_delete` of SQLite leaves what was moved within a page before. So the file is written anew:
by VACUUM and a checkpoint that truncates the log in SQLite, by VACUUM FULL in PostgreSQL, where a
plain VACUUM leaves most of it. Hourly summaries, which hold counts, stay; so do backups, replicas
and the log of PostgreSQL, for as long as these are kept.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from .database import Session
from .prediction import Prediction, record_id
from .store import Records
from .truths import Place

STEP: Final = 150
"""Rows that are deleted in one transaction, so that nobody who writes waits for long."""

LEAST_PAUSE, MOST_PAUSE = 0.002, 0.1
"""Seconds between two transactions, in which others may write: as many as the last one took."""

TRUTHS: Final = ("quart_app_truths", "quart_app_former_truths")
TABLES: Final = ("quart_app_journal", "quart_app_predictions", *TRUTHS)


PLACE: Final = ("id", '"row"')
PLACE_TYPES: Final = ("TEXT", "INTEGER")

OF_MODEL: Final = "model || '' = ?"
"""An expression, so that SQLite takes the index of ids for it, not that of models and moments."""


class Deleted(NamedTuple):
    """How many predictions and truths there are no longer, former ones included."""

    predictions: int
    truths: int

    def with_others(self, more: Deleted) -> Deleted:
        """Both together."""
        return Deleted(self.predictions + more.predictions, self.truths + more.truths)


class _Key(NamedTuple):
    """A prediction; or with the last moment of all the truth alone, of whatever was predicted."""

    id: str
    row: int
    variant: str = ""
    at: float = math.inf


def delete_ids(records: Records, model: str, ids: Iterable[str]) -> Deleted:
    """Delete all rows of requests.

    Raises:
        RecordsUnavailable
    """
    with records.session() as session:
        records.unpack_all(session)
        keys: list[_Key] = []
        for id in map(record_id, ids):
            # By the id alone, so that it is found by the index that begins with it.
            found = session.execute(
                'SELECT model, "row", variant, at FROM quart_app_predictions WHERE id = ?', (id,)
            )
            keys += [_Key(id, *key) for of, *key in found if of == model]
            for table in TRUTHS:
                found = session.execute(f'SELECT model, "row" FROM {table} WHERE id = ?', (id,))
                keys += [_Key(id, row) for of, row in found if of == model]
        deleted = _delete(session, model, keys)
        session.rewrite(TABLES)
    return deleted


def delete_where(records: Records, model: str, is_meant: Callable[[Prediction], bool]) -> Deleted:
    """Delete the predictions that are meant.

    Raises:
        RecordsUnavailable
    """
    with records.session() as session:
        keys = [
            _Key(each.id, each.row, each.variant, each.at)
            for each in records.predictions(model)
            if is_meant(each)
        ]
        deleted = _delete(session, model, keys)
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
        for keys in _before(session, model, moment):
            deleted = deleted.with_others(_delete(session, model, keys))
        session.rewrite(TABLES)
    return deleted


def _before(session: Session, model: str, moment: float) -> Iterator[Sequence[_Key]]:
    """What is to be deleted, each piece read when the former has been."""
    for query in (
        'SELECT id, "row", variant, at FROM quart_app_predictions WHERE model = ? AND at < ? '
        "LIMIT ?",
        'SELECT id, "row" FROM quart_app_truths AS t WHERE model = ? AND at < ? AND NOT EXISTS ('
        'SELECT 1 FROM quart_app_predictions AS p WHERE p.id = t.id AND p."row" = t."row") LIMIT ?',
    ):
        while found := session.execute(query, (model, moment, STEP)):
            yield [_Key(*key) for key in found]


def _delete(session: Session, model: str, keys: Sequence[_Key]) -> Deleted:
    deleted = Deleted(0, 0)
    for start in range(0, len(keys), STEP):
        begun = time.monotonic()
        with session.transaction():
            found = _delete_step(session, model, keys[start : start + STEP])
        deleted = deleted.with_others(found)
        # Who waits for SQLite only looks now and then whether it is free.
        time.sleep(min(max(time.monotonic() - begun, LEAST_PAUSE), MOST_PAUSE))
    return deleted


def _delete_step(session: Session, model: str, keys: Sequence[_Key]) -> Deleted:
    condition, values = _among(
        ("id", '"row"', "variant", "at"), ("TEXT", "INTEGER", "TEXT", "DOUBLE PRECISION"), keys
    )
    predictions = session.change(
        f"DELETE FROM quart_app_predictions WHERE {OF_MODEL} AND {condition}", [model, *values]
    )
    # The truth is that of the last request by an id: it stays where that does.
    last: dict[Place, float] = {}
    for key in keys:
        last[key.id, key.row] = max(key.at, last.get((key.id, key.row), -math.inf))
    left = _last(session, model, [*last])
    gone = [place for place, at in last.items() if left.get(place, -math.inf) < at]
    return Deleted(
        predictions,
        _delete_places(session, TRUTHS[0], model, gone)
        + _delete_places(session, TRUTHS[1], model, [*last]),
    )


def _last(session: Session, model: str, places: Sequence[Place]) -> dict[Place, float]:
    """The moment of the last prediction that there still is, at each of these places."""
    condition, values = _among(PLACE, PLACE_TYPES, places)
    found = session.execute(
        f'SELECT id, "row", max(at) FROM quart_app_predictions WHERE {OF_MODEL} AND {condition} '
        'GROUP BY id, "row"',
        [model, *values],
    )
    return {(id, row): at for id, row, at in found}


def _delete_places(session: Session, table: str, model: str, places: Sequence[Place]) -> int:
    if not places:
        return 0
    condition, values = _among(PLACE, PLACE_TYPES, places)
    return session.change(f"DELETE FROM {table} WHERE {OF_MODEL} AND {condition}", [model, *values])


def _among(
    columns: Sequence[str], types: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> tuple[str, list[object]]:
    """The condition that these columns, of which the first is the id, are among the rows, and its
    values. The ids alone lead to the index; PostgreSQL takes types from nowhere else."""
    ids = list(dict.fromkeys(row[0] for row in rows))
    row = f"({', '.join(f'CAST(? AS {type})' for type in types)})"
    condition = (
        f"id IN ({', '.join('?' * len(ids))}) AND "
        f"({', '.join(columns)}) IN (VALUES {', '.join([row] * len(rows))})"
    )
    return condition, [*ids, *itertools.chain.from_iterable(rows)]
