"""API keys: what the setting takes, and whose a key is."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from quart_app.config import Config, ConfigError
from quart_app.keys import (
    NO_KEYS,
    Basic,
    KeyNotForModel,
    Keys,
    require_for,
    sent,
    sent_by_basic,
)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


TWO = f"ann:{digest('first')},bob:{digest('second').upper()}"


def test_a_key_has_the_name_that_the_setting_gives_it() -> None:
    keys = Keys.parse(TWO)
    owners = [keys.owner(key) for key in ("first", "second", "third", "")]
    assert [owner and owner.name for owner in owners] == ["ann", "bob", None, None]
    assert keys.owner_of_basic(Basic("ann", "first")) == owners[0]
    for wrong in (Basic("bob", "first"), Basic("", "first"), Basic("ann", "second")):
        assert keys.owner_of_basic(wrong) is None


def test_a_key_is_for_all_models_or_for_those_of_its_line() -> None:
    keys = Keys.parse(f"{TWO},cleo:{digest('third')}:exam+iris+exam")
    models = [key.models for key in keys.known]
    assert models == [None, None, ("exam", "iris")]
    assert str(keys).endswith(f"cleo:{digest('third')}:exam+iris")
    require_for(None, "titanic")
    require_for(models[2], "iris")
    with pytest.raises(KeyNotForModel, match="not for the model 'titanic'"):
        require_for(models[2], "titanic")


def test_a_new_key_is_known_by_its_line_and_no_other_is() -> None:
    made = [Keys.make("ann") for _ in range(3)]
    assert len({key for key, _ in made}) == 3
    for key, line in made:
        assert len(key) == 43  # 32 bytes in Base64
        assert key not in str(line)
        assert [Keys.parse(str(line)).owner(sent) for sent, _ in made].count(None) == 2
        assert Keys.parse(str(line)).owner(key) == line.known[0]


def test_without_keys_nobody_has_one() -> None:
    assert Keys.parse(" , ") == NO_KEYS
    assert not NO_KEYS
    assert NO_KEYS.owner("first") is None


def test_keys_are_written_as_they_are_read() -> None:
    assert str(Keys.parse(TWO)) == TWO.lower()


@given(st.text(st.sampled_from("ab0:+, \u00e9F"), max_size=90))
def test_any_setting_is_keys_or_refused_in_words(text: str) -> None:
    try:
        keys = Keys.parse(text)
    except ValueError:
        return
    assert Keys.parse(str(keys)) == keys


@pytest.mark.parametrize(
    "text",
    [
        "ann",
        "ann:first",
        digest("first"),
        f":{digest('first')}",
        f"ann:{digest('first')}0",
        f"ann:{digest('first')},ann:{digest('second')}",
        f"ann:{digest('second')},bob:{digest('second')}",
        f"a b:{digest('first')}",
    ],
)
def test_what_is_no_list_of_keys_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigError, match="API_KEYS: expected name:sha256") as caught:
        Config.read({}, API_KEYS=text)
    assert text not in str(caught.value)
    assert "first" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        ({"Authorization": "Bearer abc"}, ["abc"]),
        ({"authorization": "bearer  abc "}, ["abc"]),
        ({"X-API-Key": "abc"}, ["abc"]),
        ({"Authorization": "Basic eHg6eHg=", "X-API-Key": "abc"}, ["abc"]),
        ({"Authorization": "Bearer of a proxy", "X-API-Key": "abc"}, ["of a proxy", "abc"]),
        ({"Authorization": "Basic eHg6eHg="}, []),
        ({}, []),
    ],
)
def test_a_key_comes_in_either_header(headers: dict[str, str], keys: list[str]) -> None:
    assert sent(Headers(headers)) == keys


@pytest.mark.parametrize("models", ["", "exam+", "+exam", "exam iris", "exam:iris", "../exam"])
def test_models_of_a_key_that_are_none_are_refused(models: str) -> None:
    with pytest.raises(ConfigError, match=r"names of models .* with \+ between them"):
        Config.read({}, API_KEYS=f"ann:{digest('first')}:{models}")


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("Basic YW5uOmZpcnN0", Basic("ann", "first")),
        ("basic  YW5uOmZpcnN0 ", Basic("ann", "first")),
        ("Basic YW5uOmE6Yg==", Basic("ann", "a:b")),
        ("Basic Og==", Basic("", "")),
        ("Basic YW5u", None),
        ("Basic YW5uOm/", None),
        ("Basic /////w==", None),
        ("Basic", None),
        ("Bearer YW5uOmZpcnN0", None),
    ],
)
def test_a_browser_sends_a_name_and_a_key(authorization: str, expected: Basic | None) -> None:
    assert sent_by_basic(Headers({"Authorization": authorization})) == expected
