"""Bundles as documents, and fetching them: what replaces what, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from continuo.trust.bundle_docs import BadBundle, Bundle, parse_bundle
from continuo.trust.ids import BadId, TrustDomain, parse_id
from continuo.trust.issuer.endpoint import BundleEndpoint, spiffe_context
from continuo.trust.issuer.federation import Federation
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.relations import BadRelation, Profile, Relation, check, replaces
from continuo.trust.issuer.store import Store

A, B = Issuer("a.example"), Issuer("b.example")
DOCUMENT = json.loads(B.document())
X509, JWT = (next(key for key in DOCUMENT["keys"] if key["use"] == use) for use in ("x509-svid", "jwt-svid"))
LEAF = base64.b64encode(B.svid(parse_id("spiffe://b.example/x")).chain[0]).decode()

BAD: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "not JSON"),
    "no UTF-8": (b"\xff", "not JSON"),
    "too deep": (b"[" * 100_000, "not JSON"),
    "a list": ([], "no JWK Set"),
    "no keys": ({}, "no JWK Set"),
    "keys that are no list": ({"keys": {}}, "no JWK Set"),
    "the same name twice": (b'{"keys": [], "spiffe_sequence": 9, "spiffe_sequence": 1}', "twice"),
    "a key that is no object": ({"keys": [1]}, "no JWK"),
    "a key without kty": ({"keys": [{"use": "x509-svid"}]}, "no JWK"),
    "no x5c": ({"keys": [{**X509, "x5c": None}]}, "x5c"),
    "an empty x5c": ({"keys": [{**X509, "x5c": []}]}, "x5c"),
    "x5c that is no base64": ({"keys": [{**X509, "x5c": ["!"]}]}, "base64"),
    "x5c that is no certificate": ({"keys": [{**X509, "x5c": ["AAAA"]}]}, "no certificate of an authority"),
    "a workload's certificate": ({"keys": [{**X509, "x5c": [LEAF]}]}, "certificate of a workload"),
    "no kid": ({"keys": [{**JWT, "kid": None}]}, "kid"),
    "the same kid twice": ({"keys": [JWT, JWT]}, "kid"),
    "a broken key": ({"keys": [{**JWT, "x": "AA"}]}, "no key that can be used"),
    "a sequence that is a text": ({"keys": [], "spiffe_sequence": "1"}, "spiffe_sequence"),
    "a negative sequence": ({"keys": [], "spiffe_sequence": -1}, "spiffe_sequence"),
    "a hint that is a truth": ({"keys": [], "spiffe_refresh_hint": True}, "spiffe_refresh_hint"),
    "too big": (b" " * ((1 << 20) + 1), "bytes"),
}


def as_bytes(document: Any) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_bundle_is_refused_with_a_sentence(case: str) -> None:
    document, sentence = BAD[case]
    with pytest.raises(BadBundle, match=sentence):
        parse_bundle(as_bytes(document))


def test_a_bundle_is_read_as_it_was_written() -> None:
    found = parse_bundle(B.document())
    assert (found.x509, set(found.jwt), found.sequence, found.hint) == (
        B.bundle().x509, set(B.bundle().jwt), B.sequence, 300,
    )  # fmt: skip


def test_unknown_uses_and_types_are_left_out_and_no_keys_revoke_all() -> None:
    odd = [{"kty": "oct", "use": "x509-svid"}, {**JWT, "use": "wit-svid"}, {"kty": "EC"}]
    assert parse_bundle(as_bytes({"keys": odd})) == Bundle()


def test_only_the_first_certificate_of_an_entry_counts() -> None:
    other = base64.b64encode(A.authorities[0].der).decode()
    found = parse_bundle(as_bytes({"keys": [{**X509, "x5c": [X509["x5c"][0], other]}]}))
    assert found.x509 == B.bundle().x509


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        (None, Bundle(sequence=0), True),
        (Bundle(sequence=1), Bundle(sequence=2), True),
        (Bundle(sequence=2), Bundle(sequence=2), False),
        (Bundle(sequence=2), Bundle(sequence=1), "was there before"),
        (Bundle(sequence=2), Bundle(frozenset((b"x",)), sequence=2), "same sequence"),
        (Bundle(sequence=0), Bundle(frozenset((b"x",)), sequence=0), True),
    ],
)
def test_a_bundle_is_replaced_by_a_later_one_only(old: Bundle | None, new: Bundle, verdict: bool | str) -> None:
    if isinstance(verdict, str):
        with pytest.raises(BadRelation, match=verdict):
            replaces(new, old)
    else:
        assert replaces(new, old) is verdict


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"trust_domain": "a.example"}, "own trust domain"),
        ({"trust_domain": "no domain"}, "no trust domain"),
        ({"url": "http://b.example/"}, "no bundle endpoint"),
        ({"url": "https://user:secret@b.example/"}, "no bundle endpoint"),
        ({"url": "https:///x"}, "no bundle endpoint"),
        ({"endpoint_id": None}, "endpoint's SPIFFE ID"),
        ({"profile": Profile.WEB}, "endpoint's SPIFFE ID"),
        ({"endpoint_id": "b.example/x"}, "no SPIFFE ID"),
    ],
)
def test_a_federation_that_cannot_be_is_refused_with_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    good = {"trust_domain": "b.example", "url": "https://b.example/", "endpoint_id": "spiffe://b.example/e"}
    with pytest.raises((BadRelation, BadId), match=sentence):
        check(Relation(**{**good, **fields}), TrustDomain("a.example"))


# over the network


class Publisher:
    """A bundle endpoint that answers what a test wants."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, B.document(), dict[str, str]()
        self.asked = 0

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@asynccontextmanager
async def published(tls: ssl.SSLContext) -> AsyncIterator[tuple[Publisher, str]]:
    publisher, app = Publisher(), web.Application()
    app.router.add_get("/{rest:.*}", publisher.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield publisher, f"https://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def relation(url: str) -> Relation:
    return Relation(trust_domain="b.example", url=url, endpoint_id="spiffe://b.example/e")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "a")
    made.save_bundle(B.domain, B.document())
    return made


