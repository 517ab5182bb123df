"""A folder of published pipelines: write once, resolve, verify, load.

    <store>/<name>/<version>/manifest.json, pipeline.joblib, sample.json
                             [, model.json, model.bin | pipeline.onnx]
    <store>/<name>/aliases.json

A version appears by one rename of a complete and synced folder, so a reader never sees a part of
one. Writers take their numbers one after another under the model's lock, which the kernel frees
when its holder is killed. Numbers are never used twice; a removed version leaves an empty
`.removed-N`.

Nothing is unpickled before `verify`, and `load` takes nothing but what `verify` returned: the very
bytes that were hashed. Where there is a plain form, a server reads that and leaves the artifact
alone; its data are mapped, so that processes share them. The digests guard against accidents and
against swapped files; whoever can write the whole store can write a matching manifest too, so the
folder's permissions are the lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from . import files, manifest
from .aliases import CHAMPION, Aliases, locked
from .backend import served_here
from .carriers import require_python
from .converted import Converted, build_converted
from .errors import (
    CorruptVersion,
    InvalidName,
    LoadFailed,
    ModelNotFound,
    UnreadableFile,
    Untrusted,
    VersionInUse,
    VersionNotFound,
    words_of,
)
from .manifest import ARTIFACT, GRAPH, MANIFEST, SAMPLE, File, Manifest, Sample
from .model import Model
from .plain import FORM_DATA, FORM_HEADER, Malformed, read
from .user_module import Code

if TYPE_CHECKING:
    from .draft import Draft, Metadata
    from .trust import Trust

DEFAULT_ROOT: Final = Path("instance/models")
MANIFEST_LIMIT: Final = 16 * 1024 * 1024
NAMES_SHOWN: Final = 20
ABANDONED_AFTER: Final = 60 * 60
"""Seconds after which a temporary folder has no writer any more."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.py")
_REMOVED = ".removed-"

Progress = Callable[[str], None]
Pickles = Literal["fallback", "never", "always"]
"""When an artifact may be read."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A version whose files are those of its manifest. Only `ModelStore.verify` makes one.

    Either there are the two files of its plain `form`, or its `artifact` with the `trust` that it
    is read with and perhaps the `graph` that its steps were converted to: the bytes that were
    hashed. `warnings` are sentences for the operator.
    """

    manifest: Manifest
    sample: Sample
    warnings: tuple[str, ...]
    form: tuple[bytes, memoryview] | None = None
    artifact: bytes = b""
    trust: Trust | None = None
    graph: bytes | None = None


