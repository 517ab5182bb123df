"""The models that are served, by name and version, and the state of each.

A model is known by its name from the start-up on, with the version that its name resolved to then;
`follow` brings that to what its head says now. The new version is loaded beside, verified, and
replays its golden rows; then it takes the place of the old one at once, which answers what it was
asked before and is let go. A load that fails leaves what serves, and is told. The former champion
stays for a while, so that a rollback need not load it.

Any other version is loaded on its first request, and goes again, least recently used first, when
there are too many. Loads run one after the other. A plain form that does not answer here as it was
published gives way to its pipeline, if that may be read. An operator may load a name again, or
unload it in every version.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import msgspec

from model_store import Manifest, ModelStore, ModelStoreError
from model_store.errors import (
    CorruptVersion,
    InvalidChallenger,
    ModelNotFound,
)
from model_store.head import Challenger, Change
from model_store.record_settings import RecordSettings

from ..config import Config
from ..documents import State, Update
from ..inference import NotReady
from ..pipeline_errors import shown
from . import room
from .challenge import Challenge, OnCopy, Totals
from .comparison import Comparison
from .loading import UNEXPECTED, Failure, Loaded, load
from .servable import Servable
from .short_calls import most_rows
from .threads import run_in_daemon
from .workers import Workers

LOADING_RETRY_AFTER = 2
"""Seconds after which a client may ask again for a model that is on its way."""

HUNG = 0.75
"""The share of the deadline after which a call of predict hangs."""

WATCH_SECONDS = 0.5

UNUSED_SECONDS = 60.0
"""After so long without a request another version may be let go."""

LOAD_SECONDS = 600
"""After so long a load is given up. The largest models take a minute; one that hangs would hold up
all others."""

STEP_SECONDS = 0.0005
"""For which a load holds the interpreter while others want it; Python's own are ten times that."""

COLLECT_AFTER = 1.0
"""Seconds after which circles in a model that has gone are collected."""

VALIDATING = 2
"""Threads that validate large tables. More would only take turns at the interpreter."""

EXPLAINING = 1
"""Threads that explain answers, which is work for the interpreter too."""

logger = logging.getLogger(__name__)

OnRecordSettings = Callable[[RecordSettings], None]


class Entry(msgspec.Struct):
    """A model or one version of it, on its way or there. `reason` says to clients why it failed,
    `words` to the log what somebody else's code said of that. `late` is a model that was published
    after the start. `update` is the last try to serve another version than before."""

    state: State = State.PENDING
    reason: str | None = None
    words: str | None = None
    servable: Servable | None = None
    late: bool = False
    update: Update | None = None

    @property
    def manifest(self) -> Manifest | None:
        return None if self.servable is None else self.servable.manifest

    @property
    def changes(self) -> bool:
        """Whether the old version has gone and the new one is not there yet."""
        return self.update is not None and self.update.state == "loading" and not self.settled

    @property
    def settled(self) -> bool:
        return self.state in {State.READY, State.FAILED, State.UNLOADED}

    def fail(self, error: Exception, *, words: bool) -> None:
        """Keep why it failed; with `words`, clients are told what is not our own as well."""
        self.note(Failure.of(error, words=words))

    def note(self, failure: Failure) -> None:
        """Keep why it failed."""
        self.state = State.FAILED
        self.reason, self.words = failure.reason, failure.words


class Former(NamedTuple):
    """What served before, until a moment of the loop's time."""

    servable: Servable
    until: float


class Wanted(NamedTuple):
    """What the store says that a name is to serve now, what is tried beside it, and what is
    recorded."""

    manifest: Manifest
    challenger: Challenger | None
    records: RecordSettings


class Siblings(NamedTuple):
    """The other workers of this server: what they have counted of challengers, and how they are
    told to follow the head of a model at once."""

    totals: Totals
    follow: Callable[[str], Awaitable[None]]


class Untried(NamedTuple):
    """A challenger that does not load, and why."""

    challenger: Challenger
    reason: str


