"""The site of the documentation: built strictly, whole, and without another server."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

from .documents import ROOT

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the extra docs"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


class Fetched(HTMLParser):
    """What a browser fetches for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.urls.append(found.get("src") or "")
        elif tag == "link" and found.get("rel") not in ("canonical", "prev", "next"):
            self.urls.append(found.get("href") or "")


def test_every_document_is_a_page(site: Path) -> None:
    documents = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    pages = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    outside = {"security.md", "contributing.md", "changelog.md", "bench.md", "404.md"}
    assert pages == documents | {Path(name) for name in outside}


def test_no_page_fetches_from_another_server(site: Path) -> None:
    for page in site.rglob("*.html"):
        parser = Fetched()
        parser.feed(page.read_text())
        assert parser.urls
        for url in parser.urls:
            assert "://" not in url, (page.name, url)
            folder = site if url.startswith("/") else page.parent  # only on the page of a 404
            assert (folder / url.partition("?")[0].lstrip("/")).exists(), (page.name, url)


def test_no_script_or_stylesheet_names_another_server(site: Path) -> None:
    names = r"unpkg\.com|jsdelivr|googleapis|gstatic|cdnjs"
    for path in [*site.rglob("*.js"), *site.rglob("*.css")]:
        assert not re.search(names, path.read_text()), path.name
    # The theme asks these for the figures of a repository, where the header has one.
    assert 'data-md-component="source"' not in (site / "index.html").read_text()


def test_the_python_api_is_generated(site: Path) -> None:
    page = (site / "api/model_store.html").read_text()
    for name in ("ModelStore.publish", "ModelStore.load", "Model.answer", "score"):
        assert re.search(rf'id="model_store\.(\w+\.)*{re.escape(name)}"', page), name
    assert 'id="quart_app.client.AsyncClient.predict"' in (site / "api/client.html").read_text()
