"""How a component is reached: Services inside, an Ingress or a Gateway with an HTTPRoute outside.

The seed's NGINX controller is retired, so nothing here depends on one controller: a cluster that serves a GatewayClass
gets Gateway API objects, one that only has an IngressClass gets an Ingress.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from continuo.orchestrator import naming
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import AppSpec, ComponentSpec, Expose

HTTP = ("HTTP", "HTTPS")
TLS_PORTS = (443, 8443)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a cluster offers for traffic from outside."""

    gateway_class: str | None = None
    ingress_class: str | None = None


@dataclass(frozen=True, slots=True)
class Url:
    """Where one exposure answers."""

    name: str
    url: str


def is_web(component: ComponentSpec, expose: Expose) -> bool:
    """HTTP by declaration, or by the seed's habit of a TCP port 443 together with a certificate."""
    return expose.protocol in HTTP or (component.tls is not None and expose.cluster_port in TLS_PORTS)


def transport(expose: Expose) -> str:
    return "UDP" if expose.protocol == "UDP" else "TCP"


def port_names(component: ComponentSpec) -> dict[Expose, str]:
    """A name for each port, as containers and Services want them: unique, at most 15 characters, with a letter.

    The exposure's own name as far as it fits, else one made from protocol and number.
    """
    found: dict[Expose, str] = {}
    taken: set[str] = set()
    for expose in component.expose:
        name = next(name for name in _candidates(expose) if name not in taken)
        taken.add(name)
        found[expose] = name
    return found


def _candidates(expose: Expose) -> Iterator[str]:
    own, number = naming.slug(expose.name or "", 15), str(expose.cluster_port)
    if re.search("[a-z]", own):
        yield own
        yield f"{own[: 14 - len(number)].rstrip('-')}-{number}"
    yield f"{expose.protocol.lower()}-{number}"
    yield from (f"p{count}-{number}" for count in itertools.count(1))


def hosts(app: AppSpec, component: ComponentSpec, settings: Settings) -> dict[Expose, str]:
    """The DNS name of each public HTTP port: the declared one, else the component's own, which one port can have."""
    found: dict[Expose, str] = {}
    usual = f"{component.name}.{app.name}.{settings.base_domain}"
    for expose in component.expose:
        if expose.is_public and is_web(component, expose):
            free = usual if usual not in found.values() else f"port-{expose.cluster_port}.{usual}"
            found[expose] = expose.host or free
    return found


def urls(app: AppSpec, component: ComponentSpec, settings: Settings) -> tuple[Url, ...]:
    """The addresses of a component, inside and outside."""
    found: list[Url] = []
    public = hosts(app, component, settings)
    for expose, name in port_names(component).items():
        if not (expose.is_peered or expose.is_public):
            continue  # it has no Service
        inside = f"{component.name}.{app.name}.svc.cluster.local:{expose.cluster_port}"
        found.append(Url(name, f"{transport(expose).lower()}://{inside}"))
        if expose in public:
            scheme = "https" if component.tls or expose.protocol == "HTTPS" else "http"
            found.append(Url(f"{name}-public", f"{scheme}://{public[expose]}/"))
    return tuple(found)


def render_exposure(
    app: AppSpec,
    component: ComponentSpec,
    labels: dict[str, str],
    selector: dict[str, str],
    entrance: Entrance,
    address: dict[str, str],
    settings: Settings,
) -> list[Object]:
    """Services, and for public exposures what the cluster's entrance understands.

    `address` are the annotations by which a LoadBalancer Service shares the cluster's public address.
    """
    peered = [expose for expose in component.expose if expose.is_peered or expose.is_public]
    if not peered:
        return []
    objects = [_service(app, component, labels, selector, peered)]
    direct = [expose for expose in peered if expose.is_public and not is_web(component, expose)]
    if direct:
        objects.append(_load_balancer(app, component, labels, selector, direct, address))
    web = any(expose.is_public and is_web(component, expose) for expose in peered)
    if web and entrance.gateway_class:
        objects += _gateway(app, component, labels, entrance.gateway_class, settings)
    elif web:
        objects.append(_ingress(app, component, labels, entrance.ingress_class, settings))
    return objects


def _ports(component: ComponentSpec, exposes: list[Expose]) -> list[Object]:
    names = port_names(component)
    return [
        {
            "name": names[expose],
            "port": expose.cluster_port,
            "targetPort": expose.container_port,
            "protocol": transport(expose),
        }
        for expose in exposes
    ]


def _service(
    app: AppSpec, component: ComponentSpec, labels: dict[str, str], selector: dict[str, str], exposes: list[Expose]
) -> Object:
    spec: Object = {"type": "ClusterIP", "selector": selector, "ports": _ports(component, exposes)}
    return kinds.SERVICE.new(component.name, app.name, metadata={"labels": labels}, spec=spec)


def _load_balancer(
    app: AppSpec,
    component: ComponentSpec,
    labels: dict[str, str],
    selector: dict[str, str],
    exposes: list[Expose],
    address: dict[str, str],
) -> Object:
    metadata: Object = {"labels": labels, "annotations": dict(address)}
    spec: Object = {"type": "LoadBalancer", "selector": selector, "ports": _ports(component, exposes)}
    return kinds.SERVICE.new(f"{component.name}-public", app.name, metadata=metadata, spec=spec)


def _ingress(
    app: AppSpec,
    component: ComponentSpec,
    labels: dict[str, str],
    ingress_class: str | None,
    settings: Settings,
) -> Object:
    rules = [
        {
            "host": host,
            "http": {
                "paths": [
                    {
                        "path": "/",
                        "pathType": "Prefix",
                        "backend": {"service": {"name": component.name, "port": {"number": expose.cluster_port}}},
                    }
                ]
            },
        }
        for expose, host in hosts(app, component, settings).items()
    ]
    spec: Object = {"rules": rules}
    if ingress_class:
        spec["ingressClassName"] = ingress_class
    if component.tls:
        served = sorted(set(hosts(app, component, settings).values()))
        spec["tls"] = [{"hosts": served, "secretName": component.tls.name}]
    return kinds.INGRESS.new(component.name, app.name, metadata={"labels": labels}, spec=spec)


def _gateway(
    app: AppSpec,
    component: ComponentSpec,
    labels: dict[str, str],
    gateway_class: str,
    settings: Settings,
) -> list[Object]:
    listeners: list[Object] = []
    routes: list[Object] = []
    names = port_names(component)
    for expose, hostname in hosts(app, component, settings).items():
        name = names[expose]
        listener: Object = {
            "name": name,
            "hostname": hostname,
            # The controller's own entry points; it maps the shared address's 80 and 443 to them.
            "port": 8443 if component.tls else 8000,
            "protocol": "HTTPS" if component.tls else "HTTP",
            "allowedRoutes": {"namespaces": {"from": "Same"}},
        }
        if component.tls:
            listener["tls"] = {"mode": "Terminate", "certificateRefs": [{"name": component.tls.name}]}
        listeners.append(listener)
        routes.append(
            kinds.HTTP_ROUTE.new(
                f"{component.name}-{name}",
                app.name,
                metadata={"labels": labels},
                spec={
                    "parentRefs": [{"name": component.name, "sectionName": name}],
                    "hostnames": [hostname],
                    "rules": [{"backendRefs": [{"name": component.name, "port": expose.cluster_port}]}],
                },
            )
        )
    gateway = kinds.GATEWAY.new(
        component.name,
        app.name,
        metadata={"labels": labels},
        spec={"gatewayClassName": gateway_class, "listeners": listeners},
    )
    return [gateway, *routes]
