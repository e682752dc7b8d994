"""The hub as one process: its records, sessions, tunnels, networks and REST, wired and told where they are."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.catalog_client import write_secret
from continuo.cli.failures import BadInput, Failed, run_server
from continuo.cli.health import listening
from continuo.cli.hub_admin import Administration, administered, storage_of
from continuo.cli.hub_metrics import figures
from continuo.cli.hub_tls import Certificates, given, own
from continuo.cli.relay import is_loopback, place

if TYPE_CHECKING:
    from continuo.edge.listening import Place
    from continuo.iot.hub.hub import Core, Hub
    from continuo.iot.hub.networks import NetworkServer
    from continuo.iot.hub.setting import Setting
    from continuo.iot.hub.tunnels import TunnelServer
    from continuo.iot.hub.wamp import Router

log = logging.getLogger(__name__)

_TUNNEL = 8182
_WSTUN = 8080
"""Where wstun's clients on boards with Lightning-rod go."""
_ANYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    data: Path
    database: str | None
    listen: str
    wamp: str
    tunnel: str | None
    network: str
    public: str | None
    ports: str
    tls_cert: Path | None
    tls_key: Path | None
    insecure: bool
    no_auth: bool
    allow_lightning_rod: bool
    allow_unsigned: bool
    metrics: str | None
    verbose: bool
    ready_fd: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The same, checked: where everything listens, and how it is reached."""

    rest: Place
    wamp: Place
    tunnel: Place
    network: Place
    metrics: Place | None
    ports: range
    public: str
    setting: Setting


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs."""

    core: Core
    hub: Hub
    router: Router
    tunnels: TunnelServer
    networks: NetworkServer


@run_server
async def serve_hub(wish: Wish) -> None:
    """Serve until SIGTERM or SIGINT; raises BadInput and Failed before anything is served."""
    level = logging.DEBUG if wish.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    plan = planned(wish)
    folder(wish.data)
    certificates = _certificates(wish, plan)
    from continuo.server.hub.app import hub_app
    from continuo.storage.database import StorageFailed

    async with AsyncExitStack() as stack:
        try:
            parts = await stack.enter_async_context(running(wish, plan, certificates.context))
        except StorageFailed as error:
            raise Failed(str(error)) from error
        watching = asyncio.create_task(certificates.watch())
        stack.callback(watching.cancel)
        app = hub_app(parts.hub, no_auth=wish.no_auth)
        tls = None if wish.insecure else certificates.context
        await _faced(wish, plan, parts, app, tls, certificates)


@asynccontextmanager
async def running(wish: Wish, plan: Plan, tls: ssl.SSLContext) -> AsyncIterator[Parts]:
    """Everything but REST. Boards are let in last, when all that they are told is known."""
    from continuo.iot.hub.hub import Core, Hub
    from continuo.iot.hub.networks import NetworkServer
    from continuo.iot.hub.networks import serve as serve_networks
    from continuo.iot.hub.tunnels import TunnelServer
    from continuo.iot.hub.tunnels import serve as serve_tunnels
    from continuo.iot.hub.wamp import Router

    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(Core(wish.database or storage_of(wish.data), plan.setting).opened())
        router = Router(core.presence, lightning_rod=wish.allow_lightning_rod)
        tunnels = TunnelServer(plan.ports, public=plan.tunnel.host, lightning_rod=lambda board: _keyless(core, board))
        networks = NetworkServer()
        hub = Hub(core, router, tunnels, networks)
        tunnels.on_change(hub.tunnel_changed)
        await _entered(stack, plan.tunnel, "--tunnel", serve_tunnels(tunnels, *_at(plan.tunnel), tls))
        await _entered(stack, plan.network, "--network", serve_networks(*_at(plan.network), tls, networks=networks))
        await stack.enter_async_context(hub.running())
        await _entered(stack, plan.wamp, "--wamp", router.serve(*_at(plan.wamp), tls))
        administration = Administration(core, lambda: _policy_changed(core, hub))
        await stack.enter_async_context(administered(wish.data, administration))
        yield Parts(core, hub, router, tunnels, networks)


