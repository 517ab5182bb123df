"""The figures of a model in use as charts, for the page "Live"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ..about import charts
from ..about.charts import Box, Chart, Place, Plot, Tick, number_text, share_text
from ..figures import ColumnFigures, Mix, Monitor, Part, Step
from ..window import DAY, HOUR, seconds_of

HEIGHT: Final = 96.0
MOST_TICKS: Final = 4
MOST_CLASSES: Final = 6
"""Of more classes those that are told most often are drawn."""
TOP: Final = charts.MARGIN
RIGHT: Final = charts.WIDTH - 2 * charts.MARGIN
PITCH: Final = 42.0
"""From one pair of bars to the next."""
THICKNESS: Final = 8.0
TIME: Final = "from (UTC)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A part of a window: how high it stands, and how much of that is bad."""

    left: float
    width: float
    top: float
    height: float
    bad_top: float
    bad_height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns(Plot):
    """Counts over time."""

    columns: Sequence[Column]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Plot):
    """A number over time: a path for each stretch that has one, as SVG's `polyline` takes it, and
    the points that stand alone. `band` is a polygon about each stretch."""

    paths: Sequence[str]
    alone: Sequence[Place]
    bands: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The share of one category or range, of training and now."""

    label: str
    training_text: str
    now_text: str
    top: float
    training: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs(Chart):
    """Training and live data side by side."""

    pairs: Sequence[Pair]
    thickness: float


# Over time -----------------------------------------------------------------------


def requests(found: Monitor) -> Columns:
    """Requests over time, and among them errors."""
    counts = [step.requests for step in found.over_time]
    box, x_ticks, xs = _across(found, max(counts, default=0))
    y_axis = charts.axis(0, max(1, *counts), 3, number_text)
    y = charts.scale(0, max(1, *counts), box.bottom, box.top)
    width = (box.right - box.left) / len(counts)
    columns = [
        Column(
            left=round(x + width * 0.1, 2),
            width=round(width * 0.8, 2),
            top=y(step.requests),
            height=round(box.bottom - y(step.requests), 2),
            bad_top=y(step.errors),
            bad_height=round(box.bottom - y(step.errors), 2),
        )
        for x, step in zip(xs, found.over_time, strict=True)
    ]
    total, bad = sum(counts), sum(step.errors for step in found.over_time)
    busiest = max(found.over_time, key=lambda step: step.requests)
    return Columns(
        title="Requests",
        description=f"{total} requests, of which {bad} were refused or failed; most from "
        f"{_time(busiest.at)} on: {busiest.requests}.",
        width=charts.WIDTH,
        height=box.bottom + 1.5 * charts.LINE,
        heads=(TIME, "requests", "errors"),
        rows=[(_time(step.at), str(step.requests), str(step.errors)) for step in found.over_time],
        box=box,
        x_ticks=x_ticks,
        y_ticks=charts.placed(y_axis, y),
        columns=columns,
    )


def latency(found: Monitor) -> Line | None:
    """The median of durations over time."""
    values = [step.p50_ms for step in found.over_time]
    return _line(found, values, title="Median duration (ms)", text=_duration)


def answers(found: Monitor, words: Mapping[str, str]) -> list[Line]:
    """What was told over time, by target: the share of each class, or the median of numbers within
    the band from a tenth to nine tenths. `words` say a class in a person's language."""
    drawn: list[Line | None] = []
    for mix in found.answers:
        of = f" of {mix.target}" if mix.target and len(found.answers) > 1 else ""
        steps = [_of_target(step, mix.target) for step in found.over_time]
        if mix.shares is None:
            drawn.append(_numbers(found, steps, of))
            continue
        for label in [*mix.shares][:MOST_CLASSES]:
            shares = [None if not step else (step.shares or {}).get(label, 0.0) for step in steps]
            drawn.append(
                _line(
                    found,
                    shares,
                    title=f"{words.get(label, label)}{of}",
                    text=share_text,
                    ends=(0, 1),
                )
            )
    return [line for line in drawn if line is not None]


def _of_target(step: Step, target: str | None) -> Mix | None:
    return next((mix for mix in step.answers if mix.target == target and mix.rows), None)


def _numbers(found: Monitor, steps: Sequence[Mix | None], of: str) -> Line | None:
    low, middle, high = (
        [None if step is None else getattr(step, field) for step in steps]
        for field in ("p10", "p50", "p90")
    )
    title = f"Answers{of}: the median, and from a tenth to nine tenths"
    return _line(found, middle, title=title, text=number_text, around=(low, high))


Values = Sequence[float | None]


