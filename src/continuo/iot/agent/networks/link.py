"""One port, kept: its TAP is made, and its connection made again for ever."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
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

    async def run(self) -> None:
        """Keep the port."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                begun = loop.time()
                wait = await self._once()
                if loop.time() - begun > SETTLED + wait:
                    self._backoff.reset()
                await asyncio.sleep(wait + self._backoff.next())
        finally:
            self._release()

    async def _once(self) -> float:
        """One attempt, and all the time that it holds; seconds to wait at least before the next."""
        try:
            if self._device is None:
                self._device = await self._maker(self.port)
            ended = await self._connected(self._device)
        except TapError as error:
            self._say(False, str(error))
            return 0.0
        except Exception as error:  # the port goes on being tried, whatever happened: nobody else would try
            log.exception("port %s", self.port.uuid)
            self._say(False, f"this attempt failed: {type(error).__name__}: {error}")
            return 0.0
        self._say(False, str(ended))
        if ended.tap:
            self._release()
        return REPLACED if ended.replaced else 0.0

    async def _connected(self, device: Device) -> Ended:
        """Connect, and hold it; why it is over."""
        port, loop = self.port, asyncio.get_running_loop()
        connection = Connection(port, device.fd)
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

    def _say(self, up: bool, message: str) -> None:
        self._tell(State(up, self.port.vif, message))

    def _release(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None
