"""`continuo broker run`: the transparent orchestrator, the scheduler of consumers' pods.

A command of its own and not a part of `continuo operator`: that one works in the management cluster on orchestrations, this
one in the broker's cluster on other people's pods, with other rights; most who run one do not run the other.
"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from continuo.cli.failures import BadInput, Failed, unwelcome
from continuo.cli.naming import kube_name


@click.command()
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The kubeconfig of the broker's cluster."
)
@click.option("--context", help="The context in it.")
@click.option("--lease-namespace", default="continuo-system", show_default=True, callback=kube_name,
              help="Where replicas meet.")  # fmt: skip
@click.option("--leader-election/--no-leader-election", default=False, show_default=True, help="Let one replica work.")
@click.option("--health-port", type=click.IntRange(1, 65535), help="Serve /healthz, /readyz and /metrics there.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def run(
    kubeconfig: Path | None, context: str | None, lease_namespace: str, leader_election: bool, health_port: int | None,
    verbose: bool,
) -> None:  # fmt: skip
    """Schedule the pods in consumers' namespaces, move them when policies or measurements change; until stopped.

    Consumers' namespaces carry the label continuo.dev/consumer or liqo.io/remote-cluster-id, providers' virtual nodes the
    label continuo.dev/provider and the taint continuo.dev/brokered.
    """
    import uvloop

    from continuo.cli import tuning
    from continuo.resources.errors import ApiError, BadRequest

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    tuning.settle()
    try:
        uvloop.run(_run(kubeconfig, context, lease_namespace if leader_election else None, health_port))
    except BadRequest as error:
        raise BadInput(str(error)) from error
    except ApiError as error:
        raise Failed(unwelcome(error, "the broker's cluster")) from error


async def _run(kubeconfig: Path | None, context: str | None, leases: str | None, health_port: int | None) -> None:
    from continuo.broker.selector.selector import Selector
    from continuo.cli.working import Lease, replica_name, work_until_stopped
    from continuo.kube.config import connect
    from continuo.kube.transport import Transports
    from continuo.telemetry.calls import Calls
    from continuo.telemetry.process import process_metrics

    metrics = process_metrics("broker")
    cluster = connect(kubeconfig, context=context, name=context or "broker", transports=Transports(Calls(metrics)))
    identity = replica_name()
    lease = Lease(cluster, "continuo-broker", leases) if leases else None
    try:
        await work_until_stopped(Selector(cluster, instance=identity), identity, lease, health_port, metrics)
    finally:
        await cluster.close()
