"""`/api/v2/reservations`, `/transactions`, `/contracts`: reserve, buy, ask how it goes, cancel."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from continuo.edge.rear import wire
from continuo.edge.rear.refusals import Refusal, bad
from continuo.edge.rear.requests import read_purchase, read_reserve
from continuo.edge.rear.seller.seller import Seller
from continuo.resources.meta import Object
from continuo.server.identity import peer_id
from continuo.server.rear_answers import answer


def who(request: Request) -> str | None:
    """The identity that the caller has proved."""
    found = peer_id(request.scope)
    return str(found) if found is not None else None


async def _told(seller: Seller, contract: Object) -> Object:
    """A contract as its buyer reads it; what leads into our cluster is made for this answer and kept nowhere."""
    kubeconfig = await seller.credentials(contract)
    return {**wire.contract_to(contract, kubeconfig), "status": seller.following.standing(contract)}


def trade_router(seller: Seller) -> APIRouter:
    """The routes of a trade."""
    router, market = APIRouter(prefix="/api/v2", tags=["trade"]), seller.market

    @router.post("/reservations")
    async def reserve(request: Request) -> Response:
        """Hold a flavor for a while. Asked for again, the same transaction lives longer."""
        wanted = read_reserve(await request.body())
        return answer(wire.transaction_to(await market.reserve(wanted, who(request))))

    @router.post("/transactions/{transaction}/purchase")
    async def purchase(transaction: str, request: Request) -> Response:
        """Buy what was reserved. Asked for again, the same contract is answered."""
        said = read_purchase(await request.body())
        return answer(await _told(seller, await market.purchase(transaction, who(request), said)))

    @router.get("/transactions/{transaction}")
    async def one_transaction(transaction: str, request: Request) -> Response:
        """A transaction; 408 once it has expired."""
        found = await market.transaction(transaction, who(request))
        if market.expired(found):
            raise Refusal(
                408, "transaction-expired", f"transaction {transaction} has expired: reserve the flavor again"
            )
        return answer(wire.transaction_to(found))

    @router.delete("/transactions/{transaction}", status_code=204)
    async def forgo(transaction: str, request: Request) -> Response:
        """Give a reservation up before it expires."""
        await market.forgo(transaction, who(request))
        return Response(status_code=204)

    @router.get("/contracts")
    async def contracts(request: Request) -> Response:
        """The caller's contracts; as text/event-stream: how they are doing, then every change of that."""
        peer, node = who(request), request.query_params.get("buyer", "")
        if peer is None and not node:
            raise bad("?buyer=ID must say whose contracts are meant, since nobody proves an identity here")
        if "text/event-stream" in request.headers.get("accept", ""):
            return StreamingResponse(_events(seller, peer, node), media_type="text/event-stream")
        return answer([wire.contract_to(found) | {"status": seller.following.standing(found)}
                       for found in seller.following.of(peer, node)])  # fmt: skip

    @router.get("/contracts/{contract}")
    async def one_contract(contract: str, request: Request) -> Response:
        """A contract, with how it is doing under `status`."""
        return answer(await _told(seller, await market.contract(contract, who(request))))

    @router.delete("/contracts/{contract}", status_code=202)
    async def cancel(contract: str, request: Request) -> Response:
        """End a contract; its data path, or its slice, goes at once."""
        found = await market.cancel(contract, who(request))
        return answer({"contractID": found["metadata"]["name"], "transactionID": found["spec"]["transactionID"]}, 202)

    return router


async def _events(seller: Seller, peer: str | None, node: str) -> AsyncIterator[bytes]:
    async for news in seller.following.follow(peer, node):
        if news is None:
            yield b": \n\n"
            continue
        name, standing = news
        told = msgspec.json.encode({"contractID": name, **({} if standing is None else {"status": standing})})
        yield b"event: %s\ndata: %s\n\n" % (b"gone" if standing is None else b"contract", told)
