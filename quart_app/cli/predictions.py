"""The `predictions` commands: what was recorded of predictions, and what turned out true."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import click
import msgspec

from model_store import Manifest, ModelStore
from model_store.column_facts import JSONLabel
from model_store.errors import ModelNotFound
from model_store.literals import parse_number
from model_store.record_settings import RecordSettings
from model_store.truth import Told, Truths

from ..config import Config
from ..documents import FeedbackAnswer, Place, RecordedRow
from ..inference import InvalidRequest
from ..memory import deletion
from ..memory.database import RecordsUnavailable
from ..memory.deletion import Deleted
from ..memory.export import export, recorded
from ..memory.moments import moment_of
from ..memory.opened import open_records
from ..memory.prediction import Prediction
from ..memory.store import Records
from ..memory.truths import find, keep
from ..protocols import feedback
from .options import json_option, settings, store_option

READ_BYTES: Final = 256 * 1024
SECONDS: Final = 30.0
"""What the database may take for one step, of all commands but the one that deletes."""
REWRITE_SECONDS: Final = 3600.0
"""What it may take to write its file anew."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where the models and the records are."""

    store: ModelStore
    url: str

    def records(self, seconds: float = SECONDS) -> Records:
        return open_records(self.url, self.store, seconds=seconds)


@click.group()
@store_option
@click.pass_context
def predictions(context: click.Context, store: str | None) -> None:
    """The recorded predictions, in the database DATABASE_URL."""
    config = Config.read(**settings(model_store=store))
    context.obj = Where(config.store(), config.database_url)


@contextmanager
def _told() -> Iterator[None]:
    """Say what is wrong with a file or the database in a sentence."""
    try:
        yield
    except (InvalidRequest, RecordsUnavailable) as error:
        raise click.ClickException(str(error)) from None


def _moment(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else moment_of(value, time.time())
    except ValueError as error:
        raise click.BadParameter(f"expected {error}, got {value!r}") from None


# What turned out true --------------------------------------------------------------------


@predictions.command()
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@json_option
@click.pass_obj
def truth(place: Where, name: str, file: BinaryIO, as_json: bool) -> None:
    """Keep what turned out true: a FILE with id, row and truth, in CSV, JSON or JSON Lines.

    Nothing is kept where something in it does not fit. Ids of which nothing was recorded are
    printed to stderr, and their truths are kept for when it is.
    """
    truths = Truths(place.store.manifest(name))
    if truths.reason is not None:
        raise click.ClickException(truths.reason)
    with _told():
        told, empty = _read(file, truths)
        kept = keep(place.records(), name, told, time.time())
    for id, row in kept.unknown:
        click.echo(f"No prediction of {name} was recorded with the id {id}, row {row}.", err=True)
    if as_json:
        unknown = [Place(*each) for each in kept.unknown]
        found = FeedbackAnswer(
            model=name, kept=kept.kept, replaced=kept.replaced, unknown=unknown, empty=empty
        )
        _print_json(found)
        return
    click.echo(
        f"{name}: {kept.kept} truths kept, {kept.replaced} in place of others; "
        f"{len(kept.unknown)} of no recorded prediction, {empty} rows without one."
    )


def _read(file: BinaryIO, truths: Truths) -> tuple[list[Told], int]:
    """The truths in a file, and how many of its rows have none.

    Raises:
        InvalidRequest, InvalidRows
    """
    first = file.read(READ_BYTES)
    start = first.lstrip()[:1]
    if start == b"[":
        return feedback.checked(feedback.of_json(first + file.read()), truths), 0
    table = feedback.Lines() if start == b"{" else feedback.Table(truths.names)
    given = table.feed(first)
    while piece := file.read(READ_BYTES):
        given += table.feed(piece)
    given += table.finish()
    return feedback.checked(given, truths), table.empty


# Reading ---------------------------------------------------------------------------------


@predictions.command("export")
@click.argument("name")
@click.option("--since", metavar="MOMENT", callback=_moment, help="A date, or 7d for so long ago.")
@click.option("--until", metavar="MOMENT", callback=_moment, help="The same; now.")
@click.option("--truth", is_flag=True, help="Only those of which the truth is known, with it.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="How they are written.",
)
@click.pass_obj
def export_(
    place: Where, name: str, since: float | None, until: float | None, truth: bool, format_: Any
) -> None:
    """Print the recorded predictions of a model, the oldest first.

    With --truth it is a table that `models train NAME --data` takes.
    """
    manifest = place.store.manifest(name)
    end = float("inf") if until is None else until
    pieces = export(place.records(), manifest, since or 0.0, end, format=format_, truth=truth)
    with _told(), closing(pieces):
        for piece in pieces:
            click.echo(piece, nl=False)


@predictions.command()
@click.argument("id")
@json_option
@click.pass_obj
def show(place: Where, id: str, as_json: bool) -> None:
    """Show all that is kept of a request by the ID of its response."""
    with _told():
        found = [recorded(known) for known in find(place.records(), id)]
    if not found:
        raise click.ClickException(f"nothing is kept of {id}")
    if as_json:
        _print_json(found)
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: Sequence[RecordedRow]) -> Iterator[str]:
    """What is kept of rows, for a person."""
    for row in found:
        yield f"{row.id} row {row.row}"
        for each in row.predictions:
            yield (
                f"  {each['at']}  {each['model']} version {each['version']}, {each['variant']}, "
                f"by {each['door']}: status {each['status']} in {each['milliseconds']} ms"
            )
            for name, value in (each["inputs"] or {}).items():
                yield f"    {name} = {_json(value)}"
            yield f"    predicted {_json(each['prediction'])}"
        if row.told_at is not None:
            yield f"  truth {_json(row.truth)}, told {row.told_at}"
        for former in row.former:
            yield f"  before that {_json(former.truth)}, told {former.at}"


