"""httpx, which most Python programs would use that know nothing of model servers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from .by_hand import Answer, ByHand
from .cases import arguments, report


async def main() -> None:
    url, cases = arguments()
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def send(
            path: str,
            body: bytes | None = None,
            headers: Mapping[str, str] | None = None,
            fields: Mapping[str, str] | None = None,
        ) -> Answer:
            method = "GET" if body is None and fields is None else "POST"
            answer = await client.request(method, path, content=body, data=fields, headers=headers)
            return Answer(answer.status_code, dict(answer.headers), answer.content)

        await report("httpx", httpx.__version__, ByHand(send, cases).modes)


if __name__ == "__main__":
    asyncio.run(main())
