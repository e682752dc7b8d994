"""What both ends of a slice tell each other of their networks: two ConfigMaps in the lent namespace.

Neither gets a right in the other's network for it. What comes from there is a partner's word, and is taken only if it can
harm nobody: addresses of the public Internet, or of our own machines, would draw traffic into the tunnel that is not his.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

import msgspec

from continuo.edge.slices.terms import MANAGER
from continuo.federation.halves import Endpoint, Facts
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Object, key_of, labels_of
from continuo.runtime.informer import Informer, Watch

LETTER = "continuo.dev/slice-network"
"""Label of these ConfigMaps: whose word it is."""
Side = Literal["seller", "buyer"]
Network = IPv4Network | IPv6Network
_KEY = "network"
_LONGEST = 4096
_PATIENCE = 2.0
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?")
_PRIVATE: tuple[Network, ...] = tuple(
    ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def name_of(side: Side) -> str:
    """The ConfigMap in which a side tells."""
    return f"{side}.network.continuo.dev"


def written(side: Side, namespace: str, facts: Facts) -> Object:
    """What a side tells, as an object."""
    labels = {LETTER: side, "app.kubernetes.io/managed-by": "continuo"}
    data = {_KEY: msgspec.json.encode(facts).decode()}
    return kinds.CONFIG_MAP.new(name_of(side), namespace, metadata={"labels": labels}, data=data)


def read(letter: Object) -> Facts:
    """What was told; raises BadRequest naming what cannot be."""
    text = str((letter.get("data") or {}).get(_KEY) or "")
    if len(text) > _LONGEST:
        raise BadRequest(f"the partner's network is described in {len(text)} characters: {_LONGEST} are enough")
    try:
        facts = msgspec.json.decode(text, type=Facts)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadRequest(f"the partner's network is described in a way that nobody understands: {error}") from None
    if facts.trouble or not facts.cluster:
        return Facts(trouble=_plain(facts.trouble) or "it says nothing of a network")
    _check(facts)
    return facts


def _plain(text: str) -> str:
    return "".join(char for char in text[:300] if char.isprintable())


def _check(facts: Facts) -> None:
    if not _NAME.fullmatch(facts.cluster):
        raise BadRequest(f"the partner's cluster is called {facts.cluster!r:.80}, which is no identifier of Liqo's")
    if not 1 <= len(facts.pods) <= 4:
        raise BadRequest(f"the partner names {len(facts.pods)} networks of pods: one to four are understood")
    for cidr in (*facts.pods, *filter(None, (facts.external, facts.sees))):
        _network(cidr)
    if facts.key:
        _key(facts.key)
    if facts.endpoint is not None:
        _endpoint(facts.endpoint)


def _network(text: str) -> Network:
    try:
        found = ip_network(text)
    except ValueError:
        raise BadRequest(f"the partner's network {text!r:.60} is no CIDR") from None
    if not any(found.version == each.version and found.subnet_of(each) for each in _PRIVATE):  # type: ignore[arg-type]
        raise BadRequest(f"the partner's network {found} is not private, so nothing of it is led into the tunnel")
    return found


def _key(text: str) -> None:
    try:
        length = len(base64.b64decode(text, validate=True))
    except binascii.Error:
        length = -1
    if length != 32:
        raise BadRequest("the partner's tunnel key is not base64 of 32 bytes")


def _endpoint(said: Endpoint) -> None:
    fine = 1 <= len(said.addresses) <= 8 and all(_HOST.fullmatch(each) or _is_ip(each) for each in said.addresses)
    if not fine or not 1 <= said.port <= 65535 or said.protocol not in ("UDP", "TCP"):
        raise BadRequest("the partner's tunnel gateway is said to be where no gateway can be")


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def covers(facts: Facts, addresses: Iterable[str]) -> str:
    """The first of our machines' addresses that the partner's networks contain; empty: none."""
    networks = [ip_network(each) for each in (*facts.pods, facts.external) if each]
    for each in addresses:
        if _is_ip(each) and any(ip_address(each) in network for network in networks):
            return each
    return ""


class Letters:
    """Both sides' words in one namespace, or in all of a cluster, followed."""

    def __init__(self, cluster: Cluster, mine: Side, changed: Callable[[str], None], namespace: str | None = None):
        self._cluster, self._mine = cluster, mine
        self._other: Side = "buyer" if mine == "seller" else "seller"
        self._informer = Informer(cluster, Watch(kinds.CONFIG_MAP, namespace, labels=LETTER))
        self._informer.on_change(lambda old, new: self._told(old, new, changed))

    def _told(self, old: Object | None, new: Object | None, changed: Callable[[str], None]) -> None:
        obj = new if new is not None else old
        if obj is not None and labels_of(obj).get(LETTER) == self._other:
            changed(key_of(obj)[0])

    async def start(self) -> None:
        """Follow, in a task of the running loop; returns when all is known, or after a while."""
        self._informer.start()
        with contextlib.suppress(TimeoutError):  # then nothing is heard yet, which is a matter of course
            async with asyncio.timeout(_PATIENCE):
                await self._informer.synced.wait()

    async def close(self) -> None:
        """Follow no more; what was told stays."""
        await self._informer.stop()

    def heard(self, namespace: str) -> Facts | None:
        """What the other side says; None: nothing yet. Raises BadRequest."""
        found = self._informer.cache.get((namespace, name_of(self._other)))
        return read(found) if found is not None else None

    async def tell(self, namespace: str, facts: Facts) -> None:
        """Let the other side know, where that is something new."""
        wanted = written(self._mine, namespace, facts)
        there = self._informer.cache.get((namespace, name_of(self._mine)))
        if there is None or there.get("data") != wanted["data"]:
            self._informer.learn(await self._cluster.apply(wanted, manager=MANAGER))
