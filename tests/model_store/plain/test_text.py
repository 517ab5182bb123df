"""Vectorizers of texts as plain data."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils import murmurhash3_32

from model_store.plain import Malformed, Refused, read, write
from model_store.plain.nodes.text import murmur3
from model_store.plain.nodes.tokens import Tokens, is_safe
from model_store.plain.pack import NotPacked

from .forms import packed, require_same

WORDS = ("the room was Clean and quiet", "dirty café, noisy street!", "größe passt  nicht")
ENDS = ("again again", "we will return", "never\n\tagain", "a b c", "")
TEXTS = np.array([f"{word} {end}" for word, end in product(WORDS, ENDS)] * 4, dtype=object)
CLASSES = np.array(["good", "bad", "odd"])[np.arange(60) % 15 // 5]
ODD = np.array(
    ["", " ", "unheard of", "CLEAN clean ﬁne", "e\u0301 é", "a", "\u0130", "x" * 300, *TEXTS[:6]],
    dtype=object,
)

VECTORIZERS = [
    CountVectorizer(),
    CountVectorizer(binary=True, stop_words="english"),
    CountVectorizer(vocabulary=["room", "street", "again"], dtype=np.float32),
    TfidfVectorizer(),
    TfidfVectorizer(ngram_range=(1, 3), sublinear_tf=True),
    TfidfVectorizer(ngram_range=(2, 2), stop_words=["the", "was"], norm="l1"),
    TfidfVectorizer(strip_accents="unicode", use_idf=False),
    TfidfVectorizer(strip_accents="ascii", norm=None, lowercase=False),
    TfidfVectorizer(analyzer="char", ngram_range=(1, 3)),
    TfidfVectorizer(analyzer="char", ngram_range=(2, 2), max_features=20),
    TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 1)),
    TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5)),
    TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 9)),
    TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", min_df=2),
    TfidfVectorizer(token_pattern=r"[a-z]+"),
    HashingVectorizer(n_features=64),
    HashingVectorizer(n_features=1 << 11, alternate_sign=False, norm="l1"),
    HashingVectorizer(n_features=16, binary=True, norm=None, ngram_range=(1, 2)),
    make_pipeline(CountVectorizer(), TfidfTransformer(sublinear_tf=True)),
    make_union(TfidfVectorizer(), TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3))),
]


@pytest.mark.parametrize("vectorizer", VECTORIZERS, ids=repr)
def test_a_vectorizer_answers_as_its_pipeline_does(vectorizer: Any) -> None:
    pipeline = make_pipeline(vectorizer, LogisticRegression()).fit(TEXTS, CLASSES)
    form, signature = packed(pipeline, TEXTS, CLASSES)
    require_same(pipeline, form, signature, ODD[:, np.newaxis])


@pytest.mark.parametrize("model", [Ridge(), SGDClassifier(random_state=0)], ids=repr)
def test_narrow_weights_of_words_stay_narrow(model: Any) -> None:
    y = np.arange(len(TEXTS)) % 2
    vectorizer = TfidfVectorizer(dtype=np.float32, ngram_range=(1, 2))
    pipeline = make_pipeline(vectorizer, model).fit(TEXTS, y)
    form, signature = packed(pipeline, TEXTS, y)
    require_same(pipeline, form, signature, ODD[:, np.newaxis])


def test_texts_stand_beside_numbers() -> None:
    X = pd.DataFrame({"note": TEXTS, "length": np.arange(float(len(TEXTS)))})
    transformer = make_column_transformer(
        (TfidfVectorizer(), "note"), (StandardScaler(), ["length"])
    )
    pipeline = make_pipeline(transformer, LogisticRegression()).fit(X, CLASSES)
    form, signature = packed(pipeline, X, CLASSES)
    rows = np.stack([ODD, np.arange(float(len(ODD)))], axis=1).astype(object)
    require_same(pipeline, form, signature, rows)


@pytest.mark.parametrize(
    "changed",
    [
        {"token_pattern": r"\w+\s?"},
        {"token_pattern": r"(?u)\b(\w+)\b"},
        {"ngram_range": (1, 40)},
        {"tokenizer": str.split, "token_pattern": None},
        {"preprocessor": str.upper},
        {"analyzer": str.split},
    ],
    ids=str,
)
def test_what_is_code_or_may_take_long_is_not_packed(changed: dict[str, Any]) -> None:
    pipeline = make_pipeline(TfidfVectorizer(**changed), LogisticRegression()).fit(TEXTS, CLASSES)
    with pytest.raises(NotPacked):
        packed(pipeline, TEXTS, CLASSES)


SAFE = [
    r"(?u)\b\w\w+\b",
    r"(?u)\b\w+\b",
    r"\w{2,}",
    r"\S+",
    r"[^,;]+",
    r"\b[a-zA-Z]{3,}\b",
    r"\b[a-zäöü][\w'-]*\b",
    r"#\w+",
    r"(?i)[a-z]+",
    ".",
]
UNSAFE = [
    r"(\w+)+$",
    r"(a|aa)+$",
    r"\w+\w+$",
    r"\w*\w*x",
    r"[a-z]+\b",
    r"\w+@",
    r"a.*b",
    r"\w+?",
    r"(?=\w+)",
    r"\w+|\d+",
    r"(\w)\1",
    r"[a-z&&[aeiou]]",
    r"\w{3000,}",
    "x" * 201,
    r"[",
    r"\w{5,3}",
    "",
]


@pytest.mark.parametrize("pattern", SAFE)
def test_a_pattern_of_one_repetition_is_safe(pattern: str) -> None:
    assert is_safe(pattern)
    re.findall(pattern, "a-" * 100_000 + "-" * 100_000 + "ab" * 100_000 + "!")


@pytest.mark.parametrize("pattern", UNSAFE)
def test_another_pattern_is_not(pattern: str) -> None:
    assert not is_safe(pattern)


@settings(max_examples=60)
@given(st.text(max_size=60), st.sampled_from(VECTORIZERS[:15]))
def test_tokens_are_those_of_scikit_learn(text: str, vectorizer: Any) -> None:
    tokens = Tokens(
        analyzer=vectorizer.analyzer,
        pattern=vectorizer.token_pattern,
        stop_words=sorted(vectorizer.get_stop_words() or ()),
        least=vectorizer.ngram_range[0],
        most=vectorizer.ngram_range[1],
        lowercase=vectorizer.lowercase,
        accents=vectorizer.strip_accents,
    )
    assert sorted(tokens.of(text)) == sorted(vectorizer.build_analyzer()(text))


@given(st.binary(max_size=40))
def test_a_hash_is_that_of_scikit_learn(data: bytes) -> None:
    assert murmur3(data) == murmurhash3_32(data, seed=0)


def test_what_is_no_text_is_refused() -> None:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, CLASSES)
    form, _ = packed(pipeline, TEXTS, CLASSES)
    for value in (None, float("nan"), 3):
        with pytest.raises(Refused):
            form.predict(np.array([[value]], dtype=object))


FORGED = [
    (rb'"pattern":"[a-z]+"', rb'"pattern":"([a-z]+)+!"'),
    (b'"analyzer":"char"', b'"analyzer":"char","least":0'),
    (b'"analyzer":"char"', b'"analyzer":"char","least":3'),
    (b'"most":2', b'"most":33'),
    (b'"analyzer":"char"', b'"analyzer":"bytes"'),
    (b'"vocabulary":["', b'"vocabulary":["one more","'),
    (b'"width":64', b'"width":0'),
    (b'"width":64', b'"width":99999999'),
]


@pytest.mark.parametrize(("honest", "forged"), FORGED)
def test_forged_vectorizers_are_malformed(honest: bytes, forged: bytes) -> None:
    union = make_union(
        TfidfVectorizer(token_pattern="[a-z]+"),
        TfidfVectorizer(analyzer="char", ngram_range=(1, 2)),
        HashingVectorizer(n_features=64),
    )
    pipeline = make_pipeline(union, LogisticRegression()).fit(TEXTS, CLASSES)
    header, data = write(packed(pipeline, TEXTS, CLASSES)[0])
    assert honest in header
    with pytest.raises(Malformed):
        read(header.replace(honest, forged), data)
