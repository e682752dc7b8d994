"""The packages of a cluster -> HelmChartProxy objects (Cluster API's Helm add-on provider).

One proxy per cluster and package, because addresses, ports and cluster IDs differ; the selector is the cluster's own
label. All packages share the cluster's one public address, so their ports come from one plan (`settings.RESERVED_PORTS`)
and their Services carry MetalLB's sharing annotations.
"""

from __future__ import annotations

import yaml

from continuo.orchestrator import naming
from continuo.orchestrator.render import clusters
from continuo.orchestrator.settings import Chart, Settings
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import ClusterSpec

ORDER = ("cni", "loadbalancer", "ingress", "liqo", "prometheus", "kafka")


def packages_of(spec: ClusterSpec) -> tuple[str, ...]:
    """The packages to install, in installation order, the network plugin included."""
    wanted = {str(package) for package in spec.package_set}
    if clusters.bootstrap_of(spec) == "kubeadm" and spec.cni != "none" and not spec.simulated:
        wanted.add("cni")
    return tuple(package for package in ORDER if package in wanted)


def shared_address(spec: ClusterSpec) -> dict[str, str]:
    """The annotations by which a LoadBalancer Service takes part in the cluster's one public address."""
    annotations = {"metallb.io/allow-shared-ip": "public"}
    if spec.public_ip:
        annotations["metallb.io/loadBalancerIPs"] = spec.public_ip
    return annotations


def render_packages(namespace: str, orchestration: str, spec: ClusterSpec, settings: Settings) -> dict[str, Object]:
    """Package name -> its HelmChartProxy."""
    name = naming.cluster_name(orchestration, spec.name)
    return {
        package: naming.sealed(_proxy(namespace, orchestration, name, spec, package, settings))
        for package in packages_of(spec)
    }


def _proxy(
    namespace: str, orchestration: str, name: str, spec: ClusterSpec, package: str, settings: Settings
) -> Object:
    chart: Chart = settings.charts[str(spec.cni) if package == "cni" else package]
    values = _merge(_values(package, name, spec), settings.chart_values.get(package, {}))
    body: Object = {
        "clusterSelector": {"matchLabels": {"continuo.dev/cluster-id": name}},
        "repoURL": chart.repo,
        "chartName": chart.name,
        "version": chart.version,
        "releaseName": chart.release,
        "namespace": chart.namespace,
        "reconcileStrategy": "Continuous",
        "options": {"wait": True, "timeout": "10m0s", "install": {"createNamespace": True}},
    }
    if values:
        body["valuesTemplate"] = yaml.safe_dump(values, sort_keys=True)
    labels = {
        **naming.owner_labels(namespace, orchestration), naming.CLUSTER: spec.name, naming.PACKAGE: package,
    }  # fmt: skip
    return kinds.HELM_CHART_PROXY.new(f"{name}-{package}", namespace, metadata={"labels": labels}, spec=body)


def _values(package: str, name: str, spec: ClusterSpec) -> Object:
    shared = shared_address(spec)
    pod_cidr, service_cidr = clusters.pod_cidr(spec), clusters.service_cidr(spec)
    if package == "cni":
        if spec.cni == "calico":
            pool = {"cidr": pod_cidr, "encapsulation": "VXLAN"}
            return {"installation": {"calicoNetwork": {"ipPools": [pool]}}}
        return {"podCidr": pod_cidr}
    if package == "ingress":
        return {
            "providers": {"kubernetesGateway": {"enabled": True}, "kubernetesIngress": {"enabled": True}},
            "gateway": {"enabled": False},
            "ingressClass": {"enabled": True, "isDefaultClass": True},
            "ports": {
                "web": {"port": 8000, "exposedPort": 80},
                "websecure": {"port": 8443, "exposedPort": 443},
            },
            "service": {"annotations": shared},
        }
    if package == "liqo":
        return {
            "discovery": {"config": {"clusterID": name}},
            "ipam": {"podCIDRs": [pod_cidr], "serviceCIDR": service_cidr},
            "metrics": {"enabled": True},
            "networking": {"gatewayTemplates": {"server": {"service": {"annotations": shared}}}},
        }
    if package == "prometheus":
        return {
            "grafana": {"enabled": False},
            "alertmanager": {"enabled": False},
            "prometheus": {
                "prometheusSpec": {"externalLabels": {"cluster": name}, "retention": "24h"},
                "service": {"port": 9090, "type": "LoadBalancer", "annotations": shared},
            },
        }
    if package == "kafka":
        return {"watchAnyNamespace": True}
    return {}


def _merge(base: Object, over: Object) -> Object:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def render_address_pool(namespace: str, orchestration: str, address: str) -> tuple[Object, ...]:
    """MetalLB's pool of the cluster's one public address; lives in the workload cluster, once MetalLB is there."""
    labels = naming.owner_labels(namespace, orchestration)
    name, where = "continuo-public", "metallb-system"
    # No serviceSelectors in the advertisement: they would switch address sharing off in layer-2 mode.
    return (
        naming.sealed(
            kinds.IP_ADDRESS_POOL.new(
                name,
                where,
                metadata={"labels": labels},
                spec={"addresses": [f"{address}/32"], "autoAssign": True},
            )
        ),
        naming.sealed(
            kinds.L2_ADVERTISEMENT.new(name, where, metadata={"labels": labels}, spec={"ipAddressPools": [name]})
        ),
    )
