"""One version of one model, loaded: it validates, batches, predicts in a thread, and answers."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import Executor
from functools import partial
from typing import Final

from model_store import Manifest, Model, Prediction

from .batcher import Batcher, Rows
from .config import Config
from .inference import DeadlineExceeded, InferenceRequest, InferenceResponse

CELLS_ON_THE_LOOP: Final = 2_000
"""A table with more cells is validated in a thread: it would hold up other requests."""


class Servable:
    """Answers requests for one version of one model."""

    def __init__(self, model: Model, executor: Executor, config: Config) -> None:
        self.manifest: Manifest = model.manifest
        self.example = model.sample.rows[0]
        self._executor = executor
        self._deadline = config.deadline
        self._batcher: Batcher[Prediction] = Batcher(
            model.predict,
            executor,
            max_batch_size=config.max_batch_size,
            max_queue_size=config.max_queue_size,
        )

    async def infer(
        self, request: InferenceRequest, *, until: float | None = None
    ) -> InferenceResponse:
        """Answer a request, until a moment of the loop's time, else within the whole deadline.

        Cancelling it leaves a batch that already runs alone.

        Raises:
            InvalidRows: the rows do not fit the signature.
            QueueFull: too many rows are waiting.
            DeadlineExceeded: there was no answer in time.
            PredictionFailed: the pipeline failed on these rows.
        """
        if until is None:
            until = asyncio.get_running_loop().time() + self._deadline
        try:
            async with asyncio.timeout_at(until):
                matrix = await self._validate(request)
                prediction = await self._batcher.submit(matrix)
        except TimeoutError:
            raise DeadlineExceeded(
                f"The model {self.manifest.name} did not answer in time."
            ) from None
        return InferenceResponse(
            id=uuid.uuid4().hex,
            model=self.manifest.name,
            version=self.manifest.version,
            labels=prediction.labels,
            probabilities=prediction.probabilities,
            classes=[target.classes or () for target in self.manifest.targets],
            notice=self.manifest.notice,
        )

    async def _validate(self, request: InferenceRequest) -> Rows:
        validate = partial(
            self.manifest.signature.validate, request.columns, request.rows, text=request.text
        )
        if request.rows * len(request.columns) <= CELLS_ON_THE_LOOP:
            return validate()
        return await asyncio.get_running_loop().run_in_executor(self._executor, validate)

    async def drain(self) -> None:
        """Wait for all answers."""
        await self._batcher.drain()

    async def close(self) -> None:
        """Answer no more."""
        await self._batcher.close()
