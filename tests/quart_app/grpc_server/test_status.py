"""Exceptions as codes, and sentences as details."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_app import errors
from quart_app.grpc_server.status import CODES, MAX_DETAILS, code_of, details_of
from quart_app.inference import InvalidRequest, NotReady, Overloaded, RequestTooLarge
from quart_app.serving.batcher import Closed, QueueFull


def test_every_status_of_the_table_of_errors_has_a_code() -> None:
    assert {status for _, status in errors.STATUS} - {415} <= CODES.keys()


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (InvalidRequest("x"), "INVALID_ARGUMENT"),
        (RequestTooLarge("x"), "RESOURCE_EXHAUSTED"),
        (NotReady("x", 1), "UNAVAILABLE"),
        (Closed(), "UNAVAILABLE"),
        (Overloaded("x", 1), "RESOURCE_EXHAUSTED"),
        (QueueFull("x"), "RESOURCE_EXHAUSTED"),
        (KeyError("x"), "INTERNAL"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_overload_is_no_call_to_try_again_at_once(error: Exception, name: str) -> None:
    assert code_of(error).name == name


@given(st.text(max_size=3_000).map(lambda text: text * 3))
def test_details_fit_into_a_trailer_and_begin_as_the_sentence_does(sentence: str) -> None:
    found = details_of(sentence)
    assert len(quote(found.encode("utf-8", "replace"))) <= 3 * MAX_DETAILS
    assert sentence.startswith(found.removesuffix("…"))
    assert details_of(sentence[:1_000]) == sentence[:1_000] or not sentence.isascii()
