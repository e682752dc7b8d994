"""Cluster API objects as an orchestrator would write them."""

from __future__ import annotations

from typing import Any

from continuo.resources.kinds import (
    CLUSTER,
    KTHREES_CONFIG_TEMPLATE,
    KTHREES_CONTROL_PLANE,
    KUBEADM_CONFIG_TEMPLATE,
    KUBEADM_CONTROL_PLANE,
    MACHINE_DEPLOYMENT,
    MICROK8S_CONFIG_TEMPLATE,
    MICROK8S_CONTROL_PLANE,
    OPENSTACK_CLUSTER,
    OPENSTACK_MACHINE_TEMPLATE,
    SECRET,
)
from continuo.resources.meta import Kind, Object


def credentials(name: str, namespace: str = "default") -> Object:
    return SECRET.new(f"{name}-cloud-config", namespace, data={"clouds.yaml": "Y2xvdWRzOiB7fQo="})


def machine_template(name: str, flavor: str = "m1.medium", namespace: str = "default") -> Object:
    spec = {"flavor": flavor, "image": {"filter": {"name": "ubuntu-2404"}}}
    return OPENSTACK_MACHINE_TEMPLATE.new(name, namespace, spec={"template": {"spec": spec}})


def _reference(kind: Kind, name: str) -> Object:
    return {"apiGroup": kind.group, "kind": kind.kind, "name": name}


def _full(name: str) -> Object:
    kind = OPENSTACK_MACHINE_TEMPLATE
    return {"apiVersion": kind.api_version, "kind": kind.kind, "name": name}


def _kubeadm(name: str, namespace: str, replicas: int, version: str) -> Object:
    machine = {"spec": {"infrastructureRef": _reference(OPENSTACK_MACHINE_TEMPLATE, f"{name}-cp")}}
    return KUBEADM_CONTROL_PLANE.new(
        f"{name}-cp", namespace,
        spec={
            "replicas": replicas, "version": version, "machineTemplate": machine,
            "kubeadmConfigSpec": {"joinConfiguration": {"nodeRegistration": {"name": "{{ local_hostname }}"}}},
        },
    )  # fmt: skip


def _k3s(name: str, namespace: str, replicas: int, version: str) -> Object:
    return KTHREES_CONTROL_PLANE.new(
        f"{name}-cp", namespace,
        spec={
            "replicas": replicas, "version": f"{version}+k3s1", "machineTemplate": {"infrastructureRef": _full(f"{name}-cp")},
            "kthreesConfigSpec": {"serverConfig": {"disableComponents": ["servicelb", "traefik"]}},
        },
    )  # fmt: skip


def _microk8s(name: str, namespace: str, replicas: int, version: str) -> Object:
    return MICROK8S_CONTROL_PLANE.new(
        f"{name}-cp", namespace,
        spec={
            "replicas": replicas, "version": version, "upgradeStrategy": "SmartUpgrade",
            "machineTemplate": {"infrastructureTemplate": _full(f"{name}-cp")},
            "controlPlaneConfig": {"initConfiguration": {"addons": ["dns"]}},
        },
    )  # fmt: skip


PLANES: dict[str, tuple[Any, Kind, Kind]] = {
    "kubeadm": (_kubeadm, KUBEADM_CONTROL_PLANE, KUBEADM_CONFIG_TEMPLATE),
    "k3s": (_k3s, KTHREES_CONTROL_PLANE, KTHREES_CONFIG_TEMPLATE),
    "microk8s": (_microk8s, MICROK8S_CONTROL_PLANE, MICROK8S_CONFIG_TEMPLATE),
}


def cluster_objects(
    name: str, *, provider: str = "kubeadm", control_plane: int = 1, workers: int = 1, version: str = "v1.34.0",
    namespace: str = "default", labels: dict[str, str] | None = None, secret: bool = True,
) -> list[Object]:  # fmt: skip
    plane, plane_kind, template_kind = PLANES[provider]
    own = {"cluster.x-k8s.io/cluster-name": name, "cluster.x-k8s.io/deployment-name": f"{name}-md-0"}
    template = {
        "clusterName": name, "version": version + ("+k3s1" if provider == "k3s" else ""),
        "bootstrap": {"configRef": _reference(template_kind, f"{name}-md-0")},
        "infrastructureRef": _reference(OPENSTACK_MACHINE_TEMPLATE, f"{name}-md-0"),
    }  # fmt: skip
    return [
        *([credentials(name, namespace)] if secret else []),
        machine_template(f"{name}-cp", namespace=namespace),
        machine_template(f"{name}-md-0", namespace=namespace),
        template_kind.new(f"{name}-md-0", namespace, spec={"template": {"spec": BOOTSTRAP[provider]}}),
        OPENSTACK_CLUSTER.new(
            name, namespace,
            spec={
                "identityRef": {"name": f"{name}-cloud-config", "cloudName": "openstack"},
                "managedSubnets": [{"cidr": "10.6.0.0/24"}], "apiServerLoadBalancer": {"enabled": False},
            },
        ),
        plane(name, namespace, control_plane, version),
        MACHINE_DEPLOYMENT.new(
            f"{name}-md-0", namespace,
            spec={
                "clusterName": name, "replicas": workers, "selector": {"matchLabels": own},
                "template": {"metadata": {"labels": own}, "spec": template},
            },
        ),
        CLUSTER.new(
            name, namespace, metadata={"labels": labels or {}},
            spec={
                "clusterNetwork": {"pods": {"cidrBlocks": ["10.244.0.0/16"]}, "services": {"cidrBlocks": ["10.96.0.0/12"]}},
                "controlPlaneRef": _reference(plane_kind, f"{name}-cp"),
                "infrastructureRef": _reference(OPENSTACK_CLUSTER, name),
            },
        ),
    ]  # fmt: skip


BOOTSTRAP: dict[str, Object] = {
    "kubeadm": {"joinConfiguration": {"nodeRegistration": {"name": "{{ local_hostname }}"}}},
    "k3s": {"agentConfig": {"nodeLabels": ["tier=edge"]}},
    "microk8s": {"initConfiguration": {"joinTokenTTLInSecs": 900000}},
}
kubeadm_cluster = cluster_objects
