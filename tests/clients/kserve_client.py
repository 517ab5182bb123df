"""kserve's InferenceRESTClient, which speaks V1 and V2."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import from_np_dtype
from numpy.typing import NDArray

from .cases import Case, Cases, Mode, arguments, report, require, require_same


class KServe:
    """What both protocols share: the address, and how the client tells an error."""

    def __init__(self, client: Any, url: str, cases: Cases) -> None:
        self.client, self.url, self.cases = client, url, cases

    async def require_failure(self, model: str, data: Any, status: int, words: str) -> None:
        """The client shows the server's sentence before its own words."""
        try:
            await self.client.infer(self.url, data, model_name=model)
        except httpx.HTTPStatusError as error:
            require(error.response.status_code == status, f"not {status}: {error}")
            sentence = str(error).partition(f", '{status} ")[0]
            require(" " in sentence and words in sentence, f"no sentence with {words}: {error}")
        else:
            raise AssertionError(f"{model} was answered")


class V1(KServe):
    async def health(self) -> None:
        require(await self.client.is_server_live(self.url) is True, "the server is not live")
        for case in self.cases.models:
            ready = await self.client.is_model_ready(self.url, case.model)
            require(ready is True, f"{case.model} is not ready")

    async def lists(self) -> None:
        for case in self.cases.sent:
            await self.ask(case, {"instances": case.rows})

    async def objects(self) -> None:
        for case in self.cases.sent:
            await self.ask(case, {"instances": case.records})

    async def columns(self) -> None:
        for case in self.cases.sent:
            named = {name: case.values(position) for position, name in enumerate(case.names)}
            await self.ask(case, {"inputs": named})

    async def versions(self) -> None:
        for address, case in self.cases.versions.items():
            await self.ask(case, {"instances": case.rows}, address)

    async def errors(self) -> None:
        case = self.cases.models[0].head(1)
        rows = {"instances": case.rows}
        await self.require_failure("nowhere", rows, 404, "nowhere")
        await self.require_failure(case.model, {"instances": [[1.0]]}, 400, "")
        await self.require_failure(case.model, rows | {"inputs": case.rows}, 400, "inputs")

    async def ask(self, case: Case, data: dict[str, Any], address: str = "") -> None:
        model = f"{case.model}/versions/{address}" if address else case.model
        answer = await self.client.infer(self.url, data, model_name=model)
        require_same(answer["predictions"], case.labels, case.model)

    @property
    def modes(self) -> dict[str, Mode]:
        return {
            "V1: alive, models ready": self.health,
            "V1: instances as lists": self.lists,
            "V1: instances as objects": self.objects,
            "V1: inputs by column": self.columns,
            "V1: version and alias in the address": self.versions,
            "V1: errors are the server's sentence": self.errors,
        }


