"""`continuo up --engine kubernetes`: a testbed of real clusters, with the operator in this process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from continuo.cli import places
from continuo.cli.failures import Failed
from continuo.resources.errors import ApiError
from continuo.testbed import capi_choice, kubeedge, minors
from continuo.testbed.bed import MANAGEMENT, Bed, Plan, cluster_names, no_containers
from continuo.testbed.credentials import write_private
from continuo.testbed.errors import TestbedError
from continuo.testbed.liqo import PROGRAMS
from continuo.testbed.tools import find_tools


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    data: Path
    clusters: int
    nodes: int
    """Simulated ones of each cluster."""
    containers: bool
    """Real ones instead."""
    liqo: bool
    cluster_api: bool
    edge: int
    """Edge nodes of the first cluster."""
    kubernetes: str | None
    """The minor version; the state's, or else the usual one, where absent."""
    port: int | None
    operator: bool


def run_bed(wish: Wish, ready: Callable[[str], None], progress: Callable[[str], None]) -> None:
    """Run a testbed until told to stop; `ready` hears the management cluster's address once it serves."""
    import uvloop

    from continuo.cli import tuning

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        bed = await _unless(stop, _start(wish, progress))
        if bed is None:
            return
        try:
            _write_kubeconfig(wish.data, bed)
            await _serve(bed, wish.operator, lambda: ready(bed.management.addresses.url), stop)
        finally:
            places.forget_running(wish.data)
            await bed.stop()

    tuning.settle()
    try:
        uvloop.run(main())
    except (TestbedError, ApiError, OSError) as error:
        raise Failed(str(error)) from error


def no_containers_here() -> str | None:
    """Why real containers cannot run on this machine; None when they can."""
    return no_containers(find_tools())


def no_liqo_here() -> str | None:
    """The same for real Liqo."""
    lacking = find_tools().missing(PROGRAMS)
    return f"{', '.join(lacking)} missing (continuo testbed build liqo)" if lacking else None


def no_edge_here() -> str | None:
    """The same for edge nodes of real KubeEdge."""
    reason = no_containers_here()
    return f"they need containers, and {reason}" if reason else kubeedge.impossible(find_tools())


def no_cluster_api_here() -> str | None:
    """The same for real Cluster API; what a killed testbed left may hold its port, and is removed first."""
    sweep()
    return capi_choice.impossible(find_tools())


async def _start(wish: Wish, progress: Callable[[str], None]) -> Bed:
    names = cluster_names(wish.clusters)
    plan = Plan(
        names, nodes=wish.nodes, port=wish.port, containers=wish.containers, liqo=wish.liqo,
        cluster_api=wish.cluster_api, edge=wish.edge,
        kubernetes=wish.kubernetes or minors.kept(wish.data) or minors.USUAL,
    )  # fmt: skip
    return await Bed.start(wish.data, plan, progress=progress)


async def _unless(stop: asyncio.Event, starting: object) -> Bed | None:
    """The bed; None when the user changed their mind while it started. Then everything is ended first."""
    start = asyncio.ensure_future(starting)  # type: ignore[call-overload]
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({start, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not start.done():
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        return None
    bed: Bed = start.result()
    return bed


async def _serve(bed: Bed, with_operator: bool, ready: Callable[[], None], stop: asyncio.Event) -> None:
    from continuo.cli.host import local_operator

    waiting = asyncio.create_task(stop.wait())
    running = {waiting}
    operator = local_operator(bed.kubeconfig(MANAGEMENT)) if with_operator else None
    work = asyncio.create_task(operator.run(), name="operator") if operator is not None else None
    if work is not None:
        running.add(work)  # type: ignore[arg-type]
    try:
        ready()
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        if work is not None and work.done() and not stop.is_set():
            work.result()
    finally:
        waiting.cancel()
        if work is not None and operator is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await operator.management.close()


def _write_kubeconfig(data: Path, bed: Bed) -> None:
    from continuo.cli.host import merge_kubeconfigs

    known = bed.kubeconfigs()
    write_private(places.kubeconfig_path(data), merge_kubeconfigs(list(known.values()), list(known)))


def sweep() -> list[str]:
    """Remove what killed testbeds of this user left on this machine; returns their identities."""
    from continuo.testbed import cleanup
    from continuo.testbed.registry import default_root

    try:
        return asyncio.run(cleanup.sweep(default_root()))
    except TestbedError as error:
        raise Failed(str(error)) from error
