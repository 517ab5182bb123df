"""A score run as a part of the hourly summaries of its model: its rows, or some of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from model_store import InvalidRows, Manifest
from model_store.answer_columns import added_names
from model_store.batch.plan import Part
from model_store.batch.run import Run
from model_store.manifest import ARTIFACT
from model_store.record_settings import RecordSettings
from model_store.text_rules import CSV, JSON

from ..inference import InferenceRequest, InvalidRequest
from .cells import Columns, columns_of, kept
from .prediction import Prediction
from .store import Records

RUN_ROWS: Final = 50_000
"""Rows of a run that are counted, the first of each part."""

PIECE: Final = 1_000
"""Rows that are counted in one transaction."""

DOOR: Final = "score"


def record_run(records: Records, run: Run, settings: RecordSettings, share: float) -> int:
    """Count what a run has answered in the summaries of its model; how many rows that were.

    Raises:
        RecordsUnavailable, OSError, ArrowInvalid
    """
    most = max(1, round(RUN_ROWS * share / len(run.plan.parts)))
    count = 0
    with records.session() as session:
        for part in run.plan.parts:
            for batch in _batches(run, part, most):
                rows = list(_rows(run, batch, settings))
                records.sum_up(session, rows)
                count += len(rows)
    return count


def _batches(run: Run, part: Part, most: int) -> Iterator[Any]:
    """The first rows of a part, in pieces."""
    place = run.output.below(part.name)
    with place.open() if run.plan.format == "parquet" else place.stream() as file:
        for batch in _pieces(run, file):
            batch = batch.slice(0, most)
            for start in range(0, batch.num_rows, PIECE):
                yield batch.slice(start, PIECE)
            most -= batch.num_rows
            if most <= 0:
                return


def _pieces(run: Run, file: Any) -> Iterator[Any]:
    if run.plan.format == "parquet":
        yield from pq.ParquetFile(file).iter_batches(PIECE)
        return
    convert = pc_csv.ConvertOptions(
        column_types=run.plan.schema, strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    parse = pc_csv.ParseOptions(newlines_in_values=True)
    with pc_csv.open_csv(file, parse_options=parse, convert_options=convert) as reader:
        yield from reader


def _rows(run: Run, batch: Any, settings: RecordSettings) -> Iterator[Prediction]:
    """The rows that have an answer. None of them counts as a request."""
    manifest = run.verified.manifest
    added = added_names(run.plan.kept, manifest, explained=run.plan.explained)
    batch = batch.filter(pc.is_null(batch.column(added[-1])))
    inputs = _inputs(run, manifest, batch, settings)
    outputs, probabilities = _answers(manifest, batch, added, explained=run.plan.explained)
    at = time.time()
    for row in range(batch.num_rows):
        yield Prediction(
            id=DOOR,
            row=row + 1,
            at=at,
            model=manifest.name,
            version=manifest.version,
            digest=manifest.files[ARTIFACT].sha256,
            door=DOOR,
            milliseconds=0.0,
            inputs=None if inputs is None else {name: inputs[name][row] for name in inputs},
            outputs=outputs[row],
            probabilities=None if probabilities is None else probabilities[row],
        )


def _inputs(run: Run, manifest: Manifest, batch: Any, settings: RecordSettings) -> Columns | None:
    """What is kept of the values; None where the run did not write them beside its answers."""
    names = manifest.signature.names
    if not batch.num_rows or not set(names) <= set(run.plan.kept):
        return None
    columns: Any = {name: batch.column(name) for name in names}
    rules = JSON if run.plan.format == "parquet" else CSV
    request = InferenceRequest(columns, rows=batch.num_rows, many=True, rules=rules)
    try:
        return kept(columns_of(manifest, request, checked=True), settings)
    except (InvalidRows, InvalidRequest):
        return None


def _answers(
    manifest: Manifest, batch: Any, added: list[str], *, explained: bool
) -> tuple[list[Any], list[Any] | None]:
    """What was predicted for each row, and the probabilities, as `Prediction` has them."""
    widths = [_width(manifest, place, explained) for place in range(len(manifest.targets))]
    labels, probabilities = [], []
    for target, start in zip(manifest.targets, accumulate([0, *widths[:-1]]), strict=True):
        labels.append(batch.column(added[start]).to_pylist())
        classes = len(target.classes or ()) if manifest.probabilities else 0
        columns = (
            batch.column(name).to_pylist() for name in added[start + 1 : start + 1 + classes]
        )
        probabilities.append([list(row) for row in zip(*columns, strict=True)])
    has_probabilities = manifest.probabilities and all(probabilities)
    if not manifest.several:
        return labels[0], probabilities[0] if has_probabilities else None
    together = [list(row) for row in zip(*labels, strict=True)]
    if not has_probabilities:
        return together, None
    return together, [list(row) for row in zip(*probabilities, strict=True)]


def _width(manifest: Manifest, place: int, explained: bool) -> int:
    """How many columns are added for one target."""
    classes = len(manifest.targets[place].classes or ()) if manifest.probabilities else 0
    reasons = 1 + len(manifest.signature.columns) if explained else 0
    return 1 + classes + len(manifest.measures) + reasons
