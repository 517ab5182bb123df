"""A process of its own in which files from outside are first read and first asked.

A file may be corrupt or hostile: it may want all memory, never end, crash the interpreter, or run
code. So reading, inspecting and predicting happen in a child with a limit of time and of memory, in
a cage (`cage.py`) that is closed before the child reads anything. It answers over a pipe with
structures and bytes, and nothing that it sends is unpickled.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Final

import msgspec

from . import cage, errors, files
from .draft import Draft
from .errors import Fault, InvalidRows, ModelStoreError, TrialFailed, UnreadableFile, words_of
from .importer import ImportReport, ImportRequest, import_files
from .libraries import require_scikit_learn
from .manifest import Manifest
from .memory import MEGABYTE, is_out_of_memory, memory_here
from .proof import Claim

SECONDS: Final = 120.0
SECONDS_EACH: Final = 2.0
"""For each megabyte of the files."""
PREFIX: Final = "quart-app-trial-"
HELD: Final = " (While it is tried it can write no files, start no programs and use no network.)"
MEGABYTES: Final = 2048
TIMES: Final = 32
"""What a file is read to may take so many times its size, with the copies that are made of it."""
TIMES_COMPRESSED: Final = 160
SHARE: Final = 0.9
"""Of the memory of the machine."""
LEAST: Final = 1024

_PICKLE: Final = b"\x80"
"""The first byte of one that is not compressed."""

Progress = Callable[[str], None]


class Limits(msgspec.Struct, frozen=True):
    """How long a trial may take, and the memory it may use beside what the libraries take."""

    seconds: float = SECONDS
    megabytes: int = MEGABYTES

    @classmethod
    def fitting(
        cls, order: ImportRequest, seconds: float | None = None, megabytes: int | None = None
    ) -> Limits:
        """Those that are given; without, such as are enough for files of their size, as far as the
        machine has the memory."""
        sizes = [_size_of(Path(file)) for file in order.files]
        sample = 0 if order.sample is None else _size_of(Path(order.sample))[0]
        read = sum(size for size, _ in sizes) + sample
        wanted = sum(size * times for size, times in sizes) + sample * TIMES
        here = memory_here()
        if here is not None:
            wanted = min(wanted, int(here * SHARE))
            least = min(MEGABYTES, max(int(here * SHARE) // MEGABYTE, LEAST))
        else:
            least = MEGABYTES
        return cls(
            seconds=seconds or round(SECONDS + SECONDS_EACH * read / MEGABYTE),
            megabytes=megabytes or max(least, wanted // MEGABYTE),
        )


def _size_of(path: Path) -> tuple[int, int]:
    """The bytes of a file or a folder, and how many times as much may be made of them; none of what
    cannot be read, which is told when it is."""
    try:
        if path.is_dir():
            sizes = [each.stat().st_size for each in path.rglob("*") if each.is_file()]
            return sum(sizes), TIMES
        with path.open("rb") as file:
            plain = file.read(1) == _PICKLE
        return path.stat().st_size, TIMES if plain else TIMES_COMPRESSED
    except OSError:
        return 0, TIMES


class _Task(msgspec.Struct, frozen=True):
    order: ImportRequest
    limits: Limits


class _Step(msgspec.Struct, frozen=True, tag=True):
    text: str


class _Failure(msgspec.Struct, frozen=True, tag=True):
    """An error of this class, which is made of its message alone."""

    kind: str
    message: str


class _RowsFailure(msgspec.Struct, frozen=True, tag=True):
    """An `InvalidRows`."""

    faults: tuple[Fault, ...]
    rows: int
    total: int


class _Success(msgspec.Struct, frozen=True, tag=True):
    """`files` follow in messages of their own, in this order."""

    finding: ImportReport
    manifest: Manifest | None
    files: tuple[str, ...]
    claim: Claim | None = None


_Message = _Step | _Failure | _RowsFailure | _Success


def run(
    order: ImportRequest, limits: Limits, progress: Progress = lambda step: None
) -> tuple[ImportReport, Draft | None]:
    """Carry out an order in a child process; the draft is None where the order was only to look.

    The child and its temporary folder are gone when this returns or raises. What the cage lacks on
    this machine is told as a step.

    Raises:
        IncompatibleVersion: scikit-learn is not installed.
        TrialFailed: it took too long or too much memory, or it died.
        ModelStoreError: as `importer.import_files` raises.
    """
    require_scikit_learn("no pipeline is read here")
    task = msgspec.json.encode(_Task(order, limits))
    receiver, sender = Pipe(duplex=False)
    with receiver, _temporary_folder() as folder:
        with sender:
            child = _start(folder, sender.fileno(), order)
        try:
            assert child.stdin is not None
            with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
                stdin.write(task)
            return _receive(_messages(receiver, child, limits), progress)
        finally:
            child.kill()
            child.wait()


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    try:
        folder = tempfile.mkdtemp(prefix=PREFIX)
    except OSError as error:
        raise TrialFailed(f"There is no place for temporary files: {error}.") from error
    try:
        yield folder
    finally:
        files.clear(folder)


def _start(folder: str, handle: int, order: ImportRequest) -> subprocess.Popen[bytes]:
    """The child, as another user where that user can read all that the order names."""
    places = (os.curdir, os.path.dirname(folder))
    folders = (Path(path) for path in order.files if os.path.isdir(path))
    inner = (str(each) for folder in folders for each in folder.iterdir())
    needed = [*places, *order.files, *inner, *filter(None, (order.sample, order.code))]
    other = cage.other_user(needed)
    if other is not None:
        with contextlib.suppress(PermissionError):
            os.chown(folder, other.pw_uid, other.pw_gid)
            return _spawn(folder, handle, user=other.pw_uid, group=other.pw_gid, extra_groups=[])
    return _spawn(folder, handle)


def _spawn(folder: str, handle: int, **user: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        cage.command(folder, __name__, str(handle), path=sys.path),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[handle],
        # Without a terminal, which keeps what is typed and takes what is typed for others.
        start_new_session=True,
        **user,
    )


def _messages(
    receiver: Connection[bytes, bytes], child: subprocess.Popen[bytes], limits: Limits
) -> Iterator[bytes]:
    until = time.monotonic() + limits.seconds
    while True:
        if not receiver.poll(max(until - time.monotonic(), 0)):
            raise TrialFailed(
                f"Trying the pipeline took more than {limits.seconds:g} s; if that is what it "
                "needs, give it more with --time-limit."
            )
        try:
            yield receiver.recv_bytes()
        except (EOFError, OSError):
            raise TrialFailed(_death(child, limits)) from None


def _receive(messages: Iterator[bytes], progress: Progress) -> tuple[ImportReport, Draft | None]:
    for data in messages:
        message = msgspec.msgpack.decode(data, type=_Message)
        if isinstance(message, _Step):
            progress(message.text)
        elif isinstance(message, _Failure | _RowsFailure):
            raise _error(message)
        else:
            contents = {file: next(messages) for file in message.files}
            if message.manifest is None:
                return message.finding, None
            return message.finding, Draft(message.manifest, contents, message.claim)
    raise AssertionError("the messages end with an error or with a result")


def _failure(error: ModelStoreError) -> _Failure | _RowsFailure:
    """The message that tells the parent of an error."""
    if isinstance(error, InvalidRows):
        return _RowsFailure(error.faults, error.rows, error.total)
    return _Failure(type(error).__name__, error.told)


def _error(failure: _Failure | _RowsFailure) -> ModelStoreError:
    """The error that a message tells of; of a class that nobody knows here, its sentence."""
    if isinstance(failure, _RowsFailure):
        return InvalidRows(failure.faults, rows=failure.rows, total=failure.total)
    kind = getattr(errors, failure.kind, None)
    if isinstance(kind, type) and issubclass(kind, ModelStoreError) and kind is not InvalidRows:
        return kind(failure.message)
    return TrialFailed(failure.message)


def _death(child: subprocess.Popen[bytes], limits: Limits) -> str:
    code = child.wait()
    if code < 0:
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL:
            return (
                f"The process that tried the pipeline was killed by {name}, as the system does "
                "where its memory runs out: try it on a machine that has more, or give it less "
                "with --memory-limit, so that it is told what needs it."
            )
        return (
            f"The process that tried the pipeline was killed by {name}: the file is corrupt, or it "
            "does what no pipeline does."
        )
    return f"The process that tried the pipeline ended with exit code {code} and said nothing."


# In the child --------------------------------------------------------------------


def main(handle: int, lacking: Sequence[str]) -> None:
    """Read a task from stdin and send what came of it, and first what the cage lacks."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=_Task)
    with Connection(handle, readable=False) as connection:
        for sentence in lacking:
            _send(connection, _Step(sentence))
        try:
            _limit(task.limits)
            finding, draft = import_files(task.order, lambda step: _send(connection, _Step(step)))
        except Exception as error:
            _send(connection, _failure(_explained(error, task.limits)))
        else:
            contents = {} if draft is None else draft.contents
            _send(connection, _success(finding, draft))
            for data in contents.values():
                connection.send_bytes(data)
    # What the pipeline left behind, such as threads, does not hold up the end.
    os._exit(0)


