"""`continuo catalog serve --link`: purchases become Contract objects of a broker's cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from continuo.cli.failures import BadInput

if TYPE_CHECKING:
    from continuo.broker.catalog.peering import Peering


@asynccontextmanager
async def linking(kubeconfig: Path | None, context: str | None) -> AsyncIterator[Peering | None]:
    """The way to the broker's cluster, where one was named; None: buyers peer by themselves."""
    if kubeconfig is None:
        if context is not None:
            raise BadInput("--link-context goes with --link, which names the kubeconfig")
        yield None
        return
    from continuo.broker.contracts.peering import ClusterPeering
    from continuo.kube.config import connect

    broker = connect(kubeconfig, context=context, name="broker")  # a bad kubeconfig ends the command here
    try:
        yield ClusterPeering(broker)
    finally:
        await broker.close()
