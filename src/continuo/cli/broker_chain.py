"""Options that describe a chain of readers, and how to reach or be reached: read from text, refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import BadInput

if TYPE_CHECKING:
    from continuo.broker.readers.port import ResourceReader
    from continuo.broker.readers.security import ClientSecurity, ServerSecurity

_FILE = click.Path(path_type=Path, dir_okay=False)


# --- how to be reached, and to reach ----------------------------------------------------------------------------------
def serving_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--tls-cert, --tls-key, --client-ca and --token-file of a server."""
    for option in (
        click.option("--token-file", type=_FILE, help="A token that callers have to say."),
        click.option("--client-ca", type=_FILE, help="Demand certificates of callers, from this authority."),
        click.option("--tls-key", type=_FILE, help="Its key."),
        click.option("--tls-cert", type=_FILE, help="Serve over TLS with this certificate."),
    ):
        command = option(command)
    return command


def asking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--ca, --cert, --key and --token-file of a caller."""
    for option in (
        click.option("--token-file", type=_FILE, help="The token to say."),
        click.option("--key", type=_FILE, help="Its key."),
        click.option("--cert", type=_FILE, help="Our certificate, where the server demands one."),
        click.option("--ca", type=_FILE, help="Ask over TLS; the authority of the server's certificate."),
    ):
        command = option(command)
    return command


def server_security(cert: Path | None, key: Path | None, clients: Path | None, token: Path | None) -> ServerSecurity:
    """The server's part; BadRequest where a file cannot be used."""
    from continuo.broker.readers.security import ServerSecurity, pem, token_in

    return ServerSecurity(pem(cert), pem(key), pem(clients), token_in(token))


def client_security(ca: Path | None, cert: Path | None, key: Path | None, token: Path | None) -> ClientSecurity:
    """The caller's part; BadRequest where a file cannot be used."""
    from continuo.broker.readers.security import ClientSecurity, pem, token_in

    return ClientSecurity(pem(ca), pem(cert), pem(key), token_in(token))


# --- what stands behind a reader --------------------------------------------------------------------------------------
def named(option: str, values: Sequence[str], example: str) -> dict[str, str]:
    """`NAME=VALUE` options; each name once."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not (name and equals and rest):
            raise BadInput(f"{option} is {value!r}: it must be like {example}")
        if name in found:
            raise BadInput(f"{option} names {name} twice: give it once")
        found[name] = rest
    return found


def percent(option: str, text: str) -> Fraction:
    """`20%` as a share."""
    number = text.removesuffix("%")
    if not text.endswith("%") or not number.isascii() or not number.replace(".", "", 1).isdigit():
        raise BadInput(f"{option} is {text!r}: it must be a share like 20% or cpu=12.5%")
    share = Fraction(number) / 100
    if share > 1:
        raise BadInput(f"{option} is {text!r}: more than everything cannot be kept back")
    return share


def chained(source: ResourceReader, reserve: Sequence[str], allow: Sequence[str], cap: Sequence[str]) -> ResourceReader:
    """Reserve, then filter, then cap, as far as options say so."""
    from continuo.broker.readers.chain import Capped, Filtered, Reserved

    if reserve:
        whole = [text for text in reserve if "=" not in text]
        if len(whole) > 1:
            raise BadInput("--reserve is given twice for all resources: give one share, and NAME=SHARE for others")
        single = named("--reserve", [text for text in reserve if "=" in text], "20% or cpu=50%")
        of = {name: percent("--reserve", text) for name, text in single.items()}
        source = Reserved(source, percent("--reserve", whole[0]) if whole else Fraction(0), of)
    if allow:
        pairs = named("--allow", allow, "nvidia.com/*=rome,oslo")
        source = Filtered(source, {pattern: frozenset(who.split(",")) for pattern, who in pairs.items()})
    if cap:
        source = Capped(source, _contracts(cap))
    return source


def _contracts(caps: Sequence[str]) -> Any:
    from continuo.broker.offers.amounts import BadAmount
    from continuo.broker.readers.amounts import parse
    from continuo.broker.readers.chain import Contracts

    contracts, example = Contracts(), "rome:cpu=4,memory=8Gi"
    for number, text in enumerate(caps):
        consumer, colon, amounts = text.partition(":")
        if not (consumer and colon):
            raise BadInput(f"--cap is {text!r}: it must be like {example}")
        try:
            resources = parse(named("--cap", amounts.split(","), example))
        except BadAmount as error:
            raise BadInput(f"--cap is {text!r}: {error}") from error
        contracts.put(consumer, str(number), resources)
    return contracts
