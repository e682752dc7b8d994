"""`continuo identity federate` and `delegate`: believing another trust domain, speaking for a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from continuo.cli.failures import BadInput, run
from continuo.cli.identity_options import data_option, sentences, socket_option, store_of, tell_server

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option("--trust-domain", required=True, metavar="NAME", help="The foreign trust domain.")
@click.option("--url", help="Its bundle endpoint, such as https://host:8443/.")
@click.option(
    "--profile",
    type=click.Choice(("https_spiffe", "https_web")),
    default="https_spiffe",
    show_default=True,
    help="How the endpoint proves itself.",
)
@click.option("--endpoint-id", metavar="ID", help="The SPIFFE ID that the endpoint proves (https_spiffe).")
@click.option("--bundle", type=_FILE, help="Its first bundle, from its operator over a channel that you trust.")
@click.option("--remove", is_flag=True, help="Believe nobody of it any more, and end open connections.")
@data_option
@run
@sentences
async def federate(
    trust_domain: str,
    url: str | None,
    profile: str,
    endpoint_id: str | None,
    bundle: Path | None,
    remove: bool,
    data: Path | None,
) -> None:
    """Let workloads authenticate peers of another trust domain. What those may do, each service says itself."""
    from continuo.trust.ids import parse_domain
    from continuo.trust.issuer.relations import Profile, Relation, check

    store, domain = store_of(data), parse_domain(trust_domain)
    made = None
    if not remove:
        if url is None:
            raise BadInput("--url is missing: where the bundle of the other trust domain is fetched")
        own = parse_domain(json.loads((store.folder / "keys.json").read_text(encoding="utf-8"))["trustDomain"])
        wanted = Relation(trust_domain=domain.name, url=url, profile=Profile(profile), endpoint_id=endpoint_id)
        made = check(wanted, own)
    with store.locked():
        others = [one for one in store.relations() if one.trust_domain != domain.name]
        if remove and len(others) == len(store.relations()):
            raise BadInput(f"there is no federation with {domain}; `continuo identity show --issuer` lists them")
        if bundle is not None:
            _first_bundle(store, domain, bundle)
        store.save_relations([*others, made] if made is not None else others)
    click.echo(f"federation with {domain} {'ended' if remove else 'is set up'}: {await tell_server(store)}")


def _first_bundle(store: Any, domain: Any, path: Path) -> None:
    from continuo.trust.bundle_docs import BadBundle, parse_bundle
    from continuo.trust.issuer.relations import BadRelation, replaces

    try:
        if replaces(parse_bundle(path.read_bytes()), store.bundle(domain)):
            store.save_bundle(domain, path.read_bytes())
    except (BadBundle, BadRelation) as error:
        raise BadInput(f"{path}: {error}") from error


@click.command()
@click.argument("device")
@click.option("--audience", required=True, metavar="ID", help="The SPIFFE ID that the delegation is shown to.")
@click.option(
    "--device-key", type=_FILE, help="The device's private key (PEM), which stands for the board at level L1."
)
@socket_option
@run
@sentences
async def delegate(device: str, audience: str, device_key: Path | None, address: str | None) -> None:
    """Print a delegation for a device of this gateway: a token for a few minutes, of use to this gateway alone."""
    from continuo.trust.gateway import Delegated
    from continuo.trust.ids import parse_id

    if not address:
        raise BadInput("--socket is missing: the Workload API that this gateway has its identity from")
    key = None if device_key is None else _private(device_key)

    async def answer(nonce: bytes, gateway: Any, name: Any, session: bytes) -> bytes:
        assert key is not None
        return bytes(key.answer(nonce, gateway, name, session))

    issuer = Delegated(address)
    try:
        click.echo(await issuer.token(parse_id(device), parse_id(audience), answer=answer if key is not None else None))
    finally:
        await issuer.close()


def _private(path: Path) -> Any:
    from continuo.trust.delegation import DeviceKey

    try:
        return DeviceKey.read(path.read_bytes())
    except ValueError as error:
        raise BadInput(f"{path} is no private key on an elliptic curve, in PEM without a password") from error
