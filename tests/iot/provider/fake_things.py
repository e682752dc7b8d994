"""What the fake has of exposed services, networks, ports and workloads.

Without events it is OpenStack's IoTronic: no networks of its own, no workloads, ports without `extra`, and a service that
is exposed twice is a failure of the server.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from .fake import Fake

Route = tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]
ACTION = "/v1/boards/{b}/services/{s}/action"


class Things:
    """Rows by uuid; exposures by (board, service)."""

    def __init__(self, fake: Fake) -> None:
        self._fake = fake
        self.networks: dict[str, dict[str, Any]] = {}
        self.ports: dict[str, dict[str, Any]] = {}
        self.workloads: dict[str, dict[str, Any]] = {}
        self.exposed: dict[tuple[str, str], int] = {}
        self.dead: set[tuple[str, str]] = set()
        self.restored = 0

    def routes(self) -> list[Route]:
        found: list[Route] = [
            ("GET", "/v1/boards/{b}/services", self._exposed), ("POST", ACTION, self._act),
            ("GET", "/v1/ports", self._list_ports), ("PUT", "/v1/boards/{b}/ports", self._attach),
            ("GET", "/v1/ports/{uuid}", self._one(self.ports)),
            ("DELETE", "/v1/ports/{uuid}", self._drop(self.ports, "port")),
        ]  # fmt: skip
        if not self._fake.events:
            return found
        jobs = "/v1/{where:boards|fleets}/{b}/workloads"
        return [
            *found,
            ("GET", "/v1/boards/{b}/services/status", self._status),
            ("GET", "/v1/networks", self._list_networks), ("POST", "/v1/networks", self._make_network),
            ("GET", "/v1/networks/{uuid}", self._one(self.networks)),
            ("PATCH", "/v1/networks/{uuid}", self._patch(self.networks, "network")),
            ("DELETE", "/v1/networks/{uuid}", self._drop(self.networks, "network")),
            ("PATCH", "/v1/ports/{uuid}", self._patch(self.ports, "port")),
            ("GET", jobs, self._list_workloads), ("POST", jobs, self._make_workload),
            ("GET", jobs + "/{uuid}", self._one(self.workloads)),
            ("PATCH", jobs + "/{uuid}", self._patch(self.workloads, "workload")),
            ("DELETE", jobs + "/{uuid}", self._drop(self.workloads, "workload")),
        ]  # fmt: skip

    # --- services -----------------------------------------------------------------------------------------------------

    async def _exposed(self, request: web.Request) -> web.StreamResponse:
        board = request.match_info["b"]
        rows = [{"service": each, "public_port": port} for (of, each), port in self.exposed.items() if of == board]
        return web.json_response({"exposed": rows})

    async def _status(self, request: web.Request) -> web.StreamResponse:
        board = request.match_info["b"]
        told = {each: {"alive": (of, each) not in self.dead} for of, each in self.exposed if of == board}
        return web.json_response(json.dumps(told))

    async def _act(self, request: web.Request) -> web.StreamResponse:
        board, service = request.match_info["b"], request.match_info["s"]
        action, key = (await request.json())["action"], (board, service)
        if board not in self._fake.online and not (self._fake.events and action == "ServiceDisable"):
            return self._no(400, f"Board {board} is not connected.")
        if action != "ServiceEnable" and key not in self.exposed:
            return self._no(404, "not exposed")
        if action == "ServiceEnable":
            if key in self.exposed and not self._fake.events:
                return self._no(500, "cannot be serialised")
            self.exposed.setdefault(key, 50000 + len(self.exposed))
        elif action == "ServiceDisable":
            del self.exposed[key]
        else:
            self.restored += 1
            self.dead.discard(key)
        self._fake.tell("service.changed", board=board, object=service)
        return web.json_response("done", headers={"Iotronic-Request-Uuid": self._fake.uuid()})

    # --- networks and ports -------------------------------------------------------------------------------------------

    async def _list_networks(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"networks": list(self.networks.values())})

    async def _make_network(self, request: web.Request) -> web.StreamResponse:
        return self._made(self.networks, {"gateway": None, **await request.json()}, "network")

    async def _list_ports(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"ports": list(self.ports.values())})

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        board, said = request.match_info["b"], await request.json()
        if board not in self._fake.online and not self._fake.events:
            return self._no(400, f"Board {board} is not connected.")
        row = {"uuid": self._fake.uuid(), "board_uuid": board, "VIF_name": "iot0", "MAC_add": "fa:16:3e:00:00:01"}
        if not self._fake.events:
            self.ports[row["uuid"]] = {**row, "ip": "10.0.0.9", "network": said["subnet"]}
            self._fake.created.append(row["uuid"])
            return web.json_response("")
        self._made(
            self.ports, {**row, "ip": said.get("ip") or "10.0.0.9", "up": True, "connected": True, **said}, "port"
        )
        told = {"Iotronic-Object-Uuid": row["uuid"], "Iotronic-Request-Uuid": self._fake.uuid()}
        return web.json_response({}, status=202, headers=told)

    # --- workloads ----------------------------------------------------------------------------------------------------

    async def _list_workloads(self, request: web.Request) -> web.StreamResponse:
        rows = [row for row in self.workloads.values() if row["at"] == request.match_info["b"]]
        return web.json_response({"workloads": rows})

    async def _make_workload(self, request: web.Request) -> web.StreamResponse:
        board, said = request.match_info["b"], await request.json()
        if any(row["at"] == board and row["name"] == said["name"] for row in self.workloads.values()):
            return self._no(409, "there is one of that name")
        row = {**said, "at": board, "board": board, "fleet": None, "generation": 1, "status": {"phase": "Running"}}
        return self._made(self.workloads, row, "workload")

    # --- all of them --------------------------------------------------------------------------------------------------

    def _made(self, rows: dict[str, dict[str, Any]], said: dict[str, Any], word: str) -> web.Response:
        row = {"uuid": self._fake.uuid(), **said}
        rows[row["uuid"]] = row
        self._fake.created.append(row["uuid"])
        self._fake.tell(f"{word}.changed", object=row["uuid"])
        return web.json_response(row, status=201)

    def _one(self, rows: dict[str, dict[str, Any]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def get(request: web.Request) -> web.StreamResponse:
            row = rows.get(request.match_info["uuid"])
            return self._no(404, "there is none") if row is None else web.json_response(row)

        return get

    def _patch(self, rows: dict[str, Any], word: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def patch(request: web.Request) -> web.StreamResponse:
            row = rows.get(request.match_info["uuid"])
            if row is None:
                return self._no(404, "there is none")
            row.update(await request.json())
            self._fake.tell(f"{word}.changed", object=row["uuid"])
            return web.json_response(row)

        return patch

    def _drop(self, rows: dict[str, Any], word: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def delete(request: web.Request) -> web.StreamResponse:
            uuid = request.match_info["uuid"]
            if rows.pop(uuid, None) is None:
                return self._no(404, "there is none")
            self._fake.tell(f"{word}.changed", object=uuid)
            return web.Response(status=204)

        return delete

    def _no(self, status: int, sentence: str) -> web.Response:
        inner = json.dumps({"faultcode": "Client", "faultstring": sentence, "debuginfo": None})
        return web.json_response({"error_message": inner}, status=status)
