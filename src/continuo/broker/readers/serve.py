"""A reader, served over gRPC."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from continuo.broker.readers import wire
from continuo.broker.readers.amounts import spell
from continuo.broker.readers.port import ResourceReader
from continuo.broker.readers.security import ServerSecurity, address
from continuo.resources.errors import ApiError, BadRequest

log = logging.getLogger(__name__)

LONGEST_ID = 253
_OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 1024),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),
)


class ReaderServer:
    """One reader at one address."""

    def __init__(self, reader: ResourceReader, listen: str, security: ServerSecurity | None = None) -> None:
        self._reader, self._security = reader, security or ServerSecurity()
        self._at = address(listen)
        self._credentials = self._security.credentials(self._at)
        self._server: Any = None
        self.port = 0
        """The port it got, once started (0 of a socket file)."""

    async def start(self) -> None:
        """Answer from now on; BadRequest when the address cannot be had."""
        server: Any = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((self._handlers(),))
        try:
            if self._credentials is None:
                self.port = server.add_insecure_port(self._at.text)
            else:
                self.port = server.add_secure_port(self._at.text, self._credentials)
        except RuntimeError as error:
            raise BadRequest(f"address {self._at.text} cannot be listened on; is it in use?") from error
        await server.start()
        self._server = server

    async def stop(self, grace: float = 1.0) -> None:
        """Answer no more; calls that are under way may end."""
        if self._server is not None:
            await self._server.stop(grace)

    async def wait(self) -> None:
        """Return when it was stopped."""
        await self._server.wait_for_termination()

    def _handlers(self) -> grpc.GenericRpcHandler:
        made = {}
        for name, body in ((wire.READ, self._read), (wire.REMOVE, self._remove)):
            asked, _ = wire.METHODS[name]
            made[name] = grpc.unary_unary_rpc_method_handler(body, wire.decoder(asked), wire.encode)
        made[wire.SUBSCRIBE] = grpc.unary_stream_rpc_method_handler(
            self._subscribe, wire.decoder(wire.SubscribeRequest), wire.encode
        )
        return grpc.method_handlers_generic_handler(wire.SERVICE, made)

    async def _read(self, request: Any, context: Any) -> Any:
        await self._admit(context)
        await _check_id(context, "originator", request.originator)
        try:
            resources = await self._reader.read(request.originator)
        except ApiError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except Exception:
            log.exception("reading for cluster %s failed", request.originator)
            await context.abort(grpc.StatusCode.INTERNAL, "the reader failed; its log says why")
        return wire.ReadResponse(resources=spell(resources))

    async def _remove(self, request: Any, context: Any) -> Any:
        await self._admit(context)
        await _check_id(context, "cluster", request.cluster)
        try:
            await self._reader.remove(request.cluster)
        except ApiError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return wire.RemoveResponse()

    async def _subscribe(self, _: Any, context: Any) -> AsyncIterator[Any]:
        await self._admit(context)
        changes = self._reader.subscribe()
        try:
            # With the headers the caller knows that no change from here on is lost.
            await context.send_initial_metadata(())
            async for _change in changes:
                yield wire.UpdateNotification()
        finally:
            await changes.aclose()

    async def _admit(self, context: Any) -> None:
        if not self._security.admits(context.invocation_metadata()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "say the token: metadata authorization: Bearer TOKEN")


async def _check_id(context: Any, field: str, value: str) -> None:
    if not value or len(value) > LONGEST_ID:
        why = "is empty" if not value else f"has {len(value)} characters"
        await context.abort(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{field} {why}: it must be a cluster's ID of at most {LONGEST_ID} characters",
        )
