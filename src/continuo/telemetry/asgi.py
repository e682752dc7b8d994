"""Requests to our HTTP faces, as metrics by route and as the first step of a trace; for any ASGI application."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from continuo.telemetry import families as f
from continuo.telemetry.metrics import Metrics
from continuo.telemetry.tracing import Tracing, exemplar, root

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NO_ROUTE = "none"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Watched:
    """Middleware: measures each request, under the route's template and never under its path."""

    def __init__(
        self, app: App, metrics: Metrics, tracing: Tracing | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        self._app, self._tracing, self._clock = app, tracing, clock
        self._seconds = metrics.histogram(f.HTTP_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started, answered = 500, self._clock(), None
        method = scope["method"] if scope["method"] in _METHODS else "other"

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = self._clock() if _endless(message) else None
            await send(message)

        with root(self._tracing, method, parent=_header(scope, b"traceparent")) as step:
            try:
                await self._app(scope, receive, answer)
            finally:
                route = route_of(scope)
                if step is not None:
                    step.rename(f"{method} {route}")
                    step.set(http_route=route, http_request_method=method, http_response_status__code=status)
                took = (answered or self._clock()) - started
                self._seconds.labels(route, method, str(status)).observe(took, exemplar())


def route_of(scope: Scope) -> str:
    """The template of the route that took the request; `none` where no route did."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else NO_ROUTE


def _header(scope: Scope, name: bytes) -> str | None:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _endless(message: MutableMapping[str, Any]) -> bool:
    """A stream of events lasts as long as its reader likes: what counts is when it began."""
    return any(
        key.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for key, value in message.get("headers") or ()
    )
