"""The README and the documents say what is so: examples are run, tables are held to the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from model_store import ModelStore
from quart_app import create_app
from quart_app.cli.main import IMPORTED, cli
from quart_app.config import PREFIX, SETTINGS

from .conftest import Server, serving

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
REQUESTS = (ROOT / "docs/requests.md").read_text()
COMMANDS = (ROOT / "docs/commands.md").read_text()
ROUTES = (ROOT / "docs/routes.md").read_text()
PROTOCOLS = (ROOT / "docs/protocols.md").read_text()
EXPLAINING = (ROOT / "docs/explaining.md").read_text()
DRIFT = (ROOT / "docs/drift.md").read_text()
API = (ROOT / "docs/api/model_store.md").read_text()
RUN = (README, REQUESTS, COMMANDS, ROUTES, PROTOCOLS, EXPLAINING)
"""The pages whose commands are run in the folder of a server with the bundled models."""
PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "bench/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
README_LINES = 150


def blocks(language: str, page: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Each command with the output that stands below it."""
    found = []
    for block in [block for page in RUN for block in blocks("console", page)]:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def rows(page: str) -> list[list[str]]:
    """The cells of the first table of a page or of a section, without its head."""
    table = page[page.index("\n| ") :].lstrip().split("\n\n")[0]
    lines = table.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]
    return [[lines_cell.strip("` ") for lines_cell in row] for row in cells]


@pytest.fixture(scope="module")
def folder(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A newcomer's folder, with the bundled models in the default place."""
    found = tmp_path_factory.mktemp("checkout")
    shutil.copytree(bundled_root, found / "instance" / "models")
    return found


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A server in that folder."""
    with serving(cwd=folder, PYTHONPATH=ROOT) as running:
        running.wait_until_ready()
        yield running


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES


def test_the_documents_have_commands_to_run() -> None:
    assert len(blocks("console", REQUESTS)) >= 8
    assert len(blocks("python", REQUESTS)) >= 2
    assert all(blocks("console", page) for page in RUN)


def test_figures_in_the_readme_are_those_that_were_measured() -> None:
    measured = (ROOT / "docs/performance.md").read_text()
    lines = [line for line in README.splitlines() if re.match(r"\| .*(requests/s|memory)", line)]
    assert len(lines) == 3
    for line in lines:
        for figure in re.findall(r"\d[\d,]*(?: MiB)?", re.sub(r"\(\S+\)|^\|.*? \|", "", line)):
            assert re.search(rf"(?<![\d,]){figure}(?![\d,])", measured), (line, figure)


@pytest.mark.process
def test_the_commands_of_the_documents_print_what_stands_below_them(
    server: Server, folder: Path
) -> None:
    for command, output in commands():
        script = command.replace("http://127.0.0.1:8000", server.url)
        script = re.sub(r"^python ", f"{sys.executable} ", script)
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        pattern = ".*?".join(re.escape(part) for part in output.strip().split("..."))
        assert re.fullmatch(pattern, ran.stdout.strip(), re.DOTALL), (command, ran.stdout)


SCRIPTS = [
    script
    for page in (REQUESTS, PROTOCOLS, EXPLAINING, DRIFT, API)
    for script in blocks("python", page)
]


@pytest.mark.process
@pytest.mark.parametrize("number", range(len(SCRIPTS)))
def test_python_of_the_documents_runs(number: int, server: Server, folder: Path) -> None:
    script = SCRIPTS[number].replace("http://127.0.0.1:8000", server.url)
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
    )


def fences(page: str) -> list[tuple[str, str]]:
    """The language and the text of each block, in order."""
    text = (ROOT / page).read_text()
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.process
def test_the_examples_of_models_md_hold_one_after_the_other(tmp_path: Path) -> None:
    environment = {"PATH": f"{tmp_path}:/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    script = tmp_path / "quart-app"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m quart_app "$@"\n')
    script.chmod(0o755)
    folder = tmp_path / "notebook"
    folder.mkdir()
    for language, block in fences("docs/models.md"):
        if language in ("py", "sh"):  # need the extra guests: tests/test_guests_doc.py
            continue
        if language == "python":
            subprocess.run([sys.executable, "-c", block], cwd=folder, env=environment, check=True)
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            ran = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
            )
            pattern = ".*?".join(re.escape(part) for part in output.strip().split("..."))
            assert re.fullmatch(pattern, ran.stdout.strip(), re.DOTALL), ran.stdout + ran.stderr
    assert ModelStore(folder / "instance/models").models() == [
        "churn",
        "flowers",
        "leaving",
        "orders",
        "pumps",
        "ratio",
        "share",
        "wine",
    ]


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^make (\S+)", "\n".join(blocks("console", README)), re.MULTILINE))
    assert targets == {"run", "test"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def settings_table() -> str:
    """The table of settings as docs/settings.md must show it."""
    lines = ["| variable | default | what it does |", "| --- | --- | --- |"]
    for setting in SETTINGS:
        default = "not set" if setting.default is None else f"`{shown(setting.default)}`"
        default = "empty" if default == "``" else default
        lines.append(f"| `{setting.variable}` | {default} | {setting.help} |")
    return "\n".join(lines)


def shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_table_of_settings_is_the_one_of_the_code() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    table = re.search(r"<!-- settings -->\n(.*?)\n?<!-- /settings -->", page, re.DOTALL)
    assert table is not None
    assert table[1].strip() == settings_table(), f"\n{settings_table()}"
    assert PREFIX == "QUART_APP_"


def test_the_table_of_commands_is_the_one_of_the_code() -> None:

    def walk(group: click.Group, path: str) -> dict[str, str]:
        found: dict[str, str] = {}
        imported = {name: get() for name, get in IMPORTED.items()} if group is cli else {}
        for name, command in {**group.commands, **imported}.items():
            if isinstance(command, click.Group):
                found |= walk(command, f"{path}{name} ")
                continue
            arguments = [
                p.name.upper() for p in command.params if isinstance(p, click.Argument) and p.name
            ]
            found[" ".join([f"{path}{name}", *arguments])] = command.get_short_help_str(200)
        return found

    assert dict(rows(COMMANDS)) == walk(cli, "")


def test_the_table_of_routes_is_the_one_of_the_code(tmp_path: Path) -> None:
    app = create_app(MODEL_STORE=tmp_path, RECIPES="")
    methods: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        route = rule.rule.replace("<unspoken:", "<")
        methods.setdefault(route, set()).update((rule.methods or set()) - {"HEAD", "OPTIONS"})
    listed = {}
    for route, taken, *_ in rows(ROUTES) + rows(PROTOCOLS.split("\n## Routes\n")[1]):
        listed[re.sub(r"[\[\]]", "", route)] = set(taken.split(", "))
        listed[re.sub(r"\[.*?\]", "", route)] = set(taken.split(", "))
    assert listed == methods


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_within_the_documents_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)", text) + re.findall(r'src="([^"]+)"', text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_layout_in_the_design_names_every_module() -> None:
    layout = (ROOT / "docs/design.md").read_text().split("```")[1]
    for package in ("model_store", "quart_app"):
        listed = re.split(r"\n\S", layout.split(f"\n{package}/\n")[1])[0]
        names = set(re.findall(r"^ {2}(\S+?)/? ", listed, re.MULTILINE))
        there = {path.name for path in (ROOT / package).iterdir()}
        assert names == there - {"__pycache__", "__main__.py"}
