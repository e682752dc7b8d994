"""Who reaches which port: the virtual links decide.

A connection point with a port is a Service for the application's other components. It is published as well when it
shares a virtual link with something outside of the application, unless the blueprint says otherwise in so many words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from continuo.tosca.blueprint import Blueprint, ConnectionPoint
from continuo.tosca.names import port_name
from continuo.tosca.problems import Problems

Policy = Literal["shared", "directional"]
"""`shared`: any link shared with an external element publishes; `directional`: only when that element has no port."""

HTTP_PORTS = frozenset((80, 443, 8080, 8443))


@dataclass(frozen=True, slots=True)
class Exposure:
    """One port of one component."""

    point: ConnectionPoint
    name: str
    port: int
    protocol: str
    public: bool
    peered: bool = True

    @property
    def by_host_name(self) -> bool:
        """Published under a host name (Ingress or Gateway) rather than as a port of the public address."""
        return self.public and self.protocol in ("HTTP", "HTTPS")


def members(blueprint: Blueprint) -> dict[str, tuple[ConnectionPoint, ...]]:
    """The connection points on every virtual link, in document order."""
    found: dict[str, list[ConnectionPoint]] = {key: [] for key in blueprint.links}
    for point in blueprint.points.values():
        for link in point.links:
            found[link].append(point)
    return {key: tuple(points) for key, points in found.items()}


def external_links(blueprint: Blueprint, policy: Policy = "shared") -> frozenset[str]:
    """The virtual links that publish whoever listens on them."""

    def publishes(point: ConnectionPoint) -> bool:
        outside = blueprint.components.get(point.binding)
        return outside is not None and outside.external and (policy == "shared" or point.port is None)

    return frozenset(key for key, points in members(blueprint).items() if any(map(publishes, points)))


def exposures(
    blueprint: Blueprint, problems: Problems, *, tls: bool = False, policy: Policy = "shared"
) -> dict[str, tuple[Exposure, ...]]:
    """What each component exposes, by component key; components that expose nothing are left out.

    With `tls`, a public TCP port that is one of the web's is taken for HTTPS: that is how blueprints write it.
    """
    outside = external_links(blueprint, policy)
    found: dict[str, tuple[Exposure, ...]] = {}
    for point in blueprint.points.values():
        component = blueprint.components.get(point.binding)
        if component is None or component.external or point.port is None:
            continue
        exposure = _expose(point, point.port, outside, tls)
        if exposure.protocol != (point.protocol or "TCP"):
            message = f"{point.key}: public port {point.port} (TCP) has a certificate and is taken for HTTPS."
            problems.add(
                "protocol-assumed", message, point.at, node=point.key, hint="write protocol: HTTPS", severity="warning"
            )  # fmt: skip
        if exposure.public and exposure.protocol == "HTTPS" and not tls:
            message = f"{point.key}: public port {point.port} (HTTPS) has no certificate and is served as plain HTTP."
            hint = "give the certificate as input (tls_cert, tls_key) or name its Secret (tls_secret)"
            problems.add("certificate-missing", message, point.at, node=point.key, hint=hint, severity="warning")
        found[component.key] = (*found.get(component.key, ()), exposure)
    return found


def _expose(point: ConnectionPoint, port: int, outside: frozenset[str], tls: bool) -> Exposure:
    public = point.public if point.public is not None else not outside.isdisjoint(point.links)
    protocol = point.protocol or "TCP"
    if public and tls and protocol == "TCP" and port in HTTP_PORTS:
        protocol = "HTTPS"
    return Exposure(point, port_name(point.name) or port_name(point.key), port, protocol, public)


def check_public_ports(
    found: Mapping[str, tuple[Exposure, ...]], clusters: Mapping[str, str], problems: Problems
) -> None:
    """One cluster has one public address: a port of it belongs to one component."""
    owners: dict[tuple[str, int, bool], str] = {}
    for key, entries in found.items():
        for entry in entries:
            if not entry.public or entry.by_host_name or key not in clusters:
                continue
            owner = owners.setdefault((clusters[key], entry.port, entry.protocol == "UDP"), entry.point.key)
            if owner != entry.point.key:
                message = (
                    f"{entry.point.key}: the public port {entry.port} ({entry.protocol}) of cluster "
                    f"{clusters[key]} is taken by {owner} already."
                )
                problems.add(
                    "port-conflict", message, entry.point.at, node=entry.point.key,
                    hint="use another port, or protocol: HTTP",
                )  # fmt: skip
