"""One declared cluster -> its Cluster API objects: whichever bootstrap provider, whichever infrastructure.

Templates are immutable in Cluster API, so their names end in a hash of their content: a change makes a new template and
moves the reference. Empty structures are left out, because the API refuses them. Defaults that admission webhooks would
set are written out, so that the result does not depend on webhooks.
"""

from __future__ import annotations

from dataclasses import dataclass

from continuo.orchestrator import naming
from continuo.orchestrator.render.dev import DEV
from continuo.orchestrator.render.infrastructure import Infrastructure
from continuo.orchestrator.render.openstack import OPENSTACK
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import ClusterSpec

INFRASTRUCTURES: tuple[Infrastructure, ...] = (OPENSTACK, DEV)
CONTROL_PLANES: dict[str, Kind] = {
    "kubeadm": kinds.KUBEADM_CONTROL_PLANE,
    "k3s": kinds.KTHREES_CONTROL_PLANE,
    "microk8s": kinds.MICROK8S_CONTROL_PLANE,
}
BOOTSTRAPS: dict[str, Kind] = {
    "kubeadm": kinds.KUBEADM_CONFIG_TEMPLATE,
    "k3s": kinds.KTHREES_CONFIG_TEMPLATE,
    "microk8s": kinds.MICROK8S_CONFIG_TEMPLATE,
}
POD_CIDR = {"kubeadm": "10.244.0.0/16", "k3s": "10.42.0.0/16", "microk8s": "10.1.0.0/16"}
SERVICE_CIDR = {"kubeadm": "10.96.0.0/12", "k3s": "10.43.0.0/16", "microk8s": "10.152.183.0/24"}
DRAIN_TIMEOUTS = {
    "nodeDrainTimeoutSeconds": 300,
    "nodeVolumeDetachTimeoutSeconds": 300,
    "nodeDeletionTimeoutSeconds": 60,
}


def bootstrap_of(spec: ClusterSpec) -> str:
    """`kubeadm`, `k3s` or `microk8s`; the seed's files put it into `provider`."""
    if spec.provider in CONTROL_PLANES:
        return str(spec.provider)
    return spec.kubernetes_type or "kubeadm"


def infrastructure_of(spec: ClusterSpec) -> Infrastructure:
    """Where the machines come from."""
    return DEV if spec.simulated else OPENSTACK


def version_of(spec: ClusterSpec) -> str:
    """The version as the bootstrap provider spells it (`v1.34.2`, `v1.34.2+k3s1`)."""
    version = (spec.kubernetes_version or "").strip()
    version = version if version.startswith("v") else f"v{version}"
    if bootstrap_of(spec) == "k3s" and "+k3s" not in version:
        return f"{version}+k3s1"
    return version


def pod_cidr(spec: ClusterSpec) -> str:
    return spec.pod_cidr or POD_CIDR[bootstrap_of(spec)]


def service_cidr(spec: ClusterSpec) -> str:
    return spec.service_cidr or SERVICE_CIDR[bootstrap_of(spec)]


@dataclass(frozen=True, slots=True)
class ClusterObjects:
    """Everything that makes one cluster, in the order that reads best while it comes up."""

    name: str
    supporting: tuple[Object, ...]
    """Infrastructure cluster, machine and bootstrap templates."""
    control_plane: Object
    workers: Object
    cluster: Object

    def all(self) -> tuple[Object, ...]:
        return (*self.supporting, self.control_plane, self.workers, self.cluster)


def render_cluster(namespace: str, orchestration: str, spec: ClusterSpec) -> ClusterObjects:
    """The Cluster API objects of a declared cluster; not for `provider: existing`."""
    made = _Cluster(namespace, naming.cluster_name(orchestration, spec.name), orchestration, spec)
    control_template = made.machine_template("cp", spec.control_plane_flavor)
    worker_template = made.machine_template("md-0", spec.worker_machine_flavor)
    bootstrap = made.bootstrap_template()
    return ClusterObjects(
        name=made.name,
        supporting=tuple(
            naming.sealed(obj) for obj in (made.infrastructure(), control_template, worker_template, bootstrap)
        ),
        control_plane=naming.sealed(made.control_plane(control_template["metadata"]["name"])),
        workers=naming.sealed(made.workers(worker_template["metadata"]["name"], bootstrap["metadata"]["name"])),
        cluster=naming.sealed(made.cluster()),
    )


def _ref(kind: Kind, name: str) -> Object:
    return {"apiGroup": kind.group, "kind": kind.kind, "name": name}


def _full_ref(kind: Kind, name: str) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "name": name}


