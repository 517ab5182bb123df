"""tritonclient.grpc and tritonclient.grpc.aio in every mode that they have."""

from __future__ import annotations

import asyncio
import inspect
import queue
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

from .cases import Case, Cases, Mode, arguments, report, require, require_same
from .triton_client import as_array, columns, compare_values, outputs_of, tensors

SECONDS = 60


class Triton:
    """The modes of one of the two clients, which differ in what must be awaited."""

    def __init__(self, client: Any, cases: Cases) -> None:
        self.client, self.cases = client, cases

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        found = getattr(self.client, method)(*arguments, **options)
        return await found if inspect.isawaitable(found) else found

    async def ask(self, case: Case, inputs: list[Any], **options: Any) -> Any:
        """Infer, and compare the answer."""
        address = options.pop("address", "")
        result = await self.call("infer", case.model, inputs, model_version=address, **options)
        compare(result, case)
        return result

    # What the server and the models are ----------------------------------------------

    async def health(self) -> None:
        require(await self.call("is_server_live") is True, "the server is not live")
        require(await self.call("is_server_ready") is True, "the server is not ready")
        for case in self.cases.models:
            for number in ("", case.version):
                ready = await self.call("is_model_ready", case.model, number)
                require(ready is True, f"{case.model} is not ready")
        require(await self.call("is_model_ready", "nowhere") is False, "nowhere is ready")

    async def server_metadata(self) -> None:
        metadata = await self.call("get_server_metadata")
        require(metadata.name and metadata.version, "the server has no name or version")
        require("statistics" in metadata.extensions, "statistics is missing")

    async def metadata(self) -> None:
        for case in self.cases.models:
            found = await self.call("get_model_metadata", case.model)
            require_same(found.name, case.model, "name")
            require(case.version in found.versions, f"{case.model}: {found.versions}")
            require_same(described(found.inputs, "datatype", "shape"), columns(case), "inputs")
            told = described(found.outputs, "datatype", "shape")
            require_same(told, tensors(case), "outputs")

    async def config(self) -> None:
        for case in self.cases.models:
            found = (await self.call("get_model_config", case.model)).config
            require_same(found.name, case.model, "name")
            require(found.max_batch_size == 0, "max_batch_size is not 0")
            require_same([each.name for each in found.input], case.names, "inputs")
            require(all(each.data_type for each in found.input), "an input has no datatype")

    async def statistics(self) -> None:
        case = self.cases.models[0].head(1)
        before = await self.counted(case.model)
        await self.ask(case, by_column(case))
        require_same(await self.counted(case.model), before + 1, "inference_count")

    async def counted(self, model: str) -> int:
        found = await self.call("get_inference_statistics", model)
        return int(found.model_stats[0].inference_count)

    async def index(self) -> None:
        found = (await self.call("get_model_repository_index")).models
        states = {row.name: row.state for row in found if row.version}
        for case in self.cases.models:
            require_same(states[case.model], "READY", case.model)

    async def repository(self) -> None:
        key = {"authorization": f"Bearer {self.cases.key}"}
        error = await self.failure("unload_model", self.cases.spare)
        require(error.status() == "StatusCode.UNAUTHENTICATED", f"{error}")
        await self.call("unload_model", self.cases.spare, headers=key)
        require(not await self.call("is_model_ready", self.cases.spare), "it is still ready")
        await self.call("load_model", self.cases.spare, headers=key)
        require(await self.call("is_model_ready", self.cases.spare), "it is not ready again")

    # Predictions ---------------------------------------------------------------------

    async def in_bytes(self) -> None:
        for case in self.cases.sent:
            await self.ask(case, by_column(case))

    async def texts(self) -> None:
        for case in self.cases.sent:
            if not case.numeric:
                await self.ask(case, by_column(case))

    async def flat_columns(self) -> None:
        """Tensors of the shape [n], in another order than that of the model."""
        for case in self.cases.sent:
            await self.ask(case, by_column(case, flat=True)[::-1])

    async def datatypes(self) -> None:
        """Whole numbers as any datatype that holds them, whatever the column is of."""
        for case in self.cases.whole:
            for datatype in ("FP64", "FP32", "INT64", "INT32", "UINT16"):
                await self.ask(case, by_column(case, datatype=datatype))
                matrix = np.array(case.rows).astype(triton_to_np_dtype(datatype))
                await self.ask(case, [tensor("matrix", matrix)])

    async def at_a_time(self) -> None:
        """Requests of a row each that may be answered as one batch, some of them wrong."""
        for whole in self.cases.whole:
            case = self.cases.of(whole.model)
            asked: list[tuple[Case | None, Any]] = []
            for i in range(12):
                exact, any_ = whole.only(i), case.only(i)
                text = tensor(case.names[0], np.array([["many"]], dtype=object))
                asked += [
                    (exact, by_column(exact, datatype="INT64")),
                    (any_, by_column(any_)),
                    (None, [text, *by_column(any_)[1:]]),
                ]
            answers = await self.together(case.model, [inputs for _, inputs in asked])
            for (wanted, _), answer in zip(asked, answers, strict=True):
                if wanted is None:
                    require(isinstance(answer, InferenceServerException), "a text was answered")
                    require(answer.status() == "StatusCode.INVALID_ARGUMENT", f"{answer}")
                else:
                    require(not isinstance(answer, Exception), f"{answer}")
                    compare(answer, wanted)

    async def together(self, model: str, requests: list[Any]) -> list[Any]:
        """The answers, or the exceptions, of requests that are under way at the same time."""
        if inspect.iscoroutinefunction(self.client.infer):
            tasks = [self.client.infer(model, inputs) for inputs in requests]
            return list(await asyncio.gather(*tasks, return_exceptions=True))
        found: list[Any] = [None] * len(requests)
        told: queue.Queue[tuple[int, Any]] = queue.Queue()
        for position, inputs in enumerate(requests):

            def keep(result: Any, error: Any, position: int = position) -> None:
                told.put((position, error or result))

            self.client.async_infer(model, inputs, keep)
        for _ in requests:
            position, answer = told.get(timeout=SECONDS)
            found[position] = answer
        return found

    async def stream(self) -> None:
        """Requests one after the other in one call, of which one is wrong."""
        case = self.cases.models[0].head(2)
        requests = [
            {"model_name": model, "inputs": by_column(case), "request_id": str(number)}
            for number, model in enumerate((case.model, "nowhere", case.model))
        ]
        first, wrong, last = await self.streamed(requests)
        require(isinstance(wrong, InferenceServerException), "nowhere was answered")
        require("nowhere" in wrong.message(), f"{wrong}")
        for number, result in ((0, first), (2, last)):
            require_same(result.get_response().id, str(number), "id")
            compare(result, case)

    async def streamed(self, requests: list[dict[str, Any]]) -> list[Any]:
        """The answers, or the exceptions, of a stream of requests."""
        if inspect.iscoroutinefunction(self.client.infer):

            async def sent() -> Any:
                for request in requests:
                    yield request

            found = self.client.stream_infer(sent())
            return [error or result async for result, error in found]
        told: queue.Queue[Any] = queue.Queue()
        self.client.start_stream(lambda result, error: told.put(error or result))
        for request in requests:
            self.client.async_stream_infer(**request)
        answers = [told.get(timeout=SECONDS) for _ in requests]
        self.client.stop_stream()
        return answers

    async def matrix(self) -> None:
        for case in self.cases.sent:
            values = as_array("FP64", case.rows) if case.numeric else np.array(case.rows, object)
            await self.ask(case, [tensor("any name", values)])

    async def chosen_outputs(self) -> None:
        for case in self.cases.sent:
            names = ["decision_function"] if case.scores is not None else []
            names += outputs_of(case)[::-1]
            outputs = [InferRequestedOutput(name) for name in names]
            result = await self.call("infer", case.model, by_column(case), outputs=outputs)
            require_same([each.name for each in result.get_response().outputs], names, "outputs")
            compare_values(result, case, names)
        case = self.cases.models[0].head(1)
        outputs = [InferRequestedOutput("nothing")]
        error = await self.failure("infer", case.model, by_column(case), outputs=outputs)
        require("nothing" in error.message(), f"{error}")

    async def request_id(self) -> None:
        case = self.cases.models[0].head(1)
        result = await self.ask(case, by_column(case), request_id="flower 7/ä")
        require_same(result.get_response().id, "flower 7/ä", "id")

    async def versions(self) -> None:
        for address, case in self.cases.versions.items():
            await self.ask(case, by_column(case), address=address)
            require(await self.call("is_model_ready", case.model, address), f"not {address}")
            found = await self.call("get_model_metadata", case.model, address)
            require_same(found.name, case.model, "name")

    def compressed(self, algorithm: str) -> Mode:
        async def ask() -> None:
            for case in self.cases.sent:
                await self.ask(case, by_column(case), compression_algorithm=algorithm)

        return ask

    async def errors(self) -> None:
        case = self.cases.models[0].head(3)
        inputs = by_column(case)
        unknown = await self.failure("infer", "nowhere", inputs)
        require(unknown.status() == "StatusCode.NOT_FOUND", f"{unknown}")
        require("nowhere" in unknown.message(), f"{unknown}")
        unknown = await self.failure("infer", case.model, inputs, model_version="77")
        require(unknown.status() == "StatusCode.NOT_FOUND", f"{unknown}")
        narrow = tensor("matrix", np.zeros((3, 1)))
        short = tensor(case.names[0], np.zeros(2))
        texts = tensor(case.names[0], np.full((3, 1), "many", dtype=object))
        for wrong in ([narrow], [short, *inputs[1:]], [texts, *inputs[1:]], inputs[1:]):
            error = await self.failure("infer", case.model, wrong)
            require(error.status() == "StatusCode.INVALID_ARGUMENT", f"{error}")
            require(" " in error.message() and "Traceback" not in error.message(), f"{error}")

    async def failure(self, method: str, *arguments: Any, **options: Any) -> Any:
        """The exception that carries the server's sentence."""
        try:
            await self.call(method, *arguments, **options)
        except InferenceServerException as error:
            return error
        raise AssertionError(f"{method} was answered")

    @property
    def modes(self) -> dict[str, Mode]:
        return {
            "V2: live, ready": self.health,
            "V2: server metadata": self.server_metadata,
            "V2: model metadata": self.metadata,
            "V2: model config": self.config,
            "V2: statistics": self.statistics,
            "V2: repository index": self.index,
            "V2: load and unload, with an API key": self.repository,
            "V2: tensors in bytes": self.in_bytes,
            "V2: texts, dates, missing values": self.texts,
            "V2: a tensor for each column, in any order": self.flat_columns,
            "V2: one matrix": self.matrix,
            "V2: whole numbers of any datatype": self.datatypes,
            "V2: many requests at a time": self.at_a_time,
            "V2: a stream of requests": self.stream,
            "V2: chosen outputs": self.chosen_outputs,
            "V2: request id": self.request_id,
            "V2: version and alias in the address": self.versions,
            "V2: request in gzip": self.compressed("gzip"),
            "V2: request in deflate": self.compressed("deflate"),
            "V2: errors are the server's sentence": self.errors,
        }


