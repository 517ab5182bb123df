"""Documents whose files are written and whose commands are run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
ADDRESS: Final = "http://127.0.0.1:8000"
"""Where a document has its server."""


def files(page: str) -> dict[str, str]:
    """The files of the page by their names: a block is that of the last name before it."""
    found = {}
    for before, text in re.findall(
        r"([^\n].*?)\n\n```(?:jinja|css|python)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    ):
        name = re.findall(r"`((?:[a-z]+/)*[a-z]+\.(?:html|css|py))`", before)[-1]
        found[name] = text
    return found


def write_files(page: str, folder: Path) -> None:
    """Write them into a folder."""
    for name, text in files(page).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def commands(page: str) -> list[tuple[str, str]]:
    """Each command with the output that stands below it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def serve_command(page: str) -> list[str]:
    """The arguments of the command of the page that serves."""
    serve = next(command for command, _ in commands(page) if command.startswith("quart-app serve "))
    return serve.split()[2:]


def require_outputs(page: str, folder: Path, url: str) -> int:
    """Run every command of the page but the one that serves, and compare what it prints with what
    stands below it, where `...` stands for anything. How many were run."""
    ran = 0
    for command, output in commands(page):
        if command.startswith("quart-app serve "):
            continue
        script = command.replace(ADDRESS, url)
        script = re.sub("^quart-app ", f"{sys.executable} -m quart_app ", script)
        ended = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        pattern = ".*?".join(re.escape(part) for part in output.strip("\n").split("..."))
        assert re.fullmatch(pattern, ended.stdout.strip("\n"), re.DOTALL), ended
        ran += 1
    return ran
