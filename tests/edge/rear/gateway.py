"""A seller behind a real HTTP server, which can be stopped and started at one address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from continuo.edge.rear.seller.seller import Seller
from continuo.server.rear_app import create_rear_app
from ports import free_port


class Gateway:
    def __init__(self, seller: Seller, port: int = 0, **options: Any) -> None:
        self.seller = seller
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port or free_port()))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        options = {"http": "httptools", "ws": "none", **options}
        config = uvicorn.Config(
            create_rear_app(seller, runs=True), lifespan="off", log_config=None, timeout_graceful_shutdown=1,
            **options,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup([self._socket])
        self._task = asyncio.create_task(self._server.main_loop())

    async def stop(self) -> None:
        self.seller.following.close()
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        await self._server.shutdown([self._socket])


@asynccontextmanager
async def serving(seller: Seller, port: int = 0, **options: Any) -> AsyncIterator[Gateway]:
    gateway = Gateway(seller, port, **options)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
