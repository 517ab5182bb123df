"""A batch of predictions as the body of one row of the journal, and back.

One row in the database for a batch costs a tenth of a row for each prediction. So the recorder
packs what was predicted by request and by column, as it came, and rows are made of it later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from .prediction import JSONCell, Prediction


class Source(msgspec.Struct, frozen=True, array_like=True):
    """Who answered: a version of a model, the digest of its artifact, and the names of the columns
    that are kept."""

    model: str
    version: int
    digest: str | None
    names: tuple[str, ...]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A request of `rows` rows: `columns` has a list of values for each name of its source, and
    `labels` and `probabilities` one entry for each row. What is not known, or not kept, is None.
    Of a table there are no rows in the database, only its part of a summary: `summed` is True.
    `source` is its place in the batch."""

    source: int
    id: str
    at: float
    variant: str
    door: str
    status: int
    milliseconds: float
    error: str | None
    rows: int
    columns: list[list[Any]] | None
    labels: list[Any] | None
    probabilities: list[Any] | None
    summed: bool = False


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """What one row of the journal holds."""

    sources: list[Source]
    entries: list[Entry]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def pack(batch: Batch) -> bytes:
    """The body of a row of the journal."""
    return _encoder.encode(batch)


def unpack(body: bytes) -> Batch:
    """The batch in a body.

    Raises:
        msgspec.DecodeError: there is none.
    """
    return _decoder.decode(body)


def rows_of(sources: Sequence[Source], entry: Entry) -> Iterator[Prediction]:
    """A prediction for each row of a request."""
    source = sources[entry.source]
    for row in range(entry.rows):
        yield Prediction(
            id=entry.id,
            row=row,
            at=entry.at,
            model=source.model,
            version=source.version,
            digest=source.digest,
            variant=entry.variant,
            door=entry.door,
            status=entry.status,
            milliseconds=entry.milliseconds,
            error=entry.error,
            inputs=_inputs(source.names, entry.columns, row),
            outputs=None if entry.labels is None else entry.labels[row],
            probabilities=None if entry.probabilities is None else entry.probabilities[row],
        )


def _inputs(
    names: Sequence[str], columns: Sequence[Sequence[JSONCell]] | None, row: int
) -> dict[str, JSONCell] | None:
    if columns is None:
        return None
    return {name: values[row] for name, values in zip(names, columns, strict=True)}
