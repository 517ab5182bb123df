"""Texts as counts of their tokens, and counts weighed."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import chain, repeat
from typing import Final, Literal

import numpy as np

from ..node import (
    MAX_WIDTH,
    Array,
    Elementwise,
    Node,
    Refused,
    Rows,
    Transform,
    as_floats,
    dense,
    finite,
    require,
    require_floats,
)
from ..sparse import Sparse, of_dense
from .tokens import Tokens

_UNKNOWN: Final = -1
"""The place of tokens that are not in the vocabulary."""


class _Counts(Node, Transform, frozen=True, kw_only=True):
    """How often each token stands in a text, which is the only column; with `binary` whether it
    does."""

    tokens: Tokens
    binary: bool = False
    dtype: Literal["float64", "float32"] = "float64"

    def check(self, width: int) -> int:
        require(width == 1, "one column of texts")
        self.tokens.check()
        return self._width

    @property
    def _width(self) -> int:
        raise NotImplementedError

    def transform(self, rows: Rows) -> Rows:
        counts = list(map(self._counted, dense(rows)[:, 0].tolist()))
        return self._sparse(counts)

    def _counted(self, text: object) -> Mapping[int, int]:
        if not isinstance(text, str):
            missing = text is None or text != text
            raise Refused("a value is missing" if missing else "a value is no text")
        return self._count(self.tokens.of(text))

    def _count(self, tokens: Iterable[str]) -> Mapping[int, int]:
        """How often each place comes."""
        raise NotImplementedError

    def _sparse(self, counts: list[Mapping[int, int]]) -> Sparse:
        lengths = list(map(len, counts))
        size = sum(lengths)
        places = np.fromiter(chain.from_iterable(counts), np.int64, size)
        values = np.fromiter(chain.from_iterable(map(_values, counts)), self.dtype, size)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        # They are added up in the order of the features.
        if len(counts) == 1:
            order = places.argsort()
        else:
            order = (places + np.repeat(np.arange(len(counts)), lengths) * self._width).argsort()
        values = np.ones(size, dtype=self.dtype) if self.binary else values[order]
        return Sparse(ends, places[order], values, self._width)


def _values(counts: Mapping[int, int]) -> Iterable[int]:
    return counts.values()


class Words(_Counts, frozen=True, kw_only=True):
    """The tokens of a vocabulary, in the order of their features."""

    vocabulary: list[str]

    @property
    def _width(self) -> int:
        return len(self.vocabulary)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.vocabulary)}

    def _count(self, tokens: Iterable[str]) -> Mapping[int, int]:
        found = Counter(map(self._places.get, tokens, repeat(_UNKNOWN)))
        del found[_UNKNOWN]
        return found


class Hashes(_Counts, frozen=True, kw_only=True):
    """Tokens at the place that their hash gives them, of `width`; with `signed` some count
    negative, by the sign of the hash."""

    width: int
    signed: bool = True

    def check(self, width: int) -> int:
        require(0 < self.width <= MAX_WIDTH, f"at most {MAX_WIDTH} features")
        return super().check(width)

    @property
    def _width(self) -> int:
        return self.width

    def _count(self, tokens: Iterable[str]) -> Mapping[int, int]:
        found: dict[int, int] = {}
        for token, count in Counter(tokens).items():
            try:
                hashed = murmur3(token.encode())
            except UnicodeEncodeError as error:
                raise Refused("a value is no text") from error
            place = abs(hashed) % self.width
            found[place] = found.get(place, 0) + (-count if self.signed and hashed < 0 else count)
        return found


_BITS: Final = 0xFFFFFFFF


def murmur3(data: bytes) -> int:
    """The hash MurmurHash3_x86_32 of A. Appleby, with the seed 0, as a signed number."""
    whole = len(data) // 4 * 4
    found = 0
    for block in struct.unpack(f"<{whole // 4}I", data[:whole]):
        found ^= _mixed(block)
        found = ((found << 13 | found >> 19) * 5 + 0xE6546B64) & _BITS
    found ^= _mixed(int.from_bytes(data[whole:], "little")) ^ len(data)
    found = (found ^ found >> 16) * 0x85EBCA6B & _BITS
    found = (found ^ found >> 13) * 0xC2B2AE35 & _BITS
    found ^= found >> 16
    return found - (1 << 32) if found >> 31 else found


def _mixed(block: int) -> int:
    block = block * 0xCC9E2D51 & _BITS
    return (block << 15 | block >> 17) * 0x1B873593 & _BITS


class Weigh(Node, Elementwise, frozen=True, kw_only=True):
    """Counts multiplied by how rare their token is; with `sublinear` 1 and their logarithm instead
    of them."""

    rarity: Array | None = None
    sublinear: bool = False

    def check(self, width: int) -> int:
        if self.rarity is not None:
            require_floats(self.rarity, width)
        return width

    def transform(self, rows: Rows) -> Rows:
        rows = rows if isinstance(rows, Sparse) else of_dense(as_floats(rows))
        values: Array = finite(rows.values)
        if self.sublinear:
            values = np.log(values) + 1.0
        if self.rarity is not None:
            values = (values * self.rarity[rows.places]).astype(values.dtype, copy=False)
        return rows._replace(values=values)


KINDS: Final = (Words, Hashes, Weigh)
