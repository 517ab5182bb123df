"""The process in which a form is put to the proof: one in which scikit-learn cannot be imported.

It reads the two files of the form as a server does, and answers the rows that the pipeline was
asked before. So what is found holds where none of the libraries is installed that trained it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Final

import msgspec

from . import files, manifest
from .errors import StoreNotWritable
from .manifest import Manifest, Sample
from .model import Model
from .plain import FORM_DATA, FORM_HEADER, Malformed, read
from .proof import Claim, Verdict, verdict

SECONDS: Final = 120.0
MEGABYTES: Final = 4096
PREFIX: Final = "quart-app-proof-"

BLOCKED: Final = frozenset(
    {"sklearn", "scipy", "joblib", "pandas", "xgboost", "lightgbm", "catboost", "onnxruntime"}
)
"""What a form must not need."""

CLAIM: Final = "claim.msgpack"


def prove(found: Manifest, sample: Sample, header: bytes, data: bytes, claimed: Claim) -> Verdict:
    """What a process of its own finds of a form in two files.

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
            return _asked(Path(folder))
    except OSError as error:
        raise StoreNotWritable("There is no place for temporary files.", str(error)) from error


def _asked(folder: Path) -> Verdict:
    command = [sys.executable, "-m", __name__, os.fspath(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            env=environment,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=Verdict)
    except subprocess.TimeoutExpired:
        return Verdict(0, f"it took more than {SECONDS:g} s")
    except (subprocess.CalledProcessError, msgspec.DecodeError) as error:
        words = getattr(error, "stderr", b"").decode(errors="replace").strip().splitlines()
        return Verdict(0, f"the process that asked it failed: {words[-1] if words else error}")


# In the process ------------------------------------------------------------------


class Blocker:
    """Finds no module of a package that is blocked."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is nothing that a form may need", name=name)
        return None


def main(folder: Path) -> None:
    """Read what lies in the folder, and print the verdict as JSON."""
    sys.meta_path.insert(0, Blocker())
    _limit((folder / FORM_DATA).stat().st_size)
    claimed = msgspec.msgpack.decode((folder / CLAIM).read_bytes(), type=Claim)
    try:
        form = read((folder / FORM_HEADER).read_bytes(), files.mapped(folder / FORM_DATA))
    except Malformed as error:
        found = Verdict(0, str(error))
    else:
        told = manifest.read((folder / manifest.MANIFEST).read_bytes())
        sample = manifest.read_sample((folder / manifest.SAMPLE).read_bytes())
        found = verdict(Model(told, None, sample, form), form, claimed)
    sys.stdout.buffer.write(msgspec.json.encode(found))


def _limit(size: int) -> None:
    """Bound the memory, so that a form which wants more than its file is told so."""
    most = size + MEGABYTES * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Some systems have no such limit.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
