"""Packages that the plain install does not bring, by the extra that does."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

TOUR: Final = ("aiosqlite", "gmpy2", "sqlalchemy")
"""The distributions of the extra `tour`, which are imported by the same names."""


def missing(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed. Nothing is imported."""
    return [package for package in packages if find_spec(package) is None]
