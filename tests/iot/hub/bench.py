"""A hub over real HTTP, with doubles of its other parts, and clients for it."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import uvicorn

from continuo.iot.hub.hub import Core, Hub
from continuo.iot.hub.model import Board
from continuo.iot.hub.ports import BoardNotConnected, CallFailed
from continuo.iot.hub.setting import Setting
from continuo.iot.wire import Message, Outcome
from continuo.server.hub.app import hub_app

PLACE = [{"longitude": "15.5", "latitude": "38.2", "altitude": "10"}]
CODE = "from iotronic_lightningrod.modules.plugins import Plugin\n\nclass Worker(Plugin.Plugin):\n    pass\n"
PROJECT = "11111111-1111-4111-8111-111111111111"


class Clock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Agent:
    """A board's end: what it has, and how it answers."""

    board: str
    capabilities: list[str]
    said: dict[str, Any] = field(default_factory=lambda: {"plugins": {}, "services": {}, "ports": {}, "workloads": {}})
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    refuses: str = ""
    """Why it runs no plugin."""
    silent: bool = False
    """It takes what it should have, and reports nothing."""

    def obey(self, desired: dict[str, Any]) -> None:
        self.said["plugins"] = {
            uuid: {"state": "refused" if self.refuses else each["state"], "hash": each["hash"], "message": self.refuses}
            for uuid, each in desired["plugins"].items()
        }
        self.said["services"] = {uuid: {"up": True, "message": ""} for uuid in desired["services"]}
        self.said["ports"] = {uuid: {"up": True, "vif": each["vif"]} for uuid, each in desired["ports"].items()}
        self.said["workloads"] = {
            uuid: {"phase": "Running", "generation": each["generation"]} for uuid, each in desired["workloads"].items()
        }


class Boards:
    """The double of `wamp/`."""

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.sessions: dict[str, int] = {}
        self.presence: Any = None
        self.closed: list[str] = []
        self._next = 1000
        self._tasks: set[asyncio.Task[Any]] = set()

    def session(self, board: str) -> int | None:
        return self.sessions.get(board)

    def capabilities(self, board: str) -> frozenset[str]:
        return frozenset(self.agents[board].capabilities)

    async def call(
        self, board: str, method: str, *arguments: Any, request: Any = None, timeout: float = 50.0
    ) -> Message:
        if board not in self.sessions:
            raise BoardNotConnected(board)
        await asyncio.sleep(0)
        agent = self.agents[board]
        agent.calls.append((method, *arguments))
        agent.requests.append(request)
        if method == "Desire":
            agent.obey(json.loads(json.dumps(arguments[0])))
            if not agent.silent:
                task = asyncio.create_task(self.presence.reported(board, json.loads(json.dumps(agent.said))))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            return Message("", Outcome.SUCCESS)
        answer = agent.answers.get(method, f"{method} done")
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(*arguments)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            raise CallFailed("it went away during the call")
        return answer if isinstance(answer, Message) else Message(answer, Outcome.SUCCESS)

    async def close(self, board: str) -> None:
        self.closed.append(board)
        self.sessions.pop(board, None)

    async def come(self, board: str, *capabilities: str) -> Agent:
        """An agent is there: what it had it still has."""
        agent = self.agents.setdefault(board, Agent(board, list(capabilities)))
        self._next += 1
        self.sessions[board] = self._next
        info = {"lr_version": "0.5.0", "agent": "continuo/0", "capabilities": agent.capabilities, "connectivity": {}}
        await self.presence.connected(board, self._next, info)
        return agent

    async def leave(self, board: str) -> None:
        await self.presence.left(self.sessions.pop(board))


class Tunnels:
    def __init__(self, ports: range = range(50000, 50100)) -> None:
        self.ports, self.open_ports = ports, dict[int, str]()

    async def open(self, board: str, port: int | None = None) -> tuple[int, str]:
        free = [each for each in self.ports if each not in self.open_ports]
        if port is None:
            if not free:
                raise OSError("no public port is free")
            port = free[0]
        if self.open_ports.setdefault(port, board) != board:
            raise OSError(f"port {port} is another board's")
        return port, f"token-of-{port}"

    async def close(self, port: int) -> None:
        self.open_ports.pop(port, None)

    def alive(self, port: int) -> bool:
        return port in self.open_ports


