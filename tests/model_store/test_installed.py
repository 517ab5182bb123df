"""A module that no server finds is told when a pipeline is published that needs it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from model_store import ModelStore
from model_store.errors import InvalidPipeline
from model_store.installed import is_installed, local_imports

SOURCE = "def double(rows):\n    return rows * 2\n"
X = np.arange(8.0).reshape(4, 2)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands on the path, as that of a script does."""
    before = set(sys.modules)
    folder = tmp_path / "beside"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith(("own_", "inplace_")):
            del sys.modules[name]


def pipeline(module: str) -> Any:
    step = FunctionTransformer(importlib.import_module(module).double)
    return make_pipeline(step, LinearRegression()).fit(X, X[:, 0])


def install(folder: Path, name: str, *, source: Path | None = None) -> None:
    """What tells that a distribution is installed in this folder, or in place."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "top_level.txt").write_text(f"{name}\n")
    if source is not None:
        origin = {"url": source.as_uri(), "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(origin))


@pytest.mark.parametrize(
    "module", ["builtins", "json.decoder", "_thread", "numpy", "sklearn.base", "tests.steps"]
)
def test_modules_of_python_and_of_installed_packages_are_installed(module: str) -> None:
    importlib.import_module(module)
    assert is_installed(module)


@pytest.mark.parametrize("module", ["__main__", "own_unknown"])
def test_the_program_and_what_is_not_there_are_not(module: str) -> None:
    assert not is_installed(module)


def test_a_module_beside_is_refused_with_what_to_type(place: Path, empty: ModelStore) -> None:
    (place / "beside.py").write_text(SOURCE)
    needs = pipeline("beside")
    with pytest.raises(InvalidPipeline) as refused:
        empty.publish("m", needs, X, X[:, 0])
    assert str(refused.value) == (
        "beside.double is of the module beside, which is of no installed package, so no "
        "server finds it; publish with code='beside.py'."
    )
    assert empty.models() == []
    assert empty.publish("m", needs, X, X[:, 0], code="beside.py").code == "beside.py"
    empty.load(empty.verify("m")).replay()


def test_a_module_elsewhere_on_the_path_is_named_by_its_place(
    place: Path, empty: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "own_far.py").write_text(SOURCE)
    monkeypatch.chdir(place.parent.parent)
    with pytest.raises(
        InvalidPipeline, match=rf"publish with code='.*{place.name}/own_far\.py'\.$"
    ):
        empty.publish("m", pipeline("own_far"), X, X[:, 0])


def test_a_module_of_a_folder_is_refused_with_the_ways_out(place: Path, empty: ModelStore) -> None:
    (place / "own_package").mkdir()
    (place / "own_package" / "steps.py").write_text(SOURCE)
    with pytest.raises(
        InvalidPipeline,
        match=r"own_package\.steps, which is .*; install the package .*, or put what",
    ):
        empty.publish("m", pipeline("own_package.steps"), X, X[:, 0])


def test_a_package_that_is_installed_in_place_is_installed(place: Path, empty: ModelStore) -> None:
    (place / "inplace_steps.py").write_text(SOURCE)
    (place / "own_beside.py").write_text(SOURCE)
    needs, beside = pipeline("inplace_steps"), pipeline("own_beside")
    assert not is_installed("inplace_steps")
    install(place / "site", "inplace_steps", source=place)
    sys.path.insert(0, str(place / "site"))
    try:
        assert is_installed("inplace_steps")
        empty.publish("m", needs, X, X[:, 0])
        with pytest.raises(InvalidPipeline, match="own_beside"):
            empty.publish("m", beside, X, X[:, 0])
    finally:
        sys.path.remove(str(place / "site"))


def test_a_package_that_is_installed_into_a_folder_of_its_own_is_installed(place: Path) -> None:
    (place / "inplace_target.py").write_text(SOURCE)
    importlib.import_module("inplace_target")
    install(place, "inplace_target")
    assert is_installed("inplace_target")


@pytest.mark.parametrize(
    ("source", "local"),
    [
        ("import os, numpy as np\nfrom sklearn.base import BaseEstimator\n", []),
        ("import own_helper\n", ["own_helper"]),
        ("def late():\n    from own_helper import double\n", ["own_helper"]),
        ("import own_package.part as part\n", ["own_package.part"]),
        ("from . import own_helper\n", ["."]),
        ("from .own_helper import double\n", [".own_helper"]),
        ("try:\n    import no_such_module_at_all\nexcept ImportError:\n    pass\n", []),
        ("import model_store, quart_app\n", []),
    ],
)
@pytest.mark.parametrize("imported", [False, True])
def test_what_code_imports_from_beside_it_is_found(
    source: str, local: list[str], imported: bool, place: Path
) -> None:
    (place / "own_helper.py").write_text(SOURCE)
    (place / "own_package").mkdir()
    (place / "own_package" / "__init__.py").write_text("")
    (place / "own_package" / "part.py").write_text(SOURCE)
    if imported:
        importlib.import_module("own_helper")
        importlib.import_module("own_package.part")
    assert local_imports(source.encode()) == local


def test_code_that_imports_another_local_module_is_not_published(place: Path) -> None:
    (place / "own_helper.py").write_text(SOURCE)
    (place / "own_package").mkdir()
    (place / "own_package" / "__init__.py").write_text("")
    imports = "import own_package\nfrom own_helper import double as twice\n"
    (place / "own_parts.py").write_text(imports + SOURCE)
    with pytest.raises(InvalidPipeline) as raised:
        ModelStore(place / "store").publish(
            "m", pipeline("own_parts"), X, code=place / "own_parts.py"
        )
    said = str(raised.value)
    assert said.startswith(
        "own_parts.py imports own_package, which is of no installed package, so no server finds "
        "it; put what it needs of that into own_parts.py, or install both as a package, here and "
        "where it is served: printf "
    )
    assert said.endswith(" > pyproject.toml && pip install -e ., and publish without code=.")
    typed = said[said.index("printf ") : said.index(" && pip")]
    subprocess.run(["sh", "-c", typed], check=True, cwd=place)
    assert tomllib.loads((place / "pyproject.toml").read_text()) == {
        "project": {"name": "own-parts-code", "version": "1"},
        "tool": {
            "setuptools": {"py-modules": ["own_parts", "own_helper"], "packages": ["own_package"]}
        },
    }


def test_code_that_imports_relatively_is_not_published(place: Path) -> None:
    tried = "try:\n    from . import own_helper\nexcept ImportError:\n    pass\n"
    (place / "own_parts.py").write_text(SOURCE + tried)
    with pytest.raises(InvalidPipeline, match=r"or install both as a package, and publish without"):
        ModelStore(place / "store").publish(
            "m", pipeline("own_parts"), X, code=place / "own_parts.py"
        )
