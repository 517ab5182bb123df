"""Where files lie, below a folder of this machine or in a bucket: the only module that knows which.

Both are filesystems of pyarrow, which go to workers with the work. On a disk a file is written
beside its place and renamed; in a bucket, where an object appears when all of it was sent, it is
written to a temporary file of this machine and sent as a whole: a stream that is closed on the way
out of an error would publish what there is of it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidRun, InvalidTable, RunStopped, words_of

TEMPORARY: Final = ".writing-"
"""How the names of files begin that are not in their place yet."""

LONGEST_SHOWN: Final = 40
"""Letters of a file's name that its name has meanwhile, since a name has 255 bytes at most."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_MAGIC: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Stat:
    """What tells that a file is the same: its size in bytes, and a mark that changes with it."""

    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a filesystem, and the address that somebody gave for it."""

    filesystem: Any
    path: str
    address: str

    @classmethod
    def of(cls, address: str | os.PathLike[str]) -> Place:
        """Where an address leads: a path, or as `s3://bucket/key`.

        Raises:
            InvalidRun: pyarrow knows no such filesystem, or does not get there.
        """
        import pyarrow
        from pyarrow import fs

        shown = os.fspath(address)
        if not shown:
            raise InvalidRun("Expected a path or an address, got an empty text.")
        if not _SCHEME.match(shown):
            return cls(fs.LocalFileSystem(), os.path.abspath(shown), shown)
        try:
            filesystem, path = fs.FileSystem.from_uri(shown)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise InvalidRun(f"{shown} cannot be opened: {words_of(error)}") from error
        return cls(filesystem, path.rstrip("/"), shown)

    @property
    def local(self) -> bool:
        """Whether it is a path of this machine."""
        return bool(self.filesystem.type_name == "local")

    def below(self, name: str) -> Place:
        """A path below this one."""
        beside = self.address in (".", "./")
        address = name if beside else f"{self.address.rstrip('/')}/{name}"
        return Place(self.filesystem, f"{self.path}/{name}", address)

    def __str__(self) -> str:
        return self.address

    # Reading ----------------------------------------------------------------------

    def kind(self) -> str:
        """`file`, `folder` or `nothing`.

        Raises:
            InvalidRun: it cannot be looked at.
        """
        from pyarrow import fs

        with self._readable():
            found = self.filesystem.get_file_info(self.path).type
        return {fs.FileType.File: "file", fs.FileType.Directory: "folder"}.get(found, "nothing")

    def files(self) -> list[str]:
        """The paths of all files below this folder, relative to it and in order; none where there
        is no such folder. Hidden ones, whose name or folder begins with `.` or `_`, are left out.

        Raises:
            InvalidRun: it cannot be looked at.
        """
        return [name for name in self.all_files() if not _is_hidden(name)]

    def all_files(self) -> list[str]:
        """As `files`, with those that are hidden."""
        from pyarrow import fs

        start = len(self.path) + 1
        if self.local:  # pyarrow passes over links to nothing, and follows others in circles
            with self._readable():
                found = sorted(path[start:] for path in _below(self.path))
            return _require_text(self, found)
        selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        with self._readable():
            infos = self.filesystem.get_file_info(selector)
        return sorted(info.path[start:] for info in infos if info.type == fs.FileType.File)

    def stat(self) -> Stat:
        """The size of this file, and its etag: in a bucket the store's own.

        Raises:
            OSError: there is no such file.
            InvalidTable: it is a device, a pipe or a folder.
        """
        if self.local:
            found = os.stat(self.path)
            if not stat.S_ISREG(found.st_mode):
                raise InvalidTable(f"{self} is no regular file.")
            return Stat(found.st_size, f"{found.st_mtime_ns:x}-{found.st_ino:x}")
        with self.filesystem.open_input_stream(self.path) as stream:
            told = stream.metadata()
        info = self.filesystem.get_file_info(self.path)
        etag = told.get(b"ETag", told.get("ETag", str(info.mtime_ns)))
        return Stat(info.size, etag.decode() if isinstance(etag, bytes) else etag)

    def open(self) -> Any:
        """The file, to be read anywhere."""
        return self.filesystem.open_input_file(self.path)

    def stream(self) -> Any:
        """The file from its beginning to its end, decompressed as the end of its name says."""
        return self.filesystem.open_input_stream(self.path, compression="detect")

    def read(self) -> bytes:
        """The bytes of a small file."""
        with self.filesystem.open_input_stream(self.path) as stream:
            data: bytes = stream.read()
        return data

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        import pyarrow

        try:
            yield
        except (OSError, pyarrow.ArrowException) as error:
            raise InvalidRun(f"{self} cannot be read: {words_of(error)}") from error

    # Writing ----------------------------------------------------------------------

    def make_folder(self) -> None:
        """Make this folder, and those above it; a bucket has none."""
        if self.local:
            Path(self.path).mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def written(self, run: str) -> Iterator[str]:
        """A path of this machine to write a file to, which is put in its place when the body has
        ended well, and removed when it has not. `run` is a word of the file's name meanwhile."""
        path = Path(self.path)
        folder = path.parent if self.local else None
        shown = path.name[:LONGEST_SHOWN]
        prefix = f"{TEMPORARY}{shown}.{run}.{os.getpid()}."
        handle, temporary = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=folder)
        try:
            os.fchmod(handle, 0o644)
            os.close(handle)
            yield temporary
            if self.local:
                os.replace(temporary, path)
            else:
                self._send(temporary)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def write(self, data: bytes, run: str) -> None:
        """Write a small file, which appears as a whole."""
        with self.written(run) as temporary:
            Path(temporary).write_bytes(data)

    def settle(self) -> None:
        """Wait until this file, or the names in this folder, are on the disk. What was written a
        while ago mostly is there already, so this is done once for all of a run.

        Raises:
            OSError: it cannot be written there.
        """
        if self.local:
            handle = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def remove(self) -> None:
        """Remove this file."""
        self.filesystem.delete_file(self.path)

    def _send(self, temporary: str) -> None:
        from pyarrow import fs

        fs.copy_files(
            temporary,
            self.path,
            source_filesystem=fs.LocalFileSystem(),
            destination_filesystem=self.filesystem,
        )


