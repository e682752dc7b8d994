"""`continuo operator`: the controllers against a management cluster, with leader election."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from continuo.cli.failures import BadInput, Failed
from continuo.cli.kafka_options import kafka_options
from continuo.cli.prometheus_options import prometheus_options
from continuo.cli.settings_options import PROBER_IMAGE, guard_options, rendering_options

if TYPE_CHECKING:
    from continuo.cli.kafka_parts import Parts
    from continuo.events.kafka_settings import KafkaSettings
    from continuo.kube.port import Cluster
    from continuo.orchestrator.loops.figures_prometheus import Prometheus
    from continuo.orchestrator.settings import Settings
    from continuo.placement.guards import Limits


@click.command()
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The management cluster's kubeconfig."
)
@click.option("--context", help="The context in it.")
@click.option("--lease-namespace", default="continuo-system", show_default=True, help="Where replicas meet.")
@click.option("--leader-election/--no-leader-election", default=False, show_default=True, help="Let one replica work.")
@click.option(
    "--max-provisioning", type=click.IntRange(1), default=10, show_default=True, help="Clusters created at once."
)
@click.option("--health-port", type=click.IntRange(1, 65535), help="Serve /healthz, /readyz and /metrics there.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Serve /metrics there instead.")
@click.option(
    "--legacy-metrics", is_flag=True, help="Export clusters_num, providers_num, apps_num, components_num too."
)
@click.option(
    "--tasks", type=click.Choice(("in-process", "kafka")), default="in-process", show_default=True,
    help="Who carries out steps: this process, or backends that are told through Kafka.",
)  # fmt: skip
@click.option(
    "--prober-image", envvar=PROBER_IMAGE, default="", help="Image of links' probers; continuo:VERSION where absent."
)
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@rendering_options
@guard_options()
@prometheus_options
@kafka_options
def operator(
    kubeconfig: Path | None,
    context: str | None,
    lease_namespace: str,
    leader_election: bool,
    max_provisioning: int,
    health_port: int | None,
    metrics_port: int | None,
    legacy_metrics: bool,
    tasks: str,
    prober_image: str,
    verbose: bool,
    kafka: KafkaSettings | None,
    prometheus: Prometheus | None,
    settings: Settings,
    limits: Limits,
) -> None:
    """Run the controllers against a management cluster until stopped."""
    if tasks == "kafka" and kafka is None:
        raise BadInput("--tasks kafka needs brokers: name them with --kafka HOST:PORT")
    import uvloop

    from continuo.cli import tuning
    from continuo.cli.health import traced
    from continuo.cli.together import Together
    from continuo.cli.working import Lease, replica_name, work_until_stopped
    from continuo.events.publisher import Publisher
    from continuo.kube.config import connect
    from continuo.kube.transport import Transports
    from continuo.orchestrator.loops.figures import Figures
    from continuo.orchestrator.operator import Operator
    from continuo.orchestrator.telling import Telling
    from continuo.resources.errors import ApiError, BadRequest
    from continuo.telemetry.calls import Calls
    from continuo.telemetry.process import process_metrics

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings = replace(settings, provisioning_limit=max_provisioning, limits=limits, prober_image=prober_image)

    async def main() -> None:
        async with traced("continuo-operator") as tracing:
            metrics = process_metrics("operator")
            calls = Calls(metrics)
            transports = Transports(calls)
            management = connect(kubeconfig, context=context, name="management", transports=transports)
            identity = replica_name()
            parts = _kafka_parts(kafka, identity, management, tasks == "kafka")
            controllers = Operator(
                management,
                lambda text, *, name: connect(text, name=name, transports=transports),
                settings,
                instance=identity,
                executor=parts.remote if parts else None,
                publisher=Publisher(parts.sinks) if parts else None,
                figures=Figures(prometheus),
                telling=Telling(metrics, tracing=tracing, calls=calls, legacy=legacy_metrics),
            )
            worker = Together(controllers, parts.beside if parts else ())
            lease = Lease(management, "continuo-operator", lease_namespace) if leader_election else None
            try:
                await work_until_stopped(worker, identity, lease, health_port, metrics, metrics_port=metrics_port)
            finally:
                if parts:
                    await parts.close()
                if prometheus:
                    await prometheus.close()
                await management.close()

    tuning.settle()
    try:
        uvloop.run(main())
    except BadRequest as error:
        raise BadInput(str(error)) from error
    except ApiError as error:
        raise Failed(str(error)) from error


def _kafka_parts(kafka: KafkaSettings | None, identity: str, management: Cluster, tasks: bool) -> Parts | None:
    """What goes through Kafka; nothing is imported for it where nothing does."""
    if kafka is None:
        return None
    from continuo.cli.kafka_parts import operator_parts

    return operator_parts(kafka, identity, management, tasks=tasks)
