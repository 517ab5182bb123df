"""The `models` commands that change what serves: promote, roll back, try a version, look back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from model_store import ModelStore
from model_store.gates import READERS, count, gates, share, times
from model_store.head import CHAMPION, Challenger, Kind
from model_store.record_settings import KEEPINGS, Keeping
from model_store.summary import table

from .options import Option, json_option

why_option: Option = click.option("--why", help="The reason, which the history keeps.")


def _reader(read: Callable[[object], Any]) -> Callable[..., Any]:
    def given(context: click.Context, option: click.Parameter, value: str | None) -> Any:
        if value is None:
            return None
        try:
            return read(value)
        except ValueError as error:
            raise click.BadParameter(f"expected {error}, got {value!r}") from None

    return given


def _keepings(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> dict[str, Keeping]:
    """What is done with the values of columns, of texts such as age=hash."""
    found: dict[str, Keeping] = {}
    for text in given:
        column, _, how = text.rpartition("=")
        if not column or how not in KEEPINGS:
            raise click.BadParameter(
                f"expected COLUMN={{{'|'.join(KEEPINGS)}}}, as age=hash, got {text!r}"
            )
        found[column] = how
    return found


def record_options(command: Any) -> Any:
    """The options that say what is recorded of a model."""
    options: list[Option] = [
        click.option(
            "--record",
            metavar="SHARE",
            callback=_reader(share),
            help="Record this share of its predictions, as 0.1 or 10%, whatever QUART_APP_RECORD "
            "says.",
        ),
        click.option(
            "--record-column",
            metavar="COLUMN=HOW",
            multiple=True,
            callback=_keepings,
            help="Keep the values of a column in records, hash them with a key, or drop them, as "
            "age=hash; may be repeated. What was recorded before stays as it is.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _challenge_options(command: Any) -> Any:
    options: list[Option] = [
        click.argument("name"),
        click.argument("version"),
        click.option(
            "--max-errors",
            metavar="SHARE",
            callback=_reader(share),
            help="Stop it where a larger share of its requests fails, as 1%.",
        ),
        click.option(
            "--max-different",
            metavar="SHARE",
            callback=_reader(share),
            help="Stop it where a larger share of rows is answered differently, as 5%.",
        ),
        click.option(
            "--max-slower",
            metavar="TIMES",
            callback=_reader(times),
            help="Stop it where its median takes longer than the champion's so many times, as 2x.",
        ),
        click.option(
            "--after",
            metavar="REQUESTS",
            callback=_reader(count),
            help="Requests before which no gate counts; 500.",
        ),
        click.option(
            "--promote-after",
            metavar="REQUESTS",
            callback=_reader(count),
            help="Promote it after so many requests, if all gates hold.",
        ),
        why_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--alias", default=CHAMPION, show_default=True, help="The alias to set.")
@why_option
@click.pass_obj
def promote(store: ModelStore, name: str, version: str, alias: str, why: str | None) -> None:
    """Let an alias name VERSION; champion is the version that serves.

    Servers of the store follow within seconds (QUART_APP_FOLLOW).
    """
    number = store.promote(name, version, alias, why=why)
    click.echo(f"{alias} of {name} is version {number}.")


@click.command()
@click.argument("name")
@why_option
@click.pass_obj
def rollback(store: ModelStore, name: str, why: str | None) -> None:
    """Let champion name the version that served before.

    Servers of the store follow within seconds, and have kept that version loaded for a while.
    """
    click.echo(f"champion of {name} is version {store.rollback(name, why=why)}.")


@click.command()
@_challenge_options
@click.option(
    "--share",
    "part",
    default="1",
    show_default=True,
    metavar="SHARE",
    callback=_reader(share),
    help="The share of requests that it gets copies of, as 0.2 or 20%.",
)
@click.pass_obj
def shadow(store: ModelStore, /, name: str, version: str, **options: Any) -> None:
    """Give VERSION copies of requests, compare it with the champion, and let it answer nobody."""
    _tell(name, _challenge(store, name, version, "shadow", **options))


@click.command()
@_challenge_options
@click.option(
    "--share",
    "part",
    default="0.05",
    show_default=True,
    metavar="SHARE",
    callback=_reader(share),
    help="The share of requests that it answers, as 0.05 or 5%.",
)
@click.pass_obj
def canary(store: ModelStore, /, name: str, version: str, **options: Any) -> None:
    """Let VERSION answer a share of the requests, and compare it with the champion."""
    _tell(name, _challenge(store, name, version, "canary", **options))


@click.command()
@click.argument("name")
@why_option
@click.pass_obj
def stop(store: ModelStore, name: str, why: str | None) -> None:
    """Try no version beside the champion any more."""
    found = store.stop(name, why=why)
    click.echo(f"{name} version {found.version} is no {found.kind} any more.")


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def history(store: ModelStore, name: str, as_json: bool) -> None:
    """Show what was done to a model: when, what, by whom and why; the newest last."""
    found = store.history(name)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    rows = [
        (
            f"{change.at[:19].replace('T', ' ')}",
            change.what if change.alias is None else f"{change.what} as {change.alias}",
            "" if change.version is None else str(change.version),
            "" if change.before is None else str(change.before),
            _visible(change.who),
            _visible(change.why or ""),
        )
        for change in found
    ]
    for line in table(("WHEN (UTC)", "WHAT", "VERSION", "BEFORE", "WHO", "WHY"), rows):
        click.echo(line)


COMMANDS = (promote, rollback, shadow, canary, stop, history)


def _visible(text: str) -> str:
    """A text without what a terminal would take for a command."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _challenge(
    store: ModelStore,
    name: str,
    version: str,
    kind: Kind,
    *,
    part: float,
    why: str | None,
    **given: Any,
) -> Challenger:
    found = gates({field: given[field] for field in READERS})
    return store.challenge(name, version, kind, share=part, gates=found, why=why)


def _tell(name: str, found: Challenger) -> None:
    click.echo(
        f"{name} version {found.version} is a {found.kind} of {100 * found.share:g} % of the "
        "requests."
    )
