"""The process in which a form is put to the proof: one in which scikit-learn cannot be imported.

It reads the two files of the form as a server does, and answers the rows that the pipeline was
asked before. So what is found holds where none of the libraries is installed that trained it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Final

import msgspec

from . import files, manifest
from .errors import StoreNotWritable, words_of
from .manifest import Manifest, Sample
from .memory import MEGABYTE, is_out_of_memory
from .model import Model
from .plain import FORM_DATA, FORM_HEADER, read
from .proof import Claim, Verdict, verdict

SECONDS: Final = 120.0
SECONDS_EACH: Final = 0.5
"""For each megabyte of a form."""
IDLE: Final = 20.0
"""Seconds after which the process ends that nobody asks."""
MEGABYTES: Final = 4096
TIMES: Final = 4
"""For each byte of a form it may have so many beside that."""
PREFIX: Final = "quart-app-proof-"

Progress = Callable[[str], None]

KILLED: Final = "the process that asked it was killed"

BLOCKED: Final = frozenset(
    {"sklearn", "scipy", "joblib", "pandas", "xgboost", "lightgbm", "catboost", "onnxruntime"}
)
"""What a form must not need."""

CLAIM: Final = "claim.msgpack"


def prove(
    found: Manifest,
    sample: Sample,
    header: bytes,
    data: bytes,
    claimed: Claim,
    progress: Progress = lambda step: None,
) -> Verdict:
    """What a process of its own finds of a form in two files. `progress` is told how far it is.

    Raises:
        StoreNotWritable: there is no place for temporary files.
    """
    contents = {
        manifest.MANIFEST: manifest.write(found),
        manifest.SAMPLE: manifest.write(sample),
        FORM_HEADER: header,
        FORM_DATA: data,
        CLAIM: msgspec.msgpack.encode(claimed),
    }
    try:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
            for name, written in contents.items():
                Path(folder, name).write_bytes(written)
            return prover_of(os.getpid()).ask(Path(folder), progress)
    except OSError as error:
        raise StoreNotWritable("There is no place for temporary files.", str(error)) from error


class Prover:
    """A process that proves one form after another, so that the second one need not wait for
    another start. It ends when it has not been asked for a while, and with the process that it
    belongs to. Any number of threads may ask it, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def ask(self, folder: Path, progress: Progress = lambda step: None) -> Verdict:
        """What it finds of what lies in a folder."""
        with self._lock:
            # The first may have ended by itself just now, as nobody asked it.
            found = self._found(folder, progress) or self._found(folder, progress)
            return found or Verdict(0, KILLED)

    def _found(self, folder: Path, progress: Progress) -> Verdict | None:
        """None where the process ends without a word."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(os.fsencode(folder) + b"\n")
            process.stdin.flush()
            seconds = round(SECONDS + SECONDS_EACH * _size(folder) / MEGABYTE)
            until = time.monotonic() + seconds
            while select.select([process.stdout], [], [], max(until - time.monotonic(), 0))[0]:
                told = msgspec.json.decode(process.stdout.readline(), type=int | Verdict)
                if isinstance(told, Verdict):
                    return told
                progress(f"its plain form gave the answers of the pipeline to {told} rows so far")
        except (BrokenPipeError, msgspec.DecodeError):
            self.close()
            return None
        self.close()
        return Verdict(0, f"it took more than {seconds} s")

    def close(self) -> None:
        """End the process, if there is one."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is not None and self.process.poll() is not None:
            self.close()
        if self.process is None:
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                bufsize=0,  # so that whatever was read shows whether there is more
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        return self.process


@cache
def prover_of(process: int) -> Prover:
    """The one of a process: a fork has another."""
    return Prover()


# In the process ------------------------------------------------------------------


class Blocker:
    """Finds no module of a package that is blocked."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is nothing that a form may need", name=name)
        return None


def main() -> None:
    """For each folder that is named in a line, print the verdict on what lies in it as JSON, and
    before, now and then, how many rows were answered alike."""
    sys.meta_path.insert(0, Blocker())
    while select.select([sys.stdin], [], [], IDLE)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        _tell(_found(Path(os.fsdecode(line.rstrip(b"\n")))))


def _tell(told: int | Verdict) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


def _found(folder: Path) -> Verdict:
    most = MEGABYTES * MEGABYTE + TIMES * _size(folder)
    _limit(most)
    try:
        claimed = msgspec.msgpack.decode((folder / CLAIM).read_bytes(), type=Claim)
        form = read((folder / FORM_HEADER).read_bytes(), files.mapped(folder / FORM_DATA))
        told = manifest.read((folder / manifest.MANIFEST).read_bytes())
        sample = manifest.read_sample((folder / manifest.SAMPLE).read_bytes())
        return verdict(Model(told, None, sample, form), form, claimed, progress=_tell)
    # Whatever it is, the form is not to be served.
    except Exception as error:
        if is_out_of_memory(error):
            needed = f"needs more than {most // MEGABYTE} MB of memory"
            return Verdict(0, f"the process that asked it {needed}")
        return Verdict(0, f"the process that asked it failed: {words_of(error)}")


def _size(folder: Path) -> int:
    """The bytes of the data of a form."""
    return (folder / FORM_DATA).stat().st_size


def _limit(most: int) -> None:
    """Bound the memory, so that a form which wants more than its file is told so."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Some systems have no such limit.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
