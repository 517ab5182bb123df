"""Which globals an artifact may name.

A name is judged by what it leads to, never by its prefix: `joblib.os.system` begins like a class of
joblib. By default these are allowed:

- what stands in the table of `reconstruct/`, which says in what form each of it is called;
- classes of scikit-learn that `soundness/known.py` lists, of which empty objects are made; of its
  functions the ones that estimators hold as an attribute. Not its helpers in `utils`, of which
  `deprecated` changes the class that it is called with, nor `callback`, which opens a socket;
- numpy's ufuncs and the classes of its scalars, which estimators hold;
- of scipy the sparse matrices, splines and ufuncs. Not its distributions: their state holds source
  text that they run;
- classes of the libraries of the extra `guests` that `soundness/guests.py` lists;
- a few of Python's own types.

Nothing but what stands in the table is ever called. Classes that open files, and functions that
import or look up by name, such as numpy's `_ufunc_reconstruct`, are in none of these.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np

from .carriers import carrier_of, refusal
from .errors import LoadFailed, Untrusted, words_of
from .opcodes import Global
from .reconstruct import blank
from .reconstruct.row import Named, Row, find
from .reconstruct.table import MODULES, NAMES, SPARSE, canonical, entry
from .soundness.guests import GUESTS, INSTALLABLE
from .soundness.known import name_of
from .user_module import MAIN, Code

MUTUAL_INFO: Final = "mutual_info_classif mutual_info_regression"
UNIVARIATE: Final = "chi2 f_classif f_oneway f_regression r_regression"


def _each(module: str, names: str) -> set[str]:
    return {f"{module}.{name}" for name in names.split()}


NAMED: Final = frozenset(
    {
        *_each("builtins", "bool float int str Ellipsis NotImplemented"),
        # What estimators hold as an attribute.
        *_each("numpy", "clip mean median nan_to_num ravel round squeeze"),
        *_each("sklearn.cluster._kmeans", "_kmeans_single_elkan _kmeans_single_lloyd"),
        *_each("sklearn.feature_selection._mutual_info", MUTUAL_INFO),
        *_each("sklearn.feature_selection._univariate_selection", UNIVARIATE),
        *_each("sklearn.metrics._scorer", "negative_likelihood_ratio positive_likelihood_ratio"),
        *_each("sklearn.utils", "Bunch _bunch.Bunch validation.check_array"),
        *_each("sklearn.utils._metadata_requests", "MetadataRequest MethodMetadataRequest"),
        *(f"scipy.sparse._{form}.{form}_{kind}" for form in SPARSE for kind in ("array", "matrix")),
        *_each("scipy.interpolate", "_bsplines.BSpline _interpolate.PPoly _interpolate.interp1d"),
        "scipy.optimize._optimize.OptimizeResult",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        *_each("pandas", "NA _libs.missing.NA"),
    }
)
"""Classes of which empty objects are made, and functions and singletons that are values."""

METRICS: Final = frozenset(
    f"sklearn.metrics.{module}"
    for module in ("_classification", "_ranking", "_regression", "cluster._supervised", "pairwise")
)
METRIC_ENDS: Final = (
    *("_corrcoef", "_deviance", "_distances", "_error", "_kernel", "_loss", "_score"),
    "_similarity",
)
"""Scorers and kernels hold functions with these ends. Others of those modules hand out what the
whole process shares, such as `kernel_metrics`."""

JUDGED: Final = frozenset(
    {
        *("numpy", "numpy.dtypes", "numpy.ma", "numpy.ma.core", "numpy.matrixlib.defmatrix"),
        *("numpy._core._multiarray_umath", "numpy.core._multiarray_umath", "numpy.rec"),
        *("scipy.special", "scipy.special._special_ufuncs", "scipy.special._ufuncs"),
        *_each("numpy.random", "_generator _mt19937 _pcg64 _philox _sfc64 bit_generator mtrand"),
    }
)
"""Besides those of scikit-learn, the modules of which values and ufuncs are allowed."""

MOST_TYPED: Final = 6
"""So many names are told one by one."""

_CLOSED: Final = frozenset(
    {
        *("__main__", "_build_utils", "_testing", "callback", "conftest", "datasets", "distutils"),
        *("estimator_checks", "experimental", "externals", "f2py", "setup", "test", "testing"),
        "tests",
    }
)
"""Parts of module names that are not even imported."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The default, and beyond it names, and all that the operator's code defines."""

    allowed: frozenset[str] = frozenset()
    code: Code | None = None

    @property
    def acts(self) -> bool:
        """Whether to read a file with this trust may run code."""
        return self.code is not None or bool(self.allowed)

    @property
    def carries(self) -> bool:
        """Whether files that carry code are allowed, which may then hold functions of their own."""
        return carrier_of(self.allowed) is not None

    def frees(self, module: str, name: str) -> bool:
        """Whether the operator allowed a name, so that a file may do with it as it likes."""
        if self.code is not None and self.code.covers(module):
            return True
        return f"{module}.{name}" in self.allowed

    def resolve(self, module: str, name: str) -> Any:
        """What a pickle names, if it may: a row or a class of the table, or a value.

        Raises:
            Untrusted: it may not.
            LoadFailed: it may, and is not there.
        """
        if self.code is not None and self.code.covers(module):
            return self.code.find(name)
        full = f"{module}.{name}"
        if full in self.allowed:
            return _lookup(module, name)
        found = _default(module, name)
        if found is None and is_gone(module, name):
            raise LoadFailed(f"The installed scikit-learn has no {full}.")
        if found is None:
            raise Untrusted(f"The artifact names {full}, which is not allowed.")
        return found

    def find(self, module: str, name: str) -> Any:
        """What an allowed name leads to, as Python's own reader would have it.

        Raises:
            LoadFailed: it is not there.
        """
        if self.code is not None and self.code.covers(module):
            return self.code.find(name)
        if f"{module}.{name}" not in self.allowed:
            module, name = canonical(module, name)
        return _lookup(module, name)

    def refused(self, globals: Iterable[Global]) -> list[Global]:
        """Those of the globals that are not allowed."""
        return [each for each in globals if not self._allows(each)]

    def require(self, what: str, globals: Iterable[Global]) -> None:
        """Raises Untrusted with all that is not allowed, and what to type to allow it."""
        refused = self.refused(globals)
        if not refused:
            return
        package = carrier_of(refused)
        if package is not None:
            raise Untrusted(refusal(what, package, refused))
        names = ", ".join(map(str, refused))
        own = [str(each) for each in refused if _is_own(each.module)]
        if own:
            raise Untrusted(
                f"{what} names {names}. {own[0]} is of no installed package: put it into a module "
                "file and name that with --code module.py."
            )
        raise Untrusted(
            f"{what} names {names}, which is not allowed: {_reason(refused)}. "
            f"If you know who made the file, allow it with {_options(refused)}."
        )

    def _allows(self, named: Global) -> bool:
        if self.code is not None and self.code.covers(named.module):
            return True
        if str(named) in self.allowed or is_gone(*named):
            return True
        try:
            return _default(*named) is not None
        except LoadFailed:
            return True  # It is one of `NAMED` that is not installed.


