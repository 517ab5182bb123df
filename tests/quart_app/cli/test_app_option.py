"""`--app MODULE:NAME`: what it takes, and what it says of what it does not take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from quart_app.cli.main import cli

MODULE = "apps_of_this_test"

SOURCE = """
import json
from quart import Quart
from quart_app import create_app

def create(**settings):
    return create_app(CLASSIC=False, **settings)

def bare():
    return create_app(RECIPES="")

def forgotten(**settings):
    create_app(**settings)

def foreign(**settings):
    return Quart(__name__)

app = create_app(RECIPES="")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with a module."""
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(MODULE)]:
        del sys.modules[name]


def get(app: str, *arguments: str) -> tuple[int, str, str]:
    """`get` of an address that only the bundled app has."""
    result = CliRunner().invoke(cli, ["get", "/classify", "--app", app, *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_app_is_what_the_function_makes_of_the_options(bundled_root: Path) -> None:
    code, told, _ = get(f"{MODULE}:create", "--store", str(bundled_root))
    assert (code, told) == (1, '{"error":"There is nothing at this address."}\n')
    code, told, _ = get("quart_app:create_app", "--store", str(bundled_root))
    assert "There is nothing at this address" not in told


def test_a_function_without_settings_does_where_no_option_is_given() -> None:
    assert get(f"{MODULE}:bare")[0] == 0
    code, _, told = get(f"{MODULE}:bare", "--store", "models")
    assert code == 2
    assert f"{MODULE}:bare: got an unexpected keyword argument 'MODEL_STORE'" in told
    assert "`def create(**settings)`" in told


REFUSED = {
    "app": "expected MODULE:NAME, got 'app'",
    "app:": "expected MODULE:NAME, got 'app:'",
    ".app:create": "expected MODULE:NAME",
    "app.py:create": "there is no module 'app' in {folder}, and none that is installed",
    f"{MODULE}.pages:create": f"there is no module '{MODULE}.pages'",
    f"{MODULE}:make": f"the module '{MODULE}' has no 'make'",
    f"{MODULE}:app": f"{MODULE}:app is of type Quart",
    f"{MODULE}:forgotten": "must return what quart_app.create_app made, got None",
    f"{MODULE}:foreign": "must return what quart_app.create_app made, got <Quart",
}


@pytest.mark.parametrize(("app", "sentence"), REFUSED.items(), ids=REFUSED)
def test_what_is_no_such_function_is_refused_in_a_sentence(
    app: str, sentence: str, folder: Path
) -> None:
    code, _, told = get(app)
    assert code == 2
    assert sentence.format(folder=folder) in told


@pytest.mark.parametrize(
    ("source", "error"), [("import nowhere", ModuleNotFoundError), ("def", SyntaxError)]
)
def test_a_fault_within_the_module_is_not_hidden(
    folder: Path, source: str, error: type[Exception]
) -> None:
    (folder / f"{MODULE}_broken.py").write_text(source)
    with pytest.raises(error):
        get(f"{MODULE}_broken:create")
