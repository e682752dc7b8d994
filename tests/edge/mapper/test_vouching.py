"""A gateway goes on proving for whom it speaks: in time, again to a relay that forgot, and no longer than it may."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path
from typing import Any

import pytest

from continuo.edge.mapper.driver import Simulated
from continuo.edge.mapper.manifests import devices_of
from continuo.edge.mapper.model import device_ids, parse
from continuo.edge.mapper.vouching import Vouching
from continuo.resources.errors import Unreachable
from continuo.trust.gateway import Answer, Delegated
from continuo.trust.ids import SpiffeId, TrustDomain, parse_id
from continuo.trust.issuer.entries import Entry
from continuo.trust.issuer.serving import Serving
from continuo.trust.issuer.store import Store
from edge.relay import bed, proofs
from edge.relay.proofs import BOARD, FOREIGN, GATEWAY, KEY, KEYED, OTHER, RELAY, Asked, Domain

pytestmark = pytest.mark.anyio


@pytest.fixture
def domain() -> Domain:
    return Domain()


def boards(**keys: Any) -> Simulated:
    return Simulated([], 1, lambda: 0.0, keys)


def vouching(domain: Domain, issuer: Any, relay: Any, *devices: str, **answers: Answer | None) -> Vouching:
    asked: dict[SpiffeId, Answer | None] = {parse_id(device): None for device in devices}
    asked |= {parse_id(KEYED): answer for answer in answers.values()}
    return Vouching(asked, issuer, relay, parse_id(RELAY), clock=domain.clock.wall, rng=random.Random(1))


async def test_readings_pass_without_a_gap_while_svids_and_delegations_are_renewed(
    tmp_path: Path, domain: Domain
) -> None:
    gateway, asked = domain.identity(GATEWAY), Asked(domain)
    async with (
        bed.target() as buyer, proofs.proving(domain, tmp_path) as (service, own),
        proofs.client(service, gateway) as mine,
    ):  # fmt: skip
        vouch = vouching(domain, asked, mine, BOARD)
        await vouch.prove()
        await service.relay.put(proofs.route("a", buyer, BOARD))
        for number in range(40):
            domain.clock.ahead = 30.0 * number  # twenty minutes, four lives of a token
            await vouch.prove()
            service.relay.accept(bed.source(), bed.reading(number), "mqtt")
            if number % 10 == 5:
                gateway.rotate()
                own.rotate()
        await buyer.until(40)
        assert service.relay.totals.unproven == 0
    assert set(proofs.claims(buyer)) == {(BOARD, GATEWAY, "L0")}
    assert 4 < len(asked.given) < 14  # at half of their lives, not each time


async def test_a_relay_that_starts_anew_is_shown_everything_again(tmp_path: Path, domain: Domain) -> None:
    gateway, asked = domain.identity(GATEWAY), Asked(domain)
    vouch = vouching(domain, asked, None, BOARD)
    for _ in range(2):
        async with proofs.proving(domain, tmp_path) as (service, _own), proofs.client(service, gateway) as mine:
            vouch._relay = mine
            await vouch.prove()
            await vouch.prove()
            assert len(service.relay.gate) == 1
    assert len(asked.given) == 2


async def test_a_device_that_is_no_longer_registered_ends_with_its_last_delegation(
    tmp_path: Path, domain: Domain, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        proofs.proving(domain, tmp_path) as (service, _), proofs.client(service, domain.identity(GATEWAY)) as mine
    ):  # fmt: skip
        vouch = vouching(domain, Asked(domain), mine, BOARD)
        await vouch.prove()
        entries = domain.entries
        domain.deregister(BOARD)
        for ahead, held in ((100, True), (290, True), (301, False), (400, False)):
            domain.clock.ahead = ahead
            await vouch.prove()
            assert (service.relay.gate.claim(BOARD) is not None) is held
        assert caplog.text.count(f"{BOARD} is not registered as a device of {GATEWAY}") == 1  # told once
        domain.entries = entries
        domain.clock.ahead = 500
        await vouch.prove()
        assert service.relay.gate.claim(BOARD)


async def test_nobody_vouches_for_anothers_device(
    tmp_path: Path, domain: Domain, caplog: pytest.LogCaptureFixture
) -> None:
    """The issuer gives none; and what another gateway was given, the relay does not take."""
    async with (
        proofs.proving(domain, tmp_path) as (service, _), proofs.client(service, domain.identity(GATEWAY)) as mine
    ):  # fmt: skip
        await vouching(domain, Asked(domain), mine, FOREIGN, BOARD).prove()
        assert [str(held.delegation.device) for held in service.relay.gate.all()] == [BOARD]
        stolen = Asked(domain, OTHER)
        await vouching(domain, stolen, mine, FOREIGN).prove()
        assert stolen.given and [str(each) for each in stolen.forgotten] == [FOREIGN] and len(service.relay.gate) == 1
    assert "is not registered as a device" in caplog.text and "has shown it" in caplog.text


async def test_a_board_with_a_key_answers_its_challenge_and_nothing_else_will_do(
    tmp_path: Path, domain: Domain, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        proofs.proving(domain, tmp_path) as (service, _), proofs.client(service, domain.identity(GATEWAY)) as mine
    ):  # fmt: skip
        gate = service.relay.gate
        await vouching(domain, Asked(domain), mine, KEYED).prove()
        wrong = boards(k=proofs.DeviceKey()).answer("k")
        await vouching(domain, Asked(domain), mine, wrong=wrong).prove()

        async def silent(*_: Any) -> bytes:
            raise TimeoutError("the board does not answer")

        await vouching(domain, Asked(domain), mine, silent=silent).prove()
        assert len(gate) == 0
        await vouching(domain, Asked(domain), mine, BOARD, right=boards(k=KEY).answer("k")).prove()
        assert {(str(held.delegation.device), held.delegation.level) for held in gate.all()} == {
            (BOARD, "L0"),
            (KEYED, "L1"),
        }
    for sentence in ("has to answer a challenge", "has not signed the challenge", "the board does not answer"):
        assert sentence in caplog.text


async def test_over_the_issuers_socket_with_a_simulated_key(
    tmp_path: Path, domain: Domain, caplog: pytest.LogCaptureFixture
) -> None:
    """As `continuo mapper` does it: delegations from the Workload API's socket, readings of the board that they name."""
    caplog.set_level(logging.DEBUG)
    store = Store(tmp_path / "issuer")
    workload = Entry(spiffe_id=GATEWAY, uid=os.getuid())
    store.save_entries([workload, *domain.entries])
    socket = tmp_path / "api.sock"
    async with (
        Serving(domain.issuer, store, socket, mode=0o600), bed.target() as buyer,
        proofs.proving(domain, tmp_path / "relay") as (service, _), proofs.client(service, domain.identity(GATEWAY)) as mine,
    ):  # fmt: skip
        issuer = Delegated(f"unix://{socket}", clock=domain.clock)
        try:
            await vouching(domain, issuer, mine, BOARD, FOREIGN, key=boards(k=KEY).answer("k")).prove()
        finally:
            await issuer.close()
        await service.relay.put(proofs.route("a", buyer, BOARD, KEYED, FOREIGN))
        for number in range(3):
            service.relay.accept(bed.source(number), bed.reading(1, number), "mqtt")
        await buyer.until(2)
    assert sorted(proofs.claims(buyer)) == [(BOARD, GATEWAY, "L0"), (KEYED, GATEWAY, "L1")]
    assert service.relay.totals.unproven == 1 and "eyJ" not in caplog.text


async def test_it_goes_on_where_the_relay_does_not(domain: Domain, caplog: pytest.LogCaptureFixture) -> None:
    """Troubles pass; a loop of it ends when it is cancelled, and says the same thing once."""
    import asyncio

    asked, tried = Asked(domain), asyncio.Event()

    class Away:
        count = 0

        async def instance(self) -> str:
            self.count += 1
            if self.count == 2:
                tried.set()
            raise Unreachable("the relay is away")

        async def prove(self, delegations: list[str]) -> Any:
            raise AssertionError(delegations)

    running = asyncio.create_task(vouching(domain, asked, Away(), BOARD).run())
    async with asyncio.timeout(20):
        await tried.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert caplog.text.count("the relay is away") == 1 and not asked.given


def test_a_mappers_devices_have_the_ids_that_flavors_name() -> None:
    said = parse({"devices": [{"name": "a.b", "macAddress": "E9:90:6E:F2:09:A8"}, {"name": "c"}]}, "x")
    assert device_ids(devices_of(said), TrustDomain("edge.example")) == {
        "a.b": parse_id("spiffe://edge.example/led/a.b-e9906ef209a8"),
        "c": None,
    }
