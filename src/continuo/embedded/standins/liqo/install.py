"""What the Helm chart of Liqo puts into a cluster, as far as others look at it."""

from __future__ import annotations

import base64
from random import Random, SystemRandom

from continuo.embedded.port import Api, Write
from continuo.embedded.standins.liqo import crypto, names
from continuo.embedded.standins.liqo.ipam import dashed, span, text_of
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, NotFound
from continuo.resources.meta import Kind, Object

VERSION = "v1.2.0"
EXTERNAL_CIDR = "10.70.0.0/16"
INTERNAL_CIDR = "10.80.0.0/16"
PROXY_IP = "10.70.0.1"
"""Where peers find our API through the tunnel, before remapping."""
_WRITE = Write(manager="helm")
_COMPONENTS = ("controller-manager", "crd-replicator", "webhook", "ipam", "proxy")


def install(api: Api, cluster_id: str, pod_cidr: str, service_cidr: str, *, rng: Random | None = None) -> None:
    """Install the release `liqo`; what is there already stays. The CRDs must be served.

    The ConfigMap with the identifier comes last: it is what wakes the controllers.
    """
    _add(api, kinds.NAMESPACE.new(names.NAMESPACE))
    _add(api, _keys(rng or SystemRandom()))
    for name, cidr in (
        ("pod-cidr", pod_cidr), ("service-cidr", service_cidr),
        ("external-cidr", EXTERNAL_CIDR), ("internal-cidr", INTERNAL_CIDR),
    ):  # fmt: skip
        network = _add(api, _network(name, cidr))
        api.set_status(network, {"cidr": cidr}, names.MANAGER)
    proxy = _add(api, _proxy(service_cidr))
    api.set_status(proxy, {"ip": PROXY_IP, "cidr": EXTERNAL_CIDR}, names.MANAGER)
    for role, label in names.CLUSTER_ROLES.items():
        _add(api, _role(role, label))
    for template in _templates():
        _add(api, template)
    for component in _COMPONENTS:
        _add(api, _deployment(component))
    labels = {"app.kubernetes.io/name": "clusterid-configmap"}
    _add(
        api,
        kinds.CONFIG_MAP.new(
            names.CLUSTER_ID_CONFIG_MAP, names.NAMESPACE,
            metadata={"labels": labels}, data={names.CLUSTER_ID_KEY: cluster_id},
        ),
    )  # fmt: skip


def uninstall(api: Api) -> None:
    """Remove the release: the identifier first, which stops the controllers, then the rest."""
    for kind, name in ((kinds.CONFIG_MAP, names.CLUSTER_ID_CONFIG_MAP),):
        _drop(api, kind, name, names.NAMESPACE)
    for role in names.CLUSTER_ROLES:
        _drop(api, kinds.CLUSTER_ROLE, role)
    _drop(api, kinds.NAMESPACE, names.NAMESPACE)


def _add(api: Api, obj: Object) -> Object:
    try:
        return api.create(obj, _WRITE)
    except AlreadyExists:
        kind = next(k for k in _INSTALLED if (k.kind, k.api_version) == (obj["kind"], obj["apiVersion"]))
        return api.get(kind, obj["metadata"]["name"], obj["metadata"].get("namespace", ""))


_INSTALLED = (
    kinds.NAMESPACE, kinds.SECRET, kinds.IP, kinds.NETWORK, kinds.CLUSTER_ROLE, kinds.DEPLOYMENT, kinds.CONFIG_MAP,
    kinds.WG_GATEWAY_SERVER_TEMPLATE, kinds.WG_GATEWAY_CLIENT_TEMPLATE, kinds.VK_OPTIONS_TEMPLATE,
)  # fmt: skip


def _drop(api: Api, kind: Kind, name: str, namespace: str = "") -> None:
    try:
        api.delete(kind, name, namespace)
    except NotFound:
        return


def _keys(rng: Random) -> Object:
    private, public = crypto.authentication_keys(rng)
    data = {"privateKey": base64.b64encode(private).decode(), "publicKey": base64.b64encode(public).decode()}
    return kinds.SECRET.new(names.AUTH_KEYS, names.NAMESPACE, type="Opaque", data=data)


