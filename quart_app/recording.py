"""Whether predictions are recorded: what records them is made when the first model asks for it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from model_store.record_settings import RecordSettings

from . import extras
from .answering import Answering
from .config import Config
from .database_url import sqlite_file
from .figures import RecordState
from .middleware.request_record import Observer
from .serving.registry import Registry
from .serving.threads import run_in_daemon

if TYPE_CHECKING:
    from .memory.recorder import Recorder
    from .memory.store import Records

SECONDS: Final = 5.0
"""What a transaction of the recorder may take, and how long another's lock is waited for."""

SETTLE_LOOKS: Final = 100
SETTLE_STEP: Final = 0.01
"""How often it is looked whether what waits is written, and seconds from one look to the next."""

DROPPED: Final = ("full", "disk", "unfit", "unwritten")
REMOVED: Final = ("age", "rows", "disk")
"""The reasons."""

logger = logging.getLogger(__name__)

OFF: Final = (
    "Recording is off, so nothing more is kept of what this model is asked. Turn it on with "
    "QUART_APP_RECORD=1 for all models, or with quart-app models edit {name} --record 1 for this "
    "one."
)

Describe = Callable[[Exception], tuple[int, str]]


class Recording:
    """The recorder of one app, None until a model is to be recorded. Belongs to its event loop.

    It is then one of the `observers` of requests. `describe` tells the status and the kind of an
    error.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        answering: Answering,
        observers: list[Observer],
        describe: Describe,
    ) -> None:
        self.recorder: Recorder | None = None
        self._config = config
        self._registry = registry
        self._answering = answering
        self._observers = observers
        self._describe = describe
        self._is_closed = False
        self._is_told = False
        self._missing = missing_drivers(config)
        registry.on_record_settings(self._note_settings)
        if config.record:
            self._tell_missing()

    def state(self, name: str) -> RecordState:
        """Which share of the predictions of a model is recorded."""
        return record_state(self._config, self._registry.record_settings(name), name)

    @property
    def kept(self) -> int:
        """Rows that were recorded since the start."""
        return 0 if self.recorder is None else self.recorder.kept

    @property
    def dropped(self) -> Counter[str]:
        """Rows that were to be recorded and were not, by reason, all of which are told."""
        found = Counter(dict.fromkeys(DROPPED, 0))
        if self.recorder is not None:
            found.update(self.recorder.dropped)
        return found

    @property
    def removed(self) -> Counter[str]:
        """Recorded rows that were deleted again, by reason, all of which are told."""
        found = Counter(dict.fromkeys(REMOVED, 0))
        if self.recorder is not None:
            found.update(dict(self.recorder.removed))
        return found

    @property
    def waiting_rows(self) -> int:
        """Rows that wait to be written."""
        return 0 if self.recorder is None else self.recorder.waiting_rows

    async def settle(self) -> None:
        """Wait until what was predicted before is in the database, for a moment at most."""
        if self.recorder is None:
            return
        waiting = self.recorder.waiting
        mark = waiting.mark()
        for _ in range(SETTLE_LOOKS):
            if waiting.is_past(mark):
                return
            await asyncio.sleep(SETTLE_STEP)

    async def close(self) -> None:
        """Write what waits, within the time that there is for it."""
        self._is_closed = True
        if self.recorder is not None:
            await run_in_daemon(self.recorder.close)

    def _note_settings(self, settings: RecordSettings) -> None:
        """Begin where the settings of a model say so."""
        share = self._config.record if settings.share is None else settings.share
        if share and self.recorder is None and not self._is_closed:
            if self._missing:
                self._tell_missing()
            else:
                self.recorder = self._begun()

    def _begun(self) -> Recorder:
        # Imported where something is recorded only.
        from .memory.recorder import Recorder

        recorder = Recorder(self._records(), self._registry, self._config, self._describe)
        self._answering.on_answer(recorder.answered)
        self._answering.on_failure(recorder.failed)
        self._registry.on_copy(recorder.shadowed)
        self._observers.append(recorder.ended)
        recorder.start()
        return recorder

    def _records(self) -> Records:
        from .memory.opened import open_records

        return open_records(self._config.database_url, self._registry.store, seconds=SECONDS)

    def _tell_missing(self) -> None:
        if self._missing and not self._is_told:
            self._is_told = True
            logger.warning(
                "predictions are not recorded without %s; pip install 'quart-app[record]' brings "
                "that, and QUART_APP_RECORD=0 says that nothing is to be recorded",
                ", ".join(self._missing),
            )


def record_state(config: Config, settings: RecordSettings | None, name: str) -> RecordState:
    """Which share of the predictions of a model is recorded, as its head says, else the server."""
    share = settings.share if settings is not None and settings.share is not None else config.record
    if not share:
        return RecordState(share=0.0, reason=OFF.format(name=name))
    if missing := missing_drivers(config):
        return RecordState(
            share=0.0,
            reason=f"Nothing is recorded without {', '.join(missing)}: "
            "pip install 'quart-app[record]'.",
        )
    return RecordState(share=share, reason=None)


def missing_drivers(config: Config) -> list[str]:
    """The packages that records in this database lack."""
    is_file = sqlite_file(config.database_url) is not None
    return extras.missing(extras.RECORD_SQLITE if is_file else extras.RECORD_POSTGRES)