class Networks:
    def __init__(self) -> None:
        self.configs: dict[str, Any] = {}
        self.heard: Callable[[str, bool], None] = lambda port, there: None

    async def set(self, network: str, config: Any) -> None:
        self.configs[network] = config

    async def remove(self, network: str) -> None:
        self.configs.pop(network, None)

    def connected(self, port: str) -> bool:
        return False

    def on_change(self, heard: Callable[[str, bool], None]) -> None:
        self.heard = heard


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fault(self) -> str:
        """The sentence of a refusal, as clients get at it."""
        inner = json.loads(self.json["error_message"])
        assert set(inner) == {"faultcode", "faultstring", "debuginfo"}
        assert inner["faultcode"] == ("Server" if self.status >= 500 else "Client")
        return str(inner["faultstring"])


@dataclass
class Client:
    http: aiohttp.ClientSession
    url: str
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, method: str, path: str, body: Any = None, *, data: bytes | None = None, **headers: str
    ) -> Answer:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(
            method, self.url + path, json=body, data=data, headers={**self.headers, **more}
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def board(self, name: str = "one", **more: Any) -> Any:
        body = {"name": name, "code": f"code-{name}", "location": PLACE, **more}
        made = await self.ask("POST", "/v1/boards", body)
        assert made.status == 201, made.body
        return made.json

    async def plugin(self, name: str = "hello", **more: Any) -> Any:
        made = await self.ask("POST", "/v1/plugins", {"name": name, "code": CODE, **more})
        assert made.status == 201, made.body
        return made.json

    async def made(self, kind: str, **body: Any) -> Any:
        made = await self.ask("POST", f"/v1/{kind}", body)
        assert made.status == 201, made.body
        return made.json


@dataclass
class Bench:
    """A running hub."""

    hub: Hub
    core: Core
    boards: Boards
    tunnels: Tunnels
    networks: Networks
    http: aiohttp.ClientSession
    url: str
    clock: Clock
    asked: Counter[tuple[str, str]]
    """How often each method and route of its REST interface was."""

    @property
    def anybody(self) -> Client:
        return Client(self.http, self.url)

    async def client(self, role: str = "admin_iot_project", project: str = PROJECT, user: str | None = None) -> Client:
        _, secret = await self.core.registry.add_token(project, role, user)
        return Client(self.http, self.url, {"X-Auth-Token": secret})

    async def online(self, client: Client, name: str = "one", *capabilities: str, **more: Any) -> tuple[Any, Agent]:
        """A board that registered and came."""
        made = await client.board(name, **more)
        await self.core.presence.register(f"code-{name}", 1, "ab" * 32)
        return made, await self.boards.come(made["uuid"], *(capabilities or ("desire", "process", "tap")))

    def record(self, board: str) -> Board:
        found = self.core.registry.table(Board).get(board)
        assert found is not None
        return found


async def until(check: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """Ask again and again, as clients do, until something is true."""
    async with asyncio.timeout(seconds):
        while not (found := await check()):  # noqa: ASYNC110 - there is nobody who would say so
            await asyncio.sleep(0.01)
    return found


def free_socket() -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    return listening


@asynccontextmanager
async def hub(
    storage: str, *, no_auth: bool = False, boards: Boards | None = None, tunnels: Tunnels | None = None,
    clock: Clock | None = None, keep: int = 20_000, not_ending_in: str = "", **setting: Any,
) -> AsyncIterator[Bench]:  # fmt: skip
    """A hub that is running; what its parts hold may be that of one before."""
    boards, tunnels, networks, clock = boards or Boards(), tunnels or Tunnels(), Networks(), clock or Clock()
    core = Core(storage, Setting(**{"patience": 5.0, **setting}), clock, keep=keep)
    async with core.opened():
        boards.presence = core.presence
        made = Hub(core, boards, tunnels, networks)
        async with made.running():
            listening = free_socket()
            while not_ending_in and str(listening.getsockname()[1]).endswith(not_ending_in):
                listening.close()
                listening = free_socket()
            app = hub_app(made, no_auth=no_auth)
            config = uvicorn.Config(app, log_level="warning", lifespan="off")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
            host, port = listening.getsockname()
            try:
                async with aiohttp.ClientSession() as http:
                    yield Bench(
                        made, core, boards, tunnels, networks, http, f"http://{host}:{port}", clock, app.state.asked
                    )
            finally:
                core.feed.close()
                server.should_exit = True
                await serving
