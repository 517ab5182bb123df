"""curl, as in a shell script."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from urllib.parse import quote

from .by_hand import Answer, ByHand
from .cases import arguments, report


def answer_of(output: bytes) -> Answer:
    """What `curl --include` prints: perhaps an interim answer, then the headers and the body."""
    while True:
        head, _, output = output.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        if status >= 200:
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            return Answer(status, headers, output)


def version() -> str:
    told = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    return told.stdout.split()[1]


async def main() -> None:
    url, cases = arguments()

    async def send(
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Answer:
        command = ["curl", "--silent", "--show-error", "--include", "--globoff", url + path]
        for name, value in (headers or {}).items():
            command += ["--header", f"{name}: {value}"]
        if "Accept-Encoding" in (headers or {}):
            command.append("--compressed")
        if body is not None:
            command += ["--data-binary", "@-"]
        for name, value in (fields or {}).items():
            command += ["--data-urlencode", f"{quote(name)}={value}"]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        output, complaint = await process.communicate(body or b"")
        if process.returncode:
            raise RuntimeError(complaint.decode())
        return answer_of(output)

    await report("curl", version(), ByHand(send, cases).modes)


if __name__ == "__main__":
    asyncio.run(main())
