"""Tables of pandas that a pickle holds are made anew of checked parts, and come back the same."""

from __future__ import annotations

import copyreg
import datetime
import io
import pickle
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
from hypothesis import given, settings, strategies
from pandas.core.internals.managers import BlockManager, SingleBlockManager
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from model_store import pickles
from model_store.errors import LoadFailed, ModelStoreError, Unsound, Untrusted
from model_store.soundness.check import require_sound
from model_store.trust import Trust

from ..corpus import difference, tables

DEFAULT = Trust()
TABLES: dict[str, Any] = dict(tables())


def load(data: bytes) -> Any:
    return pickles.load(data, DEFAULT)


def written(value: Any) -> list[bytes]:
    """The value in each protocol, and by joblib."""
    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    return [*(pickle.dumps(value, protocol) for protocol in range(6)), buffer.getvalue()]


# What honest authors hold ------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_what_pandas_made_comes_back_from_every_protocol(name: str) -> None:
    value = TABLES[name]
    for data in written([value]):
        (found,) = load(data)
        assert difference(joblib.load(io.BytesIO(data))[0], found) is None


@pytest.mark.parametrize("name", TABLES)
def test_a_pipeline_may_hold_what_pandas_made(name: str) -> None:
    require_sound(load(pickle.dumps(held(TABLES[name]))), DEFAULT)


def held(value: Any) -> FunctionTransformer:
    return FunctionTransformer(kw_args={"table": value})


@pytest.mark.parametrize("freq", ["D", "90min", "MS", "W-WED", "B", "QS-FEB"])
def test_an_index_keeps_its_steps(freq: str) -> None:
    index = pandas.date_range("2024-01-01", periods=5, freq=freq, name="day")
    for data in written(index):
        assert_index_equal(load(data), index)
        assert load(data).freq == index.freq
    spans = pandas.timedelta_range("1h", periods=4, freq="90min")
    assert load(pickle.dumps(spans)).freq == spans.freq


def numbers(dtype: str) -> Any:
    return strategies.integers(0, 2**16).map(
        lambda seed: np.random.default_rng(seed).integers(0, 100, 40).astype(dtype)
    )


TEXT = strategies.text(
    strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5
)
OBJECTS = strategies.one_of(
    TEXT, strategies.none(), strategies.integers(), strategies.dates(), strategies.tuples(TEXT)
)
DTYPES = strategies.sampled_from(
    [
        *("int64", "int8", "uint32", "float64", "float32", "bool", "complex128"),
        *("datetime64[ns]", "datetime64[s]", "timedelta64[ms]", "datetime64[us, UTC]"),
        *("Int64", "UInt8", "Float32", "boolean", "category"),
    ]
)


@strategies.composite
def columns(draw: Any, rows: int) -> Any:
    """A column of some type, with gaps where the type has them."""
    kind = draw(strategies.sampled_from(["dtype", "text", "object", "string", "interval"]))
    if kind == "dtype":
        dtype = draw(DTYPES)
        numpy = {"category": "int64", "boolean": "bool", "complex128": "int64"}
        values = draw(numbers(numpy.get(dtype, "int64")))[:rows]
        made = pandas.Series(values).astype(dtype)
        gaps = draw(strategies.booleans()) and made.dtype.kind not in "iub" and rows > 1
        if gaps or (isinstance(made.dtype, pandas.api.extensions.ExtensionDtype) and rows > 1):
            made.iloc[0] = None
        return made
    if kind == "interval":
        return pandas.Series(pandas.arrays.IntervalArray.from_breaks(range(rows + 1)))
    values = draw(
        strategies.lists(TEXT if kind != "object" else OBJECTS, min_size=rows, max_size=rows)
    )
    return pandas.Series(
        values,
        dtype={"text": None if rows else object, "object": object, "string": "string[python]"}[
            kind
        ],
    )


