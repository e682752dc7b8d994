"""A record proves what it says, and nothing that was changed proves anything."""

from __future__ import annotations

import json
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from continuo.broker.measurements.records import BadRecord, PublicKey, Record, jwk_set, key_id, keys_of, sign, verify

AT = 1_800_000_000_000
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RAW = PRIVATE.public_key().public_bytes_raw()
KEYS = {key_id(RAW): PublicKey(RAW, AT - 1000)}
RECORD = Record("green", "latency", 12.5, "ms", AT, 90, "broker", 7)
TEXT = sign(RECORD, PRIVATE)

records = st.builds(
    Record, st.text(min_size=1, max_size=60), st.from_regex(r"[a-z_][a-z0-9_]{0,20}", fullmatch=True),
    st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=10), st.integers(AT, AT + 10**9),
    st.integers(1, 10**6), st.text(min_size=1, max_size=60), st.integers(0, 2**53), st.integers(0, 10**6), st.floats(0, 1),
)  # fmt: skip


@given(records)
def test_what_was_signed_verifies(record: Record) -> None:
    assert verify(sign(record, PRIVATE), KEYS) == record


@given(st.integers(0, len(TEXT) - 1), st.sampled_from(string.ascii_letters + string.digits + "-_.=+/ \n"))
def test_no_changed_character_verifies(place: int, char: str) -> None:
    changed = TEXT[:place] + char + TEXT[place + 1 :]
    if changed != TEXT:
        with pytest.raises(BadRecord):
            verify(changed, KEYS)


@given(st.text(max_size=300))
def test_nothing_else_verifies(text: str) -> None:
    with pytest.raises(BadRecord):
        verify(text, KEYS)


@pytest.mark.parametrize("field", ["value", "at", "lasts", "sequence", "provider", "samples"])
def test_a_changed_field_with_the_old_signature(field: str) -> None:
    header, payload, signature = TEXT.split(".")
    said = json.loads(urlsafe_b64decode(payload + "=="))
    said[field] = "blue" if field == "provider" else said[field] + 1
    forged = urlsafe_b64encode(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).decode().rstrip("=")
    with pytest.raises(BadRecord, match="signature does not fit"):
        verify(f"{header}.{forged}.{signature}", KEYS)


def signed_as(header: dict[str, str], payload: bytes) -> str:
    parts = [json.dumps(header, sort_keys=True, separators=(",", ":")).encode(), payload]
    signed = ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    return f"{signed}.{urlsafe_b64encode(PRIVATE.sign(signed.encode())).decode().rstrip('=')}"


def test_another_algorithm_or_type_is_refused_even_with_a_good_signature() -> None:
    kid, payload = key_id(RAW), urlsafe_b64decode(TEXT.split(".")[1] + "==")
    for header in (
        {"alg": "none", "kid": kid, "typ": "continuo-measurement"},
        {"alg": "EdDSA", "kid": kid, "typ": "JWT"},
    ):
        with pytest.raises(BadRecord, match="header"):
            verify(signed_as(header, payload), KEYS)
    spaced = payload.replace(b",", b", ", 1)
    with pytest.raises(BadRecord, match="canonical"):
        verify(signed_as({"alg": "EdDSA", "kid": kid, "typ": "continuo-measurement"}, spaced), KEYS)


def test_keys_count_only_while_they_are_in_use_and_only_under_their_own_id() -> None:
    with pytest.raises(BadRecord, match="no key"):
        verify(TEXT, {})
    with pytest.raises(BadRecord, match="not in use"):
        verify(TEXT, {key_id(RAW): PublicKey(RAW, AT - 10**7, retired=AT - 10**6)})
    with pytest.raises(BadRecord, match="not in use"):
        verify(TEXT, {key_id(RAW): PublicKey(RAW, AT + 10**6)})
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(BadRecord, match="no key"):
        verify(TEXT, {key_id(RAW): PublicKey(other, 0)})
    assert verify(TEXT, {key_id(RAW): PublicKey(RAW, AT - 10**7, retired=AT)}) == RECORD


def test_keys_travel_as_a_jwk_set() -> None:
    assert keys_of(json.loads(json.dumps(jwk_set(KEYS)))) == KEYS
    lying = jwk_set(KEYS)
    lying["keys"][0]["kid"] = "f" * 32
    assert keys_of(lying) == KEYS, "the id is computed, not believed"
    for bad in ({}, {"keys": [{"x": "AA"}]}, {"keys": [{}]}, [], {"keys": [{"x": "*"}]}):
        with pytest.raises(BadRecord):
            keys_of(bad)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_never_signed(value: float) -> None:
    with pytest.raises(BadRecord, match="finite"):
        sign(Record("green", "latency", value, "ms", AT, 90, "broker", 7), PRIVATE)


def test_age() -> None:
    assert RECORD.fresh(AT / 1000) and RECORD.fresh(AT / 1000 + 89.9)
    assert not RECORD.fresh(AT / 1000 + 90)
    assert not RECORD.fresh(AT / 1000 - 61), "a record of the future is none"
