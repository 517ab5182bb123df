"""Which model answers where the address names none: one rule for every such route.

The model whose columns are those that were sent; else the one that shares most of them, which then
says what is missing or unknown. On a tie, without names, or with none in common it is the default.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from model_store import Manifest

from ..inference import InvalidRequest, NotReady
from .registry import LOADING_RETRY_AFTER, Registry
from .servable import Servable

USUAL_DEFAULT: Final = "iris"

Meaning = Callable[[Manifest, Sequence[str]], AbstractSet[str]]
"""What names mean to a model: its own names of the columns, and those that it does not know."""


def literally(manifest: Manifest, names: Sequence[str]) -> AbstractSet[str]:
    """Each name is that of a column, or of none."""
    return set(names)


async def choose(
    registry: Registry,
    names: Sequence[str],
    *,
    default: str | None,
    meaning: Meaning = literally,
    until: float | None = None,
) -> Servable:
    """The model for a request that brings columns of these names.

    `default` is the model of the settings.

    Raises:
        InvalidRequest: there is no telling which; the models that it could be are named.
        ModelNotFound: there is no model of the default's name.
        NotReady: it is on its way, or may yet be.
    """
    if registry.starting:
        raise NotReady("The models are on their way.", LOADING_RETRY_AFTER)
    manifests = {name: entry.manifest for name, entry in registry.entries.items()}
    manifests |= await registry.later()
    shared, equal = {}, []
    for name, manifest in manifests.items():
        if manifest is not None:
            sent = meaning(manifest, names)
            columns = set(manifest.signature.names)
            shared[name] = len(sent & columns)
            if sent == columns:
                equal.append(name)
    if names and not equal and registry.waiting:
        raise NotReady("The models are on their way.", LOADING_RETRY_AFTER)
    most = max(shared.values(), default=0)
    candidates = equal or [name for name, count in shared.items() if count == most > 0]
    chosen = (
        candidates[0] if len(candidates) == 1 else _default(sorted(manifests), candidates, default)
    )
    return await registry.servable(chosen, until=until)


def _default(served: Sequence[str], candidates: Sequence[str], default: str | None) -> str:
    """The default model; where there are candidates, only if it is one of them."""
    if default is None:
        default = USUAL_DEFAULT if USUAL_DEFAULT in served else None
        if default is None and len(served) == 1:
            default = served[0]
    if default is not None and (not candidates or default in candidates):
        return default
    raise InvalidRequest(
        "There is no telling which model is asked: name one as in ?model=NAME; expected one of "
        f"{', '.join(candidates or served) or 'the models, of which there are none yet'}."
    )
