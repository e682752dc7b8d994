"""The hub's REST interface as an application."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from continuo.iot.hub.hub import Hub
from continuo.server.hub.answers import VERSION, Conventions, answer, handle_refusals
from continuo.server.hub.face import REFUSALS, Face
from continuo.server.hub.routes.boards import boards_router
from continuo.server.hub.routes.fleets import fleet_actions_router, fleets_router
from continuo.server.hub.routes.governing import governing_router
from continuo.server.hub.routes.networks import board_ports_router, networks_router, ports_router
from continuo.server.hub.routes.plugins import injections_router, plugins_router
from continuo.server.hub.routes.requests import events_router, requests_router
from continuo.server.hub.routes.services import exposed_router, services_router
from continuo.server.hub.routes.webservices import webservices_router
from continuo.server.hub.routes.workloads import board_workloads_router, fleet_workloads_router
from continuo.server.routes.health import health_router
from continuo.storage.database import StorageFailed

_ROUTERS = (
    boards_router, injections_router, exposed_router, board_ports_router, board_workloads_router, plugins_router,
    services_router, fleets_router, fleet_actions_router, fleet_workloads_router, networks_router, ports_router,
    webservices_router, requests_router, events_router, governing_router,
)  # fmt: skip


def hub_app(hub: Hub, *, no_auth: bool = False) -> FastAPI:
    """IoTronic's API v1 over a hub that somebody else runs; `no_auth` believes the headers, and allows everything."""
    app = FastAPI(
        title="Continuo hub", summary="Boards, what they run, and how they are reached: IoTronic's API v1.",
        docs_url=None, redoc_url=None, redirect_slashes=False, responses=REFUSALS,
    )  # fmt: skip
    app.include_router(health_router(lambda: hub.registry.records.trouble))
    app.include_router(_versions())
    face = Face(hub, no_auth)

    async def ready() -> None:
        if hub.registry.records.reading:
            raise StorageFailed(hub.registry.records.trouble)

    for router in _ROUTERS:
        app.include_router(router(face), dependencies=[Depends(ready)])
    handle_refusals(app)
    app.state.asked = Counter[tuple[str, str]]()
    app.add_middleware(Conventions, asked=app.state.asked)
    return app


def _versions() -> APIRouter:
    router = APIRouter(tags=["versions"])

    def version(request: Request) -> dict[str, object]:
        base = str(request.base_url).rstrip("/")
        link = {"href": f"{base}/v1/", "rel": "self"}
        return {"id": "v1", "links": [link], "status": "CURRENT", "min_version": VERSION, "version": VERSION}

    @router.get("/")
    async def root(request: Request) -> Response:
        """Which versions there are."""
        told = {"name": "Continuo hub", "description": "IoTronic's API.", "versions": [version(request)]}
        return answer({**told, "default_version": version(request)})

    @router.get("/v1")
    async def v1(request: Request) -> Response:
        """What version 1 has."""
        base = str(request.base_url).rstrip("/")
        kinds = ("boards", "plugins", "services", "fleets", "ports", "webservices", "requests", "networks")
        links = {kind: [{"href": f"{base}/v1/{kind}/", "rel": "self"}] for kind in kinds}
        return answer({**version(request), **links})

    return router
