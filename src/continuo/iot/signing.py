"""Signatures of what boards run: a board runs what somebody signed whom the hub's policy names.

What is signed is what the code is and may use, not where it came from: Ed25519 over a fixed prefix and the SHA-256 of
canonical JSON: of a plugin, the hash of its text and its grants; of a workload, what runs, its resources and grants. The
prefixes differ, so neither can stand for the other.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

PREFIX = b"continuo-plugin-v1\0"
WORKLOAD_PREFIX = b"continuo-workload-v1\0"
RUNS = ("runtime", "command", "image", "env", "files", "resources")
"""What of a workload is signed, besides `extra.grants`: what runs and what it gets, not how often, or where."""
GRANTS = ("network", "memory", "cpu", "time", "files")
"""What may be granted to a plugin; a workload has the first alone."""


class BadSignature(ValueError):
    """Why code must not run, in a sentence."""


class BadKey(ValueError):
    """A key file or a public key that is none, in a sentence."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed (the key's name in the policy) and the signature, hex."""

    key: str
    value: str
    open_env: tuple[str, ...] = ()
    """Of workloads: variables whose values whoever signed left open, such as passwords; their names are signed."""

    def wire(self) -> dict[str, Any]:
        """As it stands in `extra.signature`."""
        told: dict[str, Any] = {"key": self.key, "value": self.value}
        return {**told, "openEnv": list(self.open_env)} if self.open_env else told

    @classmethod
    def read(cls, said: object) -> Signature | None:
        """From `extra.signature`; None where there is none. Raises BadSignature for another shape."""
        if not said:
            return None
        if isinstance(said, Mapping) and isinstance(said.get("key"), str) and isinstance(said.get("value"), str):
            names = said.get("openEnv") or ()
            if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
                return cls(said["key"], said["value"], tuple(names))
        raise BadSignature("a signature is an object of two texts, key and value (and a workload's may have openEnv)")


def code_hash(code: str) -> str:
    """SHA-256 of the code's text, hex: how a plugin's code is named everywhere."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def signed_part(code: str, grants: Mapping[str, Any] | None = None) -> bytes:
    """What is signed for this code with these grants."""
    return PREFIX + _digest({"code": code_hash(code), "grants": _said(grants, GRANTS)})


def sign(key: Ed25519PrivateKey, name: str, code: str, grants: Mapping[str, Any] | None = None) -> Signature:
    """Sign code, and what it may use, as the holder of the key that policies call `name`."""
    return Signature(name, key.sign(signed_part(code, grants)).hex())


def verify(
    keys: Mapping[str, str], signature: Signature | None, code: str, grants: Mapping[str, Any] | None = None
) -> None:
    """Raise BadSignature unless a key of the policy (name -> public key, hex) signed exactly this code and these grants."""
    _verify(keys, signature, signed_part(code, grants), "code and what it is granted")


def _said(given: object, names: tuple[str, ...]) -> dict[str, Any]:
    """What is said there of these names, as it was spelled; what is not granted is not said."""
    said = given if isinstance(given, Mapping) else {}
    return {name: said[name] for name in names if said.get(name) not in (None, False)}


def _digest(told: Mapping[str, Any]) -> bytes:
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def workload_part(said: Mapping[str, Any], open_env: Iterable[str] = ()) -> bytes:
    """What is signed of a workload as REST says it: JSON with sorted keys and no spaces, in UTF-8, hashed."""
    names, extra = sorted(set(open_env)), said.get("extra")
    runtime = said.get("runtime") or "process"
    told = {
        "command": list(said.get("command") or ()),
        "env": {name: text for name, text in (said.get("env") or {}).items() if name not in names},
        "files": dict(said.get("files") or {}),
        "grants": _said(extra.get("grants") if isinstance(extra, Mapping) else None, GRANTS[:1]),
        "image": (said.get("image") or "") if runtime != "process" else "",
        "openEnv": names,
        "resources": _said(said.get("resources"), ("cpu", "memory")),
        "runtime": runtime,
    }
    return WORKLOAD_PREFIX + _digest(told)


def sign_workload(
    key: Ed25519PrivateKey, name: str, said: Mapping[str, Any], open_env: Iterable[str] = ()
) -> Signature:
    """Sign what a workload runs and gets; the values of `open_env` may be anything."""
    names = tuple(sorted(set(open_env)))
    return Signature(name, key.sign(workload_part(said, names)).hex(), names)


def verify_workload(keys: Mapping[str, str], signature: Signature | None, said: Mapping[str, Any]) -> None:
    """Raise BadSignature unless a key of the policy signed exactly what this workload runs and gets."""
    _verify(keys, signature, workload_part(said, signature.open_env if signature else ()), "workload")


def _verify(keys: Mapping[str, str], signature: Signature | None, part: bytes, what: str) -> None:
    if signature is None:
        raise BadSignature(f"the {what} is not signed, and the policy allows signed code only")
    public = keys.get(signature.key)
    if public is None:
        known = ", ".join(sorted(keys)) or "none"
        raise BadSignature(
            f"the {what} is signed by {signature.key!r}, which the policy does not name (it names {known})"
        )
    try:
        public_key(public).verify(bytes.fromhex(signature.value), part)
    except BadKey as error:
        raise BadSignature(f"the policy's key {signature.key!r} is no key: {error}") from None
    except (InvalidSignature, ValueError):
        raise BadSignature(f"the signature by {signature.key!r} is not of this {what}") from None


def public_key(text: str) -> Ed25519PublicKey:
    """A public key of 64 hexadecimal digits; raises BadKey."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise BadKey(f"a public key is 64 hexadecimal digits; this is {len(text)} characters")
    return Ed25519PublicKey.from_public_bytes(raw)


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public half, as policies and the hub know it."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def private_hex(key: Ed25519PrivateKey) -> str:
    """The private half's 32 bytes, hex; a secret."""
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()


def save_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Write a new key file (PKCS #8, PEM, mode 0600); raises FileExistsError rather than replace one."""
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a key file; raises BadKey, or OSError where it cannot be read."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        raise BadKey(f"{path} is no private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(f"{path} is no Ed25519 key")
    return key


def key_at(path: Path) -> Ed25519PrivateKey:
    """The key in this file, made where there is none; whoever is second to make it reads the first one's."""
    try:
        save_key(path, made := Ed25519PrivateKey.generate())
    except FileExistsError:
        return load_key(path)
    return made
