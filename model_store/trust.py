"""Which globals an artifact may name.

Unpickling calls what a pickle names, with arguments of the pickle's choice, and then hands the
result a state. So a name is judged by what it leads to, never by its prefix: `joblib.os.system`
begins like a class of joblib. By default these are allowed:

- classes that scikit-learn defines, and the functions by which its compiled classes rebuild
  themselves; of its other functions the ones that estimators hold as an attribute;
- of numpy the arrays, scalars, dtypes, random generators and ufuncs;
- of scipy the sparse matrices, splines and search trees, and ufuncs. Not its distributions:
  `rv_generic.__setstate__` runs source text that stands in the state;
- of joblib what describes an array. Not `Memory`, which makes folders, nor what starts processes;
- of pandas the few containers that scikit-learn keeps;
- plain builtins and containers.

Classes that open files, such as `numpy.memmap`, and functions that import or look up by name, such
as numpy's `_ufunc_reconstruct`, are in none of these.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .code import MAIN, Code
from .errors import LoadFailed, Untrusted

if TYPE_CHECKING:
    from .pickles import Global

BUILTINS: Final = (
    "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple "
    "Ellipsis NotImplemented"
)
PLAIN: Final = frozenset(
    {
        *(f"builtins.{name}" for name in BUILTINS.split(" ")),
        *(f"collections.{name}" for name in ("Counter", "OrderedDict", "defaultdict", "deque")),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        "copyreg._reconstructor",
        "copyreg.__newobj__",
        "_codecs.encode",
        "decimal.Decimal",
        "fractions.Fraction",
        # Of what it holds, each part is judged by itself.
        "functools.partial",
    }
)

FUNCTIONS: Final = frozenset(
    {
        # numpy's own way back from a pickle, before and since numpy 2.
        *(
            f"numpy.{core}.{name}"
            for core in ("core", "_core")
            for name in (
                "multiarray._reconstruct",
                "multiarray.scalar",
                "numeric._frombuffer",
            )
        ),
        "numpy.ma.core._mareconstruct",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._pickle.__generator_ctor",
        "numpy.random._pickle.__randomstate_ctor",
        "joblib.numpy_pickle.NumpyArrayWrapper",
        *(
            f"sklearn.feature_selection.{module}.{name}"
            for module, names in {
                "_univariate_selection": "chi2 f_classif f_oneway f_regression r_regression",
                "_mutual_info": "mutual_info_classif mutual_info_regression",
            }.items()
            for name in names.split()
        ),
        "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
        *(f"numpy.{name}" for name in ("clip", "mean", "median", "nan_to_num", "round")),
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.metrics._scorer._passthrough_scorer",
        "sklearn.utils.validation.check_array",
        "pandas.core.indexes.base._new_Index",
        "pandas._libs.internals._unpickle_block",
        "pandas.core.dtypes.dtypes.CategoricalDtype",
        "pandas.core.indexes.base.Index",
        "pandas.core.indexes.range.RangeIndex",
        "pandas.StringDtype",
        "pandas.core.arrays.string_.StringDtype",
        "pandas.core.arrays.string_.StringArray",
    }
)

METRICS: Final = frozenset(
    f"sklearn.metrics.{module}"
    for module in ("_classification", "_ranking", "_regression", "cluster._supervised", "pairwise")
)
"""Their functions are computed from arrays and nothing else; scorers and kernels hold them."""

_OURS: Final = ("sklearn", "numpy", "scipy", "joblib", "pandas")
_CLOSED: Final = frozenset(
    (
        *("__main__", "_testing", "conftest", "datasets", "distutils", "externals", "f2py"),
        *("setup", "testing", "tests"),
    )
)
"""Parts of module names that are not even imported."""

_SCIPY: Final = ("scipy.sparse", "scipy.interpolate", "scipy.spatial", "scipy.optimize._optimize")
_RENAMED: Final = {"_loss": "sklearn._loss._loss"}
"""What scikit-learn 1.5 calls a compiled module of its own in pickles."""
_REBUILD: Final = ("newObj", "__pyx_unpickle_")


@dataclass(frozen=True, slots=True)
class Trust:
    """The default, and beyond it names, and all that the operator's code defines."""

    allowed: frozenset[str] = frozenset()
    code: Code | None = None

    def resolve(self, module: str, name: str) -> Any:
        """What a pickle names, if it may.

        Raises:
            Untrusted: it may not.
            LoadFailed: it may, and is not there.
        """
        full = f"{module}.{name}"
        if self.code is not None and self.code.covers(module):
            return self.code.find(name)
        if full in PLAIN:
            return _lookup(module, name)
        if full in self.allowed:
            return _lookup(module, name)
        found = _default(module, name)
        if found is None:
            raise Untrusted(f"The artifact names {full}, which is not allowed.")
        return found

    def refused(self, globals: Iterable[Global]) -> list[Global]:
        """Those of the globals that are not allowed."""
        return [each for each in globals if not self._allows(each)]

    def require(self, what: str, globals: Iterable[Global]) -> None:
        """Raises Untrusted with all that is not allowed, and what to do about it."""
        refused = self.refused(globals)
        if not refused:
            return
        names = ", ".join(map(str, refused))
        own = [str(each) for each in refused if _is_own(each.module)]
        if own:
            raise Untrusted(
                f"{what} names {names}. {own[0]} is of no installed package: put it into a module "
                "file and name that with --code module.py."
            )
        raise Untrusted(
            f"{what} names {names}, which is not allowed: unpickling would run it. If you know who "
            f"made the file, allow it with --trusted {refused[0]}, or all that it names with "
            "--trust."
        )

    def _allows(self, named: Global) -> bool:
        if self.code is not None and self.code.covers(named.module):
            return True
        full = str(named)
        if full in PLAIN or full in self.allowed:
            return True
        return is_gone(named.module) or _default(*named) is not None


