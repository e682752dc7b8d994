"""How the hub answers: JSON, and refusals as IoTronic tells them, which is JSON within JSON."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from continuo.iot.hub.actions import Answer, RequestFailed
from continuo.iot.hub.refusals import Refused
from continuo.iot.hub.requests import request_wire
from continuo.storage.database import StorageFailed

log = logging.getLogger(__name__)
JSON = "application/json"
VERSION = "1.0"
_HEADER = "X-OpenStack-Iotronic-API"
REQUEST, OBJECT = "Iotronic-Request-Uuid", "Iotronic-Object-Uuid"


def answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON."""
    return Response(msgspec.json.encode(data), status, headers, media_type=JSON)


def told(answered: Answer, status: int = 200) -> Response:
    """What came of an action: the board's sentence; 202 and the request where the caller does not wait."""
    headers = {REQUEST: answered.request.uuid}
    if answered.object is not None:
        headers[OBJECT] = answered.object
    if answered.accepted or (answered.request.fleet and not answered.request.done):
        headers["Preference-Applied"] = "respond-async"
        return answer(request_wire(answered.request), 202, headers)
    if answered.request.fleet:
        return answer(request_wire(answered.request), 200, headers)
    if status == 204:
        return Response(status_code=204, headers=headers)
    return answer(answered.message, status, headers)


def refused(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """As IoTronic says no."""
    inner = {"faultcode": "Server" if status >= 500 else "Client", "faultstring": sentence, "debuginfo": None}
    return answer({"error_message": msgspec.json.encode(inner).decode()}, status, headers)


def handle_refusals(app: FastAPI) -> None:
    """Every failure of the application becomes such an answer."""

    @app.exception_handler(Refused)
    async def not_granted(_: Request, error: Refused) -> Response:
        headers = {REQUEST: error.request.uuid} if isinstance(error, RequestFailed) else None
        return refused(error.status, str(error), headers)

    @app.exception_handler(StorageFailed)
    async def not_stored(_: Request, error: StorageFailed) -> Response:
        return refused(503, f"Nothing was changed: {error}", {"Retry-After": "2"})

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        said = {
            404: f"There is nothing at {request.url.path}.",
            405: f"{request.method} is not for {request.url.path}.",
        }
        return refused(error.status_code, said.get(error.status_code, str(error.detail)), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refused(500, "The hub failed to handle this; its log says why.")


class Conventions:
    """ASGI middleware: paths with and without a slash at their end, and versions in every answer; counts what is asked."""

    def __init__(self, app: ASGIApp, asked: Counter[tuple[str, str]] | None = None) -> None:
        """`asked`: how often each method and route was, to be filled here."""
        self._app, self._asked = app, Counter() if asked is None else asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path.endswith("/") and path != "/":
            scope = {**scope, "path": path.rstrip("/") or "/", "raw_path": scope.get("raw_path", b"").rstrip(b"/")}

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers[f"{_HEADER}-Minimum-Version"] = headers[f"{_HEADER}-Maximum-Version"] = VERSION
                headers[f"{_HEADER}-Version"] = VERSION
                headers["Openstack-Request-Id"] = f"req-{uuid.uuid4()}"
                message = {**message, "headers": headers.raw}
            await send(message)

        asked = dict(scope["headers"]).get(f"{_HEADER}-Version".lower().encode(), VERSION.encode()).decode("latin-1")
        if asked.strip() not in (VERSION, "latest"):
            sentence = f"Version {asked} was requested, which is not supported: only {VERSION} is."
            await refused(406, sentence)(scope, receive, marked)
            return
        scope = dict(scope)
        try:
            await self._app(scope, receive, marked)
        finally:
            self._asked[_method(scope), getattr(scope.get("route"), "path", "none")] += 1


def _method(scope: Scope) -> str:
    """Of few, so that nobody can make up many."""
    return scope["method"] if scope["method"] in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD") else "other"