async def _faced(
    wish: Wish, plan: Plan, parts: Parts, app: Any, tls: ssl.SSLContext | None, certificates: Certificates
) -> None:
    from continuo.cli.companions import say_ready
    from continuo.cli.server import serve
    from continuo.telemetry.process import process_metrics

    ended = asyncio.create_task(_taken_over(parts.core))
    told = wish.data / "running.json"

    def ready(url: str) -> None:
        write_secret(told, json.dumps(_addresses(plan, url, certificates) | {"pid": os.getpid()}))
        click.echo(_greeting(wish, plan, url, certificates), err=True)
        say_ready(wish.ready_fd)

    try:
        async with AsyncExitStack() as stack:
            if plan.metrics is not None:
                metrics = process_metrics("hub")
                metrics.collect("the hub", lambda: figures(parts, app.state.asked))
                told_at = listening("--metrics", *_at(plan.metrics), lambda: parts.core.database.trouble, metrics)
                await stack.enter_async_context(told_at)
            await serve(app, *_at(plan.rest), tls, "the hub's REST API", ready=ready)
    finally:
        ended.cancel()
        told.unlink(missing_ok=True)
    if parts.core.database.taken_over.is_set():
        raise Failed("another hub has taken this hub's storage over; this one has ended")


async def _taken_over(core: Core) -> None:
    """A hub whose records are no longer its own ends, as if it was told to."""
    await core.database.taken_over.wait()
    log.error("another hub has taken this hub's storage over")
    signal.raise_signal(signal.SIGTERM)


def planned(wish: Wish) -> Plan:
    """Check everything that can be checked before anything is begun; raises BadInput."""
    from continuo.edge.listening import Place
    from continuo.iot.hub.setting import Setting

    names = ("listen", "wamp", "tunnel", "network")
    default = f"127.0.0.1:{_WSTUN if wish.allow_lightning_rod else _TUNNEL}"
    rest, wamp, tunnel, network = (_free(place(getattr(wish, name) or default, f"--{name}")) for name in names)
    metrics = None if wish.metrics is None else place(wish.metrics, "--metrics")
    taken: dict[tuple[str, int], str] = {}
    for name, at in zip((*names, "metrics"), (rest, wamp, tunnel, network, metrics), strict=True):
        if at is not None and (other := taken.setdefault((at.host, at.port), name)) != name:
            raise BadInput(f"--{other} and --{name} are both {at.host}:{at.port}; each needs a port of its own")
    ports = _ports(wish.ports)
    _check_ways(wish, rest)
    public = wish.public or _public(wamp)
    if wish.allow_lightning_rod and ":" in public:
        raise BadInput(f"--public is {public}; Lightning-rod reads names and IPv4 addresses only")
    shown = f"[{public}]" if ":" in public else public
    setting = Setting(
        wamp_url=f"wss://{shown}:{wamp.port}/", tunnel_url=f"wss://{shown}:{tunnel.port}/",
        network_url=f"wss://{shown}:{network.port}/", public=public,
        lightning_rod=wish.allow_lightning_rod, unsigned=wish.allow_unsigned,
    )  # fmt: skip
    assert isinstance(rest, Place)
    return Plan(rest, wamp, tunnel, network, metrics, ports, public, setting)


def _check_ways(wish: Wish, rest: Place) -> None:
    if (wish.tls_cert is None) != (wish.tls_key is None):
        raise BadInput("--tls-cert and --tls-key belong together; one of them is missing")
    if wish.no_auth and not is_loopback(rest.host):
        raise BadInput(
            f"--no-auth believes everybody, so --listen has to be this machine's own address, not {rest.host}"
        )
    database = wish.database
    if (
        database is not None
        and "://" in database
        and not database.startswith(("postgresql://", "postgres://", "sqlite:///"))
    ):
        scheme = database.partition("://")[0]
        raise BadInput(f"--database begins with {scheme}://; it is postgresql://USER@HOST/DATABASE, or an SQLite file")