def _network(use: str, cidr: str) -> Object:
    labels = {names.NETWORK_TYPE: use}
    if use in ("pod-cidr", "service-cidr"):
        labels |= {names.NOT_REMAPPED: "true", names.SHARED: "true"}
    spec: Object = {"cidr": cidr} | ({"preAllocated": 1} if use == "external-cidr" else {})
    name = dashed(use, cidr) if use == "pod-cidr" else use  # a cluster may have several pod networks
    metadata = {"labels": labels, "annotations": {"liqo.io/preinstalled": "true"}}
    return kinds.NETWORK.new(name, names.NAMESPACE, metadata=metadata, spec=spec)


def _proxy(service_cidr: str) -> Object:
    labels = {"ipam.liqo.io/ip-type": "api-server-proxy"}
    ip = text_of(span(service_cidr)[0] + 9)
    return kinds.IP.new("api-server-proxy", names.NAMESPACE, metadata={"labels": labels}, spec={"ip": ip})


def _role(name: str, label: str) -> Object:
    rules: dict[str, list[Object]] = {
        "remote-controlplane": [
            _rule("authentication.liqo.io", ["resourceslices", "resourceslices/status", "renews", "renews/status"]),
            _rule("offloading.liqo.io", ["namespacemaps", "namespacemaps/status"]),
        ],
        "virtual-kubelet-remote": [
            _rule("", ["configmaps", "events", "persistentvolumeclaims", "secrets", "services"]),
            _rule("", ["pods", "pods/log"], ["get", "list", "watch"]),
            _rule("", ["pods/exec", "pods/attach", "pods/portforward"], ["create"]),
            _rule("networking.k8s.io", ["ingresses"]),
            _rule("offloading.liqo.io", ["shadowpods", "shadowendpointslices"]),
        ],
        "virtual-kubelet-remote-clusterwide": [
            _rule("metrics.liqo.io", ["scrape", "scrape/metrics", "metrics"], ["get"])
        ],
    }
    metadata = {"labels": {"app.kubernetes.io/name": label, "app.kubernetes.io/part-of": "liqo"}}
    return kinds.CLUSTER_ROLE.new(name, metadata=metadata, rules=rules[label])


def _rule(group: str, resources: list[str], verbs: list[str] | None = None) -> Object:
    every = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return {"apiGroups": [group], "resources": resources, "verbs": verbs or every}


def _templates() -> list[Object]:
    def gateway(kind: Kind, name: str, made: str) -> Object:
        metadata = {"labels": {"networking.liqo.io/gatewaytemplate": "true"}}
        object_kind = {"apiVersion": "networking.liqo.io/v1beta1", "kind": made}
        spec = {"objectKind": object_kind, "template": {"metadata": {}, "spec": {}}}
        return kind.new(name, names.NAMESPACE, metadata=metadata, spec=spec)

    return [
        gateway(kinds.WG_GATEWAY_SERVER_TEMPLATE, "wireguard-server", "WgGatewayServer"),
        gateway(kinds.WG_GATEWAY_CLIENT_TEMPLATE, "wireguard-client", "WgGatewayClient"),
        kinds.VK_OPTIONS_TEMPLATE.new(
            "virtual-kubelet-default", names.NAMESPACE,
            spec={
                "createNode": True, "disableNetworkCheck": False, "replicas": 1,
                "containerImage": f"ghcr.io/liqotech/virtual-kubelet:{VERSION}",
            },
        ),
    ]  # fmt: skip


def _deployment(component: str) -> Object:
    labels = {"app.kubernetes.io/name": component, "app.kubernetes.io/component": component}
    name = f"liqo-{component}"
    image = f"ghcr.io/liqotech/{'liqo-controller-manager' if component == 'controller-manager' else component}"
    return kinds.DEPLOYMENT.new(
        name, names.NAMESPACE, metadata={"labels": {**labels, "app.kubernetes.io/part-of": "liqo"}},
        spec={
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": component, "image": f"{image}:{VERSION}"}]},
            },
        },
    )  # fmt: skip
