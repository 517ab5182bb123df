"""Where templates come from: a folder of the operator's own, and behind it the bundled ones.

A file in the folder stands for the bundled one of the same name. The bundled one is then still
there as `bundled/NAME`, so that the file can extend it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    Template,
    TemplateSyntaxError,
)
from quart import Quart

BUNDLED: Final = "bundled"


class _Folder(FileSystemLoader):
    """Says which file it was that is no text; Jinja itself names the files of all other errors."""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        try:
            return super().get_source(environment, template)
        except UnicodeDecodeError as error:
            path = str(Path(self.searchpath[0], template))
            raise TemplateSyntaxError(f"no UTF-8: {error}", 1, template, path) from error


def register(app: Quart, folder: Path | None) -> None:
    """Let the app take templates from the folder, which may be None, before the bundled ones."""
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    loaders: list[BaseLoader] = [_bundled(), PrefixLoader({BUNDLED: _bundled()})]
    if folder is not None:
        loaders.insert(0, _Folder(folder.absolute()))
    app.jinja_loader = ChoiceLoader(loaders)


def bundled_template(app: Quart, name: str) -> Template:
    """The bundled template, which extends and imports bundled ones only, with what the app's own
    templates know."""
    return app.jinja_env.overlay(loader=_bundled()).get_template(name)


def _bundled() -> FileSystemLoader:
    """In a wheel the templates lie in the package, in a checkout beside it."""
    package = Path(__file__).parent
    inside = package / "templates"
    return FileSystemLoader(inside if inside.is_dir() else package.parent / "templates")
