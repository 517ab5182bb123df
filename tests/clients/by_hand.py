"""Every protocol as a program speaks it that writes its requests itself, with httpx or curl."""

from __future__ import annotations

import csv
import gzip
import io
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode

from .cases import Case, Cases, Mode, require, require_same

JSON = {"Content-Type": "application/json"}
CSV = {"Content-Type": "text/csv"}
LINES = {"Content-Type": "application/x-ndjson"}
LENGTH = "Inference-Header-Content-Length"
FORMATS = {"FP64": "<d", "INT64": "<q", "BOOL": "<?"}


class Answer(NamedTuple):
    """The body is decompressed; the names of the headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_constant=_refuse)


class Send(Protocol):
    """One request: a GET, or a POST with a body or with the fields of a form."""

    async def __call__(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Answer: ...


class ByHand:
    def __init__(self, send: Send, cases: Cases) -> None:
        self.send, self.cases = send, cases

    async def got(self, path: str) -> Any:
        return success(await self.send(path)).json

    async def post(self, path: str, content: Any, **headers: str) -> Any:
        body = json.dumps(content, allow_nan=False).encode()
        return success(await self.send(path, body, JSON | headers)).json

    # The server's own protocol -------------------------------------------------------

    async def one_row(self) -> None:
        for case in self.cases.models:
            for i in case.few:
                answer = await self.post(f"/models/{case.model}/predict", case.records[i])
                compare_one(answer, case, i)

    async def many_rows(self) -> None:
        for case in self.cases.sent:
            compare_many(await self.post(f"/models/{case.model}/predict", case.records), case)

    async def in_gzip(self) -> None:
        for case in self.cases.sent:
            body = gzip.compress(json.dumps(case.records).encode())
            headers = JSON | {"Content-Encoding": "gzip"}
            answer = await self.send(f"/models/{case.model}/predict", body, headers)
            compare_many(success(answer).json, case)

    async def form(self) -> None:
        for case in self.cases.models:
            for i in case.few:
                path, headers = f"/models/{case.model}/predict", {"Accept": "application/json"}
                answer = await self.send(path, headers=headers, fields=as_texts(case.records[i]))
                compare_one(success(answer).json, case, i)

    async def query(self) -> None:
        for case in self.cases.models:
            for i in case.few:
                asked = urlencode(as_texts(case.records[i]))
                compare_one(await self.got(f"/models/{case.model}/predict?{asked}"), case, i)

    async def own_versions(self) -> None:
        for address, case in self.cases.versions.items():
            path = f"/models/{case.model}/versions/{quote(address)}/predict"
            compare_many(await self.post(path, case.records), case)

    async def table(self) -> None:
        """CSV in and out: the same rows with the predictions and the probabilities."""
        for case in self.cases.sent:
            answer = await self.send(f"/models/{case.model}/predict", as_csv(case), CSV)
            told = success(answer).headers["content-type"]
            require(told.startswith("text/csv"), f"the answer is {told}")
            compare_table(answer.body.decode(), case)

    async def lines_of_rows(self) -> None:
        """JSON Lines in and out: a line for each row."""
        for case in self.cases.sent:
            body = "\n".join(json.dumps(row) for row in case.records).encode()
            answer = await self.send(f"/models/{case.model}/predict", body, LINES)
            require_same(success(answer).headers["content-type"], LINES["Content-Type"], "type")
            answers = [json.loads(line) for line in answer.body.splitlines()]
            require(len(answers) == len(case.rows), f"{len(answers)} lines for {len(case.rows)}")
            for number, told in enumerate(answers):
                compare_one(told, case, number)

    async def own_errors(self) -> None:
        model = self.cases.models[0].model
        for path, status in ((f"/models/{model}/predict", 400), ("/models/nowhere/predict", 404)):
            answer = await self.send(path, b'{"nothing": 1}', JSON)
            require_failure(answer, status, "error")

    # V1 ------------------------------------------------------------------------------

    async def v1(self) -> None:
        for case in self.cases.models:
            require((await self.got(f"/v1/models/{case.model}"))["ready"] is True, case.model)
        require_same((await self.got("/"))["status"], "alive", "status")

    async def lists(self) -> None:
        await self.v1_forms(lambda case: {"instances": case.rows})

    async def objects(self) -> None:
        await self.v1_forms(lambda case: {"instances": case.records})

    async def columns(self) -> None:
        await self.v1_forms(lambda case: {"inputs": by_name(case)})

    async def v1_forms(self, content: Any) -> None:
        for case in self.cases.sent:
            answer = await self.post(f"/v1/models/{case.model}:predict", content(case))
            require_same(answer["predictions"], case.labels, case.model)

    async def v1_versions(self) -> None:
        for address, case in self.cases.versions.items():
            path = f"/v1/models/{case.model}/versions/{quote(address)}:predict"
            answer = await self.post(path, {"instances": case.rows})
            require_same(answer["predictions"], case.labels, case.model)

    async def v1_errors(self) -> None:
        for model, status in ((self.cases.models[0].model, 400), ("nowhere", 404)):
            answer = await self.send(f"/v1/models/{model}:predict", b'{"instances": [[1]]}', JSON)
            require_failure(answer, status, "error")

    # V2 ------------------------------------------------------------------------------

    async def v2(self) -> None:
        require_same(await self.got("/v2/health/live"), {"live": True}, "live")
        require((await self.got("/v2/health/ready"))["ready"] is True, "the server is not ready")
        for case in self.cases.models:
            answer = await self.got(f"/v2/models/{case.model}/ready")
            require_same(answer, {"name": case.model, "ready": True}, "ready")

    async def server_metadata(self) -> None:
        found = await self.got("/v2")
        require(found["name"] and found["version"], "the server has no name or version")
        require("binary_tensor_data" in found["extensions"], "binary_tensor_data is missing")

    async def metadata(self) -> None:
        for case in self.cases.models:
            found = await self.got(f"/v2/models/{case.model}")
            told = [[column["name"], column["datatype"]] for column in found["inputs"]]
            require_same(told, [[each.name, each.datatype] for each in case.columns], "inputs")

    async def index(self) -> None:
        found = await self.post("/v2/repository/index", {"ready": True})
        told = {each["name"] for each in found}
        require({case.model for case in self.cases.models} <= told, f"only {sorted(told)}")

    async def repository(self) -> None:
        """Load and unload, which only who has a key may do."""
        told = []
        spare, keyed = self.cases.spare, JSON | {"X-API-Key": self.cases.key}
        for action in ("unload", "load"):
            path = f"/v2/repository/models/{spare}/{action}"
            require_failure(await self.send(path, b"{}", JSON), 401, "error")
            success(await self.send(path, b"{}", keyed))
            told.append((await self.send(f"/v2/models/{spare}/ready")).status)
        require_same(told, [503, 200], "ready after unload and after load")

    async def in_json(self) -> None:
        for case in self.cases.sent:
            answer = await self.post(f"/v2/models/{case.model}/infer", by_column(case))
            compare_v2(answer, case)

    async def in_bytes(self) -> None:
        for case in self.cases.sent:
            body, headers = in_bytes(case)
            answer = success(await self.send(f"/v2/models/{case.model}/infer", body, headers))
            length = int(answer.headers[LENGTH.lower()])
            compare_v2(json.loads(answer.body[:length]), case, answer.body[length:])

    async def matrix(self) -> None:
        for case in self.cases.sent:
            if case.numeric:
                shape = [len(case.rows), len(case.columns)]
                each = {"name": "x", "shape": shape, "datatype": "FP64", "data": case.rows}
                answer = await self.post(f"/v2/models/{case.model}/infer", {"inputs": [each]})
                compare_v2(answer, case)

    async def v2_versions(self) -> None:
        for address, case in self.cases.versions.items():
            path = f"/v2/models/{case.model}/versions/{quote(address)}/infer"
            compare_v2(await self.post(path, by_column(case)), case)

    async def gzip_request(self) -> None:
        await self.compressed("gzip", gzip.compress)

    async def deflate_request(self) -> None:
        await self.compressed("deflate", zlib.compress)

    async def compressed(self, encoding: str, compress: Any) -> None:
        for case in self.cases.sent:
            body = compress(json.dumps(by_column(case)).encode())
            headers = JSON | {"Content-Encoding": encoding}
            answer = await self.send(f"/v2/models/{case.model}/infer", body, headers)
            compare_v2(success(answer).json, case)

    async def gzip_answer(self) -> None:
        await self.compressed_answer("gzip")

    async def deflate_answer(self) -> None:
        await self.compressed_answer("deflate")

    async def compressed_answer(self, encoding: str) -> None:
        for case in self.cases.sent:
            body = json.dumps(by_column(case)).encode()
            headers = JSON | {"Accept-Encoding": encoding}
            answer = success(await self.send(f"/v2/models/{case.model}/infer", body, headers))
            require_same(answer.headers.get("content-encoding"), encoding, "Content-Encoding")
            compare_v2(answer.json, case)

    async def v2_errors(self) -> None:
        for model, status in ((self.cases.models[0].model, 400), ("nowhere", 404)):
            answer = await self.send(f"/v2/models/{model}/infer", b'{"inputs": []}', JSON)
            require_failure(answer, status, "error")

    # MLflow --------------------------------------------------------------------------

    async def ping(self) -> None:
        success(await self.send("/ping"))
        success(await self.send("/health"))
        told = success(await self.send("/version")).body
        require(told and told[:1] not in b'{"<', f"the version is {told!r:.60}")

    async def four_forms(self) -> None:
        for case in self.cases.sent:
            columns = by_name(case)
            for content in (
                {"dataframe_split": {"columns": case.names, "data": case.rows}},
                {"dataframe_records": case.records},
                {"instances": case.records},
                {"instances": case.rows},
                {"inputs": columns},
                {"inputs": case.rows},
            ):
                answer = await self.post(f"/invocations?model={case.model}", content)
                require_same(answer["predictions"], case.labels, case.model)

    async def table_of_rows(self) -> None:
        for case in self.cases.sent:
            headers = {"Content-Type": "text/csv; charset=utf-8"}
            answer = await self.send(f"/invocations?model={case.model}", as_csv(case), headers)
            require_same(success(answer).json["predictions"], case.labels, case.model)

    async def named_by_columns(self) -> None:
        for case in self.cases.sent:
            if case.alone or case.model == self.cases.default:
                answer = await self.post("/invocations", {"dataframe_records": case.records})
                require_same(answer["predictions"], case.labels, case.model)

    async def invocation_errors(self) -> None:
        for body in (b"{}", b'{"dataframe_records": [{"nothing": 1}]}', b"not JSON"):
            answer = await self.send("/invocations", body, JSON)
            require_failure(answer, 400, "message")
            require(answer.json["error_code"].isupper(), f"error_code: {answer.body!r:.200}")

    @property
    def modes(self) -> dict[str, Mode]:
        return {
            "own JSON: one row": self.one_row,
            "own JSON: many rows": self.many_rows,
            "own JSON: request in gzip": self.in_gzip,
            "own JSON: version and alias in the address": self.own_versions,
            "own JSON: errors are the server's sentence": self.own_errors,
            "query": self.query,
            "form": self.form,
            "CSV, answered with CSV": self.table,
            "JSON Lines, answered with JSON Lines": self.lines_of_rows,
            "V1: alive, models ready": self.v1,
            "V1: instances as lists": self.lists,
            "V1: instances as objects": self.objects,
            "V1: inputs by column": self.columns,
            "V1: version and alias in the address": self.v1_versions,
            "V1: errors are the server's sentence": self.v1_errors,
            "V2: live, ready": self.v2,
            "V2: server metadata": self.server_metadata,
            "V2: model metadata": self.metadata,
            "V2: repository index": self.index,
            "V2: load and unload, with an API key": self.repository,
            "V2: tensors in bytes": self.in_bytes,
            "V2: tensors in JSON": self.in_json,
            "V2: one matrix": self.matrix,
            "V2: version and alias in the address": self.v2_versions,
            "V2: request in gzip": self.gzip_request,
            "V2: request in deflate": self.deflate_request,
            "V2: answer in gzip": self.gzip_answer,
            "V2: answer in deflate": self.deflate_answer,
            "V2: errors are the server's sentence": self.v2_errors,
            "/invocations: ping, version": self.ping,
            "/invocations: all four forms of JSON": self.four_forms,
            "/invocations: CSV": self.table_of_rows,
            "/invocations: model by its columns": self.named_by_columns,
            "/invocations: errors are the server's sentence": self.invocation_errors,
        }


# Requests ------------------------------------------------------------------------


def by_name(case: Case) -> dict[str, list[Any]]:
    return {name: case.values(position) for position, name in enumerate(case.names)}


def as_text(value: Any) -> str:
    """A value in a form or a file; a float's `repr` is read as the same float."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_texts(record: Mapping[str, Any]) -> dict[str, str]:
    return {name: as_text(value) for name, value in record.items()}


