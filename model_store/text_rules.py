"""How a wire writes what JSON has words for: numbers, truths, and that a value is missing.

Every wire passes the same `Signature.validate`. They differ in this alone: a form has nothing but
text, a tensor of texts has no null, and where a wire has numbers a text is none.
"""

from __future__ import annotations

from typing import Final

import msgspec

MISSING_WORDS: Final = frozenset(
    {"", "NA", "N/A", "n/a", "NaN", "nan", "NaT", "None", "null", "NULL", "<NA>", "#N/A"}
)
"""What programs write for a missing value: R, SQL, spreadsheets, Python and pandas."""


class TextRules(msgspec.Struct, frozen=True):
    """What a text stands for on a wire, besides itself.

    `numerals` says that it may be a number or a truth. `blanks` says that an empty one is a missing
    value, in a column of texts too. `nulls` are texts that are missing values where a column may
    have such, is none of texts, and has no category of that name. `crlf` says that line ends were
    rewritten on the way: a browser sends each as CRLF (HTML, 4.10.21.4), whatever was typed.
    """

    numerals: bool = True
    blanks: bool = False
    nulls: frozenset[str] = frozenset()
    crlf: bool = False


JSON: Final = TextRules()
FORM: Final = TextRules(blanks=True, crlf=True)
CSV: Final = TextRules(blanks=True, nulls=MISSING_WORDS)
TYPED: Final = TextRules(numerals=False, nulls=frozenset({"NaT"}))
"""JSON whose values have the types of the columns; pandas writes a missing date as NaT."""
TENSOR: Final = TextRules(numerals=False, nulls=MISSING_WORDS)
"""A tensor of texts has no null: its clients write what Python's `str` makes of one."""
TEXT_MATRIX: Final = TextRules(nulls=MISSING_WORDS)
"""A matrix of texts holds the columns that are numbers as well."""
