"""The commands: `serve`, `models …`, `get PATH`, beside those that Quart brings.

What a command found goes to stdout, what it does meanwhile to stderr. A command that fails says so
in a sentence and ends with 1, one that was called wrongly with 2.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import click
import msgspec
from quart import Quart
from quart.cli import NoAppException, QuartGroup, routes_command, shell_command
from werkzeug.datastructures import Headers

from model_store import ModelStore, ModelStoreError
from model_store.aliases import CHAMPION
from model_store.recipes import RECIPES

from . import create_app
from .config import Config, ConfigError
from .context import context_of
from .description import describe
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


Option = Callable[[Any], Any]
store_option: Option = click.option(
    "--store", type=click.Path(path_type=Path), help="The folder of the published models."
)
json_option: Option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
allow_version_option: Option = click.option(
    "--allow-version",
    is_flag=True,
    help="Load models that were trained with another minor of scikit-learn.",
)


def _settings(**given: Any) -> dict[str, Any]:
    """Options that were given, as settings; an option that was not leaves the setting alone."""
    return {
        name.upper(): value
        for name, value in given.items()
        if value is not None and value is not False
    }


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
        **_settings(host=host, port=port, model_store=store, allow_version=allow_version)
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
    app = create_app(**_settings(model_store=store, allow_version=allow_version))
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


# Models --------------------------------------------------------------------------


@click.group()
@store_option
@click.pass_context
def models(context: click.Context, store: Path | None) -> None:
    """The published models."""
    config = Config.read(**_settings(model_store=store))
    context.obj = ModelStore(config.model_store.absolute())


@models.command("list")
@json_option
@click.pass_obj
def list_models(store: ModelStore, as_json: bool) -> None:
    """List the models, with the version that serves and its scores."""
    found = [describe(store, name, None) for name in store.models()]
    if as_json:
        _print_json(found)
        return
    click.echo(f"Models in {store.root}")
    if not found:
        click.echo(f"None yet. Train one of {', '.join(RECIPES)}: quart-app models train iris")
    rows = [
        (
            model.name,
            str(model.version or "none"),
            ", ".join(map(str, model.versions)),
            ", ".join(f"{alias}={number}" for alias, number in model.aliases.items()),
            _scores(model.metrics) if model.reason is None else f"failed: {model.reason}",
        )
        for model in found
    ]
    _print_table(("NAME", "SERVES", "VERSIONS", "ALIASES", "SCORES"), rows)


@models.command()
@click.argument("name")
@click.option("--version", help="A number or an alias; the one that serves.")
@json_option
@click.pass_obj
def show(store: ModelStore, name: str, version: str | None, as_json: bool) -> None:
    """Show the manifest of a model."""
    manifest = store.manifest(name, version)
    if as_json:
        _print_json(manifest)
        return
    libraries = manifest.libraries
    about = {
        "model": f"{manifest.name} version {manifest.version}, of {manifest.created}",
        "folder": store.root / manifest.name / str(manifest.version),
        "pipeline": manifest.estimator,
        "task": manifest.task,
        "classes": ", ".join(map(str, manifest.classes or ())),
        "scores": _scores(manifest.metrics),
        "measured as": manifest.validation,
        "notice": manifest.notice,
        "trained with": f"Python {libraries.python}, scikit-learn {libraries.scikit_learn}, "
        f"numpy {libraries.numpy}",
    }
    for label, value in about.items():
        if value:
            click.echo(f"{label:<13} {value}")
    click.echo()
    rows = [
        (column.name, column.type, f"{column.minimum} to {column.maximum}", str(column.typical))
        for column in manifest.signature.columns
    ]
    _print_table(("COLUMN", "TYPE", "RANGE", "TYPICAL"), rows)


@models.command()
@click.argument("names", nargs=-1, required=True, metavar=f"[{'|'.join(RECIPES)}]...")
@json_option
@click.pass_obj
def train(store: ModelStore, names: Sequence[str], as_json: bool) -> None:
    """Train models by their recipes, and publish each as its next version."""
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        raise click.BadParameter(
            f"there is no recipe {unknown[0]!r}; there are {', '.join(RECIPES)}",
            param_hint="NAMES",
        )
    published = []
    for name in names:
        manifest = RECIPES[name].train(store, _progress(name))
        published.append(manifest)
        if not as_json:
            click.echo(f"{name} version {manifest.version} published: {_scores(manifest.metrics)}")
    if as_json:
        _print_json(published)


@models.command()
@click.argument("name", required=False)
@click.option("--version", help="A number or an alias; the one that serves.")
@allow_version_option
@json_option
@click.pass_obj
def verify(
    store: ModelStore, name: str | None, version: str | None, allow_version: bool, as_json: bool
) -> None:
    """Verify a model, or all: digests, then load it and replay its golden rows."""
    allow_version = Config.read(**_settings(allow_version=allow_version)).allow_version
    results = [
        _verify(store, found, version, allow_version)
        for found in ([name] if name else store.models())
    ]
    if as_json:
        _print_json(results)
    else:
        for result in results:
            click.echo(f"{result['name']}: {result['error'] or 'verified'}")
    if any(result["error"] for result in results):
        sys.exit(FAILED)


def _verify(
    store: ModelStore, name: str, version: str | None, allow_version: bool
) -> dict[str, Any]:
    progress = _progress(name)
    try:
        progress("verifying")
        verified = store.verify(name, version, allow_version=allow_version)
        for warning in verified.warnings:
            click.echo(f"Warning: {warning}", err=True)
        progress("loading")
        model = store.load(verified)
        progress("replaying the golden rows")
        model.replay()
    except ModelStoreError as error:
        return {"name": name, "version": version, "error": str(error)}
    return {"name": name, "version": verified.manifest.version, "error": None}


@models.command()
@click.argument("name")
@click.argument("version")
@click.option("--alias", default=CHAMPION, show_default=True, help="The alias to set.")
@click.pass_obj
def promote(store: ModelStore, name: str, version: str, alias: str) -> None:
    """Let an alias name VERSION; champion is the version that serves from the next start on."""
    number = store.promote(name, version, alias)
    click.echo(f"{alias} of {name} is version {number}.")


@models.command()
@click.argument("name")
@click.pass_obj
def rollback(store: ModelStore, name: str) -> None:
    """Let champion name the version that served before, from the next start on."""
    click.echo(f"champion of {name} is version {store.rollback(name)}.")


@models.command()
@click.argument("name")
@click.argument("version")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(store: ModelStore, name: str, version: str, yes: bool) -> None:
    """Remove VERSION of a model for good."""
    number = store.resolve(name, version)
    if not yes:
        click.confirm(f"Remove {name} version {number} for good?", abort=True)
    store.remove(name, number)
    click.echo(f"{name} version {number} is removed.")


def _progress(name: str) -> Callable[[str], None]:
    return lambda step: click.echo(f"{name}: {step}", err=True)


def _scores(metrics: Mapping[str, float]) -> str:
    """Each score with its spread, such as `accuracy 0.953 ± 0.027`."""
    return ", ".join(
        f"{name} {value:.3f}"
        + (f" ± {metrics[f'{name}_std']:.3f}" if f"{name}_std" in metrics else "")
        for name, value in metrics.items()
        if not name.endswith("_std")
    )


def _print_json(content: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=2))


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


for command in (serve, get, models, routes_command, shell_command):
    cli.add_command(command)
