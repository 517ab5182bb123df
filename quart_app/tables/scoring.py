"""A long table through a model, chunk by chunk, with as much in memory as a few chunks need.

The first rows are checked before anything is answered: their faults are those of the request. Later
each row keeps its place, and has an answer or a sentence that says why there is none. There is one
chunk on its way at a time, with a deadline of its own, so that others who ask the same model wait
for a chunk at most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final, NamedTuple, Protocol, Self, cast

from msgspec import structs

from model_store import Fault, InvalidRows, Manifest, Signature, arrow
from model_store.arrow import blanks, is_arrow
from model_store.csv_columns import ColumnDecoder, Records, TextColumn
from model_store.errors import InvalidTable, PredictionFailed, Unanswerable, Unexplained
from model_store.signature import MAX_FAULTS
from model_store.text_rules import CSV

from ..inference import (
    BUSY,
    FAILED,
    DeadlineExceeded,
    InferenceRequest,
    InferenceResponse,
    InvalidRequest,
)
from ..pipeline_errors import log_words, shown
from ..protocols.csv import Encoder, answers_of
from ..protocols.rows import require_names
from ..serving.batcher import Closed, QueueFull
from ..serving.blame import blamed

CHECKED_ROWS: Final = 1000
"""Rows whose faults are told before anything is answered."""

CHUNK_ROWS: Final = 1000
MOST_CHUNK_ROWS: Final = 8 * CHUNK_ROWS
CHUNK_CELLS: Final = 100_000
CHUNK_SECONDS: Final = 0.01
"""What a chunk has: the fewer rows where more would take the model longer than these seconds."""
READ_BYTES: Final = 512 * 1024
"""What is read of the file at once."""

CALLS: Final = 64
"""Calls that may be spent on a chunk to find the rows that the model cannot answer."""

PAUSE: Final = 0.05
"""Seconds until a chunk that found the queue full tries again."""

logger = logging.getLogger(__name__)


class Infer(Protocol):
    """`Answering.infer` for one model."""

    def __call__(
        self, request: InferenceRequest, *, until: float | None
    ) -> Awaitable[InferenceResponse]: ...


@dataclass(slots=True, kw_only=True)
class Chunk(ABC):
    """Some rows with the request for those that are sound, and what became of them by position."""

    sound: Sequence[int]
    request: InferenceRequest
    errors: dict[int, str]
    answered: list[tuple[Sequence[int], InferenceResponse]] = field(default_factory=list)
    calls: int = CALLS

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many there are."""

    @abstractmethod
    def request_of(self, positions: Sequence[int]) -> InferenceRequest:
        """The request for some of the sound rows."""


@dataclass(slots=True, kw_only=True)
class TextChunk(Chunk):
    """Rows of texts, by column."""

    names: tuple[str, ...]
    records: Records

    @classmethod
    def of(cls, names: tuple[str, ...], records: Records, explain: str | None = None) -> Self:
        faults = records.faults
        sound: Sequence[int] = range(records.rows)
        if faults:
            sound = [row for row in sound if row not in faults]
        return cls(
            names=names,
            records=records,
            sound=sound,
            request=request_of(names, taken(records, sound) if faults else records, explain),
            errors={i: str(fault) for i, fault in faults.items()},
        )

    @property
    def rows(self) -> int:
        return self.records.rows

    def request_of(self, positions: Sequence[int]) -> InferenceRequest:
        if len(positions) == self.request.rows:
            return self.request
        records = taken(self.records, positions)
        return request_of(self.names, records, self.request.explain)


class Piece(NamedTuple):
    """Some lines of an answer as bytes, and their cells by column. The first one has the names and
    no row. `faulty` are the positions of rows without an answer, `read` the bytes of the table
    until here."""

    lines: bytes
    columns: list[TextColumn]
    rows: int
    faulty: Sequence[int]
    read: int

    def row(self, position: int) -> list[str]:
        """The cells of a row."""
        return [str(column[position]) for column in self.columns]


