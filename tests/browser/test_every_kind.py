"""A form with a control of each kind: filled in by keyboard alone, answered, told its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from ..kinds import AWKWARD, PORTS
from .page import ENTER, TAB, Page

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.browser

SPACE, LEFT, RIGHT = " ", "\ue012", "\ue014"  # of the WebDriver standard, 17.4.2

TYPED = {
    "age": ("34.5",),
    "siblings": ("1",),
    "sex": (SPACE,),
    "class": (RIGHT,),
    "port": (LEFT,),
    "deck": ("C",),
    "title": ("Captain",),
    "alone": (SPACE,),
    "boarded": ("04111912",),
    "woken": ("04141912", TAB, "1140PM"),
    "note": ("asked for", ENTER, "a quiet cabin"),
}
"""The keys for each control, once Tab has led to it."""

SENT = {
    "age": "34.5",
    "siblings": "1",
    "sex": "female",
    "class": "2",
    "port": "Southampton",
    "deck": "C",
    "title": "Captain",
    "alone": "true",
    "boarded": "1912-04-11",
    "woken": "1912-04-14T23:40",
    "note": "asked for\na quiet cabin",
}


@pytest.fixture(params=["page", "scriptless"])
def either(request: pytest.FixtureRequest) -> Page:
    """A browser with and one without JavaScript."""
    found: Page = request.getfixturevalue(request.param)
    return found


def sent(page: Page) -> dict[str, str]:
    """What the form would send, with the line ends that were typed."""
    return {name: text.replace("\r\n", "\n") for name, text in page.sent().items()}


def test_the_keyboard_alone_fills_every_control_and_is_answered(either: Page) -> None:
    either.open("/models/mixed")
    for name, keys in TYPED.items():
        for _ in range(40):
            if either.focused().get_dom_attribute("name") == name:
                break
            either.press(TAB)
        either.press(*keys)
    assert sent(either) == SENT
    while either.focused().tag_name != "button":
        either.press(TAB)
    either.press(ENTER)
    either.until(lambda: either.all(".result"))
    assert sent(either) == SENT
    answer = httpx.post(f"{either.url}/models/mixed/predict", json=SENT).json()
    words = {0: "did not survive", 1: "survived"}
    assert either.text(".result strong") == words[answer["prediction"]]


def test_the_link_to_a_result_gives_every_value_again(either: Page) -> None:
    either.open("/models/mixed")
    either.enter(**{**SENT, "boarded": "04111912", "woken": "04141912\t1140PM"})
    either.submit()
    told = either.text(".result")
    either.follow("Link to this result")
    assert either.text(".result") == told
    assert sent(either) == SENT


def test_an_untouched_form_is_told_what_each_column_needs(either: Page) -> None:
    either.open("/models/mixed")
    chosen = [button.get_dom_attribute("value") for button in either.all("input:checked")]
    assert chosen == [""], "only what may be unknown is so"
    either.submit()
    columns = [text.split(":")[0] for text in either.texts(".errors a")]
    assert columns == [
        *("Siblings aboard", "sex", "class", "deck", "alone", "boarded", "woken", "note")
    ]


WRONG = {
    "age": "old",
    "siblings": "two",
    "sex": "other",
    "port": PORTS[0],
    "deck": "Z",
    "title": "Captain",
    "boarded": "1912-04-31",
    "woken": "later",
    "note": "",
}
ERRORS = {
    "Age (years)": 'Expected a number, got "old".',
    "Siblings aboard": 'Expected a number, got "two".',
    "sex": 'Expected one of female, male, got "other".',
    "class": "Expected one of 1, 2, 3, got nothing.",
    "Port of embarkation": None,
    "deck": 'Expected one of A, B, C, D, E, got "Z".',
    "title": None,
    "alone": "Expected yes or no, got nothing.",
    "boarded": 'Expected a date such as 2024-12-31, got "1912-04-31".',
    "woken": 'Expected a date such as 2024-12-31, got "later".',
    "note": "Expected a text, got nothing.",
}


def test_every_fault_is_told_by_its_control_and_what_was_entered_is_kept(either: Page) -> None:
    either.open(f"/models/mixed/predict?{httpx.QueryParams(WRONG)}")
    boxes = either.all("form .field")
    assert len(boxes) == len(ERRORS)
    for box, (name, message) in zip(boxes, ERRORS.items(), strict=True):
        control = the_control(box)
        described = (control.get_dom_attribute("aria-describedby") or "").split()
        told = [either.text(f"#{element}") for element in described]
        assert control.accessible_name == name
        assert (control.get_dom_attribute("aria-invalid") == "true") == (message is not None)
        assert (message in told) == (message is not None)
        assert [element.text for element in box.find_elements("css selector", ".error")] == (
            [] if message is None else [message]
        )
        assert (control.aria_role == "radiogroup") == (control.tag_name == "fieldset")
    kept = {"boarded": "1912-04-31", "woken": "later", "title": "Captain", "age": "old"}
    assert sent(either) == {
        **{**kept, "siblings": "two", "port": PORTS[0], "deck": "", "note": ""},
    }


def the_control(box: WebElement) -> WebElement:
    if box.tag_name == "fieldset":
        return box
    (control,) = box.find_elements("css selector", "input, select, textarea")
    return control


def test_each_link_of_the_summary_leads_to_its_control(page: Page) -> None:
    page.open(f"/models/mixed/predict?{httpx.QueryParams(WRONG)}")
    links = len(page.all(".errors a"))
    assert links == sum(message is not None for message in ERRORS.values())
    for i in range(links):
        link = page.all(".errors a")[i]
        name = link.text.split(":")[0]
        link.click()
        box = page.until(lambda: page.focused().find_element("xpath", "ancestor::*[@class][1]"))
        while "field" not in (box.get_dom_attribute("class") or "").split():
            box = box.find_element("xpath", "..")
        assert the_control(box).accessible_name.split(" (")[0] == name


def test_the_corrected_form_is_answered(either: Page) -> None:
    either.open(f"/models/mixed/predict?{httpx.QueryParams(WRONG)}")
    # What was no date stands in a plain field.
    either.enter(**SENT)
    either.submit()
    assert either.all(".errors, .error") == []
    assert sent(either) == SENT
    assert either.text(".result strong") in ("survived", "did not survive")


def test_known_categories_are_suggested_where_others_may_be_entered(page: Page) -> None:
    page.open("/models/mixed")
    field = page.one("[name=title]")
    options = page.run("return [...arguments[0].list.options].map(each => each.value)", field)
    assert options == ["Dr", "Mr", "Mrs"]


def test_names_of_any_characters_are_labels_and_get_the_answer_of_the_api(either: Page) -> None:
    either.open("/models/awkward")
    fields = either.all("form input")
    assert [field.get_property("name") for field in fields] == list(AWKWARD)
    assert [field.accessible_name for field in fields] == [" ".join(n.split()) for n in AWKWARD]
    values = [str(i / 4) for i in range(len(AWKWARD))]
    either.fill(*values)
    either.submit()
    row = dict(zip(AWKWARD, map(float, values), strict=True))
    answer = httpx.post(f"{either.url}/models/awkward/predict", json=row).json()
    np.testing.assert_allclose(float(either.text(".result strong")), answer["prediction"], 1e-5)
    told = either.text(".result")
    either.follow("Link to this result")
    assert (either.text(".result"), either.values()) == (told, values)
    either.fill(*[""] * len(AWKWARD))
    either.submit()
    assert len(either.all(".error")) == len(AWKWARD)
    either.all(".errors a")[-1].click()
    either.until(lambda: either.focused().get_dom_attribute("name") == AWKWARD[-1])
    assert either.run("return window.ran") is None


def test_each_target_has_its_heading_and_its_table(page: Page) -> None:
    page.open("/models/several/predict?x0=1&x1=2")
    assert page.texts(".result h2") == ["water: warm", "Wind at sea: storm"]
    tables = page.all(".result table")
    assert [
        sorted(each.text for each in table.find_elements("css selector", "th")) for table in tables
    ] == [["cold", "warm"], ["calm", "storm"]]
    page.open("/models/numbers/predict?x0=1&x1=1")
    assert page.texts(".result h2") == ["mass: 4 kg", "length: 6"]


def test_500_fields_are_sent_and_come_back(page: Page) -> None:
    page.open("/models/many")
    page.run("for (const each of document.forms[0].elements) each.value = '0.25'")
    page.submit()
    assert page.all(".result")
    assert page.values() == ["0.25"] * 500
