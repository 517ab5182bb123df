from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quart_app.memory.database import Database
from quart_app.memory.store import Records

from ...databases import postgres_schema


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A database in a folder that is not there yet."""
    return f"sqlite:///{tmp_path}/data/records.sqlite3"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A schema of the test's own, removed afterwards."""
    with postgres_schema() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A new database of either kind."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def records(url: str) -> Records:
    """Records in a new database of either kind, which stand in no summary."""
    return Records(Database.at(url, seconds=10))
