"""Numbers, dates and categories as text: how each is written, and what a text reads as."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Final

NAMES_SHOWN: Final = 20
"""So many names are listed in a sentence."""
VALUE_LENGTH: Final = 60
"""Characters of a value in a sentence for whoever publishes."""

INTEGER_LENGTH: Final = 40
"""Longer digits are read as a float: they are beyond 64 bits, where a float says so as well."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.]+(?:Z|[+-][0-9:]+)?)?")


def parse_number(value: str) -> float | int | None:
    """The number that a text writes in decimal, or None."""
    if not _NUMBER.fullmatch(value):
        return None
    if value.lstrip("+-").isdigit() and len(value) <= INTEGER_LENGTH:
        return int(value)
    return float(value)


def parse_date(value: str) -> datetime | None:
    """The moment that ISO 8601 text names, or None."""
    if not _DATE.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def iso(value: date) -> str:
    """A date, or a date and time where it has one, as ISO 8601 text."""
    if not isinstance(value, datetime):
        return value.isoformat()
    midnight = value.tzinfo is None and value.time() == datetime.min.time()
    return value.date().isoformat() if midnight else value.isoformat()


def shown_category(value: str | float | bool) -> str:
    """A category as text: 2 and not 2.0."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:.12g}"
    return short if float(short) == value else repr(value)


def told_category(value: str | float | bool) -> str:
    """A category in a sentence: in quotes where nothing else would show where it ends."""
    text = shown_category(value)
    return text if text and text == text.strip() else f'"{text}"'


def shown_value(value: object) -> str:
    """A value of any type as Python writes it, shortened."""
    text = repr(value)
    return text if len(text) <= VALUE_LENGTH else f"{text[: VALUE_LENGTH - 1]}…"