def _success(finding: ImportReport, draft: Draft | None) -> _Success:
    if draft is None:
        return _Success(finding, None, ())
    return _Success(finding, draft.manifest, tuple(draft.contents), draft.claim)


def _explained(error: Exception, limits: Limits) -> ModelStoreError:
    """An error of the pipeline as one of ours; where the cage may be the reason, that is said."""
    if is_out_of_memory(error):
        what = f"Trying the pipeline needs more than {limits.megabytes} MB of memory"
        return TrialFailed(f"{what}; if that is right, give it more with --memory-limit.")
    if isinstance(error, InvalidRows | UnreadableFile):
        return error  # That a file cannot be read says it all by itself.
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, PermissionError):
        reason = reason.__cause__ or reason.__context__
    held = "" if reason is None else HELD
    if isinstance(error, ModelStoreError):
        return type(error)(f"{error.told}{held}")
    return TrialFailed(f"The pipeline cannot be tried: {words_of(error)}{held}")


def _send(connection: Connection[bytes, bytes], message: _Message) -> None:
    connection.send_bytes(msgspec.msgpack.encode(message))


def _limit(limits: Limits) -> None:
    """Bound the memory, counted from what the interpreter and the libraries take by themselves, and
    each temporary file."""
    import sklearn.ensemble  # noqa: F401

    most = limits.megabytes * MEGABYTE
    allowed = _size() + most
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    # Some systems have no such limit.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def _size() -> int:
    """The bytes of address space that this process has."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=list[str]))
