"""Prepares the management cluster: the third parties' CRDs, the provider inventory, and a node of its own."""

from __future__ import annotations

from continuo.embedded.port import Api, Write
from continuo.embedded.standins.capi.boot import install_system
from continuo.embedded.standins.kinds import CLUSTER_RESOURCE_SET_BINDING
from continuo.embedded.standins.settings import Flavor
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK, NewNode, register
from continuo.resources.crds import management_crds
from continuo.resources.kinds import CAPI_PROVIDER, CUSTOM_RESOURCE_DEFINITION, NAMESPACE
from continuo.resources.meta import Object

_WRITE = Write(manager="clusterctl")
PROVIDERS = (
    ("cluster-api", "CoreProvider", "v1.13.4", "capi-system"),
    ("bootstrap-kubeadm", "BootstrapProvider", "v1.13.4", "capi-kubeadm-bootstrap-system"),
    ("control-plane-kubeadm", "ControlPlaneProvider", "v1.13.4", "capi-kubeadm-control-plane-system"),
    ("bootstrap-k3s", "BootstrapProvider", "v0.3.1", "capi-k3s-bootstrap-system"),
    ("control-plane-k3s", "ControlPlaneProvider", "v0.3.1", "capi-k3s-control-plane-system"),
    ("bootstrap-microk8s", "BootstrapProvider", "v0.6.11", "capi-microk8s-bootstrap-system"),
    ("control-plane-microk8s", "ControlPlaneProvider", "v0.6.11", "capi-microk8s-control-plane-system"),
    ("infrastructure-openstack", "InfrastructureProvider", "v0.14.7", "capo-system"),
    ("infrastructure-docker", "InfrastructureProvider", "v1.13.4", "capd-system"),
    ("addon-helm", "AddonProvider", "v0.6.4", "caaph-system"),
)


def prepare_management(api: Api) -> None:
    """CRDs, Provider objects, CoreDNS and one node; what is there already stays as it is."""
    install_crds(api, [*management_crds(), _binding_crd()])
    for name, kind, version, namespace in PROVIDERS:
        if api.find(NAMESPACE, namespace) is None:
            api.create(NAMESPACE.new(namespace), _WRITE)
        if api.find(CAPI_PROVIDER, name, namespace) is None:
            api.create(_provider(name, kind, version, namespace), _WRITE)
    register(api, NewNode(
        "management-0", "v1.34.0", "10.0.0.10", Flavor(8, 16384), pods=250, cluster_cidr="10.200.0.0/16",
        control_plane=True, labels={BUILTIN_NETWORK: "builtin"},
    ))  # fmt: skip
    install_system(api)


def install_crds(api: Api, definitions: list[Object]) -> None:
    """Create the definitions that are not there."""
    for definition in definitions:
        if api.find(CUSTOM_RESOURCE_DEFINITION, definition["metadata"]["name"]) is None:
            api.create(definition, _WRITE)


def _binding_crd() -> Object:
    """ClusterResourceSetBinding: what the resource set controller writes, and nobody validates."""
    kind = CLUSTER_RESOURCE_SET_BINDING
    open_object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": open_object}}
    return CUSTOM_RESOURCE_DEFINITION.new(
        f"{kind.plural}.{kind.group}",
        spec={
            "group": kind.group, "scope": "Namespaced",
            "names": {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.lower(),
                      "listKind": f"{kind.kind}List"},
            "versions": [{"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    )  # fmt: skip


def _provider(name: str, kind: str, version: str, namespace: str) -> Object:
    labels = {
        "cluster.x-k8s.io/provider": name, "clusterctl.cluster.x-k8s.io": "", "clusterctl.cluster.x-k8s.io/core": "inventory",
    }  # fmt: skip
    short = name.split("-", 2)[-1] if kind == "ControlPlaneProvider" else name.split("-", 1)[-1]
    return CAPI_PROVIDER.new(
        name, namespace, metadata={"labels": labels},
        providerName=name if kind == "CoreProvider" else short, type=kind, version=version,
    )  # fmt: skip
