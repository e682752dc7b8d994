"""The function, served over gRPC: to Crossplane with its certificates, or plainly on this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from continuo.iot.compose import wire
from continuo.resources.errors import BadRequest

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 64 * 1024 * 1024
"""Observed state of a thousand boards' objects is some megabytes; Crossplane's own limit for answers is 4 MiB."""
_OPTIONS = (
    ("grpc.max_receive_message_length", LONGEST_MESSAGE),
    ("grpc.max_send_message_length", LONGEST_MESSAGE),
    ("grpc.so_reuseport", 0),
)

Function = Callable[[Any], Any]
"""A request's message to a response's; pure."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """The server's certificate, and the authority that callers' certificates must be of."""

    certificate: bytes
    key: bytes
    authority: bytes

    @classmethod
    def read(cls, folder: Path) -> Certificates:
        """From a folder as Crossplane mounts it (`tls.crt`, `tls.key`, `ca.crt`); BadRequest names what is missing."""
        try:
            return cls(*((folder / name).read_bytes() for name in ("tls.crt", "tls.key", "ca.crt")))
        except OSError as error:
            raise BadRequest(
                f"certificates cannot be read ({error}): give a folder with tls.crt, tls.key and ca.crt, or --insecure"
            ) from error


class FunctionServer:
    """A composition function at one address, for both versions of the protocol."""

    def __init__(self, function: Function, address: str, certificates: Certificates | None) -> None:
        self._function, self._address, self._certificates = function, address, certificates
        self._server: Any = None
        self.port = 0
        """The port it got, once started."""

    async def start(self) -> None:
        """Answer from now on; BadRequest when the address cannot be had."""
        server: Any = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers(tuple(self._handler(service) for service in wire.SERVICES))
        try:
            self.port = self._listen(server)
        except RuntimeError as error:
            raise BadRequest(
                f"address {self._address} cannot be listened on: it is in use, or is not host:port"
            ) from error
        await server.start()
        self._server = server

    async def stop(self, grace: float = 5.0) -> None:
        """Answer no more; calls that are under way have so many seconds."""
        if self._server is not None:
            await self._server.stop(grace)

    async def wait(self) -> None:
        """Return when it was stopped."""
        await self._server.wait_for_termination()

    def _listen(self, server: Any) -> int:
        found = self._certificates
        if found is None:
            return int(server.add_insecure_port(self._address))
        credentials = grpc.ssl_server_credentials(
            [(found.key, found.certificate)], found.authority, require_client_auth=True
        )
        return int(server.add_secure_port(self._address, credentials))

    def _handler(self, service: str) -> grpc.GenericRpcHandler:
        method = grpc.unary_unary_rpc_method_handler(self._run, wire.read_request, wire.write)
        return grpc.method_handlers_generic_handler(service, {wire.METHOD: method})

    async def _run(self, request: Any, context: Any) -> Any:
        try:
            # A thousand boards take most of a second, during which the connection has to be kept alive.
            return await asyncio.to_thread(self._function, request)
        except Exception:
            log.exception("the function failed")
            await context.abort(grpc.StatusCode.INTERNAL, "the function failed; its log says why")
