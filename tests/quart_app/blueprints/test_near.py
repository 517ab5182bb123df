"""Which categories are near what somebody typed."""

from __future__ import annotations

import time

import pytest

from quart_app.blueprints.near import MOST, nearest

CITIES = ["Augsburg", "Bad Homburg", "Hamburg", "Hamm", "München", "New York", "Straße"]


@pytest.mark.parametrize(
    ("entered", "first"),
    [
        ("hamburg", "Hamburg"),
        ("Hambrug", "Hamburg"),
        ("HAM", "Hamburg"),
        ("york", "New York"),
        ("Munchen", "München"),
        ("STRASSE", "Straße"),
        (" Hamm ", "Hamm"),
    ],
)
def test_what_is_near_comes_first(entered: str, first: str) -> None:
    assert nearest(entered, CITIES)[0] == first


@pytest.mark.parametrize("entered", ["", "  ", "zzz", "42"])
def test_nothing_is_near_what_is_like_nothing(entered: str) -> None:
    assert nearest(entered, CITIES) == []


def test_only_the_nearest_are_told_and_of_a_long_text_the_beginning_is_looked_at() -> None:
    known = [f"category-{number}" for number in range(10_000)]
    begun = time.process_time()
    assert nearest("x" * 1_000_000, known) == []
    assert len(nearest("category-12", known)) == MOST
    assert nearest("category-12", known)[0] == "category-12"
    assert time.process_time() - begun < 5
