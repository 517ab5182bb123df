"""The models that are served, by name and version, and the state of each.

A model is known by its name from the start-up on, with the version that its name resolved to then.
Any other version, also of a model published later, is loaded on its first request. Loads run one
after the other, each verify → load → warm, and a failed one stays failed and visible. A plain form
that does not answer here as it was published gives way to its pipeline, if that may be read. An
operator may load a name again, which then serves what it resolves to now, or unload it in every
version.

Known weak point: what was loaded stays in memory, every version that was ever asked for, until
there is little left of it (`release`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from model_store import Manifest, Model, ModelStore, ModelStoreError, Verified
from model_store.errors import CorruptVersion, GoldenMismatch, PredictionFailed, words_of
from model_store.store import Pickles

from ..config import Config
from ..documents import State
from ..inference import NotReady
from ..pipeline_errors import shown
from .servable import Servable
from .threads import run_in_daemon
from .workers import Workers

LOADING_RETRY_AFTER = 2
"""Seconds after which a client may ask again for a model that is on its way."""

HUNG = 0.75
"""The share of the deadline after which a call of predict hangs."""

WATCH_SECONDS = 0.5

UNUSED_SECONDS = 60.0
"""After so long without a request another version may be let go."""

VALIDATING = 2
"""Threads that validate large tables. More would only take turns at the interpreter."""

UNEXPECTED = "Why is in the log."
"""What clients are told of a failure that nobody has foreseen."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """A model or one version of it, on its way or there. `reason` says to clients why it failed,
    `words` to the log what somebody else's code said of that."""

    state: State = State.PENDING
    reason: str | None = None
    words: str | None = None
    servable: Servable | None = None

    @property
    def manifest(self) -> Manifest | None:
        return None if self.servable is None else self.servable.manifest

    @property
    def settled(self) -> bool:
        return self.state in {State.READY, State.FAILED, State.UNLOADED}

    def fail(self, error: Exception, *, words: bool) -> None:
        """Keep why it failed; with `words`, clients are told what is not our own as well."""
        self.state = State.FAILED
        if isinstance(error, ModelStoreError):
            self.words, self.reason = error.words, shown(error, words=words)
        else:
            self.words = words_of(error)
            self.reason = self.words if words else UNEXPECTED