class V2(KServe):
    async def health(self) -> None:
        require(await self.client.is_server_live(self.url) is True, "the server is not live")
        require(await self.client.is_server_ready(self.url) is True, "the server is not ready")
        for case in self.cases.models:
            ready = await self.client.is_model_ready(self.url, case.model)
            require(ready is True, f"{case.model} is not ready")
        require(not await self.client.is_model_ready(self.url, "nowhere"), "nowhere is ready")

    async def in_json(self) -> None:
        for case in self.cases.complete:
            await self.ask(case, by_column(case))
            await self.ask(case, from_arrays(case, binary=False))

    async def in_bytes(self) -> None:
        for case in self.cases.sent:
            for binary in (True, False):
                inputs = from_arrays(case, binary=True)
                await self.ask(case, inputs, parameters={"binary_data_output": binary})

    async def missing_numbers(self) -> None:
        """The client writes NaN as null."""
        for case in self.cases.incomplete:
            await self.ask(case, from_arrays(case, binary=False))

    async def texts(self) -> None:
        for case in self.cases.sent:
            if not case.numeric:
                await self.ask(case, by_column(case))
                for binary in (True, False):
                    await self.ask(case, from_arrays(case, binary=binary))

    async def any_order(self) -> None:
        for case in self.cases.sent:
            await self.ask(case, from_arrays(case, binary=True, flat=True)[::-1])

    async def matrix(self) -> None:
        for case in self.cases.sent:
            values = np.array(case.rows, dtype=np.float64 if case.numeric else object)
            for binary in (True, False):
                await self.ask(case, [tensor("any name", values, binary)])

    async def chosen_outputs(self) -> None:
        for case in self.cases.sent:
            outputs = [RequestedOutput("predict", {"binary_data": True})]
            inputs = from_arrays(case, binary=True)
            answer = await self.infer(case.model, inputs, True, request_outputs=outputs)
            (only,) = answer.outputs
            require_same(plain(only.as_numpy()), case.labels, case.model)

    async def request_id(self) -> None:
        case = self.cases.models[0].head(1)
        answer = await self.ask(case, by_column(case), request_id="flower 7/ä")
        require_same(answer.id, "flower 7/ä", "id")

    async def versions(self) -> None:
        for address, case in self.cases.versions.items():
            await self.ask(case, by_column(case), address=address)

    async def errors(self) -> None:
        case = self.cases.models[0].head(3)
        await self.require_failure("nowhere", InferRequest("nowhere", by_column(case)), 404, "nowh")
        narrow = InferInput("matrix", [3, 1], "FP64", [[0.0]] * 3)
        texts = InferInput(case.names[0], [3, 1], "BYTES", ["many"] * 3)
        for wrong in ([narrow], [texts, *by_column(case)[1:]], by_column(case)[1:]):
            await self.require_failure(case.model, InferRequest(case.model, wrong), 400, "")

    async def ask(self, case: Case, inputs: list[Any], *, address: str = "", **options: Any) -> Any:
        model = f"{case.model}/versions/{address}" if address else case.model
        binary = (options.get("parameters") or {}).get("binary_data_output", False)
        answer = await self.infer(model, inputs, binary, **options)
        require_same(answer.model_name, case.model, "model_name")
        wanted = {"predict": case.labels}
        if case.tensor is not None:
            wanted["predict_proba"] = case.tensor
        found = {output.name: plain(output.as_numpy()) for output in answer.outputs}
        require_same(found, wanted, case.model)
        return answer

    async def infer(self, model: str, inputs: list[Any], binary: bool, **options: Any) -> Any:
        """The answer, in which nothing tells any more whether it came in bytes: the headers do."""
        headers: dict[str, str] = {}
        request = InferRequest(model.partition("/")[0], inputs, **options)
        answer = await self.client.infer(
            self.url, request, model_name=model, response_headers=headers
        )
        in_bytes = "inference-header-content-length" in headers
        require(in_bytes is binary, "bytes where JSON is due, or JSON for bytes")
        return answer

    @property
    def modes(self) -> dict[str, Mode]:
        return {
            "V2: live, ready": self.health,
            "V2: tensors in bytes": self.in_bytes,
            "V2: tensors in JSON": self.in_json,
            "V2: missing numbers in JSON": self.missing_numbers,
            "V2: texts, dates, missing values": self.texts,
            "V2: a tensor for each column, in any order": self.any_order,
            "V2: one matrix": self.matrix,
            "V2: chosen outputs": self.chosen_outputs,
            "V2: request id": self.request_id,
            "V2: version and alias in the address": self.versions,
            "V2: errors are the server's sentence": self.errors,
        }


def by_column(case: Case) -> list[Any]:
    """A tensor for each column, from lists."""
    count = len(case.rows)
    return [
        InferInput(column.name, [count, 1], column.datatype, data=case.values(position))
        for position, column in enumerate(case.columns)
    ]


def from_arrays(case: Case, *, binary: bool, flat: bool = False) -> list[Any]:
    """A tensor for each column, from numpy; whole numbers of which some are missing are floats."""
    found = []
    for position, column in enumerate(case.columns):
        values = case.values(position)
        dtypes: dict[str, type] = {"BYTES": object, "BOOL": bool, "INT64": np.int64}
        dtype = dtypes.get(column.datatype, np.float64)
        if dtype is np.int64 and None in values:
            dtype = np.float64
        array: NDArray[Any] = np.array(values, dtype=dtype)
        found.append(tensor(column.name, array if flat else array[:, np.newaxis], binary))
    return found


def tensor(name: str, values: Any, binary: bool) -> Any:
    found = InferInput(name, list(values.shape), from_np_dtype(values.dtype))
    found.set_data_from_numpy(values, binary_data=binary)
    return found


def plain(values: Any) -> Any:
    """An array as lists, with texts as such."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, list):
        return [plain(value) for value in values]
    return values.decode() if isinstance(values, bytes) else values


async def main() -> None:
    url, cases = arguments()
    for protocol, kind in (("v1", V1), ("v2", V2)):
        async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
            modes = kind(client, url, cases).modes
            await report(f"kserve {protocol.upper()}", version("kserve"), modes)


if __name__ == "__main__":
    asyncio.run(main())
