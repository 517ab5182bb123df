"""How many processes serve, and in how many threads native code runs: what has to be known before
anything large is imported.

Source: https://devcenter.heroku.com/articles/optimizing-dyno-usage: a platform that sets
WEB_CONCURRENCY by itself says so in WEB_CONCURRENCY_SET_BY. It counts processors, and knows nothing
of the memory that a model takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

OPTION: Final = "--workers"
ORDERS: Final = "--orders"
"""An option of `serve` for a supervisor alone."""

VARIABLE: Final = "QUART_APP_WORKERS"
COMMON_VARIABLE: Final = "WEB_CONCURRENCY"
SET_BY_PLATFORM: Final = "WEB_CONCURRENCY_SET_BY"

ONE_THREAD: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def variable_in(environment: Mapping[str, str]) -> str | None:
    """The variable that says how many there are to be, where one does."""
    if VARIABLE in environment:
        return VARIABLE
    if COMMON_VARIABLE in environment and SET_BY_PLATFORM not in environment:
        return COMMON_VARIABLE
    return None


def workers_of(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """How many workers the options of `serve` and the environment ask for.

    1 where that is no number, which is found again where settings are read.
    """
    variable = variable_in(environment)
    value = "1" if variable is None else environment[variable]
    for option, following in zip(arguments, (*arguments[1:], ""), strict=True):
        name, equals, rest = option.partition("=")
        if name == OPTION:
            value = rest if equals else following
    return int(value) if value.isascii() and value.isdigit() and len(value) < 12 else 1


def with_one_thread(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which native code runs in one thread: OpenMP hangs a process that was
    forked of one in which it had several."""
    return {**environment, **dict.fromkeys(ONE_THREAD, "1")}
