"""Records as JSON Lines and CSV, a piece at a time, however many there are.

A line of JSON has all that is kept of a row. CSV has the columns that the model takes between those
of the record, so that with the truth it is a table to train on; a column of ours whose name the
model has gets underscores at its end. Both can be sent back as feedback once truths are filled in.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from model_store import Manifest
from model_store.truth import Truths

from ..documents import FormerTruth, RecordedRow
from .moments import iso
from .prediction import Prediction
from .store import PIECE, Records
from .truths import Known

Format = Literal["jsonl", "csv"]

HEAD: Final = ("id", "row", "at", "version", "variant", "door", "status", "milliseconds")
ERROR: Final = "error"

Pair = tuple[Prediction, Any]
"""A prediction and its truth."""


def export(
    records: Records,
    manifest: Manifest,
    since: float = 0.0,
    until: float = float("inf"),
    *,
    format: Format = "jsonl",
    truth: bool = False,
) -> Generator[bytes, None, None]:
    """The records of a model in a span of time, in seconds since 1970, the oldest first; with
    `truth` those alone of which it is known. The columns of CSV are those of this version.

    Raises:
        RecordsUnavailable: while it is read.
    """
    pairs: Iterable[Pair]
    if truth:
        pairs = records.with_truth(manifest.name, since, until)
    else:
        pairs = ((each, None) for each in records.predictions(manifest.name, since, until))
    encode = _lines(truth=truth) if format == "jsonl" else _cells(manifest, truth=truth)
    if format == "csv":
        yield _csv([_header(manifest, truth=truth)])
    rows: list[Pair] = []
    for pair in pairs:
        rows.append(pair)
        if len(rows) == PIECE:
            yield encode(rows)
            rows = []
    if rows:
        yield encode(rows)


# JSON Lines ------------------------------------------------------------------------


def document(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON has it."""
    found = {
        "id": prediction.id,
        "row": prediction.row,
        "at": iso(prediction.at),
        "model": prediction.model,
        "version": prediction.version,
        "variant": prediction.variant,
        "door": prediction.door,
        "status": prediction.status,
        "milliseconds": round(prediction.milliseconds, 3),
        "inputs": prediction.inputs,
        "prediction": prediction.outputs,
    }
    if prediction.probabilities is not None:
        found["probabilities"] = prediction.probabilities
    if prediction.error is not None:
        found[ERROR] = prediction.error
    return found


def recorded(known: Known) -> RecordedRow:
    """All that is kept of a row, as clients read it."""
    return RecordedRow(
        id=known.id,
        row=known.row,
        predictions=[document(each) for each in known.predictions],
        truth=known.truth,
        told_at=None if known.told_at is None else iso(known.told_at),
        former=[
            FormerTruth(truth=each.truth, at=iso(each.at), replaced_at=iso(each.replaced_at))
            for each in known.former
        ],
    )


def _lines(*, truth: bool) -> Callable[[Sequence[Pair]], bytes]:
    def encode(rows: Sequence[Pair]) -> bytes:
        documents = [document(each) | ({"truth": told} if truth else {}) for each, told in rows]
        return msgspec.json.Encoder().encode_lines(documents)

    return encode


# CSV ---------------------------------------------------------------------------------


def _header(manifest: Manifest, *, truth: bool) -> list[str]:
    """The names of the columns."""
    inputs = list(manifest.signature.names)
    answers = []
    for position, target in enumerate(manifest.targets):
        suffix = f"_{target.name or position}" if manifest.several else ""
        answers.append(f"prediction{suffix}")
        if manifest.probabilities:
            answers += [f"probability{suffix}_{label}" for label in target.classes or ()]
    truths = Truths(manifest).names if truth else []
    taken = set(inputs)
    return [
        *(_free(name, taken) for name in HEAD),
        *inputs,
        *(_free(name, taken) for name in (*answers, ERROR, *truths)),
    ]


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _cells(manifest: Manifest, *, truth: bool) -> Callable[[Sequence[Pair]], bytes]:
    names = manifest.signature.names
    widths = [len(target.classes or ()) for target in manifest.targets]

    def row(prediction: Prediction, told: Any) -> list[str]:
        inputs = prediction.inputs or {}
        answers: list[object] = []
        labels = _each(prediction.outputs, manifest)
        shares = _each(prediction.probabilities, manifest)
        for label, share, width in zip(labels, shares, widths, strict=True):
            answers.append(label)
            if manifest.probabilities:
                # Another version may have had other classes.
                fits = isinstance(share, list) and len(share) == width
                answers += share if fits else [None] * width
        truths = _each(told, manifest) if truth else []
        head = (
            prediction.id,
            prediction.row,
            iso(prediction.at),
            prediction.version,
            prediction.variant,
            prediction.door,
            prediction.status,
            round(prediction.milliseconds, 3),
        )
        cells = [*head, *map(inputs.get, names), *answers, prediction.error, *truths]
        return [_text(cell) for cell in cells]

    return lambda rows: _csv(row(*pair) for pair in rows)


def _each(value: Any, manifest: Manifest) -> Sequence[Any]:
    """What there is of each target; nothing where another version told of others."""
    if not manifest.several:
        return [value]
    count = len(manifest.targets)
    return value if isinstance(value, list) and len(value) == count else [None] * count


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerows(rows)
    return target.getvalue().encode()
