"""One version of a model brought into the memory: verified, loaded, and its golden rows replayed.

All of it blocks. A server of one process does it in a thread; one of several workers in a process
of its own, of which the workers are forked.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from model_store import Model, ModelStore, ModelStoreError, Verified
from model_store.errors import GoldenMismatch, LoadFailed, PredictionFailed, words_of
from model_store.head import Change, Stamp
from model_store.store import Pickles

from ..config import Config
from ..documents import State
from ..pipeline_errors import shown

UNEXPECTED: Final = "Why is in the log."
"""What clients are told of a failure that nobody has foreseen."""

OnStep = Callable[[State], None]

logger = logging.getLogger(__name__)


class Failure(msgspec.Struct, frozen=True):
    """A version that does not load, and why: `reason` for clients, `words` for the log."""

    version: int | None
    reason: str
    words: str | None = None

    @classmethod
    def of(cls, error: Exception, *, words: bool, version: int | None = None) -> Failure:
        """Of an error; with `words`, clients are told what is not our own as well."""
        if isinstance(error, ModelStoreError):
            return cls(version, shown(error, words=words), error.words)
        told = words_of(error)
        return cls(version, told if words else UNEXPECTED, told)


class Loaded(msgspec.Struct, frozen=True):
    """What was loaded before a process was forked, to be served by it without another load.

    `champions` are the versions that serve, by name, `models` these and the challengers. `failed`
    are the names whose version did not load; where a champion stands for one as well, that is the
    version which served before. `untried` are challengers that did not. `stamps` are those of the
    heads, read before. With `awaited` all of it is on its way.
    """

    models: Mapping[tuple[str, int], Model] = {}
    champions: Mapping[str, int] = {}
    failed: Mapping[str, Failure] = {}
    untried: Mapping[tuple[str, int], Failure] = {}
    stamps: Mapping[str, Stamp | None] = {}
    awaited: bool = False


AWAITED: Final = Loaded(awaited=True)
"""For a process that says that the models are on their way."""


def load(
    store: ModelStore,
    name: str,
    version: int | None,
    config: Config,
    on_step: OnStep = lambda step: None,
) -> Model:
    """A version, or the one that the name resolves to; a plain form that does not answer here as it
    was published gives way to its pipeline, if that may be read.

    Raises:
        ModelStoreError: it does not load. What compiled code raises comes as it is.
    """
    verified = _verified(store, name, version, config, config.pickles, on_step)
    try:
        return _warmed(store, verified, on_step)
    except (GoldenMismatch, PredictionFailed) as error:
        if verified.form is None or config.pickles == "never":
            raise
        logger.warning("%s Its pipeline is loaded instead of its plain form.", error.told)
    version = verified.manifest.version
    verified = _verified(store, name, version, config, "always", on_step)
    return _warmed(store, verified, on_step).instead_of_form()


def _verified(
    store: ModelStore,
    name: str,
    version: int | None,
    config: Config,
    pickles: Pickles,
    on_step: OnStep,
) -> Verified:
    on_step(State.VERIFYING)
    verified = store.verify(name, version, allow_version=config.allow_version, pickles=pickles)
    for warning in verified.warnings:
        logger.warning("%s", warning)
    return verified


def _warmed(store: ModelStore, verified: Verified, on_step: OnStep) -> Model:
    on_step(State.LOADING)
    model = store.load(verified)
    on_step(State.WARMING)
    model.replay()
    return model


def load_all(
    store: ModelStore,
    config: Config,
    *,
    served: Mapping[str, int],
    skipped: Mapping[tuple[str, int], str],
    on_load: Callable[[str, int], None],
) -> Loaded:
    """Everything that a store says is to be served, or tried beside that. A failure is kept.

    `served` are the versions that others serve now: where a newer one does not load, such a one is
    loaded. Those of `skipped` are not tried, for the reason that is given there. `on_load` is told
    of each before it is loaded, which may end the process.
    """
    names = store.models()
    stamps = {name: store.stamp(name) for name in names}
    loading = _Loading(store, config, skipped, on_load)
    for name in names:
        loading.champion(name, served.get(name))
        loading.challenger(name)
    return Loaded(loading.models, loading.champions, loading.failed, loading.untried, stamps)


class _Loading:
    """What was loaded so far."""

    def __init__(
        self,
        store: ModelStore,
        config: Config,
        skipped: Mapping[tuple[str, int], str],
        on_load: Callable[[str, int], None],
    ) -> None:
        self.models: dict[tuple[str, int], Model] = {}
        self.champions: dict[str, int] = {}
        self.failed: dict[str, Failure] = {}
        self.untried: dict[tuple[str, int], Failure] = {}
        self._store, self._config = store, config
        self._skipped, self._on_load = skipped, on_load

    def champion(self, name: str, served: int | None) -> None:
        """Load the version that the head says, or else the one that served."""
        version, failure = self._try(name, None)
        if failure is not None:
            self.failed[name] = failure
            if served is None or served == failure.version:
                return
            self._note(name, failure)
            version, failure = self._try(name, served)
        if version is not None and failure is None:
            self.champions[name] = version

    def challenger(self, name: str) -> None:
        """Load what is tried beside it."""
        try:
            challenger = self._store.head(name).challenger
        except ModelStoreError:
            return  # which the load of the champion has said
        if challenger is not None and name in self.champions:
            _, failure = self._try(name, challenger.version)
            if failure is not None:
                self.untried[name, challenger.version] = failure
                self._note(name, failure)

    def _note(self, name: str, failure: Failure) -> None:
        """Let the history tell of it, where the store can be written."""
        change = Change(
            what="failed load", who="server", version=failure.version, why=failure.reason
        )
        with contextlib.suppress(ModelStoreError):
            self._store.note(name, change)

    def _try(self, name: str, version: int | None) -> tuple[int | None, Failure | None]:
        """The version that was loaded, or was to be, and why that failed."""
        failure: Exception
        try:
            version = self._store.resolve(name, version)
            if (name, version) not in self.models:
                self.models[name, version] = self._load(name, version)
            return version, None
        except ModelStoreError as error:
            logger.error("%s failed: %s", name, error.told)
            failure = error
        except Exception as error:
            logger.exception("%s failed", name)
            failure = error
        return version, Failure.of(failure, words=self._config.show_errors, version=version)

    def _load(self, name: str, version: int) -> Model:
        reason = self._skipped.get((name, version))
        if reason is not None:
            raise LoadFailed(reason)
        self._on_load(name, version)
        model = load(self._store, name, version, self._config)
        logger.info("%s version %d is loaded", name, version)
        return model
