"""The access log: a line of JSON for each request, to stdout."""

from __future__ import annotations

import json
import time
from functools import lru_cache
from typing import Final

import msgspec

from ..asgi import Record
from .line_writer import LineWriter

MAX_PATH: Final = 1_024
"""Characters of a path that are shown. So a line is shorter than what a pipe takes in one piece."""


class Line(msgspec.Struct):
    """What a line tells, in its order."""

    time: str
    method: str
    route: str | None
    path: str
    status: int
    duration_ms: float
    bytes: int
    model: str | None
    version: int | None
    rows: int | None
    error: str | None
    aborted: bool
    request_id: str | None
    client: str | None


class TracedLine(Line):
    """The line of a request that has a trace."""

    trace_id: str
    span_id: str


class Dropped(msgspec.Struct):
    """That so many lines are missing before this one."""

    time: str
    dropped: int


_encoder: Final = msgspec.json.Encoder()


def line(record: Record) -> bytes:
    """The record as a line of JSON in ASCII. It has one end of line, whatever was sent."""
    path = record.path
    told = (
        timestamp(record.began),
        record.method,
        record.route,
        path if len(path) <= MAX_PATH else f"{path[:MAX_PATH]}...",
        record.status,
        round(record.seconds * 1000, 3),
        record.bytes,
        record.model,
        record.version,
        record.rows,
        record.error,
        record.aborted,
        record.request_id,
        record.client,
    )
    trace = record.trace
    if trace is None:
        return _encoded(Line(*told))
    return _encoded(TracedLine(*told, trace.trace_id, trace.span_id))


def timestamp(seconds: float) -> str:
    """A moment in seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    second, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(second)}.{milliseconds:03}Z"


@lru_cache(maxsize=16)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _encoded(told: Line | Dropped) -> bytes:
    encoded = _encoder.encode(told)
    if not encoded.isascii():  # U+2028 and the like end a line for some readers
        encoded = json.dumps(json.loads(encoded), separators=(",", ":")).encode()
    return encoded + b"\n"


def dropped_line(count: int) -> bytes:
    """The line that says how many lines are missing before it."""
    return _encoded(Dropped(timestamp(time.time()), count))


class AccessLog:
    """Observes requests and writes a line for each."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def __call__(self, record: Record) -> None:
        self._writer.write(line(record))
