"""Whatever a pickle says, only the rows of the table run, with what is of their form."""

from __future__ import annotations

import collections
import datetime
import functools
import io
import pickle
import pickletools
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings, strategies
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import mean_squared_error
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import Bunch

from model_store import formats, pickles
from model_store.errors import LoadFailed, ModelStoreError, UnreadableFile, Untrusted
from model_store.loader import Loader
from model_store.reconstruct.row import Row
from model_store.reconstruct.table import TABLE
from model_store.trust import Trust

DEFAULT = Trust()
ACTING = Trust(frozenset({"steps.Own"}))
"""Trust in a name beside the table, which need not be in the file."""
draw = np.random.default_rng(0)
X = np.abs(draw.normal(size=(30, 3))) + 0.1
Y = (X[:, 0] > X[:, 0].mean()).astype(int)


def load(data: bytes) -> Any:
    return pickles.load(data, DEFAULT)


# Opcodes, as text ------------------------------------------------------------------


def value(given: Any) -> bytes:
    """The opcodes that push a plain value; bytes are taken as opcodes that push one already."""
    if isinstance(given, bytes):
        return given
    if given is None or isinstance(given, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[given]
    if isinstance(given, int):
        packed = pickle.encode_long(given)
        return b"\x8a" + bytes([len(packed)]) + packed
    if isinstance(given, float):
        return b"G" + struct.pack(">d", given)
    if isinstance(given, str):
        return b"X" + struct.pack("<I", len(given.encode())) + given.encode()
    if isinstance(given, dict):
        return b"(" + b"".join(value(key) + value(each) for key, each in given.items()) + b"d"
    return b"(" + b"".join(map(value, given)) + (b"t" if isinstance(given, tuple) else b"l")


def data(raw: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(raw)) + raw


def name(full: str) -> bytes:
    module, _, last = full.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def call(what: bytes, *args: Any) -> bytes:
    return what + value(args) + b"R"


def built(what: bytes, state: Any) -> bytes:
    return what + value(state) + b"b"


def file(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def dtype(code: str, order: str = "|", **said: Any) -> bytes:
    """A dtype as numpy writes it, or otherwise."""
    reduced: Any = np.dtype(code).__reduce__()
    state = list(reduced[2])
    for place, what in enumerate(("version", "order", "inner", "names", "fields", "size")):
        state[place] = said.get(what, state[place])
    state[7] = said.get("flags", state[7])
    return built(call(name("numpy.dtype"), reduced[1][0], False, True), tuple(state))


def array(contents: Any, shape: Any, kind: bytes) -> bytes:
    start = call(name("numpy._core.multiarray._reconstruct"), NDARRAY, (0,), data(b"b"))
    return built(start, (1, shape, kind, False, contents))


NDARRAY = name("numpy.ndarray")
ADD = name("numpy.add")
OBJECT = dtype("O")
INTEGER = dtype("<i8", "<")
EIGHT = data(b"A" * 8)


# Nothing is called -----------------------------------------------------------------

CALLED = {
    "a ufunc": ADD,
    "a ufunc of scipy": name("scipy.special.expit"),
    "a function": name("numpy.clip"),
    "a metric": name("sklearn.metrics._regression.mean_squared_error"),
    "an array": NDARRAY,
    "a matrix": name("numpy.matrix"),
    "a scalar": name("numpy.float64"),
    "a text": name("builtins.str"),
    "a whole number": name("builtins.int"),
    "a class of scikit-learn": name("sklearn.linear_model._base.LinearRegression"),
    "a table of pandas": name("pandas.core.frame.DataFrame"),
    "a tree of neighbours": name("sklearn.neighbors._kd_tree.KDTree"),
    "a sparse matrix": name("scipy.sparse._csr.csr_matrix"),
    "a generator": name("numpy.random._pcg64.PCG64"),
    "a partial function": built(
        call(name("functools.partial"), ADD), (ADD, (), {"dtype": OBJECT}, None)
    ),
    "an estimator": built(name("sklearn.linear_model._base.LinearRegression") + b")\x81", {}),
    "what a row made": array([1, 2], (2,), OBJECT),
    "a list": b"]",
}
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "REDUCE": lambda what: what + value((1, 2)) + b"R",
    "REDUCE of a list": lambda what: what + value([1, 2]) + b"R",
    "NEWOBJ": lambda what: what + value((1, 2)) + b"\x81",
    "NEWOBJ_EX": lambda what: what + value((1, 2)) + b"}\x92",
    "NEWOBJ_EX with names": lambda what: what + b")" + value({"x": 1}) + b"\x92",
    "OBJ": lambda what: b"(" + what + value(1) + value(2) + b"o",
    "__newobj__": lambda what: call(name("copyreg.__newobj__"), what, 1, 2),
    "__newobj_ex__": lambda what: call(name("copyreg.__newobj_ex__"), what, (1, 2), {}),
    "_reconstructor": lambda what: call(name("copyreg._reconstructor"), what, what, 1),
    "by a partial": lambda what: (
        built(call(name("functools.partial"), what), (what, (), {}, None)) + value((1, 2)) + b"R"
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", CALLED)
def test_what_is_only_named_is_called_by_no_opcode(what: str, way: str) -> None:
    with pytest.raises(Untrusted, match=r"^The file .*, which no estimator's pickle does: "):
        load(file(WAYS[way](CALLED[what])))


@pytest.mark.parametrize("module", ["numpy", "sklearn.linear_model._base"])
def test_what_is_only_named_is_not_called_by_inst(module: str) -> None:
    last = "add" if module == "numpy" else "LinearRegression"
    with pytest.raises(Untrusted, match=f"calls .*{last}"):
        load(b"(I1\nI2\ni" + module.encode() + b"\n" + last.encode() + b"\n.")


@pytest.mark.parametrize("fill", ["K\1a", "(K\1e", "K\1K\2s", "(K\1K\2u", "(K\1\x90", "}b"])
@pytest.mark.parametrize("what", [each for each in CALLED if each not in ("a list",)])
def test_items_and_states_go_into_no_object_that_has_its_own_way_with_them(
    what: str, fill: str
) -> None:
    if what == "an estimator" and fill == "}b":
        return
    with pytest.raises(Untrusted, match="which no estimator's pickle does"):
        load(file(CALLED[what], fill.encode("latin1")))


def test_what_estimators_hold_is_held_and_not_called() -> None:
    kept = functools.partial(np.clip, a_min=0.5)
    estimator = FunctionTransformer(np.log1p, kw_args={"metric": mean_squared_error, "own": kept})
    for protocol in range(6):
        found = load(pickle.dumps(estimator, protocol))
        assert found.func is np.log1p
        assert found.kw_args["metric"] is mean_squared_error
        assert found.kw_args["own"].func is np.clip
        assert found.kw_args["own"].keywords == {"a_min": 0.5}


# Empty objects ---------------------------------------------------------------------


@pytest.mark.parametrize("special", ["__array_interface__", "__array_struct__", "__class__"])
def test_no_attribute_of_a_file_has_a_meaning_for_python_or_numpy(special: str) -> None:
    estimator = name("sklearn.linear_model._base.LinearRegression") + b")\x81"
    with pytest.raises(Untrusted, match=f"gives a LinearRegression the attribute '{special}'"):
        load(file(built(estimator, {special: 1})))
    with pytest.raises(Untrusted, match=f"gives a Bunch the item {special}"):
        load(file(name("sklearn.utils._bunch.Bunch"), b")\x81", value(special), b"K\1s"))
    bunch = name("sklearn.utils._bunch.Bunch")
    base = name("builtins.dict")
    with pytest.raises(Untrusted, match=f"gives a Bunch the item {special}"):
        load(file(call(name("copyreg._reconstructor"), bunch, base, {special: 1})))


def test_an_estimator_does_not_hold_what_only_rebuilds() -> None:
    estimator = name("sklearn.linear_model._base.LinearRegression") + b")\x81"
    with pytest.raises(Untrusted, match=r"has a LinearRegression hold numpy\.ndarray"):
        load(file(built(estimator, {"coef_": NDARRAY})))


@pytest.mark.parametrize(
    "state", [1, "text", [1], (1,), ({1: 2}, None), (None, {"no_such_slot": 1}), {1: 2}]
)
def test_a_state_is_a_dict_of_attributes(state: Any) -> None:
    estimator = name("sklearn.linear_model._base.LinearRegression") + b")\x81"
    with pytest.raises(Untrusted, match="LinearRegression"):
        load(file(built(estimator, state)))


def test_what_a_class_looks_for_in_a_dict_is_not_asked_for_its_hash() -> None:
    kernel = name("sklearn.gaussian_process.kernels.RBF") + b")\x81"
    for fill in (b"}" + kernel + b"K\1s", b"\x8f(" + kernel + b"\x90", b"(" + kernel + b"\x91"):
        with pytest.raises(Untrusted, match="looks for"):
            load(file(fill))
    twice = b")" + b"2\x86" * 100
    with pytest.raises(Untrusted, match="looks for"):
        load(file(b"}", twice, b"K\1s"))
    assert not pickles.listing(file(b"}", twice, b"K\1s")).globals


def test_an_attribute_is_set_past_what_its_class_defines() -> None:
    found = load(pickle.dumps(Bunch(a=1, keys=2)))
    assert dict(found) == {"a": 1, "keys": 2}
    spline = load(pickle.dumps(SplineTransformer().fit(X)))
    assert np.array_equal(spline.transform(X), SplineTransformer().fit(X).transform(X))


# Dtypes, arrays, scalars -----------------------------------------------------------

STRUCTURE = {"a": (OBJECT, 0)}
FORGED_DTYPES = {
    "objects that a list does not hold": dtype(
        "V8", names=("a",), fields=STRUCTURE, size=8, flags=1
    ),
    "objects that are no objects": dtype("V8", names=("a",), fields=STRUCTURE, size=8, flags=0),
    "numbers that are objects": dtype("<i8", "<", flags=63),
    "a size of its own": dtype("V8", names=("a",), fields={"a": (INTEGER, 0)}, size=4, flags=16),
    "fields that lie over each other": dtype(
        "V8", names=("a", "b"), fields={"a": (INTEGER, 0), "b": (INTEGER, 4)}, size=16, flags=16
    ),
    "fields over objects": dtype(
        "V8", names=("a", "b"), fields={"a": (OBJECT, 0), "b": (INTEGER, 0)}, size=8, flags=27
    ),
    "fields beyond it": dtype("V8", names=("a",), fields={"a": (INTEGER, 4)}, size=8, flags=16),
    "a field that is not there": dtype("V8", names=("a", "b"), fields=STRUCTURE, size=8, flags=27),
    "records of nothing": built(
        call(name("numpy.dtype"), name("numpy.record"), False, True),
        (3, "|", None, None, None, -1, -1, 0),
    ),
    "another kind": dtype("<i8", "<", inner=(OBJECT, (1,))),
}


@pytest.mark.parametrize("case", FORGED_DTYPES)
def test_a_dtype_is_what_numpy_makes_of_its_fields(case: str) -> None:
    with pytest.raises((Untrusted, LoadFailed), match="dtype"):
        load(file(FORGED_DTYPES[case]))


def test_dtypes_do_not_lie_within_each_other_without_an_end() -> None:
    inner = INTEGER
    for _ in range(5):
        inner = dtype("V8", names=("a",), fields={"a": (inner, 0)}, size=8, flags=16)
    with pytest.raises(Untrusted, match="within each other"):
        load(file(inner))


@pytest.mark.parametrize("code", ["O", "i8,i8", "(2,)i8", "V8,O", "float64", "object", "T", "P"])
def test_a_dtype_has_the_name_that_numpy_writes(code: str) -> None:
    with pytest.raises(Untrusted, match=r"calls numpy\.dtype with"):
        load(file(call(name("numpy.dtype"), code, False, True)))


SCALAR = name("numpy._core.multiarray.scalar")
BUFFER = name("numpy._core.numeric._frombuffer")
FORGED_ARRAYS = {
    "bytes for objects": array(EIGHT, (1,), OBJECT),
    "bytes for objects of a buffer": call(BUFFER, EIGHT, OBJECT, (1,), "C"),
    "bytes for an object": call(SCALAR, OBJECT, EIGHT),
    "an object for an object": call(SCALAR, OBJECT, value([1])),
    "objects for numbers": array([1], (1,), INTEGER),
    "too few bytes": array(EIGHT, (2,), INTEGER),
    "too many bytes": array(EIGHT + b"", (0,), INTEGER),
    "too few objects": array([1], (2,), OBJECT),
    "a shape below zero": array(EIGHT, (-1,), INTEGER),
    "a shape of no numbers": array(EIGHT, ("x",), INTEGER),
    "a shape beyond all bounds": array(data(b""), (0, 2**62, 2**62), INTEGER),
    "nothing, without an end": array(data(b""), (2**40,), dtype("S0")),
    "an array for bytes": array(array(EIGHT, (1,), INTEGER), (1,), OBJECT),
    "an array for a buffer": call(BUFFER, array([1], (1,), OBJECT), INTEGER, (1,), "C"),
    "truths that are neither": array(data(b"\2"), (1,), dtype("?")),
    "an array in itself": (
        call(name("numpy._core.multiarray._reconstruct"), NDARRAY, (0,), data(b"b"))
        + b"q\1"
        + value((1, (1,), OBJECT, False, [b"h\1"]))
        + b"b"
    ),
    "a class of its own": built(
        call(name("numpy._core.multiarray._reconstruct"), name("builtins.list"), (0,), data(b"b")),
        (1, (1,), INTEGER, False, EIGHT),
    ),
}


@pytest.mark.parametrize("case", FORGED_ARRAYS)
def test_an_array_is_made_of_as_many_bytes_or_objects_as_it_has(case: str) -> None:
    with pytest.raises((Untrusted, LoadFailed)):
        load(file(FORGED_ARRAYS[case]))


def test_no_array_is_a_view_of_another_or_of_the_file() -> None:
    twice = file(b"(", array(EIGHT, (1,), INTEGER), array(EIGHT, (1,), INTEGER), b"t")
    one, other = load(twice)
    assert one[0] == int.from_bytes(b"A" * 8, "little")
    assert not np.shares_memory(one, other)
    assert one.base is None
    assert one.flags.writeable


# Random numbers, trees, and what else is compiled ------------------------------------


def changed(whole: Any, old: bytes, new: bytes) -> bytes:
    written = pickle.dumps(whole, 2)
    assert written.count(old) == 1, written.count(old)
    return written.replace(old, new)


def test_a_random_state_stands_where_it_may_stand() -> None:
    state = np.random.RandomState(0)
    wanted = pickle.loads(pickle.dumps(state)).normal(size=3).tolist()
    assert load(pickle.dumps(state)).normal(size=3).tolist() == wanted
    place = b"X\x03\x00\x00\x00pos"
    written = pickle.dumps(state, 2)
    start = written.index(place) + len(place)
    number = written.index(b"M\x70\x02", start)
    for position in (b"J\x71\x02\x00\x00", b"J\xff\xff\xff\x7f", b"J\xff\xff\xff\xff", b"N"):
        with pytest.raises(Untrusted, match=r"__randomstate_ctor|__bit_generator_ctor"):
            load(written[:number] + position + written[number + 3 :])


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.PCG64, np.random.Philox])
def test_a_generator_goes_on_where_it_was(bits: Any) -> None:
    one = np.random.Generator(bits(3))
    one.normal(size=5)
    other = load(pickle.dumps(one))
    assert other.normal(size=5).tolist() == one.normal(size=5).tolist()
    assert other.spawn(1)[0].normal() == one.spawn(1)[0].normal()


def test_a_tree_has_the_shapes_that_it_counts() -> None:
    tree = DecisionTreeClassifier(max_depth=2).fit(X, Y).tree_
    _, (columns, classes, outputs), state = tree.__reduce__()
    forged = [
        ((columns, classes, 2), state),
        ((columns, np.array([2**40]), outputs), state),
        ((columns, np.array([0]), outputs), state),
        ((columns, classes.astype(float), outputs), state),
        ((-1, classes, outputs), state),
        ((columns, classes, outputs), {**state, "node_count": state["node_count"] + 1}),
        ((columns, classes, outputs), {**state, "nodes": state["nodes"][:-1]}),
        ((columns, classes, outputs), {**state, "values": state["values"][:-1]}),
        ((columns, classes, outputs), {**state, "values": state["values"].astype(object)}),
        ((columns, classes, outputs), {**state, "nodes": state["values"]}),
        ((columns, classes, outputs), {**state, "more": 1}),
    ]
    for args, said in forged:
        with pytest.raises((Untrusted, LoadFailed), match=r"tree|Tree"):
            load(pickle.dumps(Reduced(type(tree), args, said)))
    again = load(pickle.dumps(tree))
    assert again.predict(X.astype(np.float32)).tolist() == (
        tree.predict(X.astype(np.float32)).tolist()
    )


class Reduced:
    """Pickles as a call of something with arguments and a state."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return self.parts


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_a_tree_of_neighbours_has_the_shapes_of_its_data(algorithm: Any) -> None:
    search = KNeighborsClassifier(algorithm=algorithm).fit(X, Y)._tree
    make, args, state = search.__reduce__()
    for place, other in (
        (0, state[0][:-1]),
        (0, state[0].astype(object)),
        (1, state[1][:-1]),
        (2, state[2][:0]),
        (3, state[3][:, :, :-1]),
        (4, 0),
        (6, state[6] + 1),
        (11, None),
        (12, np.ones(2)),
    ):
        given = (*state[:place], other, *state[place + 1 :])
        with pytest.raises(Untrusted):
            load(pickle.dumps(Reduced(make, args, given)))


def test_thresholds_of_an_isotonic_regression_are_as_many_as_its_values() -> None:
    model = IsotonicRegression().fit(X[:, 0], Y)
    assert load(pickle.dumps(model)).predict([0.5]) == model.predict([0.5])
    model.y_thresholds_ = model.y_thresholds_[:-1]
    with pytest.raises(Untrusted, match="isotonic"):
        load(pickle.dumps(model))


# Plain values ----------------------------------------------------------------------

PLAIN: list[Any] = [
    {1, 2},
    frozenset({1, 2}),
    frozenset({(1, "b")}),
    bytearray(b"abc"),
    b"\xff\x00",
    complex(1, -2),
    slice(1, None, 2),
    slice("a", "c"),
    range(1, 9, 3),
    collections.OrderedDict([("b", 1), ("a", 2)]),
    collections.Counter("abca"),
    collections.defaultdict(list, {"a": [1]}),
    collections.defaultdict(collections.OrderedDict, {"a": collections.OrderedDict(b=1)}),
    collections.deque([1, 2], 3),
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 23, 59, 58, 999999, datetime.UTC, fold=1),
    datetime.datetime(1, 1, 1),
    datetime.time(1, 2, 3, 4, fold=1),
    datetime.timedelta(-1, 2, 3),
    datetime.timezone(datetime.timedelta(hours=2), "here"),
    Decimal("1.50"),
    Fraction(3, 7),
    {"a": (1, 2.5, None, True), 3: ["x"], (1, 2): ...},
    np.float32(1.5),
    np.datetime64("2024-01-02T03"),
    np.timedelta64(25, "s"),
    np.str_("ab"),
    np.bool_(True),
    np.ma.masked_array([1.5, 2.5], [True, False]),
    np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    np.ma.masked_array(np.array(["a", None], object), [True, False], fill_value="?"),
    scipy.sparse.eye(3, format="csr"),
    scipy.sparse.eye(3, format="coo"),
    scipy.sparse.eye(3, format="lil"),
    scipy.sparse.eye(3, format="dok"),
]


@pytest.mark.parametrize("trust", [DEFAULT, ACTING], ids=["table", "more"])
@pytest.mark.parametrize("given", PLAIN, ids=repr)
def test_a_plain_value_comes_back_in_every_protocol(given: Any, trust: Trust) -> None:
    buffer = io.BytesIO()
    joblib.dump([given], buffer)
    for written in (*(pickle.dumps([given], protocol) for protocol in range(6)), buffer.getvalue()):
        (found,) = pickles.load(written, trust)
        (expected,) = joblib.load(io.BytesIO(written))
        assert type(found) is type(expected)
        if scipy.sparse.issparse(given):
            assert (found.toarray() == given.toarray()).all()
        else:
            assert repr(found) == repr(expected)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_comes_back() -> None:
    found = load(pickle.dumps(np.matrix([[1.0, 2.0]])))
    assert type(found) is np.matrix
    assert found.tolist() == [[1.0, 2.0]]


@pytest.mark.skipif(np.__version__ < "2", reason="numpy has these texts since 2.0")
def test_texts_of_any_length_come_back() -> None:
    given = np.array(["a", "b" * 100], dtype=np.dtypes.StringDType())
    assert load(pickle.dumps(given)).tolist() == given.tolist()


# Bombs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        b"\x80\x04\x8a\xff" + b"\x01" * 10,
        b"\x80\x04\x8b\xff\xff\xff\x7f\x01.",
        b"L" + b"9" * 100_000 + b"L\n.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x04B\xff\xff\xff\xff.",
        b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",
        b"\x80\x05\x97.",
        b"\x80\x05]\x98.",
        b"\x80\x04g7\n.",
        b"\x80\x04j\xff\xff\xff\xff.",
        b"Pname\n.",
        b"\x80\x04K\1Q.",
        b"\x80\x02\x82\x01.",
        b"\x80\x04h\x05.",
        b"\x80\x04b.",
        b"\x80\x04R.",
    ],
)
def test_what_claims_too_much_or_lies_outside_ends_in_a_sentence(written: bytes) -> None:
    with pytest.raises(UnreadableFile):
        load(written)


LARGE = {
    "bytes": (data(b"a" * 10**6), name("builtins.bytearray")),
    "a list": (value(list(range(10**5))), name("builtins.list")),
    "members": (value(list(range(10**5))), name("builtins.set")),
    "a dict": (value({f"a{i}": i for i in range(10**4)}), name("collections.Counter")),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_short_file_does_not_have_the_same_copied_without_an_end(case: str) -> None:
    part, what = LARGE[case]
    again = what + b"q\1" + b"0(" + b"h\1h\0\x85R" * 5000 + b"l"
    with pytest.raises(Untrusted, match="copied again and again"):
        load(file(part + b"q\0" + b"0" + again))


def test_nor_a_state() -> None:
    state = value({f"a{i}": i for i in range(10**4)}) + b"q\0" + b"0"
    made = name("sklearn.dummy.DummyRegressor") + b")\x81h\0b"
    assert load(file(state + made)).a1 == 1
    with pytest.raises(Untrusted, match="copied again and again"):
        load(file(state + b"(" + made * 2000 + b"l"))


def test_a_number_of_any_size_is_no_key() -> None:
    """The hash of a whole number is what is left of it, so as many as one likes have the same."""
    assert load(file(value({2**64 - 1: 0}))) == {2**64 - 1: 0}
    for key in (2**64, -(2**64), (1, 2**200)):
        with pytest.raises(Untrusted, match="expected a plain value"):
            load(file(value({key: 0})))


def test_nests_of_any_depth_are_data() -> None:
    found = load(file(b"]" * 100_000, b"a" * 99_999))
    for _ in range(99_999):
        (found,) = found
    assert found == []


OLD_LIST = "sklearn.compose._column_transformer._RemainderColsList"


@pytest.mark.parametrize("trust", [Trust(), Trust(frozenset({"builtins.print"}))])
def test_the_list_of_columns_that_older_transformers_keep_is_a_list(trust: Trust) -> None:
    said = {"future_dtype": "str", "warning_was_emitted": False, "warning_enabled": True}
    written = file(built(call(name(OLD_LIST)), {"data": [1, "b"], **said}))
    found = pickles.load(written, trust)
    assert type(found) is list
    assert found == [1, "b"]
    for state in ({"data": [[1]]}, {"data": [1], "append": 1}, {"data": (1,)}):
        with pytest.raises(Untrusted, match=r"gives collections\.UserList the state"):
            pickles.load(file(built(call(name(OLD_LIST)), state)), trust)


# Whatever a file says --------------------------------------------------------------


def honest() -> Iterator[bytes]:
    """Files that reach every part of the reader."""
    models = [
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
        DecisionTreeClassifier(max_depth=2, random_state=np.random.RandomState(0)).fit(X, Y),
        HistGradientBoostingClassifier(max_iter=1, max_depth=2).fit(X, Y),
        GradientBoostingRegressor(n_estimators=1, loss="huber").fit(X, Y),
        KNeighborsClassifier(algorithm="kd_tree").fit(X, Y),
        SGDClassifier().fit(X, Y),
        GaussianProcessRegressor(optimizer=None).fit(X, Y),
        IsotonicRegression().fit(X[:, 0], Y),
        SplineTransformer().fit(X),
        FunctionTransformer(functools.partial(np.clip, a_min=0)),
        Bunch(a=1),
        *PLAIN,
    ]
    for model in models:
        for protocol in (0, 2, 4, 5):
            yield pickle.dumps(model, protocol)
        buffer = io.BytesIO()
        joblib.dump(model, buffer)
        yield buffer.getvalue()


def ran(written: bytes, trust: Trust = DEFAULT) -> set[tuple[str, str]]:
    """Which functions of Python ran while a file was read, beside those of the reader itself."""
    seen: set[tuple[str, str]] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            seen.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        pickles.load(written, trust)
    except (ModelStoreError, MemoryError):
        pass
    finally:
        sys.setprofile(None)
    return {each for each in seen if not _of_the_reader(each[0])}


def _of_the_reader(path: str) -> bool:
    return ("model_store" in path and "tests" not in path) or path in (pickle.__file__, __file__)


WATCHED: list[str] = []
WATCHED_FOR = ("exec", "compile", "open", "os.", "subprocess.", "socket.", "ctypes.", "shutil.")
_ON: list[bool] = []


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if _ON and event.startswith(WATCHED_FOR):
        WATCHED.append(event)


@pytest.fixture(scope="module")
def usual() -> set[tuple[str, str]]:
    """The functions that run while honest files are read: those that rows call."""
    sys.addaudithook(_watch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for written in honest():
            load(written)
        return {each for written in honest() for each in ran(written)}


def require_only_rows(written: bytes, usual: set[tuple[str, str]]) -> None:
    """Whether a file made data alone, and ran nothing but what rows run."""
    WATCHED.clear()
    _ON.append(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            more = ran(written) - usual
    finally:
        _ON.clear()
    assert not WATCHED, WATCHED
    assert not {each for each in more if not _of_a_refusal(each)}, more


def _of_a_refusal(function: tuple[str, str]) -> bool:
    """Whether Python's own library runs it to look for a name or to word an error."""
    path, _ = function
    return any(part in path for part in ("/importlib/", "<frozen", "/enum.py", "/hypothesis/"))


def test_the_watch_sees_what_a_file_would_run(usual: set[tuple[str, str]]) -> None:
    free = Trust(frozenset({"sklearn.metrics._regression.mean_squared_error"}))
    metric = name("sklearn.metrics._regression.mean_squared_error")
    called = file(call(metric, value([1.0]), value([2.0])))
    assert {function for _, function in ran(called, free)} >= {"mean_squared_error"}
    require_only_rows(called, usual)
    WATCHED.clear()
    _ON.append(True)
    open(__file__).close()
    _ON.clear()
    assert WATCHED == ["open"]


HELD = [
    *("numpy.add", "numpy.clip", "numpy.float64", "scipy.special.expit", "builtins.str"),
    *("sklearn.metrics._regression.mean_squared_error", "sklearn.utils._bunch.Bunch"),
    *("sklearn.metrics.pairwise.rbf_kernel", "sklearn.utils.validation.check_array"),
    *("sklearn.linear_model._base.LinearRegression", "sklearn.pipeline.Pipeline"),
    *("scipy.sparse._csr.csr_matrix", "sklearn.gaussian_process.kernels.RBF"),
]
FOREIGN = ["os.system", "builtins.eval", "builtins.getattr", "operator.attrgetter", "numpy.load"]
NAMES = strategies.one_of(
    strategies.sampled_from(HELD),
    strategies.sampled_from([each for each in TABLE if not each.startswith(("pandas", "pyarrow"))]),
    strategies.sampled_from(FOREIGN),
)
LEAVES = strategies.one_of(
    NAMES.map(name),
    strategies.sampled_from(
        [None, True, 0, 1, -1, 3, 8, 2**31, 2**70, 0.5, "a", "f8", "O8", "i8", "b", "C", "<", ""]
    ).map(value),
    strategies.sampled_from([b"", b"b", b"A" * 8, b"\0" * 16]).map(data),
    strategies.sampled_from([OBJECT, INTEGER, dtype("<f8", "<"), array([1], (1,), OBJECT)]),
    strategies.integers(0, 5).map(lambda place: b"h" + bytes([place])),
)
OPCODES = strategies.sampled_from(
    [
        *(
            b"R",
            b"\x81",
            b"}\x92",
            b"b",
            b"a",
            b"s",
            b"t",
            b"l",
            b"d",
            b"e",
            b"u",
            b"o",
            b"(",
            b"0",
        ),
        *(b"\x85", b"\x86", b"\x87", b"\x94", b"2", b")", b"]", b"}", b"\x8f", b"\x90", b"\x91"),
        b"1",
    ]
)


def calls(inner: Any) -> Any:
    """Calls and states of what is made of `inner`."""
    args = strategies.lists(inner, max_size=5).map(lambda each: b"(" + b"".join(each) + b"t")
    state = strategies.one_of(
        args,
        inner,
        strategies.dictionaries(
            strategies.sampled_from(["pos", "a", "nodes", "__class__", "dtype"]), inner, max_size=3
        ).map(value),
    )
    made = strategies.tuples(inner, args, strategies.sampled_from([b"R", b"\x81", b"}\x92"]))
    return strategies.one_of(
        made.map(b"".join),
        strategies.tuples(made.map(b"".join), state, st_build).map(b"".join),
    )


st_build = strategies.just(b"b")
STREAMS = strategies.one_of(
    strategies.recursive(LEAVES, calls, max_leaves=12),
    strategies.lists(strategies.one_of(LEAVES, OPCODES), max_size=30).map(b"".join),
)


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(STREAMS)
def test_whatever_opcodes_a_file_has_only_rows_run(
    usual: set[tuple[str, str]], opcodes: bytes
) -> None:
    require_only_rows(file(opcodes), usual)


WHOLES = [written for written in honest() if len(written) < 20_000]


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(strategies.data())
def test_whatever_is_changed_in_a_real_file_only_rows_run(
    usual: set[tuple[str, str]], data: strategies.DataObject
) -> None:
    whole = data.draw(strategies.sampled_from(WHOLES))
    require_only_rows(data.draw(mutated(whole)), usual)


TABLE_OF_PANDAS = pandas.DataFrame(
    {
        "number": [1, 2],
        "object": np.array([None, "a"], dtype=object),
        "text": ["a", "b"],
        "gap": pandas.array([1, None], dtype="Int64"),
        "day": pandas.to_datetime(["2024-01-01", "2024-02-01"], utc=True),
        "kind": pandas.Categorical(["a", "b"]),
        "bin": pandas.cut([1, 2], 2),
    },
    index=pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)]),
)
FILES_OF_PANDAS = [
    pickle.dumps([TABLE_OF_PANDAS, TABLE_OF_PANDAS["bin"]], protocol) for protocol in (2, 4, 5)
]


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(strategies.data())
def test_whatever_is_changed_in_a_table_of_pandas_nothing_is_opened_or_run(
    usual: set[tuple[str, str]], data: strategies.DataObject
) -> None:
    whole = data.draw(strategies.sampled_from(FILES_OF_PANDAS))
    changed = data.draw(mutated(whole))
    load(whole)  # What pandas imports late is there.
    WATCHED.clear()
    _ON.append(True)
    try:
        load(changed)
    except (ModelStoreError, MemoryError):
        pass
    finally:
        _ON.clear()
    assert not WATCHED, WATCHED


