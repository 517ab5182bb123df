"""Broken messages to a server of gRPC: each is answered or refused by the documented codes.

python -m tests.fuzz_grpc SECONDS

Prints what came of them. Ends with 1 where a call ended in a code that stands for a defect, where
the server has ended, or where its memory has grown by more than `MEMORY`.
"""

from __future__ import annotations

import os
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np

from model_store import ModelStore
from model_store.recipes import RECIPES
from quart_app import protobuf
from quart_app.protocols import v2_grpc

from .conftest import Server, serving

SERVICE: Final = "/inference.GRPCInferenceService/"
ELSEWHERE: Final = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
)
"""Methods of other services that take a message and answer with one."""
PATIENCE: Final = 300
"""Seconds for a call: others may need the machine, and only what hangs is a fault."""
MEMORY: Final = 256 * 1024 * 1024
EXPECTED: Final = frozenset(
    {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED"}
)
OTHERS: Final = (
    *(f"{SERVICE}Model{name}" for name in ("Ready", "Metadata", "Config", "Statistics")),
    *(f"{SERVICE}Repository{name}" for name in ("Index", "ModelLoad", "ModelUnload")),
    f"{SERVICE}ServerLive",
    *ELSEWHERE,
)
SIZES: Final = (0, 1, 2, 127, 128, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
"""Lengths and numbers at which something changes."""


def seeds() -> list[bytes]:
    """Whole messages, raw and typed, of numbers and of texts."""
    rows = np.array([[6.3, 3.3, 6.0, 2.5]] * 3)
    shape = {"name": "x", "shape": [3, 4]}
    text = struct.pack("<I", 3) + b"6.3"
    requests: list[dict[str, Any]] = [
        {
            "inputs": [{**shape, "datatype": "FP64"}],
            "raw_input_contents": [rows.tobytes()],
            "outputs": [{"name": "predict"}],
        },
        {
            "inputs": [
                {**shape, "datatype": "FP64", "contents": {"fp64_contents": rows.ravel().tolist()}}
            ],
            "parameters": {"priority": {"uint64_param": 1}},
        },
        {"inputs": [{**shape, "datatype": "BYTES"}], "raw_input_contents": [text * 12]},
        {
            "inputs": [{**shape, "datatype": "BYTES", "contents": {"bytes_contents": [b"1"] * 12}}],
            "id": "7",
        },
    ]
    kind = v2_grpc.REQUEST
    return [bytes(kind(model_name="iris", **each).SerializeToString()) for each in requests]


def mutated(draw: random.Random, message: bytes) -> bytes:
    """The message with a few bytes changed, dropped, repeated or put in."""
    found = bytearray(message)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(found) + 1)
        match draw.randrange(6):
            case 0 if at < len(found):
                found[at] = draw.randrange(256)
            case 1:
                del found[at : at + draw.randint(1, 16)]
            case 2:
                found[at:at] = draw.randbytes(draw.randint(1, 16))
            case 3:
                part = found[at : at + draw.randint(1, 16)]
                found[at:at] = part * draw.choice([2, 30, 3_000])
            case 4:
                found[at:at] = varint(draw.choice(SIZES))
            case _:
                found += draw.choice(seeds())
    return bytes(found)


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def calls(draw: random.Random, channel: grpc.Channel) -> Iterator[str]:
    """The codes of calls without end. One that is not expected is printed with what was sent."""
    whole = seeds()
    while True:
        messages = [mutated(draw, draw.choice(whole)) for _ in range(20)]
        for message in messages:
            path = SERVICE + "ModelInfer" if draw.random() < 0.8 else draw.choice(OTHERS)
            yield told(code_of(channel, path, message), path, [message])
        for code in codes_of_stream(channel, messages):
            yield told(code, SERVICE + "ModelStreamInfer", messages)


def code_of(channel: grpc.Channel, path: str, message: bytes) -> str:
    try:
        channel.unary_unary(path)(message, timeout=PATIENCE)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def codes_of_stream(channel: grpc.Channel, messages: list[bytes]) -> Iterator[str]:
    """What is wrong with how a stream of these messages was answered."""
    answer = protobuf.message_class("inference.ModelStreamInferResponse")
    stream = channel.stream_stream(f"{SERVICE}ModelStreamInfer")(iter(messages), timeout=PATIENCE)
    try:
        found = [protobuf.parsed(answer, each) for each in stream]
    except grpc.RpcError as error:
        yield str(error.code().name)
        return
    if len(found) != len(messages):
        yield "STREAM_CUT"
    yield from ("INTERNAL" for each in found if "logged" in each.error_message)


def told(code: str, path: str, messages: list[bytes]) -> str:
    if code not in EXPECTED:
        print(code, path, *(message.hex() for message in messages), file=sys.stderr, flush=True)
    return code


def memory(server: Server) -> int:
    """The bytes that the server has in memory."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def run(seconds: float, seed: int, folder: Path) -> tuple[Counter[str], int]:
    """How often each code came, and by how much the memory has grown."""
    store = ModelStore(folder / "models")
    RECIPES["iris"].train(store)
    settings = {
        "QUART_APP_MODEL_STORE": store.root,
        "QUART_APP_RECIPES": "",
        "QUART_APP_GRPC_PORT": 0,
        "QUART_APP_ACCESS_LOG": "false",
        "QUART_APP_DEADLINE": PATIENCE,
    }
    with serving(cwd=folder, **settings) as server:
        address = server.grpc_address()
        server.wait_until_ready()
        end, codes = time.monotonic() + seconds, Counter[str]()
        with grpc.insecure_channel(address) as channel:
            found = calls(random.Random(seed), channel)
            for _ in range(200):
                codes[next(found)] += 1
            before = memory(server)
            while time.monotonic() < end:
                codes[next(found)] += 1
        grown = memory(server) - before
        assert server.stop() == 0, "the server has ended"
    return codes, grown


def main() -> int:
    seconds, seed = float(sys.argv[1]), random.randrange(2**32)
    print(f"SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        codes, grown = run(seconds, seed, Path(folder))
    print(f"{dict(codes)}, memory grown by {grown / 2**20:.0f} MiB")
    return int(not codes.keys() <= EXPECTED or grown > MEMORY)


if __name__ == "__main__":
    sys.exit(main())
