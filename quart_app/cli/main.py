"""The commands: `serve`, `models …`, `keys …`, `deploy …`, `get`, `predict`, beside Quart's own.

What a command found goes to stdout, what it does meanwhile to stderr. A command that fails says so
in a sentence and ends with 1, one that was called wrongly with 2.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TextIO, cast

import click
import msgspec
from quart import Quart
from quart.cli import NoAppException, QuartGroup, routes_command, shell_command
from werkzeug.datastructures import Headers

from model_store import ModelStoreError

from .. import create_app
from ..config import PICKLES, SERVERS, ConfigError
from ..context import context_of
from ..documents import ModelDescription
from ..keys import Keys
from ..observe.standard_streams import queued
from ..server.concurrency import ORDERS
from ..version import VERSION
from .app_option import MakeApp, app_option, make
from .options import (
    allow_version_option,
    json_option,
    log_to_stderr,
    settings,
    store_option,
    version_option,
)

if TYPE_CHECKING:
    from ..client import AsyncClient, Prediction

FAILED, CALLED_WRONGLY = 1, 2


def main() -> None:
    """Run the command line; errors that are ours become a sentence and an exit code."""
    try:
        cli()
    except ConfigError as error:
        _exit(error, CALLED_WRONGLY)
    except (ModelStoreError, OSError) as error:
        _exit(error, FAILED)


def _exit(error: Exception, code: int) -> None:
    told = error.told if isinstance(error, ModelStoreError) else error
    click.echo(f"Error: {told}", err=True)
    sys.exit(code)


def _make_app() -> Quart:
    try:
        return create_app()
    except ConfigError as error:
        raise NoAppException(str(error)) from error


# These import what publishes and trains models, which `serve` is quicker and smaller without.
def _models() -> click.Command:
    from .models import models

    return models


def _deploy() -> click.Command:
    from .deploy import deploy

    return deploy


def _predictions() -> click.Command:
    from .predictions import predictions

    return predictions


def _score() -> click.Command:
    from .score import score

    return score


IMPORTED: Final[Mapping[str, Callable[[], click.Command]]] = {
    "deploy": _deploy,
    "models": _models,
    "predictions": _predictions,
    "score": _score,
}
"""Commands that are imported when they are asked for, by name."""


class Commands(QuartGroup):
    """Our commands, then those that Quart finds in all that is installed and in the app."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        if name in IMPORTED:
            return IMPORTED[name]()
        return self.commands.get(name) or super().get_command(ctx, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *IMPORTED})


@click.group(
    cls=Commands,
    create_app=_make_app,
    add_default_commands=False,
    add_version_option=False,
    load_dotenv=False,
    # Settings are read in config.py and nowhere else.
    context_settings={"auto_envvar_prefix": None, "help_option_names": ["-h", "--help"]},
)
@click.version_option(VERSION, prog_name="quart-app")
def cli() -> None:
    """Serve trained scikit-learn pipelines: by form, by JSON, from one command."""


# Serving -------------------------------------------------------------------------


@click.command()
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that serve.")
@click.option("--server", "server_name", type=click.Choice(SERVERS), help="The HTTP server.")
@click.option("--keep-alive", help="Seconds that an idle connection is kept open.")
@click.option("--max-memory", help="Memory with which the server ends itself, as 300M.")
@store_option
@click.option("--model-dir", metavar="FOLDER", help="A mounted folder to serve instead.")
@click.option("--model-name", metavar="NAME", help="The name of the model in that folder.")
@allow_version_option
@click.option("--pickles", type=click.Choice(PICKLES), help="When pickles are read.")
@click.option("--no-tour", is_flag=True, help="Serve no tour.")
@click.option("--no-mcp", is_flag=True, help="Let no agent find the models as tools.")
@app_option
@click.option(ORDERS, hidden=True)
def serve(
    host: str | None,
    port: int | None,
    workers: int | None,
    server_name: str | None,
    keep_alive: str | None,
    max_memory: str | None,
    store: str | None,
    model_dir: str | None,
    model_name: str | None,
    allow_version: bool,
    pickles: str | None,
    no_tour: bool,
    no_mcp: bool,
    factory: MakeApp | None,
    orders: str | None,
) -> None:
    """Serve the models until SIGTERM or SIGINT."""
    given = settings(
        host=host,
        port=port,
        workers=workers,
        server=server_name,
        keep_alive=keep_alive,
        max_memory=max_memory,
        model_store=store,
        model_dir=model_dir,
        model_name=model_name,
        allow_version=allow_version,
        pickles=pickles,
        tour="false" if no_tour else None,
        mcp="false" if no_mcp else None,
    )
    if orders is not None:
        from .forking import obey

        sys.exit(obey(orders, factory or create_app, given))
    from .serving import serve_alone

    with queued() as stdout:
        log_to_stderr()
        code = serve_alone(make(factory or create_app, given), stdout)
    sys.exit(code)


@click.command()
@click.argument("path")
@click.option("-H", "--header", "headers", multiple=True, help="A header, as NAME: VALUE.")
@store_option
@allow_version_option
@app_option
def get(
    path: str,
    headers: Sequence[str],
    store: str | None,
    allow_version: bool,
    factory: MakeApp | None,
) -> None:
    """Answer one GET of PATH without a server, and print the body.

    A status from 400 on is printed to stderr and ends with 1.
    """
    if not path.startswith("/"):
        raise click.BadParameter("a path begins with /", param_hint="PATH")
    log_to_stderr(logging.WARNING)
    app = make(factory or create_app, settings(model_store=store, allow_version=allow_version))
    status, body = asyncio.run(_get(app, path, [_header(text) for text in headers]))
    click.echo(body, nl=not body.endswith(b"\n"))
    if status >= 400:
        click.echo(f"Status {status}", err=True)
        sys.exit(FAILED)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter(f"expected NAME: VALUE, got {text!r}", param_hint="--header")
    return name.strip(), value.strip()


