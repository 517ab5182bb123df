"""Keeps what was predicted, beside all requests and in the way of none.

Whoever answers leaves a reference to the request and its response in a bounded queue, which takes
a few microseconds (`waiting.py`). A thread of its own writes what waits (`writer.py`). A database
that is slow, locked, full or gone holds up that thread alone: the queue fills, and what does not
fit is dropped and counted.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from msgspec.structs import replace

from model_store.record_settings import RecordSettings

from ..answering import Answer, Failure
from ..asgi import Record
from ..config import Config
from ..inference import InferenceRequest, InferenceResponse
from ..random_ids import RandomIds
from ..serving.challenge import Shadowed
from ..serving.registry import Registry
from .bounds import Bounds
from .store import Records
from .waiting import Item, Waiting
from .writer import Writer

FULL: Final = "full"
"""Why rows are not kept: too many waited for the database."""

PART_ROWS: Final = 1_000
"""Rows of a part of a table that are counted, evenly spread. Summaries are made of them alone, and
a quick model answers 8,000 at a time: to count them all would take as long again."""

MILLION: Final = 1e6

logger = logging.getLogger(__name__)

Describe = Callable[[Exception], tuple[int, str]]
"""The status and the kind of an error."""


class Recorder:
    """Records the predictions of one app. All that is told comes from its event loop."""

    def __init__(
        self, records: Records, registry: Registry, config: Config, describe: Describe
    ) -> None:
        self.records = records
        self._registry = registry
        self._usual = config.record
        self._describe = describe
        self._ids = RandomIds()
        self._waiting = Waiting()
        self._refused = 0
        # The labels of the answers that are recorded, as long as somebody holds them.
        self._recorded: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._writer = Writer(self._waiting, records, Bounds(config))

    @property
    def kept(self) -> int:
        """Rows that were written."""
        return self._writer.kept

    @property
    def dropped(self) -> Counter[str]:
        """Rows that were not written, by reason."""
        found = Counter(dict(self._writer.dropped))
        found[FULL] += self._refused
        return found

    @property
    def removed(self) -> Counter[str]:
        """Rows that were deleted since they were too old or too many, by reason."""
        return self._writer.bounds.removed

    @property
    def waiting(self) -> Waiting:
        """The queue."""
        return self._waiting

    @property
    def waiting_rows(self) -> int:
        """Rows in the queue."""
        return self._waiting.rows

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    def close(self) -> None:
        """Write what waits, for as long as that may take. Blocks."""
        self._writer.close()

    # What is told ------------------------------------------------------------------

    def answered(self, answer: Answer) -> None:
        """Take note of a prediction."""
        settings = self._settings(answer.manifest.name)
        if settings is None:
            return
        response, record, request = answer.response, answer.record, answer.request
        if self._registry.has_challenges:
            self._recorded[id(response.labels)] = response.labels
        if record is None and request.rows > PART_ROWS:
            request, response = _some_rows(request, response)
        is_put = self._put(
            Item(
                answer.manifest,
                settings,
                request,
                response.id,
                time.time(),
                answer.variant,
                answer.door,
                _milliseconds(record, answer.nanoseconds),
                200,
                None,
                response.labels,
                response.probabilities,
                record is None,
            )
        )
        if record is not None:
            record.recorded = is_put

    def failed(self, failure: Failure) -> None:
        """Take note of a request that a model did not answer."""
        settings = self._settings(failure.manifest.name)
        if settings is None:
            return
        status, kind = self._describe(failure.error)
        self._put(
            Item(
                failure.manifest,
                settings,
                failure.request,
                failure.request.id or self._ids.new(),
                time.time(),
                failure.variant,
                failure.door,
                _milliseconds(failure.record, failure.nanoseconds),
                status,
                kind,
                summed=failure.record is None,
            )
        )

    def shadowed(self, shadowed: Shadowed) -> None:
        """Take note of what a shadow said to a request whose answer is recorded, by the same id."""
        manifest, copy, outcome = shadowed
        settings = self._registry.record_settings(manifest.name)
        if copy.response is None or settings is None:
            return
        labels = copy.response.labels
        if self._recorded.get(id(labels)) is not labels:
            return
        status, kind = (200, None) if outcome.prediction is not None else _FAILED[outcome.unfit]
        prediction = outcome.prediction
        self._put(
            Item(
                manifest,
                settings,
                copy.request,
                copy.response.id,
                time.time(),
                "shadow",
                copy.door,
                outcome.nanoseconds / MILLION,
                status,
                kind,
                labels=None if prediction is None else prediction.labels,
                probabilities=None if prediction is None else prediction.probabilities,
            )
        )

    def ended(self, record: Record) -> None:
        """Take note of a request that names a model and was refused before it got there."""
        if record.error is None or record.named is None or record.told:
            return
        servable = self._registry.loaded(record.named)
        settings = None if servable is None else self._settings(record.named)
        if servable is None or settings is None:
            return
        self._put(
            Item(
                servable.manifest,
                settings,
                None,
                self._ids.new(),
                time.time(),
                "champion",
                record.door or "json",
                record.seconds * 1e3,
                # A result of MCP that tells of an error has the status 200.
                max(record.status, 400),
                record.error,
            )
        )

    def _settings(self, name: str) -> RecordSettings | None:
        """What is kept of a model, if this request is one of its share."""
        settings = self._registry.record_settings(name)
        if settings is None:
            return None
        share = self._usual if settings.share is None else settings.share
        return settings if share >= 1 or random.random() < share else None

    def _put(self, item: Item) -> bool:
        is_put = self._waiting.put(item)
        if not is_put:
            self._refused += item.rows
        return is_put


_FAILED: Final = {True: (400, "invalid_rows"), False: (500, "prediction_failed")}
"""The status and the kind of a shadow's failure, by whether it was the rows that did not fit."""


def _some_rows(
    request: InferenceRequest, response: InferenceResponse
) -> tuple[InferenceRequest, InferenceResponse]:
    """At most PART_ROWS of the rows of a request, evenly spread, with what was answered to them."""
    every = -(-request.rows // PART_ROWS)
    columns: Any
    if isinstance(request.columns, Mapping):
        columns = {name: values[::every] for name, values in request.columns.items()}
    else:
        columns = [values[::every] for values in request.columns]
    labels = response.labels[::every]
    probabilities = [each[::every] for each in response.probabilities or ()]
    return (
        replace(request, columns=columns, rows=len(labels)),
        replace(response, labels=labels, probabilities=probabilities),
    )


def _milliseconds(record: Record | None, nanoseconds: int) -> float:
    """What a request has taken until now; a part of a table, what the model took."""
    if record is None:
        return nanoseconds / MILLION
    return (time.perf_counter() - record.clock) * 1e3
