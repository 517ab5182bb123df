"""The tables of the records, with a number, and how those of a lower number are brought to it.

A statement is in the SQL that SQLite and PostgreSQL share, with the names of types from
`Database.types` in braces. All tables begin with `quart_app_`, since a platform's database may hold
those of others.

- `quart_app_journal` holds batches as they were written, each packed in one row (`journal.py`),
  until they are unpacked.
- `quart_app_predictions` has a row for each row of a request and each variant that answered it.
  Clients choose ids, and may choose one again: what was said at another moment is another row.
- `quart_app_truths` has what turned out true of a row, whether or not it was recorded (yet), and
  `quart_app_former_truths` what was said before.
- `quart_app_summaries` has one for each hour of a version and variant; they outlast the rows.

1. The first.
"""

from __future__ import annotations

from typing import Final

from .database import Database, RecordsUnavailable, Session

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE IF NOT EXISTS quart_app_journal "
        "(id {serial}, at {real} NOT NULL, rows INTEGER NOT NULL, body {bytes} NOT NULL)",
        "CREATE TABLE IF NOT EXISTS quart_app_predictions "
        '(id TEXT NOT NULL, "row" INTEGER NOT NULL, '
        "at {real} NOT NULL, model TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT, "
        "variant TEXT NOT NULL, door TEXT NOT NULL, status INTEGER NOT NULL, "
        "milliseconds {real} NOT NULL, error TEXT, inputs TEXT, outputs TEXT, probabilities TEXT, "
        'PRIMARY KEY (id, "row", variant, at))',
        "CREATE INDEX IF NOT EXISTS quart_app_predictions_at ON quart_app_predictions (model, at)",
        "CREATE TABLE IF NOT EXISTS quart_app_truths "
        '(id TEXT NOT NULL, "row" INTEGER NOT NULL, '
        "at {real} NOT NULL, model TEXT NOT NULL, truth TEXT NOT NULL, "
        'PRIMARY KEY (id, "row"))',
        "CREATE INDEX IF NOT EXISTS quart_app_truths_at ON quart_app_truths (model, at)",
        "CREATE TABLE IF NOT EXISTS quart_app_former_truths "
        '(id TEXT NOT NULL, "row" INTEGER NOT NULL, '
        "at {real} NOT NULL, model TEXT NOT NULL, truth TEXT NOT NULL, "
        "replaced_at {real} NOT NULL)",
        "CREATE INDEX IF NOT EXISTS quart_app_former_truths_id "
        'ON quart_app_former_truths (id, "row")',
        "CREATE TABLE IF NOT EXISTS quart_app_summaries "
        "(model TEXT NOT NULL, version INTEGER NOT NULL, "
        "variant TEXT NOT NULL, hour INTEGER NOT NULL, body {bytes} NOT NULL, "
        "PRIMARY KEY (model, version, variant, hour))",
    ),
)

FORMAT: Final = len(MIGRATIONS)

NUMBER: Final = "quart_app_records_format"
TABLES: Final = (
    NUMBER,
    "quart_app_journal",
    "quart_app_predictions",
    "quart_app_truths",
    "quart_app_former_truths",
    "quart_app_summaries",
)


def prepare(database: Database, session: Session) -> None:
    """Make the tables, or bring them to this format; one process at a time.

    Raises:
        RecordsUnavailable: also where a newer program made them.
    """
    if _number(session) == FORMAT:
        return
    with session.transaction():
        session.execute(f"CREATE TABLE IF NOT EXISTS {NUMBER} (number INTEGER NOT NULL)")
        number = _number(session)
        if number > FORMAT:
            raise RecordsUnavailable(
                f"{database.place}: its records have format {number}, and this program knows up to "
                f"{FORMAT}; upgrade quart-app"
            )
        for statements in MIGRATIONS[number:]:
            for statement in statements:
                session.execute(statement.format(**database.types))
        session.execute(f"DELETE FROM {NUMBER}")
        session.execute(f"INSERT INTO {NUMBER} (number) VALUES (?)", (FORMAT,))


def _number(session: Session) -> int:
    """The format of the tables that are there, 0 where one of them is not."""
    if not all(map(session.has_table, TABLES)):
        return 0
    found = session.execute(f"SELECT number FROM {NUMBER}")
    return int(found[0][0]) if found else 0
