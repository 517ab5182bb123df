"""What other doors cost beside the usual one: MCP beside the own JSON, JSON Lines beside CSV.

The microseconds of CPU that the server takes for a request of one row, by the fast path's own JSON
and by a call of a tool in both eras; and the rows per second of CPU of a long table.

    python -m bench.doors --store models iris titanic
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model_store import ModelStore
from quart_app.mcp.revisions import CAPABILITIES_KEY, MODERN, VERSION_KEY

from .csv_rows import Server, blocks

TICKS = os.sysconf("SC_CLK_TCK")


def cpu(server: Server) -> float:
    """Seconds of CPU that the server has used."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def http(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A request as bytes."""
    head = {"Host": "127.0.0.1", "Content-Type": "application/json"} | dict(headers)
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def requests(name: str, row: Mapping[str, Any]) -> dict[str, bytes]:
    """One row by each door."""
    params: dict[str, Any] = {"name": name, "arguments": {"rows": [row]}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    meta = {VERSION_KEY: MODERN[0], CAPABILITIES_KEY: {}}
    modern = call | {"params": params | {"_meta": meta}}
    accept = {"Accept": "application/json, text/event-stream"}
    head = {"MCP-Protocol-Version": MODERN[0], "Mcp-Method": "tools/call", "Mcp-Name": name}
    return {
        "own JSON": http(f"/models/{name}/predict", json.dumps([row]).encode(), {}),
        "MCP, opened": http("/mcp", json.dumps(call).encode(), accept),
        "MCP, discovered": http("/mcp", json.dumps(modern).encode(), accept | head),
    }


async def ask(port: int, request: bytes, count: int) -> None:
    """The same request over and over on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert b'"iserror":true' not in (await reader.readexactly(length)).lower()
    writer.close()


async def asked(port: int, request: bytes, count: int, connections: int) -> None:
    await asyncio.gather(*(ask(port, request, count) for _ in range(connections)))


def calls(server: Server, name: str, row: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Print what a row costs by each door, one after the other in each round."""
    took: dict[str, list[float]] = {}
    for door, request in requests(name, row).items():  # once, so that all is warm
        asyncio.run(asked(server.port, request, 200, 4))
        took[door] = []
    for _ in range(options.rounds):
        for door, request in requests(name, row).items():
            before = cpu(server)
            asyncio.run(asked(server.port, request, options.count, options.connections))
            used = cpu(server) - before
            took[door].append(used / options.count / options.connections * 1e6)
    own = statistics.median(took["own JSON"])
    for door, found in took.items():
        cost = statistics.median(found)
        print(f"  {door:16} {cost:6.0f} us of CPU   rate of own JSON's {own / cost:.2f}")


def send(server: Server, name: str, kind: str, path: Path) -> None:
    connection = server.connect()
    headers = {"Content-Type": kind, "Content-Length": str(path.stat().st_size)}
    connection.request("POST", f"/models/{name}/predict", blocks(path), headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    while response.read(1024 * 1024):
        pass
    connection.close()


def tables(server: Server, name: str, rows: list[Any], options: argparse.Namespace) -> None:
    """Print how many rows of a long table are answered in a second of CPU, by each format."""
    with tempfile.TemporaryDirectory() as folder:
        table, lines = Path(folder, "rows.csv"), Path(folder, "rows.jsonl")
        cells = [["" if value is None else str(value) for value in row.values()] for row in rows]
        written = [",".join(rows[0]), *(",".join(row) for row in cells)]
        table.write_text("\n".join(written))
        lines.write_text("\n".join(map(json.dumps, rows)))
        found: dict[str, list[float]] = {"text/csv": [], "application/jsonl": []}
        for _ in range(options.rounds):
            for (kind, rates), path in zip(found.items(), (table, lines), strict=True):
                before = cpu(server)
                send(server, name, kind, path)
                rates.append(len(rows) / (cpu(server) - before))
    csv = statistics.median(found["text/csv"])
    for kind, rates in found.items():
        rate = statistics.median(rates)
        print(f"  {kind:18} {rate:8.0f} rows a second of CPU   of CSV's {rate / csv:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What other doors cost.")
    parser.add_argument("models", nargs="*", default=["iris"])
    parser.add_argument("--store", type=Path, default=Path("instance/models"))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    store = ModelStore(options.store)
    server = Server(options.store)
    try:
        for name in options.models:
            print(name)
            sample = store.load(store.verify(name)).sample.rows
            calls(server, name, sample[0], options)
            rows = (sample * (options.rows // len(sample) + 1))[: options.rows]
            tables(server, name, rows, options)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
