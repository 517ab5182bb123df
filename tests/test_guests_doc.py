"""What docs/models.md says of other libraries is so: its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .documents import ROOT

pytestmark = [pytest.mark.guests, pytest.mark.process]


def fenced(language: str) -> str:
    page = (ROOT / "docs/models.md").read_text()
    [block] = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return str(block)


def run(arguments: list[str], folder: Path) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip("\n")


def test_the_example_of_other_libraries_holds(tmp_path: Path) -> None:
    run(["-c", fenced("py")], tmp_path)
    command, output = fenced("sh").removeprefix("$ quart-app ").split("\n", 1)
    pattern = ".*?".join(re.escape(part) for part in output.strip("\n").split("..."))
    told = run(["-m", "quart_app", *command.split()], tmp_path)
    assert re.fullmatch(pattern, told, re.DOTALL), told
