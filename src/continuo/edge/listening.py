"""HTTP listeners of a process that has other things to do as well."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import uvicorn


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen; port 0: a free one."""

    host: str = "127.0.0.1"
    port: int = 0


class Face:
    """One listener of uvicorn, in this loop, without its signal handlers."""

    def __init__(
        self, app: Any, place: Place, tls: Mapping[str, Any], *, lifespan: Literal["on", "off"] = "off"
    ) -> None:
        self._place = place
        self._tls = "ssl_context_factory" in tls
        settings: dict[str, Any] = {
            "http": "httptools", "ws": "none", "lifespan": lifespan, "log_config": None, "access_log": False,
            "server_header": False, "timeout_graceful_shutdown": 2, "timeout_keep_alive": 75, "backlog": 4096, **tls,
        }  # fmt: skip
        self._config = uvicorn.Config(app, **settings)
        self._server = uvicorn.Server(self._config)
        self._task: asyncio.Task[None] | None = None
        self.url = ""
        """How it is reached, once it listens."""

    async def start(self) -> None:
        """Listen; raises OSError with a sentence where that cannot be."""
        place = self._place
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((place.host, place.port))
        except OSError as error:
            self._socket.close()
            raise OSError(f"cannot listen on {place.host} port {place.port}: {error.strerror or error}") from error
        self._config.load()
        self._server.lifespan = self._config.lifespan_class(self._config)
        await self._server.startup([self._socket])
        host = f"[{place.host}]" if ":" in place.host else place.host
        self.url = f"{'https' if self._tls else 'http'}://{host}:{self._socket.getsockname()[1]}"
        self._task = asyncio.create_task(self._server.main_loop())

    async def stop(self) -> None:
        """Finish what is under way, and listen no more."""
        self._server.should_exit = True
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
            await self._server.shutdown([self._socket])
