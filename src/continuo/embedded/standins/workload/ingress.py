"""Ingress controllers: addresses for Ingresses and Gateways, acceptance of HTTPRoutes.

A controller is there when its LoadBalancer Service is (labelled `app.kubernetes.io/name` traefik or ingress-nginx); the
IngressClass or GatewayClass says which controller serves what. The address is the one of that Service.
"""

from __future__ import annotations

from continuo.embedded.port import Api, Engine, StoredChange
from continuo.embedded.standins.base import Work, lookup, stored
from continuo.embedded.standins.objects import cond, conditions, timestamp
from continuo.resources.kinds import GATEWAY, GATEWAY_CLASS, HTTP_ROUTE, INGRESS, INGRESS_CLASS, SERVICE
from continuo.resources.meta import Kind, Object, annotations_of, key_of, labels_of

INGRESS_CONTROLLERS = {"traefik.io/ingress-controller": "traefik", "k8s.io/ingress-nginx": "ingress-nginx"}
GATEWAY_CONTROLLERS = {"traefik.io/gateway-controller": "traefik"}
_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_KINDS: dict[str, Kind] = {
    "Ingress": INGRESS, "Gateway": GATEWAY, "HTTPRoute": HTTP_ROUTE, "GatewayClass": GATEWAY_CLASS,
}  # fmt: skip
Item = tuple[str, str, str]


