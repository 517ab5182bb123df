"""The one model of a folder that a platform mounted (`MODEL_DIR`), under the name that was given.

What is ours is served as it lies. What somebody else wrote is imported first, by a child process,
into a store in a temporary folder that is gone at the end. A folder that is missing or empty is
looked at again, since some platforms mount it after the start; any other fault stays the model's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from model_store import ModelStoreError, files
from model_store.errors import NothingMounted, StoreNotWritable, TrialFailed
from model_store.importing import Failed, Imported, Message, Task
from model_store.mounted import MountedStore

from .config import Config
from .documents import State
from .serving.registry import Entry, Registry
from .serving.threads import run_in_daemon

PREFIX: Final = "quart-app-mounted-"
"""How the name of the temporary folder begins."""

ABANDONED_AFTER: Final = 60.0
"""Seconds after which such a folder is removed whose server was killed."""

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks at a folder that is missing or empty."""

END_SECONDS: Final = 2.0
"""Seconds in which a child ends that was told to."""

LONGEST: Final = 1024 * 1024
"""Bytes of a message from a child."""

BY_HAND: Final = (
    "A model that needs an option of `quart-app models import` is imported with it elsewhere, and "
    "the folder of its version mounted here."
)

logger = logging.getLogger(__name__)


class ImportFailed(ModelStoreError):
    """What lies in the folder cannot be imported."""


class Mounting:
    """Brings the model of a mounted folder into a registry. Belongs to one event loop."""

    def __init__(self, registry: Registry, store: MountedStore, config: Config) -> None:
        self._registry = registry
        self._store = store
        self._config = config
        self._temporary = contextlib.ExitStack()
        self._awaited = False

    @classmethod
    def of(cls, registry: Registry, config: Config) -> Mounting:
        """Of a registry whose store is a mounted folder."""
        assert isinstance(registry.store, MountedStore)
        return cls(registry, registry.store, config)

    def close(self) -> None:
        """Remove what was imported."""
        self._temporary.close()

    async def load(self) -> None:
        """Find the model, import it where that is needed, and load it. A fault is its state."""
        name = self._store.name
        entry = self._registry.entry(name)
        self._registry.starting = False
        if await self._find(entry):
            await self._registry.load(name)
        elif self._awaited:
            logger.warning("%s: %s It is looked for again.", name, entry.reason)

    async def watch(self) -> None:
        """Look again as long as there is nothing in the folder, and then bring the model."""
        await self._registry.started.wait()
        name = self._store.name
        while self._awaited:
            await asyncio.sleep(LOOK_SECONDS)
            entry = self._registry.entry(name)
            if await self._find(entry):
                await self._registry.load(name)

    async def _find(self, entry: Entry) -> bool:
        """Whether the model is in the store now; if not, the entry says why."""
        try:
            is_ours = await run_in_daemon(self._store.look)
            entry.state, entry.reason, entry.words = State.PENDING, None, None
            if not is_ours:
                await self._import(entry)
        except ModelStoreError as error:
            self._awaited = isinstance(error, NothingMounted)
            entry.fail(error, words=self._config.show_errors)
            if not self._awaited:
                logger.error("%s failed: %s", self._store.name, error.told)
            return False
        except Exception as error:
            self._awaited = False
            entry.fail(error, words=self._config.show_errors)
            logger.exception("%s failed", self._store.name)
            return False
        self._awaited = False
        return True

    async def _import(self, entry: Entry) -> None:
        """Import the folder into a store of its own.

        Raises:
            ModelStoreError: our sentence says why it is not taken.
            OSError: no process can be started.
        """
        entry.state = State.IMPORTING
        root = self._temporary_folder() / "store"
        task = Task(
            os.fspath(self._store.root), self._store.name, str(root), self._config.allow_version
        )
        logger.info("importing %s from %s", task.name, task.path)
        await run_import(task)
        self._store.settle(root)

    def _temporary_folder(self) -> Path:
        """A folder that is there until the end, once those of killed servers are removed.

        Raises:
            StoreNotWritable
        """
        folder = Path(tempfile.gettempdir())
        old = [name for name in files.entries(folder) if name.startswith(PREFIX)]
        files.discard_abandoned(folder, old, ABANDONED_AFTER)
        try:
            path = self._temporary.enter_context(files.temporary_folder(folder, PREFIX))
            path.chmod(0o700)
        except OSError as error:
            raise StoreNotWritable(
                "There is no place for temporary files, into which the model is imported.",
                f"{folder}: {error.strerror}",
            ) from error
        return path


async def run_import(task: Task) -> None:
    """Import files in a child process, and log its progress; cancelling ends it.

    Raises:
        ImportFailed: the files are not taken.
        TrialFailed: the process died.
        OSError: none can be started.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "model_store.importing"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LONGEST,
    )
    try:
        async for message in _messages(child, task):
            if isinstance(message, Failed):
                raise ImportFailed(_for_clients(message.message, task), message.words)
            if isinstance(message, Imported):
                return
            logger.log(logging.WARNING if message.is_warning else logging.INFO, message.text)
        raise TrialFailed(_death(await child.wait()))
    finally:
        await _end(child)


async def _messages(child: asyncio.subprocess.Process, task: Task) -> AsyncIterator[Message]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(msgspec.json.encode(task))
    child.stdin.close()
    async for line in child.stdout:
        yield msgspec.json.decode(line, type=Message)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Let a child end, with what it has started; if it does not, kill it."""
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def _for_clients(sentence: str, task: Task) -> str:
    """The same without where the folder lies, and with what to do about it."""
    named = sentence.replace(f"{task.path}/", "").replace(task.path, "FOLDER")
    return f"{named.rstrip('.')}. {BY_HAND}"


def _death(code: int) -> str:
    if code == -signal.SIGKILL:
        return (
            "The process that imported it was killed, as the system does where its memory runs "
            "out; give the server more, or mount the folder of a version that was imported "
            "elsewhere."
        )
    return f"The process that imported it ended with exit code {code} and said nothing."