@strategies.composite
def indexes(draw: Any, rows: int) -> Any:
    kind = draw(
        strategies.sampled_from(["range", "integers", "texts", "days", "pairs", "categories"])
    )
    if kind == "range":
        start, step = draw(strategies.integers(-5, 5)), draw(strategies.sampled_from([-2, 1, 3]))
        return pandas.RangeIndex(start, start + rows * step, step, name=draw(TEXT))
    if kind == "days":
        return pandas.date_range(
            "2024-01-01", periods=rows, tz=draw(strategies.sampled_from([None, "UTC"]))
        )
    if kind == "integers":
        return pandas.Index(draw(numbers("int32"))[:rows], name=(draw(TEXT), 1))
    texts = draw(strategies.lists(TEXT, min_size=rows, max_size=rows))
    if kind == "pairs" and rows:
        return pandas.MultiIndex.from_arrays([texts, range(rows)], names=[draw(TEXT), None])
    made = pandas.Index(texts, dtype=object)
    return pandas.CategoricalIndex(made) if kind == "categories" else made


@strategies.composite
def frames(draw: Any) -> pandas.DataFrame:
    rows = draw(strategies.integers(0, 6))
    made = draw(strategies.lists(columns(rows), max_size=6))
    frame = pandas.DataFrame(dict(enumerate(made)), index=pandas.RangeIndex(rows))
    frame.index = draw(indexes(rows))
    frame.columns = draw(indexes(len(made)))
    order = draw(strategies.sampled_from([slice(None), slice(None, None, -1), slice(0, None, 2)]))
    return frame.iloc[:, order].iloc[draw(strategies.sampled_from([slice(None), slice(1, None)]))]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(frames(), strategies.integers(0, 6))
def test_a_frame_of_whatever_columns_comes_back(frame: pandas.DataFrame, way: int) -> None:
    found = load(written(frame)[way])
    assert_frame_equal(found, frame)
    assert_index_equal(found.index, frame.index, exact=True)
    assert_index_equal(found.columns, frame.columns, exact=True)
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        assert_series_equal(load(written(column)[way]), column)
    require_sound(held(found), DEFAULT)


def test_what_is_read_shares_no_memory_with_what_else_is_read() -> None:
    values = np.arange(6.0).reshape(2, 3)
    block = Call(unpickle_block(), values, slice(0, 2, 1), 2)
    array, one, other = load(
        pickle.dumps([values, frame_of([block], ["a", "b"], 3), frame_of([block], ["a", "b"], 3)])
    )
    array[:] = 9
    one.iloc[0, 0] = 7
    assert other.to_numpy().tolist() == values.T.tolist()
    assert one.iloc[1:].to_numpy().tolist() == values.T[1:].tolist()


# What forged files say ---------------------------------------------------------------


class Call:
    """Pickles as a call of something, and a state where there is one."""

    def __init__(self, what: Any, *args: Any, state: Any = None) -> None:
        self.parts = (what, args) if state is None else (what, args, state)

    def __reduce__(self) -> Any:
        return self.parts


def made_of(kind: Any, state: Any) -> Call:
    """An object that is made empty and given a state."""
    return Call(copyreg._reconstructor, kind, object, None, state=state)  # type: ignore[attr-defined]


def unpickle_block() -> Any:
    return pandas.DataFrame({"a": [1.0]})._mgr.blocks[0].__reduce__()[0]


def block(values: Any, places: Any, dimensions: Any = 2) -> Call:
    return Call(unpickle_block(), values, places, dimensions)


def frame_of(blocks: Any, names: Any, rows: Any, **more: Any) -> Call:
    names = pandas.Index(names, dtype=object) if isinstance(names, list) else names
    index = pandas.RangeIndex(rows) if isinstance(rows, int) else rows
    manager = Call(BlockManager, tuple(blocks), [names, index])
    return made_of(pandas.DataFrame, {"_mgr": manager, **more})


def series_of(values: Any, index: Any, places: Any, **more: Any) -> Call:
    layout = {"axes": [index], "blocks": [{"values": values, "mgr_locs": places}]}
    state = ([index], [values], [index], {"0.14.1": layout})
    manager = made_of(SingleBlockManager, state)
    return made_of(pandas.Series, {"_mgr": manager, "_name": None, **more})


def backed(kind: Any, *state: Any) -> Call:
    maker, (_, checksum, _) = pandas.Categorical(["a"]).__reduce__()[:2]
    return Call(maker, kind, checksum, None, state=state)


