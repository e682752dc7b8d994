"""How a component is reached: Services inside, an Ingress or a Gateway with an HTTPRoute outside.

The seed's NGINX controller is retired, so nothing here depends on one controller: a cluster that serves a GatewayClass
gets Gateway API objects, one that only has an IngressClass gets an Ingress.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from continuo.orchestrator import naming
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, condition
from continuo.resources.orchestration import AppSpec, ComponentSpec, Expose

HTTP = ("HTTP", "HTTPS")
TLS_PORTS = (443, 8443)


@dataclass(frozen=True, slots=True)
class WebPorts:
    """The ports on which a Gateway's listeners take HTTP and HTTPS."""

    http: int = 80
    https: int = 443


TRAEFIK_CONTROLLER = "traefik.io/gateway-controller"
TRAEFIK_PORTS = WebPorts(8000, 8443)
"""Traefik's listeners name its own entry points; its Service maps the public 80 and 443 to them."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a cluster offers for traffic from outside."""

    gateway_class: str | None = None
    ingress_class: str | None = None
    web_ports: WebPorts = WebPorts()
    """Where the Gateways of that class listen."""


def entrance(gateway_classes: Iterable[Object], ingress_classes: Iterable[Object]) -> Entrance:
    """Which class serves traffic from outside.

    Of GatewayClasses the first by name that its controller has accepted, else the first that no controller has refused;
    of IngressClasses the default one, else the first by name.
    """
    gateways = sorted((obj for obj in gateway_classes if _accepted(obj) != "False"), key=_accepted_first)
    ingresses = sorted(ingress_classes, key=_default_first)
    controller = (gateways[0].get("spec") or {}).get("controllerName") if gateways else None
    return Entrance(
        gateway_class=gateways[0]["metadata"]["name"] if gateways else None,
        ingress_class=ingresses[0]["metadata"]["name"] if ingresses else None,
        web_ports=TRAEFIK_PORTS if controller == TRAEFIK_CONTROLLER else WebPorts(),
    )


def _accepted(gateway_class: Object) -> str:
    return str((condition(gateway_class, "Accepted") or {}).get("status"))


def _accepted_first(gateway_class: Object) -> tuple[bool, str]:
    return _accepted(gateway_class) != "True", gateway_class["metadata"]["name"]


def _default_first(ingress_class: Object) -> tuple[bool, str]:
    marked = annotations_of(ingress_class).get("ingressclass.kubernetes.io/is-default-class")
    return marked != "true", ingress_class["metadata"]["name"]


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


def without_certificate(component: ComponentSpec) -> str:
    """A sentence about public HTTPS ports of a component that has no certificate; empty when there are none."""
    if component.tls:
        return ""
    bare = [str(expose.cluster_port) for expose in component.expose if expose.is_public and expose.protocol == "HTTPS"]
    ports = f"port{'s' if len(bare) > 1 else ''} {', '.join(bare)}"
    return (
        f"public HTTPS {ports}: served as plain HTTP, because the component has no certificate; set tls" if bare else ""
    )


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
            scheme = "https" if component.tls else "http"
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
        objects += _gateway(app, component, labels, entrance.gateway_class, entrance.web_ports, settings)
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
    ports: WebPorts,
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
            "port": ports.https if component.tls else ports.http,
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