def is_gone(module: str) -> bool:
    """Whether it is a module of scikit-learn that the installed one has no more: nothing of it
    can be run."""
    parts = module.split(".")
    if parts[0] != "sklearn" or set(parts) & (_CLOSED - {"externals"}):
        return False
    try:
        return importlib.util.find_spec(module) is None
    except (ImportError, AttributeError, ValueError):
        return True


def _is_own(module: str) -> bool:
    """Whether it is of no installed package, but perhaps in the folder where this runs."""
    top = module.split(".")[0]
    return top == MAIN or not (
        top in sys.stdlib_module_names or top in importlib.metadata.packages_distributions()
    )


def _is_importable(module: str) -> bool:
    parts = module.split(".")
    return parts[0] in _OURS and not _CLOSED & set(parts) and all(p.isidentifier() for p in parts)


def _lookup(module: str, name: str) -> Any:
    try:
        return reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise LoadFailed(
            f"{module}.{name} is not there: {error}; install the package that has it."
        ) from error


def _default(module: str, name: str) -> Any:
    """What is named, if the default allows it, else None."""
    module = _RENAMED.get(module, module)
    if f"{module}.{name}" in FUNCTIONS:
        return _lookup(module, name)
    if not _is_importable(module) or module.startswith("pandas"):
        return None
    try:
        found = _lookup(module, name)
    except LoadFailed:
        return None
    if found is np.memmap:
        # An array that was trained on a file came from there; the class itself opens files.
        return np.ndarray
    return found if _is_harmless(found) else None


def _is_harmless(found: Any) -> bool:
    """Whether it may be called with any arguments and given any state."""
    if isinstance(found, np.ufunc):
        return True
    home = getattr(found, "__module__", None) or ""
    if not isinstance(found, type):
        rebuilds = getattr(found, "__name__", "").startswith(_REBUILD)
        return home.startswith("sklearn.") and (rebuilds or _is_metric(found, home))
    if home.startswith("sklearn."):
        return _is_importable(home)
    if home.split(".")[0] == "numpy":
        return _is_value_of_numpy(found)
    return home.startswith(_SCIPY) and _is_importable(home)


def _is_metric(found: Any, home: str) -> bool:
    return home in METRICS and inspect.isfunction(inspect.unwrap(found))


def _is_value_of_numpy(found: type) -> bool:
    kinds = (
        np.generic,
        np.ndarray,
        np.dtype,
        np.random.BitGenerator,
        np.random.Generator,
        np.random.RandomState,
        np.random.SeedSequence,
    )
    return issubclass(found, kinds)
