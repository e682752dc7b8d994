"""How a component is reached: Services inside, an Ingress or a Gateway with an HTTPRoute outside.

The seed's NGINX controller is retired, so nothing here depends on one controller: a cluster that serves a GatewayClass
gets Gateway API objects, one that only has an IngressClass gets an Ingress.
"""

from __future__ import annotations

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


def port_name(expose: Expose) -> str:
    """A port's name: the exposure's own, or made from protocol and number (at most 15 characters)."""
    return naming.slug(expose.name or "", 15) or f"{expose.protocol.lower()}-{expose.cluster_port}"


def host(app: AppSpec, component: ComponentSpec, expose: Expose, settings: Settings) -> str:
    return expose.host or f"{component.name}.{app.name}.{settings.base_domain}"


def urls(app: AppSpec, component: ComponentSpec, settings: Settings) -> tuple[Url, ...]:
    """The addresses of a component, inside and outside."""
    found: list[Url] = []
    for expose in component.expose:
        inside = f"{component.name}.{app.name}.svc.cluster.local:{expose.cluster_port}"
        found.append(Url(port_name(expose), f"{transport(expose).lower()}://{inside}"))
        if expose.is_public and is_web(component, expose):
            scheme = "https" if component.tls or expose.protocol == "HTTPS" else "http"
            found.append(Url(f"{port_name(expose)}-public", f"{scheme}://{host(app, component, expose, settings)}/"))
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
    objects = [_service(app, component.name, labels, selector, peered)]
    direct = [expose for expose in peered if expose.is_public and not is_web(component, expose)]
    if direct:
        objects.append(_load_balancer(app, component.name, labels, selector, direct, address))
    web = [expose for expose in peered if expose.is_public and is_web(component, expose)]
    if web and entrance.gateway_class:
        objects += _gateway(app, component, labels, web, entrance.gateway_class, settings)
    elif web:
        objects.append(_ingress(app, component, labels, web, entrance.ingress_class, settings))
    return objects


def _ports(exposes: list[Expose]) -> list[Object]:
    return [
        {
            "name": port_name(expose),
            "port": expose.cluster_port,
            "targetPort": expose.container_port,
            "protocol": transport(expose),
        }
        for expose in exposes
    ]


def _service(
    app: AppSpec, name: str, labels: dict[str, str], selector: dict[str, str], exposes: list[Expose]
) -> Object:
    spec: Object = {"type": "ClusterIP", "selector": selector, "ports": _ports(exposes)}
    return kinds.SERVICE.new(name, app.name, metadata={"labels": labels}, spec=spec)


def _load_balancer(
    app: AppSpec,
    name: str,
    labels: dict[str, str],
    selector: dict[str, str],
    exposes: list[Expose],
    address: dict[str, str],
) -> Object:
    metadata: Object = {"labels": labels, "annotations": dict(address)}
    spec: Object = {"type": "LoadBalancer", "selector": selector, "ports": _ports(exposes)}
    return kinds.SERVICE.new(f"{name}-public", app.name, metadata=metadata, spec=spec)


def _ingress(
    app: AppSpec,
    component: ComponentSpec,
    labels: dict[str, str],
    exposes: list[Expose],
    ingress_class: str | None,
    settings: Settings,
) -> Object:
    rules = [
        {
            "host": host(app, component, expose, settings),
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
        for expose in exposes
    ]
    spec: Object = {"rules": rules}
    if ingress_class:
        spec["ingressClassName"] = ingress_class
    if component.tls:
        hosts = sorted({rule["host"] for rule in rules})  # type: ignore[type-var]
        spec["tls"] = [{"hosts": hosts, "secretName": component.tls.name}]
    return kinds.INGRESS.new(component.name, app.name, metadata={"labels": labels}, spec=spec)


def _gateway(
    app: AppSpec,
    component: ComponentSpec,
    labels: dict[str, str],
    exposes: list[Expose],
    gateway_class: str,
    settings: Settings,
) -> list[Object]:
    listeners: list[Object] = []
    routes: list[Object] = []
    for expose in exposes:
        name, hostname = port_name(expose), host(app, component, expose, settings)
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
