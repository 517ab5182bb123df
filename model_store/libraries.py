"""The versions a pipeline was trained with, against those that are installed."""

from __future__ import annotations

import platform
from typing import Final

import msgspec
import numpy as np

from .errors import IncompatibleVersion

NONE: Final = "none"
"""In the place of a version: it is not installed."""


class Libraries(msgspec.Struct, frozen=True, kw_only=True):
    """The versions that decide whether an artifact means here what it meant there."""

    python: str
    scikit_learn: str
    numpy: str

    @classmethod
    def installed(cls) -> Libraries:
        """Those of this process. scikit-learn is not imported for it, and may be missing."""
        return cls(
            python=platform.python_version(),
            scikit_learn=version_of("scikit-learn") or NONE,
            numpy=np.__version__,
        )

    def check(self, what: str, *, allow_version: bool) -> list[str]:
        """Warnings about how what is installed differs from these; `what` was trained with them.

        Raises:
            IncompatibleVersion: another minor of scikit-learn, and `allow_version` is not set; or
                none is installed.
        """
        now = Libraries.installed()
        trained = f"{what} was trained with"
        warnings = []
        if now.scikit_learn == NONE:
            raise IncompatibleVersion(
                f"{trained} scikit-learn {self.scikit_learn}, and none is installed; install "
                f"scikit-learn {minor(self.scikit_learn)}."
            )
        if minor(self.scikit_learn) != minor(now.scikit_learn):
            sentence = (
                f"{trained} scikit-learn {self.scikit_learn}, and {now.scikit_learn} is installed"
            )
            if not allow_version:
                raise IncompatibleVersion(
                    f"{sentence}; install scikit-learn {minor(self.scikit_learn)}, train it "
                    "again, or allow the other version with QUART_APP_ALLOW_VERSION=true or "
                    "--allow-version."
                )
            warnings.append(f"{sentence}; it was allowed.")
        elif self.scikit_learn != now.scikit_learn:
            warnings.append(
                f"{trained} scikit-learn {self.scikit_learn}, and {now.scikit_learn} is installed."
            )
        if minor(self.python) != minor(now.python):
            warnings.append(f"{trained} Python {self.python}, and this is {now.python}.")
        if self.numpy.split(".")[0] != now.numpy.split(".")[0]:
            warnings.append(f"{trained} numpy {self.numpy}, and {now.numpy} is installed.")
        return warnings


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
