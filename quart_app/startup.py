"""From the first moment to the last: the port listens at once, the models follow behind.

In the background each model that is missing is trained, then each one is verified, loaded and
warmed. On the way out that work is stopped, what was accepted is answered, and the threads end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs
from quart import Quart

from model_store import ModelStore, ModelStoreError
from model_store.errors import IncompatibleVersion, StoreNotWritable, words_of
from model_store.libraries import require_scikit_learn
from model_store.recipes import RECIPES

from .config import Config
from .context import context_of
from .documents import State
from .serving.follower import Follower
from .serving.loading import Failure, Loaded, load_all
from .serving.registry import Registry

if TYPE_CHECKING:
    from .mounting import Mounting

DRAIN_SECONDS = 2.0
"""For what still waits when the requests themselves have ended, which is next to nothing."""

ALLOCATIONS = 50_000
"""Objects between two collections of garbage during the start-up, where the usual are 700."""

UNFINISHED = ".unfinished"
"""A mark in the store: its first training was begun, and goes on at the next start."""

logger = logging.getLogger(__name__)


class TrainingFailed(ModelStoreError):
    """The child process that trained a model ended with an error."""


def register(app: Quart, loaded: Loaded | None = None) -> None:
    """Let the app load its models while it serves, or serve those that were loaded before."""

    @app.while_serving
    async def lifespan() -> AsyncGenerator[None, None]:
        context = context_of(app)
        async with contextlib.AsyncExitStack() as stack:
            if context.siblings is not None:
                await stack.enter_async_context(context.siblings.running())
            stack.push_async_callback(context.recording.close)
            if context.tracing is not None:
                await stack.enter_async_context(context.tracing.running())
            await stack.enter_async_context(running(context.registry, context.config, loaded))
            stack.push_async_callback(context.jobs.close)
            yield


@contextlib.asynccontextmanager
async def running(
    registry: Registry, config: Config, loaded: Loaded | None = None
) -> AsyncIterator[None]:
    """Load the models while the body runs; afterwards answer what waits and end."""
    mounting = None if loaded is not None else _mounting(registry, config)
    async with contextlib.AsyncExitStack() as stack:
        if mounting is not None:
            stack.callback(mounting.close)
        stack.push_async_callback(registry.close)
        stack.push_async_callback(_drain, registry)
        stack.callback(gc.unfreeze)
        start = asyncio.create_task(start_up(registry, config, loaded, mounting), name="start-up")
        stack.push_async_callback(_stop, start)
        if mounting is not None:
            looks_on = asyncio.create_task(mounting.watch(), name="mounting")
            stack.push_async_callback(_stop, looks_on)
        watch = asyncio.create_task(registry.watch(), name="watch")
        stack.push_async_callback(_stop, watch)
        seconds = config.seconds_between_looks
        before = None if loaded is None else loaded.stamps
        looks = (
            Follower(registry, seconds, before).run() if seconds else registry.begin_challenges()
        )
        following = asyncio.create_task(looks, name="follow")
        stack.push_async_callback(_stop, following)
        yield


def _mounting(registry: Registry, config: Config) -> Mounting | None:
    """What brings the model of a mounted folder, where there is one."""
    if config.model_dir is None:
        return None
    # Imported where a folder is mounted only.
    from .mounting import Mounting

    return Mounting.of(registry, config)


async def start_up(
    registry: Registry,
    config: Config,
    loaded: Loaded | None = None,
    mounting: Mounting | None = None,
) -> None:
    """Train what is missing and load what is there, bring the model of a mounted folder, or serve
    what was `loaded` before; a failure is the model's own state.

    A store that cannot be read is logged; then there are no models, and it is never ready.
    """
    if loaded is not None and loaded.awaited:
        await _name_all(registry)
        return
    with _few_collections():
        if loaded is not None:
            await _adopt(registry, loaded)
        else:
            await _load_all(registry, config, mounting)
        if any(entry.state is State.FAILED for entry in registry.entries.values()):
            # What was read of a model that failed hangs on its traceback, and would stay for good.
            gc.collect()
        registry.note_frozen()
    await registry.replay_reasons()


async def _name_all(registry: Registry) -> None:
    """Say which models there will be, for as long as others load them."""
    try:
        for name in await asyncio.to_thread(registry.store.models):
            registry.entry(name)
        registry.starting = not registry.entries
    except Exception:
        logger.exception("the store cannot be read")


async def _adopt(registry: Registry, loaded: Loaded) -> None:
    try:
        await registry.adopt(loaded)
    except Exception:
        logger.exception("start-up failed")
    finally:
        registry.starting = False
        registry.started.set()


async def _load_all(registry: Registry, config: Config, mounting: Mounting | None) -> None:
    try:
        if mounting is not None:
            await mounting.load()
            return
        names = await asyncio.to_thread(registry.store.models)
        mark = registry.store.root / UNFINISHED
        wanted = _wanted(config, first=not names or mark.exists())
        missing = [name for name in wanted if name not in names]
        if missing and config.recipes is None:
            _touch(mark)
        reason = _why_untrained(registry.store.root) if missing else None
        for name in (*names, *missing):
            registry.entry(name)
        registry.starting = False
        for name in names:
            await registry.load(name)
        if reason is not None:
            untrained = ", ".join(missing)
            logger.warning("%s These models are not trained: %s.", reason.told, untrained)
            for name in missing:
                registry.entry(name).fail(reason, words=config.show_errors)
            return
        for name in missing:
            if registry.draining:
                return
            if await _train(registry, config, name):
                await registry.load(name)
        if all(registry.entry(name).state is State.READY for name in missing):
            _unmark(mark)
    except Exception:
        logger.exception("start-up failed")
    finally:
        registry.starting = False
        registry.started.set()


def load_before(
    config: Config,
    *,
    served: Mapping[str, int],
    skipped: Mapping[tuple[str, int], str],
    on_load: Callable[[str, int], None],
) -> Loaded:
    """Train what is missing and load what is there, in this thread, for processes that are forked
    of this one; `load_all` says what the arguments are."""
    store = config.store()
    untrained = _train_missing(store, config)
    loaded = load_all(store, config, served=served, skipped=skipped, on_load=on_load)
    return structs.replace(loaded, failed={**untrained, **loaded.failed})


def _train_missing(store: ModelStore, config: Config) -> dict[str, Failure]:
    """Why models are missing that were to be trained."""
    names = store.models()
    mark = store.root / UNFINISHED
    missing = [
        name for name in _wanted(config, first=not names or mark.exists()) if name not in names
    ]
    if not missing:
        _unmark(mark)
        return {}
    reason = _why_untrained(store.root)
    if reason is not None:
        logger.warning("%s These models are not trained: %s.", reason.told, ", ".join(missing))
        return {name: Failure.of(reason, words=config.show_errors) for name in missing}
    if config.recipes is None:
        _touch(mark)
    failures = {}
    for name in missing:
        logger.info("training %s", name)
        try:
            asyncio.run(_run_child("models", "--store", store.place, "train", name))
        except (TrainingFailed, OSError, ValueError) as error:
            logger.error("training %s failed: %s", name, words_of(error))
            failures[name] = Failure.of(error, words=config.show_errors)
    if not failures:
        _unmark(mark)
    return failures


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Collect garbage seldom meanwhile, and never again look through what has been loaded.

    It stays. While it is imported and loaded, the collector would walk through it three hundred
    times, a tenth of the whole start; later, each full collection would take tenths of a second in
    which nothing is answered.
    """
    before = gc.get_threshold()
    # Else it is off, or another app of this process starts as well, which sets it back.
    often = 0 < before[0] < ALLOCATIONS
    if often:
        gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.freeze()
        if often:
            gc.set_threshold(*before)


