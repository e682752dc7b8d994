"""Clients of providers and consumers, made from the kubeconfigs that the broker was given, and anew when those change."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import SecretRef
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object
from continuo.runtime.clusterset import Connect
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)
Party: TypeAlias = Literal["Provider", "Consumer"]
Who: TypeAlias = tuple[Party, str]
"""A Provider or Consumer, by name."""


@dataclass(frozen=True, slots=True)
class _Member:
    kubeconfig: str
    cluster: Cluster


class Members:
    """The clusters that the broker can reach. Implements what the controller of Contracts asks for."""

    PATIENCE = 5.0
    """Seconds for which Secrets that are not known yet are waited for before that is said."""

    def __init__(self, broker: Cluster, connect: Connect) -> None:
        self._broker, self._connect = broker, connect
        self._refs: dict[Who, SecretRef] = {}
        self._by_secret: dict[tuple[str, str], set[Who]] = {}
        self._secrets: dict[str, Informer] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._members: dict[Who, _Member] = {}
        self._problems: dict[Who, str] = {}
        self._listeners: list[Callable[[Party, str], None]] = []

    # --- what others ask ---
    def client(self, party: Party, name: str) -> Cluster | None:
        """The client of a cluster; None: the broker cannot reach it."""
        member = self._members.get((party, name))
        return member.cluster if member is not None else None

    def name_of(self, party: Party, name: str) -> str | None:
        """Under which name a cluster is in the fleet; None: it is not."""
        member = self._members.get((party, name))
        return member.cluster.name if member is not None else None

    @property
    def names(self) -> set[str]:
        """Of all clients."""
        return {member.cluster.name for member in self._members.values()}

    def problem(self, party: Party, name: str) -> str | None:
        """Why there is no client though there should be one, as a sentence."""
        return self._problems.get((party, name))

    def on_change(self, callback: Callable[[Party, str], None]) -> None:
        """Call back when there is a client, another one, or none any more. Must be quick."""
        self._listeners.append(callback)

    def tell(self, who: Who) -> None:
        """Say that the client of somebody has changed."""
        for listener in self._listeners:
            listener(*who)

    # --- what they are made of ---
    async def know(self, who: Who, ref: SecretRef | None) -> str | None:
        """The kubeconfig that somebody's reference leads to by now; None with a `problem`, or where there is no reference."""
        self._refer(who, ref)
        self._problems.pop(who, None)
        if ref is None:
            return None
        secrets = await self._following(ref.namespace)
        if secrets is None:
            self._problems[who] = f"the Secrets of namespace {ref.namespace} cannot be read{self._why(ref.namespace)}"
            return None
        text = _text(secrets.cache.get((ref.namespace, ref.name)), ref)
        if isinstance(text, _Missing):
            self._problems[who] = text.why
            return None
        return text

    def fits(self, who: Who, kubeconfig: str | None) -> bool:
        """Whether the client that there is was made from it."""
        member = self._members.get(who)
        return kubeconfig == (member.kubeconfig if member is not None else None)

    def make(self, who: Who, kubeconfig: str) -> Cluster | None:
        """A new client, which is nobody's yet; None with a `problem` when that cannot be."""
        try:
            return self._connect(kubeconfig, name=self._called(*who))
        except ApiError as error:
            self._problems[who] = f"its kubeconfig cannot be used: {error}"
            return None

    def take(self, who: Who, kubeconfig: str, made: Cluster) -> None:
        """Let this be the client."""
        self._members[who] = _Member(kubeconfig, made)

    async def drop(self, who: Who) -> None:
        """Close a client that nobody uses any more."""
        member = self._members.pop(who, None)
        if member is not None:
            await member.cluster.close()

    async def close(self) -> None:
        """Close everything."""
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*(informer.stop() for informer in self._secrets.values()))
        await asyncio.gather(*(member.cluster.close() for member in self._members.values()))
        self._members.clear()

    def _called(self, party: Party, name: str) -> str:
        """The name of a client: no other's, whatever the objects are called. A cluster that provides and consumes has two."""
        if party == "Consumer":
            return f"consumer/{name}"
        return name if name != self._broker.name else f"provider/{name}"

    # --- secrets ---
    def _refer(self, who: Who, ref: SecretRef | None) -> None:
        before = self._refs.pop(who, None)
        if before is not None:
            self._by_secret.get((before.namespace, before.name), set()).discard(who)
        if ref is not None:
            self._refs[who] = ref
            self._by_secret.setdefault((ref.namespace, ref.name), set()).add(who)

    async def _following(self, namespace: str) -> Informer | None:
        """The Secrets of a namespace; None: they are not known, and who refers to them is told when they are."""
        found = self._secrets.get(namespace)
        if found is None:
            found = self._secrets[namespace] = Informer(self._broker, Watch(kinds.SECRET, namespace))
            found.on_change(self._secret_changed)
            found.start()
        if found.synced.is_set():
            return found
        try:
            async with asyncio.timeout(self.PATIENCE):
                await found.synced.wait()
        except TimeoutError:
            if namespace not in self._reading:
                self._reading[namespace] = asyncio.create_task(self._when_read(namespace, found))
            return None
        return found

    async def _when_read(self, namespace: str, secrets: Informer) -> None:
        await secrets.synced.wait()
        del self._reading[namespace]
        for (place, _), users in list(self._by_secret.items()):
            for who in users if place == namespace else ():
                self.tell(who)

    def _why(self, namespace: str) -> str:
        error = self._secrets[namespace].last_error
        return f": {error}" if error is not None else " yet"

    def _secret_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is None:
            return
        for who in self._by_secret.get((obj["metadata"]["namespace"], obj["metadata"]["name"]), ()):
            self.tell(who)


@dataclass(frozen=True, slots=True)
class _Missing:
    why: str


def _text(secret: Object | None, ref: SecretRef) -> str | _Missing:
    where = f"Secret {ref.namespace}/{ref.name}"
    if secret is None:
        return _Missing(f"{where} does not exist: create it with the cluster's kubeconfig under the key {ref.key}")
    encoded = (secret.get("data") or {}).get(ref.key)
    if encoded is None:
        return _Missing(f"{where} has no key {ref.key}: put the cluster's kubeconfig there, or name another key")
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return _Missing(f"key {ref.key} of {where} is no text: it must be a kubeconfig")
