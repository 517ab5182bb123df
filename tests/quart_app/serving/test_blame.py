"""Which of several rows keeps a model from an answer."""

from __future__ import annotations

import asyncio

import pytest

from model_store.errors import Unanswerable
from quart_app.serving import blame
from quart_app.serving.blame import blamed


def asked(rows: int, bad: set[int], *, together: int = 1) -> str:
    """The sentence about so many rows, of which `together` bad ones have no answer."""

    async def ask(some: slice) -> None:
        if len(bad & set(range(rows)[some])) >= together:
            raise Unanswerable(f"no answer to {some.stop - some.start} rows.", "words")

    found = asyncio.run(blamed(Unanswerable("no answer.", "all"), rows, ask))
    assert found.words == ("words" if str(found).startswith("Row") else "all")
    return str(found)


@pytest.mark.parametrize("rows", [2, 3, 8, 41])
def test_the_first_row_to_blame_is_named(rows: int) -> None:
    for row in range(rows):
        assert asked(rows, {row}) == f"Row {row}: no answer to 1 rows."
        assert asked(rows, {row, rows - 1}) == f"Row {row}: no answer to 1 rows."


def test_rows_that_fail_together_alone_are_blamed_together() -> None:
    assert asked(8, {2, 3}, together=2) == "no answer."


def test_without_time_nobody_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blame, "SECONDS", -1)
    assert asked(8, {5}) == "no answer."
