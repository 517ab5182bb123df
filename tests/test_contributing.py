"""What a contributor is told is so: targets, files, workflows, releases."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from quart_app.version import VERSION

from .documents import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
UPLOADS = ("actions/checkout@v4", "actions/setup-python@v5", "actions/upload-artifact@v4")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def steps(workflow: Path) -> list[dict[str, str]]:
    return [step for job in load(workflow)["jobs"].values() for step in job["steps"]]


def test_the_commands_of_the_guide_exist() -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", GUIDE, re.MULTILINE))
    assert {"run", "check", "test", "docs"} <= named <= TARGETS


def test_the_files_that_the_guide_names_exist() -> None:
    named = re.findall(r"`([\w.]+/[\w./]+)`", GUIDE)
    assert len(named) > 10
    for path in named:
        assert re.search("NAME|FAMILY", path) or path == "site/" or (ROOT / path).exists(), path


def test_the_guide_has_every_kind_of_addition() -> None:
    added = set(re.findall(r"^## Add a (.+)$", GUIDE, re.MULTILINE))
    assert {"protocol", "column type", "setting", "node of the plain form"} <= added


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_make_targets(workflow: Path) -> None:
    called = set()
    for step in steps(workflow):
        if "uses" in step:
            assert step["uses"] in UPLOADS
        elif step["run"].startswith("make "):
            called.add(step["run"].split()[1])
        else:
            assert step["run"].startswith("apt-get "), step
    for job in load(workflow)["jobs"].values():
        called |= set(job.get("strategy", {}).get("matrix", {}).get("target", []))
    assert called - {"${{"} <= TARGETS
    assert called


def test_all_that_must_hold_is_in_a_workflow() -> None:
    text = "".join(path.read_text() for path in WORKFLOWS)
    steps = re.findall(r"^step .* make ([a-z-]+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert len(steps) > 8
    assert not [target for target in steps if target not in text]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_an_issue_form_is_one(form: Path) -> None:
    loaded = load(form)
    if form.name == "config.yml":
        assert set(loaded) == {"blank_issues_enabled"}
        return
    assert {"name", "description", "body"} <= set(loaded)
    fields = [field for field in loaded["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 0
    assert all(field["attributes"]["label"] for field in fields)


def test_hooks_run_what_lint_runs() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    tools = {hook["entry"].split()[2] for hook in repository["hooks"]}
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert lint is not None
    assert tools == set(re.findall(r"-m (\w+)", lint[1]))


def test_releases_have_dates_and_go_back_in_time() -> None:
    first, *releases = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first == "[Unreleased]"
    found = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", each) for each in releases]
    dates = [date.fromisoformat(each[2]) for each in found if each is not None]
    assert len(dates) == len(releases) > 0
    assert dates == sorted(dates, reverse=True)
    assert found[0] is not None
    assert found[0][1] == VERSION
