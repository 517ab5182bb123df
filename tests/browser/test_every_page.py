"""What holds on every page: it fits a phone, can be read in the light and in the dark, loads
nothing from elsewhere, and shows names as text."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from ..kinds import AWKWARD
from .conftest import ODD_CLASSES, ODD_NAMES, ODD_TITLE, WIDE
from .page import Page

pytestmark = pytest.mark.browser

DIABETES = {"age": 59, "sex": 2, "bmi": 32.1, "bp": 101, "s1": 157, "s2": 93.2}
DIABETES |= {"s3": 38, "s4": 4, "s5": 4.86, "s6": 87}

PAGES = {
    "home": "/",
    "form": "/models/iris",
    "result": "/models/exam/predict?X1=70&X2=80",
    "result that is a number": "/models/diabetes/predict?" + urlencode(DIABETES),
    "errors": "/models/iris/predict?" + urlencode({"sepal length (cm)": "w" * 200, "x" * 90: "1"}),
    "odd": "/models/odd/predict?" + urlencode(dict.fromkeys(ODD_NAMES, "1")),
    "wide": f"/models/{WIDE}",
    "wide result": f"/models/{WIDE}/predict?"
    + urlencode({f"{i}_{'without_a_space_' * 6}": "-1" for i in range(30)}),
    "wide errors": f"/models/{WIDE}/predict?0=1",
    "about": "/models/exam/about",
    "live": "/models/exam/live",
    "live of odd names": "/models/odd/live",
    "live of nothing": "/models/mixed/live",
    "every kind": "/models/mixed",
    "every kind of error": "/models/mixed/predict?" + urlencode({"port": "w" * 70, "deck": "Z"}),
    "long categories": "/models/long",
    "errors of long categories": "/models/long/predict?buttons=1",
    "several targets": "/models/several/predict?x0=1&x1=2",
    "awkward names": "/models/awkward/predict?" + urlencode(dict.fromkeys(AWKWARD, "x")),
    "classic home": "/home",
    "classic result": "/classify?slen=6.3&swid=3.3&plen=6.0&pwid=2.5",
    "classic errors": "/classify?" + urlencode({"slen": "w" * 200, "x" * 90: "1"}),
    "classic sentence": "/?V1=2&V2=50&V3=12500&V4=98",
    "tour": "/tour/",
    "tour stop": "/tour/stops/routes",
    "tour form": "/tour/stops/prime",
    "tour commands": "/tour/stops/tasks",
    "tour list alone": "/tour/list",
    "tour form alone": "/tour/prime",
    "file": "/models/mixed/file",
    "file of a wide model": f"/models/{WIDE}/file",
    "versions": "/models/tried/versions",
    "file of odd names": "/models/odd/file",
    "agents": "/mcp",
    "unknown": "/models/" + "u" * 64,
    "failed": "/models/broken",
}
DOCS = "/docs"

every_page = pytest.mark.parametrize("path", [*PAGES.values(), DOCS], ids=[*PAGES, "docs"])
own_pages = pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
"""Without Swagger UI, which has styles of its own."""


def show(page: Page, path: str) -> None:
    """Open it and wait until it is all there."""
    page.open(path)
    if path == DOCS:
        page.until(lambda: page.all(".opblock"))


@every_page
def test_nothing_scrolls_sideways_on_a_phone(page: Page, path: str) -> None:
    page.look(320)
    show(page, path)
    assert page.run("return document.documentElement.clientWidth") == 320
    assert page.run("return document.documentElement.scrollWidth") == 320


@every_page
def test_nothing_comes_from_elsewhere_and_the_console_has_no_errors(page: Page, path: str) -> None:
    show(page, path)
    requested = page.requested()
    assert f"{page.url}/static/css/style.css" in requested
    elsewhere = [url for url in requested if not url.startswith((f"{page.url}/", "data:"))]
    assert elsewhere == []
    assert page.console_errors() == []
    assert page.run('return document.querySelectorAll("script:not([src])").length') == 0


@own_pages
def test_no_style_is_inline(page: Page, path: str) -> None:
    page.open(path)
    assert page.all("[style], style") == []


@own_pages
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(page: Page, path: str, scheme: str) -> None:
    page.look(scheme=scheme)
    page.open(path)
    found = page.run(COLOURS)
    assert found
    weak = {text: ratio for text, *pair in found if (ratio := contrast(*pair)) < 4.5}
    assert weak == {}
    heading = next(behind for text, _, behind in found if text == page.text("h1"))
    assert (luminance(heading) > 0.5) == (scheme == "light")


COLOURS = """
const behind = (element) => {
  const colour = getComputedStyle(element).backgroundColor;
  return colour === "rgba(0, 0, 0, 0)" ? behind(element.parentElement) : colour;
};
const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number);
return [...document.body.querySelectorAll("*")]
  .filter((element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE
                                                    && node.textContent.trim()))
  .filter((element) => !element.closest("meter"))
  .map((element) => [element.textContent, numbers(getComputedStyle(element).color),
                     numbers(behind(element))]);
"""


def contrast(one: list[float], other: list[float]) -> float:
    """The contrast ratio of WCAG 2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: list[float]) -> float:
    """The relative luminance of an sRGB colour, as WCAG 2 has it."""
    shares = [value / 255 for value in colour[:3]]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def test_html_in_names_is_shown_as_text(page: Page) -> None:
    page.open("/models/odd")
    assert page.text("h1") == ODD_TITLE
    assert tuple(page.texts("label")) == ODD_NAMES
    page.fill("1", "2", "3")
    page.submit()
    assert page.text(".result strong") in ODD_CLASSES
    assert sorted(page.texts(".result th")) == sorted(ODD_CLASSES)
    assert page.values() == ["1", "2", "3"]
    wrong = ['"><script>window.ran="value"</script>', "&lt;", "'"]
    page.open(f"/models/odd/predict?{urlencode(dict(zip(ODD_NAMES, wrong, strict=True)))}")
    assert page.values() == wrong
    assert len(page.all(".error")) == 3
    assert page.run("return window.ran") is None


def test_a_page_that_is_not_there_says_so_and_leads_back(page: Page) -> None:
    for path in ("/models/nothing", "/nothing"):
        page.open(path)
        assert page.text("h1") == "Error 404"
        page.follow("All models")
        assert page.text("h1") == "Ask a model"


def test_a_failed_model_says_why(page: Page) -> None:
    page.open("/models/broken")
    assert "broken failed to load" in page.text("[role=alert]")
    assert page.all("meta[http-equiv=refresh]") == []


def test_the_docs_hold_the_loaded_models_and_try_them(page: Page) -> None:
    show(page, DOCS)
    paths = [element.get_dom_attribute("data-path") for element in page.all("[data-path]")]
    assert {"/models/iris/predict", "/models/exam/predict", "/health/ready"} <= set(paths)
    assert "/models/broken/predict" not in paths
    operation = "[id^=operations-iris-get]"
    page.one(f"{operation} button").click()
    page.until(lambda: page.all(f"{operation} .try-out__btn"))[0].click()
    page.until(lambda: page.all(f"{operation} .execute"))[0].click()
    page.until(lambda: '"prediction": "setosa"' in page.text(f"{operation} .live-responses-table"))
    assert page.console_errors() == []


def test_without_javascript_the_docs_lead_to_the_document(scriptless: Page) -> None:
    scriptless.open(DOCS)
    assert scriptless.all(".opblock") == []
    link = scriptless.one("noscript a")
    assert link.is_displayed()
    assert link.get_dom_attribute("href") == "/openapi.json"
