"""docs/tutorial.md, run from its first block to the last, beside the server that it starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from .conftest import Server, serving
from .documents import ADDRESS, ROOT

PAGE: Final = (ROOT / "docs/tutorial.md").read_text()
PATIENCE: Final = 30.0
"""Seconds for the server to notice what was published or promoted."""


def steps(part: str) -> list[tuple[str, str, str]]:
    """Each script and each command in order: its language, its text, and the output below it."""
    found = []
    for language, text in re.findall(
        r"^```(python|console)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL
    ):
        if language == "python":
            found.append((language, text, ""))
            continue
        for command in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            found.append((language, *command.split("\n", 1)))
    return found


def run(step: tuple[str, str, str], folder: Path, url: str) -> None:
    """Run one step. A request is repeated until the server, which follows its store, is as far."""
    language, text, output = step
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    if language == "python":
        subprocess.run([sys.executable, "-c", text], cwd=folder, env=environment, check=True)
        return
    script = re.sub("^quart-app ", f"{sys.executable} -m quart_app ", text.replace(ADDRESS, url))
    end = time.monotonic() + PATIENCE
    while True:
        ended = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
        )
        pattern = ".*?".join(re.escape(part) for part in output.strip().split("..."))
        if re.fullmatch(pattern, ended.stdout.strip(), re.DOTALL):
            return
        assert script.startswith("curl "), ended
        assert time.monotonic() < end, ended
        time.sleep(0.2)


def test_the_commands_of_the_readme_are_those_of_the_tutorial() -> None:
    (block,) = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    install, *rest = block.splitlines()
    assert install == "pip install '.[pandas]'"
    assert rest == [text for _, text, _ in steps(PAGE)[1:3]]


@pytest.mark.process
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    before, after = PAGE.split("\n## 3. Serve it\n")
    for step in steps(before):
        run(step, tmp_path, ADDRESS)
    serve, *later = steps(after)
    assert serve[1] == "quart-app serve"
    with serving(cwd=tmp_path, QUART_APP_FOLLOW="0.1") as server:
        server.wait_until_ready()
        for step in later:
            run(step, tmp_path, server.url)
        assert server.stop() == 0
    assert len(later) == 8
    require_deployed(tmp_path / "app")


def require_deployed(app: Path) -> None:
    """The folder that was written serves without the checkout."""
    (command,) = re.findall(r"^PORT=8001 \S+ -m quart_app serve (.*)$", PAGE, re.MULTILINE)
    assert set(command.split()) <= set((app / "Procfile").read_text().split())
    with serving(*command.split(), cwd=app, PYTHONPATH=app) as server:
        server.wait_until_ready()
        assert deployed_version(server) == '"version":2'


def deployed_version(server: Server) -> str:
    answered = subprocess.run(
        ["curl", "-sf", f"{server.url}/models/churn/predict?years=2&plan=basic&complaints=3"],
        check=True,
        capture_output=True,
        text=True,
    )
    (version,) = re.findall(r'"version":\d+', answered.stdout)
    return str(version)
