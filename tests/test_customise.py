"""docs/customise.md: its files are written, its commands run, its promises about templates held."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Server, serving

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/customise.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def files() -> dict[str, str]:
    """The files of the page by their names: a block is that of the last name before it."""
    found = {}
    for before, text in re.findall(
        r"([^\n].*?)\n\n```(?:jinja|css|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    ):
        name = re.findall(r"`((?:[a-z]+/)*[a-z]+\.(?:html|css|py))`", before)[-1]
        found[name] = text
    return found


def commands() -> list[tuple[str, str]]:
    """Each command with the output that stands below it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


@pytest.fixture(scope="module")
def folder(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of whoever follows the page, with one bundled model."""
    folder = tmp_path_factory.mktemp("school")
    shutil.copytree(bundled_root / "exam", folder / "instance/models/exam")
    for name, text in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """The server of the page."""
    serve = next(command for command, _ in commands() if command.startswith("quart-app serve "))
    with serving(*serve.split()[2:], cwd=folder) as running:
        running.wait_until_ready()
        yield running


def test_the_page_has_the_files_that_it_lists() -> None:
    listed = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert listed is not None
    assert sorted(files()) == sorted(listed[1].split())


def test_the_commands_print_what_stands_below_them_and_the_server_ends_in_order(
    server: Server, folder: Path
) -> None:
    ran = 0
    for command, output in commands():
        if command.startswith("quart-app serve "):
            continue
        script = command.replace(ADDRESS, server.url)
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
    assert ran == 5
    assert server.stop() == 0


def test_the_templates_and_blocks_of_the_table_are_there() -> None:
    rows = re.findall(r"^\| `(\S+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 7
    for name, blocks in rows:
        text = (ROOT / "templates" / name).read_text()
        for block in re.findall(r"`(\w+)`", blocks):
            assert f"{{% block {block} %}}" in text, (name, block)


def test_the_custom_properties_that_are_named_are_those_of_the_stylesheet() -> None:
    named = set(re.findall(r"(--[a-z-]+)[`:]", PAGE.split("## A stylesheet")[1].split("\n## ")[0]))
    stylesheet = (ROOT / "quart_app/static/css/style.css").read_text()
    assert len(named) == 6
    for name in named:
        assert stylesheet.count(f"\n  {name}: ") == 1, name
        assert f"\n    {name}: " in stylesheet.split("prefers-color-scheme: dark")[1], name
