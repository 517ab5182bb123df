"""A classifier that is loaded when a test says so."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from sklearn.linear_model import LogisticRegression

GATE = "HELD_UNTIL_THERE_IS"
"""The variable that names a file: unpickling waits until it exists. Unset, nothing waits."""


class Held(LogisticRegression):  # type: ignore[misc]
    def __setstate__(self, state: dict[str, Any]) -> None:
        gate = os.environ.get(GATE)
        while gate is not None and not Path(gate).exists():
            time.sleep(0.05)
        super().__setstate__(state)
