"""The document that shows the figures: output, so that nothing in it is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Row = dict[str, Any]

TITLES = {
    "logistic": "Logistic regression behind a scaler, iris",
    "forest": "Random forest of 100 trees, iris",
    "boosting": "Gradient boosting of 100 rounds, iris",
    "titanic": "Titanic: imputers, scaler, one-hot encoder, logistic regression",
}
FLASK, FASTAPI = "Flask, gunicorn", "FastAPI, uvicorn"

INTRODUCTION = """# Performance

Made by `python -m bench`; see [bench/README.md](../bench/README.md) for how to repeat it.

Every server runs on one core, the load on another, over the loopback. The request is one row as
JSON. Answers are checked before and after each load, and within it the status. *Bare ASGI* is an
app that parses the body and sends it back: the ceiling of what the HTTP server allows. Absolute
figures are those of one machine on one day; what carries over are ratios within one table.
"""


def document(result: Row) -> str:
    """The whole of it, from what was measured."""
    blocks = [INTRODUCTION]
    if "beside" in result:
        blocks += _beside(result["beside"])
    if "protocols" in result:
        blocks += _protocols(result["protocols"])
    if "steps" in result:
        blocks += _steps(result["steps"])
    if "growth" in result:
        blocks += _growth(result["growth"])
    return "\n".join(blocks)


def _beside(part: Row) -> Iterator[str]:
    rows = part["rows"]
    yield "## Beside peers and bare servers\n"
    peers = "".join(f" {name} has {versions}." for name, versions in part["peers"].items())
    yield (
        f"{_machine(part['on'])} Medians of {part['rounds']} interleaved rounds, "
        f"{part['seconds']:g} s a load by {part['on']['generator']}.{peers}\n"
    )
    yield (
        "In brackets the slowest and the fastest round; where these lie far apart, other programs "
        "took the cores, and ratios say little. *of bare*: requests/s against the bare app on the "
        "same HTTP server. *of peer*: against the best peer in the table. Latencies "
        "are in ms. *Cold* is the time from exec to the "
        "first right answer, *memory* the PSS of all processes after a warm-up, both also against "
        "Flask. *CPU* is that of the server for one request at 32 connections.\n"
    )
    yield _headline(rows)
    for model in dict.fromkeys(row["model"] for row in rows):
        yield f"### {TITLES.get(model, model)}\n"
        yield _model_table([row for row in rows if row["model"] == model])
    if bad := sum(row["bad_32"] + row["bad_1"] for row in rows):
        yield f"**{bad} requests failed.**\n"


def _headline(rows: Sequence[Row]) -> str:
    """Uvicorn against Hypercorn, in one sentence."""
    ratios = []
    for model in dict.fromkeys(row["model"] for row in rows):
        ours = {row["name"]: row["rate_32"] for row in rows if row["model"] == model}
        if "quart-app, uvicorn" in ours:
            ratio = ours["quart-app, uvicorn"] / ours["quart-app, hypercorn"]
            ratios.append(f"{ratio:.1f} ({model})")
    if not ratios:
        return ""
    return f"Requests/s on Uvicorn against Hypercorn: {', '.join(ratios)}.\n"


def _model_table(rows: Sequence[Row]) -> str:
    by_name = {row["name"]: row for row in rows}
    best = max((row["rate_32"] for row in rows if row["kind"] == "peer"), default=None)
    flask, fastapi = by_name.get(FLASK, {}), by_name.get(FASTAPI, {})

    def line(row: Row) -> list[str]:
        ceiling = by_name.get(row["name"].replace("quart-app", "bare ASGI"), {})
        is_ours = row["kind"] == "ours"
        return [
            row["name"],
            f"{row['rate_32']:,.0f}{_range(row.get('rates', ()))}",
            _ratio(row["rate_32"], ceiling.get("rate_32") if is_ours else None),
            _ratio(row["rate_32"], best if is_ours else None),
            f"{row['p50_32']:.2f} / {row['p99_32']:.2f}",
            _ratio(row["p99_32"], row["p50_32"]),
            f"{row['rate_1']:,.0f}",
            f"{row['p50_1']:.2f} / {row['p99_1']:.2f}",
            _ratio(row["p50_1"], fastapi.get("p50_1")),
            f"{row['cold']:.2f} s{_beside_flask(row, flask, 'cold')}",
            f"{row['memory']:.0f} MiB{_beside_flask(row, flask, 'memory')}",
            f"{row['cpu_32']:.0f} µs",
            f"{row['batch']:.0f}" if "batch" in row else "",
        ]

    head = ["server", "requests/s, 32", "of bare", "of peer", "p50 / p99, 32", "p99/p50"]
    head += ["requests/s, 1", "p50 / p99, 1", "p50 of FastAPI's", "cold", "memory", "CPU"]
    return _table([*head, "10,000 rows, ms"], map(line, rows))


def _range(rates: Sequence[float]) -> str:
    """From the slowest to the fastest round: wide where the machine did other things too."""
    return f" ({min(rates):,.0f} to {max(rates):,.0f})" if len(rates) > 1 else ""


def _beside_flask(row: Row, flask: Row, key: str) -> str:
    if row["kind"] != "ours" or key not in flask:
        return ""
    return f" ({row[key] / flask[key]:.2f} of Flask's)"


def _ratio(value: float, base: float | None) -> str:
    return f"{value / base:.2f}" if base else ""


def _protocols(part: Row) -> Iterator[str]:
    yield "## The protocols\n"
    yield (
        f"{_machine(part['on'])} Microseconds of the server's CPU for one row of the logistic "
        f"regression at 32 connections. Medians of {part['rounds']} rounds, {part['seconds']:g} s "
        f"a load by {part['on']['generator']}. All protocols are measured in each round on one "
        "running server. *Of own JSON* is against own JSON in the same round.\n"
    )
    yield _table(
        ["server", "protocol", "CPU, µs", "of own JSON"],
        (
            [row["server"], row["protocol"], f"{row['cpu']:.0f}", f"{row['ratio']:.2f}"]
            for row in part["rows"]
        ),
    )


def _steps(part: Row) -> Iterator[str]:
    yield "## The steps of a request\n"
    yield (
        f"{_machine(part['on'])} Microseconds of each step for one row, in one process without a "
        "network. *hop* is the way to a thread and back through an empty batcher, *infer* all from "
        "the validation to the answer, in which *predict* counts with its probabilities. "
        "*pipeline* is what scikit-learn's own `predict` and `predict_proba` take for the same.\n"
    )
    steps = ["decode", "validate", "hop", "predict", "encode", "infer", "pipeline"]
    yield _table(
        ["model", "answered by", *steps],
        (
            [row["model"], row["by"], *(f"{row[step]:,.1f}" for step in steps)]
            for row in part["rows"]
        ),
    )


GROWING = {
    "ready": ("ready after, s", ".2f"),
    "memory": ("memory, MiB", ".0f"),
    "rate_32": ("requests/s, 32", ",.0f"),
    "p50_1": ("p50, 1, ms", ".2f"),
    "form": ("form, ms", ".1f"),
    "result": ("result, ms", ".1f"),
    "openapi": ("OpenAPI, ms", ".1f"),
}


def _growth(part: Row) -> Iterator[str]:
    yield "## Growth\n"
    yield (
        f"{_machine(part['on'])} Logistic regression on Hypercorn. *Form* and *result* are those "
        "pages of one model, the latter with what would happen if a column were another; *OpenAPI* "
        "is the document of all models.\n"
    )
    for what in ("models", "columns"):
        yield _grown(what, [row for row in part["rows"] if row["more"] == what])
    yield _table(
        ["models", "columns", *(title for title, _ in GROWING.values())],
        (
            [f"{row['models']}", f"{row['columns']}"]
            + [format(row[key], form) for key, (_, form) in GROWING.items()]
            for row in part["rows"]
        ),
    )


def _grown(what: str, rows: Sequence[Row]) -> str:
    """How much more the most takes than the least, in one sentence."""
    least, most = rows[0], rows[-1]
    times = {key: f"{most[key] / least[key]:.2f}" for key in GROWING}
    return (
        f"{most[what] / least[what]:.0f} times the {what} take {times['memory']} times the memory, "
        f"are ready after {times['ready']} times the time, and answer after {times['p50_1']} times "
        f"the time; the form takes {times['form']} times as long, the result {times['result']} and "
        f"the OpenAPI document {times['openapi']}.\n"
    )


def _machine(on: Row) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in on["versions"].items())
    return (
        f"{on['date']}, {on['processor']}, {on['cores']} cores (load average {on['load']} at the "
        f"end), {on['system']}, CPython {on['python']}, {versions}."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    lines.insert(1, "| --- |" + " ---: |" * (len(head) - 1))
    return "\n".join(lines) + "\n"
