"""tritonclient.http and tritonclient.http.aio in every mode that they have."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import tritonclient.http
import tritonclient.http.aio
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

from .cases import Case, Cases, Mode, arguments, report, require, require_same

OUTPUTS = ("predict", "predict_proba")


class Triton:
    """The modes of one of the two clients, which differ in what must be awaited."""

    def __init__(self, client: Any, cases: Cases) -> None:
        self.client, self.cases = client, cases

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        found = getattr(self.client, method)(*arguments, **options)
        return await found if inspect.isawaitable(found) else found

    async def ask(self, case: Case, inputs: list[Any], binary: bool = True, **options: Any) -> Any:
        """Infer, with outputs in bytes or in JSON, and compare the answer."""
        address = options.pop("address", "")
        if not binary:
            options["outputs"] = [
                InferRequestedOutput(name, binary_data=False) for name in outputs_of(case)
            ]
        result = await self.call("infer", case.model, inputs, model_version=address, **options)
        compare(result, case, binary)
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
        require(metadata["name"] and metadata["version"], "the server has no name or version")
        require("binary_tensor_data" in metadata["extensions"], "binary_tensor_data is missing")

    async def metadata(self) -> None:
        for case in self.cases.models:
            found = await self.call("get_model_metadata", case.model)
            require_same(found["name"], case.model, "name")
            require(case.version in found["versions"], f"{case.model}: {found['versions']}")
            require_same(described(found["inputs"], "datatype", "shape"), columns(case), "inputs")
            told = described(found["outputs"], "datatype", "shape")
            require_same(told, tensors(case), "outputs")

    async def config(self) -> None:
        for case in self.cases.models:
            found = await self.call("get_model_config", case.model)
            require_same(found["name"], case.model, "name")
            require(found["max_batch_size"] == 0, "max_batch_size is not 0")
            for member, wanted in (("input", columns(case)), ("output", tensors(case))):
                wanted = [
                    [name, "TYPE_" + ("STRING" if datatype == "BYTES" else datatype), dims]
                    for name, datatype, dims in wanted
                ]
                told = described(found[member], "data_type", "dims")
                require_same(told, wanted, member)

    async def statistics(self) -> None:
        case = self.cases.models[0].head(7)
        before = await self._statistics(case)
        await self.ask(case, by_column(case))
        after = await self._statistics(case)
        added = after["inference_count"] - before["inference_count"]
        require(added == len(case.rows), f"{added} inferences for {len(case.rows)} rows")
        require(after["execution_count"] > before["execution_count"], "no execution was counted")
        require(after["inference_stats"]["success"]["count"] > 0, "no success was counted")
        everyone = await self.call("get_inference_statistics")
        names = {each["name"] for each in everyone["model_stats"]}
        require({case.model for case in self.cases.models} <= names, f"only {sorted(names)}")

    async def _statistics(self, case: Case) -> Any:
        found = await self.call("get_inference_statistics", case.model)
        (only,) = found["model_stats"]
        require_same([only["name"], only["version"]], [case.model, case.version], "model_stats")
        return only

    async def index(self) -> None:
        found = await self.call("get_model_repository_index")
        ready = {(each["name"], each["version"]) for each in found if each["state"] == "READY"}
        for case in self.cases.models:
            require((case.model, case.version) in ready, f"{case.model} is not in {found}"[:300])

    async def repository(self) -> None:
        """Load and unload, which only who has a key may do."""
        spare = self.cases.of(self.cases.spare).head(1)
        for method in ("load_model", "unload_model"):
            for headers in (None, {"X-API-Key": "wrong"}):
                error = await self.failure(method, spare.model, headers=headers)
                require(error.status() == "401", f"{method} without the key: {error}")
        require(await self.call("is_model_ready", spare.model), "it was unloaded without the key")
        key = self.cases.key
        await self.call("unload_model", spare.model, headers={"X-API-Key": key})
        try:
            require(not await self.call("is_model_ready", spare.model), "it is not unloaded")
            await self.failure("infer", spare.model, by_column(spare))
        finally:
            bearer = {"Authorization": f"Bearer {key}"}
            await self.call("load_model", spare.model, headers=bearer)
        require(await self.call("is_model_ready", spare.model), "it is not loaded again")
        await self.ask(spare, by_column(spare))

    # Infer ---------------------------------------------------------------------------

    async def in_bytes(self) -> None:
        for case in self.cases.sent:
            await self.ask(case, by_column(case))

    async def in_json(self) -> None:
        for case in self.cases.complete:
            await self.ask(case, by_column(case, binary=False), binary=False)
            await self.ask(case, by_column(case, binary=False), binary=True)
            await self.ask(case, by_column(case), binary=False)

    async def missing_numbers(self) -> None:
        """The client writes NaN into JSON, which is none."""
        for case in self.cases.incomplete:
            await self.ask(case, by_column(case, binary=False), binary=False)

    async def texts(self) -> None:
        for case in self.cases.sent:
            if not case.numeric:
                for absent in (None, np.nan):
                    for binary in (True, False):
                        await self.ask(case, by_column(case, binary=binary, absent=absent))

    async def flat_columns(self) -> None:
        """Tensors of the shape [n], in another order than that of the model."""
        for case in self.cases.sent:
            await self.ask(case, by_column(case, flat=True)[::-1])

    async def datatypes(self) -> None:
        """Whole numbers as any datatype that holds them, whatever the column is of."""
        for case in self.cases.whole:
            for datatype in ("FP64", "FP32", "INT64", "INT32", "UINT16"):
                for binary in (True, False):
                    inputs = by_column(case, binary=binary, datatype=datatype)
                    await self.ask(case, inputs, binary)
                matrix = np.array(case.rows).astype(triton_to_np_dtype(datatype))
                await self.ask(case, [tensor("matrix", matrix, True)])

    async def at_a_time(self) -> None:
        """Requests of a row each that may be answered as one batch: of different datatypes, and
        some of them wrong."""
        for whole in self.cases.whole:
            case = self.cases.of(whole.model)
            asked: list[tuple[Case | None, Any]] = []
            for i in range(12):
                exact, any_ = whole.only(i), case.only(i)
                text = tensor(case.names[0], np.array([["many"]], dtype=object), True)
                asked += [
                    (exact, by_column(exact, datatype="INT64")),
                    (any_, by_column(any_)),
                    (None, [text, *by_column(any_)[1:]]),
                    (any_, by_column(any_, binary=False)),
                ]
            answers = await self.together(case.model, [inputs for _, inputs in asked])
            for (wanted, _), answer in zip(asked, answers, strict=True):
                if wanted is None:
                    require(isinstance(answer, InferenceServerException), "a text was answered")
                    require(answer.status() == "400", f"{answer}")
                else:
                    require(not isinstance(answer, Exception), f"{answer}")
                    compare(answer, wanted, True)

    async def together(self, model: str, requests: list[Any]) -> list[Any]:
        """The answers, or the exceptions, of requests that are under way at the same time."""
        if inspect.iscoroutinefunction(self.client.infer):
            tasks = [self.client.infer(model, inputs) for inputs in requests]
            return list(await asyncio.gather(*tasks, return_exceptions=True))
        found: list[Any] = []
        for each in [self.client.async_infer(model, inputs) for inputs in requests]:
            try:
                found.append(each.get_result())
            except InferenceServerException as error:
                found.append(error)
        return found

    async def matrix(self) -> None:
        for case in self.cases.sent:
            for binary in (True, False):
                await self.ask(case, [one_matrix(case, binary)])

    async def chosen_outputs(self) -> None:
        for case in self.cases.sent:
            wanted = outputs_of(case)[::-1]
            if case.scores is not None:
                wanted.append("decision_function")
            for names in ([wanted[-1]], wanted):
                outputs = [
                    InferRequestedOutput(name, binary_data=number == 0)
                    for number, name in enumerate(names)
                ]
                result = await self.call("infer", case.model, by_column(case), outputs=outputs)
                told = result.get_response()["outputs"]
                require_same([output["name"] for output in told], names, "outputs")
                in_bytes = ["binary_data_size" in output.get("parameters", {}) for output in told]
                require_same(in_bytes, [True, False, False][: len(names)], "bytes")
                compare_values(result, case, names)
        case = self.cases.models[0].head(1)
        outputs = [InferRequestedOutput("nothing")]
        error = await self.failure("infer", case.model, by_column(case), outputs=outputs)
        require(error.status() == "400" and "nothing" in error.message(), f"{error}")

    async def request_id(self) -> None:
        case = self.cases.models[0].head(1)
        for binary in (True, False):
            result = await self.ask(case, by_column(case), binary, request_id="flower 7/ä")
            require_same(result.get_response()["id"], "flower 7/ä", "id")

    async def versions(self) -> None:
        for address, case in self.cases.versions.items():
            await self.ask(case, by_column(case), address=address)
            require(await self.call("is_model_ready", case.model, address), f"not {address}")
            found = await self.call("get_model_metadata", case.model, address)
            require_same(found["name"], case.model, "name")

    def compressed(self, **options: str) -> Mode:
        async def ask() -> None:
            for case in self.cases.sent:
                for binary in (True, False):
                    await self.ask(case, by_column(case, binary=binary), binary, **options)

        return ask

    async def errors(self) -> None:
        case = self.cases.models[0].head(3)
        inputs = by_column(case)
        unknown = await self.failure("infer", "nowhere", inputs)
        require(unknown.status() == "404" and "nowhere" in unknown.message(), f"{unknown}")
        unknown = await self.failure("infer", case.model, inputs, model_version="77")
        require(unknown.status() == "404" and "77" in unknown.message(), f"{unknown}")
        narrow = InferInput("matrix", [3, 1], "FP64").set_data_from_numpy(np.zeros((3, 1)))
        short = InferInput(case.names[0], [2], "FP64").set_data_from_numpy(np.zeros(2))
        texts = InferInput(case.names[0], [3, 1], "BYTES")
        texts.set_data_from_numpy(np.full((3, 1), "many", dtype=object))
        for wrong in ([narrow], [short, *inputs[1:]], [texts, *inputs[1:]], inputs[1:]):
            error = await self.failure("infer", case.model, wrong)
            require(error.status() == "400", f"{error}")
            require(" " in error.message() and "Traceback" not in error.message(), f"{error}")

    async def failure(self, method: str, *arguments: Any, **options: Any) -> Any:
        """The exception that carries the server's sentence."""
        try:
            await self.call(method, *arguments, **options)
        except InferenceServerException as error:
            own = error.message().startswith("an exception occurred in the client")
            require(not own, error.message())
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
            "V2: tensors in JSON": self.in_json,
            "V2: missing numbers in JSON": self.missing_numbers,
            "V2: texts, dates, missing values": self.texts,
            "V2: a tensor for each column, in any order": self.flat_columns,
            "V2: one matrix": self.matrix,
            "V2: whole numbers of any datatype": self.datatypes,
            "V2: many requests at a time": self.at_a_time,
            "V2: chosen outputs": self.chosen_outputs,
            "V2: request id": self.request_id,
            "V2: version and alias in the address": self.versions,
            "V2: request in gzip": self.compressed(request_compression_algorithm="gzip"),
            "V2: request in deflate": self.compressed(request_compression_algorithm="deflate"),
            "V2: answer in gzip": self.compressed(response_compression_algorithm="gzip"),
            "V2: answer in deflate": self.compressed(response_compression_algorithm="deflate"),
            "V2: errors are the server's sentence": self.errors,
        }


