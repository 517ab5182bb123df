"""Packages that some servers go without: those of extras, and those of pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

TOUR: Final = ("aiosqlite", "gmpy2", "sqlalchemy")
"""The distributions of the extra `tour`, which are imported by the same names."""

RECORD_SQLITE: Final = ("sqlite3",)
RECORD_POSTGRES: Final = ("psycopg",)
"""What records of predictions need in each database: the first comes with most Pythons, the second
with the extra `record`."""

PIPELINES: Final = ("joblib", "scikit-learn")
"""The distributions that pipelines need, and their plain forms do not."""


def missing(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed. Nothing is imported."""
    return [package for package in packages if find_spec(package) is None]
