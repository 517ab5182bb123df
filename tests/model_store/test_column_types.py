"""A column type is one class, and no part of it may be missing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_store import Column, Signature
from model_store.column_types import TYPES, ColumnType

from .test_columns import COLUMNS

ROOT = Path(__file__).parent.parent.parent
PARTS = sorted(ColumnType.__abstractmethods__)


def test_a_type_is_found_by_its_name() -> None:
    assert {name: kind.name for name, kind in TYPES.items()} == {name: name for name in TYPES}


def test_the_parts_are_those_that_a_type_cannot_do_without() -> None:
    assert set(PARTS) == {
        *("name", "parse", "fill", "plain", "expected", "schema", "control", "datatype"),
        "recognizes",
    }


@pytest.mark.parametrize("part", PARTS)
def test_a_type_that_lacks_a_part_cannot_be_made(part: str) -> None:
    whole = {name: getattr(type(TYPES["text"]), name) for name in PARTS}
    lacking = type("Lacking", (ColumnType,), {k: v for k, v in whole.items() if k != part})
    with pytest.raises(TypeError, match=rf"abstract method '?{part}"):
        lacking()
    type("Whole", (ColumnType,), whole)()


@pytest.mark.process
def test_a_type_that_lacks_a_part_does_not_pass_the_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    lines = [
        "from model_store.column_types import ColumnType",
        "from model_store.column_types.text import TextType",
    ]
    for lacking in (*PARTS, None):
        lines.append(f"class Without_{lacking}(ColumnType):")
        lines += [f"    {part} = TextType.{part}" for part in PARTS if part != lacking]
        lines += ["", f"Without_{lacking}()", ""]
    path = tmp_path / "lacking.py"
    path.write_text("\n".join(lines))
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    expected = {
        f'Cannot instantiate abstract class "Without_{part}" with abstract attribute "{part}"'
        for part in PARTS
    }
    errors = re.findall(r"error: (.*)  \[abstract\]$", found.stdout, re.MULTILINE)
    assert sorted(errors) == sorted(expected), found.stdout
    assert found.stdout.count("error: ") == len(expected), found.stdout


def test_no_module_asks_a_column_for_a_type_by_its_name() -> None:
    sources = [*ROOT.glob("model_store/**/*.py"), *ROOT.glob("quart_app/**/*.py")]
    asked = re.compile(r"(column\.type|kind\.name) (==|!=|in|not in) ")
    for path in [*sources, *ROOT.glob("templates/**/*.html")]:
        assert not asked.search(path.read_text()), path


def test_a_column_of_no_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a type of boolean, .*, text, got 'colour'"):
        Column(name="x", type="colour")


FACTS: dict[str, dict[str, Any]] = {
    "number": {"minimum": -1.5, "maximum": 80.0, "step": 0.5},
    "integer": {"minimum": 0, "maximum": 1000},
    "category": {"categories": ("a", "b")},
    "boolean": {},
    "date": {},
    "text": {},
}
KNOWN = {"date": ["2024-01-02", "2024-01-03"], "text": ["a b", ""]}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("open_", [False, True])
def test_values_that_a_type_draws_or_tries_fit_it(name: str, open_: bool) -> None:
    column = Column(name="x", type=name, open=open_, dtype="object", **FACTS[name])
    kind = column.kind
    random = np.random.default_rng(0)
    unseen = kind.unseen(column)
    for values in (
        kind.draw(column, KNOWN.get(name, []), 50, random),
        kind.spread(column, 21),
        list(kind.choices(column)),
        [unseen] if open_ and unseen is not None else [],
    ):
        matrix = Signature(columns=(column,), dtype="object").validate({"x": values}, len(values))
        plain = [column.plain(cell) for cell in matrix[:, 0]]
        assert plain == ([str(value) for value in values] if name == "date" else values)
    assert (unseen is not None) == (name in {"category", "integer"})


def test_what_takes_fractions_is_drawn_as_fractions_and_as_integers() -> None:
    for open_ in (False, True):
        column = Column(name="x", type="integer", minimum=0, maximum=1000, open=open_)
        drawn = column.kind.draw(column, [], 50, np.random.default_rng(0))
        assert {type(value) for value in drawn} == ({int, float} if open_ else {int})


@pytest.mark.parametrize("typical", [None, 3, -3, 2**22, 1_234_567_890_123_456_789])
def test_an_unseen_integer_is_a_fraction_to_any_float(typical: int | None) -> None:
    column = Column(name="x", type="integer", typical=typical)
    unseen = np.float32(column.kind.unseen(column))
    assert float(unseen) == column.kind.unseen(column)
    assert unseen % 1 == 0.5


@pytest.mark.parametrize("kind", COLUMNS)
def test_facts_and_words_of_a_column_are_there(kind: str) -> None:
    column, _ = COLUMNS[kind]
    assert column.expected
    assert column.kind.schema(column)["type"]
    assert column.kind.datatype(column) in {"BOOL", "INT64", "FP64", "BYTES"}
    assert column.kind.closed(column) <= bool(column.kind.choices(column))
