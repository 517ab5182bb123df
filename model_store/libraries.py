"""The versions a pipeline was trained with, against those that are installed."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from .errors import IncompatibleVersion

NONE: Final = "none"
"""In the place of a version: it is not installed."""


OTHERS: Final = {
    "catboost": ("catboost",),
    "category_encoders": ("category_encoders",),
    "feature_engine": ("feature_engine",),
    "imblearn": ("imbalanced-learn",),
    "lightgbm": ("lightgbm",),
    "xgboost": ("xgboost", "xgboost-cpu"),
}
"""Packages of estimators besides scikit-learn, with the distributions that bring each, the first
of which a person is told."""


class Libraries(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The versions that decide whether an artifact means here what it meant there. `others` has
    those of the packages of estimators that it names besides."""

    python: str
    scikit_learn: str
    numpy: str
    others: dict[str, str] = {}

    @property
    def named(self) -> dict[str, str]:
        """Each version by the name that a person knows."""
        others = {OTHERS.get(name, (name,))[0]: each for name, each in self.others.items()}
        return {
            **{"Python": self.python, "scikit-learn": self.scikit_learn, "numpy": self.numpy},
            **others,
        }

    @classmethod
    def installed(cls, packages: Iterable[str] = ()) -> Libraries:
        """Those of this process; `packages` are those that an artifact names. scikit-learn is not
        imported for it, and may be missing."""
        return cls(
            python=platform.python_version(),
            scikit_learn=version_of("scikit-learn") or NONE,
            numpy=np.__version__,
            others={name: _other(name) for name in sorted(OTHERS.keys() & set(packages))},
        )

    def check(self, what: str, *, allow_version: bool) -> list[str]:
        """Warnings about how what is installed differs from these; `what` was trained with them.

        Raises:
            IncompatibleVersion: another minor of scikit-learn or of another library of estimators,
                and `allow_version` is not set; or one of them is not installed.
        """
        now = Libraries.installed(self.others)
        trained = f"{what} was trained with"
        pairs = [("scikit-learn", self.scikit_learn, now.scikit_learn)]
        pairs += [
            (OTHERS[package][0], self.others[package], here) for package, here in now.others.items()
        ]
        warnings = [
            warning
            for name, version, here in pairs
            for warning in _compared(trained, name, version, here, allow_version)
        ]
        if minor(self.python) != minor(now.python):
            warnings.append(f"{trained} Python {self.python}, and this is {now.python}.")
        if self.numpy.split(".")[0] != now.numpy.split(".")[0]:
            warnings.append(f"{trained} numpy {self.numpy}, and {now.numpy} is installed.")
        return warnings


def _compared(
    trained: str, name: str, version: str, here: str, allow_version: bool
) -> Iterable[str]:
    """A warning about one library, where there is something to say.

    Raises:
        IncompatibleVersion
    """
    if here == NONE:
        raise IncompatibleVersion(
            f"{trained} {name} {version}, and none is installed; install {name} {minor(version)}."
        )
    sentence = f"{trained} {name} {version}, and {here} is installed"
    if minor(version) == minor(here):
        return [] if version == here else [f"{sentence}."]
    if not allow_version:
        raise IncompatibleVersion(
            f"{sentence}; install {name} {minor(version)}, train it again, or allow the other "
            "version with QUART_APP_ALLOW_VERSION=true or --allow-version."
        )
    return [f"{sentence}; it was allowed."]


def _other(package: str) -> str:
    found = filter(None, map(version_of, OTHERS[package]))
    return next(found, NONE)


def minor(version: str) -> str:
    """The first two numbers of a version."""
    return ".".join(version.split(".")[:2])


def require_scikit_learn(so: str) -> None:
    """Raises IncompatibleVersion where it is not installed; `so` says what cannot be done then."""
    if version_of("scikit-learn") is None:
        raise IncompatibleVersion(f"scikit-learn is not installed, so {so}.")


def version_of(package: str) -> str | None:
    """The version of a package, where it is installed; it is not imported for it."""
    # Imported here: a server of plain forms alone asks for none.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
