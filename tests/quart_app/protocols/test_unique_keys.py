"""A key that stands twice is refused wherever values stand, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_app.inference import InvalidRequest
from quart_app.protocols import invocations, native, unique_keys, v1, v2, v2_binary

Decode = Callable[[bytes], Any]

DECODERS: dict[str, Decode] = {
    "native": partial(native.decode, max_rows=10),
    "v1": partial(v1.decode, max_rows=10),
    "invocations": partial(invocations.decode, max_rows=10),
    "v2": partial(v2.decode, max_rows=10),
    "v2 in bytes": lambda body: v2_binary.decode(body, f"{len(body)}", (), max_rows=10),
}

INPUT = '"name":"a","shape":[1],"datatype":"FP64","data":[1]'

# A decoder, a body, and the key that it has twice.
TWICE: list[tuple[str, str, str]] = [
    ("native", '{"X1": 61.1, "X2": 17.3, "X1": 90}', "X1"),
    ("native", '{"X1": 1, "X1": 1}', "X1"),
    ("native", '{"X1" : 1, "X1": 1}', "X1"),
    ("native", '{"X1"\n\t:1,"X2":":","X1":1}', "X1"),
    ("native", '{"X1": 1, "\\u00581": 2}', "X1"),
    ("native", '{"": 1, "": 2}', ""),
    ("native", '{"a\\"": 1, "a\\u0022": 2}', 'a"'),
    ("native", '{"X1": NaN, "X1": 2}', "X1"),
    ("native", '\ufeff{"X1": 1, "X1": 2}', "X1"),
    ("native", '{"X1": 1' + "0" * 4000 + ', "X2": 1, "X2": 2}', "X2"),
    ("native", '[{"X1": 1}, {"X1": 1, "X1": 2}]', "X1"),
    ("native", '[{"X1": "1:2", "X2": 1, "X2": 1}]', "X2"),
    ("v1", '{"instances": [[1]], "instances": [[1]]}', "instances"),
    ("v1", '{"instances": [{"X1": 1, "X1": 2}]}', "X1"),
    ("v1", '{"inputs": {"X1": [1], "X1": [2]}}', "X1"),
    ("v1", '{"instances": [[1]], "key": 1, "key": 2}', "key"),
    ("invocations", '{"instances": [{"X1": 1, "X1": 2}]}', "X1"),
    ("invocations", '{"inputs": {"X1": [1], "X1": [2]}}', "X1"),
    ("invocations", '{"dataframe_records": [{"X1": 1, "X1": 2}]}', "X1"),
    (
        "invocations",
        '{"dataframe_split": {"columns": ["a"], "data": [[1]], "data": [[2]]}}',
        "data",
    ),
    ("invocations", '{"params": {}, "instances": [[1]], "params": {}}', "params"),
    ("v2", f'{{"inputs":[{{{INPUT}}}],"inputs":[{{{INPUT}}}]}}', "inputs"),
    ("v2", f'{{"id":"1","inputs":[{{{INPUT}}}],"id":"2"}}', "id"),
    ("v2", f'{{"inputs":[{{{INPUT},"extra":1,"extra":2}}]}}', "extra"),
    ("v2", f'{{"inputs":[{{{INPUT}}}],"parameters":{{}},"parameters":{{}}}}', "parameters"),
    ("v2", f'{{"inputs":[{{{INPUT}}}],"outputs":[{{"name":"p","name":"q"}}]}}', "name"),
    *(
        (protocol, f'{{"inputs":[{{{INPUT}}},{{{INPUT},{again}}}]}}', again.split('"')[1])
        for again in ('"name":"b"', '"shape":[1]', '"datatype":"FP32"', '"data":[2]')
        for protocol in ("v2", "v2 in bytes")
    ),
    (
        "v2 in bytes",
        '{"inputs":[{"name":"a","shape":[0],"datatype":"FP64","datatype":"FP64",'
        '"parameters":{"binary_data_size":0}}]}',
        "datatype",
    ),
    (
        "v2 in bytes",
        '{"inputs":[{"name":"a","shape":[0],"datatype":"FP64",'
        '"parameters":{"a":1,"a":2,"binary_data_size":8,"binary_data_size":0}}]}',
        "binary_data_size",
    ),
    (
        "v2",
        f'{{"inputs":[{{{INPUT},"parameters":{{"content_type":"a","content_type":"b"}}}}]}}',
        "content_type",
    ),
    *(
        ("v2", f'{{"inputs":[{{{INPUT}}}],{where}}}', "binary_data_output")
        for said in ('"parameters":{"binary_data_output":true,"binary_data_output":false}',)
        for where in (said, f'"outputs":[{{"name":"p",{said}}}]')
    ),
]

# What may repeat keys, and what only looks as if it did.
ONCE: list[tuple[str, str]] = [
    ("native", '{"X1": 1, "x1": 2}'),
    ("native", '{"X1": "a\\": b", "X2" : "\\":\\":"}'),
    ("native", '[{"X1": "12:30"}, {"X1": "\\"X1\\": 1"}]'),
    ("v1", '{"instances": [[1]], "parameters": {"a": 1, "a": {"b": 1, "b": 2}}}'),
    ("invocations", '{"instances": [[1]], "params": {"a": 1, "a": 2}}'),
    ("v2", f'{{"inputs":[{{{INPUT}}}],"parameters":{{"a":1,"a":{{"b":1,"b":2}}}}}}'),
    ("v2", f'{{"inputs":[{{{INPUT},"parameters":{{"a":1,"a":2}}}}],"id":null}}'),
    ("v2", f'{{"inputs":[{{{INPUT}}}],"outputs":[{{"name":"p","parameters":{{"a":1,"a":2}}}}]}}'),
    ("v2", f'{{"inputs":[{{{INPUT}}}],"unknown":{{"a":1,"a":2}}}}'),
]


@pytest.mark.parametrize(("protocol", "body", "key"), TWICE)
def test_a_key_that_stands_twice_is_named(protocol: str, body: str, key: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        DECODERS[protocol](body.encode())
    assert str(raised.value) == f"The key {key!r} stands twice in one object."


@pytest.mark.parametrize(("protocol", "body"), ONCE)
def test_what_nobody_reads_may_say_anything(protocol: str, body: str) -> None:
    assert DECODERS[protocol](body.encode()).rows in (1, 2)


def test_a_long_key_is_cut_in_the_message() -> None:
    key = "a" * 10_000
    with pytest.raises(InvalidRequest) as raised:
        native.decode(f'{{"{key}": 1, "{key}": 2}}'.encode(), max_rows=1)
    assert len(str(raised.value)) < 200


# As a rule -------------------------------------------------------------------------

KEYS = st.text('aXé":\\ ', max_size=3)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text('a": \\', max_size=5))


class Pairs(list[tuple[str, Any]]):
    """An object as it is written: its members in order, of which keys may be equal."""


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(st.tuples(KEYS, inner), max_size=4).map(Pairs),
    ),
    max_leaves=8,
)
BODIES = st.one_of(
    st.lists(st.tuples(KEYS, VALUES), max_size=4).map(Pairs),
    st.lists(st.lists(st.tuples(KEYS, VALUES), max_size=4).map(Pairs), max_size=3),
)
SPACES = st.sampled_from(["", " ", "\n", "\t \r"])


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """The value as JSON, with spaces and escapes wherever they may stand."""
    if isinstance(value, Pairs):
        inside = [
            f"{draw(key_written(key))}{draw(SPACES)}:{draw(SPACES)}{draw(written(each))}"
            for key, each in value
        ]
        return "{" + ",".join(inside) + draw(SPACES) + "}"
    if isinstance(value, list):
        return "[" + ",".join(draw(written(each)) for each in value) + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def key_written(draw: st.DrawFn, key: str) -> str:
    if draw(st.booleans()):
        return json.dumps(key)
    return '"' + "".join(f"\\u{ord(character):04x}" for character in key) + '"'


def all_objects(content: Any) -> Iterator[Any]:
    if isinstance(content, dict):
        yield content
        for value in content.values():
            yield from all_objects(value)
    elif isinstance(content, list):
        for value in content:
            yield from all_objects(value)


def repeats(value: Any, *, deep: bool) -> bool:
    """Whether an object has a key twice; `deep` looks at those within members as well."""
    if isinstance(value, Pairs):
        keys = [key for key, _ in value]
        return len(set(keys)) < len(keys) or (deep and any(repeats(v, deep=True) for _, v in value))
    return isinstance(value, list) and any(repeats(each, deep=deep) for each in value)


def is_refused(body: bytes, objects: unique_keys.Objects) -> bool:
    try:
        unique_keys.require(body, msgspec.json.decode(body), objects)
    except InvalidRequest:
        return True
    return False


@given(st.data())
def test_a_body_is_refused_just_where_an_object_that_is_looked_at_repeats_a_key(
    data: st.DataObject,
) -> None:
    value = data.draw(BODIES)
    body = data.draw(written(value)).encode()
    outermost = repeats(Pairs(value) if isinstance(value, Pairs) else value, deep=False)
    rows: unique_keys.Objects = lambda content: content if isinstance(content, list) else [content]  # noqa: E731
    assert is_refused(body, rows) == outermost
    # Of a member that comes twice the last is kept: what the other held is not looked at.
    if not repeats(value, deep=True):
        assert not is_refused(body, lambda content: list(all_objects(content)))