REFUSED: dict[str, tuple[Callable[[Publisher], None], str]] = {
    "a redirect": (lambda p: p.__dict__.update(status=302, headers={"Location": "/elsewhere"}), "redirects are not"),
    "an error": (lambda p: p.__dict__.update(status=500), "answered 500"),
    "nonsense": (lambda p: p.__dict__.update(body=b"hello"), "not JSON"),
    "too much": (lambda p: p.__dict__.update(body=b" " * ((1 << 20) + 1)), "bigger than"),
    "twice": (lambda p: p.__dict__.update(body=b'{"keys": [], "keys": []}'), "twice"),
    "an older one": (
        lambda p: p.__dict__.update(body=as_bytes({**DOCUMENT, "spiffe_sequence": 0})),
        "was there before",
    ),
    "a contradiction": (lambda p: p.__dict__.update(body=as_bytes({**DOCUMENT, "keys": [X509]})), "same sequence"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("case", REFUSED)
async def test_a_bad_answer_changes_nothing_and_is_told(case: str, store: Store) -> None:
    prepare, sentence = REFUSED[case]
    issuer = Issuer("a.example")
    issuer.federate("b.example", B.bundle())
    federation = Federation(issuer, store)
    async with published(spiffe_context(B.identity("spiffe://b.example/e"))) as (publisher, url):
        prepare(publisher)
        assert sentence in await federation.refresh(relation(url))
        assert publisher.asked == 1
    assert issuer.federated()[B.domain].x509 == B.bundle().x509
    assert sentence in federation.status["b.example"].trouble


@pytest.mark.anyio
async def test_an_endpoint_has_to_prove_its_id(store: Store) -> None:
    """Another workload of that domain, another domain's, and one that the right domain has not signed: none is asked."""
    federation = Federation(Issuer("a.example"), store)
    stranger = Issuer("b.example").identity("spiffe://b.example/e")
    for identity in (B.identity("spiffe://b.example/other"), A.identity("spiffe://a.example/e"), stranger):
        async with published(spiffe_context(identity)) as (publisher, url):
            assert await federation.refresh(relation(url)) != ""
            assert publisher.asked == 0


@pytest.mark.anyio
async def test_the_first_contact_needs_a_bundle(tmp_path: Path) -> None:
    federation = Federation(Issuer("a.example"), Store(tmp_path))
    assert "--bundle" in await federation.refresh(relation("https://127.0.0.1:1/"))


@pytest.mark.anyio
async def test_a_bundle_without_keys_revokes_the_trust_domain(store: Store) -> None:
    issuer = Issuer("a.example")
    async with published(spiffe_context(B.identity("spiffe://b.example/e"))) as (publisher, url):
        publisher.body = as_bytes({"keys": [], "spiffe_sequence": 9})
        assert await Federation(issuer, store).refresh(relation(url)) == ""
    assert issuer.bundles().x509[B.domain] == frozenset()


@pytest.mark.anyio
async def test_profile_https_web_wants_the_host_s_certificate(store: Store, tmp_path: Path) -> None:
    """A web authority's certificate for 127.0.0.1; with the default authorities of this machine it is refused."""
    from datetime import UTC, datetime, timedelta

    authority = Issuer("web.example").authorities[0]
    svid = authority.svid(parse_id("spiffe://web.example/w"), datetime.now(UTC), timedelta(hours=1), ("localhost",))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    svid.load_into(server)

    def trusting() -> ssl.SSLContext:
        return ssl.create_default_context(cadata=authority.der)

    issuer = Issuer("a.example")
    async with published(server) as (publisher, url):
        web_relation = Relation(
            trust_domain="b.example", url=url.replace("127.0.0.1", "localhost"), profile=Profile.WEB
        )
        assert await Federation(issuer, store).refresh(web_relation) != ""
        assert publisher.asked == 0
        publisher.body = as_bytes({**DOCUMENT, "spiffe_sequence": 9})
        assert await Federation(issuer, store, web=trusting).refresh(web_relation) == ""
    assert issuer.federated()[B.domain].sequence == 9


@pytest.mark.anyio
async def test_a_following_federation_hears_of_new_keys_by_itself(store: Store) -> None:
    publisher, issuer = Issuer("b.example"), Issuer("a.example")
    store.save_bundle(publisher.domain, publisher.document())
    identity = publisher.identity("spiffe://b.example/e")
    endpoint = BundleEndpoint(publisher, "127.0.0.1", 0, spiffe_context(identity))
    await endpoint.start()
    federation = Federation(issuer, store, shortest=0.05)
    try:
        from continuo.trust.issuer.generations import Policy

        publisher.policy = Policy(hint=publisher.policy.hint / 3000)  # asks to be asked often
        publisher.prepare()
        federation.follow([relation(f"https://127.0.0.1:{endpoint.port}/")])
        async with asyncio.timeout(10):
            while issuer.federated()[publisher.domain].sequence < publisher.sequence:
                await issuer.changes.wait()
        publisher.prepare()
        async with asyncio.timeout(10):
            while issuer.federated()[publisher.domain].sequence < publisher.sequence:
                await issuer.changes.wait()
        federation.follow([])
        assert issuer.federated() == {} and store.bundle(publisher.domain) is None
    finally:
        await federation.stop()
        await endpoint.stop()
