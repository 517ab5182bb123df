"""docs/monitoring.md, run: the loop from predictions to the next version, round once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model_store import ModelStore

from .conftest import serving
from .documents import ADDRESS, ROOT, require_outputs

PAGE = (ROOT / "docs/monitoring.md").read_text()


@pytest.mark.process
def test_the_loop_goes_round_as_the_document_says(bundled_root: Path, tmp_path: Path) -> None:
    store = tmp_path / "instance" / "models"
    shutil.copytree(bundled_root / "exam", store / "exam")
    before, program, after = re.split(r"^```python\n(.*?)^```$", PAGE, flags=re.M | re.S)
    with serving(cwd=tmp_path, QUART_APP_RECIPES="", QUART_APP_RECORD="1") as server:
        server.wait_until_ready()
        assert require_outputs(before, tmp_path, server.url) == 4
        subprocess.run(
            [sys.executable, "-c", program.replace(ADDRESS, server.url)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            check=True,
        )
        assert require_outputs(after, tmp_path, server.url) == 7
    assert ModelStore(store).manifest("exam").metrics["accuracy"] > 0.95
