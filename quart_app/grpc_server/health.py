"""`grpc.health.v1.Health`: what Kubernetes' probes and load balancers ask.

The server as a whole and the service of inference serve when traffic should come here; the name
`live` stands for the process, which serves while it answers.

Source: github.com/grpc/grpc, doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from werkzeug.exceptions import NotFound

from .. import protobuf
from ..context import Context, readiness_of
from ..inference import InvalidRequest, NotReady
from ..protobuf import InvalidMessage
from .calls import Exchange, Method, Unary, Watched, Write
from .inference import SERVICE as INFERENCE

SERVICE: Final = "grpc.health.v1.Health"
LIVE: Final = "live"
SERVICES: Final = ("", INFERENCE, LIVE)

WATCH_SECONDS: Final = 0.25
"""Seconds after which a change is told to who watches."""

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class HealthService:
    """Tells whether traffic should come here. `closing` ends who watches."""

    def __init__(self, context: Context) -> None:
        self.closing = False
        self._context = context

    @property
    def methods(self) -> Mapping[str, Method]:
        """The methods by their paths."""
        return {
            f"/{SERVICE}/Check": Unary(self._check, is_counted=False),
            f"/{SERVICE}/List": Unary(self._list, is_counted=False),
            f"/{SERVICE}/Watch": Watched(self._watch),
        }

    async def _status(self, service: str) -> int:
        if service not in SERVICES:
            return SERVICE_UNKNOWN
        if service == LIVE:
            return SERVING
        return SERVING if (await readiness_of(self._context)).ready else NOT_SERVING

    async def _check(self, exchange: Exchange, message: bytes) -> bytes:
        service = _service(message)
        if service not in SERVICES:
            raise NotFound
        return _response(await self._status(service))

    async def _list(self, exchange: Exchange, message: bytes) -> bytes:
        found = {service: {"status": await self._status(service)} for service in SERVICES}
        kind = protobuf.message_class("grpc.health.v1.HealthListResponse")
        return bytes(kind(statuses=found).SerializeToString())

    async def _watch(self, exchange: Exchange, message: bytes, write: Write) -> None:
        service, told = _service(message), None
        while not self.closing:
            status = await self._status(service)
            if status != told:
                await write(_response(status))
                told = status
            await asyncio.sleep(WATCH_SECONDS)
        raise NotReady("The server is stopping.", None)


def _service(message: bytes) -> str:
    kind = protobuf.message_class("grpc.health.v1.HealthCheckRequest")
    try:
        found: str = protobuf.parsed(kind, message).service
    except InvalidMessage as error:
        raise InvalidRequest(str(error)) from None
    return found


def _response(status: int) -> bytes:
    kind = protobuf.message_class("grpc.health.v1.HealthCheckResponse")
    return bytes(kind(status=status).SerializeToString())
