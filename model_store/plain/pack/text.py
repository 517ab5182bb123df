"""Vectorizers of texts."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np

from ..node import Transform
from ..nodes.columns import Chain
from ..nodes.numbers import Normalize
from ..nodes.text import Hashes, Weigh, Words
from ..nodes.tokens import MAX_TOGETHER, Tokens, is_safe
from .given import Given, NotPacked
from .known import Inner, Known, require_set

_TOKENS: Final = (
    "analyzer binary decode_error dtype encoding input lowercase ngram_range preprocessor"
    " stop_words strip_accents token_pattern tokenizer"
)
_VOCABULARY: Final = "max_df max_features min_df vocabulary"
_WEIGHTS: Final = "norm smooth_idf sublinear_tf use_idf"


def _tokens(step: Any) -> Tokens:
    require_set(
        step,
        input="content",
        preprocessor=None,
        tokenizer=None,
        analyzer=("word", "char", "char_wb"),
        strip_accents=(None, "ascii", "unicode"),
    )
    least, most = step.ngram_range
    if most > MAX_TOGETHER:
        raise NotPacked(f"ngram_range={step.ngram_range!r} is not known")
    words = step.analyzer == "word"
    if words and not is_safe(step.token_pattern):
        raise NotPacked(f"token_pattern={step.token_pattern!r:.60} is not known")
    dropped = sorted(step.get_stop_words() or ()) if words else []
    for word in dropped:
        word.encode()
    pattern = {"pattern": step.token_pattern} if words else {}
    return Tokens(
        analyzer=step.analyzer,
        stop_words=dropped,
        least=int(least),
        most=int(most),
        lowercase=bool(step.lowercase),
        accents=step.strip_accents,
        **pattern,
    )


def _dtype(step: Any) -> Any:
    """Of integers scikit-learn makes floats, as soon as it computes with them."""
    dtype = np.dtype(step.dtype)
    if dtype.kind in "iu" and dtype.itemsize >= 4:
        return "float64"
    if dtype.name not in ("float64", "float32"):
        raise NotPacked(f"{type(step).__name__} with dtype={dtype.name} is not known")
    return sys.intern(dtype.name)


def counts(step: Any, given: Given, inner: Inner) -> Transform:
    places = {str(token): int(place) for token, place in step.vocabulary_.items()}
    vocabulary = sorted(places, key=places.__getitem__)
    if sorted(places.values()) != list(range(len(places))):
        raise NotPacked("a vocabulary with gaps is not known")
    for token in vocabulary:
        token.encode()
    return Words(
        tokens=_tokens(step), binary=bool(step.binary), dtype=_dtype(step), vocabulary=vocabulary
    )


def weigher(step: Any, given: Given, inner: Inner) -> Transform:
    rarity = np.asarray(step.idf_) if step.use_idf else None
    weigh = Weigh(rarity=rarity, sublinear=bool(step.sublinear_tf))
    return weigh if step.norm is None else Chain(steps=[weigh, Normalize(norm=step.norm)])


def weighed_counts(step: Any, given: Given, inner: Inner) -> Transform:
    return Chain(steps=[counts(step, given, inner), weigher(step._tfidf, given, inner)])


def hashes(step: Any, given: Given, inner: Inner) -> Transform:
    node = Hashes(
        tokens=_tokens(step),
        binary=bool(step.binary),
        dtype=_dtype(step),
        width=int(step.n_features),
        signed=bool(step.alternate_sign),
    )
    return node if step.norm is None else Chain(steps=[node, Normalize(norm=step.norm)])


TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    "sklearn.CountVectorizer": Known.of(counts, _TOKENS, _VOCABULARY),
    "sklearn.TfidfVectorizer": Known.of(weighed_counts, _TOKENS, _VOCABULARY, _WEIGHTS),
    "sklearn.TfidfTransformer": Known.of(weigher, _WEIGHTS),
    "sklearn.HashingVectorizer": Known.of(hashes, _TOKENS, "alternate_sign n_features norm"),
}
