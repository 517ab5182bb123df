"""What `make docs` does besides: the documents at the root of the repository are pages of the site,
and a link from one document to another holds on the site as it does in the repository."""

from __future__ import annotations

import posixpath
import re
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT_PAGES: Final = {
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "bench/README.md": "bench.md",
    "README.md": "index.md",
}
"""Documents outside of docs/, and where they stand on the site."""
_LINK: Final = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
_POLYFILL: Final = re.compile(r"https://unpkg\.com/[\w@./-]+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents of the root."""
    for source, target in ROOT_PAGES.items():
        if files.get_file_from_path(target) is None:
            files.append(File.generated(config, target, abs_src_path=source))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn each link into one to the page of the site, or to the file in the repository."""
    sources = {target: source for source, target in ROOT_PAGES.items() if source != "README.md"}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def moved(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        target = ROOT_PAGES.get(path, path.removeprefix("docs/"))
        if files.get_file_from_path(target) is None:
            return f"{config.extra['repository']}/blob/main/{path}"
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")

    return _LINK.sub(moved, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Let the theme ask no other server, not even for what only old browsers lack."""
    from pathlib import Path

    for script in Path(config.site_dir, "assets/javascripts").glob("bundle.*.js"):
        script.write_text(_POLYFILL.sub("", script.read_text()))
