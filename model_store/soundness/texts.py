"""Texts and what is made of them: which words stand in which column, and that a text is no path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from .faults import MISSING, Wrong, count, own, shown

MOST_HASHED: Final = 2**31 - 1
LONGEST: Final = 50
"""Words or letters in a row that are counted as one: of a text there are as often as many."""
WORD: Final = r"(?u)\b\w\w+\b"
"""The pattern that scikit-learn has by default: it needs time in proportion to a text."""


def vectorizer(value: Any) -> None:
    """A vectorizer takes the text itself, and counts in columns that there are."""
    content(value)
    low, high = own(value, "ngram_range")
    if not (type(low) is type(high) is int and 1 <= low <= high):
        raise Wrong(f"its ngram_range is {shown((low, high))}")
    if high > LONGEST:
        raise Wrong(f"its ngram_range ends at {high}, and may end at {LONGEST}")
    given = own(value, "vocabulary")
    if isinstance(given, str | bytes):
        raise Wrong("its vocabulary is a text, and should hold words")
    vocabulary(value)


def content(value: Any) -> None:
    """Raises Wrong where a text would be taken for the path of a file, or for a file."""
    # A class of the operator's own may have it as a class attribute.
    found = getattr(value, "input", "content")
    if type(found) is not str or found != "content":
        raise Wrong(
            f"its input is {shown(found)}: it would open what a client names; it may only be "
            "'content'"
        )


def vocabulary(value: Any) -> None:
    """The columns of words are those from 0 on, each once: a sparse matrix is made of them."""
    words = own(value, "vocabulary_")
    if words is MISSING:
        return
    if type(words) is not dict:
        raise Wrong(f"its vocabulary_ is a {type(words).__name__}, and should be a dict")
    if not all(isinstance(place, int | np.integer) for place in words.values()):
        raise Wrong("its vocabulary_ has columns that are no whole numbers")
    places = np.fromiter(words.values(), dtype=np.int64, count=len(words))
    odd = np.flatnonzero(np.sort(places) != np.arange(len(places)))
    if odd.size:
        raise Wrong(f"its vocabulary_ of {len(places)} words does not count its columns from 0 on")


def hashing_vectorizer(value: Any) -> None:
    """The same, where a word's column is reckoned."""
    vectorizer(value)
    hasher(value)


def hasher(value: Any) -> None:
    """The number of columns is one that is divided by."""
    columns = count(value, "n_features")
    if columns > MOST_HASHED:
        raise Wrong(f"its n_features is {columns}, and may be at most {MOST_HASHED}")


def own_patterns(values: Iterable[Any]) -> list[str]:
    """The patterns by which vectorizers find words, but for scikit-learn's own."""
    found = []
    for value in values:
        pattern = getattr(value, "token_pattern", WORD)
        if (
            hasattr(value, "build_analyzer")
            and pattern not in (WORD, None)
            and getattr(value, "analyzer", None) == "word"
            and getattr(value, "tokenizer", None) is None
        ):
            found.append(str(pattern))
    return list(dict.fromkeys(found))
