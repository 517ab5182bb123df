"""Which tests of plain forms are run with all others: those of files, of the format's page, and of
pipelines of every kind. Those of one family each take minutes together."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
WITH_ALL_OTHERS: Final = {"test_form", "test_form_document", "test_known", "test_pipelines"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE and item.path.stem not in WITH_ALL_OTHERS:
            item.add_marker(pytest.mark.forms)
