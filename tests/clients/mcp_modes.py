"""What each client of the Model Context Protocol is asked to do, whatever its API is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from .by_hand import compare_many
from .cases import Cases, Mode, require, require_same

Rows = list[dict[str, Any]]


class Called(NamedTuple):
    """The result of a call: what is for programs, whether it is an error, and its text."""

    content: Any
    failed: bool
    text: str


class Agent(NamedTuple):
    """A client: how it lists the schemas of the arguments by the names of the tools, and calls."""

    schemas: Callable[[], Awaitable[dict[str, Any]]]
    call: Callable[[str, dict[str, Any]], Awaitable[Called]]


def modes_of(agent: Agent, cases: Cases, era: str) -> dict[str, Mode]:
    """The modes, which say in which era they were asked."""

    async def tools() -> None:
        schemas = await agent.schemas()
        for case in cases.models:
            require(case.model in schemas, f"no tool {case.model}")
            row = schemas[case.model]["properties"]["rows"]["items"]
            require_same(list(row["properties"]), case.names, case.model)

    async def examples() -> None:
        for name, schema in (await agent.schemas()).items():
            for example in schema["examples"]:
                called = await agent.call(name, example)
                require(not called.failed, f"{name}: {called.text}")

    async def calls() -> None:
        for case in cases.sent:
            called = await agent.call(case.model, {"rows": case.records})
            require(not called.failed, f"{case.model}: {called.text}")
            compare_many(called.content, case)

    async def faults() -> None:
        for case in cases.models:
            called = await agent.call(case.model, {"rows": [{}]})
            require(called.failed, f"{case.model}: no error")
            require(called.text.startswith(f"{case.names[0]}: expected "), called.text)

    return {
        f"MCP: tools by their schemas ({era})": tools,
        f"MCP: the example of each schema ({era})": examples,
        f"MCP: one row and many ({era})": calls,
        f"MCP: faulty rows are a result ({era})": faults,
    }
