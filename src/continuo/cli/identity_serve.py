"""`continuo identity serve`: an issuer with a SPIFFE Workload API on a unix socket."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from continuo.cli.companions import say_ready
from continuo.cli.failures import BadInput, Failed, run
from continuo.cli.identity_options import Life, data_option, folder_of, sentences, store_of

if TYPE_CHECKING:
    from continuo.trust.issuer.serving import Face

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option("--trust-domain", required=True, metavar="NAME", help="Whose identities are given, such as edge.example.")
@data_option
@click.option(
    "--socket",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where workloads ask.  [default: api.sock in the issuer's folder, for its owner alone]",
)
@click.option(
    "--socket-mode", default="0666", show_default=True, help="The socket's mode; who gets what is up to entries."
)
@click.option(
    "--svid-ttl", type=Life(), default="1h", show_default=True, help="How long X509-SVIDs live; renewed at half."
)
@click.option("--jwt-ttl", type=Life(), default="5m", show_default=True, help="How long tokens and delegations live.")
@click.option(
    "--ca-ttl",
    type=Life(),
    default="1d",
    show_default=True,
    help="How long the authority lives; its successor is announced at half.",
)
@click.option(
    "--refresh-hint", type=Life(), default="5m", show_default=True, help="How often others are to fetch the bundle."
)
@click.option("--bundle-endpoint", metavar="HOST:PORT", help="Serve the bundle for other trust domains there.")
@click.option(
    "--tls-cert",
    type=_FILE,
    help="The endpoint's certificate for its host name (https_web). Without it: the issuer's SVID (https_spiffe).",
)
@click.option("--tls-key", type=_FILE, help="Its private key.")
@click.option("--ready-fd", type=int, hidden=True)
@run
@sentences
async def serve(
    trust_domain: str,
    data: Path | None,
    socket: Path | None,
    socket_mode: str,
    svid_ttl: timedelta,
    jwt_ttl: timedelta,
    ca_ttl: timedelta,
    refresh_hint: timedelta,
    bundle_endpoint: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    ready_fd: int | None,
) -> None:
    """Give identities to the processes of this machine until stopped. For development and small edges; SPIRE does more."""
    from continuo.trust.issuer.generations import Policy
    from continuo.trust.issuer.issuer import Issuer
    from continuo.trust.issuer.serving import Serving

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    mode, face = _mode(socket_mode), _face(bundle_endpoint, tls_cert, tls_key)
    policy = Policy(authority=ca_ttl, svid=svid_ttl, token=jwt_ttl, hint=refresh_hint)
    where = (socket or folder_of(data) / "api.sock").absolute()
    store = store_of(data, must_exist=False)
    issuer = Issuer(trust_domain, policy=policy, keeping=store)
    try:
        async with Serving(issuer, store, where, mode=mode, face=face) as serving:
            click.echo(f"identities of {issuer.domain} at unix://{where}", err=True)
            if serving.endpoint is not None:
                host = bundle_endpoint.rpartition(":")[0] if bundle_endpoint else ""
                click.echo(f"its bundle at https://{host}:{serving.endpoint.port}/", err=True)
            say_ready(ready_fd)
            await _stopped()
    except OSError as error:
        raise Failed(f"identities of {issuer.domain} cannot be served: {error.strerror or error}") from error


async def _stopped() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _mode(text: str) -> int:
    try:
        found = int(text, 8)
    except ValueError:
        found = -1
    if not 0o600 <= found <= 0o777:
        raise BadInput(
            f"--socket-mode {text} is no mode; 0600 is for the owner alone, 0666 for everybody on this machine"
        )
    return found


def _face(where: str | None, cert: Path | None, key: Path | None) -> Face | None:
    from continuo.trust.issuer.serving import Face

    if (cert is None) != (key is None):
        raise BadInput("--tls-cert and --tls-key belong together; one of them is missing")
    if where is None:
        if cert is not None:
            raise BadInput("--tls-cert is for the bundle endpoint; say with --bundle-endpoint where it is")
        return None
    host, _, port = where.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput(f"--bundle-endpoint {where} is no address; one looks like 0.0.0.0:8443")
    return Face(host.strip("[]"), int(port), _web_tls(cert, key))


def _web_tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise BadInput(f"{cert} and {key} are no certificate and its key: {error}") from error
    return context