@contextlib.contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold a folder for one run at a time, until this process ends at the latest. In a bucket
    nothing is held.

    Raises:
        RunStopped: another run holds it.
    """
    if not place.local:
        yield
        return
    import fcntl

    handle = os.open(place.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunStopped(f"Another run is writing to {place}; wait for its end.") from None
        yield
    finally:
        os.close(handle)


def sweep(place: Place) -> None:
    """Remove the files that killed workers left beside their places."""
    if not place.local:
        return
    for name in place.all_files():
        if Path(name).name.startswith(TEMPORARY):
            with contextlib.suppress(FileNotFoundError):
                place.below(name).remove()


# Patterns ------------------------------------------------------------------------


def is_pattern(address: str) -> bool:
    """Whether an address has signs of a pattern: `*`, `[` or, where no query can be meant, `?`."""
    found = _MAGIC.search(address)
    return found is not None and not (found[0] == "?" and bool(_SCHEME.match(address)))


def split_pattern(address: str) -> tuple[str, str]:
    """The folder before the first sign of a pattern, and the pattern below it."""
    found = _MAGIC.search(address)
    assert found is not None
    cut = address.rfind("/", 0, found.start()) + 1
    return address[:cut] or ".", address[cut:]


def matches(pattern: str, path: str) -> bool:
    """Whether a relative path is one that a pattern means; `**` stands for any folders, also for
    none."""
    return _match(pattern.split("/"), path.split("/"))


def _match(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_match(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    if not path or not fnmatch.fnmatchcase(path[0], pattern[0]):
        return False
    return _match(pattern[1:], path[1:])


def _below(folder: str, above: tuple[tuple[int, int], ...] = ()) -> Iterator[str]:
    """The paths of all below a folder that are no folders themselves; none where there is none.

    Raises:
        InvalidRun: a link leads from a folder to one above it.
    """
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        found = os.stat(folder)
        here = (found.st_dev, found.st_ino)
        if here in above:
            raise InvalidRun(f"{folder} leads back to a folder above it.")
        for entry in entries:
            if entry.is_dir():
                yield from _below(entry.path, (*above, here))
            else:
                yield entry.path


def _require_text(folder: Place, names: list[str]) -> list[str]:
    """Raises InvalidRun where a name is no text, which nothing but its own system can open."""
    for name in names:
        if not name.isprintable() and "\\udc" in ascii(name):
            raise InvalidRun(f"{folder} has a file whose name is not UTF-8: {name!a}.")
    return names


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))
