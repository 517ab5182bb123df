"""Exports: what was predicted and turned out true becomes a table to train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model_store.errors import InvalidTable
from model_store.exports import training_table

EXPECTED = {"age": ["61.5", "", "7"], "sure": ["true", "false", "true"], "result": ["1", "0", "1"]}


def lines(*rows: dict[str, Any]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def test_json_lines_become_the_columns_of_the_model_and_its_target(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text(
        lines(
            {"id": "a", "inputs": {"age": 61.5, "sure": True}, "truth": 1, "variant": "champion"},
            {"id": "a", "inputs": {"age": 61.5, "sure": True}, "truth": 1, "variant": "shadow"},
            {"id": "b", "inputs": {"age": None, "sure": False}, "truth": 0, "variant": "champion"},
            {"id": "c", "inputs": None, "truth": 0, "variant": "champion"},
            {"id": "d", "inputs": {"age": 1.0, "sure": True}, "variant": "champion"},
            {"id": "e", "inputs": {"age": 7.0, "sure": True}, "truth": 1, "variant": "canary"},
        )
    )
    assert training_table(path, "result").columns == EXPECTED


def test_csv_becomes_the_same_and_any_other_table_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        "id,row,variant,age,sure,truth\na,0,champion,61.5,true,1\na,0,shadow,61.5,true,1\n"
        "b,0,champion,,false,0\nd,0,champion,1,true,\ne,0,canary,7,true,1\n"
    )
    found = training_table(path, "result").columns
    assert {name: found[name] for name in EXPECTED} == EXPECTED
    path.write_text("truth,result\n0,1\n")
    assert training_table(path, "result").columns == {"truth": ["0"], "result": ["1"]}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id,variant,truth\na,champion,\n", "has no row with a truth; export with --truth."),
        ('{"id": "a", "inputs": {"age": 1}}\n', "has no row with a truth; export with --truth."),
        ('{"truth": 1, "inputs": 1}\n', "line 1: inputs: expected an object."),
        ('{"truth": 1}\n[1]\n', "line 2: expected an object."),
        ('{"truth": 1}\n\n{"truth"\n', "line 3: it is not JSON: "),
    ],
)
def test_what_nothing_can_be_learned_of_is_refused_in_words(
    text: str, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "export"
    path.write_text(text)
    with pytest.raises(InvalidTable) as raised:
        training_table(path, "result")
    assert sentence in str(raised.value)