class _Cluster:
    """What the objects of one cluster have in common."""

    def __init__(self, namespace: str, name: str, orchestration: str, spec: ClusterSpec) -> None:
        self.namespace, self.name, self.spec = namespace, name, spec
        self.labels = {**naming.owner_labels(namespace, orchestration), naming.CLUSTER: spec.name}
        self.provider, self.bootstrap = infrastructure_of(spec), bootstrap_of(spec)

    def _new(self, kind: Kind, name: str, spec: Object, **metadata: Object) -> Object:
        return kind.new(name, self.namespace, metadata={"labels": self.labels, **metadata}, spec=spec)

    def cluster(self) -> Object:
        spec: Object = {
            "clusterNetwork": {
                "pods": {"cidrBlocks": [pod_cidr(self.spec)]},
                "services": {"cidrBlocks": [service_cidr(self.spec)]},
                "serviceDomain": "cluster.local",
            },
            "controlPlaneRef": _ref(CONTROL_PLANES[self.bootstrap], f"{self.name}-cp"),
            "infrastructureRef": _ref(self.provider.cluster, self.name),
        }
        return self._new(kinds.CLUSTER, self.name, spec, labels={**self.labels, "continuo.dev/cluster-id": self.name})

    def infrastructure(self) -> Object:
        notes = {"annotations": dict(self.provider.annotations)} if self.provider.annotations else {}
        return self._new(self.provider.cluster, self.name, self.provider.cluster_spec(self.spec), **notes)

    def machine_template(self, role: str, flavor: str) -> Object:
        body = {"template": {"spec": self.provider.machine_spec(self.spec, flavor, version_of(self.spec))}}
        return self._new(self.provider.machine_template, f"{self.name}-{role}-{naming.digest(body)}", body)

    def _registration(self) -> Object:
        return {"nodeRegistration": self.provider.node_registration}

    def bootstrap_template(self) -> Object:
        config: Object
        if self.bootstrap == "kubeadm":
            config = {"joinConfiguration": self._registration()}
        elif self.bootstrap == "k3s":
            config = {"agentConfig": {"kubeletArgs": list(self.provider.kubelet_args)}}
        else:
            config = {"clusterConfiguration": {"portCompatibilityRemap": True}}
        body = {"template": {"spec": config}}
        return self._new(BOOTSTRAPS[self.bootstrap], f"{self.name}-md-0-{naming.digest(body)}", body)

    def control_plane(self, template: str) -> Object:
        parts = {"kubeadm": self._kubeadm, "k3s": self._k3s, "microk8s": self._microk8s}
        body = {"replicas": self.spec.control_plane_count, "version": version_of(self.spec)}
        body |= parts[self.bootstrap](template)
        return self._new(CONTROL_PLANES[self.bootstrap], f"{self.name}-cp", body)

    def _kubeadm(self, template: str) -> Object:
        config: Object = {"initConfiguration": self._registration(), "joinConfiguration": self._registration()}
        if cloud := self.provider.cloud_provider:
            arguments = [{"name": "cloud-provider", "value": cloud}]
            config = {"clusterConfiguration": {"controllerManager": {"extraArgs": arguments}}, **config}
        reference = _ref(self.provider.machine_template, template)
        return {
            "machineTemplate": {"spec": {"infrastructureRef": reference, "deletion": dict(DRAIN_TIMEOUTS)}},
            "rollout": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
            "kubeadmConfigSpec": config,
        }

    def _k3s(self, template: str) -> Object:
        server: Object = {
            "clusterCidr": pod_cidr(self.spec),
            "serviceCidr": service_cidr(self.spec),
            "disableComponents": ["servicelb", "traefik"],
            "cloudProviderName": "external",
            "disableCloudController": True,
            **({"tlsSan": [self.spec.public_ip]} if self.spec.public_ip else {}),
        }
        return {
            "machineTemplate": {"infrastructureRef": _full_ref(self.provider.machine_template, template)},
            "kthreesConfigSpec": {
                "serverConfig": server,
                "agentConfig": {"kubeletArgs": list(self.provider.kubelet_args)},
            },
        }

    def _microk8s(self, template: str) -> Object:
        return {
            "upgradeStrategy": "SmartUpgrade",
            "machineTemplate": {"infrastructureTemplate": _full_ref(self.provider.machine_template, template)},
            "controlPlaneConfig": {
                "clusterConfiguration": {"portCompatibilityRemap": True},
                "initConfiguration": {"addons": ["dns"], "joinTokenTTLInSecs": 900000},
            },
        }

    def workers(self, template: str, bootstrap: str) -> Object:
        selector = {"cluster.x-k8s.io/cluster-name": self.name, "cluster.x-k8s.io/deployment-name": f"{self.name}-md-0"}
        machine: Object = {
            "clusterName": self.name,
            "version": version_of(self.spec),
            "bootstrap": {"configRef": _ref(BOOTSTRAPS[self.bootstrap], bootstrap)},
            "infrastructureRef": _ref(self.provider.machine_template, template),
            "deletion": dict(DRAIN_TIMEOUTS),
        }
        if self.spec.failure_domain:
            machine["failureDomain"] = self.spec.failure_domain
        body: Object = {
            "clusterName": self.name,
            "replicas": self.spec.worker_machine_count,
            "selector": {"matchLabels": selector},
            "rollout": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}},
            "template": {"metadata": {"labels": selector}, "spec": machine},
        }
        labels = {**self.labels, "cluster.x-k8s.io/cluster-name": self.name}
        return self._new(kinds.MACHINE_DEPLOYMENT, f"{self.name}-md-0", body, labels=labels)
