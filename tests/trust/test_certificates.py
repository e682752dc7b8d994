"""Which certificates are an SVID's, and that a handshake goes no further with any other, at either end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from continuo.trust.ids import Authorized, TrustDomain, parse_id
from continuo.trust.issuer.authority import Authority
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.local import LocalIdentity
from continuo.trust.leaf import BadSvid, read_leaf
from continuo.trust.svid import Svid
from trust.certificates import CLIENT_ONLY, ID, SERVER_ONLY, leaf, usage
from trust.handshake import shake

OURS = Issuer("a.example")
AUTHORITY = OURS.authorities[0]
OTHER = Issuer("b.example").authorities[0]
ALL = Authorized.of(domains=["a.example", "b.example"])

MAIL = x509.RFC822Name("a@a.example")
DNS = x509.DNSName("a.example")
ADDRESS = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")]))

# what is wrong: the certificate, and a part of the sentence
WRONG: dict[str, tuple[Callable[[], Svid], str]] = {
    "no names at all": (lambda: leaf(AUTHORITY, uris=()), "no subject alternative name"),
    "no URI": (lambda: leaf(AUTHORITY, uris=(), names=[DNS]), "has 0 URIs"),
    "only a mail address": (lambda: leaf(AUTHORITY, uris=(), names=[MAIL]), "has 0 URIs"),
    "only a directory name": (lambda: leaf(AUTHORITY, uris=(), names=[ADDRESS]), "has 0 URIs"),
    "two URIs": (lambda: leaf(AUTHORITY, uris=(ID, ID + "2")), "has 2 URIs"),
    "the same URI twice": (lambda: leaf(AUTHORITY, uris=(ID, ID)), "has 2 URIs"),
    "a second URI of another scheme": (lambda: leaf(AUTHORITY, uris=(ID, "https://a.example")), "has 2 URIs"),
    "another scheme": (lambda: leaf(AUTHORITY, uris=("https://a.example/x",)), "spiffe://"),
    "no path": (lambda: leaf(AUTHORITY, uris=("spiffe://a.example",)), "has a path"),
    "a root path": (lambda: leaf(AUTHORITY, uris=("spiffe://a.example/",)), "empty segments"),
    "a slash at the end": (lambda: leaf(AUTHORITY, uris=(ID + "/",)), "empty segments"),
    "a dot segment": (lambda: leaf(AUTHORITY, uris=("spiffe://a.example/x/../cp",)), "not allowed"),
    "a percent": (lambda: leaf(AUTHORITY, uris=("spiffe://a.example/cp%2frear",)), "invalid character"),
    "a port": (lambda: leaf(AUTHORITY, uris=("spiffe://a.example:1/x",)), "disallowed"),
    "a user": (lambda: leaf(AUTHORITY, uris=("spiffe://u@a.example/x",)), "disallowed"),
    "a query": (lambda: leaf(AUTHORITY, uris=(ID + "?x",)), "invalid character"),
    "a fragment": (lambda: leaf(AUTHORITY, uris=(ID + "#x",)), "invalid character"),
    "capitals": (lambda: leaf(AUTHORITY, uris=("spiffe://A.example/cp/rear",)), "normal form"),
    "a scheme in capitals": (lambda: leaf(AUTHORITY, uris=("SPIFFE://a.example/cp/rear",)), "normal form"),
    "a line feed": (lambda: leaf(AUTHORITY, uris=(ID + "\n",)), "printable"),
    "too long": (lambda: leaf(AUTHORITY, uris=(ID + "x" * 2048,)), "at most 2048"),
    "a CA": (lambda: leaf(AUTHORITY, ca=True, key_usage=usage(key_cert_sign=True)), "that of an authority"),
    "a CA that may not sign": (lambda: leaf(AUTHORITY, ca=True), "that of an authority"),
    "no key usage": (lambda: leaf(AUTHORITY, key_usage=None), "no key usage"),
    "key usage not critical": (lambda: leaf(AUTHORITY, critical=False), "not critical"),
    "no digitalSignature": (
        lambda: leaf(AUTHORITY, key_usage=usage(digital_signature=False, key_agreement=True)),
        "may not sign",
    ),
    "keyCertSign": (lambda: leaf(AUTHORITY, key_usage=usage(key_cert_sign=True)), "may sign certificates"),
    "cRLSign": (lambda: leaf(AUTHORITY, key_usage=usage(crl_sign=True)), "may sign certificates"),
    "for servers only": (lambda: leaf(AUTHORITY, extended=SERVER_ONLY), "extended key usage"),
    "for clients only": (lambda: leaf(AUTHORITY, extended=CLIENT_ONLY), "extended key usage"),
    "for nothing": (
        lambda: leaf(AUTHORITY, extended=(x509.ObjectIdentifier("1.3.6.1.5.5.7.3.4"),)),
        "extended key usage",
    ),
}

# the leaf is good in itself; what stands above it, or its time, is not
UNPROVED: dict[str, Callable[[], Svid]] = {
    "issued by a federated domain": lambda: leaf(OTHER),
    "expired": lambda: leaf(AUTHORITY, since=timedelta(hours=-2), until=timedelta(hours=-1)),
    "not valid yet": lambda: leaf(AUTHORITY, since=timedelta(hours=1), until=timedelta(hours=2)),
    "signed with another key": lambda: leaf(AUTHORITY, signer=ec.generate_private_key(ec.SECP256R1())),
    "of an authority that nobody knows": lambda: leaf(Issuer("a.example").authorities[0]),
    "issued by a workload": lambda: _issued_by_a_workload(),
    "a workload of nobody's domain": lambda: leaf(AUTHORITY, uris=("spiffe://c.example/x",)),
    "our authority for a federated domain": lambda: leaf(AUTHORITY, uris=("spiffe://b.example/x",)),
}


def _issued_by_a_workload() -> Svid:
    """By a good SVID, which is no authority; the chain is complete."""
    above = OURS.svid(parse_id("spiffe://a.example/thief"))
    certificate = x509.load_der_x509_certificate(above.chain[0])
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(above.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    made = leaf(AUTHORITY, signer=key, issuer=certificate.subject)
    return Svid(made.spiffe_id, made.since, made.until, (*made.chain, *above.chain), made.key)


def both() -> tuple[LocalIdentity, LocalIdentity]:
    """Two workloads of ours that believe both domains."""
    OURS.federate(TrustDomain("b.example"), _bundle(OTHER))
    return OURS.identity("spiffe://a.example/one"), OURS.identity("spiffe://a.example/two")


def _bundle(authority: Authority):  # type: ignore[no-untyped-def]
    from continuo.trust.bundle_docs import Bundle

    return Bundle(frozenset((authority.der,)), {}, 1)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_leaf_is_refused_with_a_sentence(case: str) -> None:
    make, sentence = WRONG[case]
    with pytest.raises(BadSvid, match=sentence):
        read_leaf(make().chain[0])


def test_what_is_no_certificate_is_refused_with_a_sentence() -> None:
    for data in (b"", b"\x30\x03abc", AUTHORITY.der[:-1], b"-----BEGIN CERTIFICATE-----"):
        with pytest.raises(BadSvid):
            read_leaf(data)


def test_other_names_beside_the_id_and_no_extended_key_usage_are_fine() -> None:
    found = read_leaf(leaf(AUTHORITY, names=[DNS, MAIL], extended=None).chain[0])
    assert str(found.spiffe_id) == ID


@pytest.mark.parametrize("case", [*WRONG, *UNPROVED])
@pytest.mark.parametrize("end", ["client", "server"])
def test_no_handshake_is_done_with_it_at_either_end(case: str, end: str) -> None:
    one, two = both()
    svid = (WRONG[case][0] if case in WRONG else UNPROVED[case])()
    bad, good = (one, two)
    bad.take(svid, bad.bundles)
    if end == "client":
        ended = shake(bad.client_context(ALL), good.server_context(ALL))
        assert ended.server_error is not None
    else:
        ended = shake(good.client_context(ALL), bad.server_context(ALL))
        assert ended.client_error is not None


@pytest.mark.parametrize("end", ["client", "server"])
def test_a_good_one_is_let_in_and_known_at_both_ends(end: str) -> None:
    one, two = both()
    one.take(leaf(AUTHORITY), one.bundles)
    ended = shake(one.client_context(ALL), two.server_context(ALL))
    assert (ended.client_error, ended.server_error) == (None, None)
    assert str(ended.server.peer.spiffe_id) == ID  # type: ignore[attr-defined]
    assert str(ended.client.peer.spiffe_id) == "spiffe://a.example/two"  # type: ignore[attr-defined]


def test_who_is_proved_and_not_authorized_is_refused() -> None:
    one, two = both()
    nobody, everybody = Authorized.of(ids=["spiffe://a.example/three"]), ALL
    assert shake(one.client_context(everybody), two.server_context(nobody)).server_error is not None
    assert shake(one.client_context(nobody), two.server_context(everybody)).client_error is not None


def test_a_federated_domain_cannot_shut_ours_out_by_posing_as_our_authority() -> None:
    """Same name and key identifier, another key: OpenSSL would try it for our certificates, and fail."""
    name = AUTHORITY.certificate.subject
    key = ec.generate_private_key(ec.SECP256R1())
    from cryptography.hazmat.primitives import hashes

    fake = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AUTHORITY.since)
        .not_valid_after(AUTHORITY.until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(AUTHORITY.key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    one, two = both()
    from cryptography.hazmat.primitives.serialization import Encoding

    from continuo.trust.bundles import Bundles

    roots = {**one.bundles.x509, TrustDomain("a-first.example"): frozenset((fake.public_bytes(Encoding.DER),))}
    one.take(one.svid, Bundles(roots))
    two.take(two.svid, Bundles(roots))
    assert not shake(one.client_context(ALL), two.server_context(ALL)).refused


def test_who_has_no_svid_makes_no_handshake_and_says_why() -> None:
    one, two = both()
    one.take(None, one.bundles, "there is none")
    assert "there is none" in str(shake(one.client_context(ALL), two.server_context(ALL)).client_error)
    assert "there is none" in str(shake(two.client_context(ALL), one.server_context(ALL)).server_error)


def test_sessions_are_not_resumed() -> None:
    one, two = both()
    ended = shake(one.client_context(ALL), two.server_context(ALL))
    assert ended.client.session is None or not ended.client.session.has_ticket
    assert not ended.client.session_reused and not ended.server.session_reused
    assert ended.client.version() == "TLSv1.3"


def test_keys_are_not_shown() -> None:
    svid = OURS.svid(parse_id(ID))
    assert "PRIVATE" not in repr(svid) and "PRIVATE" not in repr(AUTHORITY)
