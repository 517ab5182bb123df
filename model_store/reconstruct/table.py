"""The one table of what a pickle may call, and of the names that lead to it.

What stands here is called in the form of its row. A class that stands here and is no row is only an
argument of one. All else that a file may name by default (`trust.py`) is a value, or a class of
which an empty object is made (`blank.py`); neither is ever called.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from . import (
    arrays,
    arrow_texts,
    boosters,
    compiled,
    extension_arrays,
    frames,
    generators,
    indexes,
    moments,
    plain,
)
from .arrays import ARRAYS, MASKED, MATRIX, MEMORY_MAP, RECORDS
from .forms import DTYPE, FLAG, NATURAL, NONE, NOTHING, SHAPE, either, fields, only
from .row import Named, Row, named

NEW_OBJECT: Final = "copyreg.__newobj__"
NEW_OBJECT_EX: Final = "copyreg.__newobj_ex__"
NEW: Final = ("copyreg._reconstructor", NEW_OBJECT, NEW_OBJECT_EX)
"""They make an object of a class that they are given, as an opcode does."""

SPARSE: Final = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
MODULES: Final = {
    # What scikit-learn 1.5 calls a compiled module of its own in pickles.
    "_loss": "sklearn._loss._loss",
    # Where scipy had them before 1.8; the old names warn.
    **{f"scipy.sparse.{form}": f"scipy.sparse._{form}" for form in SPARSE},
    "scipy.interpolate.interpolate": "scipy.interpolate._interpolate",
    "scipy.optimize.optimize": "scipy.optimize._optimize",
    "scipy.spatial.ckdtree": "scipy.spatial._ckdtree",
    "scipy.spatial.kdtree": "scipy.spatial._kdtree",
    "numpy.core.records": "numpy.rec",
}
"""Modules by the names that other releases have for them."""


def _moved(new: str, old: str, names: str) -> dict[str, str]:
    """What stands in a module, by where it stood below another one."""
    return {f"{old}.{name}": f"{new}.{name.rpartition('.')[2]}" for name in names.split()}


NAMES: Final = {
    # A list that warned, of scikit-learn before 1.9.
    "sklearn.compose._column_transformer._RemainderColsList": "collections.UserList",
    "numpy.core.multiarray._reconstruct": "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar": "numpy._core.multiarray.scalar",
    "numpy.core.numeric._frombuffer": "numpy._core.numeric._frombuffer",
    "numpy.matrixlib.defmatrix.matrix": MATRIX,
    "numpy.core.memmap.memmap": MEMORY_MAP,
    "numpy._core.memmap.memmap": MEMORY_MAP,
    "numpy.recarray": RECORDS,
    "numpy.ma.core.MaskedArray": MASKED,
    "numpy.ma.MaskedConstant": "numpy.ma.core.MaskedConstant",
    "numpy.random.mtrand.__RandomState_ctor": "numpy.random.__RandomState_ctor",
    # pandas before 3 has its classes where they are defined.
    **_moved("pandas", "pandas.core", "frame.DataFrame series.Series"),
    **_moved(
        "pandas",
        "pandas.core.indexes",
        "base.Index category.CategoricalIndex datetimes.DatetimeIndex interval.IntervalIndex"
        " multi.MultiIndex range.RangeIndex timedeltas.TimedeltaIndex",
    ),
    **_moved(
        "pandas",
        "pandas.core.dtypes.dtypes",
        "CategoricalDtype DatetimeTZDtype IntervalDtype",
    ),
    **_moved(
        "pandas",
        "pandas.core.arrays",
        "categorical.Categorical string_.StringDtype boolean.BooleanDtype "
        + " ".join(f"integer.{name}" for name in extension_arrays.INTEGERS)
        + " ".join(f" floating.{name}" for name in extension_arrays.FLOATS),
    ),
    **_moved(
        "pandas.arrays",
        "pandas.core.arrays",
        "boolean.BooleanArray datetimes.DatetimeArray floating.FloatingArray integer.IntegerArray"
        " interval.IntervalArray numpy_.NumpyExtensionArray string_.StringArray"
        " string_arrow.ArrowStringArray timedeltas.TimedeltaArray",
    ),
    "pandas.core.arrays.string_.StringArrayNumpySemantics": "pandas.arrays.StringArray",
    "pandas.core.arrays.string_arrow.ArrowStringArrayNumpySemantics": (
        "pandas.arrays.ArrowStringArray"
    ),
    "pandas._libs.interval.Interval": "pandas.Interval",
    "pandas._libs.tslibs.nattype.__nat_unpickle": "pandas._libs.tslibs.nattype.NaTType",
    "pandas._libs.tslibs.nattype._nat_unpickle": "pandas._libs.tslibs.nattype.NaTType",
}
"""What stands in the table, by the names that other releases have for it."""


@dataclass(frozen=True, slots=True)
class Described:
    """An array of joblib, whose bytes, or a pickle of whose objects, follow in the file."""

    subclass: Named
    shape: tuple[int, ...]
    dtype: Any
    order: str
    padded: bool


def _described(state: dict[str, Any]) -> Described:
    return Described(
        subclass=state["subclass"],
        shape=state["shape"],
        dtype=state["dtype"],
        order=state.get("order", "C"),
        padded=state.get("numpy_array_alignment_bytes") is not None,
    )


_WRAPPER: Final = Row(
    "joblib.numpy_pickle.NumpyArrayWrapper",
    _described,
    NOTHING,
    fields(
        {"subclass": named(*ARRAYS), "shape": SHAPE, "dtype": DTYPE},
        {
            "order": only("C", "F"),
            "allow_mmap": FLAG,
            "numpy_array_alignment_bytes": either(NONE, NATURAL),
        },
    ),
)

TABLE: Final[dict[str, Row | Named]] = {
    each.name: each
    for each in chain(
        map(Named, NEW),
        (_WRAPPER,),
        *(part.CLASSES for part in (arrays, compiled, extension_arrays, generators, indexes)),
        *(part.ROWS for part in (arrays, boosters, compiled, generators, plain)),
        *(part.ROWS for part in (arrow_texts, extension_arrays, frames, indexes, moments)),
    )
}


def canonical(module: str, name: str) -> tuple[str, str]:
    """The module and the name that the table and the installed packages have for what a file
    names."""
    module = MODULES.get(module, module)
    full = NAMES.get(f"{module}.{name}")
    if full is None:
        return module, name
    module, _, name = full.rpartition(".")
    return module, name


def entry(module: str, name: str) -> Row | Named | None:
    """What stands in the table under a canonical name."""
    return TABLE.get(f"{module}.{name}")
