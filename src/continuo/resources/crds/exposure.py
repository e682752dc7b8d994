"""How services are reached from outside: Gateway API and MetalLB."""

from __future__ import annotations

from continuo.resources import kinds
from continuo.resources.crds.build import (
    AGE,
    Column,
    anything,
    conditions,
    crd,
    fixed,
    flag,
    many,
    number,
    obj,
    selector,
    strings,
    text,
)
from continuo.resources.meta import Object

_CATEGORIES = ("gateway-api",)


def _condition_column(name: str, type_: str) -> Column:
    return (name, "string", f".status.conditions[?(@.type=='{type_}')].status")


def _gateway_class() -> Object:
    spec = obj(
        ("controllerName",),
        (fixed("controllerName"),),
        controllerName=text(least=1, most=253),
        parametersRef=anything(),
        description=text(most=64),
    )
    columns: tuple[Column, ...] = (
        ("Controller", "string", ".spec.controllerName"),
        _condition_column("Accepted", "Accepted"),
        AGE,
        ("Description", "string", ".spec.description", 1),
    )
    status = obj(conditions=conditions())
    return crd(kinds.GATEWAY_CLASS, spec, status, columns, categories=_CATEGORIES, required=("spec",))


def _gateway() -> Object:
    listener = obj(
        ("name", "port", "protocol"),
        name=text(least=1, most=253),
        hostname=text(least=1, most=253),
        port=number(1, 65535),
        protocol=text(least=1, most=255),
        tls=obj(mode=text("Terminate", "Passthrough"), certificateRefs=many(obj(("name",), name=text()))),
        allowedRoutes=obj(
            namespaces=obj(from_=text("All", "Selector", "Same", "None"), selector=selector()),
            kinds=many(obj(("kind",), group=text(), kind=text())),
        ),
    )
    spec = obj(
        ("gatewayClassName", "listeners"),
        gatewayClassName=text(least=1, most=253),
        listeners=many(listener, by="name", least=1, most=64),
        addresses=many(obj(type=text(), value=text()), most=16),
        infrastructure=obj(labels=strings(), annotations=strings()),
    )
    listener_status = obj(
        ("name",), name=text(), attachedRoutes=number(), supportedKinds=many(anything()), conditions=conditions()
    )
    status = obj(
        addresses=many(obj(("value",), type=text(), value=text())),
        conditions=conditions(),
        listeners=many(listener_status, by="name"),
    )
    columns: tuple[Column, ...] = (
        ("Class", "string", ".spec.gatewayClassName"),
        ("Address", "string", ".status.addresses[*].value"),
        _condition_column("Programmed", "Programmed"),
        AGE,
    )
    return crd(kinds.GATEWAY, spec, status, columns, categories=_CATEGORIES, required=("spec",))


def _http_route() -> Object:
    parent = obj(
        ("name",),
        group=text() | {"default": "gateway.networking.k8s.io"},
        kind=text() | {"default": "Gateway"},
        namespace=text(),
        name=text(least=1, most=253),
        sectionName=text(),
        port=number(1, 65535),
    )
    backend = obj(
        ("name",),
        group=text() | {"default": ""},
        kind=text() | {"default": "Service"},
        namespace=text(),
        name=text(least=1, most=253),
        port=number(1, 65535),
        weight=number(0, 1_000_000) | {"default": 1},
    )
    path = obj(type=text("Exact", "PathPrefix", "RegularExpression"), value=text(most=1024))
    match = obj(path=path, headers=many(anything()), queryParams=many(anything()), method=text())
    rule = obj(matches=many(match), filters=many(anything()), backendRefs=many(backend, most=16), timeouts=anything())
    spec = obj(
        parentRefs=many(parent, most=32),
        hostnames=many(text(least=1, most=253), most=16),
        rules=many(rule, most=16),
    )
    parent_status = obj(
        ("parentRef", "controllerName"),
        parentRef=anything(),
        controllerName=text(),
        conditions=conditions(),
    )
    columns: tuple[Column, ...] = (("Hostnames", "string", ".spec.hostnames"), AGE)
    status = obj(parents=many(parent_status))
    return crd(kinds.HTTP_ROUTE, spec, status, columns, categories=_CATEGORIES, required=("spec",))


def _metallb() -> list[Object]:
    pool = obj(
        ("addresses",),
        addresses=many(text()),
        autoAssign=flag() | {"default": True},
        avoidBuggyIPs=flag() | {"default": False},
        serviceAllocation=anything(),
    )
    pool_status = obj(
        assignedIPv4=number(format="int64"),
        assignedIPv6=number(format="int64"),
        availableIPv4=number(format="int64"),
        availableIPv6=number(format="int64"),
    )
    pool_columns: tuple[Column, ...] = (
        ("Auto Assign", "boolean", ".spec.autoAssign"),
        ("Avoid Buggy IPs", "boolean", ".spec.avoidBuggyIPs"),
        ("Addresses", "string", ".spec.addresses"),
    )
    advertisement = obj(
        ipAddressPools=many(text()),
        ipAddressPoolSelectors=many(selector()),
        nodeSelectors=many(selector()),
        interfaces=many(text()),
    )
    advertisement_columns: tuple[Column, ...] = (
        ("IPAddressPools", "string", ".spec.ipAddressPools"),
        ("IPAddressPool Selectors", "string", ".spec.ipAddressPoolSelectors"),
        ("Interfaces", "string", ".spec.interfaces"),
        ("Node Selectors", "string", ".spec.nodeSelectors", 10),
    )
    return [
        crd(kinds.IP_ADDRESS_POOL, pool, pool_status, pool_columns, required=("spec",)),
        crd(kinds.L2_ADVERTISEMENT, advertisement, anything(), advertisement_columns),
    ]


def exposure_crds() -> list[Object]:
    """Gateway API and MetalLB."""
    return [_gateway_class(), _gateway(), _http_route(), *_metallb()]
