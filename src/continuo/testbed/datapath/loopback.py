"""The data path without any privilege: everything on 127.0.0.1, and for each link a process that passes bytes on.

There all pods of all clusters share one address, so they differ by ports that the system chooses; what an address means
is looked up in the plan before a call. Times say what a hop in user space costs, not what one in the kernel does.
"""

from __future__ import annotations

import asyncio

from continuo.testbed.datapath.agents import Agents
from continuo.testbed.datapath.plan import Way

LOCALHOST = "127.0.0.1"

Address = tuple[str, int]


class Loopback:
    """The relays of one data path."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._doors: dict[tuple[int, Address], Address] = {}
        """Where a link's process listens, by whom it passes on to."""
        self._lock = asyncio.Lock()

    def enter(self, _cluster: str) -> tuple[str, ...]:
        """Nothing: all clusters are here."""
        return ()

    def space(self, _cluster: str) -> str | None:
        """None: all clusters are here."""
        return None

    async def home(self, _cluster: str, _ip: str, _port: int) -> Address:
        """Where a pod listens: any port that is free."""
        return LOCALHOST, 0

    async def reach(self, way: Way, _ip: str, listener: Address) -> Address:
        """The first of a row of relays, one for each link of the way."""
        async with self._lock:
            for number in reversed(way.links):
                listener = await self._door(number, listener)
        return listener

    def source(self, _cluster: str) -> str | None:
        """Whatever the system says."""
        return None

    async def _door(self, number: int, beyond: Address) -> Address:
        if (number, beyond) not in self._doors:
            agent = await self._agents.of(f"link{number}")
            port = int((await agent.ask("relay", host=beyond[0], port=beyond[1]))["port"])
            self._doors[number, beyond] = (LOCALHOST, port)
        return self._doors[number, beyond]
