"""The charts: round ticks, marks where the numbers belong, and markup that holds any text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jinja2 import Environment, FileSystemLoader

from model_store import Column, ModelStore
from model_store.manifest import Confusion, Evaluation, Target
from quart_app.about.charts import (
    MOST_BARS,
    MOST_CLASSES,
    SHADES,
    Bars,
    Chart,
    Curve,
    bars,
    curve,
    effects,
    matrix,
    scatter,
    ticks,
)
from quart_app.about.what_if import Effect, TargetEffects

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title><script>window.ran = 1</script> \"q\" & 'q'"


def drawn(kind: str, chart: Chart) -> ElementTree.Element:
    """The markup of a chart and of its table, parsed; whatever is not well-formed is an error."""
    environment = Environment(loader=FileSystemLoader(ROOT / "templates"), autoescape=True)
    module: Any = environment.get_template("charts.html").module
    text = f"{getattr(module, kind)(chart, 'c1')}{module.values(chart)}"
    return ElementTree.fromstring(f"<body>{text}</body>")


def texts(element: ElementTree.Element, tag: str) -> list[str]:
    return [found.text or "" for found in element.iter(tag)]


# Ticks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 1, 3, [0, 0.5, 1]),
        (0, 10, 5, [0, 5, 10]),
        (4.3, 7.9, 4, [5, 6, 7]),
        (0.1, 2.5, 5, [0.5, 1, 1.5, 2, 2.5]),
        (25, 346, 5, [100, 200, 300]),
        (-3, 3, 5, [-2, 0, 2]),
        (0, 7e6, 4, [0, 2e6, 4e6, 6e6]),
        (1e-9, 4e-9, 4, [1e-9, 2e-9, 3e-9, 4e-9]),
        (5, 5, 5, [5]),
        (-1.5e308, 1.5e308, 5, [-1.5e308, 1.5e308]),
        (0, 5e-324, 5, [0, 5e-324]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, expected: list[float]) -> None:
    assert ticks(low, high, most) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("most", [2, 3, 4, 5])
@pytest.mark.parametrize("exponent", [-12, -3, 0, 1, 12])
def test_ticks_lie_within_the_range_at_even_distances(exponent: int, most: int) -> None:
    for low, span in product((-7.3, -1.0, 0.0, 0.4, 99.5), (0.11, 1.0, 2.49, 6.1, 9.99)):
        begin, end = low * 10.0**exponent, (low + span) * 10.0**exponent
        found = ticks(begin, end, most)
        assert 2 <= len(found) <= most
        tolerance = 1e-6 * (end - begin)
        assert begin - tolerance <= found[0]
        assert found[-1] <= end + tolerance
        distances = [after - before for before, after in pairwise(found)]
        assert max(distances) - min(distances) <= tolerance
        if found != [begin, end]:
            mantissa = distances[0] / 10 ** math.floor(math.log10(distances[0]) + 1e-6)
            assert min(abs(mantissa - each) for each in (1, 2, 5)) < 1e-4


# Curves and bars -----------------------------------------------------------------


def test_a_curve_places_its_points_and_marks_the_entered_one() -> None:
    found = curve([0, 5, 10], [20.0, 40.0, 30.0], 1, title="age")
    left, top, right, bottom = found.box
    assert found.points == [(left, bottom), ((left + right) / 2, top), (right, (top + bottom) / 2)]
    assert found.mark == found.points[1]
    assert [tick.text for tick in found.y_ticks] == ["20", "30", "40"]
    assert found.description == (
        "20 at 0, 30 at 10; between them from 20 to 40. Entered: 5, which gives 40."
    )
    assert found.rows == [("0", "20"), ("5", "40"), ("10", "30")]


def test_a_curve_of_probabilities_stands_between_0_and_1() -> None:
    found = curve([1, 2], [0.25, 0.5], None, title="age", shares=True)
    assert [tick.text for tick in found.y_ticks] == ["0 %", "50 %", "100 %"]
    assert (found.y_ticks[0].place, found.y_ticks[-1].place) == (found.box.bottom, found.box.top)
    assert found.points[1].y == found.y_ticks[1].place
    assert found.mark is None
    assert len(list(drawn("curve", found).iter("circle"))) == 0


@pytest.mark.parametrize(
    ("xs", "ys"),
    [
        ([0, 1], [5, 5]),
        ([-1.5e308, 0, 1.5e308], [1e-9, 2e-9, 1e-9]),
        ([3], [7]),
        ([0, 1], [0, 1e308]),
    ],
)
def test_extreme_values_stay_within_the_chart(xs: Sequence[float], ys: Sequence[float]) -> None:
    found = curve(xs, ys, 0, title="odd")
    for x, y in found.points:
        assert found.box.left <= x <= found.box.right
        assert found.box.top <= y <= found.box.bottom
    drawn("curve", found)


def test_bars_begin_at_zero_and_share_a_scale() -> None:
    found = bars(["a", "b"], [-10.0, 30.0], 1, title="port")
    minus, plus = found.bars
    assert (minus.left, minus.length, plus.left, plus.length) == (0, 80, 80, 240)
    assert found.zero == 80
    assert [bar.chosen for bar in found.bars] == [False, True]
    assert found.description == "a: -10; b: 30."


def test_a_bar_of_a_probability_is_as_long_as_it_is_likely() -> None:
    found = bars([True, False], [0.25, 0.752], 0, title="alone", shares=True)
    assert [bar.length for bar in found.bars] == [80, 240.64]
    assert [bar.text for bar in found.bars] == ["25.0 %", "75.2 %"]


def test_of_many_bars_the_chosen_one_is_shown() -> None:
    found = bars(list(range(50)), [0.5] * 50, 49, title="many", shares=True)
    assert len(found.bars) == MOST_BARS
    assert found.bars[-1].chosen
    assert found.description.endswith(f"{MOST_BARS} of 50 are shown.")


def test_the_effects_on_a_target_are_drawn_on_one_scale() -> None:
    age = Column(name="age", type="integer", label="Age", unit="years")
    found = effects(
        TargetEffects(
            Target(name="price"),
            3.0,
            [
                Effect(age, [1, 2], [3.0, 9.0], [3.0, 9.0], 0),
                Effect(Column(name="new", type="boolean"), [False, True], [3.0, 5.0], [], 0),
            ],
        )
    )
    line, truths = found
    assert isinstance(line, Curve)
    assert isinstance(truths, Bars)
    assert (line.title, truths.title) == ("Age (years)", "new")
    assert [(bar.label, bar.length) for bar in truths.bars] == [("no", 106.67), ("yes", 177.78)]


def test_of_classes_without_probabilities_nothing_is_drawn() -> None:
    column = Column(name="x", type="number")
    effect = Effect(column, [0.0, 1.0], None, ["low", "up"], 0)
    assert effects(TargetEffects(Target(classes=["low", "up"]), "low", [effect])) == []


# Answers beside the truth --------------------------------------------------------


def test_a_matrix_counts_by_row_and_column_and_shades_by_the_share_of_the_row() -> None:
    found = matrix(
        Confusion(labels=[0, 1], counts=[[90, 10], [1, 0]]),
        title="exam",
        words={"0": "failed", "1": "passed"},
    )
    assert [(cell.text, cell.shade, cell.equal) for cell in found.cells] == [
        ("90", 8, True),
        ("10", 1, False),
        ("1", 9, False),
        ("0", 0, True),
    ]
    assert [label.text for label in found.column_labels] == ["failed", "passed"]
    assert found.rows == [("failed", "90", "10"), ("passed", "1", "0")]
    assert found.description == "90 of 101 answers are the true class."
    first, second, third, _ = found.cells
    assert (first.y, first.x) == (second.y, third.x)
    assert first.x < second.x
    assert first.y < third.y


def test_of_many_classes_the_most_confused_are_shown() -> None:
    count = MOST_CLASSES + 8
    counts = [[100 * (i == j) for j in range(count)] for i in range(count)]
    counts[15][19] = 30
    found = matrix(Confusion(labels=list(range(count)), counts=counts), title="many")
    shown = [row[0] for row in found.rows]
    assert len(shown) == MOST_CLASSES
    assert {"15", "19"} <= set(shown)
    assert shown == sorted(shown, key=int)
    assert "Of 20 classes the 12 that are confused most often" in found.description
    assert "2000 of 2030" in found.description


def test_long_labels_are_called_by_letters_and_stand_whole_in_the_table() -> None:
    labels: list[Any] = ["a very long label that goes on", HOSTILE, "☃"]
    found = matrix(Confusion(labels=labels, counts=[[1, 0, 2]] * 3), title=HOSTILE)
    assert [label.text for label in found.column_labels] == ["A", "B", "C"]
    assert [label.text for label in found.row_labels] == [
        "A: a very long lab…",
        "B: </title><script…",
        "C: ☃",
    ]
    assert [row[0] for row in found.rows] == labels
    page = drawn("matrix", found)
    assert texts(page, "title") == [HOSTILE]
    assert HOSTILE in texts(page, "th")
    assert not list(page.iter("script"))


@pytest.mark.parametrize(
    ("count", "text"),
    [(9999, "9999"), (10_000, "10k"), (999_999, "999k"), (12_345_678, "12M")],
)
def test_a_large_count_is_shortened_in_its_cell_alone(count: int, text: str) -> None:
    found = matrix(Confusion(labels=["a"], counts=[[count]]), title="large")
    assert (found.cells[0].text, found.rows[0][1]) == (text, str(count))


def test_a_scatter_puts_equal_truth_and_answer_on_the_diagonal() -> None:
    points = [(0.0, 0.0), (10.0, 10.0), (4.0, 8.0)]
    found = scatter(Evaluation(rows=7, points=points), title="growth", unit="cm")
    assert found is not None
    left, top, right, bottom = found.box
    assert right - left == pytest.approx(bottom - top)
    assert found.points[:2] == [(left, bottom), (right, top)]
    x, y = found.points[2]
    assert (x - left) / (right - left) == pytest.approx(0.4, abs=1e-3)
    assert (bottom - y) / (bottom - top) == pytest.approx(0.8, abs=1e-3)
    assert (found.x_label, found.y_label) == ("true (cm)", "predicted (cm)")
    assert found.description == (
        "3 of 7 rows, the prediction over the truth. Half of them are off by at most 0 cm, nine of "
        "ten by at most 4 cm; 1 predictions are too high."
    )


def test_without_points_there_is_no_scatter() -> None:
    assert scatter(Evaluation(rows=7), title="none") is None


def test_the_bundled_models_are_drawn(bundled: ModelStore) -> None:
    for name in bundled.models():
        (evaluation,) = bundled.manifest(name).evaluations
        if evaluation.confusion is not None:
            page = drawn("matrix", matrix(evaluation.confusion, title=name))
            counts = [each for row in evaluation.confusion.counts for each in row]
            cells = [e.text for e in page.iter("text") if "chart-count" in e.get("class", "")]
            assert cells == list(map(str, counts))
        else:
            chart = scatter(evaluation, title=name)
            assert chart is not None
            page = drawn("scatter", chart)
            assert len(list(page.iter("circle"))) == len(evaluation.points or ())


# The markup ----------------------------------------------------------------------

CHARTS = {
    "curve": curve([0, 1, 2], [0.1, 0.5, 0.9], 1, title=HOSTILE, shares=True),
    "bars": bars([HOSTILE, "b"], [1.0, -2.0], 0, title=HOSTILE),
    "scatter": scatter(Evaluation(rows=2, points=[(1, 2), (3, 1)]), title=HOSTILE, unit=HOSTILE),
    "matrix": matrix(
        Confusion(labels=[HOSTILE, *map(str, range(11))], counts=[[3] * 12] * 12), title=HOSTILE
    ),
}


@pytest.mark.parametrize("kind", CHARTS)
def test_each_chart_is_an_image_with_a_name_and_a_description(kind: str) -> None:
    chart = CHARTS[kind]
    assert chart is not None
    page = drawn(kind, chart)
    (svg,) = page.iter("svg")
    assert svg.get("role") == "img"
    names = {found.get("id"): found.text for found in svg if found.tag in ("title", "desc")}
    assert (svg.get("aria-labelledby") or "").split() == list(names)
    assert list(names.values()) == [chart.title, chart.description]


@pytest.mark.parametrize("kind", CHARTS)
def test_the_markup_has_neither_style_nor_script_and_stays_within_its_box(kind: str) -> None:
    chart = CHARTS[kind]
    assert chart is not None
    page = drawn(kind, chart)
    for element in page.iter():
        assert element.tag not in ("script", "style", "image", "a")
        assert not {key for key in element.attrib if key == "style" or key.startswith("on")}
    (svg,) = page.iter("svg")
    for element in svg.iter():
        for key, limit in (("x", chart.width), ("y", chart.height), ("cx", chart.width)):
            assert -0.01 <= float(element.get(key, 0)) <= limit
    assert all(float(found.get("width", 0)) >= 0 for found in svg.iter("rect"))


def test_the_stylesheet_knows_each_class_of_the_charts() -> None:
    style = (ROOT / "quart_app/static/css/style.css").read_text()
    known = set(re.findall(r"\.(chart[a-z0-9-]*)", style))
    used: set[str] = set()
    for kind, chart in CHARTS.items():
        assert chart is not None
        for element in drawn(kind, chart).iter():
            used |= set((element.get("class") or "").split())
    named = {"chart-curve", "chart-bars", "chart-scatter", "chart-matrix"}
    numbered = {f"chart-on-{i}" for i in range(8)}  # those of light shades are as all
    assert used - known - named - numbered == set()
    assert {f"chart-shade-{i}" for i in range(SHADES)} <= known
    assert {"chart-wide", "chart-bar-chosen", "chart-mark", "chart-values"} <= used