# Deleting --------------------------------------------------------------------------------


@predictions.command()
@click.argument("name")
@click.option("--id", "ids", multiple=True, metavar="ID", help="All rows of that request.")
@click.option(
    "--where",
    "wheres",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="All rows that have this value; of several options, all of them.",
)
@click.option(
    "--before",
    metavar="MOMENT",
    callback=_moment,
    help="All before a date, or 30d: so long ago.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(
    place: Where,
    name: str,
    ids: Sequence[str],
    wheres: Sequence[str],
    before: float | None,
    yes: bool,
) -> None:
    """Delete recorded predictions with their truths, so that nothing of them is left.

    The files of the database are written anew, which takes as long as copying them. Hourly
    summaries, which hold counts, stay; so do backups.
    """
    if sum(map(bool, (ids, wheres, before is not None))) != 1:
        raise click.UsageError("give one of --id, --where and --before")
    is_meant = _meant(place.store, name, wheres) if wheres else None
    if not yes:
        click.confirm(f"Delete these predictions of {name} for good?", abort=True)
    records = place.records(REWRITE_SECONDS)
    with _told():
        if is_meant is not None:
            deleted = deletion.delete_where(records, name, is_meant)
        elif before is not None:
            deleted = deletion.delete_before(records, name, before)
        else:
            deleted = deletion.delete_ids(records, name, ids)
    click.echo(f"{name}: {_counted(deleted)} deleted.")


def _counted(deleted: Deleted) -> str:
    return f"{deleted.predictions} predictions and {deleted.truths} truths"


def _meant(store: ModelStore, name: str, wheres: Sequence[str]) -> Callable[[Prediction], bool]:
    """Whether a prediction has all of these values."""
    known = _columns(store, name)
    values = []
    for text in wheres:
        column, value = _split(text, known)
        values.append((column, _spellings(store, name, value)))

    def is_meant(prediction: Prediction) -> bool:
        inputs = prediction.inputs or {}
        return all(column in inputs and _key(inputs[column]) in found for column, found in values)

    return is_meant


def _columns(store: ModelStore, name: str) -> list[str] | None:
    """The columns of all versions; None where the model was removed."""
    try:
        manifests: list[Manifest] = [
            store.manifest(name, str(version)) for version in store.versions(name)
        ]
    except ModelNotFound:
        return None
    return [column for manifest in manifests for column in manifest.signature.names] or None


def _split(text: str, known: Sequence[str] | None) -> tuple[str, str]:
    """COLUMN=VALUE at the sign after the longest name that is known; names may hold one too."""
    column, sign, _ = text.partition("=")
    if not sign:
        raise click.BadParameter(f"expected COLUMN=VALUE, got {text!r}", param_hint="--where")
    if known is not None:
        names = [name for name in known if text.startswith(f"{name}=")]
        if not names:
            raise click.BadParameter(
                f"there is no column {column!r}; expected one of {', '.join(dict.fromkeys(known))}",
                param_hint="--where",
            )
        column = max(names, key=len)
    return column, text[len(column) + 1 :]


def _spellings(store: ModelStore, name: str, text: str) -> set[tuple[type, Any]]:
    """What a record may have for a value that was typed: the text, a number, a truth, nothing; and
    what is kept of these where the column is hashed."""
    values: list[JSONLabel | None] = [text]
    number = parse_number(text)
    values += [] if number is None else [number]
    values += [value for word, value in _WORDS if word == text.lower()]
    settings = _record_settings(store, name)
    if settings.key:
        values += [settings.hashed(value) for value in values if value is not None]
    return {_key(value) for value in values}


def _record_settings(store: ModelStore, name: str) -> RecordSettings:
    """What is kept of a model; of one that was removed nothing is known."""
    try:
        return store.head(name).records
    except ModelNotFound:
        return RecordSettings()


_WORDS: Final[Sequence[tuple[str, bool | None]]] = (("true", True), ("false", False), ("", None))


def _key(value: JSONLabel | None) -> tuple[type, Any]:
    """A value to compare: numbers by what they are, and never as truths."""
    kind = float if isinstance(value, int) and not isinstance(value, bool) else type(value)
    return kind, value


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
