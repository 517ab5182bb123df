"""Looks at the store again and again, and lets the registry follow what changed there.

A look reads the index and the stamp of each model's head, which are a generation and a nonce; it
compares no times and lists nothing. So a clock that jumps, a copy of a store and a file system
without times of its own change nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial

from model_store import ModelStore
from model_store.errors import CorruptVersion
from model_store.head import Stamp
from model_store.head_files import Index

from ..documents import State
from .registry import Entry, Registry
from .threads import run_in_daemon

logger = logging.getLogger(__name__)

Stamps = Mapping[str, Stamp | None]


class Follower:
    """Follows one store for one registry, from what it said `before` on, where that is known."""

    def __init__(self, registry: Registry, seconds: float, before: Stamps | None = None) -> None:
        self._before = before
        self._registry = registry
        self._seconds = seconds
        self._index: Index | None = None
        self._stamps: dict[str, Stamp | None] = {}

    async def run(self) -> None:
        """Look for ever, from the end of the start-up on."""
        store = self._registry.store
        failures = store.failures
        # What changes while the start goes on is found by these.
        before = self._before
        if before is None:
            before = await run_in_daemon(partial(_all_stamps, store))
        await self._registry.started.wait()
        # What did not load is not tried at once again, unless the store did not answer; of the
        # others the challengers are found.
        answered = store.failures == failures
        self._stamps = {
            name: before.get(name) if answered and _has_failed(entry) else None
            for name, entry in self._registry.entries.items()
        }
        while True:
            try:
                await self.look()
            except Exception:
                logger.exception("the store cannot be followed; it is looked at again")
            await asyncio.sleep(self._seconds)

    async def look(self) -> None:
        """Look once, and follow each model that changed."""
        names = [*self._stamps]
        index, stamps = await run_in_daemon(partial(_read, self._registry.store, names))
        if index is not None and index != self._index:
            # A head that was written before the server started may be of a model that is served.
            new = [name for name in index.names if name not in stamps]
            _, more = await run_in_daemon(partial(_read, self._registry.store, new))
            stamps |= more
            self._index = index
        for name, stamp in stamps.items():
            if name not in self._stamps or stamp != self._stamps[name]:
                await self._registry.follow(name)
                # What could not be fetched is tried again at the next look.
                self._stamps[name] = stamp if self._registry.store.is_reachable else None
        if index is not None:
            gone = set(self._stamps) - set(index.names) - set(self._registry.entries)
            for name in gone:
                del self._stamps[name]


def _has_failed(entry: Entry) -> bool:
    """Whether the version that the store asks for did not load."""
    update = entry.update
    return entry.state is State.FAILED or (update is not None and update.state == "failed")


def _all_stamps(store: ModelStore) -> Stamps:
    """The stamp of each model; none of a store that cannot be read."""
    try:
        return _read(store, store.folders())[1]
    except CorruptVersion:
        return {}


def _read(store: ModelStore, names: Sequence[str]) -> tuple[Index | None, dict[str, Stamp | None]]:
    return store.index(), {name: store.stamp(name) for name in names}
