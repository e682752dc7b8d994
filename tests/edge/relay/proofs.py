"""A trust domain with gateways and devices, a clock that tests move, and a relay that asks for proofs."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from continuo.edge.listening import Place
from continuo.edge.relay.client import RelayClient
from continuo.edge.relay.model import Flow, Route
from continuo.edge.relay.path import Clock
from continuo.edge.relay.relay import Settings
from continuo.edge.relay.service import Options, RelayService
from continuo.server.identity import uvicorn_options
from continuo.trust.delegation import DeviceKey, Level
from continuo.trust.gateway import Answer, NoDelegation
from continuo.trust.http import PeerConnector
from continuo.trust.ids import Authorized, SpiffeId, parse_id
from continuo.trust.issuer.devices import Delegations, Refused
from continuo.trust.issuer.entries import Entries, Entry
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.local import LocalIdentity

from . import bed

RELAY, MANAGER = "spiffe://edge.example/cp/relay", "spiffe://edge.example/cp/router"
GATEWAY, OTHER = "spiffe://edge.example/gw/1", "spiffe://edge.example/gw/2"
BOARD, KEYED, FOREIGN = (f"spiffe://edge.example/led/{name}" for name in ("board-00aa", "keyed-00bb", "foreign-00cc"))
KEY = DeviceKey()


class Moving:
    """Now, and as much later as a test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def wall(self) -> float:
        return time.time() + self.ahead

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.wall(), UTC)


class Domain:
    """edge.example: gateway 1 has a plain board and one with a key, gateway 2 another one."""

    def __init__(self) -> None:
        self.clock = Moving()
        self.issuer = Issuer("edge.example", clock=self.clock)
        self.entries = [
            Entry(spiffe_id=BOARD, gateway=GATEWAY),
            Entry(spiffe_id=KEYED, gateway=GATEWAY, level=Level.L1, device_key=KEY.public_pem),
            Entry(spiffe_id=FOREIGN, gateway=OTHER),
        ]
        self.delegations = Delegations(self.issuer, lambda: Entries(self.entries))

    def identity(self, name: str) -> LocalIdentity:
        return LocalIdentity(self.issuer, parse_id(name))

    def token(self, device: str = BOARD, gateway: str = GATEWAY, audience: str = RELAY) -> str:
        return self.delegations.delegate(parse_id(gateway), device, audience)

    def deregister(self, device: str) -> None:
        self.entries = [entry for entry in self.entries if entry.spiffe_id != device]


class Asked:
    """The issuer as a gateway knows it, without what `Delegated` keeps."""

    def __init__(self, domain: Domain, gateway: str = GATEWAY) -> None:
        self._domain, self._gateway = domain, parse_id(gateway)
        self.given: list[str] = []
        self.forgotten: list[SpiffeId] = []

    async def token(self, device: SpiffeId, audience: SpiffeId, *, answer: Answer | None = None) -> str:
        asked, proof = self._domain.delegations, {}
        try:
            if answer is not None:
                nonce = asked.challenge(self._gateway, str(device))
                proof = {"nonce": nonce, "signature": await answer(nonce, self._gateway, device, b"")}
            self.given.append(asked.delegate(self._gateway, str(device), str(audience), **proof))
        except Refused as error:
            raise NoDelegation(str(error)) from None
        return self.given[-1]

    def forget(self, device: SpiffeId, _audience: SpiffeId) -> None:
        self.forgotten.append(device)


def route(name: str, target: bed.Target_, *devices: str) -> Route:
    flows = tuple(
        Flow(sensor=f"s{number}", source=bed.source(number), device=device) for number, device in enumerate(devices)
    )
    return bed.route(name, target, flows=flows)


@contextlib.asynccontextmanager
async def proving(
    domain: Domain, folder: Path, *, required: bool = True, denied: tuple[str, ...] = (), **options: Any
) -> AsyncIterator[tuple[RelayService, LocalIdentity]]:
    """A relay with an identity, and that."""
    own = domain.identity(RELAY)
    settings = Settings(patience=bed.QUICK, require_delegation=required, denied=frozenset(denied))
    made = RelayService(
        Options(
            folder, settings=settings, managers=Authorized.of(ids=[MANAGER]), monitor=Place(),
            control_tls=uvicorn_options(own, lambda _: True, sockets="none"), **{"drain": 0.0, **options},
        ),
        clock=Clock(wall=domain.clock.wall, rng=random.Random(1)), identity=own,
    )  # fmt: skip
    async with made:
        yield made, own


@contextlib.asynccontextmanager
async def client(service: RelayService, identity: LocalIdentity) -> AsyncIterator[RelayClient]:
    context = identity.client_context(Authorized.of(ids=[RELAY]))
    async with aiohttp.ClientSession(connector=PeerConnector(context)) as http:
        yield RelayClient(service.control_url, http)


async def said(service: RelayService, identity: LocalIdentity, method: str, path: str, body: bytes = b"") -> Any:
    """Status and text of any request."""
    context = identity.client_context(Authorized.of(ids=[RELAY]))
    async with (
        aiohttp.ClientSession(connector=PeerConnector(context)) as http,
        http.request(method, service.control_url + path, data=body, timeout=aiohttp.ClientTimeout(20)) as answer,
    ):
        return answer.status, await answer.text()


def claims(target: bed.Target_) -> list[tuple[str | None, str | None, str | None]]:
    """Who measured, who vouches and how well, of everything that was taken."""
    return [
        tuple(headers.get(f"ce-{name}") for name in ("device", "gateway", "devicelevel")) for headers, _ in target.taken
    ]  # type: ignore[misc]


async def spins(count: int = 3) -> None:
    """Let what is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)
