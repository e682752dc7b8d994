"""A hub, the provider, three agents and nine simulated boards, processes that may die; what programs do is witnessed."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import secrets
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from continuo.cli.hub_admin import ask
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Write
from continuo.resources import kinds
from continuo.resources.boards import CLUSTER_PROVIDER_CONFIG, boards_crds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Kind, Object
from iot.networks.bed import impossible
from ports import free_ports

from .mortals import Mortal, Nursery

REAL, SIMULATED = ("real-0", "real-1", "real-2"), tuple(f"sim-{number}" for number in range(9))
WITHIN = 60.0
"""Seconds after which something that has to happen counts as never happening."""
_LOST = 0.3
"""How likely an answer is not heard, while some are still to be lost."""
_SETUP = Write(manager="setup")
_WEIGHTS = {"hub": 6, "provider": 5, "crowd": 1, **dict.fromkeys(REAL, 2)}


class Life:
    """One run of a program."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer, self._said = writer, asyncio.Event()
        self.over = False

    def heard(self, *, over: bool = False) -> None:
        self.over = over
        self._said.set()

    async def answers(self) -> bool:
        """Whether it says something when it is asked. One that was killed a moment ago does not."""
        self._said.clear()
        self._writer.write(b"?\n")
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                await self._said.wait()
                return not self.over
        return False


class Witness:
    """Programs on boards say here that they run, and stay connected while they do."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.open: dict[str, Life] = {}
        self.begun: Counter[str] = Counter()
        self.twice: list[str] = []
        """Who ran while another of the same did."""
        self._changed = changed

    async def heard(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One program, from its beginning to its end."""
        life, who = Life(writer), (await reader.readline()).decode().strip()
        before = self.open.get(who)
        if before is not None and await before.answers():
            self.twice.append(who)
        self.begun[who] += 1
        self.open[who] = life
        self._changed()
        with suppress(OSError):
            async for _ in reader:
                life.heard()
        life.heard(over=True)
        if self.open.get(who) is life:
            del self.open[who]
        writer.close()
        self._changed()


