"""Gateways prove to the relay for whom they speak: over mutual TLS, with tokens that are worth nothing to others."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest

from continuo.edge.relay.endpoints import BadRoute
from continuo.trust.bundles import Bundles
from continuo.trust.ids import parse_id
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.local import LocalIdentity

from . import bed, proofs
from .proofs import BOARD, FOREIGN, GATEWAY, KEYED, MANAGER, OTHER, RELAY, Domain

pytestmark = pytest.mark.anyio
PROVED, NOBODY = (BOARD, GATEWAY, "L0"), (None, None, None)


@pytest.fixture
def domain() -> Domain:
    return Domain()


async def test_readings_pass_when_their_gateway_has_proved_itself(tmp_path: Path, domain: Domain) -> None:
    gateway = domain.identity(GATEWAY)
    async with (
        bed.target() as buyer, proofs.proving(domain, tmp_path) as (service, _), proofs.client(service, gateway) as mine,
        proofs.client(service, domain.identity(MANAGER)) as manager,
    ):  # fmt: skip
        relay = service.relay
        await manager.put_route(proofs.route("a", buyer, BOARD, FOREIGN, ""))
        for sensor in range(3):
            relay.accept(bed.source(sensor), bed.reading(1, sensor), "mqtt")
        status = (await manager.status()).routes[0]
        assert (status.received, status.unproven) == (3, 3) and [flow.unproven for flow in status.flows] == [1, 1, 1]
        assert status.trouble == (
            "readings of sensor s0 are not delivered (and those of 2 more): "
            f"no gateway has proved that it speaks for {BOARD} now"
        )
        told = await mine.prove([domain.token()])
        assert told.instance == relay.instance and not told.refused
        assert [(each.device, each.gateway, each.level) for each in told.accepted] == [PROVED]
        for sensor in range(3):
            relay.accept(bed.source(sensor), bed.reading(2, sensor), "mqtt")
        await buyer.until(1)
        status = (await manager.status()).routes[0]
        assert [flow.unproven for flow in status.flows] == [1, 2, 2] and status.flows[0].trouble == ""
        assert "names no device" in status.flows[2].trouble and FOREIGN in status.trouble
        assert service.relay.totals.unproven == 5
        async with aiohttp.ClientSession() as http, http.get(f"{service.monitor_url}/metrics") as metrics:
            text = await metrics.text()
        assert "continuo_relay_readings_unproven_total 5.0\n" in text and "continuo_relay_delegations 1.0\n" in text
    assert proofs.claims(buyer) == [PROVED] and bed.sequences(buyer.bodies) == [2]


async def test_where_no_proof_is_required_readings_pass_without_a_claim(tmp_path: Path, domain: Domain) -> None:
    async with bed.target() as buyer, proofs.proving(domain, tmp_path, required=False) as (service, _):
        await service.relay.put(proofs.route("a", buyer, BOARD))
        service.relay.accept(bed.source(), bed.reading(1), "mqtt")
        await buyer.until(1)
        async with proofs.client(service, domain.identity(GATEWAY)) as mine:
            await mine.prove([domain.token()])
        service.relay.accept(bed.source(), bed.reading(2), "mqtt")
        await buyer.until(2)
    assert proofs.claims(buyer) == [NOBODY, PROVED]


@pytest.mark.parametrize("required", [True, False])
async def test_a_denied_device_is_not_delivered_whoever_vouches(required: bool, tmp_path: Path, domain: Domain) -> None:
    async with (
        bed.target() as buyer,
        proofs.proving(domain, tmp_path, required=required, denied=(BOARD,)) as (service, _),
        proofs.client(service, domain.identity(GATEWAY)) as mine,
    ):
        await service.relay.put(proofs.route("a", buyer, BOARD))
        told = await mine.prove([domain.token()])
        assert not told.accepted and "deny list" in told.refused[0].detail
        service.relay.accept(bed.source(), bed.reading(1), "mqtt")
        status = service.relay.status("a")
        assert status is not None and status.unproven == 1 and "deny list" in status.trouble
    assert buyer.seen == []


async def test_a_proof_ends_and_is_renewed(tmp_path: Path, domain: Domain) -> None:
    async with (
        bed.target() as buyer, proofs.proving(domain, tmp_path) as (service, _),
        proofs.client(service, domain.identity(GATEWAY)) as mine,
    ):  # fmt: skip
        relay = service.relay
        await relay.put(proofs.route("a", buyer, BOARD))
        old = domain.token()
        await mine.prove([old])
        for number, later in enumerate((0, 250, 350)):
            domain.clock.ahead = later
            relay.accept(bed.source(), bed.reading(number), "mqtt")
        status = relay.status("a")
        assert status is not None and status.unproven == 1 and status.trouble
        told = await mine.prove([old])
        assert "expired" in told.refused[0].detail
        assert (await mine.prove([domain.token()])).accepted
        relay.accept(bed.source(), bed.reading(3), "mqtt")
        await buyer.until(3)
        assert relay.status("a").trouble == ""  # type: ignore[union-attr]
    assert bed.sequences(buyer.bodies) == [0, 1, 3]


def foreign_token(domain: Domain) -> str:
    return Issuer("b.example", clock=domain.clock).token(parse_id("spiffe://b.example/led/x"), [RELAY])


BAD: list[tuple[Callable[[Domain], str], str]] = [
    (lambda domain: domain.token(FOREIGN, OTHER), f"{OTHER}'s, and {GATEWAY} has shown it"),
    (lambda domain: domain.token(audience="spiffe://edge.example/cp/rear"), "not accepted"),
    (lambda domain: domain.issuer.token(parse_id(BOARD), [RELAY]), "type 'JWT'"),
    (lambda domain: domain.issuer.token(parse_id(GATEWAY), [RELAY]), "type 'JWT'"),
    (foreign_token, "not accepted"),
    (lambda domain: domain.token()[:-6] + "AAAAAA", "not accepted"),
    (lambda _: "", "cannot be read"),
    (lambda _: "x" * 20_000, "characters"),
]


@pytest.mark.parametrize(("make", "sentence"), BAD)
async def test_what_proves_nothing_is_refused_and_hinders_no_other(
    make: Callable[[Domain], str], sentence: str, tmp_path: Path, domain: Domain
) -> None:
    bad = make(domain)
    async with (
        proofs.proving(domain, tmp_path) as (service, _), proofs.client(service, domain.identity(GATEWAY)) as mine
    ):  # fmt: skip
        told = await mine.prove([bad, domain.token()])
        assert [each.number for each in told.refused] == [0] and sentence in told.refused[0].detail
        assert not bad or bad not in told.refused[0].detail
        assert [each.device for each in told.accepted] == [BOARD] and len(service.relay.gate) == 1


async def test_a_stolen_token_is_worth_nothing_to_another_peer(tmp_path: Path, domain: Domain) -> None:
    token = domain.token()
    async with proofs.proving(domain, tmp_path) as (service, _):
        for thief in (OTHER, BOARD, MANAGER, RELAY):
            async with proofs.client(service, domain.identity(thief)) as theirs:
                told = await theirs.prove([token])
            assert "has shown it" in told.refused[0].detail and len(service.relay.gate) == 0
        stranger = LocalIdentity(Issuer("b.example"), parse_id("spiffe://b.example/gw/1"))
        with pytest.raises(aiohttp.ClientError):
            await proofs.said(service, stranger, "PUT", "/v1/delegations", b"{}")


async def test_requests_that_are_none(tmp_path: Path, domain: Domain) -> None:
    gateway = domain.identity(GATEWAY)
    async with proofs.proving(domain, tmp_path) as (service, _):
        for body, status, sentence in (
            (b"", 400, "cannot be read"), (b"[]", 400, "Expected `object`"), (b"{}", 400, "delegations"),
            (b'{"delegations": "x"}', 400, "Expected `array`"), (b'{"delegations": [1]}', 400, "Expected `str`"),
            (b"\xff", 400, "cannot be read"), (msgspec.json.encode({"delegations": ["x"] * 501}), 400, "length <= 500"),
            (b'{"delegations": ["%b"]}' % (b"x" * 2**21), 413, "longer than"),
        ):  # fmt: skip
            answer = await proofs.said(service, gateway, "PUT", "/v1/delegations", body)
            assert answer[0] == status and sentence in answer[1]
        for method in ("GET", "DELETE", "POST"):
            status, text = await proofs.said(service, gateway, method, "/v1/delegations")
            assert status == 403 and "may not control" in text
        assert (await proofs.said(service, gateway, "GET", "/v1/routes"))[0] == 403


async def test_a_relay_without_identity_takes_no_proof(tmp_path: Path) -> None:
    body = b'{"delegations": []}'
    async with (
        bed.service(tmp_path) as service, aiohttp.ClientSession() as http,
        http.put(f"{service.control_url}/v1/delegations", data=body) as answer,
    ):  # fmt: skip
        assert answer.status == 403 and "mutual TLS" in await answer.text()


async def test_a_withdrawn_key_ends_what_it_signed(tmp_path: Path, domain: Domain) -> None:
    async with (
        bed.target() as buyer, proofs.proving(domain, tmp_path) as (service, own),
        proofs.client(service, domain.identity(GATEWAY)) as mine,
    ):  # fmt: skip
        await service.relay.put(proofs.route("a", buyer, BOARD))
        await mine.prove([domain.token()])
        own.rotate()
        assert len(service.relay.gate) == 1
        news: list[str] = []
        service.relay.follow(news.append)
        own.take(own.svid, Bundles(x509=own.bundles.x509))
        assert len(service.relay.gate) == 0 and news == ["a"]


async def test_a_claim_is_of_when_a_reading_came_also_over_a_restart(tmp_path: Path, domain: Domain) -> None:
    async with bed.target(bed.always(503)) as buyer:
        async with (
            proofs.proving(domain, tmp_path) as (service, _), proofs.client(service, domain.identity(GATEWAY)) as mine
        ):  # fmt: skip
            await service.relay.put(proofs.route("a", buyer, BOARD))
            await mine.prove([domain.token()])
            service.relay.accept(bed.source(), bed.reading(1), "mqtt")
            await buyer.until(1, seen=True)
            service._store.put(proofs.route("a", buyer, BOARD))
        buyer.say = bed.ok
        async with proofs.proving(domain, tmp_path) as (service, _):
            await buyer.until(1)
            service.relay.accept(bed.source(), bed.reading(2), "mqtt")
            assert service.relay.totals.unproven == 1
    assert proofs.claims(buyer) == [PROVED] and bed.sequences(buyer.bodies) == [1]


async def test_each_buyer_is_told_of_the_device_that_its_route_names(tmp_path: Path, domain: Domain) -> None:
    """As while a board's Flavor changes: the same source, one reading, two claims, one identity."""
    async with (
        bed.target() as one, bed.target() as two, proofs.proving(domain, tmp_path, required=False) as (service, _),
        proofs.client(service, domain.identity(GATEWAY)) as mine,
    ):  # fmt: skip
        await service.relay.put(proofs.route("a", one, BOARD))
        await service.relay.put(proofs.route("b", two, FOREIGN))
        await mine.prove([domain.token()])
        service.relay.accept(bed.source(), bed.reading(1), "mqtt")
        await one.until(1)
        await two.until(1)
        await bed.settled(service.relay, lambda: service.relay.memory.bytes == 0)
    assert proofs.claims(one) == [PROVED] and proofs.claims(two) == [NOBODY]
    assert one.taken[0][0]["ce-id"] == two.taken[0][0]["ce-id"]