# Tensors -------------------------------------------------------------------------


def by_column(
    case: Case,
    *,
    binary: bool = True,
    flat: bool = False,
    absent: float | None = None,
    datatype: str | None = None,
) -> list[Any]:
    """A tensor for each column, of the datatype that the model names or of another."""
    found = []
    for position, column in enumerate(case.columns):
        values = as_array(column.datatype, case.values(position), absent)
        if datatype is not None:
            values = np.array(case.values(position)).astype(triton_to_np_dtype(datatype))
        values = values if flat else values[:, np.newaxis]
        found.append(tensor(column.name, values, binary))
    return found


def one_matrix(case: Case, binary: bool) -> Any:
    """All columns in one tensor: of numbers, or else of texts."""
    if case.numeric:
        return tensor("any name", as_array("FP64", case.rows), binary)
    return tensor("any name", np.array(case.rows, dtype=object), binary)


def tensor(name: str, values: Any, binary: bool) -> Any:
    found = InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    return found.set_data_from_numpy(values, binary_data=binary)


def as_array(datatype: str, values: list[Any], absent: float | None = None) -> Any:
    """Values as a Python program has them; whole numbers of which some are missing are floats."""
    if datatype == "BYTES":
        return np.array([absent if value is None else value for value in values], dtype=object)
    if datatype == "INT64" and None not in values:
        return np.array(values, dtype=np.int64)
    return np.array(values, dtype=bool if datatype == "BOOL" else np.float64)


