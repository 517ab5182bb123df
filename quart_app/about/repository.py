"""What the Open Inference Protocol V2 says of the models that are served, by HTTP and by gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from model_store import Manifest, ModelStore, ModelStoreError

from ..documents import State
from ..inference import InvalidRequest
from ..protocols import v2_documents
from ..protocols.v2_documents import ModelIndex, ModelMetadata
from ..serving.registry import Registry
from ..serving.servable import Servable
from ..serving.statistics import Statistics
from .description import VersionState, states

STATES: Final = {
    State.READY: "READY",
    State.FAILED: "UNAVAILABLE",
    State.UNLOADED: "UNAVAILABLE",
}
"""Any other state is that of a model on its way."""


async def metadata(registry: Registry, servable: Servable) -> ModelMetadata:
    """What a model takes and what it predicts."""
    versions = await asyncio.to_thread(_versions, registry.store, servable)
    return v2_documents.model(servable.manifest, versions)


async def index(registry: Registry, *, only_ready: bool) -> list[ModelIndex]:
    """Every version of every model, and its state."""
    found = await asyncio.to_thread(states, registry.store, registry.entries, registry.others)
    rows = [_index(each) for each in found]
    return [row for row in rows if not only_ready or row.state == "READY"]


def statistics(counted: Iterable[tuple[Manifest, Statistics]]) -> dict[str, Any]:
    """What these versions have done since they were loaded, as Triton tells it."""
    return {
        "model_stats": [
            v2_documents.statistics(manifest.name, manifest.version, found)
            for manifest, found in counted
        ]
    }


def refuse_files(parameters: Iterable[str]) -> None:
    """Do nothing where these parameters of a load bring no model of their own, as they may in
    Triton; here it comes from the store.

    Raises:
        InvalidRequest
    """
    for name in parameters:
        if name == "config" or name.startswith("file:"):
            raise InvalidRequest(f"The parameter {name} is not known here: models are published.")


def _versions(store: ModelStore, servable: Servable) -> list[int]:
    """Those that are published, or the one that is loaded where its folder was removed."""
    try:
        return store.versions(servable.manifest.name)
    except ModelStoreError:
        return [servable.manifest.version]


def _index(found: VersionState) -> ModelIndex:
    version = "" if found.version is None else str(found.version)
    reason = found.reason or ("" if found.state is State.READY else str(found.state))
    return ModelIndex(found.name, version, STATES.get(found.state, "LOADING"), reason)
