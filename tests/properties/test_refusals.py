"""Refusals of imports that help, and those that do not."""

from __future__ import annotations

import pytest

from .refusals import Format, names_a_way

ZONES = "a date of the dtype datetime64[ns, UTC] or a date of the dtype datetime64[ns, Asia/Tokyo]"
NULLS = "a text with NaN or a text with None"
REFUSALS: list[tuple[Format, str, str, bool]] = [
    ("csv", "an integer or a text", "--type alpha=integer or --type alpha=text", True),
    ("csv", NULLS, "--missing alpha=nan or --missing alpha=none", True),
    (
        *("csv", "an integer with pandas's NA or a number with NaN"),
        *(
            "--type alpha=integer --missing alpha=na or --type alpha=number --missing alpha=nan",
            True,
        ),
    ),
    ("parquet", NULLS, "--missing alpha=nan or --missing alpha=none", True),
    ("csv", ZONES, "", True),
    ("parquet", ZONES, "", False),
    ("parquet", "an integer or a text", "--type alpha=integer or --type alpha=text", False),
    ("csv", NULLS, "", False),
    ("csv", NULLS, "--missing alpha=nan", False),
    ("csv", NULLS, "--missing alpha=nan or --missing alpha=nan", False),
    ("csv", NULLS, "--missing beta=nan or --missing beta=none", False),
]


@pytest.mark.parametrize(("form", "called", "ways", "helps"), REFUSALS)
def test_a_refusal_names_a_column_and_different_options_that_say_how_it_is_read(
    form: Format, called: str, ways: str, helps: bool
) -> None:
    say = f": say it with {ways}" if ways else ""
    refusal = (
        "The pipeline answers otherwise where the column alpha of the sample is read as "
        f"{called}, and nothing tells which it was trained on{say}. Or give the sample as Parquet"
    )
    assert names_a_way(["alpha", "gamma"], form, refusal) is helps
    assert not names_a_way(["gamma"], form, refusal)


def test_a_refusal_of_another_kind_names_no_way() -> None:
    rows = "as a matrix or a DataFrame, and nothing tells which it was trained on. So give"
    assert names_a_way(["alpha"], "csv", rows)
    assert not names_a_way(["alpha"], "parquet", rows)
    assert not names_a_way(["alpha"], "csv", "alpha: nothing tells. ")
