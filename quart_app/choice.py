"""Which model answers where the address names none: one rule for every such route.

`?model=` if it is given; else the model whose columns are those that were sent; else the one that
shares most of them, which then says what is missing or unknown. On a tie, without names, or with
none in common it is the default model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .inference import InvalidRequest, NotReady
from .registry import LOADING_RETRY_AFTER, Registry
from .servable import Servable

USUAL_DEFAULT: Final = "iris"


async def choose(
    registry: Registry,
    names: Sequence[str],
    *,
    asked: str | None,
    default: str | None,
    until: float | None = None,
) -> Servable:
    """The model for a request that brings columns of these names.

    `asked` is the model that the query names, and `default` the one of the settings.

    Raises:
        InvalidRequest: there is no telling which; the models that it could be are named.
        ModelNotFound: there is no such model.
        NotReady: it is on its way, or may yet be.
    """
    if asked is not None:
        return await registry.servable(asked, until=until)
    sent = set(names)
    shared = {
        name: len(sent & set(entry.servable.manifest.signature.names))
        for name, entry in registry.entries.items()
        if entry.servable is not None
    }
    equal = [name for name in shared if sent == _columns(registry, name)]
    if registry.starting or (sent and not equal and registry.waiting):
        raise NotReady("The models are on their way.", LOADING_RETRY_AFTER)
    most = max(shared.values(), default=0)
    candidates = equal or [name for name, count in shared.items() if count == most > 0]
    chosen = candidates[0] if len(candidates) == 1 else _default(registry, candidates, default)
    return await registry.servable(chosen, until=until)


def _columns(registry: Registry, name: str) -> set[str]:
    servable = registry.entries[name].servable
    return set() if servable is None else set(servable.manifest.signature.names)


def _default(registry: Registry, candidates: Iterable[str], default: str | None) -> str:
    """The default model; where there are candidates, only if it is one of them."""
    served = list(registry.entries)
    if default is None:
        default = USUAL_DEFAULT if USUAL_DEFAULT in served else None
        if default is None and len(served) == 1:
            default = served[0]
    candidates = list(candidates)
    if default is not None and (not candidates or default in candidates):
        return default
    raise InvalidRequest(
        "There is no telling which model is asked: name one as in ?model=NAME; expected one of "
        f"{', '.join(candidates or served) or 'the models, of which there are none yet'}."
    )