def as_csv(case: Case) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(
        [case.names, *([as_text(each) for each in row] for row in case.rows)]
    )
    return text.getvalue().encode()


def by_column(case: Case) -> dict[str, Any]:
    """A request of V2 with a tensor for each column."""
    shape = [len(case.rows), 1]
    inputs = [
        {
            "name": each.name,
            "shape": shape,
            "datatype": each.datatype,
            "data": case.values(position),
        }
        for position, each in enumerate(case.columns)
    ]
    return {"inputs": inputs}


def in_bytes(case: Case) -> tuple[bytes, dict[str, str]]:
    """The same with the binary extension, which asks for an answer in bytes as well."""
    inputs, tensors = [], []
    for position, column in enumerate(case.columns):
        values, datatype = case.values(position), column.datatype
        if datatype == "INT64" and None in values:
            datatype = "FP64"
        tensors.append(b"".join(packed(datatype, value) for value in values))
        inputs.append(
            {
                "name": column.name,
                "shape": [len(values)],
                "datatype": datatype,
                "parameters": {"binary_data_size": len(tensors[-1])},
            }
        )
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    return head + b"".join(tensors), headers


def packed(datatype: str, value: Any) -> bytes:
    if datatype == "BYTES":
        text = ("" if value is None else str(value)).encode()
        return struct.pack("<I", len(text)) + text
    return struct.pack(FORMATS[datatype], float("nan") if value is None else value)


