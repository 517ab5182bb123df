"""Files of a store, read with suspicion and written so that a crash leaves all or nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from .errors import CorruptVersion, ModelStoreError, NotDurable, StoreNotWritable, words_of

SHARED: Final = 1 << 20
"""Bytes from which a file is mapped, so that processes share its memory."""

TEMPORARY: Final = ".publishing-"
"""How the names of files and folders begin that are not in their place yet."""


def entries(folder: Path) -> list[str]:
    """The names in a folder; none where it does not exist.

    Raises:
        CorruptVersion: it is there and cannot be read.
    """
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CorruptVersion(
            f"The folder {folder.name} cannot be read.", words_of(error)
        ) from error


def read(path: Path, limit: int) -> bytes:
    """A regular file's bytes; a link is not followed, and no more than limit + 1 are read."""
    with _regular(path) as (file, size):
        return file.read(min(limit, size) + 1)


def read_end(path: Path, limit: int) -> bytes:
    """The last lines of a regular file, whole ones, within so many bytes."""
    with _regular(path) as (file, size):
        if size <= limit:
            return file.read(limit)
        file.seek(size - limit)
        return file.read(limit).partition(b"\n")[2]


def mapped(path: Path) -> memoryview:
    """A regular file's bytes; those of a large one as they lie on the disk, which are read when
    they are looked at. A link is not followed."""
    with _regular(path) as (file, size):
        # Who looks at bytes that were cut off since is killed, so what costs little is read.
        if size < SHARED:
            return memoryview(file.read(size))
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))


@contextlib.contextmanager
def _regular(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """A regular file and its size.

    Raises:
        CorruptVersion: it is none, or cannot be read.
    """
    where = "/".join(path.parts[-3 if path.parent.name.isdigit() else -2 :])
    try:
        with open(path, "rb", opener=_open_itself) as file:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode):
                yield file, found.st_size
                return
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise CorruptVersion(
                f"{where} cannot be read; publish it again.", words_of(error)
            ) from error
    raise CorruptVersion(f"{where} is not a regular file; publish it again.")


def _open_itself(path: str, flags: int) -> int:
    """Open without following a link, and without waiting for the writer of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


@contextlib.contextmanager
def temporary_folder(folder: Path, prefix: str = TEMPORARY) -> Iterator[Path]:
    """A new folder in this one, which is held meanwhile, and is gone afterwards if it was not given
    another name."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    holder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(holder, fcntl.LOCK_EX)
        path.chmod(0o755)
        yield path
    finally:
        discard(path)
        os.close(holder)


def discard_abandoned(folder: Path, names: Iterable[str], age: float) -> None:
    """Remove the temporary folders of these names that are as old, in seconds, and whose program
    was killed."""
    for name in names:
        path = folder / name
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > age and not is_held(path):
                discard(path)


def is_held(path: Path) -> bool:
    """Whether the program that made a temporary folder is at work in it, whatever the clock says:
    the kernel lets go what a killed one held."""
    try:
        holder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(holder)
    return False


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Say what stands in the way of writing to the store.

    Raises:
        StoreNotWritable: in place of an OSError of the body.
    """
    try:
        yield
    except ModelStoreError:
        raise
    except OSError as error:
        raise StoreNotWritable(
            f"The store {root} cannot be written: {error.strerror or error}."
        ) from error


def write(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        _write_through(file, data)


def replace(path: Path, data: bytes) -> None:
    """Put a file in place of another at once: a reader sees the old one or the new one."""
    handle, temporary = tempfile.mkstemp(prefix=f"{TEMPORARY}{path.stem}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)
            _write_through(file, data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    settle(path.parent, f"{path} is written")


def append(path: Path, line: bytes) -> None:
    """Add a line to a file and wait until it is on the disk. One that a killed writer tore before
    stays a line of its own."""
    with path.open("a+b") as file:
        torn = False
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
        _write_through(file, (b"\n" if torn else b"") + line + b"\n")


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def settle(folder: Path, done: str) -> None:
    """Wait until what was just done in a folder, as `done` says, is on the disk.

    Raises:
        NotDurable: it is done, and perhaps will not be any more after a loss of power.
    """
    try:
        sync(folder)
    except OSError as error:
        raise NotDurable(
            f"{done}, but perhaps not safe from a loss of power yet: {folder} cannot be synced: "
            f"{error.strerror or error}."
        ) from error


def empty(folder: Path) -> None:
    """Clear a folder as far as it can be; behind a link are the files of somebody else."""
    if not folder.is_symlink():
        for entry in entries(folder):
            discard(folder / entry)


def discard(path: Path) -> None:
    """Remove a file or a folder if that is possible, but never what lies behind a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def clear(folder: str) -> None:
    """Remove a folder of somebody who may have made it hard to remove: folders in it may be nested
    deeper than a recursion or a path can go, and closed. What cannot be removed stays."""
    with contextlib.suppress(OSError):
        while nested := _without_files(folder):
            for path in nested:
                for inner in _without_files(path):
                    os.chmod(inner, 0o700)
                    os.rename(inner, tempfile.mkdtemp(dir=folder))
                os.rmdir(path)
        os.rmdir(folder)


def _without_files(folder: str) -> list[str]:
    """The folders in a folder, once all else in it is removed."""
    os.chmod(folder, 0o700)
    nested = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                nested.append(entry.path)
            else:
                os.unlink(entry.path)
    return nested


def _write_through(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