def _public(wamp: Place) -> str:
    if wamp.host in _ANYWHERE:
        raise BadInput(f"--wamp listens on {wamp.host}, which is no address to come to; give --public HOST as well")
    return str(wamp.host)


def _ports(text: str) -> range:
    first, found, last = text.partition("-")
    if not found or not first.isdecimal() or not last.isdecimal() or not 0 < int(first) <= int(last) < 65536:
        raise BadInput(f"--ports is {text!r}; it looks like 50000-50100")
    return range(int(first), int(last) + 1)


def _free(at: Place) -> Place:
    """A port for port 0: boards are told it before anything listens there."""
    from continuo.edge.listening import Place

    if at.port:
        return at
    with socket.socket(socket.AF_INET6 if ":" in at.host else socket.AF_INET) as probe:
        try:
            probe.bind((at.host, 0))
        except OSError as error:
            raise Failed(f"cannot listen on {at.host}: {error.strerror or error}") from error
        return Place(at.host, probe.getsockname()[1])


def folder(data: Path) -> None:
    """The hub's folder, for its user alone."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = data / f".probe.{os.getpid()}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise Failed(f"cannot write in {data}: {error.strerror or error}; choose another folder with --data") from error


def _certificates(wish: Wish, plan: Plan) -> Certificates:
    if wish.tls_cert is not None and wish.tls_key is not None:
        return given(wish.tls_cert, wish.tls_key)
    hosts = [
        plan.public,
        *(at.host for at in (plan.wamp, plan.rest, plan.tunnel, plan.network)),
        "localhost",
        "127.0.0.1",
    ]
    return own(wish.data / "tls", list(dict.fromkeys(host for host in hosts if host not in _ANYWHERE)))


async def _entered(stack: AsyncExitStack, at: Place, option: str, context: Any) -> None:
    try:
        await stack.enter_async_context(context)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise Failed(f"{option} {at.host}:{at.port} cannot be used: {why}; choose another") from error


def _at(at: Place) -> tuple[str, int]:
    return at.host, at.port


def _keyless(core: Core, board: str) -> bool:
    """Whether it is a Lightning-rod, which has no key and no token."""
    from continuo.iot.hub.model import Board

    found = core.registry.table(Board).get(board)
    return found is not None and found.registered and found.key is None


def _policy_changed(core: Core, hub: Hub) -> None:
    from continuo.iot.hub.model import Board

    for board in core.registry.table(Board).all():
        if core.registry.speaks_desire(board):
            hub.pusher.push(board.uuid)


def _addresses(plan: Plan, url: str, certificates: Certificates) -> dict[str, Any]:
    return {
        "rest": url, "wamp": plan.setting.wamp_url, "tunnel": plan.setting.tunnel_url,
        "network": plan.setting.network_url, "ca": str(certificates.ca) if certificates.ca else None,
    }  # fmt: skip


def _greeting(wish: Wish, plan: Plan, url: str, certificates: Certificates) -> str:
    ca = f" --ca {certificates.ca}" if certificates.ca else ""
    data = f" --data {wish.data}"
    lines = [
        f"REST      {url}" + ("  (no authentication)" if wish.no_auth else ""),
        f"boards    {plan.setting.wamp_url}",
        f"tunnels   {plan.setting.tunnel_url}, services on ports {plan.ports[0]}-{plan.ports[-1]} of {plan.public}",
        f"networks  {plan.setting.network_url}",
        f"data      {wish.data}",
    ]
    if certificates.ca:
        lines.append(f"CA        {certificates.ca}")
    if wish.allow_lightning_rod and plan.tunnel.port != _WSTUN:
        lines.append(f"note: Lightning-rod looks for tunnels on port {_WSTUN}, and --tunnel has {plan.tunnel.port}")
    lines += [
        "next:",
        f"  continuo hub token add --project lab{data}",
        f"  continuo hub board add NAME --project lab{data}",
        f"  continuo agent --hub {plan.setting.wamp_url}{ca} --code CODE",
    ]
    return "\n".join(lines)
