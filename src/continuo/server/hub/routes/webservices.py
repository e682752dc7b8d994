"""Web services: they need DNS and certificates, for which this hub has no provider; what there is says so."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from continuo.iot.hub.refusals import Refused, absent
from continuo.server.hub import bodies
from continuo.server.hub.answers import answer
from continuo.server.hub.face import REFUSALS, Face, takes
from continuo.server.hub.identity import allow
from continuo.server.hub.listing import QUERY

_NONE = (
    "Web services are not configured: they need a DNS provider and certificates, and this hub has neither."
    " Expose the board's port as a service instead (POST /v1/boards/{}/services/<service>/action)."
)


def webservices_router(face: Face) -> APIRouter:
    """The routes of web services."""
    router = APIRouter(prefix="/v1", tags=["webservices"], responses=REFUSALS)

    def unavailable(board: str, request: Request) -> Refused:
        found = face.board(face.who(request), board, "iot:webservice:change")
        return Refused(501, _NONE.format(found.uuid))

    def nothing(key: str, request: Request) -> Response:
        allow(face.who(request), "iot:thing:get")
        return answer({key: []})

    @router.get("/webservices", openapi_extra={"parameters": QUERY})
    @router.get("/webservices/detail", openapi_extra={"parameters": QUERY})
    async def webservices(request: Request) -> Response:
        """Web services: none."""
        return nothing("webservices", request)

    @router.get("/enabledwebservices", openapi_extra={"parameters": QUERY})
    async def enabled(request: Request) -> Response:
        """Boards with web services: none."""
        return nothing("EnabledWebservices", request)

    @router.get("/webservices/{webservice}")
    @router.delete("/webservices/{webservice}")
    async def one(webservice: str, request: Request) -> Response:
        """A web service: there is none."""
        allow(face.who(request), "iot:thing:get")
        raise absent("Webservice", webservice)

    @router.get("/boards/{board}/webservices", openapi_extra={"parameters": QUERY})
    async def of_board(board: str, request: Request) -> Response:
        """A board's web services: none."""
        face.board(face.who(request), board)
        return nothing("webservices", request)

    @router.post("/boards/{board}/webservices/enable", openapi_extra=takes(bodies.ENABLE))
    async def enable(board: str, request: Request) -> Response:
        """Refused: there is no DNS provider."""
        face.board(face.who(request), board, "iot:webservice:change")
        await face.body(request, bodies.ENABLE)
        raise unavailable(board, request)

    @router.put("/boards/{board}/webservices", openapi_extra=takes(bodies.WEBSERVICE))
    async def expose(board: str, request: Request) -> Response:
        """Refused: there is no DNS provider."""
        face.board(face.who(request), board, "iot:webservice:change")
        raise unavailable(board, request)

    @router.delete("/boards/{board}/webservices/disable")
    @router.get("/boards/{board}/webservices/renew")
    async def others(board: str, request: Request) -> Response:
        """Refused: there is no DNS provider."""
        raise unavailable(board, request)

    return router
