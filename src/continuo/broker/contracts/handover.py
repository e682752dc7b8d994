"""A namespace of the provider for a consumer whose cluster the broker cannot enter, and credentials for it.

When the contract ends, what the credentials may do goes first, and the account that they are of with it: a token of an
account that is gone is void, whatever its time, as soon as the API server has forgotten that it knew it (ten seconds).
"""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass, field

import yaml

from continuo.broker.contracts.terms import BUYER, MANAGER, account, handed_over, is_of, namespace_of
from continuo.kube.access import Access
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import ContractSpec
from continuo.resources.errors import AlreadyExists, NotFound
from continuo.resources.meta import Object

SHORTEST, LONGEST = 3600, 24 * 3600
"""Seconds for which handed-over credentials may be good."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the buyer's account. Nothing of it is ever stored or logged."""

    token: str = field(repr=False)
    expires: str


async def give(provider: Cluster, contract: str, spec: ContractSpec, consumer: str) -> bool:
    """Let there be the namespace and what is in it; False: somebody else has a namespace of that name."""
    nodes = (await provider.list(kinds.NODE)).items
    there = {name for node in nodes for name in (node.get("status") or {}).get("allocatable") or ()}
    space, *inside = handed_over(contract, spec, consumer, there)
    try:
        found = await provider.get(kinds.NAMESPACE, space["metadata"]["name"])
        if not is_of(found, contract):
            return False
    except NotFound:
        try:
            await provider.create(space, manager=MANAGER)
        except AlreadyExists:
            return is_of(await provider.get(kinds.NAMESPACE, space["metadata"]["name"]), contract)
    for obj in (space, *inside):
        await provider.apply(obj, manager=MANAGER)
    return True


async def take(provider: Cluster, contract: str) -> bool:
    """Take it away again; whether nothing is left."""
    name = namespace_of(contract)
    try:
        space = await provider.get(kinds.NAMESPACE, name)
    except NotFound:
        return True
    if not is_of(space, contract):
        return True
    for kind in (kinds.ROLE_BINDING, kinds.SERVICE_ACCOUNT):
        with contextlib.suppress(NotFound):  # void already
            await provider.delete(kind, BUYER, name)
    if "deletionTimestamp" not in space["metadata"]:
        await provider.delete(kinds.NAMESPACE, name, uid=space["metadata"]["uid"])
    return False


async def make_token(provider: Cluster, contract: str, seconds: int) -> Token:
    """A new token of the buyer's account, good for so long."""
    asked: Object = {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": min(max(seconds, SHORTEST), LONGEST)},
    }  # fmt: skip
    made = await provider.post(kinds.SERVICE_ACCOUNT, BUYER, "token", asked, namespace_of(contract))
    return Token(made["status"]["token"], made["status"]["expirationTimestamp"])


async def void_tokens(provider: Cluster, contract: str, consumer: str) -> None:
    """End all tokens of the buyer's account: they are of one that is gone, and another of the same name takes its place."""
    with contextlib.suppress(NotFound):  # nobody has a token of it
        await provider.delete(kinds.SERVICE_ACCOUNT, BUYER, namespace_of(contract))
    await provider.apply(account(contract, consumer), manager=MANAGER)


def kubeconfig(access: Access, name: str, namespace: str, token: str) -> str:
    """The provider's API server as the broker enters it, and in it nothing but the namespace."""
    cluster: Object = {"server": access.server}
    if access.tls.ca:
        cluster["certificate-authority-data"] = base64.b64encode(access.tls.ca.encode()).decode()
    if access.tls.insecure:
        cluster["insecure-skip-tls-verify"] = True
    if access.tls.server_name:
        cluster["tls-server-name"] = access.tls.server_name
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": BUYER, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": BUYER, "namespace": namespace}}],
    }  # fmt: skip
    text: str = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False)
    return text