@strategies.composite
def mutated(choose: Any, whole: bytes) -> bytes:
    """A real file in which opcodes were left out, doubled, exchanged, or had others put between."""
    parts = opcodes_of(whole)
    for _ in range(choose(strategies.integers(1, 4))):
        place = choose(strategies.integers(0, len(parts) - 1))
        how = choose(strategies.sampled_from(["drop", "double", "name", "leaf", "opcode", "swap"]))
        if how == "drop":
            parts[place] = b""
        elif how == "double":
            parts[place] *= 2
        elif how == "swap":
            other = choose(strategies.integers(0, len(parts) - 1))
            parts[place], parts[other] = parts[other], parts[place]
        elif how == "name":
            named = [i for i, part in enumerate(parts) if part[:1] == b"c"] or [place]
            parts[choose(strategies.sampled_from(named))] = name(choose(NAMES))
        else:
            parts[place] += choose(LEAVES if how == "leaf" else OPCODES)
    return b"".join(parts)


def opcodes_of(whole: bytes) -> list[bytes]:
    """The opcodes of a file with what follows each; of a joblib file as far as they go."""
    places = []
    try:
        for _, _, place in pickletools.genops(whole):
            places.append(place or 0)
    except Exception:
        pass
    return [whole[start:end] for start, end in zip(places, [*places[1:], len(whole)], strict=True)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(STREAMS)
def test_whatever_arrays_a_file_makes_own_their_memory(opcodes: bytes) -> None:
    try:
        found = load(file(b"(", opcodes, b"t"))
    except (ModelStoreError, MemoryError):
        return
    arrays = list(arrays_in(found))
    for each in arrays:
        base = each
        while base.base is not None:
            base = base.base
            assert isinstance(base, np.ndarray)
            assert base.dtype.hasobject == each.dtype.hasobject
    for place, one in enumerate(arrays):
        assert not any(one is not each and np.shares_memory(one, each) for each in arrays[:place])


def arrays_in(value: Any, depth: int = 10) -> Iterator[np.ndarray[Any, Any]]:
    if depth and isinstance(value, list | tuple | set):
        for each in value:
            yield from arrays_in(each, depth - 1)
    elif depth and isinstance(value, dict):
        yield from arrays_in(list(value.values()), depth - 1)
    elif isinstance(value, np.ndarray):
        yield value


def test_each_row_says_what_it_takes() -> None:
    for full, row in TABLE.items():
        assert full == row.name
        if isinstance(row, Row):
            assert row.args.words
            assert row.state is None or row.state.words
            with pytest.raises(Untrusted, match=r"which no estimator's pickle does: expected "):
                row.call((object(),) * 20)


def test_a_file_is_not_copied_as_a_whole_while_no_other_thread_runs() -> None:
    data = formats.dump({"weights": np.zeros(200_000), "more": np.ones((3, 4))})
    file = io.BytesIO(data)
    made = Loader(file, DEFAULT, "ASCII").load()
    assert made["weights"].shape == (200_000,)
    assert made["more"].sum() == 12
    # What a file holds of its own; it shares the bytes that it was given.
    assert sys.getsizeof(file) < len(data)
