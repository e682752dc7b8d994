"""Who is at the other end of the Workload API's socket, as the kernel tells it.

gRPC does not tell a handler which process it serves. So the socket that workloads know is accepted here, where the kernel's
word can be had (SO_PEERCRED), and each connection is carried on to gRPC's own socket, which lies in a folder that only this
user may enter. The carrying end has a name of its own, and gRPC does tell that: it is what a caller is found by.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from pathlib import Path

from continuo.trust.issuer.entries import Caller

log = logging.getLogger(__name__)

_CREDENTIALS = struct.Struct("3i")
_MOST = 1024
_CHUNK = 65536


class Attesting:
    """The socket that workloads know. `folder` is for this alone, with mode 0700; `inner` is in it."""

    def __init__(self, path: Path, folder: Path, inner: Path, *, mode: int) -> None:
        self._path = path
        self._folder = folder
        self._inner = inner
        self._mode = mode
        self._callers: dict[str, Caller] = {}
        self._count = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def caller(self, peer: str) -> Caller | None:
        """Whom gRPC's `context.peer()` means; None when somebody got at the inner socket in another way."""
        return self._callers.get(peer.removeprefix("unix:"))

    async def start(self) -> None:
        """Listen. An old socket that nobody serves any more is replaced."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)  # nobody connects before the mode is what it should be
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(self._accept, sock=listener)
        self._path.chmod(self._mode)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="a workload's connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._callers) < _MOST:
                await self._carry(reader, writer, _caller(writer.get_extra_info("socket")))
            else:
                log.error("%d connections to %s are open; another one is closed", _MOST, self._path)
        except OSError as error:
            log.warning("a connection to %s broke: %s", self._path, error)
        finally:
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
        self._count += 1
        name = self._folder / f"{self._count}"
        name.unlink(missing_ok=True)
        carrier = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            carrier.setblocking(False)
            carrier.bind(str(name))
            self._callers[str(name)] = caller
            await asyncio.get_running_loop().sock_connect(carrier, str(self._inner))
            inner_reader, inner_writer = await asyncio.open_unix_connection(sock=carrier)
            ways = [asyncio.create_task(_pump(reader, inner_writer)), asyncio.create_task(_pump(inner_reader, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                inner_writer.close()
        finally:
            self._callers.pop(str(name), None)
            carrier.close()
            with contextlib.suppress(OSError):
                name.unlink()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


def _caller(connection: socket.socket) -> Caller:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    try:
        path = str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        path = ""
    return Caller(pid, uid, gid, path)
