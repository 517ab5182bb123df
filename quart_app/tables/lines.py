"""A long table of JSON Lines through a model: the same as of CSV, but for what a row is.

Every row has its answer, or its fault, in a line of its own, from the first row on. Where none of
the first rows can be answered the request is refused: it is another model's, or no such table.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, NamedTuple

from model_store import InvalidRows, Signature
from model_store.errors import PredictionFailed
from model_store.text_rules import JSON

from ..inference import DeadlineExceeded, InferenceRequest, InvalidRequest
from ..protocols.jsonl import Decoder, Row, Unreadable, answers_of, encode, error_of
from .scoring import CHUNK_CELLS, CHUNK_ROWS, READ_BYTES, Chunk, Scorer

CHUNK_BYTES: Final = 1024 * 1024
"""A chunk has the fewer rows where more were longer than this."""

SHOWN: Final = 3
"""Faults that the refusal of a table names."""


@dataclass(slots=True, kw_only=True)
class Lines(Chunk):
    """Some rows, of which the sound ones have the columns `names`; the first is row `start`."""

    objects: Sequence[Row | Unreadable]
    names: Sequence[str]
    start: int

    @property
    def rows(self) -> int:
        return len(self.objects)

    def request_of(self, positions: Sequence[int]) -> InferenceRequest:
        if len(positions) == self.request.rows:
            return self.request
        objects = [self.objects[position] for position in positions]
        return request_of(self.names, objects, self.request.explain)


def request_of(
    names: Sequence[str], rows: Sequence[Any], explain: str | None = None
) -> InferenceRequest:
    """Rows that have these names, and no others, as columns, perhaps to be explained on a scale."""
    columns = {name: [row[name] for row in rows] for name in names} if rows else {}
    return InferenceRequest(columns, rows=len(rows), many=True, rules=JSON, explain=explain)


class LinePiece(NamedTuple):
    """Some lines of an answer."""

    lines: bytes
    rows: int


class LineTable:
    """The rows of a file, read once from where it stands. Its methods block."""

    def __init__(
        self,
        file: IO[bytes],
        signature: Signature,
        answered: int = 1,
        *,
        explain: str | None = None,
        most: int = CHUNK_ROWS,
    ) -> None:
        """A chunk has at most `most` rows, and fewer of many cells, `answered` of which a row's
        answer has; `explain` is as of `Scorer`."""
        self._file = file
        self._explain = explain
        self._signature = signature
        self._names = signature.names
        self._most = max(1, min(most, CHUNK_CELLS // max(len(self._names), answered, 1)))
        self._decoder = Decoder()
        self._rows: list[Row | Unreadable] = []
        self._taken = 0
        self._ended = False

    def next_chunk(self) -> Lines:
        """The next rows, none at the end."""
        self._read()
        rows, self._rows = self._rows[: self._most], self._rows[self._most :]
        start, self._taken = self._taken, self._taken + len(rows)
        wanted = dict.fromkeys(self._names).keys()
        errors = {i: self._why(row) for i, row in enumerate(rows) if not _has(row, wanted)}
        sound = [i for i in range(len(rows)) if i not in errors]
        asked = [rows[i] for i in sound] if errors else rows
        return Lines(
            objects=rows,
            names=self._names,
            start=start,
            sound=sound,
            request=request_of(self._names, asked, self._explain),
            errors=errors,
        )

    def _why(self, row: Row | Unreadable) -> str:
        """What is wrong with a row that has not the columns of the model."""
        if isinstance(row, Unreadable):
            return row.sentence
        try:
            self._signature.validate({name: [value] for name, value in row.items()}, 1, JSON)
        except InvalidRows as error:
            return str(error)
        raise AssertionError("A row without a column of the model is not sound.")

    def _read(self) -> None:
        read = 0
        while not self._ended and len(self._rows) < self._most:
            if read >= CHUNK_BYTES and self._rows:
                return
            data = self._file.read(READ_BYTES)
            read += len(data)
            self._ended = not data
            self._rows += self._decoder.feed(data) if data else self._decoder.finish()


def _has(row: Row | Unreadable, names: Any) -> bool:
    return not isinstance(row, Unreadable) and row.keys() == names


class LineScorer(Scorer):
    """Answers tables of JSON Lines with one version of one model."""

    async def answer_lines(self, file: IO[bytes]) -> AsyncGenerator[LinePiece, None]:
        """The answer in pieces. Until the first of them, a failure is that of the request.

        Raises:
            InvalidRequest, PredictionFailed: there are no rows, or none of the first ones can be
                answered.
            QueueFull, Closed, DeadlineExceeded: before the first piece only.
        """
        table = LineTable(
            file,
            self.manifest.signature,
            self.answered_cells,
            explain=self._explain,
            most=self._chunk_rows,
        )
        chunk = await self._first(table)
        while chunk.rows:
            piece, chunk = await asyncio.to_thread(_turn_over, chunk, table)
            yield piece
            await self._answer_chunk(chunk)

    async def _first(self, table: LineTable) -> Lines:
        """The first rows and their answers."""
        try:
            async with asyncio.timeout(self._deadline):
                chunk = await asyncio.to_thread(table.next_chunk)
        except TimeoutError:
            raise DeadlineExceeded("The first rows could not be read in time.") from None
        if not chunk.rows:
            raise InvalidRequest("Expected at least one row, got none.")
        try:
            await self._ask(chunk, chunk.sound, self._until())
        except (InvalidRows, PredictionFailed) as error:
            await self._answer_chunk(chunk)
            if not chunk.answered and isinstance(error, PredictionFailed):
                raise
        if not chunk.answered:
            raise InvalidRequest(_refusal(chunk))
        return chunk


def _refusal(chunk: Lines) -> str:
    """Why none of the first rows has an answer."""
    found = sorted(chunk.errors.items())
    if chunk.rows == 1:
        return found[0][1]
    shown = " ".join(f"Row {row}: {_stopped(error)}" for row, error in found[:SHOWN])
    more = len(found) - SHOWN
    return f"{shown} And {more} more." if more > 0 else shown


def _stopped(sentence: str) -> str:
    return sentence if sentence.endswith(".") else f"{sentence}."


def _turn_over(chunk: Lines, table: LineTable) -> tuple[LinePiece, Lines]:
    """The lines of a chunk, and the next one."""
    return LinePiece(encode(_answers(chunk)), chunk.rows), table.next_chunk()


def _answers(chunk: Lines) -> Sequence[Any]:
    if not chunk.errors and len(chunk.answered) == 1:
        return answers_of(chunk.answered[0][1])
    answers: list[Any] = [None] * chunk.rows
    for positions, response in chunk.answered:
        for position, answer in zip(positions, answers_of(response), strict=True):
            answers[position] = answer
    for position, error in chunk.errors.items():
        answers[position] = error_of(error, chunk.start + position)
    return answers
