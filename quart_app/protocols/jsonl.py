"""Tables as JSON Lines (https://jsonlines.org): an object is a row, and a line its answer.

    {"X1": 61.1, "X2": 17.3}  →  {"prediction": 0, "probabilities": {…}, "model": …, "version": …}
    {"X1": "many"}            →  {"error": "X1: expected a number, got \"many\"; …", "row": 1}

It is UTF-8. A line ends with LF or CRLF, the last one with the file; an empty line is no row. Rows
are numbered from 0. A line that is longer than any may be is skipped, and keeps its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from model_store.labels import json_labels

from ..inference import InferenceResponse, InvalidRequest
from . import explained, unique_keys
from .json_body import BYTES_PER_CONTAINER, CONTAINERS, kind, parse
from .probabilities import by_row

CONTENT_TYPES: Final = (
    "application/jsonl",
    "application/x-ndjson",
    "application/ndjson",
    "application/x-jsonlines",
)
"""The names that are in use; none is registered."""

CONTENT_TYPE: Final = CONTENT_TYPES[0]

MAX_LINE: Final = 1024 * 1024
"""Bytes that a line may have, without its end."""

Row = dict[str, Any]

_BOM: Final = b"\xef\xbb\xbf"
_encoder: Final = msgspec.json.Encoder()


class Unreadable(NamedTuple):
    """What stands in the place of a row that cannot be read: a sentence that says why."""

    sentence: str


class Decoder:
    """Takes bytes in pieces of any size and gives the rows that are complete."""

    def __init__(self, *, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._pending = b""
        self._begun = False
        self._skipping = False

    def feed(self, data: bytes) -> list[Row | Unreadable]:
        """The rows that end in this piece."""
        *ended, rest = data.split(b"\n")
        if not ended:
            self._keep(rest)
            return []
        ended[0] = self._pending + ended[0]
        rows = self._read(ended)
        self._pending = b""
        self._keep(rest)
        return rows

    def finish(self) -> list[Row | Unreadable]:
        """The last row, where it has no line end."""
        return self.feed(b"\n")

    def _keep(self, rest: bytes) -> None:
        """Keep the beginning of a line, as far as it may go."""
        if not self._skipping:
            self._pending += rest
            self._skipping = len(self._pending) > self._max_line + len(b"\r")

    def _read(self, lines: list[bytes]) -> list[Row | Unreadable]:
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BOM)
        self._skipping = False  # of the first line is more there than may be
        sent = [line.rstrip(b"\r") for line in lines if line and not line.isspace()]
        if max(map(len, sent), default=0) <= self._max_line:
            rows = _all(sent)
            if rows is not None:
                return rows
        return [self._row(line) for line in sent]

    def _row(self, line: bytes) -> Row | Unreadable:
        if len(line) > self._max_line:
            return Unreadable(f"Expected a line of at most {self._max_line} bytes, got more.")
        try:
            content = parse(line, "a JSON object", unique_keys.outermost)
        except InvalidRequest as error:
            return Unreadable(str(error).replace("The body", "The line"))
        if not isinstance(content, dict):
            return Unreadable(f"Expected a JSON object, got {kind(content)}.")
        return content


def _all(lines: Sequence[bytes]) -> list[Row | Unreadable] | None:
    """The rows of lines that all are as they should be, and have nothing to be looked at twice."""
    text = b"\n".join(lines)
    if text.count(b"[") + text.count(b"{") > max(CONTAINERS, len(text) // BYTES_PER_CONTAINER):
        return None
    try:
        text.decode()  # the decoder does not look at the UTF-8 of everything
        rows = [msgspec.json.decode(line) for line in lines]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not all(type(row) is dict for row in rows):
        return None
    return rows if unique_keys.has_entries(text, sum(map(len, rows))) else None


def answers_of(response: InferenceResponse) -> list[Row]:
    """The objects that answer some rows."""
    columns: dict[str, list[Any]] = {"prediction": json_labels(response.labels)}
    shares = by_row(response)
    if shares is not None:
        columns["probabilities"] = shares
    columns |= {name: numbers.tolist() for name, numbers in response.measures.items()}
    if response.explanation is not None:
        columns["explanation"] = explained.by_row(response)
    names = (*columns, "model", "version")
    of_all = response.model, response.version
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(names, (*row, *of_all), strict=True)) for row in rows]


def error_of(sentence: str, row: int) -> Mapping[str, Any]:
    """The object that stands for a row without an answer."""
    return {"error": sentence, "row": row}


def encode(answers: Sequence[Mapping[str, Any] | None]) -> bytes:
    """Objects as lines."""
    return _encoder.encode_lines(answers)
