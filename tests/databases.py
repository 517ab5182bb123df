"""The databases that tests use: a SQLite file, and PostgreSQL at TEST_POSTGRES_URL, whose user may
create schemas: each test has its own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def postgres_schema() -> Iterator[str]:
    """The URL of a new schema, which is removed afterwards."""
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        if os.environ.get("REQUIRE_POSTGRES"):
            pytest.fail("TEST_POSTGRES_URL is not set")
        pytest.skip("TEST_POSTGRES_URL is not set")
    schema = f"test_{uuid.uuid4().hex}"
    execute(server, f"CREATE SCHEMA {schema}")
    try:
        yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
    finally:
        execute(server, f"DROP SCHEMA {schema} CASCADE")


def execute(url: str, statement: str) -> None:
    """Run a statement beside the app, and commit."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.execute(statement)
            file.commit()
    else:
        import psycopg

        with psycopg.connect(url, autocommit=True) as server:
            server.execute(statement.encode())
