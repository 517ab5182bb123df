"""The OpenAPI document against a live server, by requests that schemathesis makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from model_store import ModelStore

from .conftest import serving
from .kinds import publish_mixed, publish_several

pytestmark = pytest.mark.clients

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


HOOKS = """
import schemathesis

@schemathesis.serializer("application/jsonl")
def lines(context, value):
    return value if isinstance(value, bytes) else str(value).encode()
"""
"""It knows no JSON Lines by itself; what it sends is a text."""


@pytest.fixture
def schemathesis() -> Path:
    """The command, in a venv of its own."""
    venvs = Path(os.environ.get("CLIENT_VENVS", "")).absolute()
    found = venvs / "schemathesis" / "bin" / "schemathesis"
    if not found.exists():
        assert "REQUIRE_CLIENTS" not in os.environ, f"{found} is not there"
        pytest.skip("CLIENT_VENVS has no schemathesis")
    return found


def test_no_request_meets_a_server_error_or_a_status_that_is_not_documented(
    schemathesis: Path, bundled_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundled_root, tmp_path / "models")
    store = ModelStore(tmp_path / "models")
    publish_mixed(store)
    publish_several(store)
    (tmp_path / "hooks.py").write_text(HOOKS)
    settings = {"QUART_APP_MODEL_STORE": store.root, "QUART_APP_RECIPES": ""}
    with serving(cwd=tmp_path, **settings) as server:
        server.wait_until_ready()
        ran = subprocess.run(
            [
                *(schemathesis, "run", f"{server.url}/openapi.json"),
                *("--checks", ",".join(CHECKS)),
                *("--max-examples", "10", "--seed", "1", "--no-color", "--continue-on-failure"),
            ],
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert ran.returncode == 0, ran.stdout[-20_000:]
        assert server.stop() == 0
