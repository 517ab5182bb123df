"""MLflow's ScoringServerClient. It names no model: the columns do, or it is the default one."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from .cases import SENT, Case, Cases, Mode, arguments, report, require, require_same


class MLflow:
    def __init__(self, client: Any, cases: Cases) -> None:
        self.client, self.cases = client, cases
        self.named = [case for case in cases.sent if case.alone or case.model == cases.default]
        self.unnamed = [cases.of(cases.default).head(count) for count in SENT]

    async def health(self) -> None:
        self.client.ping()
        self.client.wait_server_ready(timeout=5)
        told = self.client.get_version()
        require(told and not told.startswith(("{", '"', "<")), f"the version is {told!r:.60}")

    async def frames(self) -> None:
        for case in self.named:
            self.ask(case, frame(case))

    async def frames_with_gaps(self) -> None:
        """Missing texts, numbers and dates, which the client writes as NaN and NaT."""
        for case in self.cases.incomplete:
            if case.alone:
                self.ask(case, frame(case))

    async def any_order(self) -> None:
        for case in self.named:
            self.ask(case, frame(case)[case.names[::-1]])

    async def arrays(self) -> None:
        for case in self.unnamed:
            self.ask(case, np.array(case.rows))

    async def lists(self) -> None:
        for case in self.unnamed:
            self.ask(case, case.rows)
        for case in self.named:
            self.ask(case, case.records)

    async def payloads(self) -> None:
        """The client sends a payload of one's own as it is: all four forms of it."""
        for case in self.named:
            columns = {name: case.values(position) for position, name in enumerate(case.names)}
            self.ask(case, {"dataframe_split": {"columns": case.names, "data": case.rows}})
            self.ask(case, {"dataframe_records": case.records})
            self.ask(case, {"instances": case.records})
            self.ask(case, {"inputs": columns})

    async def parameters(self) -> None:
        case = self.named[0]
        answer = self.client.invoke(frame(case), params={})
        require_same(answer["predictions"], case.labels, case.model)

    async def errors(self) -> None:
        case = self.cases.of(self.cases.default).head(2)
        nothing = pd.DataFrame({"nothing": [1.0]})
        for wrong in (nothing, [[1.0]], np.full((2, 77), 1.0), frame(case)[case.names[1:]]):
            try:
                self.client.invoke(wrong)
            except Exception as error:
                told = json.loads(str(error).partition("response: ")[2].removesuffix(")"))
                require("(error code 400," in str(error), f"not 400: {error}")
                require(told["error_code"].isupper() and " " in told["message"], f"{told}")
            else:
                raise AssertionError("it was answered")

    def ask(self, case: Case, data: Any) -> None:
        payload = json.dumps(data) if isinstance(data, dict) else data
        answer = self.client.invoke(payload)
        require_same(answer["predictions"], case.labels, case.model)
        found = answer.get_predictions()
        require(len(found) == len(case.rows), "not as many predictions as rows")

    @property
    def modes(self) -> dict[str, Mode]:
        return {
            "/invocations: ping, version": self.health,
            "/invocations: DataFrame": self.frames,
            "/invocations: DataFrame with missing values": self.frames_with_gaps,
            "/invocations: columns in any order": self.any_order,
            "/invocations: array of numpy": self.arrays,
            "/invocations: list": self.lists,
            "/invocations: all four forms of JSON": self.payloads,
            "/invocations: params": self.parameters,
            "/invocations: errors are the server's sentence": self.errors,
        }


def frame(case: Case) -> Any:
    """The rows as a program has them that read them from a file, with dates as such."""
    found = pd.DataFrame(case.rows, columns=case.names)
    for column in case.columns:
        if column.type == "date":
            found[column.name] = pd.to_datetime(found[column.name], format="ISO8601")
        elif column.datatype == "BYTES":
            found[column.name] = found[column.name].fillna(np.nan)
    return found


async def main() -> None:
    url, cases = arguments()
    address = urlsplit(url)
    client = ScoringServerClient(address.hostname, address.port)
    await report("mlflow", version("mlflow-skinny"), MLflow(client, cases).modes)


if __name__ == "__main__":
    asyncio.run(main())
