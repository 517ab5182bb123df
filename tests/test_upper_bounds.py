"""A package whose internals are used here has an upper bound: its next minor may change them."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import model_store
import quart_app

ROOT = Path(__file__).parent.parent
OURS = ("model_store", "quart_app")

# Classes whose packages say that they are there to be derived from.
DOCUMENTED = {
    "jinja2.loaders.FileSystemLoader",
    "limits.storage.base.Storage",
    "msgspec.Struct",
    "opentelemetry.sdk.trace.SpanProcessor",
    "prometheus_client.registry.Collector",
    "quart.cli.QuartGroup",
    "quart.routing.QuartRule",
    "werkzeug.routing.converters.BaseConverter",
}

# Whose attributes a folder reads where the code does not say of which class an object is.
READ_BY = {"model_store": "sklearn"}

# What every named tuple has, and documents.
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

Use = tuple[str, str]
"""A top-level package, and what of it is used where."""


def source_modules() -> list[ModuleType]:
    """All modules of ours but those that run when they are imported."""
    return [
        importlib.import_module(found.name)
        for package in (model_store, quart_app)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not found.name.endswith("__main__")
    ]


def tree_of(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def top(name: str) -> str:
    return name.partition(".")[0]


def is_foreign(name: str) -> bool:
    """Whether a module is neither ours nor Python's."""
    return top(name) not in {*OURS, *sys.stdlib_module_names, "builtins"}


def imported(module: ModuleType) -> Iterator[Use]:
    """Private names that a module imports."""
    for node in ast.walk(tree_of(module)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        for name in names:
            if is_foreign(name) and any(map(is_private, name.split("."))):
                yield top(name), f"{module.__name__} imports {name}"


def classes(module: ModuleType) -> Iterator[type]:
    for found in vars(module).values():
        if inspect.isclass(found) and found.__module__ == module.__name__:
            yield found


def foreign_bases(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if is_foreign(base.__module__)]


def derived(kind: type) -> Iterator[Use]:
    """Classes that a class is derived from and that are not there for it."""
    for base in kind.__bases__:
        name = f"{base.__module__}.{base.__qualname__}"
        if is_foreign(base.__module__) and name not in DOCUMENTED:
            yield top(base.__module__), f"{kind.__qualname__} is derived from {name}"


def inherited(kind: type) -> Iterator[Use]:
    """Private names of the classes that a class is derived from, which it defines anew or uses."""
    bases = foreign_bases(kind)
    if not bases:
        return
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    methods = {node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS)}
    reads, writes = private_names(tree)
    for name in sorted(reads | set(filter(is_private, methods))):
        owners = [base for base in bases if name in vars(base)]
        if not owners and name not in writes | set(dir(kind)):
            owners = bases  # an attribute that one of them gives its objects
        for owner in owners:
            yield top(owner.__module__), f"{kind.__qualname__} uses {name}"


def private_names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Private attributes of `self` and `super()` that are read, and those that are set."""
    reads: set[str] = set()
    writes: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not is_private(node.attr):
            continue
        if ast.unparse(node.value) in {"self", "super()"}:
            (writes if isinstance(node.ctx, ast.Store) else reads).add(node.attr)
    return reads, writes


def read(module: ModuleType, own: set[str]) -> Iterator[Use]:
    """Private attributes of objects that are not made here, by what is not ours."""
    for node in ast.walk(tree_of(module)):
        if not isinstance(node, ast.Attribute) or not is_private(node.attr) or node.attr in own:
            continue
        holder = ast.unparse(node.value)
        if holder in {"self", "cls", "super()"} or holder in sys.stdlib_module_names:
            continue
        yield (
            READ_BY.get(top(module.__name__), "?"),
            f"{module.__name__} reads {holder}.{node.attr}",
        )


def own_names() -> set[str]:
    """Every private name that is defined or set in our own code."""
    found = set()
    for module in source_modules():
        for node in ast.walk(tree_of(module)):
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return found | NAMED_TUPLE


def uses() -> dict[str, list[str]]:
    """What is used of the internals of each package."""
    own = own_names()
    found: dict[str, list[str]] = {}
    for module in source_modules():
        parts = [imported(module), read(module, own)]
        for kind in classes(module):
            parts += [derived(kind), inherited(kind)]
        for part in parts:
            for package, use in part:
                found.setdefault(package, []).append(use)
    return found


@pytest.fixture(scope="module")
def used() -> dict[str, list[str]]:
    """The same, found once: it takes seconds, which whoever collects the tests has not."""
    return uses()


def requirements() -> list[Requirement]:
    """What is required, by the plain install or by an extra that users install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return [found for found in map(Requirement, lines) if found.name != project["name"]]


def test_internals_of_the_packages_that_are_known_for_it_are_found(
    used: dict[str, list[str]],
) -> None:
    expected = {"h11", "hypercorn", "quart_schema", "sklearn", "uvicorn", "werkzeug"}
    assert set(used) >= expected
    assert "?" not in used, used["?"]


def test_a_package_whose_internals_are_used_ends_below_the_next_minor(
    used: dict[str, list[str]],
) -> None:
    distributions = importlib.metadata.packages_distributions()
    unbounded = {}
    for package in sorted(set(used) - {"?"}):
        (distribution,) = set(distributions[package])
        found = bounds_of(distribution)
        if set(found.values()) != {next_minor(distribution)}:
            unbounded[distribution] = found, used[package]
    assert unbounded == {}


def bounds_of(distribution: str) -> dict[str, frozenset[str]]:
    """Below which version each line that requires it has it."""
    return {
        str(line): frozenset(part.version for part in line.specifier if part.operator == "<")
        for line in requirements()
        if canonicalize_name(line.name) == canonicalize_name(distribution)
    }


def next_minor(distribution: str) -> frozenset[str]:
    major, minor, *_ = Version(importlib.metadata.version(distribution)).release
    return frozenset({f"{major}.{minor + 1}"})