# Answers -------------------------------------------------------------------------


def success(answer: Answer) -> Answer:
    require(answer.status == 200, f"{answer.status}: {answer.body!r:.300}")
    return answer


def require_failure(answer: Answer, status: int, member: str) -> None:
    require(answer.status == status, f"{answer.status}, not {status}: {answer.body!r:.200}")
    require(answer.headers["content-type"] == "application/json", "the error is no JSON")
    require(" " in answer.json[member], f"no sentence: {answer.body!r:.200}")


def compare_one(answer: Any, case: Case, position: int) -> None:
    require_same(answer["prediction"], case.labels[position], case.model)
    if case.probabilities is not None:
        require_same(answer["probabilities"], case.probabilities[position], case.model)


def compare_many(answer: Any, case: Case) -> None:
    require_same(answer["predictions"], case.labels, case.model)
    if case.probabilities is not None:
        require_same(answer["probabilities"], case.probabilities, case.model)
    require_same(str(answer["version"]), case.version, "version")


def compare_v2(answer: Any, case: Case, tail: bytes = b"") -> None:
    require_same(answer["model_name"], case.model, "model_name")
    require_same(answer["model_version"], case.version, "model_version")
    wanted = {"predict": case.labels}
    if case.tensor is not None:
        wanted["predict_proba"] = case.tensor
    require_same([output["name"] for output in answer["outputs"]], list(wanted), "outputs")
    for output in answer["outputs"]:
        if tail:
            size = output["parameters"]["binary_data_size"]
            values, tail = unpacked(output["datatype"], tail[:size]), tail[size:]
        else:
            values = output["data"]
        expected, shape = flat(wanted[output["name"]])
        require_same(output["shape"], shape, "shape")
        require_same(values, expected, case.model)
    require(not tail, "bytes are left")