# Answers -------------------------------------------------------------------------


def outputs_of(case: Case) -> list[str]:
    return list(OUTPUTS[: 1 if case.shares is None else 2])


def compare(result: Any, case: Case, binary: bool) -> None:
    response = result.get_response()
    require_same(response["model_name"], case.model, "model_name")
    require_same(response["model_version"], case.version, "model_version")
    for output in response["outputs"]:
        in_bytes = "binary_data_size" in output.get("parameters", {})
        require(in_bytes is binary, f"{output['name']}: bytes where JSON is due, or JSON for bytes")
    require_same([output["name"] for output in response["outputs"]], outputs_of(case), "outputs")
    compare_values(result, case, outputs_of(case))


def compare_values(result: Any, case: Case, names: list[str]) -> None:
    wanted = {
        "predict": case.labels,
        "predict_proba": case.tensor,
        "decision_function": case.scores,
    }
    for name in names:
        found = plain(result.as_numpy(name).tolist())
        require_same(found, wanted[name], f"{case.model}: {name}")


def plain(values: Any) -> Any:
    """Lists of values, with texts as such."""
    if isinstance(values, list):
        return [plain(value) for value in values]
    return values.decode() if isinstance(values, bytes) else values


# Metadata ------------------------------------------------------------------------


def described(members: list[dict[str, Any]], datatype: str, shape: str) -> list[Any]:
    return [[member["name"], member[datatype], member[shape]] for member in members]


def columns(case: Case) -> list[Any]:
    return [[column.name, column.datatype, [-1, 1]] for column in case.columns]


def tensors(case: Case) -> list[Any]:
    """The outputs of the model, whose datatype the labels themselves tell."""
    label = case.labels[0][0] if case.several else case.labels[0]
    datatype = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}[type(label)]
    targets = [len(case.labels[0])] if case.several else []
    found: list[Any] = [["predict", datatype, [-1, *targets]]]
    if case.shares is not None:
        found.append(["predict_proba", "FP64", [-1, *targets, max(map(len, case.classes))]])
    return found


async def main() -> None:
    url, cases = arguments()
    host = url.removeprefix("http://")
    clients: dict[str, Callable[[str], Any]] = {
        "tritonclient.http": partial(tritonclient.http.InferenceServerClient, concurrency=8),
        "tritonclient.http.aio": tritonclient.http.aio.InferenceServerClient,
    }
    for name, client in clients.items():
        connected = client(host)
        await report(name, version("tritonclient"), Triton(connected, cases).modes)
        closed = connected.close()
        if inspect.isawaitable(closed):
            await closed


if __name__ == "__main__":
    asyncio.run(main())
