"""A folder for a platform: this program, its pinned requirements and the models, ready to be sent.

The program goes along as its sources, since no index has it: pip then installs third parties only,
by their hashes, and `python -m quart_app` runs what lies in the working directory. A record in the
folder says what was written, with the digest of each file, so that the next deployment replaces
that and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

import model_store
from model_store import Manifest, ModelStore, Verified
from model_store.libraries import minor
from model_store.requirements import packages

from .. import extras
from .lock import REQUIREMENTS, normalized, read_lock, read_pins, without
from .manifests import MOUNT

Platform = Literal["heroku", "docker", "kubernetes", "kserve"]

MODELS: Final = "models"
MANIFESTS: Final = "kubernetes"
"""The folder of the manifests."""

MIB: Final = 1024 * 1024
KEEP_ALIVE: Final = 95
"""Seconds; the router of Heroku keeps its connections to an app for 90, others for less."""
MEMORY: Final = 512 * MIB
"""Bytes that the smallest dynos of Heroku have, and the smallest machines of many others."""
USABLE_MEMORY: Final = 0.9
"""The share of the memory of a machine that the server may take before it is started anew."""
RECORD: Final = ".quart-app.json"
GIT: Final = (".git", ".gitignore", ".gitattributes")
"""What a folder may hold that still counts as empty, when it is a new repository."""

IMPORTS: Final = ("pyyaml", "pandas")
"""Distributions that a server for KServe gets besides: folders of MLflow are read with the one, and
pipelines that were fitted on a DataFrame with the other."""

Beside = Callable[[Path, str], Mapping[str, str]]
"""Texts by their paths, made of the folder that was built and a digest of what is in it."""

_REQUIRED: Final = re.compile(r"[A-Za-z0-9._-]+")


class DeploymentError(Exception):
    """The folder cannot be written. The message is a sentence."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was written into a folder: the sha256 of each file by its path."""

    platform: Platform
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a platform gets. `packages` are distributions to install besides, in the versions that
    are installed here. `tour` takes the tour along, with what only it needs, and `mcp` lets
    agents find the models as tools. `memory` are the bytes that the machine has.

    For KServe no model comes along: the server is given a folder with one, which it may have to
    import. Elsewhere, where all models have plain forms, no pickle is read there, though it comes
    along with its version, and scikit-learn is not installed."""

    platform: Platform
    store: ModelStore
    models: Sequence[Verified]
    packages: Sequence[str] = ()
    allow_version: bool = False
    tour: bool = False
    memory: int = MEMORY
    mcp: bool = False

    @classmethod
    def of(
        cls,
        platform: Platform,
        store: ModelStore,
        names: Sequence[str] = (),
        packages: Sequence[str] = (),
        *,
        allow_version: bool = False,
        tour: bool = False,
        memory: int = MEMORY,
        mcp: bool = False,
    ) -> Deployment:
        """The versions that serve of these models, or of all, each proven.

        Raises:
            DeploymentError: there is no model, or the pipeline of one of them cannot be served by
                the scikit-learn of our lock.
            ModelStoreError: one of them cannot be served here.
        """
        names = sorted(set(names or (store.models() if platform != "kserve" else ())))
        if not names and platform != "kserve":
            raise DeploymentError(
                f"There are no models in {store.place}; train or publish one first."
            )
        verified = [store.verify(name, allow_version=allow_version) for name in names]
        if not allow_version:
            _require_locked(each.manifest for each in verified if each.form is None)
        return cls(platform, store, verified, tuple(packages), allow_version, tour, memory, mcp)

    @property
    def manifests(self) -> list[Manifest]:
        return [verified.manifest for verified in self.models]

    @property
    def plain(self) -> bool:
        """Whether no pickle is read there, since all models have plain forms."""
        return self.platform != "kserve" and all(
            verified.form is not None for verified in self.models
        )

    @property
    def command(self) -> list[str]:
        """What the platform starts, in the folder. No word of it means anything to a shell."""
        return [*self.unlimited_command, *within(self.memory)]

    @property
    def unlimited_command(self) -> list[str]:
        """The same without a limit of memory."""
        if self.platform == "kserve":
            return self.command_of(["--model-name", "model", "--model-dir", MOUNT])
        return self.command_of(["--store", MODELS])

    def command_of(self, models: Sequence[str]) -> list[str]:
        """The same with options that say where the models are."""
        kept = ["--keep-alive", str(KEEP_ALIVE)]
        off = [] if self.tour else ["--no-tour"]
        off += [] if self.mcp else ["--no-mcp"]
        allowed = ["--allow-version"] if self.allow_version else []
        pickles = ["--pickles", "never"] if self.plain else allowed
        return ["python", "-m", "quart_app", "serve", *models, *kept, *off, *pickles]

    def write(
        self, folder: Path, *, force: bool = False, beside: Beside = lambda built, digest: {}
    ) -> list[str]:
        """Write the folder, which is new, empty, or was written by this before, and return the
        paths in it. It changes when all is ready to be moved there. `beside` makes further files
        of what was built.

        Raises:
            DeploymentError: it holds what this did not write, and `force` is not set; or a
                requirement is unknown.
            ModelStoreError: a model has changed meanwhile.
            OSError
        """
        if not force:
            _require_ours(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".deploying-", dir=folder.parent) as scratch:
            built = Path(scratch)
            self._build(built)
            digests = dict(_digests(built, _files(built)))
            texts = beside(built, _digest_of(digests))
            for path, text in texts.items():
                (built / path).parent.mkdir(exist_ok=True)
                (built / path).write_text(text, encoding="utf-8")
            digests |= dict(_digests(built, texts))
            if not force:
                _require_free(folder, digests)
            _place(built, folder, digests)
        record = Record(platform=self.platform, files=digests)
        content = msgspec.json.format(msgspec.json.encode(record), indent=2)
        (folder / RECORD).write_bytes(content + b"\n")
        return [*digests, RECORD]

    def requirements(self) -> str:
        """The text of requirements.txt: our lock with its hashes, less what only the tour needs
        where that stays at home, and what only pipelines need where none is read. Where models or
        `packages` need more it is the pins alone: pip takes hashes for all or for none.

        Raises:
            DeploymentError: a package is not installed here.
        """
        tour = () if self.tour else extras.TOUR
        pipelines = extras.PIPELINES if self.plain else ()
        lock = without(read_lock(), (*tour, *pipelines))
        pins = read_pins(lock)
        wanted = set(self.packages).union(*map(_distributions, self.models))
        if self.platform == "kserve":
            wanted.update(IMPORTS)
        more = {name: version for name, version in _closure(wanted) if name not in pins}
        if not more:
            return lock
        lines = [line.split(" \\")[0] for line in lock.splitlines() if read_pins(line)]
        return "\n".join([*lines, *(f"{name}=={more[name]}" for name in sorted(more)), ""])

    def _build(self, folder: Path) -> None:
        for path, source in _sources():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        for verified in self.models if self.platform != "kserve" else ():
            self.store.copy(verified, folder / MODELS)
        requirements = self.requirements()
        texts = {REQUIREMENTS: requirements, **_GIT_FILES}
        if self.platform == "heroku":
            texts |= _heroku_files(self.command)
        else:
            texts |= _docker_files(self.command, hashed="--hash=" in requirements)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")


def within(memory: int) -> list[str]:
    """The options that keep a server within so many bytes."""
    return ["--max-memory", f"{int(USABLE_MEMORY * memory) // MIB}M"]


# What lies in the folder ---------------------------------------------------------

_PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"

_GIT_FILES: Final = {
    # What the app and Python make where they run.
    ".gitignore": "/instance/\n__pycache__/\n",
    # A changed line ending would be a changed digest.
    ".gitattributes": f"/{MODELS}/** -text\n",
}


def _heroku_files(command: Sequence[str]) -> dict[str, str]:
    return {
        "Procfile": f"web: {' '.join(command)}\n",
        ".python-version": f"{_PYTHON}\n",
        ".slugignore": f"/{RECORD}\n/.gitattributes\n/.gitignore\n",
    }


_HEALTH: Final = (
    "from http.client import HTTPConnection; from os import environ; "
    "server = HTTPConnection('127.0.0.1', int(environ['PORT']), timeout=4); "
    "server.request('GET', '/health/live'); "
    "raise SystemExit(server.getresponse().status != 200)"
)

_DOCKERFILE: Final = """\
FROM python:{python}-slim
ENV PYTHONUNBUFFERED=1 PORT=8000
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir {hashed}--requirement requirements.txt
COPY . ./
# The user below reads all files, whoever they belonged to, and writes the database of the tasks.
RUN python -m compileall -q quart_app model_store && chmod -R a+rX . \\
    && mkdir instance && chown 10001:10001 instance
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD {health}
CMD {command}
"""


def _docker_files(command: Sequence[str], *, hashed: bool) -> dict[str, str]:
    dockerfile = _DOCKERFILE.format(
        python=_PYTHON,
        hashed="--require-hashes " if hashed else "",
        health=_exec_form(["python", "-c", _HEALTH]),
        command=_exec_form(command),
    )
    ignored = f".git\n.gitattributes\n.gitignore\n{RECORD}\nDockerfile\n.dockerignore\n"
    ignored += f"{MANIFESTS}\n"
    return {"Dockerfile": dockerfile, ".dockerignore": f"{ignored}instance\n**/__pycache__\n"}


def _exec_form(words: Sequence[str]) -> str:
    return msgspec.json.encode(words).decode()


def _sources() -> Iterator[tuple[str, Path]]:
    """The files of both packages, with the templates inside, as a wheel has them."""
    package = Path(__file__).parents[1]
    store = Path(model_store.__file__).parent
    for root, target in (
        (package, "quart_app"),
        (store, "model_store"),
        (package.parent / "templates", "quart_app/templates"),
    ):
        if target != "quart_app/templates" or not (package / "templates").is_dir():
            for path in _files(root):
                yield f"{target}/{path}", root / path


# Requirements --------------------------------------------------------------------


def _require_locked(models: Iterable[Manifest]) -> None:
    """Raises DeploymentError for a model that was trained with another scikit-learn than is in our
    lock: it would not be loaded there, even where it is here."""
    locked = read_pins(read_lock())["scikit-learn"]
    for model in models:
        trained = model.libraries.scikit_learn
        if minor(trained) != minor(locked):
            raise DeploymentError(
                f"{model.name} version {model.version} was trained with scikit-learn {trained}, "
                f"and {locked} is in {REQUIREMENTS}; train it again with that, or allow the other "
                "version with --allow-version."
            )


def _distributions(verified: Verified) -> set[str]:
    """The distributions of the packages that a version needs besides."""
    needed = packages(verified)
    if not needed:
        return set()
    known = importlib.metadata.packages_distributions()
    missing = sorted(needed - known.keys())
    if missing:
        model = verified.manifest
        raise DeploymentError(
            f"{model.name} version {model.version} needs {missing[0]}, which no installed "
            "distribution has; if that is a module of yours, publish the model again with its "
            "file as `code`, else install it."
        )
    return {name for package in needed for name in known[package]}


def _closure(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """These distributions and what they require, each with the version that is installed.

    A requirement of an extra is none; one whose marker does not hold here is not installed.
    """
    waiting, seen = [(name, True) for name in names], set()
    while waiting:
        name, asked = waiting.pop()
        name = normalized(name)
        if name in seen:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if asked:
                raise DeploymentError(
                    f"{name} is not installed here; install it, so that its version can be pinned."
                ) from None
            continue
        seen.add(name)
        yield name, distribution.version
        for requirement in distribution.requires or ():
            required = _REQUIRED.match(requirement)
            if required and "extra ==" not in requirement:
                waiting.append((required[0], False))


# The folder ----------------------------------------------------------------------


def _files(root: Path) -> list[str]:
    """The paths of all files below a folder, sorted, but for what Python keeps there."""
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if "__pycache__" not in path.parts)


def _digest_of(digests: Mapping[str, str]) -> str:
    """One for all files: the same for the same files."""
    return hashlib.sha256(msgspec.json.encode(sorted(digests.items()))).hexdigest()


def _digests(root: Path, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        with (root / path).open("rb") as file:
            yield path, hashlib.file_digest(file, "sha256").hexdigest()


def _require_ours(folder: Path) -> None:
    """Raises DeploymentError where the folder is not new, not empty, and without a record."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DeploymentError(f"{folder} is not a folder.")
    if _written(folder) is None and any(path.name not in GIT for path in folder.iterdir()):
        raise DeploymentError(
            f"{folder} holds files that were not written by this; name a new folder, or write over "
            "them with --force."
        )


