"""A controller as a long-running command: alone or as one replica of several, with probes, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from continuo.cli.failures import Failed
from continuo.cli.health import health_served
from continuo.kube.port import Cluster
from continuo.runtime.leases import LeaderElection

if TYPE_CHECKING:
    from continuo.telemetry.metrics import Metrics


class Worker(Protocol):
    """What is run."""

    async def run(self) -> None:
        """Work until cancelled."""

    def trouble(self) -> str:
        """Why it cannot work, in one sentence; empty when it can."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Where replicas agree on the one that works."""

    cluster: Cluster
    name: str
    namespace: str


def replica_name() -> str:
    """What no other replica is called."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


async def work_until_stopped(
    worker: Worker, identity: str, lease: Lease | None, health_port: int | None, metrics: Metrics | None = None,
    *, metrics_port: int | None = None,
) -> None:  # fmt: skip
    """Run until SIGTERM or SIGINT; raises Failed when the lease goes to another replica."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work = asyncio.ensure_future(_led(worker.run, identity, lease))
    waiting = asyncio.create_task(stop.wait())
    try:
        async with health_served(health_port, worker.trouble, metrics, metrics_port=metrics_port):
            await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if work.done() and not stop.is_set():
            work.result()
            raise Failed("the lease was lost; another replica works now")
    finally:
        for task in (work, waiting):
            task.cancel()
        await asyncio.gather(work, waiting, return_exceptions=True)


async def _led(run: Callable[[], Awaitable[None]], identity: str, lease: Lease | None) -> None:
    if lease is None:
        await run()
    else:
        await LeaderElection(lease.cluster, lease.name, lease.namespace, identity).run(run)
