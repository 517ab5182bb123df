"""The tour from Flask to Quart, walked in a browser."""

from __future__ import annotations

import pytest

from .page import Page

pytestmark = pytest.mark.browser


def test_the_number_form_answers_in_the_frame_of_its_page(page: Page) -> None:
    page.open("/tour/stops/prime")
    page.driver.switch_to.frame(page.one("iframe"))
    for number, word in (("999999999999999989", "True"), ("999999999999999981", "False")):
        page.fill(number)
        page.submit()
        assert page.text("[role=status]") == f"{number}: {word}"
    page.driver.switch_to.default_content()
    assert page.text("h1") == "A program as a form"


def test_the_number_form_answers_alone_and_says_what_is_no_number(page: Page) -> None:
    page.open("/tour/prime")
    page.fill("seven")
    page.submit()
    assert page.text("[role=alert]") == "number: expected 1 to 40 digits, got 'seven'."


def test_a_phone_leads_through_the_stops(page: Page) -> None:
    page.look(320)
    page.open("/")
    page.follow("A tour of Flask's idioms")
    page.follow("A view in three lines")
    seen = []
    while link := page.all("a[rel=next]"):
        page.follow(link[0].text)
        seen.append(page.text("h1"))
        assert page.run("return document.documentElement.scrollWidth") == 320
    assert len(seen) == 8
    page.driver.switch_to.frame(page.one("iframe"))
    assert '"title":"Look around"' in page.text("body")
