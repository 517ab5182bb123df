"""The card of a model: what it was made of, how well it did, and which version serves and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from model_store import Manifest, ModelStore
from model_store.backend import served_here
from model_store.head import CHAMPION
from model_store.libraries import Libraries
from model_store.manifest import Evaluation, Target
from model_store.task import Measure

from ..documents import Input
from .description import input_of, published


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a version was made of: `rows` of data, from where `data` says. `created` is when it was
    published. `files` are those that it was imported from, with their sha256, which the
    scikit-learn `written_with` wrote, or the library `guest` in its own format; `code` is its own
    module. `reading` says whether reading its artifact may run code."""

    data: str | None
    rows: int | None
    created: str
    libraries: Libraries
    files: dict[str, str]
    written_with: str | None
    guest: str | None
    code: str | None
    reading: str


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """How well it did, measured as `how` says; `evaluations` hold a confusion matrix or points of
    truth and answer for each target."""

    how: str | None
    scores: dict[str, float]
    evaluations: Sequence[Evaluation]


class CardVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the model, the aliases that name it, and whether it serves, and why."""

    version: int
    aliases: list[str]
    serves: bool
    why: str | None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of one version of a model before it is trusted. `measures` are the
    numbers beside its predictions. `words` say its classes in a person's language. `served` says
    what answers, and why; `varies` how its answer to a row is not that row's alone, or nothing."""

    name: str
    version: int
    revision: int
    title: str | None
    description: str | None
    notice: str | None
    task: str
    estimator: str
    origin: Origin
    measurement: Measurement
    inputs: Sequence[Input]
    targets: Sequence[Target]
    measures: Sequence[Measure]
    words: dict[str, str]
    versions: Sequence[CardVersion]
    served: str
    varies: str | None


def card(
    manifest: Manifest,
    *,
    versions: Sequence[int],
    aliases: Mapping[str, int],
    serving: int | None,
) -> Card:
    """The card of this version. `serving` is the version that the server has loaded for the name,
    or None; `versions`, lowest first, and `aliases` are those of the store."""
    return Card(
        name=manifest.name,
        version=manifest.version,
        revision=manifest.revision,
        title=manifest.title,
        description=manifest.description,
        notice=manifest.notice,
        task=manifest.task,
        estimator=manifest.estimator,
        origin=_origin(manifest),
        measurement=Measurement(
            how=manifest.validation, scores=manifest.metrics, evaluations=manifest.evaluations
        ),
        inputs=[input_of(column) for column in manifest.signature.columns],
        targets=manifest.targets,
        measures=manifest.measures,
        words=manifest.words,
        versions=[
            CardVersion(
                version=number,
                aliases=sorted(alias for alias, named in aliases.items() if named == number),
                serves=number == serving,
                why=_why(number, versions, aliases) if number == serving else None,
            )
            for number in versions
        ],
        served=served_here(manifest.served).sentence,
        varies=manifest.variation,
    )


def read_card(
    store: ModelStore, name: str, version: str | None = None, serving: Manifest | None = None
) -> Card:
    """The card of a version; without one, of what `serving` is, the manifest that the server has
    loaded for the name, else of what the name resolves to. Blocks.

    Raises:
        ModelNotFound, VersionNotFound, CorruptVersion
    """
    manifest = serving
    if manifest is None or version is not None:
        number = store.resolve(name, version)
        # What is loaded keeps the words that it was loaded with.
        if manifest is None or number != manifest.version:
            manifest = store.manifest(name, number)
    versions, aliases = published(store, name)
    return card(
        manifest,
        versions=versions,
        aliases=aliases,
        serving=None if serving is None else serving.version,
    )


def _origin(manifest: Manifest) -> Origin:
    source = manifest.source
    return Origin(
        data=manifest.data,
        rows=manifest.rows,
        created=manifest.created,
        libraries=manifest.libraries,
        files={} if source is None else {name: each.sha256 for name, each in source.files.items()},
        written_with=None if source is None else source.scikit_learn,
        guest=None if source is None else source.guest,
        code=manifest.code,
        reading=manifest.reading,
    )


def _why(serving: int, versions: Sequence[int], aliases: Mapping[str, int]) -> str:
    """Why a version serves, and which one will instead, if another."""
    champion = aliases.get(CHAMPION)
    if champion == serving:
        return f"The alias {CHAMPION} names it."
    if champion is None and serving == max(versions):
        return f"It is the highest version, and there is no alias {CHAMPION}."
    following = max(versions) if champion is None else champion
    return f"Version {following} serves once it is loaded beside it, unless it does not load."