class ModelStore:
    """The published pipelines below one folder, which need not exist yet.

    Every method blocks on the disk. Any number of processes may read and write one store.
    """

    def __init__(self, root: str | os.PathLike[str] = DEFAULT_ROOT) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"ModelStore({str(self.root)!r})"

    # Reading -----------------------------------------------------------------

    def folders(self) -> list[str]:
        """The names that models have or are about to have: one quick look at the disk."""
        return [name for name in files.entries(self.root) if _is_name(name)]

    def models(self) -> list[str]:
        """The names of all models with at least one version, sorted; a folder that cannot be read
        counts, so that what is wrong with it shows."""
        return sorted(name for name in files.entries(self.root) if self._is_model(name))

    def versions(self, name: str) -> list[int]:
        """The versions of a model, lowest first.

        Raises:
            ModelNotFound: there is none.
        """
        found = self._numbers(name)
        if not found:
            known = ", ".join(self.models()[:NAMES_SHOWN]) or "none"
            raise ModelNotFound(f"There is no model {name!r}; the models are: {known}.")
        return found

    def aliases(self, name: str) -> dict[str, int]:
        """The aliases of a model, each with the version it names.

        Raises:
            ModelNotFound, CorruptVersion
        """
        self.versions(name)
        return dict(Aliases.read(self.root / name).versions)

    def resolve(self, name: str, version: int | str | None = None) -> int:
        """The number of a version given as a number, as digits or as an alias.

        Without a version it is the one that serves: `champion` if that is set, else the highest.

        Raises:
            ModelNotFound, VersionNotFound
        """
        versions = self.versions(name)
        if version is None:
            number = self._serving(name)
        elif isinstance(version, int) or _VERSION.fullmatch(version):
            number = int(version)
        else:
            number = self._named(name, version)
        if number not in versions:
            known = ", ".join(map(str, versions))
            raise VersionNotFound(f"{name} has no version {number}; there is {known}.")
        return number

    def manifest(self, name: str, version: int | str | None = None) -> Manifest:
        """The manifest of a version.

        Raises:
            ModelNotFound, VersionNotFound, CorruptVersion
        """
        number = self.resolve(name, version)
        folder = self._contained(name, number)
        data = files.read(folder / MANIFEST, MANIFEST_LIMIT)
        if len(data) > MANIFEST_LIMIT:
            raise CorruptVersion(
                f"The manifest of {name} version {number} is larger than {MANIFEST_LIMIT} bytes; "
                "publish it again."
            )
        found = manifest.read(data)
        if (found.name, found.version) != (name, number):
            raise CorruptVersion(
                f"The folder of {name} version {number} holds the manifest of {found.name} "
                f"version {found.version}; a version cannot be copied, publish it again."
            )
        return found

    # Loading -----------------------------------------------------------------

    def verify(
        self,
        name: str,
        version: int | str | None = None,
        *,
        allow_version: bool = False,
        pickles: Pickles = "fallback",
    ) -> Verified:
        """Read what is to serve of a version and prove it, without unpickling anything.

        `pickles` says whether it may be the artifact: where there is no plain form (`fallback`),
        `never`, or `always`, whatever there is.

        Raises:
            ModelNotFound, VersionNotFound
            CorruptVersion: the manifest, a size or a digest is wrong, or a file lies elsewhere.
            IncompatibleVersion: it is the artifact, trained with another scikit-learn minor, and
                `allow_version` is not set; or no scikit-learn is installed.
            LoadFailed: it would be the artifact, and `pickles` is never.
        """
        found = self.manifest(name, version)
        folder = self._contained(found.name, found.version)
        sample = manifest.read_sample(_proven(folder / SAMPLE, found))
        strangers = _strangers(folder, found)
        if pickles != "always" and served_here(found.served).by == "plain":
            form = _proven(folder / FORM_HEADER, found), _mapped(folder / FORM_DATA, found)
            return Verified(found, sample, tuple(strangers), form)
        if pickles == "never":
            raise LoadFailed(_without_form(found))
        artifact, code = _proven(folder / ARTIFACT, found), _proven_code(folder, found)
        graph = _proven(folder / GRAPH, found) if _has_graph(found) else None
        require_python(_named(found), found.allowed, found.libraries.python)
        warnings = found.libraries.check(_named(found), allow_version=allow_version)
        # What reads pickles is imported where one is read.
        from .trust import Trust

        return Verified(
            manifest=found,
            sample=sample,
            warnings=(*warnings, *strangers),
            artifact=artifact,
            trust=Trust(frozenset(found.allowed), code),
            graph=graph,
        )

    def load(self, verified: Verified) -> Model:
        """Make a model of what was verified. The golden rows are not replayed yet: see
        `Model.replay`.

        Raises:
            CorruptVersion: its plain form is none.
            LoadFailed: the pipeline's classes do not load here.
            Unsound: it holds what must not be given to compiled code.
            Untrusted: the artifact names what was not allowed when it was published.
        """
        found = verified.manifest
        if verified.form is None:
            pipeline = _unpickled(verified)
            converted = _converted(verified, pipeline)
            return Model(found, pipeline, verified.sample, converted=converted)
        try:
            return Model(found, None, verified.sample, read(*verified.form))
        except Malformed as error:
            raise CorruptVersion(
                f"The plain form of {found.name} version {found.version} cannot be read; "
                "publish it again.",
                str(error),
            ) from error

    # Writing -----------------------------------------------------------------

    def publish(
        self,
        name: str,
        pipeline: Any,
        X: Any = None,
        y: Any = None,
        *,
        feature_names: Sequence[str] | None = None,
        target_name: str | Sequence[str] | None = None,
        types: Mapping[str, str] | None = None,
        missing: Mapping[str, str] | None = None,
        code: str | os.PathLike[str] | None = None,
        allow_varying: bool = False,
        progress: Progress = lambda step: None,
        **about: Any,
    ) -> Manifest:
        """Put a fitted pipeline into the store as the next version of `name`.

        `X` of shape (rows, columns), or a list of texts, and `y` of shape (rows,) or (rows,
        targets) are the training data: the signature, the ranges and the golden rows are read off
        them; they are not stored. Without `X` the pipeline's own parts must tell. `types` says by
        name what columns are, such as `text` for texts that repeat, and `missing` which missing
        value they had: `nan`, `none` or `na`. `code` is the file of the module that defines classes
        of the pipeline which no installed package has.
        `allow_varying` takes a pipeline whose answer to a row depends on the rows beside it, or
        changes from call to call: then each row is asked alone. `progress` is told each step as it
        begins, in words: `print` shows them.
        `about` are the fields of `Metadata`: title, description, notice, words, labels, units,
        descriptions, metrics, validation, evaluations and data.

        Raises:
            InvalidName: the name is not `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
            InvalidPipeline: it is not fitted, or does not predict that data, or not by what a
                client can send of it; its answers vary; it needs a module that no server would
                find; or what is said of it does not fit it.
            UnreadableFile: `code` is no module.
            StoreNotWritable: no version was published.
            NotDurable: one was, and is perhaps not safe from a loss of power yet.
        """
        # A server publishes nothing: it starts without what looks into training data.
        from .draft import Draft, Metadata
        from .inspection import Inspection

        require_name(name)
        module = None if code is None else Code.read(Path(code))
        inspection = Inspection.of_data(
            pipeline,
            X,
            y,
            feature_names=feature_names,
            target_name=target_name,
            types=types,
            missing=missing,
            allow_varying=allow_varying,
            progress=progress,
        )
        told = Metadata(**about)
        draft = Draft.of(name, pipeline, inspection, told, code=module, progress=progress)
        return self.add(draft, progress)

    def add(self, draft: Draft, progress: Progress = lambda step: None) -> Manifest:
        """Put a version into the store as the next one of the model that its manifest names. Its
        plain form is put to the proof first.

        Raises:
            InvalidName, StoreNotWritable, NotDurable
        """
        require_name(draft.manifest.name)
        proven = draft.proven(progress)
        progress(f"writing {sum(map(len, proven.contents.values())) / 1e6:.1f} MB")
        return self._write_version(proven.manifest, proven.contents)

    def edit(self, name: str, version: int | str | None, about: Metadata) -> Manifest:
        """Say something else of a version: a new revision of its manifest, at once; the artifact
        stays. A process that has the version loaded goes on with the revision that it loaded.

        Raises:
            ModelNotFound, VersionNotFound, CorruptVersion, StoreNotWritable
            InvalidPipeline: a text for what is not there.
        """
        with self._locked(name):
            found = self.manifest(name, version)
            edited = about.put(msgspec.structs.replace(found, revision=found.revision + 1))
            folder = self._contained(name, found.version)
            files.replace(folder / MANIFEST, manifest.write(edited))
        return edited

    def copy(self, verified: Verified, root: str | os.PathLike[str]) -> None:
        """Put a version of this store into another, below `root`, where it keeps its number, its
        files byte for byte, and the aliases that name it. The other has no such model yet.

        Raises:
            CorruptVersion: its files have changed since they were verified.
            StoreNotWritable
        """
        found = verified.manifest
        source = self._contained(found.name, found.version)
        contents = {name: _proven(source / name, found) for name in found.files}
        contents[MANIFEST] = files.read(source / MANIFEST, MANIFEST_LIMIT)
        aliases = Aliases.read(self.root / found.name).versions
        naming = {alias: number for alias, number in aliases.items() if number == found.version}
        folder = Path(root, found.name, str(found.version))
        with files.writing(Path(root)):
            folder.mkdir(parents=True)
            for name, data in contents.items():
                files.write(folder / name, data)
            if naming:
                Aliases(versions=naming).write(folder.parent)

    def promote(self, name: str, version: int | str, alias: str = CHAMPION) -> int:
        """Let an alias name a version, and return the version's number.

        Raises:
            InvalidName: an alias of digits only.
            ModelNotFound, VersionNotFound, StoreNotWritable
        """
        _require_alias(alias)
        with self._locked(name):
            number = self.resolve(name, version)
            before = Aliases.read(self.root / name)
            history = before.history
            serving = self._serving(name)
            if alias == CHAMPION and serving != number:
                history = [*history, serving]
            versions = {**before.versions, alias: number}
            Aliases(versions=versions, history=history).write(self.root / name)
        return number

    def rollback(self, name: str) -> int:
        """Let `champion` name the version that served before, and return its number.

        That is the one before the last promotion, else the next lower number.

        Raises:
            ModelNotFound, StoreNotWritable
            VersionNotFound: there is nothing to go back to.
        """
        with self._locked(name):
            versions = self.versions(name)
            before = Aliases.read(self.root / name)
            serving = self._serving(name)
            history = [number for number in before.history if number in versions]
            while history and history[-1] == serving:
                history.pop()
            lower = [number for number in versions if number < serving]
            if not history and not lower:
                raise VersionNotFound(f"{name} has no version to go back to from {serving}.")
            number = history.pop() if history else lower[-1]
            aliases = {**before.versions, CHAMPION: number}
            Aliases(versions=aliases, history=history).write(self.root / name)
        return number

    def remove(self, name: str, version: int | str) -> int:
        """Remove a version, and return its number. It is gone at once, and its number with it.

        Raises:
            ModelNotFound, VersionNotFound, StoreNotWritable
            VersionInUse: an alias names it.
        """
        with self._locked(name):
            number = self.resolve(name, version)
            aliases = Aliases.read(self.root / name).versions
            naming = sorted(alias for alias, target in aliases.items() if target == number)
            if naming:
                raise VersionInUse(
                    f"{name} version {number} is named by {', '.join(naming)}; promote another "
                    "version first."
                )
            grave = self.root / name / f"{_REMOVED}{number}"
            (self.root / name / str(number)).rename(grave)
            files.settle(grave.parent, f"{name} version {number} is removed")
            files.empty(grave)
        return number

    # Inside ------------------------------------------------------------------

    def _is_model(self, name: str) -> bool:
        try:
            return bool(self._numbers(name))
        except CorruptVersion:
            return True

    def _numbers(self, name: str) -> list[int]:
        if not _is_name(name):
            return []
        return sorted(int(e) for e in files.entries(self.root / name) if _VERSION.fullmatch(e))

    def _serving(self, name: str) -> int:
        """The version that serves, which may be gone where a folder was removed by hand."""
        return Aliases.read(self.root / name).versions.get(CHAMPION, self.versions(name)[-1])

    def _named(self, name: str, alias: str) -> int:
        aliases = self.aliases(name)
        if alias not in aliases:
            known = ", ".join(sorted(aliases)) or "none"
            raise VersionNotFound(f"{name} has no alias {alias!r}; the aliases are: {known}.")
        return aliases[alias]

    def _next_number(self, name: str) -> int:
        entries = [entry.removeprefix(_REMOVED) for entry in files.entries(self.root / name)]
        return max((int(entry) for entry in entries if _VERSION.fullmatch(entry)), default=0) + 1

    def _contained(self, name: str, number: int) -> Path:
        folder = self.root / name / str(number)
        if os.path.realpath(folder) != os.path.join(os.path.realpath(self.root), name, str(number)):
            raise CorruptVersion(
                f"{name} version {number} is a link that leads elsewhere; put the folder itself in "
                "its place, or publish it again."
            )
        return folder

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """For changes of versions and aliases that are there, one at a time.

        Raises:
            ModelNotFound, StoreNotWritable
        """
        self.versions(name)
        with files.writing(self.root), locked(self.root / name):
            yield

    def _write_version(self, draft: Manifest, contents: Mapping[str, bytes]) -> Manifest:
        folder = self.root / draft.name
        with files.writing(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder)
            temporary = Path(tempfile.mkdtemp(prefix=files.TEMPORARY, dir=folder))
            try:
                temporary.chmod(0o755)
                for file, data in contents.items():
                    files.write(temporary / file, data)
                with locked(folder):
                    return self._place(temporary, draft)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise

    def _place(self, temporary: Path, draft: Manifest) -> Manifest:
        """Rename the folder to the next number. The caller holds the lock: while a version is
        being removed, a listing may show neither its number nor its grave."""
        number = self._next_number(draft.name)
        published = msgspec.structs.replace(draft, version=number)
        files.write(temporary / MANIFEST, manifest.write(published))
        files.sync(temporary)
        temporary.rename(temporary.parent / str(number))
        for folder in (temporary.parent, self.root):
            files.settle(folder, f"{draft.name} version {number} is published")
        return published


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def require_name(name: str) -> None:
    """Raises InvalidName where it is none for a model."""
    if not _is_name(name):
        raise InvalidName(
            f"{name!r} is no name for a model: use up to 64 letters, digits, dots, hyphens and "
            "underscores, and begin with a letter or a digit."
        )


