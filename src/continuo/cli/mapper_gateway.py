"""Who a mapper is as a gateway: its own identity, what it proves to the relay, and the keys that stand for boards' own."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from continuo.cli.failures import BadInput
from continuo.cli.relay import broker_identity, own_identity

if TYPE_CHECKING:
    import ssl

    from continuo.edge.mapper.driver import Keyed
    from continuo.edge.mapper.model import MapperFile
    from continuo.edge.mapper.vouching import Vouching
    from continuo.edge.mqtt.address import Address
    from continuo.resources.meta import Object
    from continuo.trust.delegation import DeviceKey
    from continuo.trust.identity import Identity
    from continuo.trust.ids import Authorized, SpiffeId

HINT = "; without --delegations and --mqtt-id a mapper needs no identity"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line, checked."""

    relay: str | None
    relay_id: SpiffeId | None
    broker_id: Authorized | None

    @property
    def anonymous(self) -> bool:
        """Whether no identity is needed."""
        return self.relay is None and self.broker_id is None


@dataclass(frozen=True, slots=True)
class Gateway:
    """A mapper's own identity, and what follows from it."""

    wish: Wish
    identity: Identity | None

    @property
    def proved(self) -> ssl.SSLContext | None:
        """For a broker that proves itself by an SVID."""
        if self.identity is None or self.wish.broker_id is None:
            return None
        return self.identity.client_context(self.wish.broker_id)


def wish_of(relay: str | None, relay_id: str | None, broker_ids: tuple[str, ...], broker: Address) -> Wish:
    """What was asked for. Raises BadInput."""
    broker_id = broker_identity(broker_ids, [broker], insecure=False)
    if relay is None and relay_id is None:
        return Wish(None, None, broker_id)
    if relay is None or relay_id is None:
        raise BadInput("--delegations and --relay-id belong together: where the relay is, and who it must be")
    if not relay.startswith("https://"):
        raise BadInput(f"--delegations is {relay!r}; it begins with https://, since delegations count over TLS alone")
    from continuo.trust.ids import BadId, parse_id

    try:
        return Wish(relay, parse_id(relay_id), broker_id)
    except BadId as problem:
        raise BadInput(f"--relay-id: {problem}") from None


@contextlib.asynccontextmanager
async def gateway(wish: Wish) -> AsyncIterator[Gateway]:
    """With its identity, where it needs one."""
    async with own_identity(wish.anonymous, HINT) as identity:
        yield Gateway(wish, identity)


def keys_of(said: MapperFile | None, folder: Path) -> dict[str, DeviceKey]:
    """The keys of boards that have one, by device. Reads files. Raises BadInput."""
    from continuo.trust.delegation import DeviceKey

    found = {}
    for device in said.devices if said is not None else ():
        if not device.device_key:
            continue
        file = folder / device.device_key
        try:
            found[device.name] = DeviceKey.read(file.read_bytes())
        except (OSError, ValueError) as problem:
            raise BadInput(f"{device.name}: {file} cannot be used as its key: {problem}") from None
    return found


@contextlib.asynccontextmanager
async def vouching(own: Gateway, devices: list[Object], boards: Keyed) -> AsyncIterator[Vouching | None]:
    """What proves to the relay that this gateway speaks for its devices; None where nobody asked for that."""
    wish, identity = own.wish, own.identity
    if identity is None or wish.relay is None or wish.relay_id is None:
        yield None
        return
    import aiohttp

    from continuo.edge.mapper.model import device_ids
    from continuo.edge.mapper.vouching import Vouching
    from continuo.edge.relay.client import RelayClient
    from continuo.trust.gateway import Delegated
    from continuo.trust.http import PeerConnector
    from continuo.trust.ids import Authorized
    from continuo.trust.workload_api import VARIABLE

    answers = {}
    for name, spiffe_id in device_ids(devices, identity.spiffe_id.trust_domain).items():
        _say(name, spiffe_id)
        if spiffe_id is not None:
            answers[spiffe_id] = boards.answer(name)
    context = identity.client_context(Authorized(ids=frozenset({wish.relay_id})))
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=PeerConnector(context), trust_env=False))
        issuer = Delegated(os.environ[VARIABLE])
        stack.push_async_callback(issuer.close)
        relay = RelayClient(wish.relay, http)
        yield Vouching(answers, issuer, relay, wish.relay_id, clock=time.time, rng=random.Random())


def _say(name: str, spiffe_id: SpiffeId | None) -> None:
    if spiffe_id is None:
        click.echo(f"{name}: nobody speaks for it, since it has neither a macAddress nor an annotation "
                   "continuo.dev/hardware-id with its chip's ID in hex", err=True)  # fmt: skip
    else:
        click.echo(f"{name}: {spiffe_id}", err=True)
