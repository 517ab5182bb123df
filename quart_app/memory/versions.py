"""What is known of the versions that records are of: manifests and references, read once each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from model_store import Manifest, ModelStore, ModelStoreError
from model_store.drift import Reference

from .prediction import Prediction
from .store import Key
from .summary import Summary

KEPT: Final = 32
"""Versions that are remembered."""

logger = logging.getLogger(__name__)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Summary)


class Version(NamedTuple):
    """A version of a model; `reference` is None where it has none that can be read."""

    manifest: Manifest
    reference: Reference | None


class Versions:
    """The versions of a store, for the threads that write and read records. Blocks."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._found: dict[tuple[str, int], Version] = {}
        self._lock = threading.Lock()

    def find(self, name: str, number: int) -> Version | None:
        """A version; None of one that the store does not have any more, or that is damaged."""
        with self._lock:
            if (name, number) in self._found:
                return self._found[name, number]
        try:
            version = self._read(name, number)
        except ModelStoreError:
            return None
        with self._lock:
            while len(self._found) >= KEPT:
                del self._found[next(iter(self._found))]
            self._found[name, number] = version
        return version

    def _read(self, name: str, number: int) -> Version:
        manifest = self._store.manifest(name, number)
        try:
            return Version(manifest, self._store.reference(name, number))
        except ModelStoreError as error:
            logger.warning("The reference of %s version %d cannot be read: %s", name, number, error)
            return Version(manifest, None)


class StoredSummaries:
    """Makes the summaries that stand in the database."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def of(self, key: Key, rows: Sequence[Prediction]) -> bytes | None:
        """The summary of rows of one key; None where the version is not known any more."""
        version = self._versions.find(key.model, key.version)
        if version is None:
            return None
        return _encoder.encode(Summary.of(version.manifest, rows, version.reference))

    def merged(self, first: bytes, second: bytes) -> bytes:
        """The summary of the rows of both."""
        return _encoder.encode(read(first).merged(read(second)))


def read(body: bytes) -> Summary:
    """The summary in these bytes.

    Raises:
        msgspec.DecodeError: there is none.
    """
    return _decoder.decode(body)