def _reason(refused: Sequence[Global]) -> str:
    package = refused[0].module.partition(".")[0]
    if package == "model_store":
        return "what onnxruntime is given is not checked here, and its own code may crash of it"
    if package == "catboost":
        return "what CatBoost is given is not checked here, and its own code may crash of it"
    if package in ("sklearn", *INSTALLABLE):
        return "what its compiled code does is not checked here, or unpickling would run it"
    return "unpickling would run it"


def _options(refused: Sequence[Global]) -> str:
    """What to type, for all of them at once."""
    if len(refused) > MOST_TYPED:
        return "--trust, which allows all that it names"
    each = " ".join(f"--trusted {name}" for name in refused)
    return f"{each}, or all that it names with --trust"


def is_gone(module: str, name: str | None = None) -> bool:
    """Whether the installed scikit-learn has not that module of it, or that name in it, and the
    table has nothing in its place. Then nothing of it can be run."""
    if f"{module}.{name}" in NAMES:
        return False
    module = MODULES.get(module, module)
    parts = module.split(".")
    if parts[0] != "sklearn" or len(parts) == 1 or set(parts) & (_CLOSED - {"externals"}):
        return False
    try:
        if importlib.util.find_spec(module) is None:
            return True
        if name is None or "." in name or "externals" in parts:
            return False
        return not hasattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return True


def _is_own(module: str) -> bool:
    """Whether it is of no installed package, but perhaps in the folder where this runs."""
    top = module.split(".")[0]
    return top == MAIN or not (
        top in ("model_store", *sys.stdlib_module_names)
        or top in importlib.metadata.packages_distributions()
    )


def _lookup(module: str, name: str) -> Any:
    try:
        return reduce(getattr, name.split("."), importlib.import_module(module))
    except Exception as error:
        raise LoadFailed(
            f"{module}.{name} is not there; {_way_to(module)}.", words_of(error)
        ) from error


def _way_to(module: str) -> str:
    """What brings a module that is not there."""
    if module == MAIN:
        return "put it into a module, and give the file of that with --code"
    top = module.split(".")[0]
    if not _is_own(module):
        return f"install another version of {top}, which has it"
    if "." in module:
        return f"install the package {top}"
    return (
        f"if {top} is a package, install it here; if it is a module of your own, publish the model "
        f"with it: code='{top}.py', or models import --code {top}.py"
    )


def _default(module: str, name: str) -> Row | Named | Any:
    """What is named, if the default allows it, else None.

    Raises:
        LoadFailed: it is allowed by its name, and not there.
    """
    module, name = canonical(module, name)
    if "." in name:
        return None  # The way to it could lead through anything that a module has imported.
    found = entry(module, name)
    if found is not None:
        return found
    if f"{module}.{name}" in NAMED:
        return _lookup(module, name)
    if f"{module}.{name}" in GUESTS:
        kind = find(module, name)
        return kind if isinstance(kind, type) and blank.is_plain(kind) else None
    if not _is_judged(module):
        return None
    try:
        found = vars(importlib.import_module(module)).get(name)
    except ImportError:
        return None
    return found if _is_value(found, name) else None


def _is_judged(module: str) -> bool:
    """Whether it is imported to see what a name in it leads to."""
    parts = module.split(".")
    if parts[0] == "sklearn":
        return not _CLOSED & set(parts) and all(part.isidentifier() for part in parts)
    return module in JUDGED


def _is_value(found: Any, name: str) -> bool:
    """Whether an estimator may hold it. Of a class an empty object may be made as well."""
    if isinstance(found, np.ufunc):
        return True
    home = getattr(found, "__module__", None)
    if not isinstance(home, str):
        return False
    if isinstance(found, type) and home.split(".")[0] == "numpy":
        return issubclass(found, np.generic)
    if not home.startswith("sklearn.") or not _is_judged(home):
        return False
    if isinstance(found, type):
        # Of its helpers some change other classes or start processes.
        if home.startswith("sklearn.utils.") or name_of(found) is None:
            return False
        return blank.is_plain(found) or blank.is_record(found)
    return home in METRICS and not name.startswith("_") and name.endswith(METRIC_ENDS)
