"""What an operator's owner decides once for all orchestrations; everything has a default."""

from __future__ import annotations

from dataclasses import dataclass, field

from continuo.placement.guards import Limits
from continuo.resources.meta import Object

RESERVED_PORTS: dict[tuple[str, int], str] = {
    ("TCP", 80): "the ingress controller",
    ("TCP", 443): "the ingress controller",
    ("TCP", 6443): "the Kubernetes API server",
    ("UDP", 51840): "the Liqo gateway",
    ("TCP", 9090): "Prometheus",
    ("TCP", 9094): "Kafka",
}
"""The port plan of a cluster's shared public address: (transport, port) to its holder."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A Helm chart, pinned."""

    repo: str
    name: str
    version: str
    namespace: str
    release: str


CHARTS: dict[str, Chart] = {
    "flannel": Chart("https://flannel-io.github.io/flannel/", "flannel", "v0.28.9", "kube-flannel", "flannel"),
    "calico": Chart(
        "https://docs.tigera.io/calico/charts", "tigera-operator", "v3.32.0", "tigera-operator", "calico"
    ),
    "loadbalancer": Chart("https://metallb.github.io/metallb", "metallb", "0.16.1", "metallb-system", "metallb"),
    "ingress": Chart("https://traefik.github.io/charts", "traefik", "41.0.0", "traefik", "traefik"),
    "liqo": Chart("https://helm.liqo.io/", "liqo", "v1.2.0", "liqo", "liqo"),
    "prometheus": Chart(
        "https://prometheus-community.github.io/helm-charts", "kube-prometheus-stack", "88.5.3", "monitoring",
        "prometheus",
    ),
    "kafka": Chart(
        "oci://quay.io/strimzi-helm/", "strimzi-kafka-operator", "1.2.0", "kafka", "strimzi"
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds and defaults of one operator."""

    base_domain: str = "apps.continuo.local"
    """Public HTTP components without a `host` answer at `<component>.<application>.<base_domain>`."""
    provisioning_limit: int = 10
    """Clusters created at the same time; Cluster API slows down and errs with many more on small machines."""
    write_concurrency: int = 8
    """Writes in flight per orchestration."""
    charts: dict[str, Chart] = field(default_factory=lambda: dict(CHARTS))
    chart_values: dict[str, Object] = field(default_factory=dict)
    """Extra Helm values by package name, laid over ours."""
    limits: Limits = field(default_factory=Limits)
    """How much schedulers from outside may do; the server's have to be the same."""
    lost_after: float = 5.0
    """Seconds for which a workload cluster may not answer before it counts as lost."""
    placing_patience: float = 30.0
    """Seconds for which, once one cluster is ready, placement waits for others that are being created or connected to."""
    prober_image: str = ""
    """The image of the probers of links; empty: this version's, as `continuo install` names it."""
    retry_first: float = 1.0
    retry_limit: float = 300.0
    """Seconds: the first and the longest wait between two tries of one failing item."""
    cluster_within: float = 1200.0
    package_within: float = 300.0
    link_within: float = 180.0
    undeploy_within: float = 600.0
    """Seconds after which a task counts as failed; it goes on being tried. Applications say `deploy-within` themselves."""
