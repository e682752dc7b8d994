"""Who signed which code, and every way in which that is not so."""

import hashlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from continuo.iot.signing import (
    BadKey,
    BadSignature,
    Signature,
    code_hash,
    key_at,
    load_key,
    public_hex,
    save_key,
    sign,
    sign_workload,
    verify,
    verify_workload,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
CODE = "print('grüße')\n"
GOOD = sign(KEY, "ops", CODE)
KEYS = {"ops": public_hex(KEY)}


def test_what_was_signed_verifies_and_travels() -> None:
    verify(KEYS, Signature.read(GOOD.wire()), CODE)


def test_a_signature_is_of_the_codes_hash_under_its_own_prefix() -> None:
    text = f'{{"code":"{code_hash(CODE)}","grants":{{}}}}'
    signed = b"continuo-plugin-v1\0" + hashlib.sha256(text.encode()).digest()
    KEY.public_key().verify(bytes.fromhex(GOOD.value), signed)


def test_what_a_plugin_is_granted_is_signed_with_it() -> None:
    grants = {"network": True, "memory": "64Mi"}
    signature = sign(KEY, "ops", CODE, grants)
    verify(KEYS, signature, CODE, {**grants, "cpu": None})
    for other in (None, {}, {"memory": "64Mi"}, {**grants, "memory": "1Gi"}, {**grants, "time": 60}):
        with pytest.raises(BadSignature, match="not of this code and what it is granted"):
            verify(KEYS, signature, CODE, other)
    verify(KEYS, GOOD, CODE, {"network": False, "memory": None})
    with pytest.raises(BadSignature, match="not of this code and what it is granted"):
        verify(KEYS, GOOD, CODE, {"network": True})


@pytest.mark.parametrize(
    ("keys", "signature", "code", "sentence"),
    [
        (KEYS, None, CODE, "not signed"),
        (KEYS, GOOD, CODE + " ", "is not of this code and"),
        (KEYS, GOOD, "", "is not of this code and"),
        ({}, GOOD, CODE, "which the policy does not name (it names none)"),
        ({"dev": public_hex(KEY)}, GOOD, CODE, "(it names dev)"),
        ({"ops": public_hex(OTHER)}, GOOD, CODE, "is not of this code and"),
        ({"ops": "zz"}, GOOD, CODE, "64 hexadecimal digits"),
        (KEYS, Signature("ops", "zz"), CODE, "is not of this code and"),
        (KEYS, Signature("ops", ""), CODE, "is not of this code and"),
        (KEYS, Signature("ops", sign(OTHER, "ops", CODE).value), CODE, "is not of this code and"),
    ],
)
def test_anything_else_is_refused(keys: dict[str, str], signature: Signature | None, code: str, sentence: str) -> None:
    with pytest.raises(BadSignature) as refused:
        verify(keys, signature, code)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("said", ["text", ["ops"], {"key": "ops"}, {"key": 1, "value": "aa"}])
def test_a_signature_of_another_shape(said: object) -> None:
    with pytest.raises(BadSignature, match="key and value"):
        Signature.read(said)


def test_key_files_are_the_owners_alone_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    made = key_at(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_hex(load_key(path)) == public_hex(made) == public_hex(key_at(path))
    with pytest.raises(FileExistsError):
        save_key(path, KEY)


def test_other_files_are_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    for text in (b"", b"no key", generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())):  # fmt: skip
        path.write_bytes(text)
        with pytest.raises(BadKey, match=r"key\.pem"):
            load_key(path)


WORKLOAD = {
    "runtime": "process",
    "command": ["sh", "-c", "echo grüße"],
    "env": {"A": "1", "PASSWORD": "x"},
    "files": {"f": "y"},
    "resources": {"memory": "64Mi"},
}
SIGNED = sign_workload(KEY, "ops", WORKLOAD, ["PASSWORD"])


def test_what_a_workload_runs_is_signed_as_canonical_json() -> None:
    verify_workload(KEYS, Signature.read(SIGNED.wire()), WORKLOAD)
    text = (
        '{"command":["sh","-c","echo grüße"],"env":{"A":"1"},"files":{"f":"y"},"grants":{},"image":"","openEnv":["PASSWORD"],'
        '"resources":{"memory":"64Mi"},"runtime":"process"}'
    )
    signed = b"continuo-workload-v1\0" + hashlib.sha256(text.encode()).digest()
    KEY.public_key().verify(bytes.fromhex(SIGNED.value), signed)


@pytest.mark.parametrize(
    "same",
    [
        {"env": {"A": "1", "PASSWORD": "another"}},
        {"env": {"A": "1"}},
        {"restart": "Never", "job": True, "replicas": 3, "name": "n", "extra": {"grants": {"network": False}}},
        {"image": None},
        {"image": "not run by a process"},
    ],
)
def test_what_is_not_what_runs_may_be_another(same: dict[str, object]) -> None:
    verify_workload(KEYS, SIGNED, {**WORKLOAD, **same})


@pytest.mark.parametrize(
    "other",
    [
        {"runtime": "container", "image": "busybox"},
        {"command": ["sh", "-c", "echo"]},
        {"command": ["sh", "-c echo grüße"]},
        {"env": {"A": "2"}},
        {"env": {"A": "1", "LD_PRELOAD": "/tmp/x"}},
        {"env": {}},
        {"files": {"f": "z"}},
        {"files": {"g": "y"}},
        {"resources": {"memory": "64Mi", "cpu": 1}},
        {"resources": {}},
        {"extra": {"grants": {"network": True}}},
    ],
)
def test_what_runs_may_not(other: dict[str, object]) -> None:
    with pytest.raises(BadSignature, match="not of this workload"):
        verify_workload(KEYS, SIGNED, {**WORKLOAD, **other})


def test_other_variables_cannot_be_left_open_and_plugins_signatures_are_no_workloads() -> None:
    with pytest.raises(BadSignature, match="not of this workload"):
        verify_workload(KEYS, Signature("ops", SIGNED.value, ("A", "PASSWORD")), WORKLOAD)
    with pytest.raises(BadSignature, match="not of this workload"):
        verify_workload(KEYS, GOOD, WORKLOAD)
    with pytest.raises(BadSignature, match="the workload is not signed"):
        verify_workload(KEYS, None, WORKLOAD)