class Ingresses:
    """What the ingress controllers of one cluster report."""

    def __init__(self, engine: Engine, api: Api) -> None:
        self._engine, self._api = engine, api
        self._addresses: dict[str, list[Object]] = {}
        self._work: Work[Item] = Work(engine, self._handle, name="ingress-controller")

    def stop(self) -> None:
        self._work.stop()

    def on_service(self, change: StoredChange) -> None:
        """The controllers' own Services carry the address; the others matter to routes."""
        name = labels_of(change.object).get("app.kubernetes.io/name", "")
        service = change.object
        if name in INGRESS_CONTROLLERS.values() and service["spec"].get("type") == "LoadBalancer":
            gone = change.type == "DELETED"
            ingress = [] if gone else ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
            plain = [{field: entry[field] for field in ("ip", "hostname") if field in entry} for entry in ingress]
            if self._addresses.get(name, []) != plain:
                self._addresses[name] = plain
                self._all()
        elif change.previous is None or change.type == "DELETED":
            for route in stored(self._api, HTTP_ROUTE, service["metadata"]["namespace"]):
                self._add(route)

    def on_class(self, change: StoredChange) -> None:
        """An IngressClass or GatewayClass came or went."""
        self._all()
        if change.type != "DELETED" and change.object["kind"] == "GatewayClass":
            self._add(change.object)

    def on_item(self, change: StoredChange) -> None:
        """An Ingress, Gateway or HTTPRoute came or changed."""
        if change.type != "DELETED":
            self._add(change.object)
        if change.object["kind"] == "Gateway":
            for route in stored(self._api, HTTP_ROUTE):
                self._add(route)

    def _add(self, obj: Object) -> None:
        self._work.add((obj["kind"], *key_of(obj)))

    def _all(self) -> None:
        for kind in (INGRESS, GATEWAY, HTTP_ROUTE):
            for obj in stored(self._api, kind):
                self._add(obj)

    def _handle(self, item: Item) -> None:
        obj = lookup(self._api, _KINDS[item[0]], item[2], item[1])
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return
        if item[0] == "Ingress":
            self._ingress(obj)
        elif item[0] == "Gateway":
            self._gateway(obj)
        elif item[0] == "GatewayClass":
            self._gateway_class(obj)
        else:
            self._route(obj)

    # --- Ingress --------------------------------------------------------------------------------------------------

    def _ingress(self, obj: Object) -> None:
        name = obj["spec"].get("ingressClassName") or annotations_of(obj).get("kubernetes.io/ingress.class")
        found = lookup(self._api, INGRESS_CLASS, name) if name else self._default_class()
        controller = INGRESS_CONTROLLERS.get(((found or {}).get("spec") or {}).get("controller", ""))
        if controller is None:
            return
        addresses = self._addresses.get(controller, [])
        self._api.set_status(obj, {"loadBalancer": {"ingress": addresses} if addresses else {}}, controller)

    def _default_class(self) -> Object | None:
        return next((c for c in stored(self._api, INGRESS_CLASS) if annotations_of(c).get(_DEFAULT) == "true"), None)

    # --- Gateway API ----------------------------------------------------------------------------------------------

    def _gateway_class(self, obj: Object) -> None:
        controller = obj["spec"].get("controllerName", "")
        if controller in GATEWAY_CONTROLLERS:
            fresh = [self._cond(obj, "Accepted", True, "Accepted", "Handled by Traefik controller")]
            self._set_conditions(obj, fresh, {}, GATEWAY_CONTROLLERS[controller])

    def _controller(self, gateway: Object) -> str | None:
        found = lookup(self._api, GATEWAY_CLASS, gateway["spec"].get("gatewayClassName", ""))
        return GATEWAY_CONTROLLERS.get(((found or {}).get("spec") or {}).get("controllerName", ""))

    def _gateway(self, obj: Object) -> None:
        controller = self._controller(obj)
        if controller is None:
            return
        addresses = [
            {"type": "IPAddress", "value": entry["ip"]}
            for entry in self._addresses.get(controller, [])
            if "ip" in entry
        ]
        programmed = (
            self._cond(obj, "Programmed", True, "Programmed", "Gateway successfully scheduled")
            if addresses
            else self._cond(
                obj, "Programmed", False, "AddressNotAssigned", "The controller's Service has no address yet"
            )
        )
        accepted = self._cond(obj, "Accepted", True, "Accepted", "Gateway successfully scheduled")
        routes = self._attached(obj)
        old = {entry["name"]: entry for entry in (obj.get("status") or {}).get("listeners") or ()}
        now = timestamp(self._engine.now())
        listeners = [
            {
                "name": listener["name"], "attachedRoutes": routes,
                "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
                "conditions": conditions(
                    old.get(listener["name"], {}).get("conditions"),
                    [self._cond(obj, name, True, name, "No error found")
                     for name in ("Accepted", "Programmed", "ResolvedRefs")],
                    now,
                ),
            }
            for listener in obj["spec"].get("listeners") or ()
        ]  # fmt: skip
        more = {"listeners": listeners, **({"addresses": addresses} if addresses else {})}
        self._set_conditions(obj, [accepted, programmed], more, controller)

    def _attached(self, gateway: Object) -> int:
        own = key_of(gateway)
        return sum(
            any(
                (parent.get("namespace", key_of(route)[0]), parent["name"]) == own
                for parent in route["spec"].get("parentRefs") or ()
            )
            for route in stored(self._api, HTTP_ROUTE)
        )

    def _route(self, obj: Object) -> None:
        namespace, now = obj["metadata"]["namespace"], timestamp(self._engine.now())
        missing = self._missing_backend(obj, namespace)
        parents, before = [], (obj.get("status") or {}).get("parents") or []
        for parent in obj["spec"].get("parentRefs") or ():
            gateway = lookup(self._api, GATEWAY, parent["name"], parent.get("namespace", namespace))
            if gateway is None or self._controller(gateway) is None:
                continue
            resolved = (
                self._cond(obj, "ResolvedRefs", False, "BackendNotFound", f'service "{missing}" not found')
                if missing
                else self._cond(obj, "ResolvedRefs", True, "ResolvedRefs", "")
            )
            old: Object = next((entry for entry in before if entry["parentRef"] == parent), {})
            fresh = [self._cond(obj, "Accepted", True, "Accepted", ""), resolved]
            parents.append({
                "parentRef": parent, "controllerName": "traefik.io/gateway-controller",
                "conditions": conditions(old.get("conditions"), fresh, now),
            })  # fmt: skip
        if parents != before:
            self._api.set_status(obj, {"parents": parents}, "traefik")
            for parent in parents:
                where = parent["parentRef"].get("namespace", namespace)
                self._work.add(("Gateway", where, parent["parentRef"]["name"]))

    def _missing_backend(self, obj: Object, namespace: str) -> str:
        for rule in obj["spec"].get("rules") or ():
            for backend in rule.get("backendRefs") or ():
                where = backend.get("namespace", namespace)
                if (
                    backend.get("kind", "Service") == "Service"
                    and self._api.find(SERVICE, backend["name"], where) is None
                ):
                    return f"{where}/{backend['name']}"
        return ""

    def _cond(self, obj: Object, type_: str, good: bool, reason: str, message: str) -> Object:
        return cond(type_, good, reason, message, observedGeneration=obj["metadata"].get("generation", 1))

    def _set_conditions(self, obj: Object, fresh: list[Object], more: Object, manager: str) -> None:
        old = (obj.get("status") or {}).get("conditions")
        made = conditions(old, fresh, timestamp(self._engine.now()))
        self._api.set_status(obj, {**more, "conditions": made}, manager)
