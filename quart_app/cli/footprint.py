"""What a deployment will take on a platform: the size of its slug and the memory of its process.

Both are measured here: files on the disk, a share of them compressed, and the program started in
the folder as the platform starts it.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

MB: Final = 1_000_000
SLUG_LIMIT: Final = 500 * MB
"""Of a slug of Heroku, once it is compressed."""

SAMPLE: Final = 64 * 1024
START: Final = 60.0
"""Seconds in which a process must listen on Heroku, and here be ready."""

_RSS: Final = re.compile(r"^Rss:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes on the disk, and about how many they are once compressed."""

    installed: int = 0
    compressed: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.installed + other.installed, self.compressed + other.compressed)


@dataclass(frozen=True, slots=True)
class Slug:
    """The parts of a slug. `unmeasured` are pinned distributions that are not installed here in
    that version, and not counted."""

    python: Size
    packages: Size
    folder: Size
    unmeasured: Sequence[str]

    @property
    def total(self) -> Size:
        return self.python + self.packages + self.folder

    @classmethod
    def of(cls, folder: Path, files: Iterable[str], pins: Mapping[str, str]) -> Slug:
        """The slug of these files and of these distributions."""
        unmeasured, packages = [], Size()
        for name, version in pins.items():
            paths = _installed(name, version)
            if paths is None:
                unmeasured.append(name)
            else:
                packages += size_of(paths)
        return cls(_python(), packages, size_of(folder / path for path in files), unmeasured)


def size_of(paths: Iterable[Path]) -> Size:
    """The files together. Of a large one a piece in the middle tells how well it is compressed."""
    installed, compressed = 0, 0.0
    for path in paths:
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                file.seek(max(0, (size - SAMPLE) // 2))
                sample = file.read(SAMPLE)
        except OSError:
            continue
        if sample:
            installed += size
            compressed += size * len(zlib.compress(sample, 1)) / len(sample)
    return Size(installed, round(compressed))


def _installed(name: str, version: str) -> list[Path] | None:
    """The files of a distribution; None where it is not here in that version."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if distribution.version != version or distribution.files is None:
        return None
    return [Path(str(distribution.locate_file(file))) for file in distribution.files]


def _python() -> Size:
    """The standard library, which a slug brings along."""
    root = Path(sysconfig.get_path("stdlib"))
    outside = {"site-packages", "dist-packages", "test", "__pycache__"}
    paths = (path for path in root.rglob("*") if not outside & set(path.relative_to(root).parts))
    return size_of(path for path in paths if path.is_file())


# Memory --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Memory:
    """The bytes of the process once all models are ready; None with the reason where that is not
    known. Pages of libraries count whole: on the platform nobody else has them.

    `failed` are the models that do not load there, each with its reason.
    """

    resident: int | None
    reason: str | None = None
    failed: Mapping[str, str] | None = None


def measure(folder: Path, command: Sequence[str]) -> Memory:
    """Start a command in a folder, without settings of ours, until its models are ready."""
    process = subprocess.Popen(
        [sys.executable, *command[1:]],
        cwd=folder,
        env={
            "HOST": "127.0.0.1",
            "PORT": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "QUART_APP_SHUTDOWN_DELAY": "0",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        return _measured(process)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        return Memory(None, f"{type(error).__name__}: {error}")
    finally:
        process.kill()
        process.communicate()


def _measured(process: subprocess.Popen[str]) -> Memory:
    assert process.stdout is not None
    port = next((f[1] for line in process.stdout if (f := re.search(r"http://\S+:(\d+)", line))), 0)
    if not port:
        return Memory(None, f"the program ended with {process.wait()}")
    deadline = time.monotonic() + START
    while (state := _state(int(port)))["status"] == "starting":
        if time.monotonic() > deadline:
            return Memory(None, f"the models were not ready after {START:g} s")
        time.sleep(0.1)
    failed = {
        name: model.get("reason") or "no reason is known"
        for name, model in state["models"].items()
        if model["state"] == "failed"
    }
    try:
        found = _RSS.search(Path(f"/proc/{process.pid}/smaps_rollup").read_text())
    except FileNotFoundError:
        return Memory(None, "this system has no /proc/PID/smaps_rollup", failed)
    return Memory(int(found[1]) * 1024 if found else None, None, failed)


def _state(port: int) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START)
    try:
        connection.request("GET", "/health/ready")
        return msgspec.json.decode(connection.getresponse().read())
    finally:
        connection.close()
