"""`continuo install`: what a real management cluster needs, printed for `kubectl apply`."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import BadInput
from continuo.cli.install_boards import BOARDS, boards_of, boards_options
from continuo.cli.install_edge import edge_of, edge_options
from continuo.cli.install_loops import AGREED, KAFKA, PROMETHEUS, agreed_of, kafka_of, loops_options, prometheus_of

if TYPE_CHECKING:
    from continuo.cli.manifests import Setup

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_SIZE = re.compile(r"[1-9][0-9]*(\.[0-9]+)?([kMGTPE]|[KMGTPE]i)?\Z")


@click.command()
@click.option("--namespace", default="continuo-system", show_default=True, help="Where the operator runs.")
@click.option("--image", help="The container image; continuo:VERSION where absent.")
@click.option("--replicas", type=click.IntRange(1), default=2, show_default=True, help="Operators; one of them works.")
@click.option("--operator/--no-operator", default=True, show_default=True, help="The operator of clusters.")
@click.option("--server/--no-server", default=False, show_default=True, help="The HTTP API (AMF) too.")
@click.option(
    "--applications-namespace", default="default", show_default=True, help="Where the server's orchestrations are."
)
@click.option("--orchestration", help="The orchestration of applications that name none.")
@click.option("--events-storage", metavar="SIZE", help="The server keeps events on a volume of that size, such as 1Gi.")
@click.option(
    "--events-database-secret",
    metavar="NAME",
    help="It keeps them in PostgreSQL: the Secret's key `url` is a postgresql:// URL.",
)
@click.option("--broker/--no-broker", default=False, show_default=True, help="The orchestrator of a broker too.")
@click.option(
    "--catalog/--no-catalog", default=False, show_default=True,
    help="An account for `catalog serve --link` too, of which it needs a kubeconfig.",
)  # fmt: skip
@click.option(
    "--pod-monitor/--no-pod-monitor", default=False, show_default=True,
    help="A PodMonitor too, where the Prometheus operator is there.",
)  # fmt: skip
@click.option(
    "--service-monitor/--no-service-monitor", default=False, show_default=True,
    help="A ServiceMonitor for the HTTP API too, with an account that may read its metrics.",
)  # fmt: skip
@loops_options
@edge_options
@boards_options
@click.option("--crds-only", is_flag=True, help="Only the CustomResourceDefinitions.")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def install(
    namespace: str,
    image: str | None,
    replicas: int,
    operator: bool,
    server: bool,
    applications_namespace: str,
    orchestration: str | None,
    broker: bool,
    catalog: bool,
    pod_monitor: bool,
    service_monitor: bool,
    backends: int,
    events_storage: str | None,
    events_database_secret: str | None,
    crds_only: bool,
    output: str,
    **more: Any,
) -> None:
    """Print CRDs, RBAC and Deployments: `continuo install | kubectl apply --server-side -f -`."""
    from continuo.cli.manifests import Setup, definitions, install_objects
    from continuo.tosca.deployment import to_yaml

    spaces = {"--namespace": namespace, "--applications-namespace": applications_namespace}
    for option, name in {**spaces, "--edge-namespace": more["edge_namespace"]}.items():
        if not _NAME.match(name):
            raise BadInput(f"{option} {name!r} must be at most 63 lower-case letters, digits and dashes")
    setup = Setup(
        image=image or f"continuo:{version('continuo')}",
        namespace=namespace,
        replicas=replicas,
        server=server,
        applications_namespace=applications_namespace,
        orchestration=orchestration,
        broker=broker,
        catalog=catalog,
        operator=operator,
        pod_monitor=pod_monitor,
        service_monitor=service_monitor,
        backends=backends,
        events_storage=events_storage or "",
        events_database=events_database_secret or "",
        kafka=kafka_of(**{name: more.pop(name) for name in KAFKA}),
        prometheus=prometheus_of(**{name: more.pop(name) for name in PROMETHEUS}),
        agreed=agreed_of(**{name: more.pop(name) for name in AGREED}),
        boards=boards_of(**{name: more.pop(name) for name in BOARDS}),
        edge=edge_of(**more),
    )
    if not (operator or server or broker or catalog or setup.edge or setup.boards):
        raise BadInput("nothing is left to install: leave --no-operator out, or add --edge or --boards")
    _fits(setup)
    objects = definitions(setup) if crds_only else install_objects(setup)
    if output == "json":
        import json

        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2))
        return
    click.echo(to_yaml(objects), nl=False)


def _fits(setup: Setup) -> None:
    """Whether what was asked for goes together; raises BadInput."""
    if not setup.operator and (
        wrong := next(
            (
                o
                for o, v in (
                    ("--backends", setup.backends),
                    ("--kafka", setup.kafka),
                    ("--prometheus", setup.prometheus),
                )
                if v
            ),
            None,
        )
    ):
        raise BadInput(f"{wrong} is about the operator: leave --no-operator out, or {wrong}")
    if setup.service_monitor and not setup.server:
        raise BadInput("--service-monitor is about the HTTP API: add --server, or leave it out")
    if setup.backends and setup.kafka is None:
        raise BadInput("--backends are told through Kafka what to do: name the brokers with --kafka HOST:PORT")
    kept = {"--events-storage": setup.events_storage, "--events-database-secret": setup.events_database}
    if wrong := next((option for option, value in kept.items() if value and not setup.server), None):
        raise BadInput(f"{wrong} is about the HTTP API: add --server, or leave it out")
    if all(kept.values()):
        raise BadInput("events are kept in one place: --events-storage or --events-database-secret")
    if setup.events_storage and not _SIZE.match(setup.events_storage):
        raise BadInput(f"--events-storage is {setup.events_storage!r}; a size looks like 1Gi")