async def test_a_device_that_is_no_id_is_refused(domain: Domain) -> None:
    relay = bed.a_relay()
    with pytest.raises(BadRoute, match="its device 'x' is no SPIFFE ID"):
        await relay.put(proofs.route("a", bed.Target_(url="http://127.0.0.1:9/x"), "x"))
    await relay.put(proofs.route("a", bed.Target_(url="http://127.0.0.1:9/x"), "spiffe://edge.example/a"))
    with pytest.raises(BadRoute):
        relay.check(proofs.route("a", bed.Target_(url="http://127.0.0.1:9/x"), "spiffe://a.b/c\r\nce-gateway: x"))


def kept(folder: Path) -> list[str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    return [file.read_bytes().decode("latin-1") for file in files]


async def test_tokens_are_in_no_log_status_answer_or_file(
    tmp_path: Path, domain: Domain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good, bad = domain.token(), domain.token(FOREIGN, OTHER)
    gateway, manager, said = domain.identity(GATEWAY), domain.identity(MANAGER), []
    async with (
        bed.target() as buyer, proofs.proving(domain, tmp_path) as (service, _),
        proofs.client(service, gateway) as mine, proofs.client(service, manager) as theirs,
    ):  # fmt: skip
        await theirs.put_route(proofs.route("a", buyer, BOARD, FOREIGN))
        said.append(repr(await mine.prove([good, bad])))
        said += [repr(held) for held in service.relay.gate.all()]
        for number in range(2):
            service.relay.accept(bed.source(number), bed.reading(1, number), "mqtt")
        await buyer.until(1)
        for path in ("/v1/delegations", "/v1/status", "/v1/routes/a", "/v1/dead-letters"):
            said.append((await proofs.said(service, manager, "GET", path))[1])
        assert json.loads(said[-4])["delegations"][0]["device"] == BOARD
        async with aiohttp.ClientSession() as http, http.get(f"{service.monitor_url}/metrics") as metrics:
            said.append(await metrics.text())
    said += kept(tmp_path)
    said += [json.dumps(headers) for headers, _ in buyer.seen] + [caplog.text]
    for token in (good, bad):
        for part in token.split("."):
            assert not [text for text in said if part in text]


async def test_many_devices_in_one_request(tmp_path: Path, domain: Domain) -> None:
    from continuo.trust.issuer.entries import Entry

    names = [f"spiffe://edge.example/led/many-{number:04}" for number in range(200)]
    domain.entries += [Entry(spiffe_id=name, gateway=GATEWAY) for name in names]
    async with (
        proofs.proving(domain, tmp_path) as (service, _), proofs.client(service, domain.identity(GATEWAY)) as mine
    ):  # fmt: skip
        told = await mine.prove([domain.token(name) for name in names])
        assert [each.device for each in told.accepted] == names and len(service.relay.gate) == 200
        assert KEYED not in {str(held.delegation.device) for held in service.relay.gate.all()}
