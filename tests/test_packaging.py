"""The files that install, run and ship the app agree with each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from quart_app.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("quart_app", "model_store")
MAX_DISTRIBUTIONS = 40
NO_LOCK_OF_OURS = ("poetry.lock", "Pipfile.lock", "uv.lock")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return table


def pinned_lines() -> list[str]:
    """The requirements, one a line: continuations joined, comments dropped."""
    lines = (line for line in read("requirements.txt").splitlines() if not is_comment(line))
    joined = "\n".join(lines).replace("\\\n", " ")
    return [" ".join(line.split()) for line in joined.splitlines() if line.strip()]


def is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def pins() -> dict[str, Version]:
    """Canonical name to the one version that requirements.txt allows."""
    requirements = [Requirement(line.split(" --hash=")[0]) for line in pinned_lines()]
    return {
        canonicalize_name(requirement.name): Version(str(requirement.specifier).removeprefix("=="))
        for requirement in requirements
    }


@pytest.mark.parametrize("line", pinned_lines(), ids=lambda line: line.split("==")[0])
def test_a_requirement_is_one_version_with_its_hashes(line: str) -> None:
    requirement, *hashes = line.split(" --hash=")

    assert re.fullmatch(r"[a-z0-9._-]+==[0-9][A-Za-z0-9.!+]*( ; .+)?", requirement)
    assert hashes
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes)


def test_requirements_name_no_place() -> None:
    text = read("requirements.txt")

    assert not re.search(r"\w+://|file:|(^|\s)/\w", text)
    assert not re.search(r"^\s*-", text.replace("    --hash=", ""), re.MULTILINE)


def test_requirements_satisfy_the_project(project: dict[str, Any]) -> None:
    lines = [*project["dependencies"], *project["optional-dependencies"]["tour"]]
    for requirement in map(Requirement, lines):
        assert pins()[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_requirements_are_few_and_of_third_parties(project: dict[str, Any]) -> None:
    assert len(pins()) == len(pinned_lines()) <= MAX_DISTRIBUTIONS
    assert project["name"] not in pins()


def test_a_platform_finds_one_lock_file() -> None:
    assert not [name for name in NO_LOCK_OF_OURS if (ROOT / name).exists()]


def test_procfile_is_free_of_shell_syntax() -> None:
    assert read("Procfile") == "web: python -m quart_app serve --keep-alive 95\n"


def test_the_python_of_the_platform_is_one_we_support(project: dict[str, Any]) -> None:
    wanted = read(".python-version")

    assert re.fullmatch(r"3\.\d+\n", wanted)
    assert Requirement(f"python{project['requires-python']}").specifier.contains(wanted.strip())


def test_the_license_is_the_one_declared(project: dict[str, Any]) -> None:
    assert project["license"] == "MIT"
    assert read("LICENSE").startswith("MIT License\n\nCopyright (c) 2026 The quart-app authors\n")


def test_the_version_is_the_same_everywhere(project: dict[str, Any]) -> None:
    assert "version" in project["dynamic"]
    assert f"\n## [{VERSION}]" in read("CHANGELOG.md")


def test_the_project_says_where_it_is(project: dict[str, Any]) -> None:
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} == set(project["urls"])
    assert f"repository: {project['urls']['Source']}\n" in read("mkdocs.yml")


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE)
    assert phony is not None

    listed = [line.split()[0] for line in make().stdout.splitlines()]

    assert listed == phony[1].split()


@pytest.fixture
def set_up(tmp_path: Path) -> Path:
    """A folder, with a space in its name, of the files that `make run` reads."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.process
def test_a_second_run_installs_nothing(set_up: Path) -> None:
    first = make("--dry-run", "run", cwd=set_up)
    assert "--require-hashes" in first.stdout

    (set_up / ".venv/bin").mkdir(parents=True)
    (set_up / ".venv/bin/python").symlink_to(sys.executable)
    (set_up / ".venv/.installed").touch()
    second = make("--dry-run", "run", cwd=set_up)

    assert second.stdout == ".venv/bin/python -m quart_app serve\n"


@pytest.mark.process
def test_an_old_python_is_refused_in_a_sentence(set_up: Path) -> None:
    old = set_up / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)

    result = make("run", f"PYTHON={old}", cwd=set_up)

    assert result.returncode != 0
    assert result.stderr.startswith(f"quart-app needs Python 3.11 or newer, and '{old}' is not")
    assert not (set_up / ".venv").exists()


def build(source: Path, into: Path) -> tuple[Path, Path]:
    """The sdist and the wheel of a source tree, built without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(into)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (sdist,) = into.glob("*.tar.gz")
    (wheel,) = into.glob("*.whl")
    return sdist, wheel


def shipped_files(folder: str) -> set[str]:
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in paths if "__pycache__" not in path.parts}


def wheel_files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.mark.process
def test_a_wheel_holds_the_packages_and_the_templates_and_nothing_else(tmp_path: Path) -> None:
    sdist, wheel = build(ROOT, tmp_path)
    templates = shipped_files("templates")
    static = shipped_files("quart_app/static")
    code = set().union(*map(shipped_files, PACKAGES))
    assert templates
    assert static

    assert {f"{package}/py.typed" for package in PACKAGES} <= code
    assert wheel_files(wheel) == code | {f"quart_app/{name}" for name in templates}
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("quart_app/requirements.txt").decode() == read("requirements.txt")

    subprocess.run(["tar", "-xzf", sdist, "-C", tmp_path], check=True)
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert all((unpacked / name).is_file() for name in templates | code)
    assert wheel_files(build(unpacked, tmp_path / "again")[1]) == wheel_files(wheel)
