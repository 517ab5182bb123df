"""One version of one model, loaded: it validates, batches, predicts and answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from numpy.typing import NDArray

from model_store import Manifest, Model, Prediction
from model_store.column_facts import JSONLabel
from model_store.errors import Unanswerable, Unexplained
from model_store.manifest import Sample

from ..asgi import Turn
from ..config import Config
from ..inference import (
    DECISION_FUNCTION,
    EXPLAIN,
    PREDICT,
    PREDICT_PROBA,
    USUAL_SCALE,
    Bound,
    DeadlineExceeded,
    InferenceRequest,
    InferenceResponse,
    NotReady,
    RequestTooLarge,
    UnknownOutput,
    Wanted,
    too_large,
)
from ..random_ids import RandomIds
from .batcher import Batcher, Rows
from .blame import blamed
from .cycles import holds_cycles
from .short_calls import ShortCalls
from .statistics import Statistics
from .workers import Workers

if TYPE_CHECKING:
    from model_store.reasons.explanation import Explanation
    from model_store.reasons.scales import Scale

CELLS_ON_THE_LOOP: Final = 2_000
"""A table with more cells is validated in a thread, one that does not predict: neither the event
loop nor the predictions of others wait for it."""

PATIENCE: Final = 2.0
"""Seconds, within a quarter of the deadline, after which a batch does not hold up the next."""

HUNG_RETRY_AFTER: Final = 10

MOST_VALUES: Final = 2_000_000
"""Values in the answer of a transformation to one request."""

NANOSECONDS: Final = 1e9

Scores = NDArray[np.float64]


class Servable:
    """Answers requests for one version of one model.

    It takes the two steps of `Model.answer` one at a time, since several requests share a call of
    predict; and it refuses a request of which one row does not fit.
    """

    def __init__(
        self,
        model: Model,
        workers: Workers,
        config: Config,
        *,
        validator: Executor,
        explaining: Executor | None = None,
        short_rows: int = 0,
    ) -> None:
        """With `explaining`, answers are explained in a thread of that, else of the validator. Up
        to `short_rows` at a time are predicted in the event loop, as `short_calls.most_rows` found.
        """
        self.manifest: Manifest = model.manifest
        self.sample: Sample = model.sample
        self.statistics = Statistics()
        self.load_seconds = 0.0
        self._asked = time.perf_counter_ns()
        self._ids = RandomIds()
        self._model = model
        self._config = config
        self._workers = workers
        self._validator = validator
        self._explaining = explaining or validator
        self._short_rows = short_rows
        self._explain_seconds = config.explain_seconds
        self._sampling = config.explain_sampling
        self._most_explained = Bound(config.max_explained_rows, "QUART_APP_MAX_EXPLAINED_ROWS")
        self._classes = [target.classes or () for target in model.manifest.targets]
        self._datatype = model.manifest.datatype
        self._deadline = config.deadline
        batcher = partial(
            Batcher,
            executor=workers,
            max_batch_size=config.max_batch_size,
            max_queue_size=config.max_queue_size,
            max_wait=config.max_wait,
            patience=min(PATIENCE, config.deadline / 4),
            spare=lambda: workers.spare,
        )
        self._batcher: Batcher[Prediction] = batcher(
            model.predict,
            observe=self.statistics.observe,
            short=ShortCalls(model.said, short_rows) if short_rows else None,
        )
        self._decider: Batcher[Scores] = batcher(model.decide)

    def again(
        self, *, workers: Workers | None = None, manifest: Manifest | None = None
    ) -> Servable:
        """The same model in another place: asked on other threads, or with other words."""
        model = self._model if manifest is None else self._model.with_words(manifest)
        found = Servable(
            model,
            workers or self._workers,
            self._config,
            validator=self._validator,
            explaining=self._explaining,
            short_rows=self._short_rows,
        )
        found.load_seconds = self.load_seconds
        return found

    def holds_cycles(self) -> bool:
        """Whether the model goes only when garbage is collected. Blocks."""
        return holds_cycles(self._model)

    @property
    def exhausted(self) -> bool:
        """Whether every thread that could predict hangs."""
        return self._workers.exhausted

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for a call of predict."""
        return self._batcher.waiting_rows + self._decider.waiting_rows

    @property
    def unused_for(self) -> float:
        """Seconds since the last request, or since it was loaded."""
        return (time.perf_counter_ns() - self._asked) / NANOSECONDS

    @property
    def example(self) -> dict[str, JSONLabel | None]:
        """A row that it answers."""
        return self.sample.rows[0]

    @cached_property
    def most_rows(self) -> int | None:
        """Rows that a request may bring, beside the limit of all: fewer where each is transformed
        to many columns, whose numbers are objects on their way to JSON."""
        if self.manifest.task != "transformation":
            return None
        return max(1, MOST_VALUES // len(self.manifest.targets))

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """What it may be asked for. The decision function is told only then."""
        found = [PREDICT]
        if self.manifest.probabilities:
            found.append(PREDICT_PROBA)
        found += [measure.name for measure in self.manifest.measures]
        if self._model.decides:
            found.append(DECISION_FUNCTION)
        if self.explains:
            found.append(EXPLAIN)
        return tuple(found)

    @property
    def explains(self) -> bool:
        """Whether it has reasons for what it answers, which may yet be refused for a row."""
        return self.unexplained is None

    @property
    def unexplained(self) -> str | None:
        """Why it has no reasons for what it answers, in a sentence; None where it has."""
        try:
            self._model.require_explained()
        except Unexplained as error:
            return str(error)
        return None

    async def infer(
        self,
        request: InferenceRequest,
        *,
        until: float | None = None,
        turns: list[Turn] | None = None,
    ) -> InferenceResponse:
        """Answer a request, until a moment of the loop's time, else within the whole deadline.
        Calls of predict that took its rows are added to `turns`.

        Cancelling it leaves a batch that already runs alone.

        Raises:
            InvalidRequest: also as UnknownOutput; it does not fit the model as a whole.
            RequestTooLarge: the answer would be too long.
            InvalidRows: the rows do not fit the signature.
            QueueFull: too many rows are waiting.
            NotReady: every thread hangs.
            DeadlineExceeded: there was no answer in time.
            PredictionFailed: the pipeline failed on these rows.
            Unexplained: they are to be explained, and cannot be.
        """
        if until is None:
            until = asyncio.get_running_loop().time() + self._deadline
        begun = self._asked = time.perf_counter_ns()
        counted = self.statistics.fail
        try:
            wanted = request.outputs
            if wanted:
                self._require(wanted)
            scale = _scale(request)
            if scale is not None:
                self._require_explained(request.rows)
            if self.most_rows is not None and request.rows > self.most_rows:
                raise RequestTooLarge(
                    f"The model {self.manifest.name} transforms each row to "
                    f"{len(self.manifest.targets)} columns, so a request may bring "
                    f"{self.most_rows} rows, got {request.rows}; a table in CSV may have any "
                    "number."
                )
            if self._workers.exhausted:
                raise NotReady("Every thread that predicts hangs.", HUNG_RETRY_AFTER)
            if self._is_small(request):
                matrix = self._validate(request)
            else:
                matrix = await self._validate_aside(request, until)
            self.statistics.compute_input.add(time.perf_counter_ns() - begun)
            scores = None
            if wanted and any(each.name == DECISION_FUNCTION for each in wanted):
                scores = await self._decider.submit(matrix, until=until, turns=turns)
            prediction = await self._batcher.submit(matrix, until=until, turns=turns)
            explanation = None
            if scale is not None:
                explanation = await self._explain(matrix, prediction, scale, until)
            counted = self.statistics.success
            return self._response(request, prediction, scores, explanation)
        except TimeoutError:
            raise DeadlineExceeded(
                f"The model {self.manifest.name} did not answer in time."
            ) from None
        finally:
            counted.add(time.perf_counter_ns() - begun)

    async def blamed(
        self, request: InferenceRequest, error: Unanswerable, *, until: float | None = None
    ) -> Unanswerable:
        """The error of a request of several rows, with the row to blame."""
        matrix = await asyncio.to_thread(self._validate, request)
        return await blamed(
            error, len(matrix), lambda rows: self._batcher.submit(matrix[rows], until=until)
        )

    def predict_apart(self, requests: Sequence[InferenceRequest]) -> list[Prediction]:
        """What the model says to each request, in one call of predict, past all queues and counts.
        Blocks.

        Raises:
            InvalidRows, InvalidRequest: the rows of one do not fit.
            PredictionFailed: it failed on the rows of one.
        """
        matrices = [self._validate(request) for request in requests]
        whole = self._model.said(matrices[0] if len(matrices) == 1 else np.concatenate(matrices))
        found, start = [], 0
        for matrix in matrices:
            found.append(whole[start : start + len(matrix)])
            start += len(matrix)
        return found

    def _require_explained(self, rows: int) -> None:
        self._model.require_explained()
        if rows > self._most_explained:
            limit = self._most_explained
            raise too_large(f"At most {limit} rows are explained at once, got {rows}", limit)

    async def explanation(
        self, request: InferenceRequest, *, seconds: float, until: float | None = None
    ) -> Explanation:
        """Why a small request has its answer, on the scale that suits, without the answer itself.

        Raises:
            Unexplained, PredictionFailed, InvalidRows, InvalidRequest
            DeadlineExceeded: there was no turn in time.
        """
        self._require_explained(request.rows)
        if until is None:
            until = asyncio.get_running_loop().time() + self._deadline
        try:
            matrix = self._validate(request)
            return await self._explain(matrix, None, USUAL_SCALE, until, seconds=seconds)
        except TimeoutError:
            raise DeadlineExceeded(
                f"The model {self.manifest.name} did not explain in time."
            ) from None

    async def _explain(
        self,
        matrix: Rows,
        prediction: Prediction | None,
        scale: str,
        until: float,
        *,
        seconds: float | None = None,
    ) -> Explanation:
        """Explain rows in a thread that does not predict: predictions do not wait for it."""
        loop = asyncio.get_running_loop()
        explain = partial(
            self._model.explain,
            matrix,
            scale=None if scale == USUAL_SCALE else cast("Scale", scale),
            seconds=min(seconds or self._explain_seconds, self._explain_seconds),
            sampling=self._sampling,
            prediction=prediction,
        )
        async with asyncio.timeout_at(until):
            return await loop.run_in_executor(self._explaining, explain)

    def _response(
        self,
        request: InferenceRequest,
        prediction: Prediction,
        scores: Scores | None,
        explanation: Explanation | None,
    ) -> InferenceResponse:
        return InferenceResponse(
            id=self._ids.new() if request.id is None else request.id,
            model=self.manifest.name,
            version=self.manifest.version,
            labels=prediction.labels,
            probabilities=prediction.probabilities,
            classes=self._classes,
            notice=self.manifest.notice,
            datatype=self._datatype,
            scores=scores,
            measures=prediction.measures,
            explanation=explanation,
            columns=() if explanation is None else self.manifest.signature.names,
        )

    def _require(self, outputs: Sequence[Wanted]) -> None:
        for wanted in outputs:
            if wanted.name == EXPLAIN:
                self._model.require_explained()
            elif wanted.name not in self.outputs:
                raise UnknownOutput(
                    f"The model {self.manifest.name} has no output {wanted.name!r}; expected "
                    f"one of {', '.join(self.outputs)}."
                )

    def _is_small(self, request: InferenceRequest) -> bool:
        # A row that lacks columns has a fault for each of them.
        columns = max(len(request.columns), len(self.manifest.signature.columns))
        return request.rows * columns <= CELLS_ON_THE_LOOP

    def _validate(self, request: InferenceRequest) -> Rows:
        signature = self.manifest.signature
        return signature.validate(request.named(signature.names), request.rows, request.rules)

    async def _validate_aside(self, request: InferenceRequest, until: float) -> Rows:
        validate = partial(self._validate, request)
        async with asyncio.timeout_at(until):
            return await asyncio.get_running_loop().run_in_executor(self._validator, validate)

    def replay_reasons(self) -> None:
        """As `Model.replay_reasons`. Blocks."""
        self._model.replay_reasons()

    async def drain(self) -> None:
        """Wait for all answers."""
        await self._batcher.drain()
        await self._decider.drain()

    async def close(self) -> None:
        """Answer no more."""
        await self._batcher.close()
        await self._decider.close()


def _scale(request: InferenceRequest) -> str | None:
    """The scale on which answers are to be explained; None where they are not."""
    if request.explain is None and any(each.name == EXPLAIN for each in request.outputs):
        return USUAL_SCALE
    return request.explain
