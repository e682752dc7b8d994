"""Real clusters that nobody reaches for a while: cut off their network, or behind a way that breaks.

A cluster with containers has a leg on its bed's network, which is taken down: packets vanish, and nobody is told. The API
server of one without has only this machine's loopback; the operator's way to it goes through a `Relay`, which breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from urllib.parse import urlsplit

import yaml

from continuo.testbed.commands import run
from continuo.testbed.network import FIRST_HOST
from continuo.testbed.tools import find_tools


def server_of(kubeconfig: str) -> str:
    """The URL of the API server that a kubeconfig (YAML) leads to."""
    return str(yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["server"])


def has_leg(kubeconfig: str) -> bool:
    """Whether the API server is on a network of its own, and not on this machine's loopback."""
    return not ipaddress.ip_address(str(urlsplit(server_of(kubeconfig)).hostname)).is_loopback


class Relay:
    """A way to an API server on this machine; while it is cut, connections break and new ones are refused."""

    def __init__(self, kubeconfig: str) -> None:
        self._document = yaml.safe_load(kubeconfig)
        parts = urlsplit(server_of(kubeconfig))
        self._host, self._to = str(parts.hostname), parts.port or 443
        self._port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport | asyncio.WriteTransport] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def used(self) -> bool:
        """Whether anybody was sent this way."""
        return self._port != 0

    async def open(self) -> str:
        """Let connections through; the kubeconfig of this way."""
        await self.cut()
        self._server = await asyncio.start_server(self._through, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self._document["clusters"][0]["cluster"]["server"] = f"https://{self._host}:{self._port}"
        return yaml.safe_dump(self._document)

    async def cut(self) -> None:
        """Break everything."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for transport in list(self._open):
            transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def mend(self) -> None:
        """Let connections through again; nothing where nobody was sent this way."""
        if self._server is None and self.used:
            await self.open()

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        self._open.add(writer.transport)
        try:
            there, back = await asyncio.open_connection(self._host, self._to)
            ends.append(back)
            self._open.add(back.transport)
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        except OSError:
            return  # whoever uses the connection sees that it broke
        finally:
            for end in ends:
                self._open.discard(end.transport)
                end.transport.abort()
            self._tasks.discard(task)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()


class Leg:
    """A cluster's leg on the network of a bed with containers."""

    def __init__(self, kubeconfig: str) -> None:
        self._address = ipaddress.ip_address(str(urlsplit(server_of(kubeconfig)).hostname))
        self._ip = str(find_tools().need("ip"))

    async def cut(self) -> None:
        """Take it down."""
        await self._set("down")

    async def mend(self) -> None:
        """Put it up again."""
        await self._set("up")

    async def _set(self, state: str) -> None:
        (route,) = json.loads(await run(self._ip, "-j", "route", "get", str(self._address)))
        number = int(self._address) - int(ipaddress.ip_network(f"{self._address}/24", strict=False)[FIRST_HOST])
        await run(self._ip, "link", "set", f"{route['dev']}-{number}", state)