def _wanted(config: Config, *, first: bool) -> tuple[str, ...]:
    """The recipes to train; by default all of them in the first training of a store."""
    if config.recipes is not None:
        return config.recipes
    return tuple(RECIPES) if first else ()


def _touch(mark: Path) -> None:
    with contextlib.suppress(OSError):  # a store that cannot be written fails at publishing
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _unmark(mark: Path) -> None:
    if mark.exists():
        try:
            mark.unlink()
        except OSError as error:
            logger.warning(
                "%s cannot be removed (%s), so the next start looks again for models to train.",
                *(mark, error.strerror),
            )


def _why_untrained(store: Path) -> ModelStoreError | None:
    """Why nothing can be trained here: scikit-learn is missing, or nothing can be published in the
    store, or in the folder that it would be made in."""
    try:
        require_scikit_learn("nothing is trained here")
    except IncompatibleVersion as error:
        return error
    place = next(folder for folder in (store, *store.absolute().parents) if folder.exists())
    if os.access(place, os.W_OK):
        return None
    return StoreNotWritable("The store cannot be written.", f"It is {store}.")


async def _train(registry: Registry, config: Config, name: str) -> bool:
    """Train in a child process, which keeps its load and its memory out of this one."""
    entry = registry.entry(name)
    entry.state = State.TRAINING
    logger.info("training %s", name)
    try:
        await _run_child("models", "--store", registry.store.place, "train", name)
    except (TrainingFailed, OSError, ValueError) as error:
        logger.error("training %s failed: %s", name, words_of(error))
        entry.fail(error, words=config.show_errors)
        return False
    return True


async def _run_child(*arguments: str) -> None:
    """Run a command of ours and log the progress it tells; cancelling kills it.

    Raises:
        TrainingFailed: with the last line that it wrote.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "quart_app", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stderr is not None
    last = "it wrote nothing"
    try:
        async for line in child.stderr:
            last = line.decode(errors="replace").strip()
            logger.info("%s", last)
        code = await child.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        raise
    if code != 0:
        raise TrainingFailed(f"The training ended with exit code {code}.", last)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _drain(registry: Registry) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await registry.drain()
