"""What stands on the disk beside an artifact."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import msgspec
import numpy as np
import pytest

from model_store import Column, Manifest, Signature
from model_store.errors import CorruptVersion
from model_store.libraries import Libraries
from model_store.manifest import FORMAT, File, Sample, Source, Target, read, read_sample, write

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# A manifest of format 1 as it stands on the disk. It is read for ever: do not edit, add another.
FORMAT_1 = f"""\
{{
  "format": 1,
  "name": "churn",
  "version": 3,
  "created": "2025-01-02T03:04:05+00:00",
  "task": "classification",
  "signature": {{
    "columns": [
      {{
        "name": "age",
        "type": "integer",
        "minimum": 18.0,
        "maximum": 99.0,
        "typical": 41.0,
        "missing": true
      }},
      {{
        "name": "Größe (cm)",
        "type": "number",
        "minimum": null,
        "maximum": null,
        "typical": null,
        "missing": false
      }}
    ],
    "dtype": "float64",
    "container": "frame"
  }},
  "classes": [
    0,
    1.5,
    "yes",
    false
  ],
  "probabilities": true,
  "target": {{
    "name": "left",
    "minimum": null,
    "maximum": null,
    "counts": {{
      "0": 12
    }}
  }},
  "metrics": {{
    "accuracy": 0.75
  }},
  "validation": "5 folds",
  "title": "Churn",
  "description": "Who leaves.",
  "notice": "Made up.",
  "words": {{
    "0": "stays"
  }},
  "estimator": "StandardScaler → SVC",
  "libraries": {{
    "python": "3.11.7",
    "scikit_learn": "1.9.1",
    "numpy": "2.4.6"
  }},
  "files": {{
    "pipeline.joblib": {{
      "size": 0,
      "sha256": "{EMPTY_SHA256}"
    }}
  }}
}}
""".encode()

CHURN = Manifest(
    format=2,
    name="churn",
    version=3,
    created="2025-01-02T03:04:05+00:00",
    task="classification",
    signature=Signature(
        columns=(
            Column(
                name="age",
                type="integer",
                minimum=18.0,
                maximum=99.0,
                typical=41.0,
                missing=True,
                dtype="int64",
            ),
            Column(name="Größe (cm)", type="number"),
        ),
        container="frame",
    ),
    targets=(Target(name="left", classes=[0, 1.5, "yes", False], counts={"0": 12}),),
    probabilities=True,
    metrics={"accuracy": 0.75},
    validation="5 folds",
    title="Churn",
    description="Who leaves.",
    notice="Made up.",
    words={"0": "stays"},
    estimator="StandardScaler → SVC",
    libraries=Libraries(python="3.11.7", scikit_learn="1.9.1", numpy="2.4.6"),
    files={"pipeline.joblib": File.of(b"")},
)

SAMPLE_1 = b"""\
{
  "rows": [
    {
      "age": null,
      "height": 1e-300
    },
    {
      "age": 9007199254740993,
      "height": -0.0
    }
  ],
  "predictions": [
    "yes",
    0
  ],
  "probabilities": [
    [
      0.1,
      0.9
    ],
    [
      1.0,
      0.0
    ]
  ]
}
"""

MIXED = Manifest(
    format=2,
    name="mixed",
    version=1,
    created="2026-01-02T03:04:05+00:00",
    revision=3,
    task="classification",
    signature=Signature(
        columns=(
            Column(name="sex", type="category", categories=("f", "m"), typical="f", dtype="str"),
            Column(name="class", type="category", categories=(1, 2), open=True, dtype="int64"),
            Column(name="when", type="date", minimum="2024-01-01", dtype="datetime64[ns, UTC]"),
            Column(name="note", type="text", label="Note", null="none", dtype="object"),
            Column(name="on", type="boolean", unit="state", description="On?", dtype="bool"),
        ),
        dtype="object",
        container="frame",
    ),
    targets=(Target(name="a", classes=[0, 1]), Target(name="b", classes=["x"], unit="u")),
    estimator="ColumnTransformer → KNeighborsClassifier",
    libraries=Libraries(python="3.11.7", scikit_learn="1.9.1", numpy="2.4.6"),
    source=Source(files={"a.pkl": File.of(b"")}, scikit_learn="1.5.2"),
    allowed=("steps.Ratio",),
    code="steps.py",
    files={"pipeline.joblib": File.of(b"")},
)

SAMPLE = Sample(
    rows=[{"age": None, "height": 1e-300}, {"age": 2**53 + 1, "height": -0.0}],
    predictions=["yes", 0],
    probabilities=[[[0.1, 0.9], [1.0, 0.0]]],
)


def test_a_manifest_of_format_1_is_brought_forward() -> None:
    assert read(FORMAT_1) == CHURN
    classes = read(FORMAT_1).target.classes or []
    assert [type(label) for label in classes] == [int, float, str, bool]


def test_integers_of_a_manifest_from_before_fractions_were_asked_for_take_none() -> None:
    columns = read(FORMAT_1).signature.columns
    integers = [column.expected for column in columns if column.type == "integer"]
    assert integers == ["an integer or null"]
    described = json.loads(write(CHURN))
    for column in described["signature"]["columns"]:
        del column["open"]
    assert read(json.dumps(described).encode()) == CHURN


def test_integers_of_a_matrix_of_format_1_have_its_dtype() -> None:
    found = read(FORMAT_1.replace(b'"frame"', b'"matrix"').replace(b"float64", b"float32"))
    assert [column.dtype for column in found.signature.columns] == ["float32", "float32"]


@pytest.mark.parametrize("manifest", [CHURN, MIXED])
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert read(write(manifest)) == manifest


def test_a_sample_is_read_as_it_was_written() -> None:
    assert read_sample(write(SAMPLE)) == SAMPLE
    two = Sample(
        rows=[{"a": "x", "b": True}],
        predictions=[["yes", 1]],
        probabilities=[[[0.5, 0.5]], [[0.25, 0.75]]],
    )
    assert read_sample(write(two)) == two


def test_a_sample_of_format_1_is_brought_forward_exactly() -> None:
    assert read_sample(SAMPLE_1) == SAMPLE
    assert repr(read_sample(SAMPLE_1).rows) == repr(SAMPLE.rows)


def test_the_digest_is_the_sha256() -> None:
    assert File.of(b"") == File(size=0, sha256=EMPTY_SHA256)


def test_what_has_a_default_may_be_left_out() -> None:
    whole = json.loads(FORMAT_1)
    optional = {
        "classes", "probabilities", "target", "metrics", "validation", "title", "description",
        "notice", "words",
    }  # fmt: skip
    found = read(json.dumps({key: whole[key] for key in whole.keys() - optional}).encode())
    assert found.targets == (Target(),)
    assert (found.probabilities, found.metrics, found.words) == (False, {}, {})


@pytest.mark.parametrize("key", [key for key in json.loads(FORMAT_1) if key != "target"])
def test_a_field_of_the_wrong_type_is_refused(key: str) -> None:
    whole = {**json.loads(FORMAT_1), key: {"n": []}}
    with pytest.raises(CorruptVersion, match=r"cannot be read; publish it again\.$") as caught:
        read(json.dumps(whole).encode())
    assert re.search(r"ValidationError: .*`\$\.", caught.value.told)


def test_a_column_of_an_unknown_type_is_refused() -> None:
    data = write(CHURN).replace(b'"type": "number"', b'"type": "colour"')
    with pytest.raises(CorruptVersion) as caught:
        read(data)
    assert re.search(r"expected a type of .*, text, got 'colour' - at `\$", caught.value.told)


def test_a_field_of_tomorrow_is_passed_over() -> None:
    assert read(FORMAT_1.replace(b'"title"', b'"since": 7, "title"', 1)) == CHURN


@pytest.mark.parametrize("number", [FORMAT + 1, FORMAT + 1000])
def test_a_newer_format_is_refused_before_the_rest_is_looked_at(number: int) -> None:
    with pytest.raises(
        CorruptVersion,
        match=rf"^The manifest has format {number}, and this program reads up to {FORMAT}; "
        r"upgrade quart-app\.$",
    ):
        read(b'{"name": 5, "format": %d}' % number)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b"{}",
        b'{"format": "1"}',
        b'{"format": null}',
        b'{"format": 1}',
        FORMAT_1[:-3],
        FORMAT_1 + b"}",
        FORMAT_1.replace(b"Churn", b"Chu\xff\xfern"),
        FORMAT_1.replace(b"Churn", rb"Chu\ud800rn"),
        FORMAT_1.replace(b"0.75", b"NaN"),
        FORMAT_1.replace(b'"size": 0', b'"size": -1'),
        FORMAT_1.replace(b'"size": 0', b'"size": 1.5'),
        FORMAT_1.replace(b"float64", b"float16"),
        FORMAT_1.replace(b'"integer"', b'"texts"'),
        FORMAT_1.decode().encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\x00" * 100,
    ],
    ids=range(22),
)
def test_what_is_no_manifest_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(
        CorruptVersion, match=r"^The manifest cannot be read; publish it again\.$"
    ) as caught:
        read(data)
    assert caught.value.words


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"rows": [], "predictions": [{}]}', SAMPLE_1[:-3], b"[" * 100_000]
)
def test_what_is_no_sample_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(CorruptVersion, match=r"^The sample cannot be read; publish it again\.$"):
        read_sample(data)


@pytest.mark.parametrize(("whole", "reader"), [(FORMAT_1, read), (SAMPLE_1, read_sample)])
def test_a_flipped_bit_is_refused_in_words_or_leaves_json_of_the_same_shape(
    whole: bytes, reader: Any
) -> None:
    draw = random.Random(5)
    refused = 0
    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 1 << draw.randrange(8)
        try:
            reader(bytes(broken))
        except CorruptVersion:
            refused += 1
    assert refused > len(whole) // 4


def test_the_rank_of_a_number_is_the_share_below_it() -> None:
    numbers = np.random.default_rng(5).normal(size=4001)
    found = Target(quantiles=tuple(np.quantile(numbers, np.linspace(0, 1, 21)).tolist()))
    for number in numbers[::97].tolist():
        assert found.rank(number) == pytest.approx((numbers < number).mean(), abs=0.02)
    assert (found.rank(numbers.min()), found.rank(numbers.max())) == (0, 1)
    assert (found.rank(-100), found.rank(100)) == (0, 1)


@pytest.mark.parametrize(
    ("number", "rank"), [(0.9, 0), (1, 0.25), (1.5, 0.625), (2, 0.75), (2.5, 0.875), (9, 1)]
)
def test_half_of_what_is_equal_lies_below(number: float, rank: float) -> None:
    assert Target(quantiles=(1, 1, 1, 2, 3)).rank(number) == rank
    assert Target(quantiles=(1, 1, 1)).rank(1) == 0.5
    assert Target().rank(number) is None


@pytest.mark.parametrize(
    ("allowed", "code", "sentence"),
    [
        ((), None, "Reading the artifact makes data and runs no code of its own."),
        (("a.b", "c"), None, "Reading the artifact may run code: it may call a.b, c."),
        ((), "own.py", "Reading the artifact may run code: it defines classes in own.py."),
    ],
)
def test_a_manifest_says_whether_reading_its_artifact_may_run_code(
    allowed: tuple[str, ...], code: str | None, sentence: str
) -> None:
    manifest: Manifest = msgspec.structs.replace(read(FORMAT_1), allowed=allowed, code=code)
    assert manifest.reading == sentence
    assert manifest.runs_code == (sentence.startswith("Reading the artifact may"))
