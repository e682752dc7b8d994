"""An IoTronic over real HTTP that can be told to fail: a reply that is lost, work that is done in spite of a 500, and so on.

With `events` it tells of changes as a hub of ours does; without, it is what OpenStack has.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from aiohttp import web

from continuo.iot import pickled
from continuo.iot.signing import code_hash

from .fake_things import Things

Fault = Literal["lost", "500-done", "500", "refuse", "slow", "busy"]
KEYS = {"boards": "boards", "fleets": "fleets", "plugins": "plugins", "services": "services"}


@dataclass
class Planned:
    """A fault that is waiting for its request."""

    method: str
    pattern: re.Pattern[str]
    fault: Fault
    times: int


@dataclass
class OnBoard:
    """A plugin that a board has."""

    hash: str
    onboot: bool
    running: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)


class Fake:
    """All objects of one endpoint."""

    def __init__(self, *, events: bool = True, seed: int = 1) -> None:
        self.random, self.events = Random(seed), events
        self.rows: dict[str, dict[str, dict[str, Any]]] = {key: {} for key in KEYS}
        self.online: set[str] = set()
        self.boards_plugins: dict[str, dict[str, OnBoard]] = {}
        self.requests: dict[str, dict[str, Any]] = {}
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.keys: dict[str, str] = {}
        self.faults: list[Planned] = []
        self.log: list[tuple[str, str]] = []
        self.created: list[str] = []
        self.tokens: set[str] | None = None
        self.answer: Callable[[str, str, dict[str, Any]], tuple[str, str]] = lambda board, plugin, said: (
            "SUCCESS",
            "42",
        )
        self.failing: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.chaos = 0.0
        self._log: list[tuple[int, str, str]] = []
        self._news = asyncio.Event()
        self.url = ""
        self.things = Things(self)

    def fault(self, method: str, pattern: str, fault: Fault, times: int = 1) -> None:
        """The next such request goes wrong."""
        self.faults.append(Planned(method, re.compile(pattern), fault, times))

    def count(self, method: str, pattern: str) -> int:
        """How many such requests came."""
        return sum(m == method and re.fullmatch(pattern, path) is not None for m, path in self.log)

    def tell(self, event: str, **data: Any) -> None:
        """An event for whoever follows."""
        self._log.append((len(self._log) + 1, event, json.dumps(data)))
        news, self._news = self._news, asyncio.Event()
        news.set()

    def connect(self, board: str, online: bool = True) -> None:
        """A board comes or goes."""
        (self.online.add if online else self.online.discard)(board)
        self.rows["boards"][board]["status"] = "online" if online else "offline"
        if self.events:
            self.rows["boards"][board]["capabilities"] = ["desire"]
        self.tell("board.online" if online else "board.offline", board=board)

    def uuid(self) -> str:
        digits = f"{self.random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._faulty])
        routes: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
            ("GET", "/v1/events", self._events), *self.things.routes(),
            ("GET", "/v1/requests/{r}/results", self._results), ("GET", "/v1/requests/{r}", self._request),
            ("GET", "/v1/boards/{b}/plugins", self._injections), ("PUT", "/v1/boards/{b}/plugins", self._inject),
            ("GET", "/v1/boards/{b}/plugins/{p}", self._injection), ("POST", "/v1/boards/{b}/plugins/{p}", self._act),
            ("DELETE", "/v1/boards/{b}/plugins/{p}", self._remove),
            ("PUT", "/v1/fleets/{f}/plugins", self._inject_all), ("POST", "/v1/fleets/{f}/plugins/{p}", self._act_all),
            ("GET", "/v1/fleets/{f}/plugins/{p}", self._having), ("DELETE", "/v1/fleets/{f}/plugins/{p}", self._remove_all),
            ("GET", "/v1/{kind}/detail", self._list), ("GET", "/v1/{kind}", self._list),
            ("POST", "/v1/{kind}", self._post), ("GET", "/v1/{kind}/{uuid}", self._get),
            ("PATCH", "/v1/{kind}/{uuid}", self._patch), ("DELETE", "/v1/{kind}/{uuid}", self._delete),
        ]  # fmt: skip
        for method, path, handler in routes:
            app.router.add_route(method, path, handler)
        return app

    @web.middleware
    async def _faulty(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.log.append((request.method, request.path.removeprefix("/v1/")))
        if self.tokens is not None and request.headers.get("X-Auth-Token") not in self.tokens:
            return refusal(401, "Authentication required")
        fault = self._planned(request)
        if fault == "refuse":
            return refusal(403, "policy does not allow this")
        if fault == "500":
            return refusal(500, "database is away")
        if fault == "busy":
            return refusal(503, "later")
        answer = await handler(request)
        if fault == "slow":
            await asyncio.sleep(2.0)
        if fault == "500-done":
            return refusal(500, "No reply on topic iotronic.conductor_manager")
        if fault == "lost" and request.transport is not None:
            request.transport.close()
        return answer

    def _planned(self, request: web.Request) -> Fault | None:
        path = request.path.removeprefix("/v1/")
        for planned in self.faults:
            if planned.method == request.method and planned.times > 0 and planned.pattern.fullmatch(path):
                planned.times -= 1
                return planned.fault
        if path != "events" and self.random.random() < self.chaos:
            return self.random.choice(["lost", "500-done", "500", "busy"])
        return None

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if not self.events:
            return refusal(404, "not found")
        at = int(request.headers.get("Last-Event-ID", len(self._log)))
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b": here\n\n")
        while True:
            news = self._news
            for number, event, data in self._log[at:]:
                await answer.write(f"id: {number}\nevent: {event}\ndata: {data}\n\n".encode())
            at = len(self._log)
            await news.wait()

    # --- objects ------------------------------------------------------------------------------------------------------

    async def _list(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        if kind not in KEYS:
            return refusal(404, "not found")
        limit, marker = int(request.query.get("limit", "1000")), request.query.get("marker")
        rows = list(self.rows[kind].values())
        if marker:
            rows = rows[[row["uuid"] for row in rows].index(marker) + 1 :]
        page = rows[:limit]
        body: dict[str, Any] = {KEYS[kind]: page}
        if len(page) == limit and len(rows) > limit:
            body["next"] = f"/v1/{kind}?marker={page[-1]['uuid']}"
        return web.json_response(body)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        kind, said = request.match_info["kind"], await request.json()
        rows = self.rows[kind]
        if kind == "boards" and any(row["code"] == said["code"] for row in rows.values()):
            return refusal(409, f"A board with code {said['code']} already exists.")
        if any(row["name"] == said["name"] for row in rows.values()):
            return refusal(409, f"A {kind[:-1]} with name {said['name']} already exists.")
        row = {"uuid": self.uuid(), "created_at": "2026-01-01T00:00:00", **said}
        if kind == "boards":
            agent = {"url": "wss://hub.example:8181/", "realm": "s4t"}
            config = {"iotronic": {"board": {"code": said["code"]}, "wamp": {"registration-agent": agent}}}
            row |= {"status": "registered", "fleet": said.get("fleet"), "agent": "hub", "config": config}
        if kind == "plugins":
            row["code"] = pickled.dumps(said["code"])
        rows[row["uuid"]] = row
        self.created.append(row["uuid"])
        return web.json_response(row, status=201)

    def _row(self, request: web.Request) -> dict[str, Any]:
        kind, uuid = request.match_info["kind"], request.match_info["uuid"]
        row = self.rows.get(kind, {}).get(uuid)
        if row is None:
            raise gone(kind, uuid)
        return row

    async def _get(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._row(request))

    async def _patch(self, request: web.Request) -> web.StreamResponse:
        row = self._row(request)
        row.update(await request.json())
        if request.match_info["kind"] == "boards":
            self.tell("board.updated", board=row["uuid"])
        return web.json_response(row)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        kind, uuid = request.match_info["kind"], self._row(request)["uuid"]
        if kind == "plugins" and any(uuid in plugins for plugins in self.boards_plugins.values()):
            return refusal(500, "foreign key")
        if kind == "fleets" and any(row.get("fleet") == uuid for row in self.rows["boards"].values()):
            return refusal(500, "foreign key")
        del self.rows[kind][uuid]
        if kind == "boards":
            self.online.discard(uuid)
            self.boards_plugins.pop(uuid, None)
            self.tell("board.deleted", board=uuid)
        return web.Response(status=204)

    # --- plugins on boards --------------------------------------------------------------------------------------------

    def _board(self, request: web.Request) -> str:
        board = request.match_info["b"]
        if board not in self.rows["boards"]:
            raise gone("boards", board)
        return board

    async def _injections(self, request: web.Request) -> web.StreamResponse:
        found = self.boards_plugins.get(self._board(request), {})
        rows = [{"plugin": plugin, "status": "injected", "onboot": each.onboot} for plugin, each in found.items()]
        return web.json_response({"injections": rows})

    async def _injection(self, request: web.Request) -> web.StreamResponse:
        board, plugin = self._board(request), request.match_info["p"]
        each = self.boards_plugins.get(board, {}).get(plugin)
        if each is None or not self.events:
            return refusal(404, f"Plugin {plugin} is not injected into board {board}.")
        return web.json_response(self._said(board, plugin, each))

    async def _having(self, request: web.Request) -> web.StreamResponse:
        plugin = request.match_info["p"]
        held = [(board, self.boards_plugins.get(board, {}).get(plugin)) for board in self._members(request)]
        return web.json_response({"injections": [self._said(board, plugin, each) for board, each in held if each]})

    def _said(self, board: str, plugin: str, each: OnBoard) -> dict[str, Any]:
        failed = board in self.failing
        state = "refused" if failed else "running" if each.running else "injected"
        return {"plugin": plugin, "board": board, "status": "injected", "onboot": each.onboot, "running": each.running,
                "state": state, "hash": each.hash, "alive": each.running and not failed, "parameters": each.parameters,
                "message": "no key of the policy signed it" if failed else ""}  # fmt: skip

    def _put(self, board: str, plugin: str, onboot: bool) -> str:
        known = self.boards_plugins.setdefault(board, {})
        word = "UPDATED" if plugin in known else "INJECTED"
        code = pickled.loads(self.rows["plugins"][plugin]["code"])
        before = known.get(plugin)
        known[plugin] = OnBoard(code_hash(code), onboot, before.running if before else False)
        self.tell("injection.changed", board=board, object=plugin, plugin=plugin)
        return word

    async def _inject(self, request: web.Request) -> web.StreamResponse:
        board, said = self._board(request), await request.json()
        if board not in self.online and not self.events:
            return refusal(400, f"Board {board} is not connected.")
        return web.json_response(f"PluginInject result: {self._put(board, said['plugin'], said.get('onboot', False))}")

    async def _act(self, request: web.Request) -> web.StreamResponse:
        board, plugin, said = self._board(request), request.match_info["p"], await request.json()
        each = self.boards_plugins.get(board, {}).get(plugin)
        if each is None:
            raise gone("plugins", plugin)
        if board not in self.online:
            return refusal(400, f"Board {board} is not connected.")
        action = said["action"]
        if action == "PluginStatus":
            return web.json_response("ALIVE" if each.running else "DEAD")
        if action == "PluginCall":
            return self._called(request, [board], plugin, said.get("parameters") or {}, board)
        each.running, each.parameters = action != "PluginStop", said.get("parameters") or {}
        self.tell("injection.changed", board=board, object=plugin)
        return web.json_response("STARTED")

    async def _remove(self, request: web.Request) -> web.StreamResponse:
        board, plugin = self._board(request), request.match_info["p"]
        if plugin not in self.boards_plugins.get(board, {}):
            raise gone("plugins", plugin)
        if board not in self.online and not self.events:
            return refusal(400, f"Board {board} is not connected.")
        del self.boards_plugins[board][plugin]
        self.tell("injection.changed", board=board, object=plugin)
        return web.Response(status=204)

    def _members(self, request: web.Request) -> list[str]:
        if not self.events:
            raise gone("fleets", "plugins")
        fleet = request.match_info["f"]
        return [uuid for uuid, row in self.rows["boards"].items() if row.get("fleet") == fleet]

    async def _inject_all(self, request: web.Request) -> web.StreamResponse:
        said = await request.json()
        for board in self._members(request):
            self._put(board, said["plugin"], said.get("onboot", False))
        return self._accepted()

    async def _act_all(self, request: web.Request) -> web.StreamResponse:
        plugin, said = request.match_info["p"], await request.json()
        if said["action"] == "PluginCall":
            return self._called(request, self._members(request), plugin, said.get("parameters") or {}, "fleet")
        for board in self._members(request):
            if plugin in self.boards_plugins.get(board, {}):
                self.boards_plugins[board][plugin].running = said["action"] != "PluginStop"
                self.tell("injection.changed", board=board, object=plugin)
        return self._accepted()

    async def _remove_all(self, request: web.Request) -> web.StreamResponse:
        plugin = request.match_info["p"]
        for board in self._members(request):
            if self.boards_plugins.get(board, {}).pop(plugin, None):
                self.tell("injection.changed", board=board, object=plugin)
        return self._accepted()

    # --- requests -----------------------------------------------------------------------------------------------------

    def _accepted(self, status: int = 202, uuid: str = "") -> web.StreamResponse:
        made = uuid or self.uuid()
        self.requests.setdefault(made, {"uuid": made, "status": "COMPLETED"})
        return web.json_response({"request": made}, status=status, headers={"Iotronic-Request-Uuid": made})

    def _called(
        self, request: web.Request, boards: list[str], plugin: str, said: dict[str, Any], destination: str
    ) -> web.StreamResponse:
        key = request.headers.get("Idempotency-Key", "")
        if self.events and key in self.keys:
            return self._accepted(uuid=self.keys[key])
        results = []
        for board in boards:
            self.calls.append((board, plugin))
            result, message = self.answer(board, plugin, said)
            results.append({"board_uuid": board, "result": result, "message": message})
        made = self.uuid()
        self.requests[made] = {"uuid": made, "status": "COMPLETED", "destination_uuid": destination}
        self.results[made] = results
        if self.events:
            self.keys[key] = made
            return self._accepted(uuid=made)
        if results[0]["result"] == "ERROR":
            return refusal(500, f"Error in the execution of PluginCall on {destination}: {results[0]['message']}")
        return web.json_response(results[0]["message"])

    async def _request(self, request: web.Request) -> web.StreamResponse:
        found = self.requests.get(request.match_info["r"])
        return refusal(404, "no such request") if found is None else web.json_response(found)

    async def _results(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"results": self.results.get(request.match_info["r"], [])})


def refusal(status: int, sentence: str) -> web.Response:
    inner = json.dumps({"faultcode": "Client", "faultstring": sentence, "debuginfo": None})
    return web.json_response({"error_message": inner}, status=status)


def gone(kind: str, uuid: str) -> web.HTTPNotFound:
    inner = json.dumps({"faultcode": "Client", "faultstring": f"{kind[:-1]} {uuid} could not be found."})
    return web.HTTPNotFound(text=json.dumps({"error_message": inner}), content_type="application/json")


@asynccontextmanager
async def served(fake: Fake) -> AsyncIterator[Fake]:
    """Run it on a free port of the loopback."""
    runner = web.AppRunner(fake.app(), handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    fake.url = f"http://127.0.0.1:{port}"
    try:
        yield fake
    finally:
        await runner.cleanup()
