"""A long table through a model, chunk by chunk, with as much in memory as a few chunks need.

The first rows are checked before anything is answered: their faults are those of the request. Later
each row keeps its place, and has an answer or a sentence that says why there is none. There is one
chunk on its way at a time, with a deadline of its own, so that others who ask the same model wait
for a chunk at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Final, NamedTuple, Protocol

from model_store import Fault, InvalidRows, Manifest, Signature
from model_store.csv_records import Cells
from model_store.errors import PredictionFailed, Unanswerable, Unexplained
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
from ..protocols.csv import Decoder, Encoder, answers_of
from ..serving.batcher import Closed, QueueFull
from ..serving.blame import blamed

CHECKED_ROWS: Final = 1000
"""Rows whose faults are told before anything is answered."""

CHUNK_ROWS: Final = 1000
CHUNK_CELLS: Final = 100_000
READ_BYTES: Final = 64 * 1024
CHUNK_BYTES: Final = 1024 * 1024
"""What a chunk has at most; of the bytes, what is read until a shorter one is taken."""

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


@dataclass(slots=True)
class Chunk:
    """Some rows with the request for those that are sound, and what became of them by position."""

    rows: list[Cells]
    sound: list[int]
    request: InferenceRequest
    errors: dict[int, str]
    answered: list[tuple[list[int], InferenceResponse]] = field(default_factory=list)
    calls: int = CALLS

    def request_of(self, positions: Sequence[int]) -> InferenceRequest:
        """The request for some of the sound rows."""
        if len(positions) == self.request.rows:
            return self.request
        rows = [self.rows[position] for position in positions]
        return request_of(self.request.names, rows, self.request.explain)


class Piece(NamedTuple):
    """Some lines of an answer as bytes, and their cells by column. The first one has the names and
    no row. `errors` counts the rows without an answer, `read` the bytes of the table until here."""

    lines: bytes
    columns: list[Sequence[str]]
    rows: int
    errors: int
    read: int


class Table:
    """The rows of a file in UTF-8, read once from where it stands, `read` bytes until now. Each
    will have an answer of `answered` columns, and be explained on the scale `explain`. A chunk has
    at most `chunk_rows`. Its methods block."""

    def __init__(
        self,
        file: IO[bytes],
        answered: int = 1,
        *,
        explain: str | None = None,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self.read = 0
        self._file = file
        self._answered = answered
        self._explain = explain
        self._chunk_rows = chunk_rows
        self._decoder = Decoder()
        self._rows: list[Cells] = []
        self._taken = 0
        self._ended = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, once a row was asked for."""
        return self._decoder.names

    @property
    def delimiter(self) -> str:
        return self._decoder.delimiter

    def next_rows(self, limit: int = CHUNK_ROWS) -> tuple[list[Cells], dict[int, Fault]]:
        """The next rows, none at the end, and by position what is wrong with one.

        Raises:
            InvalidRequest: the line of names is wrong, or there is none.
        """
        self._read()
        size = max(1, min(limit, CHUNK_CELLS // max(len(self.names), self._answered)))
        rows, self._rows = self._rows[:size], self._rows[size:]
        first, self._taken = self._taken, self._taken + len(rows)
        found = self._decoder.faults
        numbers = [number for number in found if number < self._taken]
        return rows, {number - first: found.pop(number) for number in numbers}

    def next_chunk(self) -> Chunk:
        """The next rows as a chunk."""
        rows, faults = self.next_rows(self._chunk_rows)
        sound = [i for i in range(len(rows)) if i not in faults]
        asked = [rows[i] for i in sound] if faults else rows
        request = request_of(self.names, asked, self._explain)
        return Chunk(rows, sound, request, {i: str(fault) for i, fault in faults.items()})

    def _read(self) -> None:
        read = 0
        while not self._ended and len(self._rows) < CHUNK_ROWS:
            if read >= CHUNK_BYTES and self._rows:
                return
            data = self._file.read(READ_BYTES)
            read += len(data)
            self.read += len(data)
            self._ended = not data
            self._rows += self._decoder.feed(data) if data else self._decoder.finish()


def request_of(
    names: Sequence[str], rows: Sequence[Cells], explain: str | None = None
) -> InferenceRequest:
    """Rows of cells as columns of text, perhaps to be explained on a scale."""
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    return InferenceRequest(columns, rows=len(rows), many=True, rules=CSV, explain=explain)


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
        rows, broken = table.next_rows(CHECKED_ROWS - count)
        if not rows:
            break
        if not count:
            _check_names(table.names, rows[0], signature)
        sound = [i for i in range(len(rows)) if i not in broken]
        found = _faults(request_of(table.names, [rows[i] for i in sound]), signature)
        total += found.total + len(broken)
        faults += broken.values()
        faults += [replace(fault, row=count + sound[fault.row]) for fault in found.faults]
        count += len(rows)
    if not count:
        raise InvalidRequest("Expected at least one row, got none.")
    if faults:
        faults.sort(key=lambda fault: fault.row)
        raise InvalidRows(faults[:MAX_FAULTS], rows=count, total=total)
    file.seek(0)


def _check_names(names: Sequence[str], row: Cells, signature: Signature) -> None:
    odd = set(names) ^ set(signature.names)
    if odd:
        found = _faults(request_of(names, [row]), signature)
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

    async def answer(self, file: IO[bytes]) -> AsyncGenerator[Piece, None]:
        """The answer in pieces. Until the first of them, a failure is that of the request.

        Raises:
            InvalidRequest, InvalidRows: as `check`.
            QueueFull, Closed, DeadlineExceeded, PredictionFailed: before the first piece only.
        """
        await self._check(file)
        answered = len(self.manifest.targets)
        explained = self._explain is not None
        if explained:
            answered *= 2 + len(self.manifest.signature.columns)
        table = Table(file, answered, explain=self._explain, chunk_rows=self._chunk_rows)
        chunk = await asyncio.to_thread(table.next_chunk)
        encoder = Encoder(table.names, table.delimiter, self.manifest, explained=explained)
        await self._ask_first(chunk)
        yield Piece(encoder.header(), [[name] for name in encoder.names], 0, 0, 0)
        while chunk.rows:
            piece, chunk = await asyncio.to_thread(_turn_over, encoder, chunk, table)
            yield piece
            await self._answer_chunk(chunk)

    async def _check(self, file: IO[bytes]) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                await asyncio.to_thread(check, file, self.manifest.signature)
        except TimeoutError:
            raise DeadlineExceeded("The first rows could not be checked in time.") from None

    def _until(self) -> float:
        return asyncio.get_running_loop().time() + self._deadline

    async def _ask_first(self, chunk: Chunk) -> None:
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

    async def _ask(self, chunk: Chunk, part: list[int], until: float) -> None:
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
            log_words(error, error.words, self._request_id)
        else:
            logger.error("A row of a table failed (request %s)", self._request_id, exc_info=error)


def _by_row(error: InvalidRows, positions: Sequence[int]) -> dict[int, str]:
    """What is wrong with each row, in words."""
    faults: dict[int, list[Fault]] = {}
    for fault in error.faults:
        faults.setdefault(positions[fault.row], []).append(fault)
    return {position: str(InvalidRows(found, rows=1)) for position, found in faults.items()}


def _turn_over(encoder: Encoder, chunk: Chunk, table: Table) -> tuple[Piece, Chunk]:
    """The lines of a chunk, and the next one."""
    columns, count = _columns(encoder, chunk), len(chunk.rows)
    piece = Piece(encoder.encode(columns), columns, count, len(chunk.errors), table.read)
    return piece, table.next_chunk()


def _columns(encoder: Encoder, chunk: Chunk) -> list[Sequence[str]]:
    """The cells of a chunk, its answers, and its errors."""
    count = len(chunk.rows)
    errors = [""] * count
    if not chunk.errors and len(chunk.answered) == 1:
        response = chunk.answered[0][1]
        return [*zip(*chunk.rows, strict=True), *answers_of(response), errors]
    answers = [[""] * count for _ in encoder.added[:-1]]
    for positions, response in chunk.answered:
        for column, found in zip(answers, answers_of(response), strict=True):
            for position, cell in zip(positions, found, strict=True):
                column[position] = cell
    for position, error in chunk.errors.items():
        errors[position] = error
    return [*zip(*chunk.rows, strict=True), *answers, errors]
