"""The versions of other libraries of estimators are kept and compared as scikit-learn's are."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from model_store import ModelStore
from model_store.errors import IncompatibleVersion
from model_store.libraries import NONE, OTHERS, Libraries, version_of

pytestmark = pytest.mark.guests

HERE = Libraries.installed(OTHERS)


def with_other(package: str, version: str) -> Libraries:
    return msgspec.structs.replace(HERE, others={**HERE.others, package: version})


def part_raised(version: str, part: int) -> str:
    numbers = [int(number) for number in version.split(".")]
    numbers[part] += 1
    return ".".join(map(str, numbers))


def test_a_version_keeps_the_libraries_that_its_artifact_names(tmp_path: Path) -> None:
    xgboost = importlib.import_module("xgboost")
    X = np.random.default_rng(0).normal(size=(40, 2))
    store = ModelStore(tmp_path)
    told = store.publish(
        "boosted", xgboost.XGBRegressor(n_estimators=2).fit(X, X[:, 0]), X, X[:, 0]
    )
    assert told.libraries.others == {"xgboost": xgboost.__version__}
    assert told.libraries.named["xgboost"] == xgboost.__version__
    assert store.manifest("boosted").libraries == told.libraries


@pytest.mark.parametrize("package", sorted(OTHERS))
def test_another_minor_is_refused_unless_it_is_allowed(package: str) -> None:
    name, here = OTHERS[package][0], HERE.others[package]
    then = part_raised(here, 1)
    sentence = f"It was trained with {name} {then}, and {here} is installed"
    minor = ".".join(then.split(".")[:2])
    with pytest.raises(IncompatibleVersion) as caught:
        with_other(package, then).check("It", allow_version=False)
    assert str(caught.value).startswith(f"{sentence}; install {name} {minor}, train it again, or ")
    told = with_other(package, then).check("It", allow_version=True)
    assert told == [f"{sentence}; it was allowed."]


def test_another_patch_is_a_warning_and_the_same_version_nothing() -> None:
    assert HERE.check("It", allow_version=False) == []
    here = HERE.others["lightgbm"]
    then = part_raised(here, 2)
    told = with_other("lightgbm", then).check("It", allow_version=False)
    assert told == [f"It was trained with lightgbm {then}, and {here} is installed."]


def test_a_library_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Any] = {**OTHERS, "catboost": ("no-such-distribution",)}
    monkeypatch.setattr("model_store.libraries.OTHERS", known)
    with pytest.raises(IncompatibleVersion, match=r"and none is installed; install no-such-dist"):
        with_other("catboost", "1.2.10").check("It", allow_version=True)


def test_each_package_of_the_extra_is_known_by_a_distribution() -> None:
    assert NONE not in HERE.others.values()
    assert all(any(map(version_of, names)) for names in OTHERS.values())


def test_what_names_no_other_library_keeps_none() -> None:
    plain = Libraries.installed(["sklearn", "numpy"])
    assert plain.others == {}
    assert "others" not in msgspec.to_builtins(plain)
