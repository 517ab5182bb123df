"""FastMCP's client."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from fastmcp import Client

from .cases import arguments, report
from .mcp_modes import Agent, Called, modes_of


async def main() -> None:
    url, cases = arguments()
    async with Client(f"{url}/mcp") as client:

        async def schemas() -> dict[str, Any]:
            return {tool.name: tool.input_schema for tool in await client.list_tools()}

        async def call(name: str, sent: dict[str, Any]) -> Called:
            result = await client.call_tool(name, sent, raise_on_error=False)
            return Called(result.structured_content, result.is_error, result.content[0].text)

        modes = modes_of(Agent(schemas, call), cases, "discovered")
        await report("fastmcp.Client", version("fastmcp"), modes)


if __name__ == "__main__":
    asyncio.run(main())
