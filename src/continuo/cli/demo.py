"""`continuo demo`: the main job from a blueprint to a running application, on the embedded engine, in front of you."""

from __future__ import annotations

import importlib.resources
import secrets
from pathlib import Path

import click

from continuo.cli import places
from continuo.cli.connection import Target, connected
from continuo.cli.failures import BadInput, Failed, run
from continuo.cli.output import make_console
from continuo.cli.up import start_detached
from continuo.resources.meta import Object

BROKERS, SENSORS, BOARDS, LOOP = "brokers", "sensors", "boards", "loop"
SCENARIOS = {
    "vr-tour-creator": "one TOSCA blueprint, two OpenStack clusters, linked, running the VR Tour Creator",
    BROKERS: "four providers, a broker, two consumers: a catalog, an orchestrator, an aggregator, and what they cost",
    SENSORS: "a provider with boards at its edge, two consumers: sensors are found, bought, delivered and cancelled",
    BOARDS: "a hub and five boards: plugins, a service, an encrypted network and a job, declared in one file",
    LOOP: "load, a cluster on demand, an outage, the way home and less load again, without anybody's help",
}


def examples() -> Path:
    """The folder of examples: inside an installed package, or beside a checkout's sources."""
    packaged = Path(str(importlib.resources.files("continuo"))) / "examples"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "examples"


@click.command()
@click.argument("scenario", default="vr-tour-creator")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Where the engine keeps its state.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=120.0,
    show_default=True,
    help="Seconds to wait at most.",
)
@click.option("--hold", "--keep", is_flag=True, help="Of sensors, boards and loop: let it run until Ctrl-C.")
@run
async def demo(scenario: str, data: Path | None, timeout: float, hold: bool) -> None:
    """Run the main job: one blueprint in, two linked clusters running it. The engine keeps running afterwards.

    SCENARIO brokers: a market of four providers, a broker and two consumers, and what brokering costs, measured here.

    SCENARIO sensors: boards at the edge of one cluster, whose readings two others buy. Nothing keeps running.

    SCENARIO boards: a hub and five boards, and one file that says what they do. Nothing keeps running.

    SCENARIO loop: load rises, a cluster comes, another fails and returns, load falls; closed loops do the rest. Nothing
    keeps running.
    """
    from continuo.cli.follow import follow, why_not_ready

    if scenario not in SCENARIOS:
        raise BadInput(f"there is no scenario {scenario!r}; scenarios: {', '.join(SCENARIOS)}")
    if scenario == BROKERS:
        from continuo.cli.brokers_demo.show import show

        await show(data or places.default_data() / BROKERS, timeout)
        return
    if scenario == SENSORS:
        from continuo.cli.sensors_demo.show import show as show_sensors

        await show_sensors(data or places.default_data() / SENSORS, timeout, hold)
        return
    if scenario == BOARDS:
        from continuo.cli.boards_demo.show import show as show_boards

        await show_boards(data or places.default_data() / BOARDS, timeout, hold)
        return
    if scenario == LOOP:
        from continuo.cli.loop_demo.show import show as show_loop

        await show_loop(data or places.default_data() / LOOP, timeout, hold)
        return
    console = make_console()
    data = data or places.default_data()
    if places.find_running(data) is None:
        console.print("[bold]1[/] starting the embedded engine ...")
        start_detached(data)
    else:
        console.print(f"[bold]1[/] using the engine that runs on {data}")
    target = Target(places.kubeconfig_path(data), "management", "default")
    async with connected(target) as cluster:
        obj = await _deploy(cluster, console)
        console.print("[bold]3[/] following it until everything is ready ...")
        view = await follow(cluster, obj, console, timeout=timeout)
        console.print()
        console.print(view.tree())
    if not view.ready:
        raise Failed(f"not ready after {timeout:g} s: {why_not_ready(view.object)}; see {data / 'engine.log'}")
    console.print(_outlook(data, obj), highlight=False)


async def _deploy(cluster: object, console: object) -> Object:
    """Convert the blueprint and apply it with the cloud's credentials beside it."""
    from continuo.cli.apply import apply_documents
    from continuo.cli.tosca import convert_file

    folder = examples()
    console.print("[bold]2[/] converting examples/vr-tour-creator.yaml and applying the result ...")  # type: ignore[attr-defined]
    certificate, key = self_signed("demo.apps.continuo.local")
    documents = convert_file(
        folder / "vr-tour-creator.yaml",
        folder / "vr-tour-creator.clusters.yaml",
        [f"MONGO_INITDB_PWD={secrets.token_urlsafe(16)}", f"tls_cert={certificate}", f"tls_key={key}"],
        "cyango-xr-developer",
        "vr-tour-creator",
        "default",
    )
    applied = await apply_documents(cluster, [_cloud(), *documents], "default", quiet=True)
    return applied[-1]


def self_signed(host: str) -> tuple[str, str]:
    """A certificate for one host and its key, both PEM, good for a month."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), pem


def _cloud() -> Object:
    """Credentials for the simulated OpenStack; a real one gets a real clouds.yaml."""
    clouds = "clouds:\n  openstack:\n    auth: {auth_url: 'https://simulated.invalid:5000', username: demo, password: demo}\n"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "openstack-cloud-config", "namespace": "default",
            "labels": {"clusterctl.cluster.x-k8s.io/move": "true"},
        },
        "stringData": {"clouds.yaml": clouds},
    }  # fmt: skip


def _outlook(data: Path, obj: Object) -> str:
    name = obj["metadata"]["name"]
    option = "" if data == places.default_data() else f" --data {data}"
    home = obj["spec"]["apps"][0]
    return (
        "\nIt keeps running. Look around:\n"
        f"  export KUBECONFIG={places.kubeconfig_path(data)}\n"
        "  kubectl get llorch,clusters,machines\n"
        f"  kubectl --context {name}-green get nodes,pods -A\n"
        f"  kubectl --context {name}-rose get pods -A -o wide\n"
        f"  continuo status {name}\n"
        "Break it and watch it heal:\n"
        f"  kubectl --context {name}-{home['cluster']} delete deployment --all -n {home['name']}\n"
        f"Stop it:  continuo down{option}"
    )
