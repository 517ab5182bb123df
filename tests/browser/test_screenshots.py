"""What `make screenshots` makes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from .page import Page
from .screenshots import SHOTS, take

pytestmark = pytest.mark.browser


def test_the_pictures_are_of_their_size_and_small(page: Page, tmp_path: Path) -> None:
    take(page, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == SHOTS.keys()
    for name, shot in SHOTS.items():
        data = (tmp_path / name).read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        assert width == shot.width * shot.scale
        assert 0 < height <= shot.height * shot.scale
        assert len(data) < 150_000, name
