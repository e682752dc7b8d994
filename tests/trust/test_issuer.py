"""An issuer's keys as they come and go, its folder, and the Workload API that it serves."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import spiffe
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.trust import wire
from continuo.trust.delegation import DeviceKey, Level, verify_delegation
from continuo.trust.gateway import Delegated, NoDelegation
from continuo.trust.identity import Identity, NoIdentity, Peer
from continuo.trust.ids import BadId, TrustDomain, parse_id
from continuo.trust.issuer.entries import Entry
from continuo.trust.issuer.generations import Policy, signing
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.serving import CannotServe, Serving, ring
from continuo.trust.issuer.store import BadStore, Store
from continuo.trust.tokens import verify_jwt
from continuo.trust.workload_api import WorkloadApi
from trust.embedded import Embedded

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


# keys


def test_a_generation_is_announced_before_it_signs_and_believed_until_it_ends() -> None:
    clock = Clock()
    issuer = Issuer("a.example", clock=clock)
    first, start = issuer.authorities[0], clock.now
    clock.now = start + 12 * HOUR
    issuer.refresh()
    assert len(issuer.authorities) == 2 and issuer.sequence == 2
    second = issuer.authorities[1]
    assert signing(issuer.authorities, clock.now) is first
    assert second.der in issuer.bundle().x509 and second.kid in issuer.bundle().jwt
    clock.now += timedelta(minutes=15)
    assert signing(issuer.authorities, clock.now) is second
    assert first.der in issuer.bundle().x509
    clock.now = start + 24 * HOUR
    issuer.refresh()
    assert first.der not in issuer.bundle().x509
    assert second.der in issuer.bundle().x509


@settings(max_examples=25)
@given(st.lists(st.integers(1, 30 * 3600), min_size=1, max_size=12))
def test_however_long_it_slept_there_is_one_that_signs_and_no_svid_outlives_it(steps: list[int]) -> None:
    clock = Clock()
    issuer, sequence = Issuer("a.example", clock=clock), 0
    for step in steps:
        clock.now += timedelta(seconds=step)
        assert issuer.refresh() > clock.now
        signs = signing(issuer.authorities, clock.now)
        assert signs.der in issuer.bundle().x509 and len(issuer.authorities) <= 3
        svid = issuer.svid(parse_id("spiffe://a.example/x"))
        assert clock.now < svid.until <= signs.until
        assert issuer.sequence >= sequence
        sequence = issuer.sequence


def test_an_svid_is_renewed_at_half_its_life() -> None:
    clock = Clock()
    issuer, name = Issuer("a.example", clock=clock), parse_id("spiffe://a.example/x")
    first = issuer.renewed(None, name)
    clock.now += timedelta(minutes=29)
    assert issuer.renewed(first, name) is first
    clock.now += timedelta(minutes=2)
    assert issuer.renewed(first, name) is not first


def test_an_issuer_vouches_for_its_own_trust_domain_alone() -> None:
    issuer = Issuer("a.example")
    for act in (issuer.svid, lambda name: issuer.token(name, ["x"])):
        with pytest.raises(BadId, match="this issuer vouches for"):
            act(parse_id("spiffe://b.example/x"))
    with pytest.raises(BadId, match="own trust domain"):
        issuer.federate("a.example", issuer.bundle())


def test_lives_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="quarter"):
        Policy(authority=HOUR, svid=HOUR)


# the folder


def test_keys_outlive_the_process_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "it")
    before = Issuer("a.example", keeping=store)
    again = Issuer("a.example", keeping=Store(tmp_path / "it"))
    assert (again.bundle().x509, again.sequence) == (before.bundle().x509, before.sequence)
    path = tmp_path / "it" / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_broken_or_foreign_folder_is_told_and_nothing_is_overwritten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    Issuer("a.example", keeping=store)
    with pytest.raises(BadStore, match="has the keys of"):
        Issuer("b.example", keeping=store)
    for text in (
        "{",
        '{"trustDomain": "a.example"}',
        '{"trustDomain": "a.example", "generations": [{}], "sequence": 1}',
    ):
        (tmp_path / "keys.json").write_text(text)
        with pytest.raises(BadStore, match=r"keys\.json"):
            Issuer("a.example", keeping=store)
        assert (tmp_path / "keys.json").read_text() == text
    (tmp_path / "entries.json").write_text('[{"uid": 1}]')
    with pytest.raises(BadStore, match="spiffeId"):
        store.entries()


# the Workload API


@pytest.fixture
async def place(tmp_path: Path) -> Any:
    made = Embedded("a.example", tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_both_kinds_of_identity_are_identities(place: Embedded) -> None:
    await place.grant()
    async with WorkloadApi(place.address) as identity:
        assert isinstance(identity, Identity) and isinstance(place.issuer.identity(place.id), Identity)
        token = await identity.jwt("spiffe://a.example/cp/rear")
        assert token == await identity.jwt("spiffe://a.example/cp/rear")
        found = verify_jwt(token, "spiffe://a.example/cp/rear", identity.bundles, datetime.now(UTC))
        assert str(found.subject) == place.id


async def test_the_spiffe_package_s_own_client_understands_it(place: Embedded) -> None:
    await place.grant()

    def ask() -> tuple[str, str]:
        with spiffe.WorkloadApiClient(place.address, default_timeout=10) as client:
            context = client.fetch_x509_context()
            token = client.fetch_jwt_svid({"spiffe://a.example/x"}).token
            bundle = client.fetch_jwt_bundles().get_bundle_for_trust_domain(TrustDomain("a.example"))
            assert bundle is not None
            spiffe.JwtSvid.parse_and_validate(token, bundle, {"spiffe://a.example/x"})
            valid = client.validate_jwt_svid(token, "spiffe://a.example/x")
            assert len(client.fetch_x509_bundles().bundles) == 1
            return str(context.default_svid.spiffe_id), str(valid.spiffe_id)

    assert await asyncio.to_thread(ask) == (place.id, place.id)


async def call(address: str, name: str, metadata: Any = (wire.HEADER,), **fields: Any) -> Any:
    async with grpc.aio.insecure_channel(address.replace("unix://", "unix:")) as channel:
        request = wire.MESSAGES[wire.METHODS[name][0]](**fields)
        answer = wire.method(channel, name)(request, metadata=metadata, timeout=10)
        if wire.METHODS[name][2]:
            return await answer.read()
        return await answer


@pytest.mark.parametrize("name", wire.METHODS)
async def test_the_header_against_forged_requests_is_needed(place: Embedded, name: str) -> None:
    await place.grant()
    for metadata in ((), (("workload.spiffe.io", "false"),)):
        with pytest.raises(grpc.aio.AioRpcError, match=r"workload\.spiffe\.io") as refused:
            await call(place.address, name, metadata)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", wire.METHODS)
async def test_who_is_not_registered_gets_nothing(place: Embedded, name: str) -> None:
    place.store.save_entries([Entry(spiffe_id=place.id, uid=os.getuid(), path="/bin/another")])
    place.reload()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(place.address, name)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_socket_behind_the_socket_gives_nothing(place: Embedded) -> None:
    await place.grant()
    assert place.serving is not None and place.serving._folder is not None
    assert stat.S_IMODE(place.serving._folder.stat().st_mode) == 0o700
    with pytest.raises(grpc.aio.AioRpcError, match="not the socket for workloads"):
        await call(f"unix://{place.serving._folder}/inner", "FetchX509SVID")


async def test_the_program_of_a_caller_is_known(place: Embedded) -> None:
    path = await asyncio.to_thread(os.readlink, "/proc/self/exe")
    place.store.save_entries([Entry(spiffe_id=place.id, uid=os.getuid(), path=path, ttl=60, dns_names=("it.example",))])
    place.reload()
    async with WorkloadApi(place.address) as identity:
        assert identity.svid.until - datetime.now(UTC) <= timedelta(seconds=60)


async def test_only_the_named_federations_are_given(place: Embedded) -> None:
    for name in ("b.example", "c.example"):
        place.issuer.federate(name, Issuer(name).bundle())
    place.store.save_entries([Entry(spiffe_id=place.id, uid=os.getuid(), federates_with=("b.example",))])
    assert place.serving is not None
    place.serving._entries = place.store.entries()
    async with WorkloadApi(place.address) as identity:
        assert {domain.name for domain in identity.bundles.x509} == {"a.example", "b.example"}
        assert {domain.name for domain in identity.bundles.jwt} == {"a.example", "b.example"}


async def test_a_gateway_gets_delegations_over_the_same_socket(place: Embedded) -> None:
    key, relay = DeviceKey(), parse_id("spiffe://a.example/cp/relay")
    devices = [parse_id("spiffe://a.example/led/a-00"), parse_id("spiffe://a.example/led/b-01")]
    place.store.save_entries(
        [
            Entry(spiffe_id=place.id, uid=os.getuid()),
            Entry(spiffe_id=str(devices[0]), gateway=place.id),
            Entry(spiffe_id=str(devices[1]), gateway=place.id, level=Level.L1, device_key=key.public_pem),
        ]
    )
    place.reload()
    gateway = Delegated(place.address)

    async def answer(nonce: bytes, name: Any, device: Any, session: bytes) -> bytes:
        return key.answer(nonce, name, device, session)

    async with WorkloadApi(place.address) as identity:
        peer = Peer(identity.spiffe_id, b"", identity.svid.until)
        for device, level, how in ((devices[0], Level.L0, None), (devices[1], Level.L1, answer)):
            token = await gateway.token(device, relay, answer=how)
            found = verify_delegation(token, peer, identity.bundles, datetime.now(UTC), audience=relay)
            assert (found.device, found.level) == (device, level)
            assert await gateway.token(device, relay, answer=how) == token
        with pytest.raises(NoDelegation, match="not registered"):
            await gateway.token(parse_id("spiffe://a.example/led/c-02"), relay)
    await gateway.close()


async def test_a_workload_api_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoIdentity, match="is no socket; start SPIRE's agent or `continuo identity serve`"):
        async with WorkloadApi(f"unix://{tmp_path}/api.sock"):
            pass
    with pytest.raises(NoIdentity, match="SPIFFE_ENDPOINT_SOCKET is not set"):
        WorkloadApi.from_environment({})
    for address in ("api.sock", "unix:api.sock", "http://x/", "tcp://host", "unix://host/api.sock"):
        with pytest.raises(NoIdentity, match="one looks like"):
            WorkloadApi.from_environment({"SPIFFE_ENDPOINT_SOCKET": address})


class Strange:
    """A Workload API that says what a test wants."""

    def __init__(self, *messages: Any) -> None:
        self.messages = list(messages)
        self.said = asyncio.Event()

    async def FetchX509SVID(self, _request: Any, _context: Any) -> Any:
        yield self.messages.pop(0)
        await self.said.wait()

    async def FetchJWTBundles(self, _request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no tokens here")
        yield None

    FetchX509Bundles = FetchJWTBundles
    FetchJWTSVID = ValidateJWTSVID = None


async def test_a_message_that_cannot_be_read_is_told_and_the_next_one_is_used(tmp_path: Path, caplog: Any) -> None:
    issuer, name = Issuer("a.example"), "spiffe://a.example/x"
    svid = issuer.svid(parse_id(name))
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(svid.key, None).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    good = {"spiffe_id": name, "x509_svid": svid.chain[0], "x509_svid_key": key, "bundle": issuer.authorities[0].der}

    def message(**changed: Any) -> Any:
        return wire.MESSAGES["X509SVIDResponse"](svids=[wire.MESSAGES["X509SVID"](**{**good, **changed})])

    bad = [
        wire.MESSAGES["X509SVIDResponse"](),
        message(x509_svid=b""),
        message(x509_svid=svid.chain[0][:-1]),
        message(x509_svid=issuer.authorities[0].der),
        message(x509_svid_key=b"x"),
        message(bundle=svid.chain[0]),
        message(bundle=b"\x30\x80"),
    ]
    server = grpc.aio.server()
    strange = Strange(*bad, message())
    server.add_generic_rpc_handlers([wire.handlers(strange)])
    server.add_insecure_port(f"unix:{tmp_path}/api.sock")
    await server.start()
    try:
        async with WorkloadApi(f"unix://{tmp_path}/api.sock", patience=20, slowest=0.05) as identity:
            assert str(identity.spiffe_id) == name
        assert caplog.text.count("a message of unix://") == len(bad)
    finally:
        strange.said.set()
        await server.stop(0)


async def test_the_bell_reads_the_files_again_and_a_broken_one_changes_nothing(place: Embedded) -> None:
    await place.grant()
    place.store.folder.joinpath("entries.json").write_text("nonsense")
    answer = await ring(place.store)
    assert answer is not None and "entries.json" in answer["trouble"]
    async with WorkloadApi(place.address) as identity:
        assert str(identity.spiffe_id) == place.id
    await place.stop()
    assert await ring(place.store) is None


async def test_two_do_not_serve_the_same_socket_and_a_dead_one_is_replaced(place: Embedded, tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match="already"):
        async with Serving(place.issuer, place.store, Path(place.address.removeprefix("unix://"))):
            pass
    with pytest.raises(CannotServe, match="too long"):
        async with Serving(place.issuer, Store(tmp_path / "x"), tmp_path / ("y" * 100)):
            pass
    import socket

    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead.sock"))
    dead.close()
    async with Serving(Issuer("d.example"), Store(tmp_path / "d"), tmp_path / "dead.sock"):
        assert (await ring(Store(tmp_path / "d"))) is not None


def test_what_is_kept_is_what_it_says(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_entries([Entry(spiffe_id="spiffe://a.example/x", uid=1)])
    assert json.loads((tmp_path / "entries.json").read_text()) == [{"spiffeId": "spiffe://a.example/x", "uid": 1}]
