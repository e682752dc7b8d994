"""`continuo boards provider`: the controllers of the kinds of boards, as a long-running command."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import click

from continuo.cli.companions import say_ready
from continuo.cli.failures import BadInput, Failed, unwelcome
from continuo.cli.naming import kube_name


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    kubeconfig: Path | None
    context: str | None
    poll: float
    grace: float
    rate: float
    denied: tuple[str, ...]
    lease_namespace: str
    leader_election: bool
    health_port: int | None
    ready_fd: int | None


@click.command()
@click.option("--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The kubeconfig of the cluster.")
@click.option("--context", help="The context in it.")
@click.option("--poll-interval", "poll", type=click.FloatRange(1.0), default=60.0, show_default=True, metavar="SECONDS",
              help="How often what nobody tells of is looked at.")  # fmt: skip
@click.option("--creation-grace", "grace", type=click.FloatRange(0.1), default=30.0, show_default=True, metavar="SECONDS",
              help="How long something whose creation was not answered is looked for before it is created anew: longer than "
              "an endpoint may still be busy with it.")  # fmt: skip
@click.option("--max-reconcile-rate", "rate", type=click.FloatRange(0.1), default=100.0, show_default=True,
              help="Objects looked at per second in the long run.")  # fmt: skip
@click.option("--deny-network", "denied", multiple=True, metavar="CIDR",
              help="A network where nothing is sent to, whatever a ProviderConfig or a Plugin names.")  # fmt: skip
@click.option("--lease-namespace", default="continuo-system", show_default=True, callback=kube_name,
              help="Where replicas meet.")  # fmt: skip
@click.option("--leader-election/--no-leader-election", default=False, show_default=True, help="Let one replica work.")
@click.option("--health-port", type=click.IntRange(1, 65535), help="Serve /healthz, /readyz and /metrics there.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--ready-fd", type=int, hidden=True)
def provider(
    kubeconfig: Path | None, context: str | None, poll: float, grace: float, rate: float, denied: tuple[str, ...],
    lease_namespace: str, leader_election: bool, health_port: int | None, verbose: bool, ready_fd: int | None,
) -> None:  # fmt: skip
    """Keep Boards, Fleets, Plugins and all that runs on boards as their objects declare them, until stopped.

    They are kept at the endpoints that ProviderConfigs and ClusterProviderConfigs name: a `continuo hub`, or OpenStack's
    IoTronic.
    """
    import uvloop

    from continuo.cli import tuning
    from continuo.resources.errors import ApiError, BadRequest

    wish = Wish(
        kubeconfig, context, poll, grace, rate, denied, lease_namespace, leader_election, health_port, ready_fd
    )  # fmt: skip
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    tuning.settle()
    try:
        uvloop.run(_run(wish))
    except BadRequest as error:
        raise BadInput(str(error)) from error
    except ApiError as error:
        raise Failed(unwelcome(error, "the cluster")) from error


async def _run(wish: Wish) -> None:
    from continuo.cli.boards_there import check_definitions
    from continuo.cli.working import Lease, replica_name, work_until_stopped
    from continuo.iot.provider.addresses import networks
    from continuo.iot.provider.decide import Times
    from continuo.iot.provider.kinds import DRIVERS
    from continuo.iot.provider.provider import Provider, Settings
    from continuo.kube.config import connect
    from continuo.kube.transport import Transports
    from continuo.telemetry.calls import Calls
    from continuo.telemetry.process import process_metrics

    try:
        networks(wish.denied)
    except ValueError as error:
        raise BadInput(f"--deny-network: {error}") from error
    metrics = process_metrics("boards")
    transports = Transports(Calls(metrics))
    cluster = connect(wish.kubeconfig, context=wish.context, name="cluster", transports=transports)
    settings = Settings(times=Times(grace=wish.grace, poll=wish.poll), rate=wish.rate, denied=wish.denied)
    identity = replica_name()
    worker = Provider(cluster, DRIVERS, instance=identity, settings=settings)
    metrics.collect("the boards", worker.figures)
    lease = Lease(cluster, "continuo-boards", wish.lease_namespace) if wish.leader_election else None
    telling = asyncio.create_task(_tell(worker.ready, wish.ready_fd))
    try:
        await check_definitions(cluster)
        await work_until_stopped(worker, identity, lease, wish.health_port, metrics)
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await cluster.close()


async def _tell(ready: asyncio.Event, descriptor: int | None) -> None:
    await ready.wait()
    logging.getLogger("continuo.iot.provider").info("the provider works")
    say_ready(descriptor)