class Registry:
    """Belongs to one event loop; all its methods are called there.

    `starting` lasts until the names of the models are known; `started` is set when each of them
    is ready or has failed. `draining` is set when the process is to end, and `out_of_memory` when
    that is since it takes too much of it. `workers` are the
    threads that predict: with all of them hung it is not ready. `siblings` are there where it is
    that of one of several workers. Models that were `loaded` before are not loaded again. Where
    `on_want` is set, other processes serve what is new: it is called in place of a load that the
    store asks for.
    """

    def __init__(self, store: ModelStore, config: Config, loaded: Loaded | None = None) -> None:
        self.store = store
        self._loaded = {} if loaded is None else dict(loaded.models)
        self._unloadable = {} if loaded is None else dict(loaded.untried)
        self.on_want: Callable[[], None] | None = None
        self.workers = Workers(config.threads, patience=HUNG * config.deadline)
        self._validator = ThreadPoolExecutor(VALIDATING, thread_name_prefix="validate")
        self._explaining = ThreadPoolExecutor(EXPLAINING, thread_name_prefix="explain")
        self._config = config
        self._entries: dict[str, Entry] = {}
        self._others: dict[tuple[str, int], asyncio.Task[Entry]] = {}
        self._loading = asyncio.Lock()
        self._following = asyncio.Lock()
        self._former: dict[str, Former] = {}
        self._frozen: set[int] = set()
        self._leaving: dict[Servable, asyncio.Task[None]] = {}
        self._challenges: dict[str, Challenge] = {}
        self._untried: dict[str, Untried] = {}
        self._records: dict[str, RecordSettings] = {}
        self._on_record_settings: OnRecordSettings | None = None
        self._on_copy: OnCopy | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.siblings: Siblings | None = None
        self.failed_updates = 0
        self.swaps = 0
        self.starting = True
        self.started = asyncio.Event()
        self.draining = False
        self.out_of_memory = False

    # What is there ---------------------------------------------------------------

    @property
    def entries(self) -> dict[str, Entry]:
        """The models that are known by name, in the order of their names."""
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
        """Everything that answers."""
        found = (*self._entries.values(), *self.others.values())
        named = [entry.servable for entry in found if entry.servable is not None]
        return [*named, *(challenge.servable for challenge in self._challenges.values())]

    @property
    def challenges(self) -> dict[str, Challenge]:
        """What is tried beside the champions, by the name of the model."""
        return dict(self._challenges)

    @property
    def has_challenges(self) -> bool:
        """Whether anything is tried beside a champion."""
        return bool(self._challenges)

    def _all_loaded(self) -> Iterator[Servable]:
        """Those that answer, those that are kept, and those that have answers to give yet."""
        yield from self.servables
        yield from (former.servable for former in self._former.values())
        yield from tuple(self._leaving)

    @property
    def waiting(self) -> bool:
        """Whether a model of the start-up is still on its way."""
        return self.starting or any(
            not entry.settled
            for entry in self._entries.values()
            if not entry.late and not entry.changes
        )

    @property
    def ready(self) -> bool:
        """Whether traffic should come here.

        A model that was published later makes it ready when nothing else is, and never unready: a
        version that fails would otherwise take away a server that answers all it did before.
        """
        entries = self._entries.values()
        states = {
            State.READY if entry.changes else entry.state for entry in entries if not entry.late
        }
        later = {entry.state for entry in entries if entry.late} | {
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
        former = self._former.get(name)
        if former is not None and former.servable.manifest.version == number:
            return former.servable
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
        if entry.servable is not None:
            await _replay_reasons(entry.servable)
        # This one's task has not ended yet, so it is none of those that may go.
        self._keep_others(self._config.max_loaded - 1)
        return entry

    def _keep_others(self, most: int) -> None:
        """Let go all but so many of what was loaded on request; first what failed, then what was
        asked for the longest time ago."""
        found = self.others
        for key in sorted(found, key=lambda key: _unused_for(found[key]))[most:]:
            self._drop_other(key)

    def _drop_other(self, key: tuple[str, int]) -> None:
        task = self._others.pop(key, None)
        if task is None or not _succeeded(task):
            return
        servable = task.result().servable
        if servable is not None:
            self._let_go(servable)

    # Loading ---------------------------------------------------------------------

    async def load(self, name: str) -> None:
        """Load the version that the name resolves to. A failure is kept as the entry's state."""
        entry = self.entry(name)
        if entry.state is not State.UNLOADED:
            await self._load_into(entry, name, None)

    async def adopt(self, loaded: Loaded) -> None:
        """Serve what was loaded before, and keep what was not as the state of the entries."""
        for name in sorted({*loaded.champions, *loaded.failed}):
            entry, failure = self.entry(name), loaded.failed.get(name)
            version = loaded.champions.get(name)
            if version is not None:
                await self._load_into(entry, name, version)
            if failure is None:
                continue
            if entry.state is State.READY:
                entry.update = Update(
                    version=failure.version, state="failed", reason=failure.reason
                )
            else:
                entry.note(failure)

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
        if fresh.servable is not None:
            await _replay_reasons(fresh.servable)
        if fresh.state is State.READY:
            self._swap(name, fresh)
        elif fails_again:
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
            self._forget(name)
            self._entries[name] = Entry(State.UNLOADED)

    def release(self) -> None:
        """Let go what is kept for a rollback, and the other versions of models that nobody has
        asked for lately. They are loaded again when they are asked for."""
        for name in [*self._former]:
            self._let_go(self._former.pop(name).servable)
        for key, entry in self.others.items():
            servable = entry.servable
            known = key[0] in self._entries  # else it may be all that makes this server ready
            if known and servable is not None and servable.unused_for > UNUSED_SECONDS:
                self._drop_other(key)

    # Following -------------------------------------------------------------------

    async def follow(self, name: str) -> None:
        """Let a name serve what its head says now, and try what it says beside that. What fails is
        kept as the entry's `update`, and what serves goes on.

        Does nothing for a model that an operator has unloaded.
        """
        async with self._following:
            try:
                wanted = await run_in_daemon(partial(_wanted, self.store, name))
            except ModelStoreError as error:
                self._fail_update(name, None, shown(error, words=self._config.show_errors))
                return
            if wanted is None:
                self._forget(name)
                return
            self._note_record_settings(name, wanted.records)
            entry = self._entries.get(name)
            if entry is not None and (entry.state is State.UNLOADED or not entry.settled):
                return
            await self._follow_champion(name, entry, wanted.manifest)
            await self._follow_challenger(name, wanted.challenger)

    async def follow_within(self, name: str, until: float | None) -> None:
        """Follow a head at once, and wait for it until a moment of the loop's time; what takes
        longer goes on."""
        task = asyncio.create_task(self.follow(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await asyncio.shield(task)

    async def _follow_champion(self, name: str, entry: Entry | None, wanted: Manifest) -> None:
        serving = None if entry is None else entry.servable
        if serving is not None and serving.manifest.version == wanted.version:
            assert entry is not None
            if serving.manifest.revision != wanted.revision:
                entry.servable = serving.again(manifest=wanted)
                self._let_go(serving)
                await _replay_reasons(entry.servable)
            if entry.update is not None and entry.update.state == "failed":
                entry.update = None  # the store wants what serves again
            return
        del serving  # a load in its place needs its memory
        fresh = self._at_hand(name, wanted)
        if fresh is None:
            if self._leaves_to_others(name, wanted.version):
                if entry is not None:
                    entry.update = Update(version=wanted.version, state="loading")
                return
            if entry is not None:
                entry.update = Update(version=wanted.version, state="loading")
            fresh = await self._load_fresh(name, entry, wanted.version)
        if fresh.state is State.READY:
            fresh.update = Update(version=wanted.version, state="ready")
            self._swap(name, fresh)
            if fresh.servable is not None:
                await _replay_reasons(fresh.servable)
            return
        assert fresh.reason is not None
        if entry is None or entry.servable is None:
            self._entries[name] = fresh
            fresh.late = entry is None or entry.late
        self._fail_update(name, wanted.version, fresh.reason)
        await self._note_failure(name, wanted.version, fresh.reason)

    async def _load_fresh(self, name: str, entry: Entry | None, version: int) -> Entry:
        """A version loaded beside what serves, or after that has gone."""
        fresh = Entry()
        if entry is None or entry.servable is None:
            await self._load_into(fresh, name, version)
            return fresh
        missing = await run_in_daemon(partial(self._missing_room, name, version))
        if missing is None:
            await self._load_into(fresh, name, version)
        elif self._config.swap == "beside":
            fresh.state, fresh.reason = State.FAILED, missing
        else:
            await self._load_after(fresh, name, entry, version)
        return fresh

    def _leaves_to_others(self, name: str, version: int) -> bool:
        """Whether processes that are started now serve a version, since it is not loaded here."""
        if self.on_want is None or (name, version) in self._loaded:
            return False
        self.on_want()
        return True

    def _missing_room(self, name: str, version: int) -> str | None:
        """Why there is not the memory for a version beside the others. Blocks."""
        try:
            return room.missing(self.store, name, version, self._config.max_memory)
        except ModelStoreError:
            return None  # the load says what is wrong with it

    async def _load_after(self, fresh: Entry, name: str, entry: Entry, version: int) -> None:
        """Load a version once the one that serves has gone; if it fails, that one again."""
        before = entry.servable
        assert before is not None
        # What is damaged is found while the old one serves.
        try:
            allowed, pickles = self._config.allow_version, self._config.pickles
            verify = partial(self.store.verify, allow_version=allowed, pickles=pickles)
            await run_in_daemon(partial(verify, name, version))
        except ModelStoreError as error:
            fresh.fail(error, words=self._config.show_errors)
            return
        number = before.manifest.version
        former = self._former.pop(name, None)
        if former is not None:
            self._let_go(former.servable)
        self._stop_challenge(name)
        entry.state, entry.servable = State.LOADING, None
        with contextlib.suppress(TimeoutError):  # a thread may hang
            async with asyncio.timeout(self._config.deadline):
                await before.drain()
        del before
        await self._load_into(fresh, name, version)
        if fresh.state is not State.READY:
            await self._load_into(entry, name, number)

    def _at_hand(self, name: str, wanted: Manifest) -> Entry | None:
        """A version that is loaded already: what served before, what is tried, or was asked for by
        its number. Else None."""
        found = None
        former, challenge = self._former.get(name), self._challenges.get(name)
        other = self.others.get((name, wanted.version))
        if former is not None and former.servable.manifest.version == wanted.version:
            found = self._former.pop(name).servable
        elif challenge is not None and challenge.challenger.version == wanted.version:
            found = challenge.servable.again(workers=self.workers)
        elif other is not None and other.servable is not None:
            found = other.servable
        if found is None:
            return None
        if found.manifest.revision != wanted.revision:
            found = found.again(manifest=wanted)
        return Entry(State.READY, servable=found)

    def _swap(self, name: str, fresh: Entry) -> None:
        """Let a name serve this from now on. What served is kept for a while, or let go."""
        before = self._entries.get(name)
        fresh.late = before is None or before.late
        self._entries[name] = fresh
        assert fresh.servable is not None
        key = name, fresh.servable.manifest.version
        other = self.others.get(key)
        if other is not None and other.servable is fresh.servable:
            del self._others[key]
        self.swaps += 1
        if before is None or before.servable is None or before.servable is fresh.servable:
            return
        former = self._former.pop(name, None)
        if former is not None:
            self._let_go(former.servable)
        if self._config.keep_former and before.servable.manifest.version != (
            fresh.servable.manifest.version
        ):
            until = asyncio.get_running_loop().time() + self._config.keep_former
            self._former[name] = Former(before.servable, until)
        else:
            self._let_go(before.servable)

    def expire(self) -> None:
        """Let go what was kept for long enough."""
        now = asyncio.get_running_loop().time()
        for name in [name for name, former in self._former.items() if former.until <= now]:
            self._let_go(self._former.pop(name).servable)

    def _forget(self, name: str) -> None:
        """Let go every version of a model."""
        entry = self._entries.pop(name, None)
        former = self._former.pop(name, None)
        self._stop_challenge(name)
        self._untried.pop(name, None)
        self._records.pop(name, None)
        for key in [key for key in self._others if key[0] == name]:
            self._drop_other(key)
        if former is not None:
            self._let_go(former.servable)
        if entry is not None and entry.servable is not None:
            self._let_go(entry.servable)

    def _let_go(self, servable: Servable) -> None:
        """Hold a model until it has answered what it was asked, and no longer."""
        if servable not in self._leaving:
            self._leaving[servable] = asyncio.create_task(self._see_off(servable))

    async def _see_off(self, servable: Servable) -> None:
        try:
            await servable.drain()
            is_frozen = id(servable) in self._frozen
            cyclic = is_frozen and await run_in_daemon(partial(servable.holds_cycles))
        finally:
            self._leaving.pop(servable, None)
            self._frozen.discard(id(servable))
        if cyclic:
            # The collector does not look at what was frozen. It does this once a model of the
            # start that has circles in it, which few have: it takes tenths of a second.
            asyncio.get_running_loop().call_later(COLLECT_AFTER, _collect_frozen)

    def note_frozen(self) -> None:
        """Remember that what is loaded now is looked through by no collection of garbage."""
        self._frozen = {id(servable) for servable in self.servables}

    def _fail_update(self, name: str, version: int | None, reason: str) -> None:
        entry = self._entries.get(name)
        self.failed_updates += 1
        logger.error("%s is not brought to %s: %s", name, version or "its head", reason)
        if entry is not None:
            entry.update = Update(version=version, state="failed", reason=reason)

    async def _note_failure(self, name: str, version: int, reason: str) -> None:
        """Let the history tell of a load that failed, where the store can be written."""
        change = Change(what="failed load", who="server", version=version, why=reason)
        with contextlib.suppress(ModelStoreError):
            await run_in_daemon(partial(self.store.note, name, change))

    # Challengers -----------------------------------------------------------------

    def challenge(self, servable: Servable) -> Challenge | None:
        """What is tried beside a champion."""
        found = self._challenges.get(servable.manifest.name) if self._challenges else None
        return found if found is not None and found.champion is servable else None

    def record_settings(self, name: str) -> RecordSettings | None:
        """What is recorded of a model; None of one that is not known."""
        return self._records.get(name)

    def on_record_settings(self, subscriber: OnRecordSettings) -> None:
        """Let a subscriber know of the settings of each model, when they are read."""
        self._on_record_settings = subscriber

    def _note_record_settings(self, name: str, settings: RecordSettings) -> None:
        self._records[name] = settings
        if self._on_record_settings is not None:
            self._on_record_settings(settings)

    def on_copy(self, subscriber: OnCopy) -> None:
        """Let a subscriber know of what shadows answer from now on, as `Challenge` does."""
        self._on_copy = subscriber
        for challenge in self._challenges.values():
            challenge.on_copy = subscriber

    def untried(self, name: str) -> Untried | None:
        """The challenger of a model that does not load."""
        return self._untried.get(name)

    async def begin_challenges(self) -> None:
        """Once all is loaded, try what the heads say: of a server that looks at its store at the
        start alone."""
        await self.started.wait()
        for name in self.entries:
            with contextlib.suppress(ModelStoreError):  # which its load has told
                head = await run_in_daemon(partial(self.store.head, name))
                if head.challenger is not None:
                    await self.follow(name)

    async def _follow_challenger(self, name: str, wanted: Challenger | None) -> None:
        champion = self._entries[name].servable
        current, untried = self._challenges.get(name), self._untried.get(name)
        if wanted is None or champion is None:
            self._stop_challenge(name)
            self._untried.pop(name, None)
            return
        if untried is not None and untried.challenger.id == wanted.id:
            return
        if (
            current is not None
            and current.challenger.id == wanted.id
            and current.champion.manifest.version == champion.manifest.version
        ):
            current.champion = champion  # it may have other words
            return
        if self._begins_elsewhere(name, wanted):
            return
        threads = self._config.threads if wanted.kind == "canary" else 1
        workers = Workers(threads, patience=HUNG * self._config.deadline)
        servable = await self._challenging(name, wanted, workers)
        self._stop_challenge(name)
        if servable is None:
            workers.shutdown(wait=False)
            return
        self._untried.pop(name, None)
        self._challenges[name] = Challenge(
            *(wanted, champion, servable, workers),
            deadline=self._config.deadline,
            judge=self._judge,
            on_copy=self._on_copy,
            totals=None if self.siblings is None else self.siblings.totals,
        )
        logger.info("%s version %d is tried as a %s", name, wanted.version, wanted.kind)

    def _begins_elsewhere(self, name: str, wanted: Challenger) -> bool:
        """Whether a challenger is tried by processes that are started now, or failed to load before
        this one was."""
        failure = self._unloadable.pop((name, wanted.version), None)
        if failure is not None:
            self._stop_challenge(name)
            self._untried[name] = Untried(wanted, failure.reason)
            return True
        if any(held.manifest.version == wanted.version for held in self._held(name, wanted)):
            return False
        return self._leaves_to_others(name, wanted.version)

    def _held(self, name: str, wanted: Challenger) -> list[Servable]:
        """What is loaded of a model, beside its champion."""
        former, current = self._former.get(name), self._challenges.get(name)
        other = self.others.get((name, wanted.version))
        held = (
            None if current is None else current.servable,
            None if former is None else former.servable,
            None if other is None else other.servable,
        )
        return [servable for servable in held if servable is not None]

    async def _challenging(
        self, name: str, wanted: Challenger, workers: Workers
    ) -> Servable | None:
        """The version to be tried, on threads of its own; None where it does not load."""
        for servable in self._held(name, wanted):
            if servable.manifest.version == wanted.version:
                return servable.again(workers=workers)
        entry, missing = Entry(), None
        if (name, wanted.version) not in self._loaded:
            missing = await run_in_daemon(partial(self._missing_room, name, wanted.version))
        if missing is None:
            await self._load_into(entry, name, wanted.version)
        if entry.servable is not None:
            await _replay_reasons(entry.servable)
            return entry.servable.again(workers=workers)
        reason = missing or entry.reason or UNEXPECTED
        self._untried[name] = Untried(wanted, reason)
        self.failed_updates += 1
        await self._note_failure(name, wanted.version, reason)
        return None

    def _stop_challenge(self, name: str) -> None:
        challenge = self._challenges.pop(name, None)
        if challenge is not None:
            challenge.close()
            self._let_go(challenge.servable)

    def _judge(self, challenge: Challenge, found: Comparison, broken: str | None) -> None:
        """Stop or promote a challenger in the head, as its gates say of what was found."""
        task = asyncio.create_task(self._carry_out(challenge, found, broken))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, challenge: Challenge, found: Comparison, broken: str | None) -> None:
        name, challenger = challenge.champion.manifest.name, challenge.challenger
        if broken is not None and self._challenges.get(name) is challenge:
            # At once here, whether or not the head can be written.
            self._stop_challenge(name)
            self._untried[name] = Untried(challenger, broken)
            logger.warning("%s version %d is stopped: %s", name, challenger.version, broken)
        try:
            if broken is not None:
                stop = partial(
                    self.store.stop, name, challenger=challenger.id, gate=True, who="gate"
                )
                await run_in_daemon(partial(stop, why=broken))
            else:
                why = f"All gates held for {found.challenger.requests} requests."
                promote = partial(self.store.promote_challenger, name, challenger.id, who="gate")
                await run_in_daemon(partial(promote, why=why))
        except InvalidChallenger:
            pass  # another server or worker was faster, or a person
        except ModelStoreError as error:
            logger.error("the gate of %s cannot be carried out in its head: %s", name, error.told)
        await self.follow(name)
        if self.siblings is not None:
            await self.siblings.follow(name)

    # One load --------------------------------------------------------------------

    async def _load_into(self, entry: Entry, name: str, version: int | None) -> None:
        async with self._loading:
            try:
                async with asyncio.timeout(LOAD_SECONDS):
                    with self._in_small_steps():
                        await self._steps(entry, name, version)
            except TimeoutError:
                # Its thread cannot be stopped; what else is to be loaded does not wait for it.
                logger.error("%s is not loaded after %d seconds", name, LOAD_SECONDS)
                entry.state = State.FAILED
                entry.reason = f"It was not loaded after {LOAD_SECONDS} seconds."
            except ModelStoreError as error:
                logger.error("%s failed: %s", name, error.told)
                entry.fail(error, words=self._config.show_errors)
            except Exception as error:
                logger.exception("%s failed", name)
                entry.fail(error, words=self._config.show_errors)

    @contextlib.contextmanager
    def _in_small_steps(self) -> Iterator[None]:
        """Let a load give the interpreter to whoever wants it after a tenth of the usual time, once
        there is somebody who is answered meanwhile."""
        if not self.started.is_set():
            yield
            return
        before = sys.getswitchinterval()
        sys.setswitchinterval(min(before, STEP_SECONDS))
        try:
            yield
        finally:
            sys.setswitchinterval(before)

    async def _steps(self, entry: Entry, name: str, version: int | None) -> None:
        begun = time.monotonic()
        # Before it answers, so that no value is recorded that is not to be kept.
        entry.state = State.VERIFYING
        head = await run_in_daemon(partial(self.store.head, name))
        self._note_record_settings(name, head.records)
        model = None if version is None else self._loaded.pop((name, version), None)
        if model is None:
            on_step = partial(setattr, entry, "state")
            model = await run_in_daemon(
                partial(load, self.store, name, version, self._config, on_step)
            )
        servable = Servable(
            model,
            self.workers,
            self._config,
            validator=self._validator,
            explaining=self._explaining,
            short_rows=await run_in_daemon(partial(most_rows, model)),
        )
        servable.load_seconds = time.monotonic() - begun
        entry.servable = servable
        entry.state = State.READY
        logger.info("%s version %d is ready", name, model.manifest.version)

    async def replay_reasons(self) -> None:
        """See of everything loaded that its reasons add up to its answers. What fails explains
        nothing, and the log says so."""
        for servable in self.servables:
            await _replay_reasons(servable)

    async def watch(self) -> None:
        """For ever, log how many threads hang, whenever that changes, and let go what was kept for
        long enough."""
        before = 0
        while True:
            self.expire()
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
        for servable in [*self._all_loaded()]:
            await servable.drain()

    async def close(self) -> None:
        """Answer no more; what still waits is told."""
        for task in (*self._others.values(), *self._tasks):
            task.cancel()
        for challenge in self._challenges.values():
            challenge.close()
        for servable in [*self._all_loaded()]:
            await servable.close()
        for executor in (self.workers, self._validator, self._explaining):
            executor.shutdown(wait=False, cancel_futures=True)


def _collect_frozen() -> None:
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _wanted(store: ModelStore, name: str) -> Wanted | None:
    """What the store says of a name; None where it has no such model any more.

    Raises:
        VersionNotFound, CorruptVersion
    """
    try:
        versions = store.versions(name)
    except ModelNotFound:
        return None
    head = store.head(name)
    challenger = head.challenger
    if challenger is not None and challenger.version not in versions:
        challenger = None
    return Wanted(store.manifest(name), challenger, head.records)


def _unused_for(entry: Entry) -> float:
    return math.inf if entry.servable is None else entry.servable.unused_for


async def _replay_reasons(servable: Servable) -> None:
    try:
        await run_in_daemon(servable.replay_reasons)
    except ModelStoreError as error:
        logger.warning("%s explains no answers: %s", servable.manifest.name, error.told)
    except Exception:
        logger.exception("The reasons of %s failed", servable.manifest.name)


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
