"""A model as older clients speak of it: its columns under other names than its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property

import msgspec
from msgspec import structs

from model_store import Manifest, Signature
from model_store.recipes import RECIPES

from ..inference import InferenceRequest
from .servable import Servable


class AliasedModel(msgspec.Struct, frozen=True, dict=True):
    """A loaded model, and what its clients call its columns: `names` is keyed by the column. A
    column without an entry has its own name."""

    servable: Servable
    names: Mapping[str, str] = msgspec.field(default_factory=dict)

    @cached_property
    def signature(self) -> Signature:
        """The model's signature in those names; what a person reads stays."""
        own = self.servable.manifest.signature
        columns = tuple(
            structs.replace(column, name=self.names[column.name], label=column.label or column.name)
            if column.name in self.names
            else column
            for column in own.columns
        )
        return structs.replace(own, columns=columns)

    def own(self, request: InferenceRequest) -> InferenceRequest:
        """A request in those names as one in the model's own.

        Raises:
            InvalidRequest: there are more or fewer values than columns.
            InvalidRows: a column came under both of its names.
        """
        if not self.names:
            return request
        own = {name: column for column, name in self.names.items()}
        sent = request.named(self.signature.names)
        columns = {own.get(name, name): values for name, values in sent.items()}
        if len(columns) < len(sent):
            self.require_fit(request)
        return structs.replace(request, columns=columns)

    def require_fit(self, request: InferenceRequest) -> None:
        """Do nothing where the rows fit the signature. Blocks.

        Raises:
            InvalidRows: the faults name the columns as the request does.
        """
        sent = request.named(self.signature.names)
        self.signature.validate(sent, request.rows, request.rules)


def by_synonym(manifest: Manifest, sent: Sequence[str]) -> dict[str, str]:
    """For each column that was sent under another name of its recipe, that name.

    The bundled model of that name has them; case and spaces around do not count.
    """
    recipe = RECIPES.get(manifest.name)
    columns, found = manifest.signature.names, dict[str, str]()
    for column, others in recipe.synonyms.items() if recipe else ():
        group = {_folded(name) for name in (column, *others)}
        meant = next((name for name in columns if _folded(name) in group), None)
        told = next((name for name in sent if _folded(name) in group), None)
        if meant is not None and told is not None and meant not in sent:
            found[meant] = told
    return found


def by_position(manifest: Manifest, sent: Sequence[str]) -> dict[str, str]:
    """The names that were sent, in the order of the columns, where the model knows none of them and
    there are as many; else by synonym."""
    found = by_synonym(manifest, sent)
    columns = manifest.signature.names
    if found or set(sent) & set(columns) or len(sent) != len(columns):
        return found
    return dict(zip(columns, sent, strict=True))


def meaning(manifest: Manifest, sent: Sequence[str]) -> AbstractSet[str]:
    """The names as the model has them, and those that it does not know."""
    names = by_synonym(manifest, sent)
    return (set(sent) - set(names.values())) | names.keys()


def _folded(name: str) -> str:
    return name.strip().casefold()
