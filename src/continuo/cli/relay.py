"""`continuo relay`: readings from edge nodes to whoever bought them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import BadInput, Failed, run_server
from continuo.cli.places import default_data

if TYPE_CHECKING:
    from continuo.edge.listening import Place
    from continuo.edge.mqtt.address import Address
    from continuo.trust.identity import Identity
    from continuo.trust.ids import Authorized

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The relay's own folder.  "
              "[default: relay, in Continuo's data folder]")  # fmt: skip
@click.option("--ingest", default="127.0.0.1:8480", show_default=True, metavar="HOST:PORT",
              help="Where CloudCore posts readings: plain HTTP, for the cluster's own network.")  # fmt: skip
@click.option("--ingest-url", metavar="URL", help="How CloudCore reaches that.  [default: by the address of --ingest]")
@click.option("--control", default="127.0.0.1:8481", show_default=True, metavar="HOST:PORT",
              help="The control API, and the door for buyers' commands.")  # fmt: skip
@click.option("--monitor", default="127.0.0.1:8482", show_default=True, metavar="HOST:PORT",
              help="/metrics, /healthz and /readyz.")  # fmt: skip
@click.option("--mqtt", "brokers", multiple=True, metavar="[NODE=]URL",
              help="Take readings from an MQTT broker too: mqtt://host:1883. With NODE it is that edge node's.")  # fmt: skip
@click.option("--mqtt-id", "broker_ids", multiple=True, metavar="SPIFFE-ID",
              help="Who brokers at mqtts:// must prove to be by an SVID; they are shown this relay's.")  # fmt: skip
@click.option("--require-delegation", is_flag=True,
              help="Deliver only readings of devices for which a gateway has proved that it speaks.")  # fmt: skip
@click.option("--deny-device", "denied", multiple=True, metavar="SPIFFE-ID",
              help="Deliver nothing of this device, whoever speaks for it.")  # fmt: skip
@click.option("--cloudcore", metavar="URL", help="CloudCore's router (port 9443), for commands to devices.")
@click.option("--allow", "allowed", multiple=True, metavar="SPIFFE-ID", help="Who may control it: the Router Manager.")
@click.option("--insecure", is_flag=True, help="No identities: whoever is on this machine may control it.")
@click.option("--ca", type=_FILE, help="Authorities (PEM) that targets' certificates may also come from.")
@click.option("--queue", type=click.IntRange(1, 1_000_000), default=1000, show_default=True,
              help="Readings that wait for one target at most; then the oldest are dropped.")  # fmt: skip
@click.option("--memory", type=click.IntRange(1, 1_048_576), default=256, show_default=True,
              help="MiB of readings that wait, all together.")  # fmt: skip
@click.option("--give-up", type=click.FloatRange(1), default=900, show_default=True,
              help="Seconds after which an undelivered reading is a dead letter.")  # fmt: skip
@click.option("--drain", type=click.FloatRange(0), default=10, show_default=True,
              help="Seconds that a stop waits for targets; what is left is kept on disk.")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--ready-fd", type=int, hidden=True)
@run_server
async def relay(
    data: Path | None, ingest: str, ingest_url: str | None, control: str, monitor: str, brokers: tuple[str, ...],
    broker_ids: tuple[str, ...], require_delegation: bool, denied: tuple[str, ...],
    cloudcore: str | None, allowed: tuple[str, ...], insecure: bool, ca: Path | None, queue: int, memory: int,
    give_up: float, drain: float, verbose: bool, ready_fd: int | None,
) -> None:  # fmt: skip
    """Deliver readings to their buyers until stopped. Which ones to whom, the Router Manager tells over the control API.

    At least once, in order for each sensor and target; `ce-id` is the same for one reading.
    """
    from continuo.edge.relay.pace import Patience
    from continuo.edge.relay.path import Limits
    from continuo.edge.relay.relay import Settings
    from continuo.edge.relay.service import Options

    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("uvicorn", "mqtt"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    places = {name: place(text, f"--{name}") for name, text in (
        ("ingest", ingest), ("control", control), ("monitor", monitor),
    )}  # fmt: skip
    managers = _managers(allowed, insecure, places["control"])
    for name, url in (("--ingest-url", ingest_url), ("--cloudcore", cloudcore)):
        if url and not url.startswith(("http://", "https://")):
            raise BadInput(f"{name} is {url!r}; it begins with http:// or https://")
    if insecure and require_delegation:
        raise BadInput("--require-delegation asks gateways for proofs, and with --insecure nobody can prove anything")
    settings = Settings(
        patience=Patience(age=give_up), limits=Limits(readings=queue), memory=memory * 1024 * 1024,
        require_delegation=require_delegation, denied=_devices(denied),
    )  # fmt: skip
    found = [_broker(text) for text in brokers]
    broker_id = broker_identity(broker_ids, [each for _, each in found], insecure)
    async with own_identity(insecure) as identity:
        options = Options(
            data or default_data() / "relay", **places, ingest_url=ingest_url or "", cloudcore=cloudcore or "",
            mqtt=found, mqtt_ids=broker_id, managers=managers, settings=settings, drain=drain,
            control_tls=_control_tls(identity),
        )  # fmt: skip
        await _serve(options, identity, _trusted(ca), ready_fd)


def _control_tls(identity: Identity | None) -> dict[str, Any]:
    """Whoever proves an ID may connect; what it may do is asked for each request."""
    if identity is None:
        return {}
    from continuo.server.identity import uvicorn_options

    return uvicorn_options(identity, lambda _: True, sockets="none")


async def _serve(options: Any, identity: Identity | None, tls: ssl.SSLContext, ready_fd: int | None) -> None:
    from continuo.cli.companions import say_ready
    from continuo.edge.relay.service import RelayService

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = RelayService(options, identity=identity, tls=tls)
    try:
        await service.start()
    except OSError as error:
        raise Failed(str(error)) from error
    kept = len(service.relay.routes)
    click.echo(f"relay {service.relay.instance}: {kept} route{'' if kept == 1 else 's'} from before", err=True)
    click.echo(
        f"readings on {service.ingest_url}, control on {service.control_url}, metrics on {service.monitor_url}",
        err=True,
    )
    say_ready(ready_fd)
    await stop.wait()
    left = await service.stop()
    click.echo(
        f"stopped; {left} undelivered readings are kept" if left else "stopped; everything is delivered", err=True
    )


def _managers(allowed: tuple[str, ...], insecure: bool, control: Place) -> Authorized | None:
    from continuo.trust.ids import Authorized, BadId

    if insecure:
        if allowed:
            raise BadInput("--allow says whose identity may control the relay; with --insecure there are no identities")
        if not is_loopback(control.host):
            raise BadInput(
                f"--insecure is for this machine only, and --control listens on {control.host}; use 127.0.0.1"
            )
        return None
    if not allowed:
        raise BadInput(
            "nobody could control this relay: say with --allow whose SPIFFE ID may, or --insecure for a trial"
        )
    try:
        return Authorized.of(ids=allowed)
    except BadId as problem:
        raise BadInput(f"--allow: {problem}") from None


def _devices(texts: tuple[str, ...]) -> frozenset[str]:
    from continuo.trust.ids import BadId, parse_id

    try:
        return frozenset(str(parse_id(text)) for text in texts)
    except BadId as problem:
        raise BadInput(f"--deny-device: {problem}") from None


def broker_identity(ids: tuple[str, ...], brokers: list[Address], insecure: bool) -> Authorized | None:
    """Who MQTT brokers must prove to be; None: they have no SVIDs. Raises BadInput."""
    from continuo.trust.ids import Authorized, BadId

    if not ids:
        return None
    if insecure:
        raise BadInput("--mqtt-id says whose identity brokers have; with --insecure there are no identities")
    plain = next((broker for broker in brokers if not broker.tls), None)
    if plain is not None:
        raise BadInput(f"--mqtt-id needs TLS, and {plain} has none; a broker with an SVID is at mqtts://")
    try:
        return Authorized.of(ids=ids)
    except BadId as problem:
        raise BadInput(f"--mqtt-id: {problem}") from None


@contextlib.asynccontextmanager
async def own_identity(
    insecure: bool, hint: str = "; --insecure does without, on this machine"
) -> AsyncIterator[Identity | None]:
    """Who this process is, by the SPIFFE Workload API; None where it does without. `hint`: how it could."""
    if insecure:
        yield None
        return
    from continuo.trust.identity import NoIdentity
    from continuo.trust.workload_api import WorkloadApi

    try:
        identity = WorkloadApi.from_environment()
        await identity.__aenter__()
    except NoIdentity as problem:
        raise Failed(f"{problem}{hint}") from None
    try:
        yield identity
    finally:
        await identity.__aexit__(None, None, None)


def place(text: str, option: str) -> Place:
    """HOST:PORT, with an IPv6 address in brackets."""
    from continuo.edge.listening import Place

    host, found, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not found or not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput(f"{option} is {text!r}; it looks like 127.0.0.1:8480")
    return Place(host, int(port))


def _broker(text: str) -> tuple[str | None, Address]:
    from continuo.edge.mqtt.address import BadAddress, address

    node, found, url = text.partition("=")
    if not found or "://" in node:
        node, url = "", text
    try:
        return node or None, address(url)
    except BadAddress as problem:
        raise BadInput(f"--mqtt: {problem}") from None


def _trusted(ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except (ssl.SSLError, OSError) as error:
            raise BadInput(f"--ca: {ca} holds no certificates in PEM: {error}") from error
    return context


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
