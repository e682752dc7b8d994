"""A process of a data path, in the network of its cluster: `python -m continuo.testbed.datapath.agent SOCKET`.

It reads a line of JSON for each thing to do, and answers with one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from continuo.testbed.datapath import caller
from continuo.testbed.datapath.pods import Echo, Page, Relay

log = logging.getLogger(__name__)

_LONGEST_LINE = 1 << 20


class Work:
    """What the process does; it goes on until the process ends."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._does: dict[str, Callable[..., Awaitable[dict[str, object]]]]
        self._does = {"serve": self._serve, "relay": self._relay, "call": self._call}

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what a connection asks, one thing after the other."""
        while line := await reader.readline():
            writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> dict[str, object]:
        asked = json.loads(line)
        try:
            return await self._does[asked.pop("do")](**asked)
        except (OSError, caller.NoAnswer) as error:
            return {"error": str(error)}
        except Exception as error:  # whoever asked is told; the pods that this process is go on
            log.exception("what was asked failed")
            return {"error": f"{type(error).__name__}: {error}"}

    async def _serve(self, who: str, host: str, port: int) -> dict[str, object]:
        """Be a pod: pages on the port, and an echo on another one."""
        loop = asyncio.get_running_loop()
        page = self._keep(await loop.create_server(lambda: Page(who), host, port))
        return {"page": page, "echo": self._keep(await loop.create_server(Echo, host, 0))}

    async def _relay(self, host: str, port: int) -> dict[str, object]:
        """Pass on whatever comes to a port of this machine."""
        loop = asyncio.get_running_loop()
        return {"port": self._keep(await loop.create_server(lambda: Relay(host, port), "127.0.0.1", 0))}

    async def _call(self, space: str | None, **arguments: Any) -> dict[str, object]:
        """Call and take the time. It blocks, so that nothing else happens in this process meanwhile."""
        with caller.within(space):
            return caller.measure(**arguments)

    def _keep(self, server: asyncio.Server) -> int:
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])


async def main(path: str) -> None:
    """Attend to whoever connects, until killed."""
    async with await asyncio.start_unix_server(Work().attend, path, limit=_LONGEST_LINE) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
