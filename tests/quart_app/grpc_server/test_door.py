"""The door of gRPC, asked by plain grpc over the wire: methods, keys, limits, records, the end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import pytest

from quart_app import protobuf
from quart_app.protocols import v2_grpc

from ...conftest import STDERR, Server, own_settings, publish_own, serving

pytestmark = pytest.mark.process

SERVICE: Final = "inference.GRPCInferenceService"
KEY, OTHER_KEY = "one for all", "one for exam"
SECONDS: Final = 30
ROOT: Final = Path(__file__).parents[3]

FLOWER: Final = [6.3, 3.3, 6.0, 2.5]


class Door:
    """Calls methods by their names, with messages as keyword arguments."""

    def __init__(self, server: Server, address: str) -> None:
        self.server = server
        self.address = address
        self.channel = grpc.insecure_channel(address)

    def call(
        self,
        method: str,
        *,
        metadata: dict[str, str] | None = None,
        timeout: float = SECONDS,
        request: str | None = None,
        reply: str | None = None,
        service: str = SERVICE,
        **fields: Any,
    ) -> Any:
        package = service.rpartition(".")[0]
        kind = protobuf.message_class(f"{package}.{request or method + 'Request'}")
        answer = protobuf.message_class(f"{package}.{reply or method + 'Response'}")
        ask = self.raw(f"/{service}/{method}")
        body = kind(**fields).SerializeToString()
        found = ask(body, timeout=timeout, metadata=tuple((metadata or {}).items()))
        return protobuf.parsed(answer, found)

    def raw(self, path: str) -> Any:
        return self.channel.unary_unary(path)

    def infer(self, model: str = "iris", **options: Any) -> Any:
        return self.call("ModelInfer", **{**flowers(model), **options})

    def stream(self) -> Any:
        return self.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")


def flowers(model: str = "iris", rows: int = 1) -> dict[str, Any]:
    raw = np.array([FLOWER] * rows).tobytes()
    inputs = [{"name": "x", "datatype": "FP64", "shape": [rows, 4]}]
    return {"model_name": model, "inputs": inputs, "raw_input_contents": [raw]}


@contextlib.contextmanager
def door(cwd: Path, **settings: Any) -> Iterator[Door]:
    with serving(cwd=cwd, **{"QUART_APP_GRPC_PORT": 0, **settings}) as server:
        address = server.grpc_address()
        server.wait_until_ready()
        found = Door(server, address)
        try:
            yield found
        finally:
            found.channel.close()


@pytest.fixture(scope="module")
def open_door(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("grpc")
    keys = [
        f"all:{hashlib.sha256(KEY.encode()).hexdigest()}",
        f"exam:{hashlib.sha256(OTHER_KEY.encode()).hexdigest()}:exam",
    ]
    settings = {
        "QUART_APP_MODEL_STORE": bundled_root,
        "QUART_APP_RECIPES": "",
        "QUART_APP_API_KEYS": ",".join(keys),
    }
    with door(folder, **settings) as found:
        yield found


def failure(call: Callable[[], Any]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value


def code(call: Callable[[], Any]) -> str:
    return str(failure(call).code().name)


# What it answers -----------------------------------------------------------------


def test_a_model_answers_raw_and_typed_as_by_json(open_door: Door) -> None:
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": FLOWER}]}
    asked = urllib.request.Request(
        f"{open_door.server.url}/v2/models/iris/infer", data=json.dumps(body).encode()
    )
    with urllib.request.urlopen(asked) as response:
        told = {each["name"]: each["data"] for each in json.load(response)["outputs"]}
    raw = open_door.infer(id="7")
    assert (raw.id, raw.model_name, raw.model_version) == ("7", "iris", "1")
    assert raw.raw_output_contents[0] == b"\x09\x00\x00\x00virginica"
    shares = np.frombuffer(raw.raw_output_contents[1])
    assert shares.tolist() == told["predict_proba"]
    inputs = [
        {
            "name": "x",
            "datatype": "FP64",
            "shape": [1, 4],
            "contents": {"fp64_contents": FLOWER},
        }
    ]
    typed = open_door.call("ModelInfer", model_name="iris", model_version="1", inputs=inputs)
    assert list(typed.outputs[0].contents.bytes_contents) == [b"virginica"]
    assert list(typed.outputs[1].contents.fp64_contents) == told["predict_proba"]


def test_the_server_and_its_models_are_described(open_door: Door) -> None:
    assert open_door.call("ServerLive").live
    assert open_door.call("ServerReady").ready
    assert open_door.call("ServerMetadata").name == "quart-app"
    assert open_door.call("ModelReady", name="iris", version="1").ready
    assert not open_door.call("ModelReady", name="nowhere").ready
    model = open_door.call("ModelMetadata", name="exam")
    assert [(each.name, each.datatype) for each in model.inputs] == [("X1", "FP64"), ("X2", "FP64")]
    assert model.outputs[1].parameters["classes"].string_param == "[0,1]"
    config = open_door.call("ModelConfig", name="exam").config
    assert [list(each.dims) for each in config.output] == [[-1], [-1, 2]]
    open_door.infer()
    counted = open_door.call("ModelStatistics", name="iris", version="1").model_stats[0]
    assert counted.inference_count > 0
    assert {each.name for each in open_door.call("ModelStatistics").model_stats} > {"iris", "exam"}
    index = open_door.call("RepositoryIndex", ready=True).models
    assert {(each.name, each.state) for each in index} > {("iris", "READY"), ("exam", "READY")}


def test_a_stream_answers_each_message_in_order_and_tells_errors_in_its_place(
    open_door: Door,
) -> None:
    kind = protobuf.message_class("inference.ModelInferRequest")
    sent = [kind(**flowers(), id="1"), kind(model_name="nowhere"), kind(**flowers(), id="3")]
    bodies = [message.SerializeToString() for message in sent]
    bodies.insert(2, b"\xff")
    answer = protobuf.message_class("inference.ModelStreamInferResponse")
    found = [
        protobuf.parsed(answer, each) for each in open_door.stream()(iter(bodies), timeout=SECONDS)
    ]
    assert [each.infer_response.id for each in found] == ["1", "", "", "3"]
    assert "at least one input" in found[1].error_message
    assert "ModelInferRequest" in found[2].error_message


def test_repositories_of_triton_and_of_kserve_load_and_unload(open_door: Door) -> None:
    key = {"authorization": f"Bearer {KEY}"}
    for name in ("repository_name", "model_name"):  # fields 1 and 2
        model: dict[str, Any] = {name: "diabetes"}
        assert open_door.call("RepositoryModelUnload", metadata=key, **model).isUnloaded
        assert not open_door.call("ModelReady", name="diabetes").ready
        loaded = open_door.call("RepositoryModelLoad", metadata=key, **model)
        assert (loaded.model_name, loaded.isLoaded) == ("diabetes", True)
        assert open_door.call("ModelReady", name="diabetes").ready
    files = {"file:1/model": {"bytes_param": b"x"}}
    with_file: dict[str, Any] = {"model_name": "diabetes", "parameters": files, "metadata": key}
    assert code(lambda: open_door.call("RepositoryModelLoad", **with_file)) == "INVALID_ARGUMENT"


def test_health_is_told_for_the_server_the_service_and_the_process(open_door: Door) -> None:
    kind = protobuf.message_class("grpc.health.v1.HealthCheckRequest")
    answer = protobuf.message_class("grpc.health.v1.HealthCheckResponse")
    check = open_door.raw("/grpc.health.v1.Health/Check")
    for service in ("", SERVICE, "live"):
        found = check(kind(service=service).SerializeToString(), timeout=SECONDS)
        assert protobuf.parsed(answer, found).status == 1
    assert code(lambda: check(kind(service="x").SerializeToString())) == "NOT_FOUND"
    health: dict[str, Any] = {"service": "grpc.health.v1.Health", "request": "HealthListRequest"}
    listed = open_door.call("List", **health, reply="HealthListResponse")
    assert set(listed.statuses) == {"", SERVICE, "live"}
    watch = open_door.channel.unary_stream("/grpc.health.v1.Health/Watch")
    told = watch(kind(service="x").SerializeToString(), timeout=SECONDS)
    assert protobuf.parsed(answer, next(told)).status == 3
    told.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_tells_the_services_and_their_files(open_door: Door, version: str) -> None:
    kind = protobuf.message_class("grpc.reflection.v1.ServerReflectionRequest")
    answer = protobuf.message_class("grpc.reflection.v1.ServerReflectionResponse")
    sent = [
        kind(list_services=""),
        kind(file_containing_symbol=f"{SERVICE}.ModelInfer"),
        kind(file_by_filename="health.proto"),
        kind(file_containing_symbol="nothing.Here"),
        kind(),
    ]
    ask = open_door.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    )
    bodies = [message.SerializeToString() for message in sent]
    listed, inference, health, missing, empty = (
        protobuf.parsed(answer, each) for each in ask(iter(bodies), timeout=SECONDS)
    )
    names = {each.name for each in listed.list_services_response.service}
    assert names >= {SERVICE, "grpc.health.v1.Health"}
    assert b"ModelInferRequest" in inference.file_descriptor_response.file_descriptor_proto[0]
    assert b"HealthCheckRequest" in health.file_descriptor_response.file_descriptor_proto[0]
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert empty.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


# What it refuses -----------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown model": ({"model_name": "nowhere"}, "NOT_FOUND"),
    "an unknown version": ({"model_version": "77"}, "NOT_FOUND"),
    "no model": ({"model_name": ""}, "INVALID_ARGUMENT"),
    "an unknown output": ({"outputs": [{"name": "nothing"}]}, "INVALID_ARGUMENT"),
    "fewer bytes": ({"raw_input_contents": [b""]}, "INVALID_ARGUMENT"),
    "more rows than may be": (flowers(rows=100_001), "RESOURCE_EXHAUSTED"),
    "too many bytes beside raw tensors": ({"id": "x" * 2_000_000}, "RESOURCE_EXHAUSTED"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_bad_request_has_a_status_and_a_sentence(open_door: Door, case: str) -> None:
    fields, expected = WRONG[case]
    error = failure(lambda: open_door.infer(**fields))
    assert error.code().name == expected
    assert " " in error.details()
    assert "Traceback" not in error.details()


def test_what_is_not_served_is_unimplemented(open_door: Door) -> None:
    for path in (f"/{SERVICE}/SystemSharedMemoryStatus", "/other.Service/Method"):
        assert code(partial(open_door.raw(path), b"", timeout=SECONDS)) == "UNIMPLEMENTED"


def test_a_message_that_is_larger_than_may_be_is_refused(open_door: Door) -> None:
    ask = open_door.raw(f"/{SERVICE}/ModelInfer")
    assert code(lambda: ask(bytes(18 * 1024 * 1024), timeout=SECONDS)) == "RESOURCE_EXHAUSTED"
    zipped = {"compression": grpc.Compression.Gzip, "timeout": SECONDS}
    assert code(lambda: ask(bytes(200 * 1024 * 1024), **zipped)) == "RESOURCE_EXHAUSTED"
    assert open_door.infer().model_name == "iris"


def test_changes_need_a_key_for_the_model(open_door: Door) -> None:
    def load(**metadata: str) -> Callable[[], Any]:
        return lambda: open_door.call("RepositoryModelLoad", model_name="iris", metadata=metadata)

    assert code(load()) == "UNAUTHENTICATED"
    assert code(load(authorization="Bearer wrong")) == "UNAUTHENTICATED"
    other = {"x-api-key": OTHER_KEY}
    assert code(load(**other)) == "PERMISSION_DENIED"
    assert open_door.call("RepositoryModelLoad", model_name="exam", metadata=other).isLoaded


# What an operator sees and sets --------------------------------------------------

SLOW: Final = """\
import time
import numpy
from sklearn.base import BaseEstimator, ClassifierMixin


