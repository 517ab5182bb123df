from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quart_app.server.concurrency import with_one_thread

ROOT = Path(__file__).parents[3]


@pytest.mark.process
@pytest.mark.forms
def test_what_a_loader_has_asked_answers_in_its_workers_as_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.forked"],
        cwd=ROOT,
        env=with_one_thread(os.environ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-4]) > 150
