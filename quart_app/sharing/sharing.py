"""This worker and the others of its server, which do and say as one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec

from model_store import Manifest, ModelStoreError

from ..about.readiness import readiness, together
from ..documents import Ready, State
from ..inference import NotReady
from ..observe.families import Family
from ..observe.metrics import Metrics
from ..recording import SETTLE_LOOKS, SETTLE_STEP, Recording
from ..serving.challenge import Counted, Totals
from ..serving.comparison import Comparison
from ..serving.registry import Registry, Siblings
from ..serving.statistics import Statistics
from ..siblings.channel import Channel, Name
from ..siblings.kept import Kept
from ..tables.jobs import Jobs
from . import counts

SETTLING: Final = SETTLE_LOOKS * SETTLE_STEP + 0.2
"""Seconds that the others have to write what waits to be recorded."""

FOLLOWING: Final = 2.0
"""Seconds that the others have to follow a head. What needs longer goes on."""

LOADING: Final = 60.0
"""Seconds that the others have to load a model on request. What needs longer goes on."""

CATCHING_UP: Final = 5.0
"""Seconds that the others have to say what they were told before this worker was there."""

FRESH: Final = 0.1
"""Seconds for which what the others said of their readiness holds."""

STARTED: Final = "started"
"""A file in the folder: every slot was ready once."""

logger = logging.getLogger(__name__)

_ready: Final = msgspec.msgpack.Decoder(Ready)
_names: Final = msgspec.msgpack.Decoder(list[str])


class Sharing:
    """What this worker shares with the others. Belongs to its event loop."""

    def __init__(
        self,
        channel: Channel,
        registry: Registry,
        metrics: Metrics,
        recording: Recording,
        jobs: Jobs,
    ) -> None:
        self.channel = channel
        self._registry = registry
        self._recording = recording
        self._jobs = jobs
        counting = counts.Counting(metrics, registry)
        self._kept = Kept(channel, counting.read, counts.fold)
        self._others: dict[Name, Ready | None] = {}
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        channel.on("ready", self._tell_ready)
        channel.on("settle", self._settle)
        channel.on("unloaded", self._tell_unloaded)
        self._do("follow", registry.follow)
        self._do("load", registry.load_again)
        self._do("unload", registry.unload)
        totals = Totals(self._counted, channel.place.workers)
        registry.siblings = Siblings(totals, self.follow)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be known to the others meanwhile, and leave them what was counted.

        Raises:
            OSError: the folder has gone, or cannot be written.
        """
        await self.channel.start()
        tasks = [
            asyncio.create_task(self._kept.run(), name="counts"),
            asyncio.create_task(self._catch_up(), name="catch up"),
            asyncio.create_task(self._jobs.watch(), name="files"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._kept.write()
            await self.channel.close()

    # Sums --------------------------------------------------------------------------

    async def families(self) -> Sequence[Family]:
        """The metrics of all workers, the dead included, and how many live."""
        pieces = await self._kept.gather()
        found = counts.sum_of(pieces).families
        living = sum(piece.lives for piece in pieces)
        return [*found, _workers(living)]

    async def statistics(self, manifests: Sequence[Manifest]) -> list[tuple[Manifest, Statistics]]:
        """These versions with what all workers have counted of each."""
        found = counts.sum_of(await self._kept.gather()).statistics
        return [(each, found.get(counts.key_of(each), Statistics())) for each in manifests]

    async def _counted(self, key: str) -> Counted:
        found = counts.sum_of(await self._kept.gather())
        return found.challenges.get(key, Counted(Comparison()))

    # Readiness -----------------------------------------------------------------------

    async def readiness(self) -> Ready:
        """Whether traffic should come to this server."""
        await self._ask_others()
        own = self.channel.name
        found: dict[int, Ready | None] = {}
        everyone = {**self._others, own: readiness(self._registry)}
        # Of two in a slot one takes the place of the other, and the clients have who is ready.
        for name in sorted(everyone, key=lambda name: (_is_ready(everyone[name]), name.generation)):
            found[name.slot] = everyone[name]
        started = self._has_started()
        ready = together(found, self.channel.place.workers, started=started)
        if ready.ready and not started:
            with contextlib.suppress(OSError):
                (self.channel.folder / STARTED).touch()
        return ready

    def _has_started(self) -> bool:
        return (self.channel.folder / STARTED).exists()

    async def _ask_others(self) -> None:
        if asyncio.get_running_loop().time() - self._asked_at < FRESH:
            return
        if self._asking is None:
            self._asking = asyncio.create_task(self._look_at_others(), name="readiness")
        await asyncio.shield(self._asking)

    async def _look_at_others(self) -> None:
        try:
            found = await self.channel.ask("ready")
            self._others = {
                name: None if body is None else _ready.decode(body) for name, body in found.items()
            }
            self._asked_at = asyncio.get_running_loop().time()
        finally:
            self._asking = None

    async def _tell_ready(self, body: bytes) -> bytes:
        return msgspec.msgpack.encode(readiness(self._registry))

    # As one --------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wait until what any of the workers has predicted is recorded, for a moment at most."""
        await asyncio.gather(self._recording.settle(), self.channel.ask("settle", seconds=SETTLING))

    async def follow(self, name: str) -> None:
        """Have the others follow the head of a model at once."""
        await self.channel.ask("follow", name.encode(), seconds=FOLLOWING)

    async def load(self, name: str) -> None:
        """Have the others load the version that a name means."""
        await self.channel.ask("load", name.encode(), seconds=LOADING)

    async def unload(self, name: str) -> None:
        """Have the others unload a model."""
        await self.channel.ask("unload", name.encode(), seconds=FOLLOWING)

    async def _settle(self, body: bytes) -> bytes:
        await self._recording.settle()
        return b""

    async def _tell_unloaded(self, body: bytes) -> bytes:
        entries = self._registry.entries
        found = [name for name, entry in entries.items() if entry.state is State.UNLOADED]
        return msgspec.msgpack.encode(found)

    async def _catch_up(self) -> None:
        """Unload what the others were told to unload before this one was there."""
        found = await self.channel.ask("unloaded", seconds=CATCHING_UP)
        names = {name for body in found.values() if body for name in _names.decode(body)}
        await self._registry.started.wait()
        for name in sorted(names):
            with contextlib.suppress(ModelStoreError):
                await self._registry.unload(name)

    def _do(self, subject: str, call: Callable[[str], Awaitable[None]]) -> None:
        """Do this to a model when another worker was told to."""

        async def handle(body: bytes) -> bytes:
            name = body.decode()
            try:
                await call(name)
            except (ModelStoreError, NotReady) as error:
                told = error.told if isinstance(error, ModelStoreError) else error
                logger.warning("%s is not done here to %s: %s", subject, name, told)
            return b""

        self.channel.on(subject, handle)


def _is_ready(found: Ready | None) -> bool:
    return found is not None and found.ready


def _workers(living: int) -> Family:
    return Family("quart_app_workers", "Workers that live.", "gauge", (), [((), living)])
