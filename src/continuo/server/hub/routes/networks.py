"""`/v1/networks`, `/v1/ports`, and ports of boards."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from continuo.iot.hub.model import Json, Network, Port
from continuo.iot.hub.refusals import absent, bad
from continuo.server.hub import bodies, views
from continuo.server.hub.answers import answer, told
from continuo.server.hub.face import ACTION, REFUSALS, Face, takes
from continuo.server.hub.identity import allow
from continuo.server.hub.listing import FIELDS_QUERY, QUERY, listed, narrowed


def networks_router(face: Face) -> APIRouter:
    """The routes of networks."""
    router = APIRouter(prefix="/v1/networks", tags=["networks"], responses=REFUSALS)
    registry, attaching = face.registry, face.hub.attaching

    @router.get("", openapi_extra={"parameters": QUERY})
    async def networks(request: Request) -> Response:
        """The project's networks."""
        caller = face.who(request)
        allow(caller, "iot:thing:get")
        rows = face.mine(caller, Network, request)
        return answer(listed(request, "networks", rows, lambda it: views.network(registry, it)))

    @router.post("", status_code=201, openapi_extra=takes(bodies.NETWORK))
    async def create(request: Request) -> Response:
        """A new network."""
        caller = face.who(request)
        allow(caller, "iot:network:create")
        said = await face.body(request, bodies.NETWORK)
        made = attaching.new_network(said, caller.user, caller.project)
        await attaching.put(made)
        return answer(views.network(registry, made), 201)

    @router.get("/{network}", openapi_extra={"parameters": FIELDS_QUERY})
    async def one(network: str, request: Request) -> Response:
        """A network."""
        found = face.network(face.who(request), network)
        return answer(narrowed(views.network(registry, found), request.query_params.get("fields")))

    @router.patch("/{network}", openapi_extra=takes(bodies.NETWORK, partial=True))
    async def update(network: str, request: Request) -> Response:
        """Change a network; its addresses only while it has no ports."""
        caller = face.who(request)
        face.network(caller, network, "iot:thing:change")
        said, nothing = await face.patch(request, bodies.NETWORK)
        before = face.network(caller, network, "iot:thing:change")
        changes: Json = {**said, **({"gateway": None} if "gateway" in nothing else {})}
        after = registry.stamped(before, **changes)
        ports = registry.table(Port).by("network", before.uuid)
        if after.cidr != before.cidr and ports:
            raise bad(f"cidr: network {before.uuid} has {len(ports)} ports, whose addresses stay: make another network")
        attaching.check(after)
        await attaching.put(after)
        return answer(views.network(registry, after))

    @router.delete("/{network}", status_code=204)
    async def delete(network: str, request: Request) -> Response:
        """Delete a network that has no ports."""
        await attaching.drop(face.network(face.who(request), network, "iot:thing:change"))
        return Response(status_code=204)

    return router


def ports_router(face: Face) -> APIRouter:
    """The routes of ports, whatever their board."""
    router = APIRouter(prefix="/v1/ports", tags=["networks"], responses=ACTION)

    @router.get("", openapi_extra={"parameters": QUERY})
    async def ports(request: Request) -> Response:
        """The project's ports."""
        caller = face.who(request)
        allow(caller, "iot:thing:get")
        table = face.registry.table(Port)
        rows = table.all() if caller.admin else table.by("project", caller.project)
        return answer(listed(request, "ports", rows, lambda it: views.port(face.hub, it)))

    @router.get("/{port}", openapi_extra={"parameters": FIELDS_QUERY})
    async def one(port: str, request: Request) -> Response:
        """A port."""
        found, _ = face.port(face.who(request), port)
        return answer(narrowed(views.port(face.hub, found), request.query_params.get("fields")))

    @router.patch("/{port}", openapi_extra=takes(bodies.PORT_PATCH, partial=True))
    async def update(port: str, request: Request) -> Response:
        """Change a port's name, security groups, the networks that it leads to, or extra; its own addresses stay."""
        caller = face.who(request)
        _, board = face.port(caller, port)
        allow(caller, "iot:port:change", board)
        said, _ = await face.patch(request, bodies.PORT_PATCH)
        found, board = face.port(caller, port)
        allow(caller, "iot:port:change", board)
        if "allowed_addresses" in said:
            allow(caller, "iot:network:create")
        return answer(views.port(face.hub, await face.hub.attaching.change(found, said)))

    @router.delete("/{port}", status_code=204)
    async def delete(port: str, request: Request) -> Response:
        """Take a port from its board."""
        caller = face.who(request)
        found, board = face.port(caller, port)
        allow(caller, "iot:port:change", board)
        return told(await face.hub.attaching.detach(board, found, await face.manner(request)), 204)

    return router


def board_ports_router(face: Face) -> APIRouter:
    """The routes of a board's ports."""
    router = APIRouter(prefix="/v1/boards/{board}/ports", tags=["networks"], responses=ACTION)
    hub = face.hub

    def mine(board: str, port: str, request: Request) -> Port:
        caller = face.who(request)
        found, its = face.port(caller, port)
        if face.board(caller, board).uuid != its.uuid:
            raise absent("Port", port)
        return found

    @router.get("", openapi_extra={"parameters": QUERY})
    async def ports(board: str, request: Request) -> Response:
        """A board's ports."""
        found = face.board(face.who(request), board)
        rows = face.registry.table(Port).by("board", found.uuid)
        return answer(listed(request, "ports", rows, lambda it: views.port(hub, it)))

    @router.put("", openapi_extra=takes(bodies.PORT))
    async def attach(board: str, request: Request) -> Response:
        """Give a board a port in a network."""
        caller = face.who(request)
        face.board(caller, board, "iot:port:change")
        said = await face.body(request, bodies.PORT)
        if said.get("allowed_addresses"):
            allow(caller, "iot:network:create")
        manner = await face.manner(request, said)
        found, network = face.board(caller, board, "iot:port:change"), face.network(caller, said["network"])
        if said.get("subnet") not in (None, "", network.uuid, network.name):
            raise bad(f"subnet: a network has one range of addresses here; leave subnet out, or say {network.uuid}")
        return told(await hub.attaching.attach(found, network, said, manner))

    @router.get("/{port}")
    async def one(board: str, port: str, request: Request) -> Response:
        """A port of a board."""
        return answer(views.port(hub, mine(board, port, request)))

    @router.delete("/{port}", status_code=204)
    async def detach(board: str, port: str, request: Request) -> Response:
        """Take a port from a board."""
        caller = face.who(request)
        found, its = mine(board, port, request), face.board(caller, board, "iot:port:change")
        return told(await hub.attaching.detach(its, found, await face.manner(request)), 204)

    return router
