"""What the server says of a model: the JSON of `GET /models`, and what its pages show."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from model_store import Column, Manifest, ModelStore
from model_store.backend import served_here
from model_store.errors import CorruptVersion, ModelNotFound, VersionNotFound
from model_store.manifest import Target
from model_store.task import DEVIATION

from ..documents import Input, ModelDescription, Output, State, StoredModel
from ..serving.registry import Entry

FIRST_REQUEST: Final = "Its first request loads it."


def input_of(column: Column) -> Input:
    """One column, as clients see it."""
    return Input(**{field: getattr(column, field) for field in Input.__struct_fields__})


def describe(
    store: ModelStore,
    name: str,
    entry: Entry | None,
    others: Mapping[tuple[str, int], Entry] = MappingProxyType({}),
) -> ModelDescription:
    """What there is to say of a model that is loaded, on its way, or only in the store. Blocks.

    Raises:
        ModelNotFound: it is neither served nor in the store.
    """
    manifest = None if entry is None else entry.manifest
    if entry is None:
        entry, manifest = _only_stored(store, name, others)
    versions, aliases = published(store, name)
    return ModelDescription(
        name=name,
        version=None if manifest is None else manifest.version,
        versions=versions,
        aliases=aliases,
        state=entry.state,
        reason=entry.reason,
        update=entry.update,
        **({} if manifest is None else _told_by(manifest)),
    )


def describe_stored(store: ModelStore, name: str) -> StoredModel:
    """Describe a model by what is published of it. Blocks.

    Raises:
        ModelNotFound: it is not in the store.
    """
    versions, aliases = published(store, name)
    found = StoredModel(
        name=name, version=None, versions=versions, aliases=aliases, state="published"
    )
    try:
        manifest = store.manifest(name)
    except (CorruptVersion, VersionNotFound) as error:
        return msgspec.structs.replace(found, state="failed", reason=str(error))
    return msgspec.structs.replace(found, version=manifest.version, **_told_by(manifest))


class VersionState(NamedTuple):
    """Where one version of a model is; its number is None where that is not known yet."""

    name: str
    version: int | None
    state: State
    reason: str | None


def states(
    store: ModelStore,
    entries: Mapping[str, Entry],
    others: Mapping[tuple[str, int], Entry],
) -> list[VersionState]:
    """Every version of every model, loaded or published. Blocks."""
    found = []
    for name in sorted({*entries, *store.models()}):
        entry = entries.get(name, Entry())
        serving = _serving(store, name, entry)
        if serving is None:
            found.append(VersionState(name, None, entry.state, entry.reason))
        for version in published(store, name)[0]:
            each = entry if version == serving and name in entries else others.get((name, version))
            if each is None and entry.state is State.UNLOADED:
                each = entry
            if each is None:
                found.append(VersionState(name, version, State.UNLOADED, FIRST_REQUEST))
            else:
                found.append(VersionState(name, version, each.state, each.reason))
    return found


def _serving(store: ModelStore, name: str, entry: Entry) -> int | None:
    """The version that the name serves or is to serve."""
    if entry.manifest is not None:
        return entry.manifest.version
    with contextlib.suppress(ModelNotFound, CorruptVersion, VersionNotFound):
        return store.resolve(name)
    return None


def _only_stored(
    store: ModelStore, name: str, others: Mapping[tuple[str, int], Entry]
) -> tuple[Entry, Manifest | None]:
    """A model that was published after the start: the version that its name means now."""
    try:
        manifest = store.manifest(name)
        return others.get((name, manifest.version), Entry()), manifest
    except (CorruptVersion, VersionNotFound) as error:
        return Entry(State.FAILED, str(error)), None


def published(store: ModelStore, name: str) -> tuple[list[int], dict[str, int]]:
    """Its versions and its aliases; none while it is being trained, or where they are damaged."""
    versions: list[int] = []
    with contextlib.suppress(ModelNotFound, CorruptVersion):
        versions = store.versions(name)
        return versions, store.aliases(name)
    return versions, {}


def _told_by(manifest: Manifest) -> dict[str, Any]:
    served = served_here(manifest.served)
    return {
        "task": manifest.task,
        "title": manifest.title,
        "description": manifest.description,
        "notice": manifest.notice,
        "inputs": [input_of(column) for column in manifest.signature.columns],
        "outputs": outputs(manifest),
        "metrics": manifest.metrics,
        "validation": manifest.validation,
        "served": served.sentence,
        "served_by": served.by,
        "reading": manifest.reading,
        "varies": manifest.variation,
    }


def outputs(manifest: Manifest) -> list[Output]:
    """What the model tells, in the names of the native JSON."""
    found = [_prediction(target) for target in manifest.targets]
    if manifest.probabilities:
        found += [
            Output(name="probabilities", type="number", target=target.name, classes=target.classes)
            for target in manifest.targets
        ]
    return found + [
        Output(
            name=measure.name,
            type="number",
            target=target.name,
            unit=target.unit if measure.name == DEVIATION else None,
            threshold=measure.threshold,
            offset=measure.offset,
        )
        for measure in manifest.measures
        for target in manifest.targets
    ]


def _prediction(target: Target) -> Output:
    return Output(
        name="prediction",
        type=" or ".join(label_types(target)),
        target=target.name,
        label=target.label,
        unit=target.unit,
        minimum=target.minimum,
        maximum=target.maximum,
        classes=target.classes,
    )


def label_types(target: Target) -> list[str]:
    """The JSON types of a target's labels; of mixed classes there are several."""
    if target.classes is None:
        return [_OF_DTYPE.get(np.dtype(target.dtype or "float64").kind, "number")]
    found = {_OF_LABEL[type(label)] for label in target.classes} or {"string"}
    return sorted(found - {"integer"} if "number" in found else found)


_OF_LABEL: Final = {str: "string", bool: "boolean", int: "integer", float: "number"}
_OF_DTYPE: Final = {"b": "boolean", "i": "integer", "u": "integer", "U": "string"}
