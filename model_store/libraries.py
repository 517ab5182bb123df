"""The versions a pipeline was trained with, against those that are installed."""

from __future__ import annotations

import platform

import msgspec
import numpy as np

from .errors import IncompatibleVersion


class Libraries(msgspec.Struct, frozen=True, kw_only=True):
    """The versions that decide whether an artifact means here what it meant there."""

    python: str
    scikit_learn: str
    numpy: str

    @classmethod
    def installed(cls) -> Libraries:
        import sklearn

        return cls(
            python=platform.python_version(),
            scikit_learn=sklearn.__version__,
            numpy=np.__version__,
        )

    def check(self, what: str, *, allow_version: bool) -> list[str]:
        """Warnings about how what is installed differs from these; `what` was trained with them.

        Raises:
            IncompatibleVersion: another minor of scikit-learn, and `allow_version` is not set.
        """
        now = Libraries.installed()
        trained = f"{what} was trained with"
        warnings = []
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
