"""The commands: `serve`, `models …`, `get PATH`, beside those that Quart brings.

What a command found goes to stdout, what it does meanwhile to stderr. A command that fails says so
in a sentence and ends with 1, one that was called wrongly with 2.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click
from quart import Quart
from quart.cli import NoAppException, QuartGroup, routes_command, shell_command
from werkzeug.datastructures import Headers

from model_store import ModelStoreError

from . import create_app
from .config import ConfigError
from .context import context_of
from .management import models
from .options import allow_version_option, settings, store_option
from .version import VERSION

FAILED, CALLED_WRONGLY = 1, 2
ANSWERING = 0.5
"""Seconds beyond its deadline in which a request can still be told that it was missed."""


def main() -> None:
    """Run the command line; errors that are ours become a sentence and an exit code."""
    try:
        cli()
    except ConfigError as error:
        _exit(error, CALLED_WRONGLY)
    except (ModelStoreError, OSError) as error:
        _exit(error, FAILED)


def _exit(error: Exception, code: int) -> None:
    click.echo(f"Error: {error}", err=True)
    sys.exit(code)


def _make_app() -> Quart:
    try:
        return create_app()
    except ConfigError as error:
        raise NoAppException(str(error)) from error


@click.group(
    cls=QuartGroup,
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
@store_option
@allow_version_option
def serve(host: str | None, port: int | None, store: Path | None, allow_version: bool) -> None:
    """Serve the models until SIGTERM or SIGINT."""
    from . import server, sockets

    _log_to_stderr()
    app = create_app(
        **settings(host=host, port=port, model_store=store, allow_version=allow_version)
    )
    context = context_of(app)
    config, registry = context.config, context.registry

    def announce(url: str) -> None:
        click.echo(f"Serving on {url} (CTRL+C to quit)")
        click.echo(f"Models in {config.model_store.absolute()}")

    def drain() -> None:
        registry.draining = True

    sockets.allow_many()
    code = server.serve(
        app,
        sockets.bind(config.host, config.port),
        on_signal=drain,
        on_listening=announce,
        shutdown=server.Shutdown.within(
            delay=config.shutdown_delay, drain=config.deadline + ANSWERING
        ),
        keep_alive=config.keep_alive,
    )
    sys.exit(code)


@click.command()
@click.argument("path")
@click.option("-H", "--header", "headers", multiple=True, help="A header, as NAME: VALUE.")
@store_option
@allow_version_option
def get(path: str, headers: Sequence[str], store: Path | None, allow_version: bool) -> None:
    """Answer one GET of PATH without a server, and print the body.

    A status from 400 on is printed to stderr and ends with 1.
    """
    if not path.startswith("/"):
        raise click.BadParameter("a path begins with /", param_hint="PATH")
    _log_to_stderr(logging.WARNING)
    app = create_app(**settings(model_store=store, allow_version=allow_version))
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


def _log_to_stderr(level: int = logging.INFO) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")


for command in (serve, get, models, routes_command, shell_command):
    cli.add_command(command)