class Line:
    """Between the provider and the hub: some answers to writes are never heard, since the hub dies with them on its lips."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self.cut: Callable[[], bool] = lambda: False
        self.lost = self.left = 0
        self._port, self._rng = port, rng

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        state = {"writes": False}

        async def asked() -> None:
            while data := await reader.read(1 << 16):
                state["writes"] = data.startswith((b"POST", b"PUT", b"PATCH", b"DELETE")) or state["writes"]
                back.write(data)

        async def answered() -> None:
            while data := await there.read(1 << 16):
                if state["writes"] and self.left and self._rng.random() < _LOST and self.cut():
                    self.lost += 1
                    self.left -= 1
                    return
                state["writes"] = False
                writer.write(data)

        tasks = [asyncio.create_task(asked()), asyncio.create_task(answered())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (writer, back):
            end.close()


class Space:
    """A network namespace for the agent that has a port, wired to this one; none where that is not possible."""

    def __init__(self) -> None:
        number = secrets.randbelow(
            16_000
        )  # not of the seed: the same test may run beside this one, or have been killed
        self.name = f"ct{number}"
        self.inside, self.here = (
            f"10.{98 + number // 8192}.{number // 64 % 128}.{number % 64 * 4 + at}" for at in (2, 1)
        )

    def make(self) -> None:
        for words in (
            f"ip netns add {self.name}", f"ip link add {self.name} type veth peer name eth0 netns {self.name}",
            f"ip addr add {self.here}/30 dev {self.name}", f"ip link set {self.name} up",
            f"ip -n {self.name} addr add {self.inside}/30 dev eth0", f"ip -n {self.name} link set eth0 up",
            f"ip -n {self.name} link set lo up",
        ):  # fmt: skip
            done = subprocess.run(words.split(), capture_output=True, text=True)
            assert done.returncode == 0, f"{words}: {done.stderr}"

    def taps(self) -> list[str]:
        said = subprocess.run(["ip", "-n", self.name, "-j", "link"], check=True, capture_output=True).stdout
        return [link["ifname"] for link in json.loads(said) if link["ifname"] not in ("lo", "eth0")]

    async def no_taps(self) -> None:
        """Return when there is none: the kernel takes an interface away a moment after who held it said goodbye."""
        told = ["ip", "-n", self.name, "monitor", "link"]
        monitor = await asyncio.create_subprocess_exec(*told, stdout=asyncio.subprocess.PIPE)
        assert monitor.stdout is not None
        try:
            async with asyncio.timeout(WITHIN):
                while self.taps():
                    with suppress(TimeoutError):  # a change before the monitor listened is not told
                        async with asyncio.timeout(1):
                            await monitor.stdout.readline()
        except TimeoutError:
            raise AssertionError(f"never: no taps in {self.name}, but {self.taps()}") from None
        finally:
            monitor.kill()
            await monitor.wait()

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


class World:
    """Everything, and waiting for it."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self._rng, self._changed = folder, rng, asyncio.Event()
        self.engine = EmbeddedEngine()
        self.mortals: dict[str, Mortal] = {}
        self.witness = Witness(self._changed.set)
        self.space = Space() if impossible() is None else None
        self.address = self.space.here if self.space else "127.0.0.1"
        self._ports: list[int] = []

    async def open(self, stack: AsyncExitStack) -> None:
        """All but the boards."""
        if self.space is not None:
            stack.callback(self.space.remove)
            self.space.make()
        self.engine.start()
        stack.push_async_callback(self.engine.stop)
        server = Server(self.engine)
        await server.start()
        stack.push_async_callback(server.stop)
        self.engine.base_url, self.engine.credentials = server.base_url, server
        self.api = self.engine.create_cluster("m")
        for definition in boards_crds():
            self.api.create(definition, _SETUP)
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_text(server.kubeconfig(server.url("m"), "m"), encoding="utf-8")
        self.witness_port = await self._serve(stack, self.witness.heard, self.address)
        self.http = await stack.enter_async_context(aiohttp.ClientSession())
        self._nursery = await Nursery.open("boards_nursery.py")
        stack.push_async_callback(self._nursery.close)
        self._stack = stack
        await self._open_hub()
        told = ["--kubeconfig", str(kubeconfig), "--poll-interval", "5", "--creation-grace", "2"]
        await self.mortal("provider", "provider", told, 10)
        self.api.listen(None, lambda _change: self._saw())

    async def _serve(self, stack: AsyncExitStack, handle: Any, host: str) -> int:
        server = await asyncio.start_server(handle, host, 0)

        async def stop() -> None:
            server.close()

        stack.push_async_callback(stop)
        return int(server.sockets[0].getsockname()[1])

    async def _open_hub(self) -> None:
        ports = free_ports(7, self.address)
        rest, wamp, tunnel, network, self.public = ports[0], ports[1], ports[2], ports[3], ports[4]
        self.rest, data = f"http://127.0.0.1:{rest}", self.folder / "hub"
        places = [
            *(
                "--listen",
                f"127.0.0.1:{rest}",
                "--wamp",
                f"{self.address}:{wamp}",
                "--tunnel",
                f"{self.address}:{tunnel}",
            ),
            *("--network", f"{self.address}:{network}", "--ports", f"{self.public}-{self.public}"),
        ]
        await self.mortal("hub", "hub", ["--data", str(data), *places, "--insecure", "--allow-unsigned"], 60)
        self.url, self.ca = f"wss://{self.address}:{wamp}/", str(data / "tls" / "ca.crt")
        made = await ask(data, None, "token add", project="p", role="admin_iot_project", user=None)
        self.token = made["token"]
        self.line = Line(rest, self._rng)
        self.line.cut = self.mortals["hub"].kill
        endpoint = f"http://127.0.0.1:{await self._serve(self._stack, self.line.pass_on, '127.0.0.1')}"
        held = {"credentials": base64.b64encode(self.token.encode()).decode()}
        self.api.create(kinds.SECRET.new("hub", "default", data=held), _SETUP)
        reference = {"source": "Secret", "secretRef": {"name": "hub", "namespace": "default"}}
        spec = {"endpoint": endpoint, "authType": "token", "credentials": reference}
        self.api.create(CLUSTER_PROVIDER_CONFIG.new("default", spec=spec), _SETUP)

    async def mortal(self, name: str, command: str, arguments: list[str], span: int) -> None:
        """Start a process that may be killed."""
        made = Mortal(self._nursery, command, name, arguments, self.folder, rng=self._rng, span=span)
        self.mortals[name] = made
        self._stack.push_async_callback(made.stop)
        await made.start()

    async def boards(self) -> None:
        """Their agents, with the codes that the provider wrote down."""
        codes = {}
        for name in (*REAL, *SIMULATED):
            await self.until(lambda name=name: self.secret(f"{name}-board", "uuid"), f"{name} has a code")
            codes[name] = self.secret(f"{name}-board", "code")
        for number, name in enumerate(REAL):
            space = self.space.name if self.space is not None and number == 0 else ""
            home = str(self.folder / f"home-{name}")
            await self.mortal(name, "agent", [home, self.url, self.ca, codes[name], space], 80)
        told = json.dumps([codes[name] for name in SIMULATED])
        await self.mortal("crowd", "crowd", [str(self.folder / "crowd"), self.url, self.ca, told], 120)

    def arm(self, kills: int) -> None:
        """So many deaths more, of whom chance chooses."""
        names, weights = list(_WEIGHTS), list(_WEIGHTS.values())
        for name in self._rng.choices(names, weights, k=kills):
            self.mortals[name].allowed += 1
        for mortal in self.mortals.values():
            mortal.armed = True

    def disarm(self) -> None:
        for mortal in self.mortals.values():
            mortal.armed = False

    def _saw(self) -> None:
        for mortal in self.mortals.values():
            mortal.saw()
        self._changed.set()

    def secret(self, name: str, key: str) -> str:
        try:
            data = self.api.get(kinds.SECRET, name, "default")["data"]
        except ApiError:
            return ""
        return base64.b64decode(data.get(key, "")).decode()

    def make(self, kind: Kind, name: str, fields: Object, **labels: str) -> None:
        self.api.create(kind.new(name, "default", metadata={"labels": labels}, spec={"forProvider": fields}), _SETUP)

    def status(self, kind: Kind, name: str) -> Object:
        return (self.api.get(kind, name, "default").get("status") or {}).get("atProvider") or {}

    async def until(self, test: Callable[[], Any], what: str) -> None:
        """Wait until it holds; raises AssertionError with what everybody says where it never does."""
        try:
            async with asyncio.timeout(WITHIN):
                while not test():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"never: {what}\n{self.tails()}") from None

    def tails(self) -> str:
        """What everybody said last."""
        states = [
            f"{kind.kind} {obj['metadata']['name']}: {obj['metadata'].get('deletionTimestamp', '')} {obj.get('status')}"
            for kind in boards_kinds() for obj in self.api.list(kind, "default")
            if kind.kind != "Board" or "deletionTimestamp" in obj["metadata"]
        ]  # fmt: skip
        return "\n".join([*states, *(f"--- {name}\n{each.tail()}" for name, each in self.mortals.items())])

    async def rows(self, path: str) -> list[Any]:
        """What the hub has at that path, once it answers."""
        async with asyncio.timeout(WITHIN):
            while True:
                with suppress(aiohttp.ClientError, OSError):
                    async with self.http.get(f"{self.rest}/v1/{path}", headers={"X-Auth-Token": self.token}) as answer:
                        found = await answer.json()
                        assert answer.status == 200, found
                        return next(rows for rows in found.values() if isinstance(rows, list))
                await self.mortals["hub"].wait_up()

    def reachable(self) -> bool:
        """Whether somebody listens at the public port."""
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.public)) == 0

    def left(self) -> list[str]:
        """Processes that have to do with this world and are none of those that were started here."""
        ours = {self._nursery.pid, *(each.pid for each in self.mortals.values())}
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                said = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
                where = str((place / "cwd").readlink())
                if int(place.name) not in ours and (str(self.folder).encode() in said or str(self.folder) in where):
                    found.append(f"{place.name} {said[:200]!r} {where}")
        return found


def boards_kinds() -> Iterable[Kind]:
    from continuo.resources.boards import MANAGED_KINDS

    return [each.kind for each in MANAGED_KINDS]


@asynccontextmanager
async def world(folder: Path, rng: random.Random) -> AsyncIterator[World]:
    """Removed with everything in it."""
    async with AsyncExitStack() as stack:
        made = World(folder, rng)
        await made.open(stack)
        yield made
