"""The charts that can be installed, and what each brings: a plausible small set of objects. Pure.

| chart | repository | brings |
|---|---|---|
| flannel, tigera-operator, cilium | their own | the pod network's DaemonSet: nodes become Ready |
| metallb | metallb.github.io | controller and speaker: LoadBalancer Services get addresses |
| traefik, ingress-nginx | their own | controller, its LoadBalancer Service, IngressClass (traefik: GatewayClass) |
| liqo | helm.liqo.io | Liqo's controllers, by the Liqo stand-in |
| kube-prometheus-stack, kube-state-metrics | prometheus-community | operator, Prometheus and its Service |
| strimzi-kafka-operator | quay.io/strimzi-helm, strimzi.io/charts | the operator |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from continuo.embedded.standins.capi.boot import daemon_set, deployment
from continuo.embedded.standins.kinds import STATEFUL_SET
from continuo.resources.kinds import GATEWAY_CLASS, INGRESS_CLASS, SERVICE
from continuo.resources.meta import Object


class ChartError(Exception):
    """The chart cannot be installed; the text says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """One installation: the chart with its values under a name."""

    chart: str
    repo: str
    name: str
    namespace: str
    version: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """A known chart."""

    hosts: tuple[str, ...]
    """Substrings of the repositories that carry it."""
    make: Callable[[Release], list[Object]]
    crd_groups: tuple[str, ...] = ()
    """Groups whose CustomResourceDefinitions it brings."""


def value(values: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """`a.b.c` of nested values."""
    found: Any = values
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return default
        found = found[part]
    return found


def _labels(release: Release, component: str, name: str = "") -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name or release.chart, "app.kubernetes.io/instance": release.name,
        "app.kubernetes.io/component": component,
    }  # fmt: skip


def _balancer(
    release: Release, name: str, labels: dict[str, str], ports: list[Object], settings: Mapping[str, Any]
) -> Object:
    spec: Object = {
        "type": settings.get("type", "LoadBalancer"),
        "selector": labels,
        "ports": ports,
        **(settings.get("spec") or {}),
    }
    metadata: Object = {"labels": labels}
    if settings.get("annotations"):
        metadata["annotations"] = dict(settings["annotations"])
    return SERVICE.new(name, release.namespace, metadata=metadata, spec=spec)


def _network(daemon: str, image: str) -> Callable[[Release], list[Object]]:
    return lambda release: [daemon_set(daemon, release.namespace, image)]


def _metallb(release: Release) -> list[Object]:
    labels = _labels(release, "controller", "metallb")
    return [
        deployment(f"{release.name}-controller", release.namespace, labels, "quay.io/metallb/controller:v0.15.2"),
        daemon_set(f"{release.name}-speaker", release.namespace, "quay.io/metallb/speaker:v0.15.2"),
    ]


def _exposed(release: Release) -> list[Object]:
    defaults = {"web": {"port": 8000, "exposedPort": 80}, "websecure": {"port": 8443, "exposedPort": 443}}
    ports = []
    for name, default in defaults.items():
        given = {**default, **(value(release.values, f"ports.{name}", {}) or {})}
        ports.append({"name": name, "port": given["exposedPort"], "targetPort": name, "protocol": "TCP"})
    return ports


def _traefik(release: Release) -> list[Object]:
    labels, values = _labels(release, "controller", "traefik"), release.values
    named = {
        "web": value(values, "ports.web.port", 8000),
        "websecure": value(values, "ports.websecure.port", 8443),
    }
    default = {
        "ingressclass.kubernetes.io/is-default-class": str(
            bool(value(values, "ingressClass.isDefaultClass", True))
        ).lower()
    }
    made = [
        deployment(release.name, release.namespace, labels, "docker.io/traefik:v3.5.0", ports=named),
        _balancer(release, release.name, labels, _exposed(release), value(values, "service", {}) or {}),
        INGRESS_CLASS.new(
            "traefik", metadata={"annotations": default}, spec={"controller": "traefik.io/ingress-controller"}
        ),
    ]
    if value(values, "providers.kubernetesGateway.enabled", False):
        made.append(GATEWAY_CLASS.new("traefik", spec={"controllerName": "traefik.io/gateway-controller"}))
    return made


def _nginx(release: Release) -> list[Object]:
    labels, name = _labels(release, "controller", "ingress-nginx"), f"{release.name}-controller"
    ports = [
        {
            "name": "http",
            "port": value(release.values, "controller.service.ports.http", 80),
            "targetPort": "http",
        },
        {
            "name": "https",
            "port": value(release.values, "controller.service.ports.https", 443),
            "targetPort": "https",
        },
    ]
    return [
        deployment(
            name,
            release.namespace,
            labels,
            "registry.k8s.io/ingress-nginx/controller:v1.15.1",
            ports={"http": 80, "https": 443},
        ),
        _balancer(release, name, labels, ports, value(release.values, "controller.service", {}) or {}),
        INGRESS_CLASS.new("nginx", spec={"controller": "k8s.io/ingress-nginx"}),
    ]


