"""`continuo broker serve`: the whole broker of one cluster in one process."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from continuo.cli.companions import say_ready
from continuo.cli.failures import BadInput, Failed, unwelcome
from continuo.cli.naming import kube_name, slice_class

if TYPE_CHECKING:
    from continuo.federation.model import ServiceType


@click.command()
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The kubeconfig of the broker's cluster."
)
@click.option("--context", help="The context in it.")
@click.option(
    "--name", default="broker", show_default=True, callback=kube_name, help="What its node is called at consumers."
)
@click.option("--class", "class_", default="continuo", show_default=True, callback=slice_class,
              help="Answer ResourceSlices of this class.")  # fmt: skip
@click.option(
    "--gateway-service", type=click.Choice(("LoadBalancer", "NodePort", "ClusterIP")), default="LoadBalancer",
    show_default=True, help="How the gateways of direct networks are reached.",
)  # fmt: skip
@click.option("--lease-namespace", default="continuo-system", show_default=True, callback=kube_name,
              help="Where replicas meet.")  # fmt: skip
@click.option("--leader-election/--no-leader-election", default=False, show_default=True, help="Let one replica work.")
@click.option("--health-port", type=click.IntRange(1, 65535), help="Serve /healthz, /readyz and /metrics there.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--ready-fd", type=int, hidden=True)
def serve(
    kubeconfig: Path | None, context: str | None, name: str, class_: str, gateway_service: ServiceType, lease_namespace: str,
    leader_election: bool, health_port: int | None, verbose: bool, ready_fd: int | None,
) -> None:  # fmt: skip
    """Be the broker between the Providers and Consumers of a cluster, until stopped.

    Clusters whose kubeconfig is named by a Provider or a Consumer get virtual nodes: providers here, the broker and its
    Aggregates at consumers. Consumers' namespaces go to the node that their label continuo.dev/offload names. Pods are
    placed as BrokerPolicies allow, and their networks lead straight to where they run.
    """
    import uvloop

    from continuo.cli import tuning
    from continuo.resources.errors import ApiError, BadRequest

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    tuning.settle()
    lease = lease_namespace if leader_election else None
    try:
        uvloop.run(_serve(kubeconfig, context, name, class_, gateway_service, lease, health_port, ready_fd))
    except BadRequest as error:
        raise BadInput(str(error)) from error
    except ApiError as error:
        raise Failed(unwelcome(error, "the broker's cluster")) from error


async def _serve(
    kubeconfig: Path | None, context: str | None, name: str, class_: str, gateway_service: ServiceType, leases: str | None,
    health_port: int | None, ready_fd: int | None,
) -> None:  # fmt: skip
    from continuo.broker.station.station import Station
    from continuo.cli.working import Lease, replica_name, work_until_stopped
    from continuo.federation.model import LinkSettings
    from continuo.kube.config import connect
    from continuo.kube.port import Cluster
    from continuo.kube.transport import Transports
    from continuo.telemetry.calls import Calls
    from continuo.telemetry.process import process_metrics

    metrics = process_metrics("broker")
    transports = Transports(Calls(metrics))
    cluster = connect(kubeconfig, context=context, name=name, transports=transports)

    def member(kubeconfig: str, *, name: str) -> Cluster:
        return connect(kubeconfig, name=name, transports=transports)

    identity = replica_name()
    links = LinkSettings(service_type=gateway_service)
    station = Station(cluster, member, name=name, instance=identity, class_=class_, links=links)
    metrics.collect("the contracts", station.figures)
    lease = Lease(cluster, "continuo-broker", leases) if leases else None
    telling = asyncio.create_task(_tell(station.ready, ready_fd))
    try:
        await work_until_stopped(station, identity, lease, health_port, metrics)
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await cluster.close()


async def _tell(ready: asyncio.Event, descriptor: int | None) -> None:
    await ready.wait()
    say_ready(descriptor)
