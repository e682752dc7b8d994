"""One port, kept: its TAP is made, and its connection made again for ever."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from continuo.iot.agent.networks.connection import Connection, Ended
from continuo.iot.agent.networks.desired import Port
from continuo.iot.agent.networks.tap import Device, TapError
from continuo.trust.backoff import Backoff

log = logging.getLogger(__name__)

Maker = Callable[[Port], Awaitable[Device]]

PATIENCE = 15.0
"""Seconds for a connection to be made, TLS and the hub's answer included."""
SETTLED = 5.0
"""Seconds after which a connection counts as a good one: the next attempt after it comes at once."""
REPLACED = 30.0
"""Seconds to wait at least where another agent uses the same token: two would throw each other out for ever."""


@dataclass(frozen=True, slots=True)
class State:
    """How a port is, as it is reported."""

    up: bool
    vif: str
    message: str


class Link:
    """One port's work; `run` lasts until it is cancelled, and then the TAP is gone."""

    def __init__(
        self, port: Port, tls: ssl.SSLContext, maker: Maker, tell: Callable[[State], None], backoff: Backoff
    ) -> None:
        self.port = port
        self._tls, self._maker, self._tell, self._backoff = tls, maker, tell, backoff
        self._device: Device | None = None
        self._connection: Connection | None = None
        self._changed = asyncio.Event()

    def change(self, port: Port) -> None:
        """Connect as this from now on (another token, another hub); the interface is the same and stays."""
        self.port = port
        self._changed.set()
        if self._connection is not None:
            self._connection.close()

    async def run(self) -> None:
        """Keep the port."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._changed.clear()
                begun = loop.time()
                wait = await self._once()
                if self._changed.is_set() or loop.time() - begun > SETTLED:
                    self._backoff.reset()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), wait + self._backoff.next())
        finally:
            self._release()

    async def _once(self) -> float:
        """One attempt, and all the time that it holds; seconds to wait at least before the next."""
        try:
            if self._device is None:
                await self._not_through_itself()
                self._device = await self._maker(self.port)
            ended = await self._connected(self._device)
        except TapError as error:
            self._say(False, str(error))
            return 0.0
        except Exception as error:  # the port goes on being tried, whatever happened: nobody else would try
            log.exception("port %s", self.port.uuid)
            self._say(False, f"this attempt failed: {type(error).__name__}: {error}")
            return 0.0
        if self._changed.is_set():
            self._say(False, f"connecting to {self.port.host}:{self.port.hub_port}")
            return 0.0
        self._say(False, str(ended))
        if ended.tap:
            self._release()
        return REPLACED if ended.replaced else 0.0

    async def _not_through_itself(self) -> None:
        """Refuse a port that would take the packets by which its own frames travel."""
        port = self.port
        try:
            async with asyncio.timeout(PATIENCE):
                found = await asyncio.get_running_loop().getaddrinfo(port.host, port.hub_port, family=socket.AF_INET)
        except OSError:
            return  # connecting says what is wrong
        for address in {str(told[4][0]) for told in found}:
            if port.leads_to(address):
                raise TapError(
                    f"the hub's address {address} is within what this port leads to ({port.ip}): its frames would go "
                    "into itself; give the network another CIDR"
                )

    async def _connected(self, device: Device) -> Ended:
        """Connect, and hold it; why it is over."""
        port, loop = self.port, asyncio.get_running_loop()
        connection = self._connection = Connection(port, device.fd)
        try:
            async with asyncio.timeout(PATIENCE):
                await loop.create_connection(
                    lambda: connection, port.host, port.hub_port,
                    ssl=self._tls if port.secure else None, server_hostname=port.host if port.secure else None,
                )  # fmt: skip
                await connection.opened
            self._say(True, "connected")
            return await connection.ended
        except Ended as ended:
            return ended
        except ssl.SSLCertVerificationError as error:
            return Ended(f"the hub's certificate is not trusted ({error.verify_message}): give the agent the hub's CA")
        except TimeoutError:
            return Ended(f"{port.host}:{port.hub_port} did not answer within {PATIENCE:g} s")
        except OSError as error:
            return Ended(f"cannot connect to {port.host}:{port.hub_port}: {error.strerror or error}")
        finally:
            connection.close()
            self._connection = None

    def _say(self, up: bool, message: str) -> None:
        self._tell(State(up, self.port.vif, message))

    def _release(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None
