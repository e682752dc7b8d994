"""Something that serves the Kubernetes API for the suites: named by the environment, or started here."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server

VARIABLE = "CONTINUO_TEST_KUBECONFIG"


class Loop:
    """An event loop in a thread of its own, so that tests and their child processes may block."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="engine", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class _Started:
    """An engine in memory and its HTTP face."""

    async def start(self) -> str:
        self.engine = EmbeddedEngine()
        self.server = Server(self.engine)
        await self.server.start()
        self.engine.base_url = self.server.base_url
        self.engine.credentials = self.server
        self.engine.start()
        return self.engine.kubeconfig("management")

    async def stop(self) -> None:
        await self.server.stop()
        await self.engine.stop()


@contextmanager
def kubeconfig_of_a_cluster() -> Iterator[str]:
    """The kubeconfig (text) of the cluster under test."""
    if named := os.environ.get(VARIABLE):
        yield Path(named).read_text(encoding="utf-8")
        return
    loop, started = Loop(), _Started()
    try:
        yield loop.run(started.start())
        loop.run(started.stop())
    finally:
        loop.stop()
