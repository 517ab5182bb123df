"""Who gets HTML and who JSON, as a table of (Accept, Content-Type)."""

from __future__ import annotations

import json

import pytest
from quart import Quart, Response, request

from quart_app.negotiation import html_response, json_response, kind_wanted, varied, wants_html

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

TABLE: list[tuple[str | None, str | None, bool]] = [
    # No preference: pages for who posts a form, JSON for everyone else.
    (None, None, False),
    (None, "application/json", False),
    (None, "text/csv", False),
    (None, FORM, True),
    (None, FORM + "; charset=utf-8", True),
    (None, FORM.upper(), True),
    (None, MULTIPART, True),
    ("", None, False),
    ("", FORM, True),
    ("*/*", None, False),
    ("*/*", "application/json", False),
    ("*/*", FORM, True),
    ("*/*", MULTIPART, True),
    ("*/*;q=0.8", FORM, True),
    # text/html is named: pages, whatever the body.
    (CHROME, None, True),
    (CHROME, FORM, True),
    (CHROME, "application/json", True),
    ("text/html", None, True),
    ("text/html", "application/json", True),
    ("TEXT/HTML", None, True),
    ("text/html;charset=utf-8", None, True),
    ("text/html;q=0.1", None, True),
    ("*/*, text/html;q=0.1", None, True),
    # Refused, or liked less than JSON.
    ("text/html;q=0", None, False),
    ("text/html;q=0, */*", FORM, False),
    ("application/json, text/html;q=0.9", None, False),
    ("application/json, text/html;q=0.9", FORM, False),
    ("application/json;q=0.9, text/html", None, True),
    ("application/json, text/html", None, True),
    # Something else is named.
    ("application/json", None, False),
    ("application/json", FORM, False),
    ("application/json", MULTIPART, False),
    ("application/json, */*", FORM, False),
    ("text/*", None, False),
    ("text/*", FORM, False),
    ("text/plain, */*", FORM, False),
    ("image/png", FORM, False),
    ("application/xhtml+xml", None, False),
    ("not a media type", None, False),
    (";;,,", None, False),
]


@pytest.mark.parametrize(("accept", "content_type", "html"), TABLE)
async def test_html_goes_to_who_names_it_or_posts_a_form_without_a_preference(
    accept: str | None, content_type: str | None, html: bool
) -> None:
    headers = {"Accept": accept, "Content-Type": content_type}
    sent = {name: value for name, value in headers.items() if value is not None}
    async with Quart("negotiation").test_request_context("/", method="POST", headers=sent):
        assert wants_html(request) is html


# What is wanted where a page is usual, and where JSON is.
KINDS: list[tuple[str | None, str | None, str, str]] = [
    (None, None, "page", "json"),
    ("*/*", None, "page", "json"),
    (None, "application/json", "json", "json"),
    (None, FORM, "page", "page"),
    (CHROME, "application/json", "page", "page"),
    ("application/json", None, "json", "json"),
    ("application/json", FORM, "json", "json"),
    ("application/json, text/plain, */*", FORM, "json", "json"),
    ("text/plain", None, "text", "text"),
    ("text/plain", FORM, "text", "text"),
    ("text/plain, */*", "application/json", "text", "text"),
    ("text/plain, application/json;q=0.9", None, "text", "text"),
    ("text/plain;q=0.9, application/json", None, "json", "json"),
    ("text/plain, text/html", None, "page", "page"),
    ("text/plain, text/html;q=0", None, "text", "text"),
    ("text/plain;q=0", None, "json", "json"),
    ("image/png", None, "json", "json"),
]


@pytest.mark.parametrize(("accept", "content_type", "page", "json_"), KINDS)
async def test_plain_text_goes_to_who_likes_it_best_and_the_usual_kind_to_who_says_nothing(
    accept: str | None, content_type: str | None, page: str, json_: str
) -> None:
    headers = {"Accept": accept, "Content-Type": content_type}
    sent = {name: value for name, value in headers.items() if value is not None}
    async with Quart("negotiation").test_request_context("/", method="POST", headers=sent):
        assert kind_wanted(request, usual="page") == page
        assert kind_wanted(request, usual="json") == json_


def test_an_answer_that_depends_on_accept_says_so() -> None:
    response = varied(Response(b""))
    assert response.headers["Vary"] == "Accept"
    assert varied(response).headers["Vary"] == "Accept"


async def test_json_and_pages_name_their_kind_and_status() -> None:
    answer = json_response({"a": [1, "ö"]}, 202)
    assert (answer.status_code, answer.content_type) == (202, "application/json")
    assert json.loads(await answer.get_data()) == {"a": [1, "ö"]}
    page = html_response("<p>ö</p>", 404)
    assert (page.status_code, page.content_type) == (404, "text/html; charset=utf-8")
    assert await page.get_data() == "<p>ö</p>".encode()
