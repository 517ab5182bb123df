"""Files that carry code: cloudpickle and dill keep functions and classes of a notebook as what they
are made of, so that to read such a file is to run what its author wrote."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Final

from .errors import IncompatibleVersion
from .libraries import minor

PACKAGES: Final = ("cloudpickle", "dill", "joblib.externals.cloudpickle")
"""joblib brings a cloudpickle of its own."""

MAKERS: Final = frozenset(
    {
        *("_builtin_type", "_make_function", "_make_skel_func", "_make_skeleton_class"),
        *("_make_skeleton_enum", "_make_typevar", "_rehydrate_skeleton_class"),
        *("_create_code", "_create_function", "_create_namedtuple", "_create_type"),
    }
)
"""Their functions that make functions and classes."""

IMPORTERS: Final = frozenset({"subimport", "dynamic_subimport", "_import_module"})
"""Their functions that import the module whose name they are given."""

MAIN_NAMES: Final = frozenset({"__builtin__.__main__", "builtins.__main__"})
"""What dill calls all that is defined in the program that reads the file, in protocols 3 and 2."""

LEFT_OUT: Final = (
    "dill keeps code without what it uses of the program that it is in, such as its imports; write "
    "the file with dill.dump(pipeline, file, recurse=True), or by cloudpickle."
)


def carrier_of(names: Iterable[object]) -> str | None:
    """Which of the packages wrote a file that names these globals; None where none did."""
    for name in map(str, names):
        for package in PACKAGES:
            if name.startswith(f"{package}."):
                return package
    return None


def carries_code(names: Iterable[object]) -> bool:
    """Whether such a file brings functions or classes, and not values alone."""
    texts = list(map(str, names))
    made = {text.rpartition(".")[2] for text in texts if carrier_of([text]) is not None}
    return bool(made & MAKERS)


def is_importer(name: object) -> bool:
    """Whether a global imports the module whose name it is given."""
    return carrier_of([name]) is not None and str(name).rpartition(".")[2] in IMPORTERS


def refusal(what: str, package: str, names: Iterable[object]) -> str:
    """Why a file of a package is not read by default, and what to do."""
    if not carries_code(names):
        return (
            f"{what} was written by {package}, which calls functions of its own when it is read. "
            "Save it by joblib.dump or pickle, which need none of them. If you know who made the "
            f"file, take it as it is with --trust; then {package} has to be installed wherever it "
            "is served."
        )
    return (
        f"{what} was written by {package} and carries the code of functions or classes, such as "
        "lambdas and what a notebook defines: to read it is to run that. If you know who made the "
        f"file, take it as it is with --trust; then {package} has to be installed wherever it is "
        "served. Or put that code into a module file, save the pipeline by joblib.dump, and name "
        "the file with --code module.py."
    )


def left_out(names: Iterable[object], error: BaseException) -> NameError | None:
    """The reason of an error of code that dill kept without what it uses of its program."""
    if MAIN_NAMES.isdisjoint(map(str, names)):
        return None
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, NameError):
        reason = reason.__cause__ or reason.__context__
    return reason


def require_python(what: str, names: Iterable[object], python: str) -> None:
    """Raises IncompatibleVersion where a file carries code for another Python than this one, which
    would make something else of it, or crash."""
    here = platform.python_version()
    if minor(python) != minor(here) and carries_code(names):
        raise IncompatibleVersion(
            f"{what} carries code that was compiled by Python {python}, and this is {here}; "
            f"serve it with Python {minor(python)}, or publish it again by this one."
        )