def _require_alias(alias: str) -> None:
    if not _is_name(alias) or alias.isdigit():
        raise InvalidName(
            f"{alias!r} is no alias: use up to 64 letters, digits, dots, hyphens and underscores, "
            "and not digits only."
        )


def _proven(path: Path, found: Manifest) -> bytes:
    """The bytes of a file of the version, once they are what its manifest says."""
    expected = _listed(path, found)
    data = files.read(path, expected.size)
    _require(data, expected, path, found)
    return data


def _mapped(path: Path, found: Manifest) -> memoryview:
    """The same as they lie on the disk."""
    expected = _listed(path, found)
    data = files.mapped(path)
    _require(data, expected, path, found)
    return data


def _listed(path: Path, found: Manifest) -> File:
    expected = found.files.get(path.name)
    if expected is None:
        raise CorruptVersion(f"The manifest does not list {_where(path, found)}.")
    return expected


def _named(found: Manifest) -> str:
    return f"{found.name} version {found.version}"


def _where(path: Path, found: Manifest) -> str:
    return f"{path.name} of {_named(found)}"


def _require(data: bytes | memoryview, expected: File, path: Path, found: Manifest) -> None:
    where = _where(path, found)
    if len(data) != expected.size:
        size = path.stat().st_size
        raise CorruptVersion(
            f"{where} has {size} bytes and should have {expected.size}; publish it again."
        )
    if hashlib.sha256(data).hexdigest() != expected.sha256:
        raise CorruptVersion(f"{where} is not what was published (sha256); publish it again.")


