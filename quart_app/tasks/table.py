"""The table of tasks in a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Identity,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    literal,
    select,
    update,
)

from .database import Database
from .task import MAX_TASKS, Task

METADATA = MetaData()
TABLE = Table(
    "quart_app_tasks",  # a platform's database may hold the tables of others
    METADATA,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        Identity(always=True),
        primary_key=True,
    ),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("done", Boolean, nullable=False),
    sqlite_autoincrement=True,  # else the id of a task that was removed is given again
)


class TaskTable:
    """The tasks in a database. Every method raises TasksUnavailable."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def prepare(self, first: Sequence[tuple[str, str]]) -> None:
        """Make the table where there is none, with these titles and descriptions in it.

        Processes that do so at once make it once.
        """
        await self.database.prepare(partial(_make_table, first))

    async def all(self) -> list[Task]:
        async with self.database.connected() as connection:
            rows = await connection.execute(select(TABLE).order_by(TABLE.c.id))
            return [_task(row) for row in rows]

    async def get(self, id: int) -> Task | None:
        async with self.database.connected() as connection:
            rows = await connection.execute(select(TABLE).where(TABLE.c.id == id))
            return _task_or_none(rows.first())

    async def add(self, title: str, description: str) -> Task | None:
        """None where there are as many as are kept.

        Processes that add the last one at once may exceed that by as many on PostgreSQL.
        """
        number = select(func.count()).select_from(TABLE).scalar_subquery()
        values = select(
            literal(title, Text), literal(description, Text), literal(False, Boolean)
        ).where(number < MAX_TASKS)
        statement = insert(TABLE).from_select(["title", "description", "done"], values)
        async with self.database.connected() as connection:
            rows = await connection.execute(statement.returning(*TABLE.c))
            return _task_or_none(rows.first())

    async def update(self, id: int, changes: Mapping[str, object]) -> Task | None:
        statement = update(TABLE).where(TABLE.c.id == id).values(**changes)
        async with self.database.connected() as connection:
            rows = await connection.execute(statement.returning(*TABLE.c))
            return _task_or_none(rows.first())

    async def remove(self, id: int) -> bool:
        """Whether it was there."""
        async with self.database.connected() as connection:
            result = await connection.execute(delete(TABLE).where(TABLE.c.id == id))
            return result.rowcount > 0


def _make_table(first: Sequence[tuple[str, str]], connection: Connection) -> None:
    if inspect(connection).has_table(TABLE.name):
        return
    METADATA.create_all(connection, checkfirst=False)
    for title, description in first:
        connection.execute(insert(TABLE).values(title=title, description=description, done=False))


def _task(row: Row[Any]) -> Task:
    return Task(row.id, row.title, row.description, row.done)


def _task_or_none(row: Row[Any] | None) -> Task | None:
    return None if row is None else _task(row)
