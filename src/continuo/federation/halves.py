"""One end of a network between two clusters, made without any right in the other one. Pure.

Where two partners do not let each other into Liqo's kinds, each makes its own half. What one must know of the other are a
few facts that are no secrets: its networks, its tunnel's public key, where its gateway listens.
"""

from __future__ import annotations

import base64

import msgspec

from continuo.federation import network, paths
from continuo.federation.compare import unique
from continuo.federation.model import LinkPhase, LinkProgress, LinkSettings
from continuo.federation.preflight import preflight
from continuo.federation.state import EndState
from continuo.federation.steps import Step
from continuo.resources.meta import Object


class Endpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a tunnel's gateway listens."""

    addresses: tuple[str, ...]
    port: int
    protocol: str = "UDP"


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one end tells the other."""

    cluster: str = ""
    """Its identifier in Liqo."""
    pods: tuple[str, ...] = ()
    external: str = ""
    key: str = ""
    """The tunnel's public key, base64; empty until the gateway has one."""
    listens: bool = False
    endpoint: Endpoint | None = None
    sees: str = ""
    """The network under which it sees the other's pods."""
    trouble: str = ""
    """Why there is no network on its side, in one sentence."""

    @property
    def lasting(self) -> tuple[str, tuple[str, ...], str]:
        """By what a cluster is known again."""
        return self.cluster, self.pods, self.external


def facts_of(end: EndState) -> Facts:
    """What this end has to tell its peer."""
    listens = end.gateway_server is not None
    where = network.endpoint_of(end) if listens else None
    return Facts(
        cluster=end.cluster_id or "",
        pods=end.pod_cidrs,
        external=end.external_cidr or "",
        key=base64.b64encode(end.gateway_key).decode() if end.gateway_key else "",
        listens=listens,
        endpoint=_endpoint(where) if where is not None else None,
        sees=network.remote_cidr(end, "pod") or "",
    )


def _endpoint(said: Object) -> Endpoint | None:
    port = said.get("port") or next(iter(said.get("ports") or ()), None)
    addresses = tuple(str(each) for each in said["addresses"])
    return Endpoint(addresses, int(port), str(said.get("protocol") or "UDP")) if port else None


def hindrance(end: EndState, settings: LinkSettings | None = None) -> str:
    """Why this cluster can have no network with anybody, in one sentence; empty when it can."""
    return next((check.message for check in preflight(end, None, settings) if not check.ok), "")


def should_listen(end: EndState, peer: Facts, *, serves: bool, uses: bool) -> bool:
    """Whether this end's gateway is the one that listens: who serves does. If both do, what stands stays."""
    if not (serves and uses):
        return serves
    mine = end.gateway_server is not None
    if mine != peer.listens:
        return mine
    return (end.cluster_id or "") < peer.cluster


def advance(end: EndState, peer: Facts, owner: str, settings: LinkSettings, *, listens: bool) -> LinkProgress:
    """The next writes of this end's half, and where it stands. Level-triggered: apply the writes, look again."""
    other = _seen(peer, end.cluster_id)
    steps = _steps(end, other, settings, listens=listens)
    done = sum(step.done for step in steps)
    if paths.of_others(end, other, owner):
        return _of_others(end, steps, done)
    failed = next((check for check in preflight(end, other, settings) if not check.ok), None)
    if failed is not None:
        return LinkProgress(LinkPhase.PENDING, failed.name, failed.message, done, len(steps))
    open_steps = [step for step in steps if not step.done]
    if not open_steps:
        return LinkProgress(LinkPhase.CONNECTED, "Connected", "the tunnel stands", done, len(steps))
    writes = unique(paths.signed(write, owner) for step in open_steps for write in step.writes)
    told = next((step for step in open_steps if step.broken), open_steps[0])
    phase = LinkPhase.DEGRADED if told.broken else LinkPhase.PEERING
    return LinkProgress(phase, told.reason, f"waiting for {told.waiting}", done, len(steps), writes)


def withdraw(end: EndState, owner: str) -> LinkProgress:
    """The next deletions of this end's half; the other one is its owner's. What is not ours is left alone."""
    nobody = EndState(end.peer_id or "", end.peer_id, end.cluster_id)
    return paths.withdraw(end, nobody, owner)


def _steps(end: EndState, other: EndState, settings: LinkSettings, *, listens: bool) -> list[Step]:
    gateway = network.gateway_server(end, settings) if listens else network.gateway_client(end, other, settings)
    return [
        network.tenant_namespace(end), network.configuration(end, other), gateway, network.public_key(end, other),
        network.connection(end),
    ]  # fmt: skip


def _of_others(end: EndState, steps: list[Step], done: int) -> LinkProgress:
    """Used while it stands; if it does not, that is for those to mend who made it."""
    tunnel = network.connection(end)
    if tunnel.done:
        return LinkProgress(LinkPhase.CONNECTED, "LinkedByOthers", "the tunnel of others is used", done, len(steps))
    message = f"the clusters are linked by others, whose link waits for {tunnel.waiting}"
    return LinkProgress(LinkPhase.PENDING, "LinkedByOthers", message, done, len(steps))


def _seen(peer: Facts, own: str | None) -> EndState:
    """The other end as far as it is known."""
    where: Object | None = None
    if (at := peer.endpoint) is not None:
        endpoint = {"addresses": list(at.addresses), "port": at.port, "protocol": at.protocol}
        where = {"metadata": {}, "status": {"endpoint": endpoint}}
    return EndState(
        peer.cluster, peer.cluster, own, pod_cidrs=peer.pods, external_cidr=peer.external or None,
        gateway_key=base64.b64decode(peer.key) if peer.key else None, gateway_server=where,
    )  # fmt: skip
