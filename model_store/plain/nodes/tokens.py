"""Texts as tokens: words, or runs of characters, alone and several together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import chain, islice
from typing import Final, Literal

import msgspec

from ..node import require

Analyzer = Literal["word", "char", "char_wb"]

MAX_TOGETHER: Final = 32
"""Words or characters that are one token."""

MAX_PATTERN: Final = 200

_FLAGS = r"(?:\(\?[aiu]+\))?"
_CLASS = r"(?:\\[wWdDsS]|\[\^?(?:\\.|[^\\\[\]])+\]|\\[^\w]|[^\\\[\](){}.*+?^$|]|\.)"
_REPEATED = r"(?:[+*]|\{\d{1,2}(?:,\d{0,2})?\})"
_ALTERNATIVE = rf"(\\b)?{_CLASS}*?({_CLASS})({_REPEATED})?(\\b)?"
_SAFE_PATTERN: Final = re.compile(rf"{_FLAGS}{_ALTERNATIVE}")
_SET_OPERATIONS: Final = ("--", "&&", "~~", "||")
"""What a later Python may read in a set of characters as more than itself."""


def is_safe(pattern: str) -> bool:
    """Whether a search for all matches takes a time that grows with the text alone.

    Such a pattern is one character or set of characters after another, of which only the last may
    be repeated without an end, perhaps with word boundaries around. What is repeated last is taken
    as far as it goes and then given back only in search of a boundary. That may not begin anew at
    each character of a long run: so before it a boundary must stand as well, or what is repeated is
    what words are made of.
    """
    found = _SAFE_PATTERN.fullmatch(pattern) if len(pattern) <= MAX_PATTERN else None
    if found is None or any(each in pattern for each in _SET_OPERATIONS):
        return False
    begin, last, repeated, end = found.groups()
    if repeated is not None and end is not None and begin is None and last != r"\w":
        return False
    try:
        return re.compile(pattern).groups == 0
    except (re.error, ValueError):
        return False


class Tokens(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True
):
    """How a text is taken apart, as scikit-learn does it: as words by a `pattern`, but for the
    `stop_words`; as characters; or as the characters of each word with a space on both sides. From
    `least` to `most` of them together are a token."""

    analyzer: Analyzer = "word"
    pattern: str = r"(?u)\b\w\w+\b"
    stop_words: list[str] = []
    least: int = 1
    most: int = 1
    lowercase: bool = True
    accents: Literal["ascii", "unicode"] | None = None

    def check(self) -> None:
        require(1 <= self.least <= self.most <= MAX_TOGETHER, f"1 to {MAX_TOGETHER} together")
        require(is_safe(self.pattern), "a pattern whose search takes a time in line with the text")

    @cached_property
    def _words(self) -> Callable[[str], list[str]]:
        return re.compile(self.pattern).findall

    @cached_property
    def _dropped(self) -> frozenset[str]:
        return frozenset(self.stop_words)

    def of(self, text: str) -> Iterable[str]:
        """The tokens of a text."""
        if self.lowercase:
            text = text.lower()
        if self.accents is not None:
            text = _without_accents(text, ascii_=self.accents == "ascii")
        if self.analyzer == "word":
            return self._of_words(self._words(text))
        text = _SPACES.sub(" ", text)
        if self.analyzer == "char":
            return self._of_characters(text)
        return chain.from_iterable(map(self._around, text.split()))

    def _of_words(self, words: list[str]) -> Iterable[str]:
        dropped = self._dropped
        if dropped:
            words = [word for word in words if word not in dropped]
        if self.most == 1:
            return words
        lengths = range(self.least, min(self.most, len(words)) + 1)
        return chain.from_iterable(
            words if length == 1 else map(" ".join, _windows(words, length)) for length in lengths
        )

    def _of_characters(self, text: str) -> Iterable[str]:
        lengths = range(self.least, min(self.most, len(text)) + 1)
        return chain.from_iterable(_runs(text, length) for length in lengths)

    def _around(self, word: str) -> Iterable[str]:
        """The characters of a word; a short one counts once, whatever the lengths."""
        word = f" {word} "
        lengths = range(self.least, min(self.most, max(self.least, len(word))) + 1)
        return chain.from_iterable(_runs(word, length) for length in lengths)


_SPACES: Final = re.compile(r"\s\s+")


def _runs(text: str, length: int) -> Iterable[str]:
    """All runs of so many characters; of a shorter text that itself."""
    if length == 1:
        return text
    return [text[at : at + length] for at in range(max(1, len(text) - length + 1))]


def _windows(words: list[str], length: int) -> Iterable[tuple[str, ...]]:
    """All runs of so many words."""
    return zip(*(islice(words, at, None) for at in range(length)), strict=False)


def _without_accents(text: str, *, ascii_: bool) -> str:
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text)
    if ascii_:
        return apart.encode("ASCII", "ignore").decode("ASCII")
    return "".join(each for each in apart if not unicodedata.combining(each))
