"""An app that is made elsewhere: `--app MODULE:NAME` names the function that makes it."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
from quart import Quart

from ..context import EXTENSION

MakeApp = Callable[..., Quart]

FUNCTION: Final = "a function that makes the app, such as `def create(**settings)`"


def _found(context: click.Context, option: click.Parameter, value: str | None) -> MakeApp | None:
    """The function that MODULE:NAME names. The module is imported, also from the working directory.

    What goes wrong inside the module is raised as it is, with its traceback.
    """
    if value is None:
        return None
    module_name, _, name = value.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise click.BadParameter(f"expected MODULE:NAME, got {value!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise click.BadParameter(
            f"there is no module {error.name!r} in {here}, and none that is installed"
        ) from None
    if not hasattr(module, name):
        raise click.BadParameter(f"the module {module_name!r} has no {name!r}")
    function = getattr(module, name)
    if not inspect.isroutine(function):
        raise click.BadParameter(
            f"expected {FUNCTION}; {value} is of type {type(function).__name__}"
        )
    return function


app_option: Callable[[Any], Any] = click.option(
    "--app",
    "factory",
    metavar="MODULE:NAME",
    callback=_found,
    help="The function that makes the app, where it is yours.",
)


def make(factory: MakeApp, settings: Mapping[str, Any], **placed: Any) -> Quart:
    """The app that the function makes with these settings, and with what `create_app` is to know
    where there are several workers.

    Raises:
        click.UsageError: it does not take them, or makes something else.
    """
    called = f"{factory.__module__}:{factory.__name__}"
    try:
        inspect.signature(factory).bind(**settings, **placed)
    except TypeError as error:
        raise click.UsageError(f"--app: expected {FUNCTION}; {called}: {error}") from None
    app = factory(**settings, **placed)
    if not isinstance(app, Quart) or EXTENSION not in app.extensions:
        raise click.UsageError(
            f"--app: {called} must return what quart_app.create_app made, got {app!r}"
        )
    return app
