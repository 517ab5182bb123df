"""Words counted as scikit-learn counts them, with an analyzer that is made once.

What comes out is a sparse matrix, which only linear models and naive Bayes take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

import numpy as np

from .answers import Array, NotCovered, Transform

VECTORIZERS: Final = frozenset({"CountVectorizer", "TfidfVectorizer"})

UNKNOWN: Final = -1
"""The place of words that are not in the vocabulary."""

Analyzer = Callable[[str], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Counting:
    """How often each word of the vocabulary stands in each text, as floats."""

    analyzer: Analyzer
    vocabulary: Mapping[str, int]
    binary: bool
    dtype: Any
    sparse: Callable[..., Any]

    def __call__(self, array: Array) -> Any:
        places: list[int] = []
        counts: list[int] = []
        ends = [0]
        find = self.vocabulary.get
        for text in array[:, 0]:
            if not isinstance(text, str):
                raise NotCovered
            found = Counter(map(find, self.analyzer(text), repeat(UNKNOWN)))
            del found[UNKNOWN]
            places += found
            counts += found.values()
            ends.append(len(places))
        data = np.ones(len(counts)) if self.binary else np.array(counts, dtype=np.float64)
        matrix = self.sparse(
            (
                data.astype(self.dtype, copy=False),
                np.array(places, dtype=np.int32),
                np.array(ends, dtype=np.int32),
            ),
            shape=(len(array), len(self.vocabulary)),
        )
        # They are added up in the order of the columns.
        matrix.sort_indices()
        return matrix


@dataclass(frozen=True, slots=True)
class Weighing:
    """Counts as frequencies, weighed by how rare a word is and brought to one length. It may write
    into what it is given, which is a matrix of `Counting` that nobody else has."""

    sublinear: bool
    rarity: Array | None
    normalize: Callable[[Any], None] | None

    def __call__(self, array: Any) -> Any:
        if self.sublinear:
            np.log(array.data, array.data)
            array.data += 1.0
        if self.rarity is not None:
            array.data *= self.rarity[array.indices]
        if self.normalize is not None:
            self.normalize(array)
        return array


def text(step: Any, name: str) -> list[Transform] | None:
    """A vectorizer of texts, in one step or two; None where it reads files."""
    if step.input != "content":
        return None
    from scipy.sparse import csr_array

    dtype = np.dtype(step.dtype)
    counting = Counting(
        analyzer=step.build_analyzer(),
        vocabulary=step.vocabulary_,
        binary=bool(step.binary),
        dtype=dtype if dtype.kind == "f" else np.dtype(np.float64),
        sparse=csr_array,
    )
    if name == "CountVectorizer":
        return [counting]
    return [counting, weigher(step._tfidf)]


def weigher(step: Any) -> Transform:
    from sklearn.utils import sparsefuncs_fast as fast

    norms: dict[str | None, Callable[[Any], None] | None] = {
        "l1": fast.inplace_csr_row_normalize_l1,
        "l2": fast.inplace_csr_row_normalize_l2,
        None: None,
    }
    rarity = np.asarray(step.idf_) if step.use_idf else None
    return Weighing(bool(step.sublinear_tf), rarity, norms[step.norm])
