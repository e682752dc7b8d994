"""`continuo catalog serve --measure`: the measurements of a broker, in the process that keeps its catalog."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from continuo.cli.failures import BadInput

if TYPE_CHECKING:
    from continuo.broker.measurements.addresses import Network
    from continuo.broker.measurements.publishing import Publisher
    from continuo.broker.measurements.runner import Runner
    from continuo.kube.port import Cluster

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say."""

    kubeconfig: Path | None
    image: str | None
    service: Literal["LoadBalancer", "NodePort", "ClusterIP"]
    allowed: tuple[Network, ...]
    broker: str


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of --probe-allow."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise BadInput(f"--probe-allow must be a network such as 127.0.0.0/8: {error}") from error


@asynccontextmanager
async def measuring(publisher: Publisher, asked: Asked) -> AsyncIterator[None]:
    """Measure in the background, where that was asked for."""
    if asked.kubeconfig is None:
        yield
        return
    from continuo.kube.config import connect

    home = connect(asked.kubeconfig, name="broker")  # a bad kubeconfig ends the command here, with its sentence
    work = asyncio.create_task(_measure(publisher, asked, home), name="measure providers")
    work.add_done_callback(_ended)
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def _ended(work: asyncio.Task[None]) -> None:
    """The catalog goes on without measurements, and its log says why."""
    if not work.cancelled() and (error := work.exception()) is not None:
        log.error("measuring ended: %s", error, exc_info=error)


async def _measure(publisher: Publisher, asked: Asked, home: Cluster) -> None:
    import random
    import time
    from collections.abc import Callable

    from continuo.broker.measurements.addresses import Addresses, connector
    from continuo.broker.measurements.measuring import Measuring
    from continuo.broker.measurements.placement import Placement
    from continuo.broker.measurements.runner import Runner, Schedule
    from continuo.kube.config import connect
    from continuo.probing.client import Prober, session

    addresses, kept = Addresses(asked.allowed), publisher.measurements
    placement = None if asked.image is None else Placement(asked.broker, asked.image, asked.service)
    async with session(connector(addresses)) as http:
        prober = Prober(http, lambda: kept.private, kept.clock, time.perf_counter)

        def runner(measured: Callable[[str], None]) -> Runner:
            return Runner(prober, publisher, Schedule(), random.Random(), measured=measured)

        def provider(kubeconfig: str, *, name: str) -> Cluster:
            return connect(kubeconfig, name=name)

        try:
            await Measuring(home, provider, kept, runner, placement, addresses).run()
        finally:
            await home.close()