async def _get(app: Quart, path: str, headers: list[tuple[str, str]]) -> tuple[int, bytes]:
    async with app.test_app() as running:
        await context_of(app).registry.started.wait()
        response = await running.test_client().get(path, headers=Headers(headers))
        return response.status_code, cast(bytes, await response.get_data())


# Asking a server that runs -------------------------------------------------------


@click.command()
@click.argument("url")
@click.argument("model")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@version_option
@click.option("--api-key-file", type=click.File(), help="A file with the API key; - is stdin.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30,
    show_default=True,
    help="In seconds, with all tries.",
)
@json_option
def predict(
    url: str,
    model: str,
    values: Sequence[str],
    version: str | None,
    api_key_file: TextIO | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Ask MODEL of the server at URL about one row, each column as NAME=VALUE.

    An empty VALUE is a missing one. What does not fit is printed to stderr, and ends with 1.
    """
    for text in values:
        if "=" not in text:
            raise click.BadParameter(f"expected NAME=VALUE, got {text!r}", param_hint="VALUES")
    try:
        from ..client import AsyncClient, ClientError, Rejected
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    key = None if api_key_file is None else api_key_file.read().strip()
    try:
        client = AsyncClient(url, api_key=key, timeout=timeout)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        description, answer = asyncio.run(_predict(client, model, values, version))
    except Rejected as error:
        for sentence in error.details or [error]:
            click.echo(f"Error: {sentence}", err=True)
        sys.exit(FAILED)
    except ClientError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2))
        return
    for line in _told(description, answer):
        click.echo(line)


async def _predict(
    client: AsyncClient, name: str, values: Sequence[str], version: str | None
) -> tuple[ModelDescription, Prediction]:
    async with client:
        description = await client.model(name)
        row = _row(values, [column.name for column in description.inputs])
        return description, await client.predict(name, row, version=version)


def _row(values: Sequence[str], columns: Sequence[str]) -> dict[str, object]:
    """Values by name, from NAME=VALUE, as text, which the server reads; an empty one is missing.
    Names of columns may hold the sign as well, and the longest that is known counts."""
    row: dict[str, object] = {}
    for text in values:
        known = (name for name in columns if text.startswith(f"{name}="))
        name = max(known, key=len, default=text.partition("=")[0])
        if name in row:
            raise click.UsageError(f"there are two values of {name!r}")
        value = text[len(name) + 1 :]
        row[name] = value if value.strip() else None
    return row


def _told(description: ModelDescription, answer: Prediction) -> Iterator[str]:
    """The answer for a person: each target with its probabilities, the largest first."""
    outputs = [output for output in description.outputs if output.name == "prediction"]
    labels = answer.prediction if isinstance(answer.prediction, list) else [answer.prediction]
    tables = answer.probabilities or {}
    for number, label in enumerate(labels):
        # Another version than the one described may tell other things.
        output = outputs[number] if len(outputs) == len(labels) else None
        title = output and (output.label or output.target)
        rounded = isinstance(label, float) and not (output and output.classes)
        shown = f"{label:.6g}" if rounded else str(label)
        unit = f" {output.unit}" if output and output.unit else ""
        yield (f"{title}: " if title else "") + shown + unit
        shares = tables[number] if isinstance(tables, list) else tables
        width = max(map(len, shares), default=0)
        for name, share in sorted(shares.items(), key=lambda pair: -pair[1]):
            yield f"  {name:<{width}}  {share:.3f}"
        yield from _told_beside(description, answer, number)
    yield f"{answer.model} version {answer.version}"
    if answer.notice:
        yield answer.notice


def _told_beside(description: ModelDescription, answer: Prediction, number: int) -> Iterator[str]:
    """What is measured beside the answer of one target, each with its threshold."""
    thresholds = {output.name: output.threshold for output in description.outputs}
    for name in ("score", "standard_deviation"):
        told = getattr(answer, name)
        if told is None:
            continue
        measured = told[number] if isinstance(told, list) else told
        threshold = thresholds.get(name)
        below = "" if threshold is None else f"  (below {threshold:g} it is unusual)"
        yield f"  {name.replace('_', ' ')}  {measured:.6g}{below}"


# Keys ----------------------------------------------------------------------------


@click.group()
def keys() -> None:
    """API keys."""


@keys.command("new")
@click.argument("name")
@click.option("--model", "models", multiple=True, help="A model that it is for, instead of all.")
def new_key(name: str, models: tuple[str, ...]) -> None:
    """Make an API key for NAME: the key itself, and its line for the setting API_KEYS."""
    try:
        key, line = Keys.make(name, models)
    except ValueError as error:
        raise click.BadParameter(f"expected {error}") from None
    click.echo("The key, which is shown this once:", err=True)
    click.echo(key)
    click.echo("Its line for QUART_APP_API_KEYS, with commas between several:", err=True)
    click.echo(line)


for command in (serve, get, predict, keys, routes_command, shell_command):
    cli.add_command(command)