class Table:
    """The rows of a file in UTF-8, read once from where it stands. Each will have an answer of
    `answered` columns, and be explained on the scale `explain`. Its methods block."""

    def __init__(self, file: IO[bytes], answered: int = 1, *, explain: str | None = None) -> None:
        self._read_bytes = self._given_bytes = 0
        self._read_rows = 0
        self._file = file
        self._answered = answered
        self._explain = explain
        self._decoder = ColumnDecoder()
        self._waiting: list[Records] = []
        self._ended = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, once a row was asked for."""
        return self._decoder.names

    @property
    def delimiter(self) -> str:
        return self._decoder.delimiter

    @property
    def read(self) -> int:
        """The bytes of the rows that were given, about."""
        waiting = sum(records.rows for records in self._waiting)
        if not waiting:
            return self._read_bytes
        share = 1 - waiting / self._read_rows
        return self._given_bytes + int(share * (self._read_bytes - self._given_bytes))

    def next_rows(self, limit: int = CHUNK_ROWS) -> Records:
        """The next rows, none at the end; as few as stand in one piece of the file.

        Raises:
            InvalidRequest: the line of names is wrong, or there is none.
        """
        self._read()
        if not self._waiting:
            return Records((), 0, {})
        size = max(1, min(limit, CHUNK_CELLS // max(len(self.names), self._answered)))
        found = self._waiting[0]
        if found.rows <= size:
            return self._waiting.pop(0)
        self._waiting[0] = found.slice(size, found.rows)
        return found.slice(0, size)

    def next_chunk(self, limit: int = CHUNK_ROWS) -> TextChunk:
        """The next rows as a chunk."""
        records = self.next_rows(limit)
        return TextChunk.of(self.names, records, self._explain)

    def _read(self) -> None:
        while not self._ended and not self._waiting:
            data = self._file.read(READ_BYTES)
            self._given_bytes = self._read_bytes
            self._read_bytes += len(data)
            self._ended = not data
            unnamed = not self.names
            try:
                found = self._decoder.feed(data) if data else self._decoder.finish()
            except InvalidTable as error:
                raise InvalidRequest(str(error)) from None
            if unnamed:
                require_names(len(self.names))
            self._waiting += found
            self._read_rows = sum(records.rows for records in found)


def taken(records: Records, rows: Sequence[int]) -> Records:
    """Some of the rows."""
    columns: list[TextColumn] = []
    for column in records.columns:
        if is_arrow(column):
            columns.append(arrow.taken(column, rows))
        else:
            columns.append([column[row] for row in rows])
    return Records(tuple(columns), len(rows), {})


def request_of(
    names: Sequence[str], records: Records, explain: str | None = None
) -> InferenceRequest:
    """Columns of text as they came, perhaps to be explained on a scale."""
    columns = dict(zip(names, records.columns, strict=True)) if records.rows else {}
    return InferenceRequest(
        cast(Any, columns), rows=records.rows, many=True, rules=CSV, explain=explain
    )


# Before anything is answered -----------------------------------------------------


def check(file: IO[bytes], signature: Signature) -> None:
    """Check the names and the first rows, and let the file stand at its beginning. Blocks.

    Raises:
        InvalidRequest: it is no table, or has no rows.
        InvalidRows: with every fault of the first rows; where the names are not those of the
            model, with these alone, as faults of the first row.
    """
    table = Table(file)
    faults: list[Fault] = []
    count = total = 0
    while count < CHECKED_ROWS:
        records = table.next_rows(CHECKED_ROWS - count)
        if not records.rows:
            break
        if not count:
            _check_names(table.names, records, signature)
        chunk = TextChunk.of(table.names, records)
        found = _faults(chunk.request, signature)
        total += found.total + len(records.faults)
        faults += records.faults.values()
        faults += [
            structs.replace(fault, row=count + chunk.sound[fault.row]) for fault in found.faults
        ]
        count += records.rows
    if not count:
        raise InvalidRequest("Expected at least one row, got none.")
    if faults:
        faults.sort(key=lambda fault: fault.row)
        raise InvalidRows(faults[:MAX_FAULTS], rows=count, total=total)
    file.seek(0)


def _check_names(names: Sequence[str], records: Records, signature: Signature) -> None:
    odd = set(names) ^ set(signature.names)
    if odd:
        found = _faults(request_of(names, taken(records, [0])), signature)
        faults = [fault for fault in found.faults if fault.column in odd]
        raise InvalidRows(faults, rows=1, total=len(odd))


def _faults(request: InferenceRequest, signature: Signature) -> InvalidRows:
    if request.rows:
        try:
            signature.validate(request.named(signature.names), request.rows, CSV)
        except InvalidRows as error:
            return error
    return InvalidRows((), rows=request.rows)


# Row by row ----------------------------------------------------------------------


class Scorer:
    """Answers tables with one version of one model, by `infer`, for the request of this id.

    What its pipeline says of a failure is logged for the first such row of a table, and with
    `show_errors` told for each. With `explain` each answer is explained on that scale, at most
    `most_explained` rows at once.
    """

    def __init__(
        self,
        manifest: Manifest,
        infer: Infer,
        deadline: float,
        *,
        request_id: str | None = None,
        show_errors: bool = False,
        explain: str | None = None,
        most_explained: int = CHUNK_ROWS,
    ) -> None:
        self.manifest = manifest
        self._explain = explain
        self._chunk_rows = CHUNK_ROWS if explain is None else min(CHUNK_ROWS, most_explained)
        self._infer = infer
        self._deadline = deadline
        self._request_id = request_id
        self._show_errors = show_errors
        self._logged: set[type[Exception]] = set()

    @property
    def answered_cells(self) -> int:
        """How many cells an answer has, about."""
        targets = len(self.manifest.targets)
        if self._explain is None:
            return targets
        return targets * (2 + len(self.manifest.signature.columns))

    async def answer(self, file: IO[bytes]) -> AsyncGenerator[Piece, None]:
        """The answer in pieces. Until the first of them, a failure is that of the request.

        Raises:
            InvalidRequest, InvalidRows: as `check`.
            QueueFull, Closed, DeadlineExceeded, PredictionFailed: before the first piece only.
        """
        await self._check(file)
        explained = self._explain is not None
        table = Table(file, self.answered_cells, explain=self._explain)
        limit = self._chunk_rows
        chunk = await asyncio.to_thread(table.next_chunk, limit)
        encoder = Encoder(table.names, table.delimiter, self.manifest, explained=explained)
        await self._ask_first(chunk)
        yield Piece(encoder.header(), [[name] for name in encoder.names], 0, (), 0)
        while chunk.rows:
            piece, chunk = await asyncio.to_thread(_turn_over, encoder, chunk, table, limit)
            yield piece
            begun = time.perf_counter()
            await self._answer_chunk(chunk)
            if not explained:
                limit = next_limit(chunk.rows, time.perf_counter() - begun)

    async def _check(self, file: IO[bytes]) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                await asyncio.to_thread(check, file, self.manifest.signature)
        except TimeoutError:
            raise DeadlineExceeded("The first rows could not be checked in time.") from None

    def _until(self) -> float:
        return asyncio.get_running_loop().time() + self._deadline

    async def _ask_first(self, chunk: TextChunk) -> None:
        """Ask for the first chunk, whose failure is that of the request."""
        until = self._until()
        try:
            await self._ask(chunk, chunk.sound, until)
        except Unanswerable as error:
            rows = chunk.sound
            if len(rows) == 1:
                raise

            async def ask(some: slice) -> None:
                await self._infer(chunk.request_of(rows[some]), until=until)

            raise await blamed(error, len(rows), ask) from error

    async def _answer_chunk(self, chunk: Chunk) -> None:
        """Let each row of a chunk have an answer or an error."""
        until = self._until()
        parts = [chunk.sound]
        while parts:
            part = parts.pop()
            try:
                await self._ask(chunk, part, until)
            except InvalidRows as error:
                chunk.errors |= _by_row(error, part)
                parts.append([i for i in part if i not in chunk.errors])
            except PredictionFailed as error:
                if len(part) > 1 and chunk.calls > 0:
                    middle = len(part) // 2
                    parts += part[middle:], part[:middle]
                else:
                    chunk.errors |= dict.fromkeys(part, self._sentence(error))
            except (DeadlineExceeded, QueueFull, Closed, Unexplained) as error:
                chunk.errors |= dict.fromkeys(part, self._sentence(error))

    async def _ask(self, chunk: Chunk, part: Sequence[int], until: float) -> None:
        """Ask for some rows of a chunk, again and again while too much is waiting."""
        if not part:
            return
        chunk.calls -= 1
        request = chunk.request_of(part)
        while True:
            try:
                response = await self._infer(request, until=until)
            except QueueFull:
                if asyncio.get_running_loop().time() + PAUSE > until:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                chunk.answered.append((part, response))
                return

    def _sentence(self, error: Exception) -> str:
        """What the sender is told of rows that have no answer."""
        if isinstance(error, QueueFull | Closed):
            return BUSY
        if isinstance(error, DeadlineExceeded | Unexplained):
            return str(error)
        if type(error) not in self._logged:
            self._logged.add(type(error))
            self._log(error)
        if isinstance(error, Unanswerable):
            return shown(error, words=self._show_errors)
        return shown(error, words=True) if self._show_errors else FAILED

    def _log(self, error: Exception) -> None:
        if isinstance(error, Unanswerable):
            log_words(error, error.words, f"request {self._request_id}")
        else:
            logger.error("A row of a table failed (request %s)", self._request_id, exc_info=error)


def next_limit(rows: int, seconds: float) -> int:
    """How many rows the next chunk may have, when so many took so long: as many as keep others
    waiting no longer than `CHUNK_SECONDS`."""
    if not rows or seconds <= 0:
        return CHUNK_ROWS
    return max(CHUNK_ROWS, min(MOST_CHUNK_ROWS, int(rows * CHUNK_SECONDS / seconds)))


def _by_row(error: InvalidRows, positions: Sequence[int]) -> dict[int, str]:
    """What is wrong with each row, in words."""
    faults: dict[int, list[Fault]] = {}
    for fault in error.faults:
        faults.setdefault(positions[fault.row], []).append(fault)
    return {position: str(InvalidRows(found, rows=1)) for position, found in faults.items()}


def _turn_over(
    encoder: Encoder, chunk: TextChunk, table: Table, limit: int
) -> tuple[Piece, TextChunk]:
    """The lines of a chunk, and the next one."""
    columns = _columns(encoder, chunk)
    lines = encoder.encode(columns)
    piece = Piece(lines, columns, chunk.rows, sorted(chunk.errors), table.read)
    return piece, table.next_chunk(limit)


def _columns(encoder: Encoder, chunk: TextChunk) -> list[TextColumn]:
    """The cells of a chunk, its answers, and its errors."""
    count = chunk.rows
    if not chunk.errors and len(chunk.answered) == 1:
        response = chunk.answered[0][1]
        arrays = any(map(is_arrow, chunk.records.columns))
        errors: TextColumn = blanks(count) if arrays else [""] * count
        return [*chunk.records.columns, *answers_of(response, arrays=arrays), errors]
    answers = [[""] * count for _ in encoder.added[:-1]]
    for positions, response in chunk.answered:
        for column, found in zip(answers, answers_of(response), strict=True):
            for position, cell in zip(positions, cast(Sequence[str], found), strict=True):
                column[position] = cell
    errors = [chunk.errors.get(position, "") for position in range(count)]
    return [*chunk.records.columns, *answers, errors]
