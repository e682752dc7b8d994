"""A seller's REAR gateway as an application of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.seller.seller import Seller
from continuo.server.limits import BodyLimit
from continuo.server.rear_answers import handle_refusals
from continuo.server.routes.health import health_router
from continuo.server.routes.rear_flavors import flavors_router
from continuo.server.routes.rear_trade import trade_router

MOST = 256 << 10
"""Bytes of a request."""


def create_rear_app(seller: Seller, *, runs: bool = False) -> FastAPI:
    """The gateway; `runs` says that somebody else starts and stops the seller."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if runs:
            yield
            return
        await seller.start()
        try:
            yield
        finally:
            await seller.stop()

    app = FastAPI(
        title="Continuo REAR gateway", summary="Flavors of this node, for others to find, reserve and buy.",
        lifespan=lifespan, docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.include_router(health_router(seller.trouble))

    async def ready() -> None:
        if why := seller.trouble():
            raise Refusal(503, "not-ready", f"nothing can be sold yet: {why}", retry_after=2)

    for router in (flavors_router, trade_router):
        app.include_router(router(seller), dependencies=[Depends(ready)])
    handle_refusals(app)
    app.add_middleware(BodyLimit, limit=MOST)
    return app
