"""Single values of pandas: moments, spans of time, steps of a calendar, intervals."""

from __future__ import annotations

import datetime
from typing import Any, Final

import numpy as np

from .forms import FLAG, INTEGER, NONE, NUMBER, Form, either, exact, items, of_pandas, only, within
from .row import Row, find

OFFSETS: Final = "pandas._libs.tslibs.offsets"
STEPS: Final = {
    **dict.fromkeys(("Day", "Hour", "Minute", "Second", "Milli", "Micro", "Nano"), False),
    **dict.fromkeys(("MonthBegin", "MonthEnd", "BusinessMonthBegin", "BusinessMonthEnd"), False),
    **dict.fromkeys(("QuarterBegin", "QuarterEnd", "BQuarterBegin", "BQuarterEnd"), True),
    **dict.fromkeys(("YearBegin", "YearEnd", "BYearBegin", "BYearEnd"), True),
    **dict.fromkeys(("BusinessDay", "Week"), True),
}
"""The steps of a calendar, and whether they have a third part: the month or day they lead to."""
RESOLUTIONS: Final = {7: "s", 8: "ms", 9: "us", 10: "ns"}
"""Units of time by pandas' numbers for them."""

OFFSET: Final = of_pandas("a step of a calendar", *STEPS)
ZONE: Final = exact("a time zone", datetime.timezone)
SIDE: Final = only("left", "right", "both", "neither")
_STEPS: Final = within(-(10**9), 10**9)
_TARGET: Final = either(NONE, within(0, 12), exact("a span of time", datetime.timedelta))
_EDGE: Final = either(
    NUMBER,
    of_pandas("a moment", "Timestamp", "Timedelta"),
    Form("a number of numpy", lambda value: isinstance(value, np.integer | np.floating)),
)


def _moment(value: int, _freq: None, zone: datetime.timezone | None, unit: int = 10) -> Any:
    """A moment, counted from 1970 in UTC."""
    made = find("pandas", "Timestamp")(np.int64(value).astype(f"M8[{RESOLUTIONS[unit]}]"))
    return made if zone is None else made.tz_localize("UTC").tz_convert(zone)


def _span(value: int, unit: int = 10) -> Any:
    return find("pandas", "Timedelta")(np.int64(value).astype(f"m8[{RESOLUTIONS[unit]}]"))


def _no_moment(_: None) -> Any:
    return find("pandas", "NaT")


def _interval(left: Any, right: Any, closed: str) -> Any:
    return find("pandas", "Interval")(left, right, closed)


def _step(name: str) -> Any:
    return lambda *parts: find(OFFSETS, name)(*parts)


_UNIT: Final = only(*RESOLUTIONS)

ROWS: Final = (
    Row(
        "pandas._libs.tslibs.timestamps._unpickle_timestamp",
        _moment,
        items(INTEGER, NONE, either(NONE, ZONE), _UNIT, least=3),
    ),
    Row(
        "pandas._libs.tslibs.timedeltas._timedelta_unpickle",
        _span,
        items(INTEGER, _UNIT, least=1),
    ),
    Row("pandas._libs.tslibs.nattype.NaTType", _no_moment, items(NONE)),
    Row("pandas.Interval", _interval, items(_EDGE, _EDGE, SIDE)),
    *(
        Row(
            f"{OFFSETS}.{name}",
            _step(name),
            items(_STEPS, FLAG, _TARGET, least=2) if more else items(_STEPS, FLAG),
        )
        for name, more in STEPS.items()
    ),
)
