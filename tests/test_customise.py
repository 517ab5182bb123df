"""docs/customise.md: its files are written, its commands run, its promises about templates held."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Server, serving
from .documents import ROOT, files, require_outputs, serve_command, write_files

pytestmark = pytest.mark.process

PAGE = (ROOT / "docs/customise.md").read_text()


@pytest.fixture(scope="module")
def folder(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of whoever follows the page, with one bundled model."""
    folder = tmp_path_factory.mktemp("school")
    shutil.copytree(bundled_root / "exam", folder / "instance/models/exam")
    write_files(PAGE, folder)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """The server of the page."""
    with serving(*serve_command(PAGE), cwd=folder) as running:
        running.wait_until_ready()
        yield running


def test_the_page_has_the_files_that_it_lists() -> None:
    listed = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert listed is not None
    assert sorted(files(PAGE)) == sorted(listed[1].split())


def test_the_commands_print_what_stands_below_them_and_the_server_ends_in_order(
    server: Server, folder: Path
) -> None:
    assert require_outputs(PAGE, folder, server.url) == 5
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
