from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519

from continuo.federation import handshake

PEM = serialization.Encoding.PEM
KEYS = [
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
]


def pems(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> tuple[bytes, bytes]:
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("key", KEYS, ids=["ed25519", "rsa", "ecdsa"])
def test_request_fits_its_key_and_name_only(key: ed25519.Ed25519PrivateKey) -> None:
    private, public = pems(key)
    csr = handshake.certificate_request(private, "rome")
    assert handshake.request_fits(csr, public, "rome")
    assert not handshake.request_fits(csr, public, "milan")
    assert not handshake.request_fits(csr, public, "rome", "other")
    other = pems(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))[1]
    assert not handshake.request_fits(csr, other, "rome")
    assert not handshake.request_fits(b"nonsense", public, "rome")


def test_request_is_the_same_each_time() -> None:
    private, _ = pems(KEYS[0])
    assert handshake.certificate_request(private, "rome") == handshake.certificate_request(private, "rome")


def test_signatures_of_every_kind_of_key() -> None:
    edwards, modulus, curve = KEYS
    assert isinstance(edwards, ed25519.Ed25519PrivateKey)
    assert isinstance(modulus, rsa.RSAPrivateKey) and isinstance(curve, ec.EllipticCurvePrivateKey)
    nonce = b"n" * 88
    signed = [
        edwards.sign(nonce), modulus.sign(nonce, padding.PKCS1v15(), hashes.SHA256()),
        curve.sign(nonce, ec.ECDSA(hashes.SHA256())),
    ]  # fmt: skip
    for key, signature in zip(KEYS, signed, strict=True):
        public = pems(key)[1]
        assert handshake.signature_fits(public, nonce, signature)
        assert not handshake.signature_fits(public, nonce + b"x", signature)
        assert not handshake.signature_fits(public, nonce, b"")
    assert not handshake.signature_fits(b"no key", nonce, signed[0])


def test_unusable_keys_say_why() -> None:
    with pytest.raises(handshake.UnusableKey, match="holds no PKCS8 PEM private key"):
        handshake.certificate_request(b"nonsense", "rome")
    other = x25519.X25519PrivateKey.generate().private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(handshake.UnusableKey, match="not Ed25519, RSA or ECDSA"):
        handshake.certificate_request(other, "rome")
