"""The official SDK of the Model Context Protocol before version 2: it opens by `initialize`."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from .cases import arguments, report
from .mcp_modes import Agent, Called, modes_of


async def main() -> None:
    url, cases = arguments()
    async with (
        streamable_http_client(f"{url}/mcp") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()

        async def schemas() -> dict[str, Any]:
            return {tool.name: tool.inputSchema for tool in (await session.list_tools()).tools}

        async def call(name: str, sent: dict[str, Any]) -> Called:
            result = await session.call_tool(name, sent)
            return Called(result.structuredContent, result.isError, result.content[0].text)

        modes = modes_of(Agent(schemas, call), cases, "opened")
        await report("mcp.ClientSession", version("mcp"), modes)


if __name__ == "__main__":
    asyncio.run(main())
