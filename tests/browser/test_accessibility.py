"""What a machine can tell of every page: axe-core finds nothing that keeps a person out, and the
HTML is without an error."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import httpx
import pytest

from ..conftest import Server
from .conftest import absent
from .page import Page
from .test_every_page import every_page, show

pytestmark = pytest.mark.browser

LOOKS = [(width, scheme) for width in (320, 1280) for scheme in ("light", "dark")]

AXE = """
const done = arguments[arguments.length - 1];
axe.run({exclude: arguments[0]}, {resultTypes: ["violations"]})
  .then((found) => done(found.violations), (error) => done(String(error)));
"""

Parse = Callable[[str], None]


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    if find_spec("axe_core_python") is None:
        absent("This test needs axe-core-python.")
    return (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def parse() -> Parse:
    """Parses a document, and raises at its first error."""
    if find_spec("html5lib") is None:
        absent("This test needs html5lib.")
    import html5lib

    def parse(text: str) -> None:
        html5lib.HTMLParser(strict=True).parse(text)

    return parse


def barriers(page: Page, *, outside: str) -> list[tuple[str, str, list[str]]]:
    """What axe-core finds serious or critical: the rule, what it asks for, and the elements. What
    lies in the element of the selector `outside` is not looked at."""
    found: list[dict[str, Any]] | str = page.driver.execute_async_script(AXE, [[outside]])
    assert not isinstance(found, str), found
    return [
        (rule["id"], rule["help"], [node["html"] for node in rule["nodes"]])
        for rule in found
        if rule["impact"] in {"serious", "critical"}
    ]


@every_page
def test_nothing_on_a_page_keeps_a_person_out(page: Page, axe: str, path: str) -> None:
    """Narrow and wide, light and dark; Swagger UI, which is not ours, is left out."""
    show(page, path)
    page.run(axe)
    for width, scheme in LOOKS:
        page.look(width, scheme=scheme)
        assert barriers(page, outside="#swagger-ui") == [], (width, scheme)


def test_a_barrier_would_be_found(page: Page, axe: str) -> None:
    page.open("/models/iris")
    page.run('document.querySelector("label").remove(); document.title = ""')
    page.run(axe)
    assert {rule for rule, *_ in barriers(page, outside="#none")} >= {"label", "document-title"}


@every_page
def test_the_html_of_a_page_is_without_an_error(server: Server, parse: Parse, path: str) -> None:
    answer = httpx.get(server.url + path, headers={"Accept": "text/html"}, timeout=30)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    parse(answer.text)


def test_an_error_in_html_would_be_found(parse: Parse) -> None:
    with pytest.raises(Exception, match="Unexpected end tag"):
        parse("<!doctype html><title>One</title><p>Two</b></p>")
