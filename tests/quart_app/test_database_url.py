"""Which URLs name a database, and that none of them tells its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from quart_app.config import Config, ConfigError
from quart_app.database_url import require_url, shown, sqlite_file

POSTGRES = {
    "postgres://host/name": "postgresql://host/name",
    "postgresql://host": "postgresql://host",
    "postgresql://": "postgresql://",
    "postgresql:///name?host=/run/postgresql": "postgresql:///name",
    "postgres://ann@host:5433/name": "postgresql://host:5433/name",
    "postgres://ann:s3cret@host:5433/name?sslmode=require": "postgresql://host:5433/name",
    "postgresql://ann:s%40%2F%3F%23%25cret@[::1]:5432/name": "postgresql://[::1]:5432/name",
    "postgresql://ann:s3cret@one:1,two:2/name": "postgresql://one:1,two:2/name",
    "postgresql://ann:s:3:cret@%2Frun%2Fpostgresql/name": "postgresql://%2Frun%2Fpostgresql/name",
    "postgresql://ann:sécret@host/name?options=-csearch_path%3Dx": "postgresql://host/name",
}


@pytest.mark.parametrize("url", POSTGRES)
def test_a_url_of_postgresql_is_shown_without_user_and_password(url: str) -> None:
    assert require_url(url) == url
    assert shown(url) == POSTGRES[url]
    assert sqlite_file(url) is None


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///tasks.sqlite3", "tasks.sqlite3"),
        ("sqlite:///a/b#c d%20é".replace(" ", "_"), "a/b#c_d%20é"),
        ("sqlite:////srv/tasks", "/srv/tasks"),
    ],
)
def test_a_url_of_sqlite_names_a_file_to_the_letter(url: str, file: str) -> None:
    assert sqlite_file(require_url(url)) == Path(file)
    assert shown(url) == file


NO_URL = "expected a URL of SQLite, sqlite:///FILE, or of PostgreSQL, "
NO_FILE = "expected a file after sqlite:///"
UNESCAPED = "expected a URL of PostgreSQL, .* with %40 for an @"

REFUSED = {
    "": NO_URL,
    "s3cret": NO_URL,
    "s3cret.sqlite3": NO_URL,
    "/srv/s3cret": NO_URL,
    "://ann:s3cret@host/name": NO_URL,
    "postgres:ann:s3cret@host/name": NO_URL,
    "postgres://ann:s3 cret@host/name": NO_URL,
    "postgres://ann:s3cret@host/name\n": NO_URL,
    "mysql://ann:s3cret@host/name": f"{NO_URL}.*, not of mysql",
    "postgresql+asyncpg://ann:s3cret@host/name": f"{NO_URL}.*, not of postgresql\\+asyncpg",
    "sqlite://": NO_FILE,
    "sqlite:///": NO_FILE,
    "sqlite:///:memory:": NO_FILE,
    "sqlite://s3cret/name": NO_FILE,
    "sqlite:///s3cret?mode=ro": NO_FILE,
    "postgres://ann:s3@cret@host/name": UNESCAPED,
    "postgres://ann:s3/cret@host/name": UNESCAPED,
    "postgres://ann:s3?cret@host/name": UNESCAPED,
    "postgres://ann:s3#cret@host/name": UNESCAPED,
    "postgres://ann:s3%cret@host/name": UNESCAPED,
    "postgres://ann:s3%00cret@host/name": UNESCAPED,
    "postgres://ann:s3cret@host:port/name": UNESCAPED,
    "postgres://ann:s3cret": UNESCAPED,
    "postgres://ho st@s3cret@/name".replace(" ", "_"): UNESCAPED,
}


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_url_of_ours_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=f"^DATABASE_URL: {REFUSED[url]}") as raised:
        Config.read({"DATABASE_URL": url})
    for secret in ("s3", "cret"):
        assert secret not in str(raised.value)


def test_the_settings_as_a_whole_do_not_tell_the_password() -> None:
    config = Config.read({"DATABASE_URL": "postgres://ann:s3cret@host/name"})
    assert config.database_url == "postgres://ann:s3cret@host/name"
    assert "s3cret" not in repr(config)
