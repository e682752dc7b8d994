"""How a seller answers: JSON as FLUIDOS nodes read it, and refusals as one plain sentence, or as problems where asked so."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from continuo.edge.rear.refusals import Refusal
from continuo.resources.errors import ApiError
from continuo.server.problems import MEDIA_TYPE, Problem

log = logging.getLogger(__name__)


def answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON; bytes are JSON already."""
    body = data if isinstance(data, bytes) else msgspec.json.encode(data)
    return Response(body, status, headers, media_type="application/json")


def refused(request: Request, refusal: Refusal) -> Response:
    """A sentence and a line feed, as Go's servers answer; RFC 9457 where the client accepts that."""
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after is not None else {}
    if MEDIA_TYPE in request.headers.get("accept", ""):
        problem = Problem(refusal.status, refusal.code, refusal.sentence)
        return Response(msgspec.json.encode(problem.to_dict()), refusal.status, headers, media_type=MEDIA_TYPE)
    return Response(f"{refusal.sentence}\n", refusal.status, headers, media_type="text/plain; charset=utf-8")


def handle_refusals(app: FastAPI) -> None:
    """Every failure of the application becomes such an answer."""

    @app.exception_handler(Refusal)
    async def not_granted(request: Request, refusal: Refusal) -> Response:
        return refused(request, refusal)

    @app.exception_handler(ApiError)
    async def cluster_failed(request: Request, error: ApiError) -> Response:
        log.warning("%s %s: %s", request.method, request.url.path, error)
        said = "the seller's cluster does not answer now: ask again; asking twice buys nothing twice"
        return refused(request, Refusal(503, "cluster-unavailable", said, retry_after=2))

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        said = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not for {request.url.path}"}
        word = said.get(error.status_code, str(error.detail))
        return refused(request, Refusal(error.status_code, "no-such-route", word))

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refused(request, Refusal(500, "internal-error", "the seller failed to handle this; its log says why"))
