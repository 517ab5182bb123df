"""The main job in a browser: choose a model, fill its form, read the answer or every error."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from .page import ENTER, TAB, Page

pytestmark = pytest.mark.browser

VIRGINICA = ("6.3", "3.3", "6.0", "2.5")
COLUMNS = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
SHARES = ["Virginica", "Versicolor", "Setosa"]
WRONG = ("", "three", "-0", "1e999")
MESSAGES = {
    0: "Expected a number, got nothing.",
    1: 'Expected a number, got "three".',
    3: 'Expected a finite number, got "1e999".',
}


@pytest.fixture(params=["page", "scriptless"])
def either(request: pytest.FixtureRequest) -> Page:
    """A browser with and one without JavaScript."""
    found: Page = request.getfixturevalue(request.param)
    return found


def test_the_home_page_leads_to_each_model(page: Page) -> None:
    page.open("/")
    assert {"Diabetes", "Exam", "Iris"} <= set(page.texts(".models h2"))
    assert "failed" in page.text(".models .state-failed")
    page.follow("Iris")
    assert page.text("h1") == "Iris"
    assert page.driver.title == "Iris"
    assert tuple(page.texts("label")) == COLUMNS


def test_the_filled_form_tells_virginica_and_keeps_what_was_entered(either: Page) -> None:
    either.open("/models/iris")
    either.fill(*VIRGINICA)
    either.submit()
    assert either.text(".result strong") == "Virginica"
    assert either.driver.title == "Virginica: Iris"
    assert either.texts(".result th") == SHARES
    shares = [float(text.removesuffix("%")) for text in either.texts(".result .number")]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert either.values() == list(VIRGINICA)
    assert either.all(".errors, .error") == []


def test_the_link_to_a_result_gives_it_again(page: Page) -> None:
    page.open("/models/iris")
    page.fill(*VIRGINICA)
    page.submit()
    told = page.text(".result")
    page.follow("Link to this result")
    query = urlencode(dict(zip(COLUMNS, VIRGINICA, strict=True)))
    assert page.driver.current_url == f"{page.url}/models/iris/predict?{query}"
    assert page.text(".result") == told
    assert page.values() == list(VIRGINICA)


def test_zero_and_negative_numbers_are_values(page: Page) -> None:
    page.open("/models/iris")
    page.fill("0", "-1", "-0.5", "0.0")
    page.submit()
    assert page.text(".result strong") in SHARES
    assert page.values() == ["0", "-1", "-0.5", "0.0"]


def test_all_errors_stand_beside_their_fields_with_what_was_entered(either: Page) -> None:
    either.open(f"/models/iris/predict?{urlencode(dict(zip(COLUMNS, WRONG, strict=True)))}")
    assert either.text(".errors h2") == "There are 3 errors"
    assert either.values() == list(WRONG)
    for i, box in enumerate(either.all("form .field")):
        field = box.find_element("css selector", "input")
        described = (field.get_dom_attribute("aria-describedby") or "").split()
        told = [either.text(f"#{element}") for element in described]
        assert (field.get_dom_attribute("aria-invalid") == "true") == (i in MESSAGES)
        assert (MESSAGES.get(i) in told) == (i in MESSAGES)
        assert all(element.text in told for element in box.find_elements("css selector", ".error"))
        assert any("in the training data" in text for text in told)
    assert either.all(".result") == []


def test_the_focus_goes_to_the_summary_whose_links_lead_to_the_fields(either: Page) -> None:
    either.open(f"/models/iris/predict?{urlencode(dict(zip(COLUMNS, WRONG, strict=True)))}")
    either.until(lambda: either.focused().get_dom_attribute("class") == "errors")
    assert len(either.all(".errors a")) == 3
    either.press(TAB, TAB, ENTER)
    either.until(lambda: either.focused().get_dom_attribute("name") == COLUMNS[1])


def test_unknown_names_in_a_link_are_told_beside_the_form(page: Page) -> None:
    page.open("/models/iris/predict?" + urlencode({COLUMNS[0]: "1", "colour": "blue"}))
    assert page.text(".errors h2") == "There are 4 errors"
    assert any(text.startswith("colour: expected one of") for text in page.texts(".errors li"))
    assert page.values() == ["1", "", "", ""]


def test_a_name_that_stands_twice_leaves_its_field_empty(page: Page) -> None:
    page.open("/models/exam/predict?X1=70&X2=80&X2=90")
    assert page.text(".errors h2") == "There is an error"
    assert page.values() == ["70", ""]


def test_the_keyboard_alone_does_the_whole_task(page: Page) -> None:
    def tab_to(selector: str) -> None:
        goal = page.one(selector)
        for _ in range(30):
            page.press(TAB)
            if page.focused() == goal:
                assert page.run(OUTLINE) >= 2
                return
        raise AssertionError(f"Tab does not lead to {selector}")

    page.open("/")
    tab_to('a[href="/models/iris"]')
    page.press(ENTER)
    page.until(lambda: page.text("h1") == "Iris")
    tab_to("form button")
    page.press(ENTER)
    page.until(lambda: page.focused().get_dom_attribute("class") == "errors")
    page.press(TAB, ENTER)
    page.until(lambda: page.focused().get_dom_attribute("name") == COLUMNS[0])
    page.press(*TAB.join(VIRGINICA), ENTER)
    page.until(lambda: page.text(".result strong") == "Virginica")


OUTLINE = """
const style = getComputedStyle(document.activeElement);
return style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
"""


def test_the_first_tab_skips_to_the_content(page: Page) -> None:
    page.open("/models/iris")
    page.press(TAB)
    assert page.focused().text == "Skip to the content"
    assert page.focused().rect["x"] >= 0
    page.press(ENTER, TAB)
    assert page.focused() == page.one("#main a, #main input")
