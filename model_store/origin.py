"""Which scikit-learn wrote a pickle, and what to do about it.

Estimators keep their version in their state (`_sklearn_version`, since 0.18). Where it is missing,
modules that have gone since tell an upper bound.
"""

from __future__ import annotations

from typing import Final

from .errors import IncompatibleVersion
from .libraries import Libraries, minor
from .pickles import Global, Listing
from .trust import is_gone

GONE: Final = (
    ("sklearn.cross_validation", "0.20"),
    ("sklearn.grid_search", "0.20"),
    ("sklearn.lda", "0.19"),
    ("sklearn.qda", "0.19"),
    ("sklearn.externals.joblib", "0.23"),
    ("sklearn.externals.six", "0.23"),
)
"""Modules, and the version that had them no more. The other moves were those of 0.22, when modules
became private; their old names ended with 0.24."""
PRIVATE_SINCE: Final = "0.24"


def written_by(listing: Listing) -> str | None:
    """The version that wrote the file, or `before` one, or None where nothing tells."""
    if listing.versions:
        return max(listing.versions, key=_ordered)
    bounds = [bound for each in listing.globals if (bound := _gone_in(each))]
    return f"before {min(bounds, key=_ordered)}" if bounds else None


def check(what: str, listing: Listing, *, allow_version: bool) -> list[str]:
    """Warnings about the scikit-learn that wrote a file.

    Raises:
        IncompatibleVersion: it is another minor than the one that is installed, and
            `allow_version` is not set; or modules that the file needs have gone.
    """
    here = Libraries.installed().scikit_learn
    written = written_by(listing)
    said = f"{what} was written by scikit-learn {written}, and {here} is installed"
    lost = [each for each in listing.globals if _gone_in(each)]
    if lost:
        newer = written is not None and _ordered(written) > _ordered(here)
        raise IncompatibleVersion(
            f"{said}, which has no {_lost(lost[0])} {'yet' if newer else 'any more'}, so it cannot "
            f"be loaded here; train it again, or {_convert(written)}."
        )
    if written is None or written == here:
        return []
    if minor(written) == minor(here):
        return [f"{said}."]
    if not allow_version:
        raise IncompatibleVersion(
            f"{said}; train it again, or {_convert(written)}, or take it as it is with "
            "--allow-version and look at what it answers."
        )
    return [f"{said}; it was allowed, so look at what it answers."]


def _convert(written: str | None) -> str:
    version = (written or "").removeprefix("before ")
    older = f"older than {version}" if version != written else version
    return f"install scikit-learn {older} in an environment of its own to convert it there"


def _gone_in(named: Global) -> str | None:
    """The version of scikit-learn that had it no more, where the installed one lacks it."""
    for name, version in GONE:
        if named.module == name or named.module.startswith(f"{name}."):
            return version
    if not is_gone(*named):
        return None
    was_public = is_gone(named.module) and "._" not in named.module
    return PRIVATE_SINCE if was_public else minor(Libraries.installed().scikit_learn)


def _lost(named: Global) -> str:
    return named.module if is_gone(named.module) else str(named)


def _ordered(version: str) -> tuple[int, ...]:
    numbers = (part for part in version.split("."))
    return tuple(int(part) if part.isdigit() else -1 for part in numbers)
