"""A folder of published pipelines: write once, resolve, verify, load.

    <store>/<name>/<version>/manifest.json, pipeline.joblib, sample.json [, reference.json]
                             [, model.json, model.bin [, reasons.json] | pipeline.onnx]
                             [, model.sig]
    <store>/<name>/head.json, history.jsonl
    <store>/.index.json

A version's folder is written once. All that changes of a model is in its head: see
`model_store.head`.

A version appears by one rename of a complete and synced folder, so a reader never sees a part of
one. Writers take their numbers one after another under the model's lock, which the kernel frees
when its holder is killed. Numbers are never used twice; a removed version leaves an empty
`.removed-N`.

Nothing is unpickled before `verify`, and `load` takes nothing but what `verify` returned: the very
bytes that were hashed. Where there is a plain form, a server reads that and leaves the artifact
alone; its data are mapped, so that processes share them. The digests guard against accidents and
against swapped files; whoever can write the whole store can write a matching manifest too, so the
folder's permissions are the lock. With a public key (`model_store.signing`) nothing of a version is
read before its signature was found to be right.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from . import files, manifest
from .backend import served_here
from .carriers import require_python
from .converted import Converted, build_converted
from .errors import (
    CorruptVersion,
    InvalidChallenger,
    InvalidName,
    InvalidPipeline,
    LoadFailed,
    ModelNotFound,
    NotDurable,
    UnreadableFile,
    Unsigned,
    Untrusted,
    VersionInUse,
    VersionNotFound,
    words_of,
)
from .head import (
    CHAMPION,
    Challenger,
    Change,
    Edit,
    Gates,
    Head,
    Kind,
    Stamp,
    What,
    now,
    shell_user,
)
from .head_files import HeadFiles, Index
from .manifest import (
    ARTIFACT,
    GRAPH,
    MANIFEST,
    REASONS,
    REFERENCE,
    SAMPLE,
    File,
    Manifest,
    Sample,
)
from .metadata import Metadata
from .model import Model
from .plain import FORM_DATA, FORM_HEADER, Malformed, read
from .record_settings import Keeping, RecordSettings
from .signing import LIMIT, SIGNATURE
from .user_module import Code

if TYPE_CHECKING:
    from .draft import Draft
    from .drift import HeldOut, Reference
    from .head_files import Heads
    from .signing import PublicKey, Signed
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


class Verified(msgspec.Struct, frozen=True):
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

    Every method blocks on the disk. Any number of processes may read and write one store. Whoever
    changes something may say `who` does it, else it is the user who runs this program, and `why`;
    the history keeps both.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = DEFAULT_ROOT,
        *,
        public_key: PublicKey | None = None,
    ) -> None:
        """With a `public_key` versions alone are read that were signed with its private key."""
        self.root = Path(root)
        self._public_key = public_key
        self._heads: Heads = HeadFiles(self.root)

    def __repr__(self) -> str:
        return f"ModelStore({str(self.root)!r})"

    @property
    def place(self) -> str:
        """Where the models are, for a person, and as the setting has it."""
        return str(self.root)

    @property
    def is_reachable(self) -> bool:
        """Whether what holds the store answered when it was last asked."""
        return True

    @property
    def failures(self) -> int:
        """How often it did not, since the program started."""
        return 0

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
        return dict(self.head(name).aliases)

    def head(self, name: str) -> Head:
        """All that changes of a model, as it is now.

        Raises:
            ModelNotFound, CorruptVersion
        """
        self.versions(name)
        return self._heads.read(name)

    def stamp(self, name: str) -> Stamp | None:
        """Which head a model has, by one small read; None where it is damaged."""
        return self._heads.stamp(name)

    def index(self) -> Index | None:
        """The names of all models, by one small read; None where the store has no index yet."""
        return self._heads.index()

    def history(self, name: str) -> list[Change]:
        """What was done to a model, oldest first.

        Raises:
            ModelNotFound, CorruptVersion
        """
        self.versions(name)
        return self._heads.history(name)

    def resolve(self, name: str, version: int | str | None = None) -> int:
        """The number of a version given as a number, as digits or as an alias.

        Without a version it is the one that serves: `champion` if that is set, else the highest.

        Raises:
            ModelNotFound, VersionNotFound
        """
        return self._resolved(name, version)[0]

    def manifest(self, name: str, version: int | str | None = None) -> Manifest:
        """The manifest of a version, with what was said of it since it was published.

        Raises:
            ModelNotFound, VersionNotFound, CorruptVersion
        """
        number, head = self._resolved(name, version)
        return head.put(self._published(name, number))

    def overall(self, name: str, version: int | str | None = None) -> bytes | None:
        """What `reasons.json` of a version says of which columns matter, once its digest is that of
        the manifest; None where there is none.

        Raises:
            ModelNotFound, VersionNotFound, CorruptVersion
        """
        return self._beside(name, version, REASONS)

    def reference(self, name: str, version: int | str | None = None) -> Reference | None:
        """What the training data of a version was like, once the digest of its file is that of the
        manifest; None where there is none.

        Raises:
            ModelNotFound, VersionNotFound, CorruptVersion
        """
        number = self.resolve(name, version)
        data = self._beside(name, number, REFERENCE)
        if data is None:
            return None
        # Imported where drift is looked for.
        from .drift import read_reference

        try:
            return read_reference(data)
        except msgspec.DecodeError as error:
            raise CorruptVersion(
                f"{REFERENCE} of {name} version {number} cannot be read; publish it again.",
                words_of(error),
            ) from error

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
            Unsigned: a signature is required, and it does not hold for all that is there.
            IncompatibleVersion: it is the artifact, trained with another scikit-learn minor, and
                `allow_version` is not set; or no scikit-learn is installed.
            LoadFailed: it would be the artifact, and `pickles` is never.
        """
        found = self.manifest(name, version)
        folder = self._contained(found.name, found.version)
        if self._public_key is not None:
            for file in found.files:  # what is not read here as well, as whoever signed it would
                _mapped(folder / file, found)
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
        background: bool = True,
        held_out: HeldOut | None = None,
        progress: Progress = lambda step: None,
        who: str | None = None,
        why: str | None = None,
        **about: Any,
    ) -> Manifest:
        """Put a fitted pipeline into the store as the next version of `name`.

        `X` of shape (rows, columns), or a list of texts, and `y` of shape (rows,) or (rows,
        targets) are the training data: the signature, the ranges and the golden rows are read off
        them, and the reference that drift is measured against; of the rows up to 100 are kept as
        the `background` that answers are explained against, or none if that is false. Without `X`
        the pipeline's own parts must tell. `types` says by name what columns are, such as `text`
        for texts that repeat, and `missing` which missing value they had: `nan`, `none` or `na`.
        `code` is the file of the module that defines classes of the pipeline which no installed
        package has.
        `allow_varying` takes a pipeline whose answer to a row depends on the rows beside it, or
        changes from call to call: then each row is asked alone. `progress` is told each step as it
        begins, in words: `print` shows them.
        `held_out` is what the pipeline said of rows that it was not fitted on (`HeldOut.of`): later
        answers are measured against these, and of a classifier the accuracy can be estimated where
        no truth is known.
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
        from .draft import Draft
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
        if not background:
            inspection = replace(inspection, drawn=None)
        told = Metadata(**about)
        draft = Draft.of(
            name,
            pipeline,
            inspection,
            told,
            code=module,
            held_out=held_out,
            progress=progress,
        )
        return self.add(draft, progress, who=who, why=why)

    def add(
        self,
        draft: Draft,
        progress: Progress = lambda step: None,
        *,
        who: str | None = None,
        why: str | None = None,
    ) -> Manifest:
        """Put a version into the store as the next one of the model that its manifest names. Its
        plain form is put to the proof first.

        Raises:
            InvalidName, StoreNotWritable, NotDurable
        """
        require_name(draft.manifest.name)
        proven = draft.proven(progress)
        progress(f"writing {sum(map(len, proven.contents.values())) / 1e6:.1f} MB")
        return self._write_version(proven.manifest, proven.contents, who, why)

    def sign(
        self,
        name: str,
        version: int | str | None,
        private_key: bytes,
        password: str | None = None,
    ) -> int:
        """Put a signature of all its files beside a version, in the place of any other, and return
        the version's number. `private_key` is a PEM.

        Raises:
            ModelNotFound, VersionNotFound, StoreNotWritable, MissingExtra
            CorruptVersion: a file is not what was published, or one is there that was not.
            PasswordNeeded: the key is encrypted, and there is no password.
            ValueError: it is no key that is taken.
        """
        from .signing import sign

        with self._locked(name):
            number = self.resolve(name, version)
            folder = self._contained(name, number)
            data, found = self._read_manifest(name, number)
            digests = {file: listed.sha256 for file, listed in found.files.items()}
            for file in digests:
                _mapped(folder / file, found)
            if strangers := _strangers(folder, found):
                raise CorruptVersion(f"{strangers[0]} Remove it before the version is signed.")
            digests[MANIFEST] = File.of(data).sha256
            signature = sign(digests, str(number), private_key, password)
            self._write_signature(name, number, signature)
        return number

    def edit(
        self,
        name: str,
        version: int | str | None,
        about: Metadata,
        *,
        who: str | None = None,
        why: str | None = None,
    ) -> Manifest:
        """Say something else of a version: a new revision of its manifest, which stands in the
        head; the version's own files stay. A process that has the version loaded goes on with the
        revision that it loaded, until it follows the head.

        Raises:
            ModelNotFound, VersionNotFound, CorruptVersion, StoreNotWritable
            InvalidPipeline: a text for what is not there.
        """
        with self._locked(name):
            number, head = self._resolved(name, version)
            published = self._published(name, number)
            before = head.edits.get(number)
            if before is not None:
                about = before.about.followed_by(about)
            revision = head.put(published).revision + 1
            edited = msgspec.structs.replace(about.put(published), revision=revision)
            edits = {**head.edits, number: Edit(revision=revision, about=about)}
            self._swap(name, head, _change("edit", who, why, version=number), edits=edits)
        return edited

    def record(
        self,
        name: str,
        *,
        share: float | None = None,
        columns: Mapping[str, Keeping] | None = None,
        who: str | None = None,
        why: str | None = None,
    ) -> RecordSettings:
        """Say which share of a model's predictions is recorded, and what is kept of some columns;
        the settings as they are now. Servers that follow the store obey.

        Raises:
            ModelNotFound, CorruptVersion, StoreNotWritable
            InvalidPipeline: no version that is served has such a column.
        """
        with self._locked(name):
            number, head = self._resolved(name, None)
            known = self._published(name, number).signature.names
            for column in columns or ():
                if column not in known and column not in head.records.columns:
                    raise InvalidPipeline(
                        f"{name} has no column {column!r}; expected one of {', '.join(known)}."
                    )
            records = head.records.followed_by(share, columns)
            self._swap(name, head, _change("edit", who, why), records=records)
        return records

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
        if SIGNATURE in files.entries(source):
            contents[SIGNATURE] = files.read(source / SIGNATURE, LIMIT)
        head = self._heads.read(found.name)
        naming = {
            alias: number for alias, number in head.aliases.items() if number == found.version
        }
        edits = {number: edit for number, edit in head.edits.items() if number == found.version}
        folder = Path(root, found.name, str(found.version))
        with files.writing(Path(root)):
            folder.mkdir(parents=True)
            for name, data in contents.items():
                files.write(folder / name, data)
            if naming or edits or head.records != RecordSettings():
                there = Head(aliases=naming, edits=edits, records=head.records)
                HeadFiles(Path(root)).begin(found.name, there)

    def promote(
        self,
        name: str,
        version: int | str,
        alias: str = CHAMPION,
        *,
        who: str | None = None,
        why: str | None = None,
    ) -> int:
        """Let an alias name a version, and return the version's number. A challenger that becomes
        the champion is none any more.

        Raises:
            InvalidName: an alias of digits only.
            ModelNotFound, VersionNotFound, StoreNotWritable
        """
        _require_alias(alias)
        with self._locked(name):
            return self._promote(name, version, alias, who, why)

    def rollback(self, name: str, *, who: str | None = None, why: str | None = None) -> int:
        """Let `champion` name the version that served before, and return its number.

        That is the one before the last promotion, else the next lower number.

        Raises:
            ModelNotFound, StoreNotWritable
            VersionNotFound: there is nothing to go back to.
        """
        with self._locked(name):
            versions = self.versions(name)
            head = self._heads.read(name)
            serving = self._serving(name, head)
            former = [number for number in head.former if number in versions]
            while former and former[-1] == serving:
                former.pop()
            lower = [number for number in versions if number < serving]
            if not former and not lower:
                raise VersionNotFound(f"{name} has no version to go back to from {serving}.")
            number = former.pop() if former else lower[-1]
            self._swap(
                name,
                head,
                _change("rollback", who, why, version=number, before=serving),
                aliases={**head.aliases, CHAMPION: number},
                former=tuple(former),
                challenger=_challenger_beside(head, number),
            )
        return number

    def challenge(
        self,
        name: str,
        version: int | str,
        kind: Kind,
        *,
        share: float,
        gates: Gates | None = None,
        who: str | None = None,
        why: str | None = None,
    ) -> Challenger:
        """Try a version beside the champion, in place of another that was tried: a `canary` answers
        a share of the requests, a `shadow` is given copies of that share.

        Raises:
            InvalidChallenger: it serves already, or the share is none.
            ModelNotFound, VersionNotFound, StoreNotWritable
        """
        if not 0 < share <= 1:
            raise InvalidChallenger(f"A share is above 0 and at most 1, got {share:g}.")
        with self._locked(name):
            number, head = self._resolved(name, version)
            if number == self._serving(name, head):
                raise InvalidChallenger(
                    f"{name} version {number} serves already; name another version to be tried."
                )
            found = Challenger(
                kind=kind, version=number, share=share, gates=gates or Gates(), since=now()
            )
            change = _change(kind, who, why, version=number, share=share)
            self._swap(name, head, change, challenger=found)
        return found

    def stop(
        self,
        name: str,
        *,
        challenger: str | None = None,
        gate: bool = False,
        who: str | None = None,
        why: str | None = None,
    ) -> Challenger:
        """Try no version beside the champion any more, and return what was tried. With the id of a
        `challenger` only that one is stopped. `gate` says that it was its gate that stopped it.

        Raises:
            InvalidChallenger: there is none.
            ModelNotFound, StoreNotWritable
        """
        with self._locked(name):
            head = self._heads.read(name)
            found = head.challenger
            if found is None or challenger not in (None, found.id):
                raise InvalidChallenger(f"No version of {name} is tried.")
            change = _change("gate" if gate else "stop", who, why, version=found.version)
            self._swap(name, head, change, challenger=None)
        return found

    def promote_challenger(
        self, name: str, challenger: str, *, who: str | None = None, why: str | None = None
    ) -> int:
        """Let the version be the champion that is tried with this id, and return its number.

        Raises:
            InvalidChallenger: it is not tried any more.
            ModelNotFound, VersionNotFound, StoreNotWritable
        """
        with self._locked(name):
            head = self._heads.read(name)
            found = head.challenger
            if found is None or found.id != challenger:
                raise InvalidChallenger(f"No such version of {name} is tried.")
            return self._promote(name, found.version, CHAMPION, who, why)

    def note(self, name: str, change: Change) -> None:
        """Add to the history what changes nothing, as a load that failed; once, where several
        servers meet the same.

        Raises:
            ModelNotFound, CorruptVersion, StoreNotWritable
        """
        with self._locked(name):
            same = ("what", "version", "why", "generation")
            stamped = msgspec.structs.replace(change, generation=self._heads.read(name).generation)
            for other in self._heads.history(name)[-20:]:
                if all(getattr(other, what) == getattr(stamped, what) for what in same):
                    return
            self._heads.append(name, stamped)

    def remove(
        self, name: str, version: int | str, *, who: str | None = None, why: str | None = None
    ) -> int:
        """Remove a version, and return its number. It is gone at once, and its number with it.

        Raises:
            ModelNotFound, VersionNotFound, StoreNotWritable
            VersionInUse: an alias names it, or it is tried beside the champion.
        """
        with self._locked(name):
            number, head = self._resolved(name, version)
            require_unused(head, name, number)
            grave = self.root / name / f"{_REMOVED}{number}"
            (self.root / name / str(number)).rename(grave)
            done = f"{name} version {number} is removed"
            with _told(done), contextlib.suppress(NotDurable):
                edits = {other: edit for other, edit in head.edits.items() if other != number}
                change = _change("remove", who, why, version=number)
                self._swap(name, head, change, edits=edits)
                if not self._numbers(name):
                    self._heads.enlist(name, self.models)
            files.settle(grave.parent, done)
            files.empty(grave)
        return number

    # Inside ------------------------------------------------------------------

    def _beside(self, name: str, version: int | str | None, file: str) -> bytes | None:
        """A file that no server needs to answer, proven; None where the version has none."""
        found = self.manifest(name, version)
        if file not in found.files:
            return None
        return _proven(self._contained(name, found.version) / file, found)

    def _is_model(self, name: str) -> bool:
        try:
            return bool(self._numbers(name))
        except CorruptVersion:
            return True

    def _numbers(self, name: str) -> list[int]:
        if not _is_name(name):
            return []
        return sorted(int(e) for e in files.entries(self.root / name) if _VERSION.fullmatch(e))

    def _resolved(self, name: str, version: int | str | None) -> tuple[int, Head]:
        """As `resolve`, with the head that said so."""
        versions = self.versions(name)
        head = self._heads.read(name)
        if version is None:
            number = head.aliases.get(CHAMPION, versions[-1])
        elif isinstance(version, int) or _VERSION.fullmatch(version):
            number = int(version)
        else:
            number = _named_by(head, name, version)
        if number not in versions:
            known = ", ".join(map(str, versions))
            raise VersionNotFound(f"{name} has no version {number}; there is {known}.")
        return number, head

    def _published(self, name: str, number: int) -> Manifest:
        """The manifest as it was published; where a signature is required, read once that is right.

        Raises:
            CorruptVersion, Unsigned
        """
        if self._public_key is None:
            return self._read_manifest(name, number)[1]
        folder, where = self._contained(name, number), f"{name} version {number}"
        there = files.entries(folder)
        if SIGNATURE not in there:
            raise Unsigned(
                f"{where} is not signed, and a signature is required here "
                "(QUART_APP_REQUIRE_SIGNATURE)."
            )
        signed = self._public_key.signed(files.read(folder / SIGNATURE, LIMIT), where)
        data, found = self._read_manifest(name, number, signed)
        digests = {file: listed.sha256 for file, listed in found.files.items()}
        digests[MANIFEST] = File.of(data).sha256
        names = (file for file in there if not file.startswith(files.TEMPORARY))
        signed.require_files(digests, names, where)
        return found

    def _read_manifest(
        self, name: str, number: int, signed: Signed | None = None
    ) -> tuple[bytes, Manifest]:
        """The manifest and its bytes, which have to be those that were signed."""
        folder = self._contained(name, number)
        data = files.read(folder / MANIFEST, MANIFEST_LIMIT)
        if len(data) > MANIFEST_LIMIT:
            raise CorruptVersion(
                f"The manifest of {name} version {number} is larger than {MANIFEST_LIMIT} bytes; "
                "publish it again."
            )
        if signed is not None:
            signed.require(data, MANIFEST, f"{name} version {number}")
        found = manifest.read(data)
        if (self._name_in(found), found.version) != (name, number):
            raise CorruptVersion(
                f"The folder of {name} version {number} holds the manifest of {found.name} "
                f"version {found.version}; a version cannot be copied, publish it again."
            )
        return data, found

    def _name_in(self, found: Manifest) -> str:
        """The name under which the version of a manifest is in this store."""
        return found.name

    def _serving(self, name: str, head: Head) -> int:
        """The version that serves, which may be gone where a folder was removed by hand."""
        return head.aliases.get(CHAMPION) or self.versions(name)[-1]

    def _promote(
        self, name: str, version: int | str, alias: str, who: str | None, why: str | None
    ) -> int:
        number, head = self._resolved(name, version)
        before = self._serving(name, head) if alias == CHAMPION else head.aliases.get(alias)
        changed: dict[str, Any] = {"aliases": {**head.aliases, alias: number}}
        if alias == CHAMPION:
            changed["challenger"] = _challenger_beside(head, number)
            if before is not None and before != number:
                changed["former"] = (*head.former, before)
        told = None if alias == CHAMPION else alias
        change = _change("promote", who, why, version=number, before=before, alias=told)
        self._swap(name, head, change, **changed)
        return number

    def _swap(self, name: str, before: Head, change: Change, **changed: Any) -> None:
        """Put a head in place that differs in what is `changed`. The caller holds the lock."""
        after = msgspec.structs.replace(
            before,
            versions=tuple(self._numbers(name)),
            last=max(before.last, self._next_number(name) - 1),
            **changed,
        )
        self._heads.swap(name, before, after, change)

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

    def _write_signature(self, name: str, number: int, signature: bytes) -> None:
        files.replace(self._contained(name, number) / SIGNATURE, signature)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """For changes of versions and aliases that are there, one at a time.

        Raises:
            ModelNotFound, StoreNotWritable
        """
        self.versions(name)
        with files.writing(self.root), self._heads.locked(name):
            yield

    def _write_version(
        self, draft: Manifest, contents: Mapping[str, bytes], who: str | None, why: str | None
    ) -> Manifest:
        folder = self.root / draft.name
        with files.writing(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            remove_abandoned(folder)
            with files.temporary_folder(folder) as temporary:
                for file, data in contents.items():
                    files.write(temporary / file, data)
                with self._heads.locked(draft.name):
                    return self._place(temporary, draft, who, why)

    def _place(
        self, temporary: Path, draft: Manifest, who: str | None, why: str | None
    ) -> Manifest:
        """Rename the folder to the next number. The caller holds the lock: while a version is
        being removed, a listing may show neither its number nor its grave."""
        name, head = draft.name, self._heads.read(draft.name)
        number = self._next_number(name)
        published = msgspec.structs.replace(draft, version=number)
        files.write(temporary / MANIFEST, manifest.write(published))
        files.sync(temporary)
        temporary.rename(temporary.parent / str(number))
        done = f"{name} version {number} is published"
        with _told(done), contextlib.suppress(NotDurable):
            self._swap(name, head, _change("publish", who, why, version=number))
            self._heads.enlist(name, self.models)
        for folder in (temporary.parent, self.root):
            files.settle(folder, done)
        return published


def _change(what: What, who: str | None, why: str | None, **told: Any) -> Change:
    return Change(what=what, who=who or shell_user(), why=why, **told)


def _named_by(head: Head, name: str, alias: str) -> int:
    if alias not in head.aliases:
        known = ", ".join(sorted(head.aliases)) or "none"
        raise VersionNotFound(f"{name} has no alias {alias!r}; the aliases are: {known}.")
    return head.aliases[alias]


def require_unused(head: Head, name: str, number: int) -> None:
    """Raises VersionInUse where a version serves, or is named or tried."""
    naming = sorted(alias for alias, target in head.aliases.items() if target == number)
    if naming:
        raise VersionInUse(
            f"{name} version {number} is named by {', '.join(naming)}; promote another version "
            "first."
        )
    if head.challenger is not None and head.challenger.version == number:
        raise VersionInUse(
            f"{name} version {number} is tried as a {head.challenger.kind}; stop that first."
        )


def _challenger_beside(head: Head, champion: int) -> Challenger | None:
    """What is tried beside this champion: not the champion itself."""
    found = head.challenger
    return None if found is not None and found.version == champion else found


@contextlib.contextmanager
def _told(done: str) -> Iterator[None]:
    """Say of what was done that running servers may not know of it.

    Raises:
        NotDurable: in place of an OSError of the body.
    """
    try:
        yield
    except OSError as error:
        raise NotDurable(
            f"{done}, but its head cannot be written: {error.strerror or error}; servers that run "
            "see it at their next start."
        ) from error


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
    strange = set(files.entries(folder)) - {MANIFEST, SIGNATURE, *found.files}
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


def remove_abandoned(folder: Path) -> None:
    """Clear away what killed writers left: their folders are never visible, only large."""
    entries = files.entries(folder)
    for entry in entries:
        if entry.startswith(_REMOVED):
            files.empty(folder / entry)
    temporary = (entry for entry in entries if entry.startswith(files.TEMPORARY))
    files.discard_abandoned(folder, temporary, ABANDONED_AFTER)