class Registry:
    """Belongs to one event loop; all its methods are called there.

    `starting` lasts until the names of the models are known; `started` is set when each of them
    is ready or has failed. `draining` is set when the process is to end, and `out_of_memory` when
    that is since it takes too much of it. `workers` are the
    threads that predict: with all of them hung it is not ready.
    """

    def __init__(self, store: ModelStore, config: Config) -> None:
        self.store = store
        self.workers = Workers(config.threads, patience=HUNG * config.deadline)
        self._validator = ThreadPoolExecutor(VALIDATING, thread_name_prefix="validate")
        self._config = config
        self._entries: dict[str, Entry] = {}
        self._others: dict[tuple[str, int], asyncio.Task[Entry]] = {}
        self._loading = asyncio.Lock()
        self.starting = True
        self.started = asyncio.Event()
        self.draining = False
        self.out_of_memory = False

    # What is there ---------------------------------------------------------------

    @property
    def entries(self) -> dict[str, Entry]:
        """The models of the start-up, in the order of their names."""
        return dict(sorted(self._entries.items()))

    @property
    def others(self) -> dict[tuple[str, int], Entry]:
        """What was loaded on request, by name and version: other versions, and later models."""
        return {key: task.result() for key, task in self._others.items() if _succeeded(task)}

    async def names(self) -> list[str]:
        """All models, served or only in the store, in order."""
        stored = await asyncio.to_thread(self.store.models)
        return sorted({*self._entries, *stored})

    async def later(self) -> dict[str, Manifest]:
        """The models that were published since the start-up, each as its name resolves now."""
        known = frozenset(self._entries)
        try:
            if self.starting or known.issuperset(self.store.folders()):
                return {}
            return await asyncio.to_thread(_later, self.store, known)
        except CorruptVersion:  # the store cannot be read: what is loaded goes on
            return {}

    @property
    def servables(self) -> list[Servable]:
        """Everything loaded."""
        found = (*self._entries.values(), *self.others.values())
        return [entry.servable for entry in found if entry.servable is not None]

    @property
    def waiting(self) -> bool:
        """Whether a model of the start-up is still on its way."""
        return self.starting or any(not entry.settled for entry in self._entries.values())

    @property
    def ready(self) -> bool:
        """Whether traffic should come here.

        A model that was published later makes it ready when nothing else is, and never unready: a
        version that fails would otherwise take away a server that answers all it did before.
        """
        states = {entry.state for entry in self._entries.values()}
        later = {
            entry.state for (name, _), entry in self.others.items() if name not in self._entries
        }
        if self.waiting or self.draining or self.workers.exhausted:
            return False
        if State.READY not in states | later:
            return False
        return self._config.ready == "any" or State.FAILED not in states

    def entry(self, name: str) -> Entry:
        """The entry of a name, made where it is new."""
        return self._entries.setdefault(name, Entry())

    # Asking ----------------------------------------------------------------------

    def loaded(self, name: str, version: str | None = None) -> Servable | None:
        """What `servable` answers at once; None where it would have to look, wait or raise."""
        entry = self._entries.get(name)
        if entry is None or entry.servable is None:
            return None
        if version is None or version == str(entry.servable.manifest.version):
            return entry.servable
        return None

    async def servable(
        self, name: str, version: str | None = None, *, until: float | None = None
    ) -> Servable:
        """The loaded version of a model; without a version, the one that its name serves.

        Waits where another version must be loaded first, until a moment of the loop's time, but
        not for a model on its way.

        Raises:
            ModelNotFound, VersionNotFound: the store has no such version either.
            NotReady: it is on its way, or has failed.
        """
        entry = self._entries.get(name)
        if entry is None and self.starting:
            raise NotReady("The server is starting.", LOADING_RETRY_AFTER)
        unloaded = entry is not None and entry.state is State.UNLOADED
        if entry is not None and (version is None or unloaded or not entry.settled):
            return _loaded(name, entry)
        number = await asyncio.to_thread(self.store.resolve, name, version)
        if entry is not None and entry.manifest is not None and entry.manifest.version == number:
            return _loaded(name, entry)
        return _loaded(f"{name} version {number}", await self._other(name, number, until))

    async def _other(self, name: str, number: int, until: float | None) -> Entry:
        task = self._others.get((name, number))
        if task is None:
            task = asyncio.create_task(self._load_other(name, number))
            self._others[name, number] = task
        if until is None:
            until = asyncio.get_running_loop().time() + self._config.deadline
        try:
            # The load belongs to all who ask for it: one who goes away does not end it.
            async with asyncio.timeout_at(until):
                return await asyncio.shield(task)
        except TimeoutError:
            raise NotReady(f"{name} version {number} is loading.", LOADING_RETRY_AFTER) from None

    async def _load_other(self, name: str, number: int) -> Entry:
        entry = Entry()
        await self._load_into(entry, name, number)
        return entry

    # Loading ---------------------------------------------------------------------

    async def load(self, name: str) -> None:
        """Load the version that the name resolves to. A failure is kept as the entry's state."""
        entry = self.entry(name)
        if entry.state is not State.UNLOADED:
            await self._load_into(entry, name, None)

    async def load_again(self, name: str) -> None:
        """Let the name serve the version that it resolves to now; until then, and if that fails,
        what it serves goes on.

        Raises:
            ModelNotFound: the store has no such model.
            NotReady: the version cannot be loaded.
        """
        await asyncio.to_thread(self.store.resolve, name)
        fresh = Entry()
        await self._load_into(fresh, name, None)
        before = self._entries.get(name)
        fails_again = before is not None and before.state is not State.READY
        if fresh.state is State.READY or fails_again:
            self._entries[name] = fresh
        _loaded(name, fresh)

    async def unload(self, name: str) -> None:
        """Answer no more for this model, in any version, until it is loaded again. What was taken
        is answered.

        Raises:
            ModelNotFound: it is neither served nor in the store.
        """
        if name not in self._entries:
            await asyncio.to_thread(self.store.versions, name)
        async with self._loading:
            self._entries[name] = Entry(State.UNLOADED)
            for key in [key for key in self._others if key[0] == name]:
                self._others.pop(key)

    def release(self) -> None:
        """Let go the other versions of models that nobody has asked for lately. They are loaded
        again when they are asked for."""
        for key, entry in self.others.items():
            servable = entry.servable
            known = key[0] in self._entries  # else it may be all that makes this server ready
            if known and servable is not None and servable.unused_for > UNUSED_SECONDS:
                del self._others[key]

    async def _load_into(self, entry: Entry, name: str, version: int | None) -> None:
        async with self._loading:
            try:
                await self._steps(entry, name, version)
            except ModelStoreError as error:
                logger.error("%s failed: %s", name, error.told)
                entry.fail(error, words=self._config.show_errors)
            except Exception as error:
                logger.exception("%s failed", name)
                entry.fail(error, words=self._config.show_errors)

    async def _steps(self, entry: Entry, name: str, version: int | None) -> None:
        begun = time.monotonic()
        verified = await self._verified(entry, name, version, self._config.pickles)
        try:
            model = await self._warmed(entry, verified)
        except (GoldenMismatch, PredictionFailed) as error:
            if verified.form is None or self._config.pickles == "never":
                raise
            logger.warning("%s Its pipeline is loaded instead of its plain form.", error.told)
            number = verified.manifest.version
            verified = await self._verified(entry, name, number, "always")
            model = (await self._warmed(entry, verified)).instead_of_form()
        servable = Servable(model, self.workers, self._config, validator=self._validator)
        servable.load_seconds = time.monotonic() - begun
        entry.servable = servable
        entry.state = State.READY
        logger.info("%s version %d is ready", name, model.manifest.version)

    async def _verified(
        self, entry: Entry, name: str, version: int | None, pickles: Pickles
    ) -> Verified:
        entry.state = State.VERIFYING
        allowed = self._config.allow_version
        verified = await run_in_daemon(
            partial(self.store.verify, name, version, allow_version=allowed, pickles=pickles)
        )
        for warning in verified.warnings:
            logger.warning("%s", warning)
        return verified

    async def _warmed(self, entry: Entry, verified: Verified) -> Model:
        entry.state = State.LOADING
        model = await run_in_daemon(partial(self.store.load, verified))
        entry.state = State.WARMING
        await run_in_daemon(model.replay)
        return model

    async def watch(self) -> None:
        """Log, for ever, how many threads hang, whenever that changes."""
        before = 0
        while True:
            hung = self.workers.hung
            if hung > before:
                threads = self.workers.threads
                logger.error("%d of %d threads hang in a call of predict", hung, threads)
            elif hung < before:
                logger.warning("%d threads hang no more", before - hung)
            before = hung
            await asyncio.sleep(WATCH_SECONDS)

    # Ending ----------------------------------------------------------------------

    async def drain(self) -> None:
        """Wait for all answers."""
        for servable in self.servables:
            await servable.drain()

    async def close(self) -> None:
        """Answer no more; what still waits is told."""
        for task in self._others.values():
            task.cancel()
        for servable in self.servables:
            await servable.close()
        for executor in (self.workers, self._validator):
            executor.shutdown(wait=False, cancel_futures=True)


def _later(store: ModelStore, known: frozenset[str]) -> dict[str, Manifest]:
    found = {}
    for name in store.models():
        if name not in known:
            # One that is damaged has no columns to be chosen by.
            with contextlib.suppress(ModelStoreError):
                found[name] = store.manifest(name)
    return found


def _succeeded(task: asyncio.Task[Entry]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _loaded(what: str, entry: Entry) -> Servable:
    if entry.state is State.FAILED:
        raise NotReady(f"The model {what} failed to load: {entry.reason}", None, entry.words)
    if entry.state is State.UNLOADED:
        raise NotReady(f"The model {what} is unloaded.", None)
    if entry.servable is None:
        raise NotReady(f"The model {what} is not ready yet: {entry.state}.", LOADING_RETRY_AFTER)
    return entry.servable