def _prometheus(release: Release) -> list[Object]:
    operator = _labels(release, "prometheus-operator", "prometheus-operator")
    labels = _labels(release, "prometheus", "prometheus")
    name = f"{release.name}-prometheus"
    service = value(release.values, "prometheus.service", {}) or {}
    port = {"name": "http-web", "port": service.get("port", 9090), "targetPort": 9090}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "prometheus", "image": "quay.io/prometheus/prometheus:v3.6.0"}]},
    }
    made = [
        deployment(f"{release.name}-operator", release.namespace, operator,
                   "quay.io/prometheus-operator/prometheus-operator:v0.93.1"),
        deployment(f"{release.name}-kube-state-metrics", release.namespace, _labels(release, "metrics", "kube-state-metrics"),
                   "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0"),
        daemon_set(f"{release.name}-node-exporter", release.namespace, "quay.io/prometheus/node-exporter:v1.9.1"),
        STATEFUL_SET.new(f"prometheus-{name}", release.namespace, metadata={"labels": labels},
                         spec={"replicas": 1, "serviceName": name, "selector": {"matchLabels": labels},
                               "template": template}),
        _balancer(release, name, labels, [port], {"type": "ClusterIP", **service}),
    ]  # fmt: skip
    if value(release.values, "grafana.enabled", True):
        made.append(
            deployment(
                f"{release.name}-grafana",
                release.namespace,
                _labels(release, "grafana", "grafana"),
                "docker.io/grafana/grafana:12.1.0",
            )
        )
    return made


def _state_metrics(release: Release) -> list[Object]:
    labels = _labels(release, "metrics", "kube-state-metrics")
    return [
        deployment(
            release.name,
            release.namespace,
            labels,
            "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0",
        )
    ]


def _strimzi(release: Release) -> list[Object]:
    labels = {"name": "strimzi-cluster-operator", "strimzi.io/kind": "cluster-operator"}
    return [deployment("strimzi-cluster-operator", release.namespace, labels, "quay.io/strimzi/operator:1.2.0")]


LIQO = "liqo"
CHARTS: Mapping[str, Chart] = {
    "flannel": Chart(("flannel-io.github.io",), _network("kube-flannel-ds", "ghcr.io/flannel-io/flannel:v0.28.9")),
    "tigera-operator": Chart(
        ("docs.tigera.io", "docs.projectcalico.org"), _network("calico-node", "quay.io/calico/node:v3.32.0")
    ),
    "cilium": Chart(("helm.cilium.io",), _network("cilium", "quay.io/cilium/cilium:v1.18.0")),
    "metallb": Chart(("metallb.github.io",), _metallb, ("metallb.io",)),
    "traefik": Chart(("traefik.github.io", "ghcr.io/traefik"), _traefik, ("gateway.networking.k8s.io",)),
    "ingress-nginx": Chart(("kubernetes.github.io/ingress-nginx",), _nginx),
    LIQO: Chart(("helm.liqo.io",), lambda _: [], (".liqo.io",)),
    "kube-prometheus-stack": Chart(("prometheus-community",), _prometheus),
    "kube-state-metrics": Chart(("prometheus-community",), _state_metrics),
    "strimzi-kafka-operator": Chart(("quay.io/strimzi-helm", "strimzi.io/charts"), _strimzi),
}


def find(release: Release) -> Chart:
    """The chart; raises ChartError when the repository, or the chart in it, is not known."""
    chart = CHARTS.get(release.chart)
    if not release.repo.startswith(("https://", "oci://")):
        raise ChartError(f'repoURL "{release.repo}" is not valid: it must start with https:// or oci://')
    if chart is None:
        known = ", ".join(sorted(CHARTS))
        raise ChartError(
            f'chart "{release.chart}" not found in {release.repo} repository; the charts known here are {known}'
        )
    if not any(host in release.repo for host in chart.hosts):
        raise ChartError(
            f'chart "{release.chart}" not found in {release.repo} repository; it is in https://{chart.hosts[0]}'
        )
    return chart


def objects(release: Release) -> list[Object]:
    """Everything that the release consists of, marked as Helm does."""
    marks = {"meta.helm.sh/release-name": release.name, "meta.helm.sh/release-namespace": release.namespace}
    made = []
    for obj in find(release).make(release):
        metadata = obj["metadata"]
        made.append({**obj, "metadata": {
            **metadata,
            "labels": {**(metadata.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"},
            "annotations": {**(metadata.get("annotations") or {}), **marks},
        }})  # fmt: skip
    return made
