"""Which modules another process of this environment finds: those of installed packages.

A notebook or a script imports what lies beside it as well, and a server does not.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType
from typing import Final
from urllib.parse import unquote, urlsplit

OURS: Final = frozenset({"model_store", "quart_app"})
"""They run where a version is served, installed or not."""


def is_installed(module: str) -> bool:
    """Whether a module, which is imported, is of the standard library or of an installed package.

    A package that is installed in place (editable) is one: a `.pth` file leads to its folder, or
    its own importer does.
    """
    top = module.split(".")[0]
    if top == "__main__":
        return False
    place = place_of(module)
    if place is None:
        return _is_compiled_in(module)
    return any(_holds(folder, place) for folder in _folders(top))


def local_imports(source: bytes) -> list[str]:
    """The modules that code imports, anywhere in it, and that are found here but would not be
    elsewhere: those of no installed package, and relative ones."""
    found: dict[str, None] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            found["." * node.level + (node.module or "")] = None
    return [name for name in found if name.startswith(".") or _is_local(name)]


def _is_local(module: str) -> bool:
    """Whether a module lies here and is of no installed package. One that is not found may be one
    that the code does without."""
    top = module.split(".")[0]
    if top in OURS:
        return False
    if top in sys.modules:
        return not is_installed(top)
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None or top in sys.stdlib_module_names:
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    folders = list(_folders(top))
    return any(
        place is not None and not any(_holds(folder, Path(place)) for folder in folders)
        for place in places
    )


def is_package(module: str) -> bool:
    """Whether a module that is found here has modules within it."""
    found = sys.modules.get(module) or importlib.util.find_spec(module)
    spec = getattr(found, "__spec__", found)
    return getattr(spec, "submodule_search_locations", None) is not None


def place_of(module: str) -> Path | None:
    """The file of a module that is imported, or the first folder of its package; None where it is
    not imported or has none."""
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    if file is None and isinstance(found, ModuleType):
        file = next(iter(getattr(found, "__path__", ())), None)
    return None if file is None else Path(os.path.abspath(file))


def _is_compiled_in(module: str) -> bool:
    """Whether Python itself brings a module that has no file, or finds it once it is imported."""
    return module.split(".")[0] in {*sys.builtin_module_names, *sys.stdlib_module_names}


def _folders(top: str) -> Iterator[Path]:
    """The folders below which the package `top` lies if it is installed."""
    paths = sysconfig.get_paths()
    yield from (Path(paths[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    for folder in _site_folders():
        yield folder
        yield from _added(folder)
    for name in importlib.metadata.packages_distributions().get(top, ()):
        distribution = importlib.metadata.distribution(name)
        yield Path(str(distribution.locate_file("")))
        yield from _in_place(distribution)


def _site_folders() -> list[Path]:
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [Path(folder) for folder in (*site.getsitepackages(), *user)]


def _added(folder: Path) -> Iterator[Path]:
    """The folders that the `.pth` files of a folder add to the path of each process."""
    for file in sorted(folder.glob("*.pth")):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in map(str.strip, lines):
            if line and not line.startswith(("#", "import ", "import\t")):
                yield folder / line


def _in_place(distribution: Distribution) -> Iterator[Path]:
    """The folder of the sources of a distribution that is installed in place."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        editable, address = origin["dir_info"]["editable"], urlsplit(origin["url"])
    except (ValueError, KeyError, TypeError):
        return
    if editable and address.scheme == "file":
        yield Path(unquote(address.path))


def _holds(folder: Path, place: Path) -> bool:
    return os.path.realpath(place).startswith(os.path.join(os.path.realpath(folder), ""))