def flat(values: Any) -> tuple[list[Any], list[int]]:
    """Nested lists as one list, and their shape."""
    if not isinstance(values, list):
        return [values], []
    parts = [flat(value) for value in values]
    return [each for part, _ in parts for each in part], [len(values), *parts[0][1]]


def unpacked(datatype: str, data: bytes) -> list[Any]:
    if datatype != "BYTES":
        return [value for (value,) in struct.iter_unpack(FORMATS[datatype], data)]
    found = []
    while data:
        (length,) = struct.unpack_from("<I", data)
        found.append(data[4 : 4 + length].decode())
        data = data[4 + length :]
    return found


def compare_table(text: str, case: Case) -> None:
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    results = result_columns(case)
    require_same(header, [*case.names, *results, "error"], "header")
    require(len(rows) == len(case.rows), f"{len(rows)} rows for {len(case.rows)}")
    for number, row in enumerate(rows):
        place, width = f"{case.model}: row {number}", len(case.names)
        require_same(row[:width], [as_text(value) for value in case.rows[number]], place)
        cells = zip(results, row[width:-1], expected_cells(case, number), strict=True)
        for name, cell, wanted in cells:
            found = float(cell) if isinstance(wanted, float) else cell
            require_same(found, wanted, f"{place}: {name}")
        require_same(row[-1], "", f"{place}: error")


def result_columns(case: Case) -> list[str]:
    """For each target its prediction, and the probabilities of its classes."""
    found = []
    for number, name in enumerate(case.targets):
        suffix = f"_{name}" if case.several else ""
        found.append(f"prediction{suffix}")
        if case.shares is not None:
            found += [f"probability{suffix}_{label}" for label in case.classes[number]]
    return found


def expected_cells(case: Case, position: int) -> list[Any]:
    """What these columns hold in a row: floats as such, anything else as its text."""
    label = case.labels[position]
    found: list[Any] = []
    for number, each in enumerate(label if case.several else [label]):
        found.append(each if isinstance(each, float) else as_text(each))
        if case.shares is not None:
            found += case.shares[position][number]
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
