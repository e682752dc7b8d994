"""`continuo server`: the HTTP API (AMF) over a management cluster."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.catalog_running import Wish, catalog_running, running_options
from continuo.cli.connection import Target, connected, namespace_of, target_options
from continuo.cli.failures import BadInput, Failed, run_server
from continuo.cli.health import traced
from continuo.cli.settings_options import guard_options

if TYPE_CHECKING:
    from continuo.placement.guards import Limits

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The port; 0 takes a free one."
)
@click.option("--tls-cert", type=_FILE, help="The certificate chain (PEM).")
@click.option("--tls-key", type=_FILE, help="Its private key (PEM).")
@click.option(
    "--insecure", is_flag=True, help="Serve plain HTTP beyond this machine: only behind something that encrypts."
)
@click.option("--token-file", type=_FILE, help='Static tokens: a line is token,user,uid,"group1,group2".')
@click.option(
    "--token-review/--no-token-review",
    default=None,
    help="Let the management cluster check tokens; the default without --token-file.",
)
@click.option("--audience", "audiences", multiple=True, help="What tokens must be meant for; with --token-review.")
@click.option("--group", "groups", multiple=True, help="Only members of these groups may use the API.")
@click.option(
    "--admin-group", "admin_groups", multiple=True, default=("system:masters",), show_default=True,
    help="Members see and manage everybody's applications.",
)  # fmt: skip
@click.option(
    "--scheduler-group", "schedulers", multiple=True, default=("continuo:schedulers",), show_default=True,
    help="Members read the infrastructure and send decisions (`/scheduler/v1`).",
)  # fmt: skip
@click.option(
    "--metrics-reader", "readers", multiple=True, default=("continuo:metrics",), show_default=True,
    help="A user or group that may read /metrics and /monitoring/v1/targets, as Prometheus does.",
)  # fmt: skip
@click.option("--orchestration", help="The LowLevelOrchestration for applications that name none.")
@click.option(
    "--events",
    "events",
    envvar="CONTINUO_EVENTS",
    help="Keep events there: an SQLite file, or postgresql://...; in memory where absent.",
)
@click.option(
    "--events-kept", type=click.IntRange(100), default=10_000, show_default=True, help="How many events are kept."
)
@guard_options(requests=True)
@running_options("--catalog", help="Serve the catalog too: an SQLite file, or postgresql://...", beside=True)
@target_options
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@run_server
async def server(
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure: bool,
    token_file: Path | None,
    token_review: bool | None,
    audiences: tuple[str, ...],
    groups: tuple[str, ...],
    admin_groups: tuple[str, ...],
    schedulers: tuple[str, ...],
    readers: tuple[str, ...],
    orchestration: str | None,
    events: str | None,
    events_kept: int,
    limits: Limits,
    wish: Wish,
    target: Target,
    verbose: bool,
) -> None:
    """Serve the HTTP API (AMF) until stopped: TOSCA blueprints in, applications of an orchestration out."""
    from continuo.events.log import Bounds, EventLog
    from continuo.server.app import create_app, make_parts
    from continuo.server.subjects import Policy
    from continuo.telemetry.calls import Calls
    from continuo.telemetry.process import process_metrics

    tls = tls_context(host, tls_cert, tls_key, insecure)
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # it tells every step of its start
    async with AsyncExitStack() as stack:
        metrics, tracing = process_metrics("server"), await stack.enter_async_context(traced("continuo-server"))
        cluster = await stack.enter_async_context(connected(target, Calls(metrics)))
        gate = _gate(cluster, token_file, token_review, audiences, Policy(frozenset(groups), frozenset(admin_groups)))
        namespace = namespace_of(target, cluster)
        parts = make_parts(
            cluster, gate, namespace=namespace, orchestration=orchestration, schedulers=frozenset(schedulers),
            limits=limits,            log=EventLog(events, Bounds(events_kept)),
        )  # fmt: skip
        offers, sockets = await _catalog(stack, wish, gate)
        app = create_app(parts, offers, metrics, tracing, readers=frozenset(readers))
        await serve(app, host, port, tls, f"the orchestrations of namespace {namespace}", sockets=sockets)


async def _catalog(stack: AsyncExitStack, wish: Wish, gate: Any) -> tuple[Any, Any]:
    """The catalog as it runs, and how its sockets are served; its operator is whoever may see all applications."""
    if wish.storage is None:
        return None, "none"
    from continuo.server.catalog_app import gate_operator
    from continuo.server.sockets import FanOut

    return await stack.enter_async_context(catalog_running(wish.storage, gate_operator(gate), wish)), FanOut


def tls_context(host: str, cert: Path | None, key: Path | None, insecure: bool) -> ssl.SSLContext | None:
    """The TLS setup; plain HTTP is for this machine only, unless somebody insists."""
    if (cert is None) != (key is None):
        raise BadInput("--tls-cert and --tls-key belong together; one of them is missing")
    if cert is None or key is None:
        if not insecure and not _loopback(host):
            raise BadInput(
                f"serving on {host} needs --tls-cert and --tls-key, because callers send their tokens; "
                "--insecure serves plain HTTP, for a proxy that encrypts"
            )
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise BadInput(f"{cert} and {key} are no certificate and its key: {error}") from error
    return context


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _gate(cluster: Any, token_file: Path | None, review: bool | None, audiences: tuple[str, ...], policy: Any) -> Any:
    from continuo.server.subjects import Authenticator, Gate
    from continuo.server.tokens import TokenFile, TokenReviews

    chain: list[Authenticator] = []
    if token_file is not None:
        try:
            chain.append(TokenFile(token_file.read_text(encoding="utf-8"), str(token_file)))
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot read {token_file}: it is not readable UTF-8 text") from error
    if review if review is not None else token_file is None:
        chain.append(TokenReviews(cluster, audiences=audiences))
    if not chain:
        raise BadInput("nobody could log in: give --token-file, or leave --no-token-review out")
    return Gate(chain, policy)


async def serve(
    app: Any,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    what: str,
    *,
    sockets: Any = "none",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Run uvicorn in this loop, and end on SIGTERM and SIGINT. `ready` hears the address."""
    import asyncio

    import uvicorn

    listener = _listen(host, port)
    config = uvicorn.Config(
        app, http="httptools", ws=sockets, lifespan="on", log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=5, timeout_keep_alive=120,
        ws_per_message_deflate=False,
        ssl_context_factory=(lambda *_: tls) if tls is not None else None,
    )  # fmt: skip
    config.load()
    face = uvicorn.Server(config)
    face.lifespan = config.lifespan_class(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, face, "should_exit", True)
    shown = f"[{host}]" if ":" in host else host
    # Not serve(): it raises the signal again when it has ended, and the process would seem to have failed.
    await face.startup([listener])
    if face.should_exit:  # uvicorn has logged why the application could not start
        listener.close()
        raise Failed(f"cannot serve {what}; the log above says why")
    url = f"{'https' if tls else 'http'}://{shown}:{listener.getsockname()[1]}"
    click.echo(f"serving {what} on {url}", err=True)
    if ready is not None:
        ready(url)
    await face.main_loop()
    await face.shutdown([listener])


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only then; without it an answer may take 40 ms.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Failed(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener
