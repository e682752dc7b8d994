"""Whether the process lives, and whether its answers are fresh: for probes, without authentication."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse


def health_router(trouble: Callable[[], str]) -> APIRouter:
    """`/healthz` and `/readyz`; `trouble` says why the server cannot serve, or nothing."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """Whether the process answers."""
        return "ok"

    @router.get("/readyz", response_class=PlainTextResponse, responses={503: {"description": "Not ready, and why."}})
    async def readyz() -> PlainTextResponse:
        """Whether the orchestrations are known and followed."""
        reason = trouble()
        return PlainTextResponse(reason or "ok", 503 if reason else 200)

    return router
