"""The ASGI application: `/clusters/NAME/...` to the cluster's face, and every failure to an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

from continuo.embedded.http.bodies import BODY_LIMIT
from continuo.embedded.http.face import ClusterFace
from continuo.embedded.http.wire import (
    ABORT,
    TEXT,
    WHOLE,
    Receive,
    Request,
    Response,
    Send,
    error_response,
    json_response,
    read_body,
    send_response,
)
from continuo.resources.errors import ApiError, InternalError, NotFound, ServiceUnavailable, TooLarge

log = logging.getLogger(__name__)

_READ = ("GET", "HEAD")
_LIVE = ("/healthz", "/livez", "/readyz")


class Durable(Protocol):
    """A cluster whose writes reach a disk."""

    async def flushed(self) -> None: ...


class App:
    """Dispatches requests. `faces` is shared with the server, which adds and removes clusters."""

    def __init__(self, faces: Mapping[str, ClusterFace]) -> None:
        self._faces = faces

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive, send)
        except ApiError as error:
            answer = error_response(error)
        except ConnectionResetError:
            return
        except Exception:  # the request's boundary: a fault of ours must not take the server along
            log.exception("the request %s %s failed", scope["method"], scope["path"])
            answer = error_response(InternalError("the API server failed to handle the request; its log says why"))
        if answer is not None:
            await send_response(answer, send, (scope.get("extensions") or {}).get(WHOLE))

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> Response | None:
        method, path = scope["method"], scope["path"]
        face, rest = self._route(path)
        if face is None:
            return self._outside(path)
        outage = face.api.outage
        if outage is not None:
            return _no_answer(scope, outage)
        request = Request(method, rest, scope["query_string"], scope["headers"])
        face.identify(request)
        if method not in _READ:
            body = await read_body(receive, BODY_LIMIT)
            if body is None:
                raise TooLarge(f"Request entity too large: limit is {BODY_LIMIT}")
            request.body = body
        answer = face.handle(request)
        if method not in _READ:
            flushed = cast("Callable[[], Awaitable[None]] | None", getattr(face.api, "flushed", None))
            if flushed is not None:
                await flushed()
        if isinstance(answer, Response):
            return answer
        await answer.run(receive, send)
        return None

    def _route(self, path: str) -> tuple[ClusterFace | None, str]:
        if not path.startswith("/clusters/"):
            return None, ""
        name, slash, rest = path[10:].partition("/")
        face = self._faces.get(name)
        if face is None:
            raise NotFound(f'cluster "{name}" not found', details={"name": name, "kind": "clusters"})
        return face, slash + rest

    @staticmethod
    def _outside(path: str) -> Response:
        if path in _LIVE:
            return Response(200, b"ok", TEXT)
        missing = NotFound("the server serves clusters below /clusters/NAME")
        return json_response(missing.to_status(), 404)


def _no_answer(scope: Mapping[str, Any], outage: str) -> Response | None:
    """What a cluster with an outage answers: nothing (`drop`, `refuse`), or 503."""
    abort = (scope.get("extensions") or {}).get(ABORT)
    if outage in ("drop", "refuse") and abort is not None:
        abort()
        return None
    return error_response(ServiceUnavailable(f"the API server is not available: {outage}"))
