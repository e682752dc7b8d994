"""`continuo backend`: carries out what an operator with `--tasks kafka` decides."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from continuo.cli.failures import BadInput, Failed
from continuo.cli.kafka_options import kafka_options
from continuo.cli.settings_options import rendering_options

if TYPE_CHECKING:
    from continuo.events.kafka_settings import KafkaSettings
    from continuo.orchestrator.settings import Settings


@click.command()
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The management cluster's kubeconfig."
)
@click.option("--context", help="The context in it.")
@click.option("--health-port", type=click.IntRange(1, 65535), help="Serve /healthz, /readyz and /metrics there.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@rendering_options
@kafka_options
def backend(
    kubeconfig: Path | None,
    context: str | None,
    health_port: int | None,
    verbose: bool,
    kafka: KafkaSettings | None,
    settings: Settings,
) -> None:
    """Carry out what an operator decides, until stopped; any number of backends share the work.

    The operator runs with `--tasks kafka`, the same brokers and the same options.
    """
    if kafka is None:
        raise BadInput("a backend learns from Kafka what to do: name the brokers with --kafka HOST:PORT")
    import uvloop

    from continuo.cli import tuning
    from continuo.cli.health import traced
    from continuo.cli.kafka_parts import backend_parts
    from continuo.cli.together import Together
    from continuo.cli.working import replica_name, work_until_stopped
    from continuo.kube.config import connect
    from continuo.kube.transport import Transports
    from continuo.orchestrator.backend.backend import Backend
    from continuo.orchestrator.telling import Telling
    from continuo.resources.errors import ApiError, BadRequest
    from continuo.telemetry.calls import Calls
    from continuo.telemetry.process import process_metrics

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )

    async def main() -> None:
        async with traced("continuo-backend") as tracing:
            metrics = process_metrics("backend")
            calls = Calls(metrics)
            transports = Transports(calls)
            management = connect(kubeconfig, context=context, name="management", transports=transports)
            identity = replica_name()
            carrier, parts = backend_parts(kafka, identity)
            worker = Backend(
                management,
                lambda text, *, name: connect(text, name=name, transports=transports),
                carrier,
                settings,
                telling=Telling(metrics, tracing=tracing, calls=calls, whole=False),
            )
            try:
                await work_until_stopped(Together(worker, parts.beside), identity, None, health_port, metrics)
            finally:
                await parts.close()
                await management.close()

    tuning.settle()
    try:
        uvloop.run(main())
    except BadRequest as error:
        raise BadInput(str(error)) from error
    except ApiError as error:
        raise Failed(str(error)) from error
