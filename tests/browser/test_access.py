"""What the headers of answers mean to a real browser, and what it says of pages of other sites."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import Server, serving
from .page import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def other(bundled_root: Path, tmp_path: Path) -> Iterator[Server]:
    """A server whose pages are of another origin."""
    with serving(cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root) as running:
        running.wait_until_ready()
        yield running


KEY = "a-random-key"


@pytest.fixture
def closed(bundled_root: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that predicts with a key alone."""
    folder = tmp_path / "closed"
    folder.mkdir()
    settings = {
        "QUART_APP_KEYS_FOR": "predictions",
        "QUART_APP_API_KEYS": f"ann:{hashlib.sha256(KEY.encode()).hexdigest()}:exam",
    }
    with serving(cwd=folder, QUART_APP_MODEL_STORE=bundled_root, **settings) as running:
        running.wait_until_ready()
        yield running


def test_a_key_that_was_entered_works_forms_and_no_page_of_another_site(
    page: Page, other: Server, closed: Server
) -> None:
    page.obey(policies=False)  # pages are to stand for those of others
    address = f"127.0.0.1:{closed.port}/models/exam"
    # As if it were entered where the browser asks for it.
    page.driver.get(f"http://ann:{KEY}@{address}/predict?X1=61.1&X2=17.3")
    assert page.text("h1") == "Exam"
    page.driver.get(f"http://{address}")
    page.fill("61.1", "17.3")
    page.submit()
    assert page.text("h1") == "Exam"
    assert "Signed in with the API key ann. Closing the browser" in page.text("footer")
    for method, model, title in (
        ("post", "exam", "Error 403"),
        ("get", "exam", "Exam"),
        ("get", "iris", "Error 403"),
    ):
        page.driver.get(f"http://localhost:{other.port}/models/exam")
        page.run(POST, f"http://127.0.0.1:{closed.port}/models/{model}/predict", method)
        page.until(lambda: page.driver.current_url.startswith(f"http://127.0.0.1:{closed.port}"))
        assert page.text("h1") == title, (method, model)


POST = """
const form = document.createElement("form");
form.method = arguments[1];
form.action = arguments[0];
form.innerHTML = '<input name="X1" value="61.1"><input name="X2" value="17.3">';
document.body.append(form);
form.submit();
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same-site", "cross-site"])
def test_a_form_of_another_site_is_refused_unless_it_only_asks(
    host: str, page: Page, other: Server
) -> None:
    page.obey(policies=False)  # the page is to stand for one of others
    for method, path, title in (
        ("post", "/tour/tasks", "Error 403"),
        ("post", "/models/exam/predict", "Exam"),
        ("get", "/models/exam/predict", "Exam"),
    ):
        page.driver.get(f"http://{host}:{other.port}/models/exam")
        page.run(POST, page.url + path, method)
        page.until(lambda: page.driver.current_url.startswith(page.url))
        assert title in page.text("h1")


INLINE = """
const script = document.createElement("script");
script.textContent = "window.ran = true";
document.body.append(script);
const style = document.createElement("style");
style.textContent = "h1 { position: fixed }";
document.head.append(style);
return [window.ran === true, getComputedStyle(document.querySelector("h1")).position];
"""


@pytest.mark.parametrize("path", ["/", "/docs", "/tour/stops/prime", "/nothing"])
def test_a_script_or_style_that_stands_in_a_page_has_no_effect(path: str, page: Page) -> None:
    page.open(path)
    assert page.run(INLINE) == [False, "static"]
    page.obey(policies=False)
    page.open(path)
    assert page.run(INLINE) == [True, "fixed"]


def test_a_page_cannot_be_framed_by_another_site(page: Page, other: Server) -> None:
    page.obey(policies=False)
    page.driver.get(f"http://localhost:{other.port}/")
    page.run(
        "const frame = document.createElement('iframe');"
        "frame.src = arguments[0]; document.body.append(frame);",
        f"{page.url}/models/exam",
    )
    page.until(lambda: any("frame" in error.lower() for error in page.console_errors()))