class Model(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = numpy.unique(y)
        return self

    def predict(self, X):
        X = numpy.asarray(X)
        if X.max() > 100:
            time.sleep(X.max() / 1000)
        return self.classes_[(X[:, 0] > 1).astype(int)]
"""


@pytest.fixture(scope="module")
def slow_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slow")
    publish_own(folder, "slow", SLOW)
    return folder


def slow(value: float = 1_000.0) -> dict[str, Any]:
    inputs = [{"name": "x", "datatype": "FP64", "shape": [1, 1]}]
    raw = np.array([value], dtype=float).tobytes()
    return {"model_name": "slow", "inputs": inputs, "raw_input_contents": [raw]}


class Asked(threading.Thread):
    """A call in a thread, and what came of it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.found: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.found = self._call()
        except grpc.RpcError as error:
            self.found = error.code().name

    def result(self) -> Any:
        self.join(SECONDS)
        return self.found


def test_what_was_accepted_is_answered_and_then_the_door_is_shut(slow_models: Path) -> None:
    settings = own_settings(slow_models) | {"QUART_APP_SHUTDOWN_DELAY": "2"}
    with door(slow_models, **settings) as found:
        assert code(lambda: found.infer(**slow(), timeout=0.3)) == "DEADLINE_EXCEEDED"
        stream = found.stream()(_never(), timeout=SECONDS)
        found.server.process.terminate()
        while found.call("ServerReady").ready:
            time.sleep(0.05)
        asked = Asked(lambda: found.infer(**slow(4_000)))  # is taken within the delay
        assert code(lambda: next(stream)) == "UNAVAILABLE"
        assert code(lambda: found.infer(**slow(0))) == "UNAVAILABLE"
        assert asked.result().model_name == "slow"
        assert found.server.process.wait(SECONDS) == 0


def _never() -> Iterator[bytes]:
    """A client that sends nothing and does not end."""
    yield from iter(queue.Queue[bytes]().get, None)


def test_overload_is_told_as_such_and_a_slow_client_keeps_nobody_waiting(
    slow_models: Path,
) -> None:
    settings = own_settings(slow_models) | {"QUART_APP_MAX_REQUESTS": 2}
    with door(slow_models, **settings) as found:
        asked = [Asked(lambda: found.infer(**slow())) for _ in range(2)]
        error = None
        while error is None:
            try:
                found.call("ServerMetadata")
            except grpc.RpcError as refusal:
                error = refusal
        assert error.code().name == "RESOURCE_EXHAUSTED"
        assert ("retry-after", "1") in [tuple(each) for each in error.trailing_metadata()]
        assert found.call("ServerLive").live
        assert [each.result().model_name for each in asked] == ["slow"] * 2
        heads = [
            found.channel.stream_unary(f"/{SERVICE}/ModelInfer").future(_never(), timeout=SECONDS)
            for _ in range(40)
        ]
        time.sleep(0.6)
        assert found.infer(**slow(0)).model_name == "slow"
        assert sum(each.done() for each in heads) == 40 - 16
        assert {each.code().name for each in heads if each.done()} == {"RESOURCE_EXHAUSTED"}


def test_keys_rates_log_and_metrics_hold_for_calls_as_for_requests(slow_models: Path) -> None:
    settings = own_settings(slow_models) | {
        "QUART_APP_KEYS_FOR": "predictions",
        "QUART_APP_API_KEYS": f"me:{hashlib.sha256(KEY.encode()).hexdigest()}",
        "QUART_APP_RATE_LIMIT": "3/hour",
    }
    with door(slow_models, **settings) as found:
        key = {"authorization": f"Bearer {KEY}", "x-request-id": "mine"}
        assert code(lambda: found.infer(**slow(0))) == "UNAUTHENTICATED"
        assert code(lambda: next(found.stream()(iter([b""])))) == "UNAUTHENTICATED"
        for _ in range(3):
            found.infer(**slow(0), metadata=key)
            assert found.call("ServerLive").live
        error = failure(lambda: found.infer(**slow(0), metadata=key))
        assert error.code().name == "RESOURCE_EXHAUSTED"
        metadata = dict(tuple(each) for each in error.trailing_metadata())
        assert metadata["x-request-id"] == "mine"
        assert int(metadata["retry-after"]) > 3_000
        with urllib.request.urlopen(f"{found.server.url}/metrics") as response:
            text = response.read().decode()
        counted = f'route="/{SERVICE}/ModelInfer",status="200"'
        assert next(line for line in text.splitlines() if counted in line).endswith(" 3.0")
        found.server.stop()
        assert found.server.process.stdout is not None
        records = [json.loads(line) for line in found.server.process.stdout if line[0] == "{"]
    calls = [each for each in records if each["route"] == f"/{SERVICE}/ModelInfer"]
    assert [each["status"] for each in calls] == [401, 200, 200, 200, 429]
    answered = calls[1]
    assert (answered["model"], answered["rows"], answered["request_id"]) == ("slow", 1, "mine")
    assert answered["client"] == "127.0.0.1"
    assert calls[-1]["error"] == "too_many_requests"


def is_open(connection: socket.socket) -> bool:
    """Whether the server has not closed it: it says nothing but what its settings are."""
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while data := connection.recv(4096):
            assert data
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_connections_are_bounded_and_idle_ones_give_way_to_who_comes(
    bundled_root: Path, tmp_path: Path, host: str
) -> None:
    most = 8
    settings = {
        "HOST": host,
        "QUART_APP_MODEL_STORE": bundled_root,
        "QUART_APP_MAX_CONNECTIONS": most,
    }
    with door(tmp_path, **settings) as found, contextlib.ExitStack() as stack:
        sent: queue.Queue[bytes] = queue.Queue()
        stream = found.stream()(iter(sent.get, b""), timeout=SECONDS)
        message = v2_grpc.REQUEST(**flowers()).SerializeToString()
        sent.put(message)
        next(stream)
        address = ("127.0.0.1", int(found.address.rpartition(":")[2]))
        idle = [stack.enter_context(socket.create_connection(address)) for _ in range(3 * most)]
        with grpc.insecure_channel(found.address, options=[("another", 1)]) as channel:
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            assert infer(message, timeout=10, wait_for_ready=True)  # before gRPC drops who is mute
        assert sum(map(is_open, idle)) < most
        sent.put(message)
        assert next(stream)
        sent.put(b"")


def test_a_port_that_is_taken_ends_the_server_with_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"QUART_APP_GRPC_PORT": port, "QUART_APP_RECIPES": ""}
        with pytest.raises(AssertionError, match="ended with 1"), serving(cwd=tmp_path, **settings):
            pass
    words = (tmp_path / STDERR).read_text()
    assert f"Port {port} on 127.0.0.1 cannot be opened for gRPC" in words


def test_without_the_extra_the_setting_is_refused_with_a_sentence(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['grpc'] = None; sys.argv = ['quart-app', 'serve']\n"
        "from quart_app.cli.main import main; main()"
    )
    environment = {"PYTHONPATH": str(ROOT), "QUART_APP_GRPC_PORT": "0", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 1
    assert "QUART_APP_GRPC_PORT needs the extra grpc: pip install 'quart-app[grpc]'" in done.stderr