def _require_free(folder: Path, files: Iterable[str]) -> None:
    """Raises DeploymentError where one of the files is there, and is not as it was written."""
    record = _written(folder)
    written = {} if record is None else record.files
    there = [path for path in {*files, *written} if (folder / path).exists()]
    changed = sorted(p for p, digest in _digests(folder, there) if written.get(p) != digest)
    if changed:
        raise DeploymentError(
            f"{folder / changed[0]} is not as it was written; move your change elsewhere, or write "
            "over it with --force."
        )


def _written(folder: Path) -> Record | None:
    """The record in a folder; None where there is none, or none that can be read."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _place(built: Path, folder: Path, files: Iterable[str]) -> None:
    """Remove what was written before, and move in what is new."""
    record = _written(folder)
    for path in () if record is None else record.files:
        _remove(folder, path)
    for path in files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (built / path).replace(target)


def _remove(folder: Path, path: str) -> None:
    """Remove a file of ours, and the folders that are empty then. A path that leads out of the
    folder is none of ours."""
    target = folder / path
    if ".." in Path(path).parts or Path(path).is_absolute():
        return
    target.unlink(missing_ok=True)
    for parent in target.relative_to(folder).parents[:-1]:
        try:
            (folder / parent).rmdir()
        except OSError:
            return
