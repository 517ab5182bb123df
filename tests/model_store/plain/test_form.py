"""The two files of a form: what is none, or does not fit itself, is malformed and nothing worse."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model_store.inspection import Inspection
from model_store.plain import Malformed, nodes, read, write
from model_store.plain.form import FORM, MAX_DEPTH, MAX_NODES
from model_store.plain.kinds import MODULES, kind_of
from model_store.plain.node import Label, labels_of
from model_store.plain.pack import pack
from tests.fuzz_forms import subjects
from tests.fuzz_forms.cases import ANSWERED, MALFORMED, REFUSED, outcome_of
from tests.fuzz_forms.mutation import mutated

RANDOM: Final = np.random.default_rng(3)
X: Final = RANDOM.normal(size=(40, 2))
Y: Final = X @ np.array([1.0, -2.0]) + 3


def good() -> tuple[dict[str, Any], bytes]:
    """The header and the data of a scaler with a regression behind it."""
    pipeline = make_pipeline(StandardScaler(), LinearRegression()).fit(X, Y)
    header, data = write(pack(pipeline, Inspection.of_data(pipeline, X, Y).signature))
    return json.loads(header), data


HEADER, DATA = good()
ROOT: Final = HEADER["root"]
SPAN: Final = ROOT["last"]["coefficients"]


def encoded(header: Any) -> bytes:
    return json.dumps(header).encode()


def with_root(root: Any) -> bytes:
    return encoded(HEADER | {"root": root})


def with_span(**fields: Any) -> bytes:
    """The header, with another place of the coefficients."""
    header = copy.deepcopy(HEADER)
    header["root"]["last"]["coefficients"] |= fields
    return encoded(header)


def nested(depth: int) -> Any:
    """A pipeline in a pipeline, and so on."""
    root = ROOT
    for _ in range(depth):
        root = {"kind": "pipeline", "steps": [], "last": root}
    return root


def test_a_good_form_is_read() -> None:
    form = read(encoded(HEADER), DATA)
    np.testing.assert_allclose(form.predict(X).labels, Y)
    assert read(*write(form)).columns == 2


NO_HEADERS: Final = {
    "nothing": b"",
    "spaces": b"  ",
    "no JSON": b"model",
    "a pickle": b"\x80\x05N.",
    "half of it": encoded(HEADER)[:-40],
    "two": encoded(HEADER) * 2,
    "no UTF-8": encoded(HEADER).replace(b"regression", b"regressi\xf6n"),
    "UTF-16": json.dumps(HEADER).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + encoded(HEADER),
    "null": b"null",
    "a list": b"[]",
    "a text": b'"form"',
    "NaN": encoded(HEADER).replace(b'"columns": 2', b'"columns": NaN'),
    "an infinite number": encoded(HEADER).replace(b'"columns": 2', b'"columns": 1e999'),
    "lists within lists": b"[" * 100_000,
    "objects within objects": b'{"a":' * 100_000,
    "no fields": b"{}",
    "no format": encoded({key: HEADER[key] for key in ("columns", "root")}),
    "no columns": encoded({key: HEADER[key] for key in ("format", "root")}),
    "no root": encoded({key: HEADER[key] for key in ("format", "columns")}),
    "a later format": encoded(HEADER | {"format": FORM + 1}),
    "format 0": encoded(HEADER | {"format": 0}),
    "a format that is a text": encoded(HEADER | {"format": "1"}),
    "a format that is true": encoded(HEADER | {"format": True}),
    "a format with a fraction": encoded(HEADER | {"format": 1.5}),
    "a field that is not known": encoded(HEADER | {"code": "print()"}),
    "0 columns": encoded(HEADER | {"columns": 0}),
    "less than 0 columns": encoded(HEADER | {"columns": -2}),
    "another number of columns": encoded(HEADER | {"columns": 3}),
    "too many columns": encoded(HEADER | {"columns": 1 << 21}),
    "a number of columns beyond 64 bits": encoded(HEADER | {"columns": 10**400}),
}


@pytest.mark.parametrize("name", NO_HEADERS)
def test_what_is_no_header_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        read(NO_HEADERS[name], DATA)


NO_ROOTS: Final = {
    "null": None,
    "a list": [ROOT],
    "a text": "pipeline",
    "a number": 5,
    "no kind": {"steps": [], "last": ROOT},
    "an unknown kind": ROOT | {"kind": "pickle"},
    "a kind in capitals": ROOT | {"kind": "Pipeline"},
    "a kind that is a list": ROOT | {"kind": []},
    "a kind that is an object": ROOT | {"kind": {}},
    "a kind that is null": ROOT | {"kind": None},
    "a step in the place of the last": ROOT["steps"][0],
    "the last in the place of a step": ROOT | {"steps": [ROOT["last"]]},
    "a node that is an array": ROOT | {"last": SPAN},
    "an array that is a node": ROOT | {"last": ROOT["last"] | {"coefficients": ROOT["last"]}},
    "an array that is a number": ROOT | {"last": ROOT["last"] | {"coefficients": 1.0}},
    "an array that is a list": ROOT | {"last": ROOT["last"] | {"coefficients": [1.0, 2.0]}},
    "an array that is missing": ROOT | {"last": {"kind": "regression", "intercept": SPAN}},
    "a field that is not known": ROOT | {"last": ROOT["last"] | {"code": 1}},
    "a field of another node": ROOT | {"classes": [1, 2]},
    "a word that is not known": ROOT | {"last": ROOT["last"] | {"link": "exec"}},
    "steps that are an object": ROOT | {"steps": {}},
    "steps that are missing": {"kind": "pipeline", "last": ROOT["last"]},
    "a node too deep": nested(MAX_DEPTH - 1),
    "nodes much too deep": nested(300),
}


@pytest.mark.parametrize("name", NO_ROOTS)
def test_what_is_no_node_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        read(with_root(NO_ROOTS[name]), DATA)


def test_nodes_may_be_deep() -> None:
    form = read(with_root(nested(MAX_DEPTH - 2)), DATA)
    np.testing.assert_allclose(form.predict(X).labels, Y)


def test_many_nodes_are_malformed() -> None:
    """Each takes a hundred times the memory of its few characters, and time to be made."""
    steps = [{"kind": "chain", "steps": []}] * MAX_NODES
    with pytest.raises(Malformed, match=f"at most {MAX_NODES} nodes"):
        read(with_root(ROOT | {"steps": steps}), DATA)


NO_SPANS: Final[dict[str, dict[str, Any]]] = {
    "behind the end": {"offset": len(DATA) // 64 * 64 + 64},
    "far behind the end": {"offset": 1 << 40},
    "before the start": {"offset": -64},
    "beyond 64 bits": {"offset": 1 << 70},
    "not aligned": {"offset": SPAN["offset"] + 8},
    "with a fraction": {"offset": 64.5},
    "a text": {"offset": "64"},
    "longer than the file": {"shape": [1 << 30]},
    "longer than any memory": {"shape": [1 << 40, 1 << 40]},
    "a product beyond 64 bits": {"shape": [1 << 40, 1 << 40, 1 << 40, 1 << 40]},
    "a length beyond 64 bits": {"shape": [1 << 70]},
    "a negative length": {"shape": [-2]},
    "two negative lengths": {"shape": [-2, -1]},
    "a length with a fraction": {"shape": [2.5]},
    "a length that is true": {"shape": [True]},
    "a length that is a list": {"shape": [[2]]},
    "no shape": {"shape": None},
    "more dimensions than there may be": {"shape": [1, 1, 1, 1, 2]},
    "another length": {"shape": [1]},
    "nothing": {"shape": [0]},
    "nothing of a huge length": {"shape": [0, 1 << 40]},
    "a scalar": {"shape": []},
    "objects": {"dtype": "object"},
    "Python objects": {"dtype": "O"},
    "texts": {"dtype": "<U8"},
    "times": {"dtype": "datetime64[ns]"},
    "complex numbers": {"dtype": "complex128"},
    "wide floats": {"dtype": "float128"},
    "records": {"dtype": [["a", "float64"]]},
    "big-endian": {"dtype": ">f8"},
    "integers in place of floats": {"dtype": "int64"},
    "a field that is not known": {"strides": [8]},
}


@pytest.mark.parametrize("name", NO_SPANS)
def test_an_array_that_is_not_in_the_data_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        read(with_span(**NO_SPANS[name]), DATA)


def test_arrays_that_overlap_are_malformed() -> None:
    """So a form is no larger than its file."""
    step = ROOT["steps"][0]
    once = read(with_root(ROOT), DATA)
    assert once.columns == 2
    with pytest.raises(Malformed, match="arrays that do not overlap"):
        read(with_root(ROOT | {"steps": [step, step]}), DATA)


def test_a_step_of_arrays_with_nothing_in_them_is_no_larger_than_its_file() -> None:
    """Else a matrix of any width could be had for a row."""
    nothing = {"dtype": "float64", "shape": [0, 1 << 40], "offset": 0}
    empty = {"kind": "columns", "parts": []}
    last = {"kind": "regression", "coefficients": nothing, "intercept": ROOT["last"]["intercept"]}
    with pytest.raises(Malformed):
        read(with_root({"kind": "pipeline", "steps": [empty], "last": last}), DATA)


def test_a_class_with_a_long_name_needs_no_room_for_as_long_others() -> None:
    """numpy would make each of them as long as the longest: here 8 gigabytes."""
    classes: list[Label] = ["a" * 2_000_000, *map(str, range(1000))]
    labels = labels_of(classes)
    assert labels.nbytes < 10_000
    assert labels.tolist() == classes


HASHES: Final = {"kind": "hashes", "tokens": {}, "width": 1 << 22}
WIDE: Final = {
    "functions that make something of 0": [HASHES, {"kind": "function", "name": "exp"}],
    "thresholds below 0": [HASHES, {"kind": "binarize", "threshold": -1.0}],
    "columns": [HASHES, {"kind": "columns", "parts": []}],
    "a word for each of them": [HASHES, HASHES],
}


@pytest.mark.parametrize("name", WIDE)
def test_a_few_bytes_that_would_become_a_wide_table_are_malformed(name: str) -> None:
    """Sparse features may be many, since they take room for those alone that are not 0."""
    number = {"dtype": "float64", "shape": [], "offset": 0}
    last = {"kind": "constantnumber", "numbers": number | {"shape": [1]}}
    root = {"kind": "pipeline", "steps": WIDE[name], "last": last}
    with pytest.raises(Malformed, match=r"at most|one column"):
        read(encoded({"format": 1, "columns": 1, "root": root}), bytes(8))


def test_features_side_by_side_are_not_more_than_those_of_one_step() -> None:
    """A few bytes a step would be a megabyte a row."""
    products = {"kind": "polynomial", "columns": 300, "least": 2, "most": 2}
    numbers = {"dtype": "float64", "shape": [1], "offset": 0}
    root = {
        "kind": "pipeline",
        "steps": [{"kind": "union", "parts": [[products]] * 3}],
        "last": {"kind": "constantnumber", "numbers": numbers},
    }
    form = read(encoded({"format": 1, "columns": 300, "root": root}), bytes(8))
    with pytest.raises(Malformed, match="at most 131072 features"):
        form.predict(np.zeros((1, 300)))


@pytest.mark.parametrize("length", [0, 1, 63, 64, len(DATA) - 1])
def test_data_that_are_cut_off_are_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        read(encoded(HEADER), DATA[:length])


def test_a_field_that_stands_twice_is_the_last_of_them() -> None:
    """As in every reader of JSON; what is checked is what is used."""
    twice = encoded(HEADER).replace(b'"columns": 2', b'"columns": 7, "columns": 2')
    assert read(twice, DATA).columns == 2


def test_arrays_cannot_be_written_through() -> None:
    data = bytearray(DATA)
    form = read(encoded(HEADER), memoryview(data))
    last: Any = form.root
    assert not last.last.coefficients.flags.writeable


def test_each_kind_is_found_by_its_name_and_no_two_have_one() -> None:
    modules = [import_module(f"{nodes.__name__}.{m.name}") for m in iter_modules(nodes.__path__)]
    listed = {m.__name__.rpartition(".")[2]: m.KINDS for m in modules if hasattr(m, "KINDS")}
    assert listed.keys() == MODULES.keys()
    kinds = [kind for module in listed.values() for kind in module]
    assert sum(len(names.split()) for names in MODULES.values()) == len(kinds)
    assert [kind_of(kind.__name__.lower()) for kind in kinds] == kinds
    for name in ("", "pipelines", "Pipeline", None, 1, ["pipeline"]):
        assert kind_of(name) is None


# Forms of all kinds --------------------------------------------------------------


@pytest.mark.forms
@pytest.mark.parametrize("name", subjects.NAMES)
def test_a_form_is_written_as_it_was_read(name: str) -> None:
    files, _ = subjects.form(name)
    again = write(read(*files))
    assert len(again[1]) == len(files[1])
    assert write(read(*again)) == again


@cache
def roots() -> list[Any]:
    """The decoded roots of all forms, of which parts are put into others."""
    return [json.loads(subjects.form(name)[0][0])["root"] for name in subjects.NAMES]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(subjects.NAMES), st.integers(0, 2**32 - 1))
def test_a_form_with_any_change_is_malformed_or_answers_or_refuses(name: str, seed: int) -> None:
    files, rows = subjects.form(name)
    random = np.random.default_rng(seed)
    ends = (ANSWERED, MALFORMED, REFUSED)
    assert outcome_of(mutated(files, roots(), random), rows, random) in ends