def by_column(case: Case, *, flat: bool = False, datatype: str | None = None) -> list[Any]:
    """A tensor for each column, of the datatype that the model names or of another."""
    found = []
    for position, column in enumerate(case.columns):
        values = as_array(column.datatype, case.values(position))
        if datatype is not None:
            values = np.array(case.values(position)).astype(triton_to_np_dtype(datatype))
        found.append(tensor(column.name, values if flat else values[:, np.newaxis]))
    return found


def tensor(name: str, values: Any) -> Any:
    """An input. This client writes what is missing in a tensor of texts as `None`, so it is empty
    here."""
    if values.dtype == object:
        values = np.where(values == None, "", values)  # noqa: E711
    found = InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    return found.set_data_from_numpy(values)


def compare(result: Any, case: Case) -> None:
    response = result.get_response()
    require_same(response.model_name, case.model, "model_name")
    require_same(response.model_version, case.version, "model_version")
    require(len(response.raw_output_contents) == len(response.outputs), "outputs that are not raw")
    require_same([output.name for output in response.outputs], outputs_of(case), "outputs")
    compare_values(result, case, outputs_of(case))


def described(members: Any, datatype: str, shape: str) -> list[Any]:
    return [[each.name, getattr(each, datatype), list(getattr(each, shape))] for each in members]


async def main() -> None:
    address, cases = arguments()
    clients: dict[str, Callable[[str], Any]] = {
        "tritonclient.grpc": tritonclient.grpc.InferenceServerClient,
        "tritonclient.grpc.aio": tritonclient.grpc.aio.InferenceServerClient,
    }
    for name, client in clients.items():
        connected = client(address)
        await report(name, version("tritonclient"), Triton(connected, cases).modes)
        closed = connected.close()
        if inspect.isawaitable(closed):
            await closed


if __name__ == "__main__":
    asyncio.run(main())
