"""Where boards' ports connect to, and `Networks` for the rest of the hub.

One listener for all networks: which network a connection belongs to is said by its port and proved by the port's token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from continuo.iot.frames import Closing
from continuo.iot.hub.networks import config
from continuo.iot.hub.networks.connection import Connection
from continuo.iot.hub.networks.outbox import Outbox
from continuo.iot.hub.networks.switch import Port, Switch
from continuo.iot.hub.networks.upgrade import Refused, Request
from continuo.iot.hub.strangers import Strangers

log = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two looks at who is silent."""
NO_TOKEN = hashlib.sha256(b"").hexdigest()

Heard = Callable[[str, bool], None]


class NetworkServer:
    """The networks of a hub. Made once; `serve` lets boards in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, strangers: Strangers | None = None) -> None:
        self.clock = clock
        self._switches: dict[str, Switch] = {}
        self._network_of: dict[str, str] = {}
        self._live: dict[str, Connection] = {}
        self._open: set[Connection] = set()
        self._strangers = strangers or Strangers()
        self._heard: list[Heard] = []
        self._due: list[Outbox] = []
        self.refused = 0
        """Connections that were not let in."""

    async def set(self, network: str, told: Mapping[str, Any]) -> None:
        """Let there be a network; raises ValueError with a sentence and changes nothing where it cannot be."""
        wanted = config.read(network, told)
        for port in wanted.ports:
            if self._network_of.get(port, network) != network:
                raise ValueError(f"network {network}: port {port} is one of network {self._network_of[port]} already")
        before = self._switches.get(network)
        old = before.network if before else None
        if old == wanted:
            return
        if before is None:
            self._switches[network] = Switch(wanted)
        else:
            before.change(wanted)
        for port in old.ports if old else ():
            del self._network_of[port]
        self._network_of |= dict.fromkeys(wanted.ports, network)
        if old:
            self._end_changed(old, wanted)

    def _end_changed(self, old: config.Network, new: config.Network) -> None:
        """End the connections whose port is gone, or has another credential, address or MTU."""
        for port, was in old.ports.items():
            now = new.ports.get(port)
            if now is None:
                self._end(port, Closing.REMOVED)
            elif (was.token, was.mac, was.ip, was.board, old.mtu) != (now.token, now.mac, now.ip, now.board, new.mtu):
                self._end(port, Closing.CHANGED)

    async def remove(self, network: str) -> None:
        """End a network and its connections; nothing where there is none."""
        if (switch := self._switches.pop(network, None)) is None:
            return
        for port in switch.ports:
            del self._network_of[port]
            self._end(port, Closing.REMOVED)

    def connected(self, port: str) -> bool:
        """Whether a port's board end is there."""
        return port in self._live

    def on_change(self, heard: Heard) -> None:
        """Be told of ports whose board end comes (True) or goes."""
        self._heard.append(heard)

    def counters(self, port: str) -> Mapping[str, int]:
        """What a port received, sent and dropped, by reason; raises KeyError where there is none."""
        return dict(self._switches[self._network_of[port]].ports[port].counters)

    def all_counters(self) -> Iterable[tuple[str, str, Mapping[str, int]]]:
        """Network, port and counters of every port."""
        for network, switch in self._switches.items():
            for port, now in switch.ports.items():
                yield network, port, now.counters

    # What connections call.

    def admit(self, request: Request, connection: Connection) -> tuple[Switch, Port]:
        """Let a port's connection in, in place of an older one; raises Refused, in the same words whatever is wrong."""
        network = self._network_of.get(request.port)
        port = self._switches[network].ports[request.port] if network is not None else None
        proof = hashlib.sha256(request.token.encode()).hexdigest()
        if not hmac.compare_digest(proof, port.told.token if port else NO_TOKEN) or port is None or network is None:
            raise Refused(401, "No such port, or its token is another.")
        self._end(request.port, Closing.REPLACED)
        self._live[request.port] = connection
        port.outbox = connection.outbox
        self._strangers.gone(connection)
        log.info("port %s of network %s is connected", request.port, network)
        self._tell(request.port, True)
        return self._switches[network], port

    def stranger(self, connection: Connection, peer: object) -> bool:
        """Somebody came; whether there is room until it says who it is."""
        self._open.add(connection)
        return self._strangers.come(connection, peer)

    def gone(self, connection: Connection, port: str | None) -> None:
        """A connection is over."""
        self._open.discard(connection)
        self._strangers.gone(connection)
        if port is None:
            self.refused += 1
        elif self._live.get(port) is connection:
            self._left(port)

    def due(self, outbox: Outbox) -> None:
        """An outbox has something."""
        self._due.append(outbox)

    def flush(self) -> None:
        """Write what is due: once for all frames that came together."""
        due, self._due = self._due, []
        for outbox in due:
            outbox.flush()

    def _end(self, port: str, why: Closing) -> None:
        if (connection := self._live.get(port)) is not None:
            self._left(port)
            connection.close(why)

    def _left(self, port: str) -> None:
        del self._live[port]
        switch = self._switches.get(self._network_of.get(port, ""))
        if switch is not None and (here := switch.ports.get(port)) is not None:
            here.outbox = None
        log.info("port %s is not connected any more", port)
        self._tell(port, False)

    def _tell(self, port: str, there: bool) -> None:
        for heard in self._heard:
            heard(port, there)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.tick()

    def tick(self) -> None:
        """Look at who is silent."""
        now = self.clock()
        for connection in list(self._open):
            connection.tick(now)

    def _end_all(self) -> None:
        for connection in list(self._open):
            connection.abort()


@asynccontextmanager
async def serve(
    host: str, port: int, tls: ssl.SSLContext | None, *, networks: NetworkServer | None = None
) -> AsyncIterator[tuple[NetworkServer, int]]:
    """Let boards in while this lasts: the networks, and the port number where 0 was asked for.

    `tls` may be None in tests and comparisons only: then all can be read by whoever is on the way. Raises OSError.
    """
    own = networks or NetworkServer()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: Connection(own), host, port, ssl=tls, backlog=1024, ssl_handshake_timeout=10 if tls else None
    )
    watching = loop.create_task(own._watch())
    try:
        yield own, listener.sockets[0].getsockname()[1]
    finally:
        watching.cancel()
        listener.close()
        own._end_all()
        await asyncio.gather(watching, return_exceptions=True)