def _line(
    found: Monitor,
    values: Values,
    *,
    title: str,
    text: Callable[[float], str],
    ends: tuple[float, float] | None = None,
    around: tuple[Values, Values] | None = None,
) -> Line | None:
    """A line through values, from the one of `ends` to the other, else over all values; None where
    there are none."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    all_of_them = [v for side in (values, *(around or ())) for v in side if v is not None]
    low, high = ends or (min(0.0, *all_of_them), max(all_of_them))
    axis_text = _whole_share if text is share_text else number_text
    box, x_ticks, xs = _across(found, high, axis_text)
    y = charts.scale(low, high, box.bottom, box.top)
    half = (box.right - box.left) / len(values) / 2
    places = [round(x + half, 2) for x in xs]
    stretches = _stretches(values)
    return Line(
        title=title,
        description=f"From {text(there[0])} to {text(there[-1])}; between "
        f"{text(min(there))} and {text(max(there))}.",
        width=charts.WIDTH,
        height=box.bottom + 1.5 * charts.LINE,
        heads=(TIME, title) if around is None else (TIME, "a tenth", "median", "nine tenths"),
        rows=_rows(found, values, around, text),
        box=box,
        x_ticks=x_ticks,
        y_ticks=charts.placed(charts.axis(low, high, 3, axis_text), y),
        paths=[_path(each, places, values, y) for each in stretches if len(each) > 1],
        alone=[
            Place(places[at], y(values[at] or 0.0))
            for each in stretches
            for at in each[:1]
            if len(each) == 1
        ],
        bands=[
            f"{_path(each, places, around[0], y)} {_path(each[::-1], places, around[1], y)}"
            for each in stretches
            if around is not None and len(each) > 1
        ],
    )


def _rows(
    found: Monitor,
    values: Values,
    around: tuple[Values, Values] | None,
    text: Callable[[float], str],
) -> list[Sequence[str]]:
    sides = [values] if around is None else [around[0], values, around[1]]
    return [
        (_time(step.at), *("" if value is None else text(value) for value in each))
        for step, *each in zip(found.over_time, *sides, strict=True)
    ]


def _path(
    stretch: Sequence[int], places: Sequence[float], values: Values, y: Callable[[float], float]
) -> str:
    return " ".join(f"{places[at]:g},{y(values[at] or 0.0):g}" for at in stretch)


def _stretches(values: Values) -> list[list[int]]:
    """The places of values that follow each other."""
    found: list[list[int]] = []
    for at, value in enumerate(values):
        if value is None:
            continue
        if found and found[-1][-1] == at - 1:
            found[-1].append(at)
        else:
            found.append([at])
    return found


def _across(
    found: Monitor, high: float, text: Callable[[float], str] = number_text
) -> tuple[Box, list[Tick], list[float]]:
    """The box of a chart over time whose numbers go up to `high`, some moments below it, and where
    each step begins."""
    left = charts.room(charts.axis(0, high or 1, 3, text))
    box = Box(left, TOP, RIGHT, HEIGHT)
    steps = found.over_time
    width = (box.right - box.left) / len(steps)
    xs = [box.left + width * at for at in range(len(steps))]
    every = -(-len(steps) // MOST_TICKS)
    form = _form(found)
    ticks = [
        Tick(round(xs[at] + width / 2, 2), _time(steps[at].at, form))
        for at in range(0, len(steps), every)
    ]
    return box, ticks, xs


def _form(found: Monitor) -> str:
    """How moments below a chart are written."""
    seconds = seconds_of(found.window)
    if seconds < 10 * 60:
        return "%H:%M:%S"
    return "%H:%M" if seconds <= DAY + HOUR else "%d %b"


def _time(at: str, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    text = datetime.fromisoformat(at).astimezone(UTC).strftime(form)
    return text.removesuffix(":00") if form.startswith("%Y") else text


def _duration(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms"


def _whole_share(value: float) -> str:
    return f"{100 * value:g} %"


# Training and now ----------------------------------------------------------------


def pairs(column: ColumnFigures, title: str, words: Mapping[str, str]) -> Pairs | None:
    """A column of training and now, on one scale; None where there is nothing of one of them.
    `words` say a class that was answered in a person's language."""
    if not column.parts:
        return None
    known = words if column.answers else {}
    longest = max(max(part.training, part.now) for part in column.parts)
    x = charts.scale(0, longest, 0, charts.WIDTH)
    drawn = [
        Pair(
            label=charts.short(known.get(part.label, part.label), charts.BESIDE),
            training_text=share_text(part.training),
            now_text=share_text(part.now),
            top=at * PITCH,
            training=x(part.training),
            now=x(part.now),
        )
        for at, part in enumerate(column.parts)
    ]
    return Pairs(
        title=title,
        description=_told(column.parts),
        width=charts.WIDTH,
        height=len(drawn) * PITCH,
        heads=("value", "training", "now"),
        rows=[
            (known.get(part.label, part.label), share_text(part.training), share_text(part.now))
            for part in column.parts
        ],
        pairs=drawn,
        thickness=THICKNESS,
    )


def _told(parts: Sequence[Part]) -> str:
    """What a glance at the bars tells."""
    farthest = max(parts, key=lambda part: abs(part.now - part.training))
    return (
        f"{len(parts)} values or ranges, each with its share of the training data and now. "
        f"Farthest apart is {farthest.label}: {share_text(farthest.training)} in the training "
        f"data, {share_text(farthest.now)} now."
    )
