"""`/api/v1/contracts/events`: what becomes of the contracts that one has bought or sold, as it happens.

A subscriber that comes back gets every contract as it is, so there is nothing to resume; one that is slow gets the last
version of each, so what it costs is bounded by its contracts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from continuo.broker.catalog.contracts import Contract
from continuo.server.catalog_face import Caller, CatalogParts
from continuo.server.catalog_fan import QUIET
from continuo.server.catalog_openapi import answers
from continuo.server.catalog_sockets import expired

_STREAM: dict[str, Any] = {
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
    "description": "Contracts.",
}
_LIVES = b": it lives\n\n"


def contract_events_router(parts: CatalogParts) -> APIRouter:
    """The stream."""
    router = APIRouter(prefix="/api/v1", tags=["contracts"])
    described = answers(200, None, 401, 403)
    described["responses"][200] = _STREAM

    @router.get("/contracts/events", **described)
    async def events(request: Request) -> Response:
        """Every contract that one has bought or sold as it is, then each change (server-sent events named `contract`)."""
        caller = await parts.caller(request)
        caller.require("contracts:read")
        return StreamingResponse(
            _events(parts, caller), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    return router


async def _events(parts: CatalogParts, caller: Caller) -> AsyncIterator[bytes]:
    account = None if caller.kind == "operator" else caller.id
    changed, news = asyncio.Event(), dict[str, Contract]()

    def note(contract: Contract) -> None:
        if account is None or account in (contract.buyer, contract.provider):
            news[contract.id] = contract
            changed.set()

    stop = parts.contracts.follow(note)
    try:
        news.update((contract.id, contract) for contract in reversed(parts.contracts.concerning(account)))
        loop = asyncio.get_running_loop()
        last = loop.time()
        while not parts.catalog.feed.closed and not expired(parts, caller):
            told = b"".join(_frame(contract) for contract in news.values())
            news.clear()
            changed.clear()
            if told or loop.time() - last > QUIET:
                yield told or _LIVES
                last = loop.time()
            await _either(changed, parts)
    finally:
        stop()


async def _either(changed: asyncio.Event, parts: CatalogParts) -> None:
    """Wait for news, or for the feed's next tick, with which streams look at their tokens and at the end."""
    waiting = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(parts.catalog.feed.next_tick())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def _frame(contract: Contract) -> bytes:
    return b"event: contract\ndata: %b\n\n" % msgspec.json.encode(contract.told())
