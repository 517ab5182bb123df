"""A folder that a platform mounted, as a store of one model whose name is given.

In the folder is a version of ours, a model with its versions, a store, or what somebody else wrote,
which is imported into a store of its own first. The name of the model is that of its service, and
not the one that it was published with; its bytes, and so its digests and its signature, stay as
they are. Nothing is ever written to the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from . import files, manifest
from .errors import CorruptVersion, ModelNotFound, NothingMounted, StoreNotWritable, Unsigned
from .head import Change, Head, Stamp
from .head_files import HeadFiles, Index
from .manifest import MANIFEST, Manifest
from .store import MANIFEST_LIMIT, NAMES_SHOWN, ModelStore, require_name

if TYPE_CHECKING:
    from .signing import PublicKey, Signed

FOREIGN: Final = ("MLmodel", "config.json")
"""What says of a folder that somebody else wrote it."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


class Lying(msgspec.Struct, frozen=True):
    """Where the versions are: in the folder of a model, or the folder of one version, which has
    this `number`."""

    folder: Path
    number: int | None = None

    @property
    def numbers(self) -> list[int]:
        if self.number is not None:
            return [self.number]
        return sorted(int(name) for name in files.entries(self.folder) if _NUMBER.fullmatch(name))

    def version(self, number: int) -> Path:
        """The folder of a version."""
        return self.folder if self.number is not None else self.folder / str(number)


def find(folder: Path, name: str) -> Lying | None:
    """What lies in a mounted folder of which the model is to have this name; None where it is
    nothing of ours, and has to be imported.

    Raises:
        NothingMounted: the folder is not there, or empty.
        ModelNotFound: it is a store of several models, none of which has the name.
        CorruptVersion: it cannot be read, or its manifest cannot.
    """
    names = [entry for entry in _entries(folder) if not entry.startswith((".", "lost+found"))]
    if not names:
        raise NothingMounted("There is no model in the folder.", f"It is {folder}.")
    if MANIFEST in names:
        return Lying(folder, manifest.read(files.read(folder / MANIFEST, MANIFEST_LIMIT)).version)
    if any(each in names for each in FOREIGN):
        return None
    if _is_model(folder, names):
        return Lying(folder)
    models = sorted(each for each in names if _is_model(folder / each))
    if not models:
        return None
    if name not in models and len(models) > 1:
        shown = ", ".join(models[:NAMES_SHOWN])
        raise ModelNotFound(
            f"The folder holds the models {shown}, and none that is called {name}; mount the "
            "folder of one of them."
        )
    return Lying(folder / (name if name in models else models[0]))


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        raise NothingMounted("The folder of the model is not there.", f"It is {folder}.") from None
    except OSError as error:
        raise CorruptVersion(
            f"The folder of the model cannot be read: {error.strerror}.", f"It is {folder}."
        ) from error


def _is_model(folder: Path, names: Sequence[str] | None = None) -> bool:
    """Whether it is the folder of a model: one in it has the manifest of a version."""
    try:
        entries = files.entries(folder) if names is None else names
    except CorruptVersion:  # somebody else's, as `lost+found`
        return False
    return any(_NUMBER.fullmatch(each) and (folder / each / MANIFEST).exists() for each in entries)


class MountedStore(ModelStore):
    """The versions in a mounted folder as those of one model.

    There are none before `look` has found them, or `settle` was told where they are. `name` is that
    of the model. Every change is refused.
    """

    def __init__(
        self, root: str | os.PathLike[str], name: str, *, public_key: PublicKey | None = None
    ) -> None:
        """Raises InvalidName."""
        super().__init__(root, public_key=public_key)
        require_name(name)
        self.name: Final = name
        self._lying: Lying | None = None
        self._heads = _Heads(self)

    def __repr__(self) -> str:
        return f"MountedStore({str(self.root)!r}, {self.name!r})"

    @property
    def lying(self) -> Lying | None:
        """Where the versions are; None as long as that is not known."""
        return self._lying

    def look(self) -> bool:
        """Find out what lies in the folder; whether it is a model of ours, and so is there now.

        Raises:
            NothingMounted, ModelNotFound, CorruptVersion
            Unsigned: it is none of ours, and a signature is required.
        """
        self._lying = find(self.root, self.name)
        if self._lying is None and self._public_key is not None:
            raise Unsigned(
                "The folder holds no version of ours, so nothing in it is signed, and a signature "
                "is required here (QUART_APP_REQUIRE_SIGNATURE)."
            )
        return self._lying is not None

    def settle(self, root: Path) -> None:
        """Take the versions of the model from the store at `root`, into which the folder was
        imported."""
        self._lying = Lying(root / self.name)

    # Reading -----------------------------------------------------------------

    def folders(self) -> list[str]:
        return [self.name]

    def models(self) -> list[str]:
        return [self.name] if self._is_model(self.name) else []

    def _numbers(self, name: str) -> list[int]:
        return [] if name != self.name or self._lying is None else self._lying.numbers

    def _contained(self, name: str, number: int) -> Path:
        # Links are followed up to the version, as platforms put them there.
        assert self._lying is not None
        return self._lying.version(number)

    def _name_in(self, found: Manifest) -> str:
        return self.name

    def _read_manifest(
        self, name: str, number: int, signed: Signed | None = None
    ) -> tuple[bytes, Manifest]:
        data, found = super()._read_manifest(name, number, signed)
        return data, msgspec.structs.replace(found, name=name)

    # Writing -----------------------------------------------------------------

    def _write_version(
        self, draft: Manifest, contents: Mapping[str, bytes], who: str | None, why: str | None
    ) -> Manifest:
        _refuse()


class _Heads:
    """The head of the model, where it has one; a version that lies alone has none."""

    def __init__(self, store: MountedStore) -> None:
        self._store = store

    def _found(self) -> tuple[HeadFiles, str] | None:
        """The heads beside it, and what the model is called there."""
        lying = self._store.lying
        if lying is None or lying.number is not None:
            return None
        return HeadFiles(lying.folder.parent), lying.folder.name

    def read(self, name: str) -> Head:
        found = self._found()
        return Head() if found is None else found[0].read(found[1])

    def stamp(self, name: str) -> Stamp | None:
        if self._store.lying is None:
            return None
        found = self._found()
        return Stamp() if found is None else found[0].stamp(found[1])

    def index(self) -> Index | None:
        return None

    def history(self, name: str) -> list[Change]:
        found = self._found()
        return [] if found is None else found[0].history(found[1])

    def swap(self, name: str, before: Head, after: Head, change: Change) -> Head:
        _refuse()

    def append(self, name: str, change: Change) -> None:
        _refuse()

    def locked(self, name: str) -> AbstractContextManager[None]:
        _refuse()

    def enlist(self, name: str, models: Callable[[], Sequence[str]]) -> None:
        _refuse()


def _refuse() -> NoReturn:
    raise StoreNotWritable(
        "The folder of the model is mounted, and nothing in it is changed from here; change it "
        "where it comes from."
    )
