"""A bare server of grpc.aio that answers each message with itself: what gRPC alone costs.

python -m bench.grpc_echo
"""

from __future__ import annotations

from typing import Any

import grpc
import uvloop
from grpc import aio


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(echo)


async def echo(message: bytes, context: Any) -> bytes:
    return message


async def main() -> None:
    server = aio.server(options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"gRPC on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
