"""Whether an import that is refused is refused rightly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

Format = Literal["csv", "parquet", "feather"]

UNDECIDED: Final = re.compile(
    r"the columns? (?P<name>\w+)(?: and \d+ more)? of the sample (?:is|are each) read as "
    r"(?P<called>.*), and nothing tells which it was trained on(?:: say it with (?P<ways>.*?))?\. "
)
"""What is said of a column where answers hang on how it is read, with the options that say it."""


def names_a_way(names: Sequence[str], form: Format, refusal: str) -> bool:
    """Whether a refusal names a column and the options of which one says how it is read. None does
    of a zone, nor of an array or a DataFrame: of these a file with types tells."""
    if form == "csv" and "as a matrix or a DataFrame, and nothing tells" in refusal:
        return True
    found = UNDECIDED.search(refusal)
    if found is None or found["name"] not in names:
        return False
    if found["ways"] is None:
        return form == "csv" and "of the dtype datetime64[ns, UTC] or a date" in found["called"]
    missing = rf"--missing {found['name']}=\w+"
    way = rf"(?:--type {found['name']}=\w+(?: {missing})?|{missing})" if form == "csv" else missing
    ways = found["ways"].split(" or ")
    distinct = len(set(ways)) == len(ways) > 1
    return distinct and all(re.fullmatch(way, each) for each in ways)
