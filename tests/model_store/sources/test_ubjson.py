"""UBJSON as XGBoost writes it."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from model_store.errors import UnreadableFile
from model_store.sources import ubjson


def text(value: str) -> bytes:
    data = value.encode()
    return b"L" + struct.pack(">q", len(data)) + data


CASES: list[tuple[bytes, Any]] = [
    (b"{}", {}),
    (b"{" + text("a") + b"i\x05}", {"a": 5}),
    (b"{" + text("a") + b"S" + text("ü") + b"}", {"a": "ü"}),
    (b"{" + text("a") + b"{" + text("b") + b"T}}", {"a": {"b": True}}),
    (b"[]", []),
    (b"[i\x01Zd" + struct.pack(">f", 0.5) + b"]", [1, None, 0.5]),
    (b"[#i\x02i\x01i\x02", [1, 2]),
    (b"[$d#L" + struct.pack(">q", 3) + b"\0" * 12, 3),
    (b"L" + struct.pack(">q", -7), -7),
]


@pytest.mark.parametrize(("data", "value"), CASES)
def test_a_value_is_read(data: bytes, value: Any) -> None:
    assert ubjson.decode(data) == value


@pytest.mark.parametrize("data", [data for data, _ in CASES])
def test_what_is_cut_off_ends_in_a_sentence(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(UnreadableFile, match="save_model"):
            ubjson.decode(data[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"?",
        b"[" * 10**5,
        b"{L" + struct.pack(">q", -1) + b"}",
        b"{L" + struct.pack(">q", 2**62) + b"a}",
        b"[$S#i\x02",
        b"[$d#L" + struct.pack(">q", 2**61) + b"\0",
        b"[#L" + struct.pack(">q", 2**61) + b"i\x01",
        b"{i\x01\xff}",
    ],
    ids=lambda data: repr(data[:16]),
)
def test_what_is_none_ends_in_a_sentence(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="save_model"):
        ubjson.decode(data)
