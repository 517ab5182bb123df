"""Gates as people write them: shares such as `5%`, and times such as `2x`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from .head import Gates


def share(value: object) -> float:
    """A share from 0 to 1, given as `5%`, as `0.05` or as a number.

    Raises:
        ValueError: it is none; the message says what was expected.
    """
    text = str(value).strip()
    is_percent = text.endswith("%")
    try:
        found = float(text.removesuffix("%")) / (100 if is_percent else 1)
    except ValueError:
        found = math.nan
    if isinstance(value, bool) or not 0 <= found <= 1:
        raise ValueError("a share from 0 to 1 such as 5% or 0.05")
    return found


def times(value: object) -> float:
    """How many times as much, given as `2x`, as `2` or as a number.

    Raises:
        ValueError: as `share`.
    """
    try:
        found = float(str(value).strip().removesuffix("x"))
    except ValueError:
        found = math.nan
    if isinstance(value, bool) or not 0 < found < math.inf:
        raise ValueError("how many times such as 2x, above 0")
    return found


def count(value: object) -> int:
    """How many requests.

    Raises:
        ValueError: as `share`.
    """
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) > 0):
        raise ValueError("a number of requests from 1 on")
    return int(text)


READERS: Final[Mapping[str, Callable[[object], float]]] = {
    "max_errors": share,
    "max_different": share,
    "max_slower": times,
    "after": count,
    "promote_after": count,
}
"""How each field of `Gates` is read."""


def gates(given: Mapping[str, object]) -> Gates:
    """The gates of these fields; what is None is as by default.

    Raises:
        ValueError: the message names the field and what was expected.
    """
    found: dict[str, Any] = {}
    for name, read in READERS.items():
        value = given.get(name)
        if value is None:
            continue
        try:
            found[name] = read(value)
        except ValueError as error:
            raise ValueError(f"{name}: expected {error}, got {value!r:.60}.") from None
    return Gates(**found)
