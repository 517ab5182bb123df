"""The door of gRPC beside a bare echo of grpc.aio and beside own JSON, in the same rounds.

python -m bench.grpc_door

Prints the microseconds of the server's CPU for one row at 32 in flight, the milliseconds of 100,000
rows of four doubles, and what gRPC and JSON leave each other when both are loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from grpc import aio

from model_store import ModelStore
from model_store.text_rules import TENSOR
from quart_app.protocols import v2_grpc

from .workloads import publish

IN_FLIGHT: Final = 32
ROWS: Final = 100_000
ROUNDS: Final = 5
SECONDS: Final = 2.0
PATH: Final = "/inference.GRPCInferenceService/ModelInfer"
TICKS: Final = os.sysconf("SC_CLK_TCK")

Ask = Callable[[], Awaitable[Any]]


class Server:
    """A process that listens for gRPC, and perhaps for HTTP."""

    def __init__(self, arguments: list[str], settings: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.address = ""
        while not self.address:
            line = self.process.stdout.readline()
            if found := re.search(r"http://\S+", line):
                self.url = found[0]
            if line.startswith("gRPC on "):
                self.address = line.split()[-1]

    @property
    def cpu(self) -> float:
        """The seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def message(rows: np.ndarray[Any, Any]) -> bytes:
    inputs = [{"name": "rows", "datatype": "FP64", "shape": rows.shape}]
    request = v2_grpc.REQUEST(
        model_name="logistic", inputs=inputs, raw_input_contents=[rows.tobytes()]
    )
    return bytes(request.SerializeToString())


async def loaded(server: Server, ask: Ask, seconds: float = SECONDS) -> tuple[float, float]:
    """Requests a second and microseconds of CPU for each, with 32 in flight."""
    end, count = time.perf_counter() + seconds, 0

    async def repeat() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await ask()
            count += 1

    begun, cpu = time.perf_counter(), server.cpu
    await asyncio.gather(*(repeat() for _ in range(IN_FLIGHT)))
    return count / (time.perf_counter() - begun), (server.cpu - cpu) / count * 1e6


async def took(ask: Ask) -> float:
    """The milliseconds of one request."""
    begun = time.perf_counter()
    await ask()
    return (time.perf_counter() - begun) * 1e3


async def measure(ours: Server, echo: Server, folder: Path) -> dict[str, float]:
    store = ModelStore(folder)
    model = store.load(store.verify("logistic"))
    names = list(model.manifest.signature.names)
    rows = np.random.default_rng(0).normal(size=(ROWS, len(names)))
    one, many = message(rows[:1]), message(rows)
    body = json.dumps(dict(zip(names, rows[0].tolist(), strict=True))).encode()
    unlimited = [("grpc.max_receive_message_length", -1)]
    found: dict[str, list[float]] = {}
    async with (
        httpx.AsyncClient(base_url=ours.url, limits=httpx.Limits(max_connections=64)) as http,
        aio.insecure_channel(ours.address, options=unlimited) as channel,
        aio.insecure_channel(echo.address, options=unlimited) as bare,
    ):
        infer, repeat = channel.unary_unary(PATH), bare.unary_unary(PATH)

        async def by_json() -> None:
            (await http.post("/models/logistic/predict", content=body)).raise_for_status()

        for number in range(ROUNDS + 1):
            rate, cpu = await loaded(ours, lambda: infer(one))
            echo_rate, echo_cpu = await loaded(echo, lambda: repeat(one))
            json_rate, json_cpu = await loaded(ours, by_json)
            both = await asyncio.gather(loaded(ours, lambda: infer(one)), loaded(ours, by_json))
            begun = time.perf_counter()
            model.answer(dict(zip(names, rows.T, strict=True)), len(rows), TENSOR)
            answer = (time.perf_counter() - begun) * 1e3
            large, echo_large = await took(lambda: infer(many)), await took(lambda: repeat(many))
            if number == 0:  # to warm up
                continue
            for key, value in {
                "gRPC, requests/s": rate,
                "gRPC, CPU µs": cpu,
                "echo, requests/s": echo_rate,
                "echo, CPU µs": echo_cpu,
                "own JSON, CPU µs": json_cpu,
                "rate of gRPC to the echo": rate / echo_rate,
                "CPU of the echo to gRPC": echo_cpu / cpu,
                "CPU of own JSON to gRPC": json_cpu / cpu,
                "100,000 rows, ms": large,
                "100,000 rows, echo, ms": echo_large,
                "100,000 rows, Model.answer, ms": answer,
                "100,000 rows, of echo + 1.5 Model.answer": large / (echo_large + 1.5 * answer),
                "gRPC beside JSON, of alone": both[0][0] / rate,
                "JSON beside gRPC, of alone": both[1][0] / json_rate,
            }.items():
                found.setdefault(key, []).append(value)
    return {key: statistics.median(values) for key, values in found.items()}


@contextlib.contextmanager
def running(arguments: list[str], settings: dict[str, str]) -> Iterator[Server]:
    server = Server(arguments, settings)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = publish("logistic", Path(folder)).store
        settings = {
            "QUART_APP_MODEL_STORE": str(store),
            "QUART_APP_RECIPES": "",
            "QUART_APP_GRPC_PORT": "0",
            "QUART_APP_SERVER": "uvicorn",
            "QUART_APP_ACCESS_LOG": "false",
            "QUART_APP_KEEP_ALIVE": "300",
            "PORT": "0",
            "HOST": "127.0.0.1",
        }
        with (
            running(["quart_app", "serve"], settings) as ours,
            running(["bench.grpc_echo"], {}) as echo,
        ):
            while httpx.get(f"{ours.url}/health/ready").status_code != 200:
                time.sleep(0.1)
            for key, value in asyncio.run(measure(ours, echo, store)).items():
                print(f"{key:45} {value:10,.2f}")


if __name__ == "__main__":
    main()
