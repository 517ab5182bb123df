"""A file system of a test's own: full, or read only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(path: Path, *options: str) -> Iterator[Path]:
    """A file system of its own on this folder; skips where it cannot be mounted."""
    path.mkdir(exist_ok=True)
    command = ["mount", *options, os.fspath(path)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting needs more rights")
    try:
        yield path
    finally:
        subprocess.run(["umount", os.fspath(path)], check=True)
