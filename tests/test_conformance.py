"""The conformance suite of the Model Context Protocol against a server, in both eras.

CONFORMANCE names the folder with the suite, which `make conformance-test` makes. What fails by
design is listed in `conformance/`, and a listed scenario that passes is a failure as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from .conftest import Server, serving

pytestmark = pytest.mark.clients

HERE: Final = Path(__file__).parent
REVISIONS: Final = ("2026-07-28", "2025-11-25")
SECONDS: Final = 300

UNTESTABLE: Final = {
    # They call tools that a server for the suite has to have.
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
    # There are no prompts and resources.
    "sep-2549-prompts-list-caching-hints",
    "sep-2549-resources-list-caching-hints",
    "sep-2549-resources-templates-list-caching-hints",
}
"""Checks that fail in scenarios of which all others pass."""
HELD: Final = (
    "server-stateless",
    "caching",
    "http-header-validation",
    "dns-rebinding-protection",
    "tools-list",
)
"""Scenarios whose every other check passes: discovery, errors, headers, versions, rebinding."""


@pytest.fixture(scope="module")
def suite() -> Path:
    """The folder with the suite, as npm has installed it."""
    named = os.environ.get("CONFORMANCE")
    if named is None:
        pytest.skip("CONFORMANCE names no folder with the suite")
    return Path(named).resolve() / "node_modules"


@pytest.fixture(scope="module")
def server(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("conformance")
    shutil.copytree(bundled_root, folder / "models")
    settings = {"QUART_APP_MODEL_STORE": folder / "models", "QUART_APP_RECIPES": ""}
    with serving(cwd=folder, **settings) as running:
        running.wait_until_ready()
        yield running


def run(suite: Path, server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    """The suite against the server, by the Node.js that was installed with it."""
    program = suite / "@modelcontextprotocol/conformance/dist/index.js"
    return subprocess.run(
        [suite / ".bin/node", program, "server", "--url", f"{server.url}/mcp", *options],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("revision", REVISIONS)
def test_only_what_is_listed_fails(revision: str, suite: Path, server: Server) -> None:
    expected = str(HERE / "conformance" / f"{revision}.yaml")
    done = run(suite, server, "--requirements", revision, "--expected-failures", expected)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("scenario", HELD)
def test_discovery_errors_headers_versions_and_rebinding_hold(
    scenario: str, suite: Path, server: Server, tmp_path: Path
) -> None:
    options = ("--scenario", scenario, "--spec-version", REVISIONS[0], "-o", str(tmp_path))
    run(suite, server, *options)
    checks = [
        check for path in tmp_path.rglob("checks.json") for check in json.loads(path.read_text())
    ]
    assert any(check["status"] == "SUCCESS" for check in checks)
    failed = {check["id"] for check in checks if check["status"] == "FAILURE"}
    assert failed <= UNTESTABLE
