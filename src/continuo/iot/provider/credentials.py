"""Where a ProviderConfig's credentials are, and what they say; pure but for the reading.

Who may write a ProviderConfig into one namespace gets what is in that namespace, not what the provider's own process has.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from continuo.iot.provider.auth import Auth, Keystone, NoAuth, Password, StaticToken
from continuo.iot.provider.external import NotYet, Refused
from continuo.resources.boards_config import AuthType, CredentialsSource, ProviderConfigSpec
from continuo.resources.meta import Key

ReadSecret = Callable[[str, str], Awaitable[Mapping[str, bytes] | None]]
LONGEST = 64 << 10


def secret_of(spec: ProviderConfigSpec, namespace: str) -> Key | None:
    """The Secret that is read; raises Refused where it may not be. `namespace` is empty for the cluster's configs."""
    said = spec.credentials
    if said.source is not CredentialsSource.SECRET or said.secret_ref is None:
        return None
    wanted = said.secret_ref.namespace or namespace
    if namespace and wanted != namespace:
        raise Refused(
            f"credentials.secretRef.namespace is {wanted!r}, and a ProviderConfig reads Secrets of its own namespace "
            f"{namespace!r} only: use a ClusterProviderConfig, or put the Secret here"
        )
    if not wanted:
        raise Refused("credentials.secretRef.namespace is needed: a ClusterProviderConfig has no namespace of its own")
    return wanted, said.secret_ref.name


async def read(spec: ProviderConfigSpec, namespace: str, secret: ReadSecret, environ: Mapping[str, str]) -> bytes:
    """What is there; raises Refused where it may not be read, NotYet where it is not there."""
    said = spec.credentials
    if said.source is CredentialsSource.NONE:
        return b""
    if said.source is CredentialsSource.SECRET:
        return await _from_secret(spec, namespace, secret)
    if namespace:
        raise Refused(
            f"credentials.source is {said.source}, and a ProviderConfig may use None or Secret: the provider's own "
            "environment and files are for ClusterProviderConfigs"
        )
    if said.source is CredentialsSource.ENVIRONMENT and said.env is not None:
        if said.env.name not in environ:
            raise NotYet(f"the provider has no environment variable {said.env.name}")
        return environ[said.env.name].encode()
    if said.source is CredentialsSource.FILESYSTEM and said.fs is not None:
        path = Path(said.fs.path)
        try:
            return (await asyncio.to_thread(path.read_bytes))[:LONGEST]
        except OSError as error:
            raise NotYet(f"the provider cannot read {path}: {error.strerror or error}") from None
    raise Refused(f"credentials.source is {said.source}, and where they are is not said")


async def _from_secret(spec: ProviderConfigSpec, namespace: str, secret: ReadSecret) -> bytes:
    key, reference = secret_of(spec, namespace), spec.credentials.secret_ref
    if key is None or reference is None:
        raise Refused("credentials.source is Secret, and credentials.secretRef is missing")
    found = await secret(*key)
    if found is None:
        raise NotYet(f"Secret {key[0]}/{key[1]} with the credentials does not exist")
    if reference.key not in found:
        raise NotYet(f"Secret {key[0]}/{key[1]} has no key {reference.key}")
    return found[reference.key]


def said(raw: bytes) -> dict[str, Any]:
    """Credentials as users write them: JSON, or a bare token."""
    text = raw.decode("utf-8", "replace").strip()
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        found = text
    if isinstance(found, dict):
        return found
    if text[0] in "[{" or any(character.isspace() or not character.isprintable() for character in text):
        raise Refused("the credentials are neither a JSON object nor a token: a token is one word")
    return {"token": text}


def auth_of(spec: ProviderConfigSpec, raw: bytes, keystone: Callable[[str, Password], Keystone]) -> Auth:
    """Who asks; raises Refused with what is missing."""
    if spec.auth_type is AuthType.NOAUTH:
        return NoAuth(spec.project_id) if spec.project_id else NoAuth()
    found = said(raw)
    token = found.get("token")
    if spec.auth_type is AuthType.TOKEN or token:
        if not isinstance(token, str) or not token:
            raise Refused("the credentials have no token, and authType is token")
        return StaticToken(token)
    if spec.auth_url is None:
        raise Refused("authUrl is needed with authType keystone")
    return keystone(spec.auth_url, Password.of(found))


def tls_of(spec: ProviderConfigSpec) -> ssl.SSLContext | bool:
    """How certificates are judged; raises Refused for a CA bundle that is none."""
    if spec.insecure_skip_verify:
        return False
    if spec.ca_bundle is None:
        return True
    try:
        return ssl.create_default_context(cadata=spec.ca_bundle)
    except ssl.SSLError as error:
        raise Refused(f"caBundle has no certificates in PEM: {error.reason or error}") from None


def environment() -> Mapping[str, str]:
    """The provider's own."""
    return os.environ
