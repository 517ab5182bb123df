"""Whether an answer was right: said by a button, by a field and by the keyboard alone."""

from __future__ import annotations

import pytest

from .page import ENTER, TAB, Page
from .test_every_page import PAGES

pytestmark = pytest.mark.browser


@pytest.fixture(params=["page", "scriptless"])
def either(request: pytest.FixtureRequest) -> Page:
    """A browser with and one without JavaScript."""
    found: Page = request.getfixturevalue(request.param)
    return found


def thanked(page: Page) -> bool:
    return page.texts("main h2") == ["Thank you"]


def test_a_button_says_what_it_was_instead(either: Page) -> None:
    either.open(PAGES["result"])
    assert either.texts(".feedback button") == ["Yes", "No: did not pass"]
    either.one(".feedback form:nth-of-type(2) button").click()
    either.until(lambda: thanked(either))
    assert either.text("main section p") == "What turned out true is kept beside the prediction."
    either.follow("Ask again")
    assert either.text("h1") == "Exam"


def test_the_true_number_is_entered_by_the_keyboard_and_corrected(either: Page) -> None:
    either.open(PAGES["result that is a number"])
    either.one("#truth-1").send_keys("1e999")
    either.press(TAB, ENTER)
    either.until(lambda: either.all(".errors"))
    assert "expected a finite number" in either.text(".errors")
    field = either.one("#truth-1")
    field.clear()
    field.send_keys("151.5", ENTER)
    either.until(lambda: thanked(either))


def test_all_targets_are_said_at_once_whatever_they_are_called(page: Page) -> None:
    page.open(PAGES["several targets"])
    assert len(page.all(".feedback-value select")) == 2
    for select in page.all(".feedback-value select"):
        select.find_elements("css selector", "option")[1].click()
    page.one(".feedback-value button").click()
    page.until(lambda: thanked(page))
    page.open(PAGES["odd"])
    assert page.texts(".feedback button")[1].startswith("No: <")
