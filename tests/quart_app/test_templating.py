"""Templates of the operator's own before the bundled ones, also broken ones."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart.typing import TestClientProtocol as Client

from quart_app import create_app
from quart_app.context import context_of

from ..conftest import started

HTML = {"Accept": "text/html"}
IRIS = "/models/iris"
SENTENCE = "Something went wrong here. It has been logged."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The operator's folder, empty."""
    path = tmp_path / "templates"
    path.mkdir()
    return path


@pytest.fixture
async def client(bundled_root: Path, folder: Path) -> AsyncIterator[Client]:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", TEMPLATES=folder)
    async with started(app) as running:
        yield running.test_client()


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


async def page(client: Client, path: str, status: int = 200) -> str:
    response = await client.get(path, headers=HTML)
    assert response.status_code == status
    assert response.mimetype == "text/html"
    return await response.get_data(as_text=True)


async def test_a_file_stands_for_the_bundled_template_of_its_name_and_for_no_other(
    client: Client, folder: Path
) -> None:
    write(folder, "pages/home.html", "{{ models | length }} models of ours")
    assert await page(client, "/") == "5 models of ours"
    assert "<h1>Iris</h1>" in await page(client, IRIS)


async def test_a_template_extends_the_bundled_one_of_its_own_name(
    client: Client, folder: Path
) -> None:
    write(
        folder,
        "pages/model.html",
        '{% extends "bundled/pages/model.html" %}'
        "{% block main %}<p>Ours</p>{{ super() }}{% endblock %}",
    )
    found = await page(client, IRIS)
    assert re.search(r'<main id="main">\s*<p>Ours</p><h1>Iris</h1>', found)
    assert 'name="sepal length (cm)"' in found


async def test_a_base_of_ones_own_is_that_of_every_page(client: Client, folder: Path) -> None:
    write(
        folder,
        "base.html",
        '{% extends "bundled/base.html" %}{% block head %}<meta name="ours">{% endblock %}',
    )
    for path, status in (("/", 200), (IRIS, 200), ("/docs", 200), ("/home", 200), ("/no", 404)):
        assert '<meta name="ours">' in await page(client, path, status), path


async def test_the_page_of_an_error_is_a_template_like_the_others(
    client: Client, folder: Path
) -> None:
    write(folder, "error.html", "{{ status }}: {{ message }}")
    assert await page(client, "/no", 404) == "404: There is nothing at this address."


BROKEN = {
    "syntax": "<p>\n{% if %}",
    "a template that is not there": '<p>\n{% include "nothing.html" %}',
    "a failing expression": "<p>\n{{ nothing.at.all }}",
    "itself": '\n{% extends "base.html" %}',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
async def test_a_broken_base_is_named_with_its_line_and_the_page_of_the_error_is_whole(
    client: Client, folder: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(folder, "base.html", text)
    found = await page(client, "/", 500)
    assert f'File "{path}", line 2' in caplog.text
    assert SENTENCE in found
    assert found.startswith("<!doctype html>")
    assert found.rstrip().endswith("</html>")
    assert str(path) not in found


async def test_a_file_that_is_no_text_is_named(
    client: Client, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "base.html"
    path.write_bytes(b"\xff\xfe")
    assert SENTENCE in await page(client, "/", 500)
    assert f'File "{path}", line 1' in caplog.text
    assert "no UTF-8" in caplog.text


async def test_a_broken_page_of_errors_gives_way_to_the_bundled_one(
    client: Client, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(folder, "error.html", "{% block main %}")
    found = await page(client, "/no", 404)
    assert found.startswith("<!doctype html>")
    assert "There is nothing at this address." in found
    assert f'File "{path}", line 1' in caplog.text


async def test_where_no_page_can_be_made_the_sentence_is_told(
    bundled_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="")
    app.jinja_env.globals["url_for"] = None
    async with started(app) as running:
        response = await running.test_client().get("/no", headers=HTML)
        assert response.status_code == 404
        assert response.mimetype == "text/plain"
        assert await response.get_data(as_text=True) == "There is nothing at this address."
    assert "The bundled page of the error could not be made." in caplog.text


async def test_apps_in_one_process_do_not_share_templates(
    client: Client, bundled_root: Path, folder: Path
) -> None:
    write(folder, "pages/home.html", "ours")
    other = create_app(MODEL_STORE=bundled_root, RECIPES="")
    assert context_of(other).config.templates is None
    async with started(other) as running:
        assert await page(client, "/") == "ours"
        assert f'href="{IRIS}"' in await page(running.test_client(), "/")
