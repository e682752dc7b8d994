"""Who speaks for a device, and tokens: what is accepted, and all that is not."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from continuo.trust.bundles import Bundles
from continuo.trust.delegation import TYPE, BadDelegation, DeviceKey, Level, verify_delegation
from continuo.trust.identity import Peer
from continuo.trust.ids import SpiffeId, parse_id
from continuo.trust.issuer.devices import Delegations, Refused
from continuo.trust.issuer.entries import BadEntry, Caller, Entries, Entry, check
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.tokens import BadToken, verify_jwt

NOW = datetime.now(UTC)
ISSUER, FOREIGN = (Issuer(name, clock=lambda: NOW) for name in ("a.example", "b.example"))
GATEWAY, OTHER = parse_id("spiffe://a.example/gw/1"), parse_id("spiffe://a.example/gw/2")
DEVICE, BOARD = "spiffe://a.example/led/stwin-00aa", "spiffe://a.example/led/secure-00bb"
RELAY = parse_id("spiffe://a.example/cp/relay")
KEY = DeviceKey()
ENTRIES = Entries(
    [
        Entry(spiffe_id=DEVICE, gateway=str(GATEWAY)),
        Entry(spiffe_id=BOARD, gateway=str(GATEWAY), level=Level.L1, device_key=KEY.public_pem),
    ]
)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def bundles() -> Bundles:
    ISSUER.federate("b.example", FOREIGN.bundle())
    return ISSUER.bundles()


def peer(spiffe_id: SpiffeId = GATEWAY) -> Peer:
    return Peer(spiffe_id, b"", NOW + timedelta(hours=1))


def delegations(issuer: Issuer = ISSUER) -> Delegations:
    return Delegations(issuer, lambda: ENTRIES)


def test_a_gateway_speaks_for_its_device() -> None:
    token = delegations().delegate(GATEWAY, DEVICE, str(RELAY))
    found = verify_delegation(token, peer(), bundles(), NOW, audience=RELAY)
    assert (str(found.device), found.gateway, found.level) == (DEVICE, GATEWAY, Level.L0)
    assert timedelta() < found.until - NOW <= timedelta(minutes=5, seconds=5)


def signed(issuer: Issuer = ISSUER, subject: str = DEVICE, kind: str = TYPE, **claims: Any) -> str:
    said: dict[str, Any] = {"act": {"sub": str(GATEWAY)}, "level": "L0", **claims}
    return issuer.authorities[0].token(parse_id(subject), [str(RELAY)], NOW, timedelta(minutes=5), kind=kind, **said)


def hand_made(key: Any, algorithm: str, **header: Any) -> str:
    claims = {
        "sub": DEVICE,
        "aud": [str(RELAY)],
        "exp": NOW.timestamp() + 60,
        "act": {"sub": str(GATEWAY)},
        "level": "L0",
    }
    return jwt.encode(claims, key, algorithm, headers={"kid": ISSUER.authorities[0].kid, "typ": TYPE, **header})


def confused() -> str:
    """An HMAC with the public key: good for whoever lets the token choose the algorithm."""
    claims = hand_made(DeviceKey()._key, "ES256").split(".")[1]
    header = json.dumps({"alg": "HS256", "kid": ISSUER.authorities[0].kid, "typ": TYPE}).encode()
    text = base64.urlsafe_b64encode(header).rstrip(b"=") + b"." + claims.encode()
    mac = hmac.digest(PUBLIC, text, "sha256")
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


PUBLIC = ISSUER.authorities[0].jwt_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
BAD: dict[str, tuple[Callable[[], str], str]] = {
    "no token": (lambda: "", "cannot be read"),
    "nonsense": (lambda: "a.b.c", "cannot be read"),
    "very long": (lambda: "x" * 20_000, "characters"),
    "a plain JWT-SVID of the device": (lambda: signed(kind="JWT"), "type 'JWT'"),
    "signed by a federated domain": (lambda: signed(FOREIGN, subject=DEVICE), "no known key of a.example"),
    "a federated gateway for our device": (
        lambda: signed(act={"sub": "spiffe://b.example/gw/1"}),
        "different trust domains",
    ),
    "no actor": (lambda: signed(act=None), "names no gateway"),
    "an actor that is a text": (lambda: signed(act=str(GATEWAY)), "names no gateway"),
    "an actor without an ID": (lambda: signed(act={}), "not accepted"),
    "another level": (lambda: signed(level="L9"), "not accepted"),
    "no level": (lambda: signed(level=None), "not accepted"),
    "expired": (lambda: signed(exp=int(NOW.timestamp()) - 60), "expired"),
    "no end": (lambda: signed(exp=None), "not accepted"),
    "not yet valid": (lambda: signed(nbf=int(NOW.timestamp()) + 600), "not valid yet"),
    "issued in the future": (lambda: signed(iat=int(NOW.timestamp()) + 600), "not valid yet"),
    "for somebody else": (lambda: signed(aud=["spiffe://a.example/cp/rear"]), "not accepted"),
    "for nobody": (lambda: signed(aud=[]), "not accepted"),
    "no device": (lambda: signed(sub="me"), "cannot be read"),
    "a trust domain as device": (lambda: signed(sub="spiffe://a.example"), "cannot be read"),
    "an unknown key": (lambda: hand_made(DeviceKey()._key, "ES256", kid="other"), "no known key"),
    "another key under a known name": (lambda: hand_made(DeviceKey()._key, "ES256"), "not accepted"),
    "another algorithm": (lambda: hand_made(rsa.generate_private_key(65537, 2048), "RS256"), "not accepted"),
    "the public key as a secret": (lambda: confused(), "not accepted"),
    "no signature": (lambda: hand_made(None, "none"), "not accepted"),
    "changed": (lambda: signed()[:-8] + "AAAAAAAA", "not accepted"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_delegation_is_refused_with_a_sentence_without_the_token(case: str) -> None:
    make, sentence = BAD[case]
    token = make()
    with pytest.raises(BadDelegation, match=sentence) as refused:
        verify_delegation(token, peer(), bundles(), NOW, audience=RELAY)
    assert not token or token not in str(refused.value)


def test_it_is_worth_nothing_in_the_hands_of_another() -> None:
    token = delegations().delegate(GATEWAY, DEVICE, str(RELAY))
    for thief in (OTHER, parse_id(DEVICE), parse_id("spiffe://b.example/gw/1")):
        with pytest.raises(BadDelegation, match="has shown it"):
            verify_delegation(token, peer(thief), bundles(), NOW, audience=RELAY)


def test_a_delegation_is_no_jwt_svid() -> None:
    token = delegations().delegate(GATEWAY, DEVICE, str(RELAY))
    with pytest.raises(BadToken, match="type"):
        verify_jwt(token, RELAY, bundles(), NOW)


@pytest.mark.parametrize(
    ("gateway", "device", "audience"),
    [
        (OTHER, DEVICE, str(RELAY)),
        (GATEWAY, "spiffe://a.example/led/unknown-00", str(RELAY)),
        (GATEWAY, str(GATEWAY), str(RELAY)),
        (GATEWAY, "nonsense", str(RELAY)),
        (GATEWAY, DEVICE, "relay"),
        (GATEWAY, BOARD, str(RELAY)),
    ],
)
def test_none_is_given_for_what_is_not_registered(gateway: SpiffeId, device: str, audience: str) -> None:
    with pytest.raises(Refused):
        delegations().delegate(gateway, device, audience)


def test_a_device_with_a_key_answers_a_challenge() -> None:
    asked, board = delegations(), parse_id(BOARD)
    nonce = asked.challenge(GATEWAY, BOARD)
    token = asked.delegate(GATEWAY, BOARD, str(RELAY), nonce=nonce, signature=KEY.answer(nonce, GATEWAY, board))
    assert verify_delegation(token, peer(), bundles(), NOW, audience=RELAY).level is Level.L1
    with pytest.raises(Refused, match="used once"):
        asked.delegate(GATEWAY, BOARD, str(RELAY), nonce=nonce, signature=KEY.answer(nonce, GATEWAY, board))


def test_a_wrong_answer_to_a_challenge_is_refused() -> None:
    asked, board = delegations(), parse_id(BOARD)
    wrong: list[Callable[[bytes], bytes]] = [
        lambda nonce: DeviceKey().answer(nonce, GATEWAY, board),
        lambda nonce: KEY.answer(nonce[::-1], GATEWAY, board),
        lambda nonce: KEY.answer(nonce, OTHER, board),
        lambda nonce: KEY.answer(nonce, GATEWAY, parse_id(DEVICE)),
        lambda nonce: KEY.answer(nonce, GATEWAY, board, b"another session"),
        lambda _: b"",
        lambda _: b"nonsense",
    ]
    for answer in wrong:
        nonce = asked.challenge(GATEWAY, BOARD)
        with pytest.raises(Refused, match="has not signed"):
            asked.delegate(GATEWAY, BOARD, str(RELAY), nonce=nonce, signature=answer(nonce))


def test_a_challenge_is_good_for_a_minute_and_for_its_gateway() -> None:
    clock = Clock()
    asked, board = delegations(Issuer("a.example", clock=clock)), parse_id(BOARD)
    nonce = asked.challenge(GATEWAY, BOARD)
    clock.now += timedelta(seconds=61)
    with pytest.raises(Refused, match="last minute"):
        asked.delegate(GATEWAY, BOARD, str(RELAY), nonce=nonce, signature=KEY.answer(nonce, GATEWAY, board))
    with pytest.raises(Refused, match="not registered"):
        asked.challenge(OTHER, BOARD)
    with pytest.raises(Refused, match="has no key"):
        asked.challenge(GATEWAY, DEVICE)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (Entry(spiffe_id="spiffe://a.example/x"), "every process"),
        (Entry(spiffe_id="spiffe://b.example/x", uid=1), "vouches for a.example alone"),
        (Entry(spiffe_id="x", uid=1), "no SPIFFE ID"),
        (Entry(spiffe_id=DEVICE, gateway="spiffe://b.example/gw/1"), "another trust domain"),
        (Entry(spiffe_id=DEVICE, gateway=str(GATEWAY), uid=1), "runs as no process"),
        (Entry(spiffe_id=DEVICE, gateway=str(GATEWAY), level=Level.L1), "public key"),
        (Entry(spiffe_id=DEVICE, gateway=str(GATEWAY), device_key=KEY.public_pem), "none at level L0"),
        (Entry(spiffe_id="spiffe://a.example/x", uid=1, device_key=KEY.public_pem), "is a workload"),
        (Entry(spiffe_id="spiffe://a.example/x", uid=1, federates_with=("no domain",)), "no trust domain"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused_with_a_sentence(entry: Entry, sentence: str) -> None:
    with pytest.raises((BadEntry, ValueError), match=sentence):
        check(entry, ISSUER.domain)


def test_a_process_gets_what_it_matches_in_all_that_is_asked() -> None:
    entries = Entries(
        [
            Entry(spiffe_id="spiffe://a.example/user", uid=7),
            Entry(spiffe_id="spiffe://a.example/program", uid=7, path="/bin/relay"),
            Entry(spiffe_id="spiffe://a.example/group", gid=9),
            Entry(spiffe_id=DEVICE, gateway=str(GATEWAY)),
        ]
    )

    def gets(caller: Caller) -> list[str]:
        return [entry.spiffe_id.rpartition("/")[2] for entry in entries.matching(caller)]

    assert gets(Caller(1, 7, 7, "/bin/relay")) == ["program", "user"]
    assert gets(Caller(1, 7, 9, "/bin/other")) == ["group", "user"]
    assert gets(Caller(1, 8, 8, "/bin/relay")) == []
