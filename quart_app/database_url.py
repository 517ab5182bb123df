"""The URL of a database, which may hold a password: checked, and named without it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

SQLITE: Final = "sqlite:///"
POSTGRES: Final = ("postgres://", "postgresql://")

_EITHER = "a URL of SQLite, sqlite:///FILE, or of PostgreSQL, postgresql://USER:PASSWORD@HOST/NAME"
_FILE = "a file after sqlite:///, and nothing after its name"
_ESCAPED = (
    "a URL of PostgreSQL, postgresql://USER:PASSWORD@HOST:PORT/NAME, with %40 for an @ in the "
    "password, and likewise %23 for #, %25 for %, %2F for / and %3F for ?"
)
_PORT = r"(:\d{0,5})?"
_HOST = rf"(\[[0-9A-Fa-f:.%]+\]|[\w.~%-]*){_PORT}"
# libpq quotes in its messages what it cannot parse, which may be the half of a password. So
# nothing gets there that is not clearly split into user, password and hosts.
_POSTGRES = re.compile(
    rf"postgres(?:ql)?://(?:[^@/?#]*@)?(?P<place>{_HOST}(?:,{_HOST})*(?:/[^@/?#]*)?)(?:\?[^@#]*)?",
    re.ASCII,
)


def require_url(text: str) -> str:
    """The text, which is a URL of one of our databases.

    Raises:
        ValueError: it is not; the message says what was expected and quotes nothing of it but
            the name of another database.
    """
    scheme = re.match(r"[a-z][a-z0-9+.-]*(?=://)", text)
    if scheme is None or not text.isprintable() or " " in text:
        raise ValueError(_EITHER)
    if text.startswith(SQLITE):
        if "?" in text or text.removeprefix(SQLITE) in {"", ":memory:"}:
            raise ValueError(_FILE)
    elif text.startswith(POSTGRES):
        if not _POSTGRES.fullmatch(text) or re.search(r"%(?![0-9A-Fa-f]{2})|%00", text):
            raise ValueError(_ESCAPED)
    else:
        raise ValueError(_FILE if scheme[0] == "sqlite" else f"{_EITHER}, not of {scheme[0]}")
    return text


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for PostgreSQL."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def shown(url: str) -> str:
    """The database as messages name it: a file, or hosts and name without user and password."""
    found = _POSTGRES.fullmatch(url)
    return f"postgresql://{found['place']}" if found else str(sqlite_file(url))
