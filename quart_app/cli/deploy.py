"""The `deploy` commands: a folder for a platform, what it will take there, and what comes next."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from model_store.backend import served_here

from ..config import Config, memory_size
from ..version import VERSION
from . import footprint, manifests
from .deployment import (
    MANIFESTS,
    MEMORY,
    MIB,
    MODELS,
    Deployment,
    DeploymentError,
    Platform,
    within,
)
from .footprint import MB, SLUG_LIMIT, Memory, Slug
from .lock import REQUIREMENTS, read_pins
from .options import Option, allow_version_option, settings, store_option
from .serving import ANSWERING

NEARLY = 0.9
"""The share of a limit from which on there is a warning."""

DRAIN: Final = Config().deadline + ANSWERING
"""Seconds in which a server answers what it has accepted."""


class Cluster(NamedTuple):
    """What a cluster is told of a deployment: the name of its resources, the image, the limit of
    memory, where it is not to follow from the forecast, and where KServe finds the model."""

    name: str
    image: str
    limit: int | None
    storage: str = ""


def _checked(read: Callable[[str], Any]) -> Callable[..., Any]:
    """How an option is read by a function that raises ValueError with what it expects."""

    def checked(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
        try:
            return None if value is None else read(value)
        except ValueError as error:
            raise click.BadParameter(f"expected {error}, got {value!r}") from None

    return checked


MEMORY_HELP: Final = "The memory of the machine; with nine tenths of it the server starts anew."
LIMIT_HELP: Final = "The memory that a pod may have; without, it follows from the forecast."

_image_option: Option = click.option(
    "--image",
    callback=_checked(manifests.require_image),
    default="quart-app",
    show_default=True,
    help="The image; without a tag it gets a digest of what is in it.",
)


def _memory_option(default: str | None, help_text: str) -> Option:
    return click.option(
        "--memory",
        callback=_checked(memory_size),
        default=default,
        show_default=default is not None,
        help=help_text,
    )


@click.group()
def deploy() -> None:
    """A folder with the models, for a platform."""


def _common_options(command: Any) -> Any:
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
        click.option("--force", is_flag=True, help="Write over files that this did not write."),
        store_option,
        allow_version_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _machine_options(command: Any) -> Any:
    return _memory_option(f"{MEMORY // MIB}M", MEMORY_HELP)(_common_options(command))


@deploy.command()
@_machine_options
def heroku(**options: Any) -> None:
    """Write a folder to push to Heroku, Dokku or another platform with a Procfile."""
    _run("heroku", **options)


@deploy.command()
@_machine_options
def docker(**options: Any) -> None:
    """Write a folder to build a container image from, for Fly, Render or your own machine."""
    _run("docker", **options)


@deploy.command()
@_common_options
@_memory_option(None, LIMIT_HELP)
@click.option(
    "--name",
    callback=_checked(manifests.require_name),
    default="quart-app",
    show_default=True,
    help="What the resources are called.",
)
@_image_option
def kubernetes(name: str, image: str, memory: int | None, **options: Any) -> None:
    """Write a folder to build an image from, and the manifests that run it on Kubernetes."""
    cluster = Cluster(name, image, memory)
    _run("kubernetes", cluster=cluster, memory=memory or MEMORY, **options)


@deploy.command()
@_common_options
@_memory_option("1G", LIMIT_HELP)
@click.option(
    "--name",
    callback=_checked(manifests.require_name),
    help="What the service and its model are called; the model, where one is named.",
)
@_image_option
@click.option(
    "--storage-uri",
    "storage",
    callback=_checked(manifests.require_storage),
    help="Where KServe finds the folder of the model; pvc://models/NAME.",
)
def kserve(
    name: str | None,
    image: str,
    memory: int,
    names: Sequence[str],
    storage: str | None,
    **options: Any,
) -> None:
    """Write a folder to build an image from, which serves the models that KServe mounts, and the
    manifests of the runtime and of one service.

    No model comes along. Where one is named, it is what the memory is forecast of.
    """
    if len(names) > 1:
        raise click.UsageError("a service of KServe has one model; name one")
    try:
        called = manifests.require_name(name or (names[0].lower() if names else "model"))
    except ValueError as error:
        raise click.UsageError(f"give the service a --name: expected {error}") from None
    cluster = Cluster(called, image, memory, storage or f"pvc://models/{called}")
    _run("kserve", cluster=cluster, memory=memory, names=names, **options)


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
    cluster: Cluster | None = None,
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
    if cluster is None:
        files = deployment.write(folder, force=force)
        _tell_written(deployment, folder, files)
        measured = _measure(deployment, folder)
        _tell_memory(measured, memory)
        steps = _steps(platform, folder, memory)
    else:
        plan = _Plan(deployment, cluster)
        files = deployment.write(folder, force=force, beside=plan.beside)
        _tell_written(deployment, folder, files)
        _tell_memory(plan.measured, plan.memory.limit)
        steps = plan.steps(folder)
    click.echo("\nType next:\n")
    for line in steps:
        click.echo(f"  {line}")


class _Plan:
    """The manifests of a deployment, which are made when its folder was built and measured."""

    def __init__(self, deployment: Deployment, cluster: Cluster) -> None:
        self._deployment = deployment
        self._cluster = cluster
        self.measured = Memory(None)
        self.memory = manifests.Memory.forecast(None, cluster.limit)
        self.image = cluster.image

    def beside(self, built: Path, digest: str) -> dict[str, str]:
        """The manifests by their paths."""
        name, deployment = self._cluster.name, self._deployment
        self.image = manifests.tagged(self._cluster.image, digest[:12])
        self.measured = _measure(deployment, built)
        resident, limit = self.measured.resident, self._cluster.limit
        imported = manifests.Memory.forecast(resident, limit, beside=manifests.IMPORTING)
        self.memory = manifests.Memory.forecast(resident, limit)
        if deployment.platform == "kserve":
            if not deployment.models:
                self.memory = imported
            mount = ["--model-name={{.Name}}", f"--model-dir={manifests.MOUNT}"]
            command = [*deployment.command_of(mount), *within(self.memory.limit)]
            service = manifests.Service(name, self._cluster.storage, self.memory)
            texts = manifests.kserve(service, self.image, command, imported)
        else:
            command = [*deployment.unlimited_command, *within(self.memory.limit)]
            texts = manifests.kubernetes(name, self.image, command, self.memory, drain=DRAIN)
        return {f"{MANIFESTS}/{file}": text for file, text in texts.items()}

    def steps(self, folder: Path) -> list[str]:
        """What to type next."""
        image, place = shlex.quote(self.image), shlex.quote(str(folder))
        return [
            f"docker build --tag {image} {place}",
            f"docker push {image}",
            f"kubectl apply --filename {shlex.quote(str(folder / MANIFESTS))}",
        ]


def _measure(deployment: Deployment, folder: Path) -> Memory:
    """The memory of the program in a folder. Where a platform mounts the model, it is mounted here
    too, or else an empty folder."""
    click.echo("Starting it once, to see its memory", err=True)
    if deployment.platform != "kserve":
        return footprint.measure(folder, deployment.unlimited_command)
    with tempfile.TemporaryDirectory() as scratch:
        mounted = Path(scratch)
        for verified in deployment.models:
            deployment.store.copy(verified, scratch)
            mounted = mounted / verified.manifest.name / str(verified.manifest.version)
        mount = ["--model-name", "model", "--model-dir", str(mounted)]
        measured = footprint.measure(folder, deployment.command_of(mount))
    if not deployment.models:  # that there is none is no failure
        return Memory(measured.resident, measured.reason)
    return measured


def _tell_written(deployment: Deployment, folder: Path, files: Sequence[str]) -> None:
    taken = ", ".join(f"{model.name} version {model.version}" for model in deployment.manifests)
    along = taken if deployment.platform != "kserve" else "no model"
    click.echo(f"{folder}: quart-app {VERSION} with {along}, {len(files)} files")
    for line in _pipelines(deployment):
        click.echo(line)
    pins = read_pins((folder / REQUIREMENTS).read_text(encoding="utf-8"))
    slug = Slug.of(folder, files, pins)
    _tell_size(deployment.platform, slug, _models_size(folder, files))


def _pipelines(deployment: Deployment) -> Iterator[str]:
    """Whether scikit-learn comes along, and for which models."""
    if deployment.platform == "kserve":
        yield "scikit-learn comes along, since what is mounted may have to be imported"
        return
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
