"""The official SDK of the Model Context Protocol from version 2 on, in both of its eras."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from mcp import Client

from .cases import arguments, report
from .mcp_modes import Agent, Called, modes_of

ERAS = {"auto": "discovered", "legacy": "opened"}


def agent_of(client: Any) -> Agent:
    async def schemas() -> dict[str, Any]:
        return {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}

    async def call(name: str, sent: dict[str, Any]) -> Called:
        result = await client.call_tool(name, sent)
        return Called(result.structured_content, result.is_error, result.content[0].text)

    return Agent(schemas, call)


async def main() -> None:
    url, cases = arguments()
    for mode, era in ERAS.items():
        async with Client(f"{url}/mcp", mode=mode) as client:
            await report("mcp.Client", version("mcp"), modes_of(agent_of(client), cases, era))


if __name__ == "__main__":
    asyncio.run(main())
