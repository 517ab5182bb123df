"""A version in a person's words, as a terminal or a notebook shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from .backend import served_here
from .column_facts import JSONLabel
from .columns import Column
from .literals import told_category

if TYPE_CHECKING:
    from .manifest import Manifest, Target

SITE: Final = "http://127.0.0.1:8000"
"""Where `quart-app serve` listens by default."""
CELL_LENGTH: Final = 40
CATEGORIES_SHOWN: Final = 6
COLUMNS_SHOWN: Final = 30
TARGETS_SHOWN: Final = 20
HEAD: Final = ("COLUMN", "TYPE", "VALUES", "TYPICAL", "UNIT", "")


def cell(value: JSONLabel | Sequence[JSONLabel] | None) -> str:
    """A value in a table: numbers shortened, texts on one line and not too long."""
    if value is None:
        return "missing"
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ".join(str(value).split())
    return text if len(text) <= CELL_LENGTH else text[: CELL_LENGTH - 1] + "…"


def values_of(column: Column) -> str:
    """The values of a column in training."""
    if column.categories is not None:
        shown = [cell(told_category(value)) for value in column.categories[:CATEGORIES_SHOWN]]
        more = len(column.categories) - len(shown)
        others = [f"{more} more"] if more else []
        return ", ".join([*shown, *others, *(["others"] if column.open else [])])
    if column.minimum is None:
        return ""
    return f"{cell(column.minimum)} to {cell(column.maximum)}"


def row_of(column: Column) -> tuple[str, ...]:
    """A column as a row below `HEAD`."""
    return (
        cell(column.name),
        column.type,
        values_of(column),
        "" if column.typical is None else cell(column.typical),
        column.unit or "",
        "may be missing" if column.missing else "",
    )


def told_targets(targets: Sequence[Target]) -> str:
    """What is told for each target, as many as there is room for: there may be thousands."""
    more = len(targets) - TARGETS_SHOWN
    told = "; ".join(map(_told_target, targets[:TARGETS_SHOWN]))
    return f"{told}; and {more} more" if more > 0 else told


def _told_target(target: Target) -> str:
    name = target.name or "the prediction"
    if target.classes is None:
        return f"{name}, {'a number' if target.numeric else 'a text'}"
    shown = [cell(told_category(label)) for label in target.classes[:CATEGORIES_SHOWN]]
    more = len(target.classes) - len(shown)
    return f"{name}: {', '.join(shown)}{f' and {more} more' if more else ''}"


def told_scores(metrics: Mapping[str, float]) -> str:
    """Each score with its spread, such as `accuracy 0.953 ± 0.027`."""
    return ", ".join(
        f"{name} {value:.3f}"
        + (f" ± {metrics[f'{name}_std']:.3f}" if f"{name}_std" in metrics else "")
        for name, value in metrics.items()
        if not name.endswith("_std")
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table; none without rows."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]


def warnings_of(found: Manifest) -> Iterator[str]:
    """What a server needs or does otherwise than the notebook, as sentences."""
    if found.runs_code:
        yield found.reading
    if found.variation is not None:
        yield found.variation
    served = served_here(found.served)
    if served.by == "pipeline" and found.variation is None:
        yield (
            "The pipeline itself answers, which is slower than plain data and needs scikit-learn "
            f"{found.libraries.scikit_learn} where it is served: {served.reason}."
        )
    if served.by != "plain" and found.signature.container in {"frame", "series"}:
        yield "It was fitted on pandas; the server needs it: pip install 'quart-app[pandas]'."
    if served.by == "onnx":
        yield "The server needs onnxruntime: pip install 'quart-app[onnx]'."


def as_text(found: Manifest) -> str:
    """What was published, in lines."""
    rows = [row_of(column) for column in found.signature.columns[:COLUMNS_SHOWN]]
    lines = [_title(found), *(f"{name}: {text}" for name, text in _facts(found)), ""]
    lines += [*table(HEAD, rows), *_further(found)]
    lines += [f"Warning: {sentence}" for sentence in warnings_of(found)]
    return "\n".join([*lines, f"Its page, once quart-app serve runs: {page_of(found)}"])


def as_html(found: Manifest) -> str:
    """The same for a notebook. Whatever was given from outside is escaped."""
    facts = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(text)}</td></tr>"
        for name, text in _facts(found)
    )
    head = "".join(f"<th>{escape(name.lower())}</th>" for name in HEAD)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row_of(column))}</tr>"
        for column in found.signature.columns[:COLUMNS_SHOWN]
    )
    further = "".join(f"<p>{escape(text)}</p>" for text in _further(found))
    warnings = "".join(
        f"<p><strong>Warning:</strong> {escape(sentence)}</p>" for sentence in warnings_of(found)
    )
    page = escape(page_of(found))
    return (
        f"<div><p><strong>{escape(_title(found))}</strong></p><table>{facts}</table>"
        f"<table><tr>{head}</tr>{rows}</table>{further}{warnings}"
        f"<p>Its page, once <code>quart-app serve</code> runs: <a href='{page}'>{page}</a></p>"
        "</div>"
    )


def page_of(found: Manifest) -> str:
    """The address of its page where `quart-app serve` runs as it does by default."""
    return f"{SITE}/models/{quote(found.name)}"


def _title(found: Manifest) -> str:
    title = "" if found.title is None else f": {cell(found.title)}"
    return f"{found.name} version {found.version}{title}"


def _facts(found: Manifest) -> Iterator[tuple[str, str]]:
    yield "Pipeline", found.estimator
    yield "Tells", told_targets(found.targets)
    if found.metrics:
        how = "" if found.validation is None else f" ({found.validation})"
        yield "Scores", f"{told_scores(found.metrics)}{how}"
    yield "Answered by", served_here(found.served).sentence
    if found.notice is not None:
        yield "Notice", found.notice


def _further(found: Manifest) -> list[str]:
    more = len(found.signature.columns) - COLUMNS_SHOWN
    return [f"and {more} more columns"] if more > 0 else []
