"""Options that several commands take, and how they become settings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import click

from ..server.inherited import FORMAT

Option = Callable[[Any], Any]

store_option: Option = click.option(
    "--store", metavar="PLACE", help="Where the published models are: a folder, or s3://…."
)
json_option: Option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
version_option: Option = click.option(
    "--version", help="A number or an alias; the one that serves."
)
allow_version_option: Option = click.option(
    "--allow-version",
    is_flag=True,
    help="Load models that were trained with another minor of scikit-learn.",
)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Log to what stderr is now, and no more to what it was."""
    logging.basicConfig(level=level, format=FORMAT, force=True)


def settings(**given: Any) -> dict[str, Any]:
    """Options that were given, as settings; an option that was not leaves the setting alone."""
    return {
        name.upper(): value
        for name, value in given.items()
        if value is not None and value is not False
    }
