"""kserve's InferenceGRPCClient in every mode that it has."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import version
from typing import Any

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.infer_type import RequestedOutput

from .cases import Case, Cases, Mode, arguments, report, require, require_same
from .kserve_client import by_column, from_arrays, plain, tensor


class KServe:
    """The modes of the client."""

    def __init__(self, client: Any, cases: Cases) -> None:
        self.client, self.cases = client, cases

    async def health(self) -> None:
        require(await self.client.is_server_live() is True, "the server is not live")
        require(await self.client.is_server_ready() is True, "the server is not ready")
        for case in self.cases.models:
            require(await self.client.is_model_ready(case.model), f"{case.model} is not ready")
        require(not await self.client.is_model_ready("nowhere"), "nowhere is ready")

    async def in_bytes(self) -> None:
        for case in self.cases.sent:
            await self.ask(case, from_arrays(case, binary=True))

    async def typed(self) -> None:
        for case in self.cases.complete:
            await self.ask(case, by_column(case))

    async def texts(self) -> None:
        for case in self.cases.complete:
            if not case.numeric:
                await self.ask(case, by_column(case))
                await self.ask(case, from_arrays(case, binary=True))

    async def any_order(self) -> None:
        for case in self.cases.sent:
            await self.ask(case, from_arrays(case, binary=True, flat=True)[::-1])

    async def matrix(self) -> None:
        for case in self.cases.sent:
            values = np.array(case.rows, dtype=np.float64 if case.numeric else object)
            await self.ask(case, [tensor("any name", values, True)])

    async def chosen_outputs(self) -> None:
        for case in self.cases.sent:
            outputs = [RequestedOutput("predict")]
            inputs = from_arrays(case, binary=True)
            (only,) = (await self.infer(case.model, inputs, request_outputs=outputs)).outputs
            require_same(plain(only.as_numpy()), case.labels, case.model)

    async def request_id(self) -> None:
        case = self.cases.models[0].head(1)
        answer = await self.ask(case, by_column(case), request_id="flower 7/ä")
        require_same(answer.id, "flower 7/ä", "id")

    async def versions(self) -> None:
        for address, case in self.cases.versions.items():
            await self.ask(case, by_column(case), model_version=address)

    async def errors(self) -> None:
        case = self.cases.models[0].head(3)
        await self.require_failure("nowhere", by_column(case), grpc.StatusCode.NOT_FOUND)
        narrow = InferInput("matrix", [3, 1], "FP64", [0.0] * 3)
        texts = InferInput(case.names[0], [3, 1], "BYTES", ["many"] * 3)
        for wrong in ([narrow], [texts, *by_column(case)[1:]], by_column(case)[1:]):
            await self.require_failure(case.model, wrong, grpc.StatusCode.INVALID_ARGUMENT)

    async def require_failure(self, model: str, inputs: list[Any], code: Any) -> None:
        try:
            await self.infer(model, inputs)
        except grpc.RpcError as error:
            require(error.code() is code, f"not {code}: {error}")
            require(" " in error.details(), f"no sentence: {error}")
        else:
            raise AssertionError(f"{model} was answered")

    async def ask(self, case: Case, inputs: list[Any], **options: Any) -> Any:
        answer = await self.infer(case.model, inputs, **options)
        require_same(answer.model_name, case.model, "model_name")
        require_same(answer.model_version, case.version, "model_version")
        wanted = {"predict": case.labels}
        if case.tensor is not None:
            wanted["predict_proba"] = case.tensor
        found = {output.name: plain(output.as_numpy()) for output in answer.outputs}
        require_same(found, wanted, case.model)
        return answer

    async def infer(self, model: str, inputs: list[Any], **options: Any) -> Any:
        return await self.client.infer(InferRequest(model, inputs, **options))

    @property
    def modes(self) -> dict[str, Mode]:
        return {
            "V2: live, ready": self.health,
            "V2: tensors in bytes": self.in_bytes,
            "V2: typed tensors": self.typed,
            "V2: texts, dates, missing values": self.texts,
            "V2: a tensor for each column, in any order": self.any_order,
            "V2: one matrix": self.matrix,
            "V2: chosen outputs": self.chosen_outputs,
            "V2: request id": self.request_id,
            "V2: version and alias in the address": self.versions,
            "V2: errors are the server's sentence": self.errors,
        }


async def main() -> None:
    address, cases = arguments()
    logging.disable()  # it logs what it raises
    async with InferenceGRPCClient(address) as client:
        await report("kserve gRPC", version("kserve"), KServe(client, cases).modes)


if __name__ == "__main__":
    asyncio.run(main())
