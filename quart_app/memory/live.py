"""The figures of models in use, for the event loop: what blocks is done in threads of its own."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from model_store import ModelStore

from ..figures import Monitor, Watched
from ..inference import NotReady
from ..window import MINUTE, Window, seconds_of
from .monitor import Question, Scored, asked_of, drift_of, monitor
from .opened import SharedRecords
from .pieces import read_pieces
from .scoring import read_truths
from .store import Records
from .versions import Versions

FRESH: Final = MINUTE
"""How old what is known of all models may be; less where windows are short."""
WATCHED_ROWS: Final = 10_000
"""Rows with a truth that the scores of the metrics are of."""
RESTS: Final = 20
"""How many times as long as the last look took nothing is looked at again: of many models that is
longer than FRESH."""
PATIENCE: Final = 1.0
"""Seconds that a page waits for it to be looked at again."""

logger = logging.getLogger(__name__)


class Live:
    """Reads the records of the models of one app. Belongs to its event loop."""

    def __init__(self, records: SharedRecords, store: ModelStore) -> None:
        self._records = records
        self._versions = Versions(store)
        self._watched: Mapping[str, Watched] = {}
        self._due = -math.inf
        self._looking: asyncio.Task[None] | None = None

    async def figures(self, question: Question, until: float | None) -> Monitor:
        """The figures of a model, before the moment `until` of the loop's time.

        Raises:
            NotReady: the database does not answer.
            DeadlineExceeded
        """
        look = partial(monitor, versions=self._versions, question=question)
        return await self._records.call(look, until)

    async def watched(self, models: Mapping[str, int], length: str) -> Mapping[str, Watched]:
        """What is known of each of these models, by the version that serves; as it was found before
        where it is not looked at in time again."""
        loop = asyncio.get_running_loop()
        if models and loop.time() >= self._due and self._looking is None:
            self._looking = loop.create_task(self._look(dict(models), length), name="drift")
        if self._looking is not None:
            await asyncio.wait([self._looking], timeout=PATIENCE)
        return {name: self._watched[name] for name in models if name in self._watched}

    async def _look(self, models: Mapping[str, int], length: str) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            window = Window.before(length, time.time())
            look = partial(self._watch, models=models, window=window)
            self._watched = await self._records.call(look, None)
        except NotReady as error:
            logger.warning("Drift cannot be looked for: %s", error.words)
        except Exception:
            logger.exception("Drift cannot be looked for.")
        finally:
            now = loop.time()
            self._due = now + max(min(FRESH, seconds_of(length) / 4), RESTS * (now - begun))
            self._looking = None

    def _watch(
        self, records: Records, models: Mapping[str, int], window: Window
    ) -> dict[str, Watched]:
        found = {}
        for name, version in models.items():
            pieces = read_pieces(records, self._versions, name, window)
            now, former = (asked_of(each, version) for each in (pieces.now, pieces.former))
            truths = read_truths(records, name, window, most=WATCHED_ROWS)
            found[name] = Watched(
                drift=drift_of(self._versions.find(name, version), version, now, former),
                scores=Scored(self._versions, name, truths).of(version),
            )
        return found