TWO = np.arange(6.0).reshape(2, 3)
ONE = np.arange(3.0)
THREE = pandas.RangeIndex(3)
DAYS = ONE.astype("M8[s]")
LETTERS = pandas.CategoricalDtype(pandas.Index(["a", "b"], dtype=object))
masked = pandas.arrays
FORGED: dict[str, Callable[[], Any]] = {
    "a place beyond the columns": lambda: frame_of([block(TWO, slice(0, 4, 2))], ["a", "b"], 3),
    "a place before the columns": lambda: frame_of([block(TWO, slice(-1, 1, 1))], ["a", "b"], 3),
    "places far away": lambda: frame_of([block(TWO, np.array([0, 2**40]))], ["a", "b"], 3),
    "a place that two columns have": lambda: frame_of(
        [block(TWO, np.array([0, 0]))], ["a", "b"], 3
    ),
    "a place that two blocks have": lambda: frame_of(
        [block(TWO, slice(0, 2, 1)), block(TWO[:1], slice(1, 2, 1))], ["a", "b"], 3
    ),
    "a column that no block has": lambda: frame_of([block(TWO, slice(0, 2, 1))], list("abc"), 3),
    "columns without an end": lambda: frame_of(
        [block(TWO, slice(0, 2, 1))], pandas.RangeIndex(10**15), 3
    ),
    "fewer places than columns": lambda: frame_of([block(TWO, slice(0, 1, 1))], ["a"], 3),
    "more places than columns": lambda: frame_of([block(TWO, slice(0, 2**60, 1))], ["a", "b"], 3),
    "places without steps": lambda: frame_of([block(TWO, slice(0, 2, 0))], ["a", "b"], 3),
    "places of texts": lambda: frame_of([block(TWO, slice("a", "b", None))], ["a", "b"], 3),
    "places of fractions": lambda: frame_of([block(TWO, ONE[:2])], ["a", "b"], 3),
    "columns that are shorter": lambda: frame_of([block(TWO, slice(0, 2, 1))], ["a", "b"], 4),
    "columns that are longer": lambda: frame_of([block(TWO, slice(0, 2, 1))], ["a", "b"], 2),
    "columns of several lengths": lambda: frame_of(
        [block(TWO[:1], slice(0, 1, 1)), block(TWO[:1, :2], slice(1, 2, 1))], ["a", "b"], 3
    ),
    "a row for a block": lambda: frame_of([block(ONE, slice(0, 3, 1))], list("abc"), 3),
    "a cube for a block": lambda: frame_of([block(TWO[None], slice(0, 1, 1))], ["a"], 3),
    "a list for a block": lambda: frame_of([block([1.0], slice(0, 1, 1))], ["a"], 1),
    "records for a block": lambda: frame_of(
        [block(np.zeros((1, 3), "i4,O"), slice(0, 1, 1))], ["a"], 3
    ),
    "a block of one dimension": lambda: frame_of([block(TWO, slice(0, 2, 1), 1)], ["a", "b"], 3),
    "an array for a block's columns": lambda: frame_of([TWO], ["a", "b"], 3),
    "one index": lambda: made_of(
        pandas.DataFrame, {"_mgr": Call(BlockManager, (block(TWO, slice(0, 2, 1)),), [THREE])}
    ),
    "a list for an index": lambda: frame_of([block(TWO, slice(0, 2, 1))], ["a", "b"], [1, 2, 3]),
    "a frame of nothing": lambda: made_of(pandas.DataFrame, {}),
    "a frame of a frame": lambda: made_of(pandas.DataFrame, {"_mgr": pandas.DataFrame()}),
    "a frame of a Series": lambda: made_of(
        pandas.DataFrame, {"_mgr": pandas.Series([1.0]).__reduce__()[2]["_mgr"]}
    ),
    "a Series of a frame": lambda: made_of(
        pandas.Series, {"_mgr": pandas.DataFrame({"a": [1.0]}).__reduce__()[2]["_mgr"]}
    ),
    "an attribute of its own": lambda: frame_of([], [], 3, __class__=1),
    "a method of its own": lambda: frame_of([], [], 3, to_numpy=1),
    "attributes that are objects": lambda: frame_of([], [], 3, attrs={"a": LinearRegression()}),
    "flags of its own": lambda: frame_of([], [], 3, _flags={"a": True}),
    "names that may stand once": lambda: frame_of(
        [block(TWO, slice(0, 2, 1))], ["a", "a"], 3, _flags={"allows_duplicate_labels": False}
    ),
    "a call of DataFrame": lambda: Call(pandas.DataFrame, {"a": [1.0]}),
    "a call of Series": lambda: Call(pandas.Series, [1.0]),
    "a Series that is shorter": lambda: series_of(ONE, pandas.RangeIndex(4), slice(0, 4, 1)),
    "a Series in another order": lambda: series_of(ONE, THREE, slice(2, None, -1)),
    "a Series at other places": lambda: series_of(ONE, THREE, np.array([0, 1, 1])),
    "a Series at more places": lambda: series_of(ONE, THREE, slice(0, 2**60, 1)),
    "a Series of two dimensions": lambda: series_of(TWO, pandas.RangeIndex(2), slice(0, 2, 1)),
    "a Series of records": lambda: series_of(np.zeros(3, "i4,O"), THREE, slice(0, 3, 1)),
    "a name that is a list": lambda: series_of(ONE, THREE, slice(0, 3, 1), _name=["a"]),
    "objects for integers": lambda: made_of(
        masked.IntegerArray, {"_data": np.array([[], 1, 2], object), "_mask": ONE > 1}
    ),
    "fractions for integers": lambda: made_of(
        masked.IntegerArray, {"_data": ONE, "_mask": ONE > 1}
    ),
    "a mask that is shorter": lambda: made_of(
        masked.FloatingArray, {"_data": ONE, "_mask": ONE[:2] > 1}
    ),
    "a mask that is none": lambda: made_of(masked.FloatingArray, {"_data": ONE, "_mask": ONE}),
    "numbers for truths": lambda: made_of(masked.BooleanArray, {"_data": ONE, "_mask": ONE > 1}),
    "an array without a mask": lambda: made_of(masked.IntegerArray, {"_data": ONE.astype(int)}),
    "codes beyond the categories": lambda: backed(
        pandas.Categorical, LETTERS, np.array([0, 2], np.int8)
    ),
    "codes below the categories": lambda: backed(
        pandas.Categorical, LETTERS, np.array([0, -2], np.int8)
    ),
    "codes that are objects": lambda: backed(pandas.Categorical, LETTERS, np.array([[]], object)),
    "texts that are lists": lambda: backed(
        masked.StringArray, pandas.StringDtype("python"), np.array([None, []], object)
    ),
    "texts of two dimensions": lambda: backed(
        masked.StringArray, pandas.StringDtype("python"), np.array([["a"]], object)
    ),
    "numbers for dates": lambda: backed(masked.DatetimeArray, np.dtype("M8[s]"), ONE.astype("i8")),
    "objects for dates": lambda: backed(
        masked.DatetimeArray, np.dtype("M8[s]"), np.array([[]], object)
    ),
    "dates of another unit": lambda: backed(masked.DatetimeArray, np.dtype("M8[ns]"), DAYS),
    "dates of no unit": lambda: backed(
        masked.DatetimeArray, np.dtype("M8[D]"), DAYS.astype("M8[D]")
    ),
    "spans for dates": lambda: backed(masked.DatetimeArray, np.dtype("m8[s]"), ONE.astype("m8[s]")),
    "dates with a dtype of texts": lambda: backed(
        masked.DatetimeArray, pandas.StringDtype("python"), DAYS
    ),
    "dates in steps that are none": lambda: backed(
        masked.DatetimeArray, DAYS.dtype, DAYS, {"_freq": pandas.offsets.Day()}
    ),
    "dates of two dimensions, alone": lambda: held(
        backed(masked.DatetimeArray, DAYS.dtype, DAYS[None])
    ),
    "an array of numpy of another dtype": lambda: backed(
        masked.NumpyExtensionArray, pandas.Series([1]).array.dtype, ONE
    ),
    "levels that are not there": lambda: Call(
        new_index(),
        pandas.MultiIndex,
        {"levels": [THREE], "codes": [np.array([3])], "sortorder": None, "names": [None]},
    ),
    "levels of several lengths": lambda: Call(
        new_index(),
        pandas.MultiIndex,
        {
            "levels": [THREE, THREE],
            "codes": [np.array([0]), np.array([0, 1])],
            "sortorder": None,
            "names": [None, None],
        },
    ),
    "an index of lists": lambda: Call(
        new_index(), pandas.Index, {"data": np.array([None, []], object)}
    ),
    "an index of another kind": lambda: Call(
        new_index(), pandas.CategoricalIndex, {"data": ONE, "name": None}
    ),
    "an index of two dimensions": lambda: Call(new_index(), pandas.Index, {"data": TWO}),
    "an interval that ends before it begins": lambda: Call(pandas.Interval, 2, 1, "left"),
    "intervals of objects": lambda: Call(
        *pandas.arrays.IntervalArray.from_breaks(ONE).__reduce__()[:1],
        *pandas.arrays.IntervalArray.from_breaks(ONE).__reduce__()[1],
        state=(
            {
                "_left": np.array([[]], object),
                "_right": np.array([[]], object),
                "_dtype": pandas.IntervalDtype("int64", "left"),
            },
        ),
    ),
    "intervals of another dtype": lambda: Call(
        *pandas.arrays.IntervalArray.from_breaks(ONE).__reduce__()[:1],
        *pandas.arrays.IntervalArray.from_breaks(ONE).__reduce__()[1],
        state=({"_left": ONE, "_right": ONE, "_dtype": pandas.IntervalDtype("int64", "left")},),
    ),
    "a zone of its own": lambda: made_of(
        pandas.DatetimeTZDtype, {"unit": "s", "tz": LinearRegression()}
    ),
    "a state that is more than notes": lambda: made_of(pandas.Int64Dtype, {"type": 1}),
    "a moment in years": lambda: Call(pandas.Timestamp(0).__reduce__()[0], 1, None, None, 0),
    "a moment beyond numbers": lambda: Call(
        pandas.Timestamp(0).__reduce__()[0], 2**63, None, None, 10
    ),
    "a step of objects": lambda: Call(pandas.offsets.Day, [1], False),
    "a block alone": lambda: held(block(TWO, slice(0, 2, 1))),
    "columns alone": lambda: held(Call(BlockManager, (), [THREE, THREE])),
}


