"""Where the marks of a chart stand, in the units of its own `viewBox`.

No markup is made here: `templates/charts.html` draws these, and the stylesheet colours them. Every
chart says in `title` and `description` what it shows, for whoever does not see it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from model_store.column_facts import JSONLabel
from model_store.literals import shown_category
from model_store.manifest import Confusion, Evaluation

from ..protocols import form
from .what_if import TargetEffects

WIDTH: Final = 320.0
"""About the width of a phone, so that texts keep their size there."""
MARGIN: Final = 10.0
LINE: Final = 16.0
CHARACTER: Final = 7.0
"""At most so wide is a digit of the font size that the stylesheet sets."""

LISTED: Final = 4
MOST_TICKS: Final = 5
MOST_CLASSES: Final = 12
MOST_BARS: Final = 20
SHADES: Final = 10
LETTERS: Final = "ABCDEFGHIJKL"
SIDE: Final = 16
"""Of longer labels beside a chart only the beginning is shown."""
BESIDE: Final = 32
"""The same above a bar, where its number stands on the same line."""


class Tick(NamedTuple):
    """A mark on an axis: where it stands, and its text."""

    place: float
    text: str


class Place(NamedTuple):
    """A point."""

    x: float
    y: float


class Box(NamedTuple):
    """The part of a chart in which its marks stand."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What every chart has. `rows` are its values as text, to be read as a table below `heads`."""

    title: str
    description: str
    width: float
    height: float
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot(Chart):
    """A chart with two axes."""

    box: Box
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve(Plot):
    """A line through `points`, and where on it the entered value stands."""

    points: Sequence[Place]
    mark: Place | None

    @property
    def path(self) -> str:
        """The points as SVG's `polyline` takes them."""
        return " ".join(f"{each.x:g},{each.y:g}" for each in self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter(Plot):
    """Points about the diagonal on which truth and answer are equal."""

    points: Sequence[Place]
    x_label: str
    y_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar, from `left` over `length`, below its text."""

    label: str
    text: str
    top: float
    left: float
    length: float
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars(Chart):
    """Horizontal bars of `thickness`, that begin at `zero`."""

    bars: Sequence[Bar]
    thickness: float
    zero: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell: its corner, its count, its shade (0 to 9), and whether truth and answer are equal."""

    x: float
    y: float
    text: str
    shade: int
    equal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix(Chart):
    """A table of counts: a row for each true class, a column for each answer."""

    cells: Sequence[Cell]
    cell: Place
    row_labels: Sequence[Tick]
    column_labels: Sequence[Tick]
    box: Box


# Texts and ticks -----------------------------------------------------------------


def ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """At most `most` round numbers within a range, whose distance is 1, 2 or 5 times a power of
    ten; the ends themselves where there is no such distance."""
    span = high - low
    if not (math.isfinite(span) and span > sys.float_info.min * most):
        return sorted({low, high})
    power = math.floor(math.log10(span / most))
    for exponent in (power, power + 1):
        for factor in (1, 2, 5):
            step = factor * 10.0**exponent
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if 1 < last - first + 1 <= most:
                # Divided, a tenth stays the number that is written so.
                return [
                    n * factor * 10**exponent if exponent >= 0 else n * factor / 10**-exponent
                    for n in range(first, last + 1)
                ]
    return [low, high]


def number_text(value: float) -> str:
    """A number in at most six digits: 2 and not 2.0."""
    return f"{value + 0:.6g}"


def share_text(value: float) -> str:
    """A probability, as a percentage."""
    return f"{100 * value:.1f} %"


def _round_share(value: float) -> str:
    return f"{100 * value:g} %"


def short(text: str, most: int) -> str:
    """The beginning of a text that has more characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _count_text(count: int) -> str:
    """A count in at most four characters, below a thousand million."""
    if count >= 1_000_000:
        return f"{count // 1_000_000}M"
    return f"{count // 1000}k" if count >= 10_000 else str(count)


def scale(low: float, high: float, begin: float, end: float) -> Callable[[float], float]:
    """Brings a range to another, the middle where it has no extent."""

    def scaled(value: float) -> float:
        # Halved, since the difference of two floats may be none.
        extent = high / 2 - low / 2
        share = 0.5 if extent == 0 else (value / 2 - low / 2) / extent
        return round(begin + share * (end - begin), 2)

    return scaled


def axis(low: float, high: float, most: int, text: Callable[[float], str]) -> list[Tick]:
    """The ticks of a range, at their values."""
    return [Tick(value, text(value)) for value in ticks(low, high, most)]


def room(found: Sequence[Tick]) -> float:
    """How wide the texts beside a vertical axis are."""
    return max(len(tick.text) for tick in found) * CHARACTER + MARGIN


# What if -------------------------------------------------------------------------


def effects(found: TargetEffects) -> list[Curve | Bars]:
    """A chart for each column, all on one scale: a curve of numbers, bars of what is named. None
    where the model tells classes without probabilities."""
    drawn = [(effect, effect.answers) for effect in found.effects if effect.answers is not None]
    if not drawn:
        return []
    shares = found.target.classes is not None and not found.scored
    low = min(min(answers) for _, answers in drawn)
    high = max(max(answers) for _, answers in drawn)
    charts: list[Curve | Bars] = []
    for effect, answers in drawn:
        column = effect.column
        title = (column.label or column.name) + (f" ({column.unit})" if column.unit else "")
        if column.kind.measured:
            xs = [float(value) for value in effect.values]
            chart: Curve | Bars = curve(
                xs, answers, effect.entered, title=title, low=low, high=high, shares=shares
            )
        else:
            names = [_named(value) for value in effect.values]
            chart = bars(
                names, answers, effect.entered, title=title, low=low, high=high, shares=shares
            )
        charts.append(chart)
    return charts


def _named(value: JSONLabel) -> JSONLabel:
    """A boolean as the form calls it."""
    return value if not isinstance(value, bool) else "yes" if value else "no"


# A curve -------------------------------------------------------------------------


def curve(
    xs: Sequence[float],
    ys: Sequence[float],
    entered: int | None,
    *,
    title: str,
    low: float | None = None,
    high: float | None = None,
    shares: bool = False,
) -> Curve:
    """A line through the points, in the order of `xs`, of which that at `entered` is marked.

    The vertical axis goes from `low` to `high`, else over the values; with `shares` they are
    probabilities, and it goes from 0 to 1.
    """
    text = share_text if shares else number_text
    low, high = (0.0, 1.0) if shares else _range(ys, low, high)
    y_axis = axis(low, high, 3, _round_share if shares else number_text)
    box = Box(room(y_axis), MARGIN, WIDTH - 2 * MARGIN, 96)
    x = scale(xs[0], xs[-1], box.left, box.right)
    y = scale(low, high, box.bottom, box.top)
    points = [Place(x(each), y(value)) for each, value in zip(xs, ys, strict=True)]
    return Curve(
        title=title,
        description=_told(xs, ys, entered, text),
        width=WIDTH,
        height=box.bottom + 1.5 * LINE,
        heads=("value", "answer"),
        rows=[(number_text(xs[i]), text(ys[i])) for i in _listed(len(xs), entered)],
        box=box,
        x_ticks=placed(axis(xs[0], xs[-1], 4, number_text), x),
        y_ticks=placed(y_axis, y),
        points=points,
        mark=None if entered is None else points[entered],
    )


def _listed(count: int, entered: int | None) -> list[int]:
    """The points of a curve that its table lists: some say as much as all."""
    listed = {*range(0, count, LISTED), count - 1}
    return sorted(listed if entered is None else listed | {entered})


def _range(ys: Sequence[float], low: float | None, high: float | None) -> tuple[float, float]:
    return min(ys) if low is None else low, max(ys) if high is None else high


def placed(found: Sequence[Tick], scale: Callable[[float], float]) -> list[Tick]:
    """Ticks at their places in the drawing."""
    return [Tick(scale(tick.place), tick.text) for tick in found]


def _told(
    xs: Sequence[float], ys: Sequence[float], entered: int | None, text: Callable[[float], str]
) -> str:
    ends = f"{text(ys[0])} at {number_text(xs[0])}, {text(ys[-1])} at {number_text(xs[-1])}"
    least, most = min(ys), max(ys)
    told = f"{ends}; between them from {text(least)} to {text(most)}."
    if entered is not None:
        told += f" Entered: {number_text(xs[entered])}, which gives {text(ys[entered])}."
    return told


# Bars ----------------------------------------------------------------------------


def bars(
    labels: Sequence[JSONLabel],
    values: Sequence[float],
    chosen: int | None,
    *,
    title: str,
    low: float | None = None,
    high: float | None = None,
    shares: bool = False,
) -> Bars:
    """A bar for each label, of which that at `chosen` is marked; at most MOST_BARS, the chosen one
    among them.

    Bars begin at 0. They share one scale, which reaches at least from `low` to `high`, or with
    `shares`, of probabilities, from 0 to 1.
    """
    text = share_text if shares else number_text
    shown = _shown_bars(len(values), chosen)
    ends = [0.0, 1.0] if shares else [0.0, *values, *(e for e in (low, high) if e is not None)]
    x = scale(min(ends), max(ends), 0.0, WIDTH)
    thickness, pitch = 10.0, 38.0
    drawn = [
        Bar(
            label=short(shown_category(labels[place]), BESIDE),
            text=text(values[place]),
            top=row * pitch,
            left=min(x(0.0), x(values[place])),
            length=round(abs(x(values[place]) - x(0.0)), 2),
            chosen=place == chosen,
        )
        for row, place in enumerate(shown)
    ]
    rows = [(shown_category(labels[place]), text(values[place])) for place in shown]
    told = "; ".join(f"{label}: {value}" for label, value in rows)
    more = "" if len(shown) == len(values) else f" {len(shown)} of {len(values)} are shown."
    return Bars(
        title=title,
        description=f"{told}.{more}",
        width=WIDTH,
        height=len(shown) * pitch,
        heads=("value", "answer"),
        rows=rows,
        bars=drawn,
        thickness=thickness,
        zero=x(0.0),
    )


def _shown_bars(count: int, chosen: int | None) -> list[int]:
    shown = list(range(min(count, MOST_BARS)))
    if chosen is not None and chosen not in shown:
        shown[-1] = chosen
    return shown


# Answers beside the truth --------------------------------------------------------


def scatter(evaluation: Evaluation, *, title: str, unit: str | None = None) -> Scatter | None:
    """The answers of a regression over the truth; None where no points are kept."""
    pairs = evaluation.points
    if not pairs:
        return None
    values = [value for pair in pairs for value in pair]
    low, high = min(values), max(values)
    found = axis(low, high, MOST_TICKS, number_text)
    left = room(found)
    side = WIDTH - left - 2 * MARGIN
    box = Box(left, 1.5 * LINE, left + side, 1.5 * LINE + side)
    x, y = scale(low, high, box.left, box.right), scale(low, high, box.bottom, box.top)
    inside = f" ({unit})" if unit else ""
    return Scatter(
        title=title,
        description=_distances(evaluation, pairs, unit),
        width=WIDTH,
        height=box.bottom + 2.5 * LINE,
        box=box,
        x_ticks=placed(found, x),
        y_ticks=placed(found, y),
        points=[Place(x(true), y(answered)) for true, answered in pairs],
        x_label=f"true{inside}",
        y_label=f"predicted{inside}",
    )


def _distances(
    evaluation: Evaluation, pairs: Sequence[tuple[float, float]], unit: str | None
) -> str:
    """What a glance at the points tells."""
    off = sorted(abs(true - answered) for true, answered in pairs)
    above = sum(answered > true for true, answered in pairs)
    inside = f" {unit}" if unit else ""
    return (
        f"{len(pairs)} of {evaluation.rows} rows, the prediction over the truth. Half of them are "
        f"off by at most {number_text(off[(len(off) - 1) // 2])}{inside}, nine of ten by at most "
        f"{number_text(off[math.ceil(0.9 * len(off)) - 1])}{inside}; {above} predictions are too "
        "high."
    )


def matrix(confusion: Confusion, *, title: str, words: Mapping[str, str] | None = None) -> Matrix:
    """A confusion matrix, shaded by the share of each true class; of many classes those that are
    confused most often. `words` say a class in a person's language, by its text."""
    shown = _most_confused(confusion)
    labels = [form.word(confusion.labels[i], words or {}) for i in shown]
    counts = [[confusion.counts[row][column] for column in shown] for row in shown]
    lettered, left, size = _layout(labels)
    top = 2.5 * LINE
    height = max(min(size, 40.0), 28.0)
    heads = [LETTERS[i] if lettered else label for i, label in enumerate(labels)]
    sides = [
        f"{LETTERS[i]}: {short(label, SIDE)}" if lettered else label
        for i, label in enumerate(labels)
    ]
    box = Box(left, top, left + size * len(shown), top + height * len(shown))
    cells = [
        Cell(
            x=round(left + size * column, 2),
            y=round(top + height * row, 2),
            text=_count_text(count),
            shade=_shade(count, sum(confusion.counts[true])),
            equal=row == column,
        )
        for row, true in enumerate(shown)
        for column, count in enumerate(counts[row])
    ]
    return Matrix(
        title=title,
        description=_told_confusion(confusion, shown),
        width=box.right + 2,
        height=box.bottom + 2,
        heads=("true", *labels),
        rows=[(label, *map(str, found)) for label, found in zip(labels, counts, strict=True)],
        cells=cells,
        cell=Place(round(size, 2), height),
        row_labels=[Tick(round(top + height * (i + 0.5), 2), side) for i, side in enumerate(sides)],
        column_labels=[
            Tick(round(left + size * (i + 0.5), 2), head) for i, head in enumerate(heads)
        ],
        box=box,
    )


def _layout(labels: Sequence[str]) -> tuple[bool, float, float]:
    """Whether the columns are called by letters, since they are too narrow for their labels; how
    much room is left of them, and how wide they are."""
    longest = max(map(len, labels))
    left = max(longest, len("true")) * CHARACTER + MARGIN
    size = min(72.0, (WIDTH - left - 2) / len(labels))
    if longest * CHARACTER <= size:
        return False, left, size
    left = (min(longest, SIDE) + 3) * CHARACTER + MARGIN
    return True, left, max(34.0, min(72.0, (WIDTH - left - 2) / len(labels)))


def _most_confused(confusion: Confusion) -> list[int]:
    """The places of the classes to show, in their order."""
    counts = confusion.counts
    places = range(len(confusion.labels))
    if len(places) <= MOST_CLASSES:
        return list(places)

    def wrong(place: int) -> int:
        return sum(counts[place]) + sum(row[place] for row in counts) - 2 * counts[place][place]

    return sorted(sorted(places, key=wrong, reverse=True)[:MOST_CLASSES])


def _shade(count: int, total: int) -> int:
    """From 0 for none to 9 for all, and 1 at least for some."""
    if not count:
        return 0
    return max(1, math.floor((SHADES - 1) * count / total + 0.5))


def _told_confusion(confusion: Confusion, shown: Sequence[int]) -> str:
    total = sum(map(sum, confusion.counts))
    right = sum(row[place] for place, row in enumerate(confusion.counts))
    classes = len(confusion.labels)
    told = f"{right} of {total} answers are the true class."
    if len(shown) < classes:
        told += f" Of {classes} classes the {len(shown)} that are confused most often are shown."
    return told