def _strangers(folder: Path, found: Manifest) -> list[str]:
    """A sentence about files that the manifest does not list, where there are some."""
    strange = set(files.entries(folder)) - {MANIFEST, *found.files}
    # Of a manifest that is being written, or was when its writer was killed.
    names = sorted(name for name in strange if not name.startswith(files.TEMPORARY))
    if not names:
        return []
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    shown = ", ".join(map(repr, names[:NAMES_SHOWN]))
    return [
        f"The folder of {found.name} version {found.version} holds {shown}{more}, which its "
        "manifest does not list; nothing reads it."
    ]


def _has_graph(found: Manifest) -> bool:
    return found.served is not None and found.served.by == "onnx"


def _without_form(found: Manifest) -> str:
    return (
        f"{found.name} version {found.version} is served by its pickle alone, and none is read "
        f"here (QUART_APP_PICKLES=never): {served_here(found.served).reason}."
    )


def _unpickled(verified: Verified) -> Any:
    """The pipeline in the artifact.

    Raises:
        LoadFailed, Unsound, Untrusted
    """
    from .pickles import load
    from .soundness.check import require_sound

    assert verified.trust is not None
    version = f"{verified.manifest.name} version {verified.manifest.version}"
    try:
        pipeline = load(verified.artifact, verified.trust, inflate=False)
        require_sound(pipeline, verified.trust)
    except (Untrusted, LoadFailed):
        raise
    except UnreadableFile as error:
        raise LoadFailed(f"{version} does not load: {error}", error.words) from error
    except Exception as error:
        raise LoadFailed(
            f"{version} does not load; the module of each of its classes must be importable here.",
            words_of(error),
        ) from error
    return pipeline


def _converted(verified: Verified, pipeline: Any) -> Converted | None:
    """What its steps were converted to, if that answers here.

    Raises:
        LoadFailed: onnxruntime does not take the graph.
    """
    found = verified.manifest
    if verified.graph is None or served_here(found.served).by != "onnx":
        return None
    try:
        return build_converted(pipeline, verified.graph)
    except Exception as error:
        raise LoadFailed(
            f"onnxruntime does not load {GRAPH} of {found.name} version {found.version}; publish "
            "it again.",
            words_of(error),
        ) from error


def _proven_code(folder: Path, found: Manifest) -> Code | None:
    if found.code is None:
        return None
    if not _CODE.fullmatch(found.code):
        raise CorruptVersion(f"{found.code!r} is no name for the code of a version.")
    return Code(found.code.removesuffix(".py"), _proven(folder / found.code, found))


def _remove_abandoned(folder: Path) -> None:
    """Clear away what killed writers left: their folders are never visible, only large."""
    for entry in files.entries(folder):
        path = folder / entry
        if entry.startswith(_REMOVED):
            files.empty(path)
        elif entry.startswith(files.TEMPORARY):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                    files.discard(path)
