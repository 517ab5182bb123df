"""The `deploy` commands: a folder for a platform, what it will take there, and what comes next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from model_store.backend import served_here

from ..config import Config, memory_size
from ..version import VERSION
from . import footprint
from .deployment import MEMORY, MIB, MODELS, Deployment, DeploymentError, Platform
from .footprint import MB, SLUG_LIMIT, Memory, Slug
from .lock import REQUIREMENTS, read_pins
from .options import Option, allow_version_option, settings, store_option

NEARLY = 0.9
"""The share of a limit from which on there is a warning."""


def _bytes(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """A size, as the setting MAX_MEMORY takes it."""
    try:
        return memory_size(value)
    except ValueError as error:
        raise click.BadParameter(f"expected {error}, got {value!r}") from None


@click.group()
def deploy() -> None:
    """A folder with the models, for a platform."""


def _deploy_options(command: Any) -> Any:
    options: list[Option] = [
        click.option(
            "--dir",
            "folder",
            type=click.Path(path_type=Path),
            required=True,
            help="The folder to write: a new one, or one that this wrote.",
        ),
        click.option(
            "--model", "names", multiple=True, metavar="NAME", help="A model to take along; all."
        ),
        click.option(
            "--package",
            "packages",
            multiple=True,
            metavar="NAME",
            help="A distribution to install besides, as it is installed here.",
        ),
        click.option("--tour", is_flag=True, help="Take the tour along, and what it needs."),
        click.option("--mcp", is_flag=True, help="Let agents find the models as tools."),
        click.option(
            "--memory",
            callback=_bytes,
            default=f"{MEMORY // MIB}M",
            show_default=True,
            help="The memory of the machine; with nine tenths of it the server starts anew.",
        ),
        click.option("--force", is_flag=True, help="Write over files that this did not write."),
        store_option,
        allow_version_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@deploy.command()
@_deploy_options
def heroku(**options: Any) -> None:
    """Write a folder to push to Heroku, Dokku or another platform with a Procfile."""
    _run("heroku", **options)


@deploy.command()
@_deploy_options
def docker(**options: Any) -> None:
    """Write a folder to build a container image from, for Fly, Render or your own machine."""
    _run("docker", **options)


def _run(platform: Platform, **options: Any) -> None:
    try:
        _write(platform, **options)
    except DeploymentError as error:
        raise click.ClickException(str(error)) from None


def _write(
    platform: Platform,
    *,
    folder: Path,
    names: Sequence[str],
    packages: Sequence[str],
    tour: bool,
    mcp: bool,
    memory: int,
    force: bool,
    store: str | None,
    allow_version: bool,
) -> None:
    config = Config.read(**settings(model_store=store, allow_version=allow_version))
    deployment = Deployment.of(
        platform,
        config.store(),
        names,
        packages,
        allow_version=config.allow_version,
        tour=tour,
        memory=memory,
        mcp=mcp,
    )
    for verified in deployment.models:
        for warning in verified.warnings:
            _warn(warning)
    files = deployment.write(folder, force=force)
    taken = ", ".join(f"{model.name} version {model.version}" for model in deployment.manifests)
    click.echo(f"{folder}: quart-app {VERSION} with {taken}, {len(files)} files")
    for line in _pipelines(deployment):
        click.echo(line)
    pins = read_pins((folder / REQUIREMENTS).read_text(encoding="utf-8"))
    _tell_size(platform, Slug.of(folder, files, pins), _models_size(folder, files))
    click.echo("Starting it once, to see its memory", err=True)
    _tell_memory(footprint.measure(folder, deployment.unlimited_command), memory)
    click.echo("\nType next:\n")
    for line in _steps(platform, folder, memory):
        click.echo(f"  {line}")


def _pipelines(deployment: Deployment) -> Iterator[str]:
    """Whether scikit-learn comes along, and for which models."""
    if deployment.plain:
        yield "scikit-learn stays here: all have plain forms, and no pickle is read there"
    for verified in deployment.models:
        if verified.form is None:
            reason = served_here(verified.manifest.served).reason
            yield f"scikit-learn comes along for {verified.manifest.name}: {reason}"


def _models_size(folder: Path, files: Sequence[str]) -> int:
    return sum((folder / path).stat().st_size for path in files if path.startswith(f"{MODELS}/"))


def _tell_size(platform: Platform, slug: Slug, models: int) -> None:
    parts = (
        f"packages {_mb(slug.packages.installed)}, models {_mb(models)}, "
        f"program {_mb(slug.folder.installed - models)}"
    )
    if platform == "heroku":
        total = slug.total
        click.echo(
            f"Slug: about {_mb(total.compressed)} of {_mb(SLUG_LIMIT)} once compressed; installed "
            f"{_mb(total.installed)}: {parts}, Python {_mb(slug.python.installed)}"
        )
        if total.compressed > NEARLY * SLUG_LIMIT:
            _warn("That is more than Heroku takes, or nearly; take fewer models along.")
    else:
        own = slug.packages + slug.folder
        click.echo(f"Image: about {_mb(own.installed)} on top of its base: {parts}")
    if slug.unmeasured:
        _warn(
            f"Not counted, since they are not installed here in that version: "
            f"{', '.join(slug.unmeasured)}."
        )


def _tell_memory(memory: Memory, limit: int) -> None:
    if memory.resident is None:
        click.echo(f"Memory: not measured, {memory.reason}")
    else:
        click.echo(
            f"Memory: {memory.resident / MIB:.0f} MiB of {limit / MIB:.0f} MiB once the "
            "models are loaded; requests take more"
        )
        if memory.resident > NEARLY * limit:
            _warn(
                "That is more than the machine has, or nearly, and the server would start again "
                "and again; take fewer models along, or a larger machine, and say so by --memory."
            )
    for name, reason in (memory.failed or {}).items():
        _warn(f"{name} does not load there: {reason}")


def _steps(platform: Platform, folder: Path, memory: int) -> list[str]:
    place = shlex.quote(str(folder))
    if platform == "docker":
        return [
            f"docker build --tag quart-app {place}",
            f"docker run --detach --restart on-failure --memory {memory // MIB}m "
            "--publish 8000:8000 --stop-timeout 30 quart-app",
        ]
    new = [] if (folder / ".git").exists() else ["git init --initial-branch main", "heroku create"]
    return [
        f"cd {place}",
        *new,
        "git add --all",
        'git commit --message "Deploy"',
        "git push heroku HEAD:main",
    ]


def _mb(size: int) -> str:
    return f"{size / MB:.0f} MB" if size >= 10 * MB else f"{size / MB:.1f} MB"


def _warn(sentence: str) -> None:
    click.echo(f"Warning: {sentence}", err=True)