def new_index() -> Any:
    return pandas.Index([1]).__reduce__()[0]


@pytest.mark.parametrize("case", FORGED)
def test_what_does_not_fit_together_is_refused_with_a_sentence(case: str) -> None:
    forged = FORGED[case]()
    for protocol in (2, 5):
        with pytest.raises((Untrusted, LoadFailed), match=r"^[A-Za-z].*\.?$"):
            require_sound(load(pickle.dumps(forged, protocol)), DEFAULT)


def test_a_frame_does_not_hold_itself() -> None:
    values = np.empty((1, 1), object)
    state: dict[str, Any] = {}
    whole = made_of(pandas.DataFrame, state)
    values[0, 0] = whole
    names = pandas.Index(["a"], dtype=object)
    state["_mgr"] = Call(
        BlockManager, (block(values, slice(0, 1, 1)),), [names, pandas.RangeIndex(1)]
    )
    with pytest.raises(Untrusted, match=r"refers to a pandas\.DataFrame before its state"):
        load(pickle.dumps(whole))


# What the columns hold ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pickle.loads, Untrusted),
        (datetime.datetime.now, Untrusted),
        (io.BytesIO(), Untrusted),
        (TfidfVectorizer(input="filename"), Unsound),
    ],
)
def test_what_stands_in_a_column_is_looked_at(value: Any, expected: type) -> None:
    column = pandas.Series([1, value], dtype=object)
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": column, "c": ["x", "y"]})
    for table in (column, frame, column.array, {"table": frame}):
        with pytest.raises(expected, match=r"table|Tfidf"):
            require_sound(held(table), DEFAULT)


def test_estimators_in_a_column_are_welcome() -> None:
    frame = pandas.DataFrame({"a": pandas.Series([StandardScaler(), np.log1p], dtype=object)})
    found = load(pickle.dumps(held(frame)))
    require_sound(found, DEFAULT)
    assert isinstance(found.kw_args["table"].iloc[0, 0], StandardScaler)
    assert found.kw_args["table"].iloc[1, 0] is np.log1p


def test_a_table_of_a_file_that_is_cut_off_or_changed_ends_in_a_sentence() -> None:
    whole = pickle.dumps(held(TABLES["frame"]), 4)
    draw = np.random.default_rng(0)
    for _ in range(40):
        changed = bytearray(whole)
        changed[draw.integers(2, len(whole))] = draw.integers(256)
        try:
            require_sound(load(bytes(changed)), DEFAULT)
        except ModelStoreError:
            continue
