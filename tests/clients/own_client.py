"""The project's own client, `quart_app.client`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from quart_app.client import AsyncClient, NotFound, Rejected
from quart_app.version import VERSION

from .by_hand import as_csv, compare_table
from .cases import Case, Cases, Mode, arguments, report, require, require_same


class Own:
    def __init__(self, client: AsyncClient, cases: Cases) -> None:
        self.client, self.cases = client, cases

    async def one_row(self) -> None:
        for case in self.cases.models:
            for i in case.few:
                answer = await self.client.predict(case.model, case.records[i])
                require_same(answer.prediction, case.labels[i], case.model)
                if case.probabilities is not None:
                    require_same(answer.probabilities, case.probabilities[i], case.model)

    async def many_rows(self) -> None:
        for case in self.cases.sent:
            columns = {name: case.values(position) for position, name in enumerate(case.names)}
            for rows in (case.records, columns):
                answer = await self.client.predict_many(case.model, rows)
                require_same(answer.predictions, case.labels, case.model)
                require_same(answer.probabilities, case.probabilities, case.model)

    async def versions(self) -> None:
        for address, case in self.cases.versions.items():
            answer = await self.client.predict_many(case.model, case.records, version=address)
            require_same(answer.predictions, case.labels, case.model)
            require_same(str(answer.version), case.version, "version")

    async def table(self) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "rows.csv"
            for case in self.cases.sent:
                path.write_bytes(as_csv(case))
                for source in (path, chunks(case)):
                    parts = [part async for part in self.client.predict_csv(case.model, source)]
                    compare_table(b"".join(parts).decode(), case)

    async def descriptions(self) -> None:
        require(await self.client.live(), "the server is not live")
        require(await self.client.ready(), "the server is not ready")
        told = {model.name for model in await self.client.models()}
        require({case.model for case in self.cases.models} <= told, f"only {sorted(told)}")
        for case in self.cases.models:
            found = await self.client.model(case.model)
            require_same([each.name for each in found.inputs], case.names, "inputs")

    async def errors(self) -> None:
        case = self.cases.models[0]
        for model, kind in ((case.model, Rejected), ("nowhere", NotFound)):
            try:
                await self.client.predict(model, {"nothing": 1})
            except kind as error:
                require(" " in str(error), f"no sentence: {error}")
            else:
                raise AssertionError("it was answered")

    @property
    def modes(self) -> dict[str, Mode]:
        return {
            "own JSON: one row": self.one_row,
            "own JSON: many rows": self.many_rows,
            "own JSON: version and alias in the address": self.versions,
            "own JSON: live, ready, descriptions": self.descriptions,
            "own JSON: errors are the server's sentence": self.errors,
            "CSV, answered with CSV": self.table,
        }


async def chunks(case: Case) -> AsyncIterator[bytes]:
    """The file in parts that end anywhere."""
    data = as_csv(case)
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


async def main() -> None:
    url, cases = arguments()
    async with AsyncClient(url, api_key=cases.key) as client:
        await report("quart_app.client", VERSION, Own(client, cases).modes)


if __name__ == "__main__":
    asyncio.run(main())
