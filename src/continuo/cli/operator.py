"""`continuo operator`: the controllers against a management cluster, with leader election."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from continuo.cli.failures import BadInput, Failed


@click.command()
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The management cluster's kubeconfig."
)
@click.option("--context", help="The context in it.")
@click.option("--lease-namespace", default="continuo-system", show_default=True, help="Where replicas meet.")
@click.option("--leader-election/--no-leader-election", default=False, show_default=True, help="Let one replica work.")
@click.option("--base-domain", default="apps.continuo.local", show_default=True, help="Domain of public components.")
@click.option(
    "--max-provisioning", type=click.IntRange(1), default=10, show_default=True, help="Clusters created at once."
)
@click.option("--health-port", type=click.IntRange(1, 65535), help="Serve /healthz, /readyz and /metrics there.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Serve /metrics there instead.")
@click.option(
    "--legacy-metrics", is_flag=True, help="Export clusters_num, providers_num, apps_num, components_num too."
)
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def operator(
    kubeconfig: Path | None,
    context: str | None,
    lease_namespace: str,
    leader_election: bool,
    base_domain: str,
    max_provisioning: int,
    health_port: int | None,
    metrics_port: int | None,
    legacy_metrics: bool,
    verbose: bool,
) -> None:
    """Run the controllers against a management cluster until stopped."""
    import uvloop

    from continuo.cli import tuning
    from continuo.cli.health import traced
    from continuo.cli.working import Lease, replica_name, work_until_stopped
    from continuo.kube.config import connect
    from continuo.kube.transport import Transports
    from continuo.orchestrator.operator import Operator
    from continuo.orchestrator.settings import Settings
    from continuo.orchestrator.telling import Telling
    from continuo.resources.errors import ApiError, BadRequest
    from continuo.telemetry.calls import Calls
    from continuo.telemetry.process import process_metrics

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings = Settings(base_domain=base_domain, provisioning_limit=max_provisioning)

    async def main() -> None:
        async with traced("continuo-operator") as tracing:
            metrics = process_metrics("operator")
            calls = Calls(metrics)
            transports = Transports(calls)
            management = connect(kubeconfig, context=context, name="management", transports=transports)
            identity = replica_name()
            controllers = Operator(
                management,
                lambda text, *, name: connect(text, name=name, transports=transports),
                settings,
                instance=identity,
                telling=Telling(metrics, tracing=tracing, calls=calls, legacy=legacy_metrics),
            )
            lease = Lease(management, "continuo-operator", lease_namespace) if leader_election else None
            try:
                await work_until_stopped(controllers, identity, lease, health_port, metrics, metrics_port=metrics_port)
            finally:
                await management.close()

    tuning.settle()
    try:
        uvloop.run(main())
    except BadRequest as error:
        raise BadInput(str(error)) from error
    except ApiError as error:
        raise Failed(str(error)) from error
