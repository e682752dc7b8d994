"""One declared cluster -> its Cluster API objects (OpenStack with kubeadm, K3s or MicroK8s).

Templates are immutable in Cluster API, so their names end in a hash of their content: a change makes a new template and
moves the reference. Empty structures are left out, because the API refuses them. Defaults that admission webhooks would
set are written out, so that the result does not depend on webhooks.
"""

from __future__ import annotations

from dataclasses import dataclass

from continuo.orchestrator import naming
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import ClusterSpec

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
    name = naming.cluster_name(orchestration, spec.name)
    labels = {**naming.owner_labels(namespace, orchestration), naming.CLUSTER: spec.name}
    control_template = _machine_template(namespace, name, "cp", labels, spec, spec.control_plane_flavor)
    worker_template = _machine_template(namespace, name, "md-0", labels, spec, spec.worker_machine_flavor)
    bootstrap = _bootstrap_template(namespace, name, labels, spec)
    return ClusterObjects(
        name=name,
        supporting=(
            naming.sealed(_infrastructure(namespace, name, labels, spec)),
            naming.sealed(control_template),
            naming.sealed(worker_template),
            naming.sealed(bootstrap),
        ),
        control_plane=naming.sealed(_control_plane(namespace, name, labels, spec, control_template)),
        workers=naming.sealed(_workers(namespace, name, labels, spec, worker_template, bootstrap)),
        cluster=naming.sealed(_cluster(namespace, name, labels, spec)),
    )


def _ref(kind: Kind, name: str) -> Object:
    return {"apiGroup": kind.group, "kind": kind.kind, "name": name}


def _full_ref(kind: Kind, name: str) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "name": name}


def _cluster(namespace: str, name: str, labels: dict[str, str], spec: ClusterSpec) -> Object:
    return kinds.CLUSTER.new(
        name,
        namespace,
        metadata={"labels": {**labels, "continuo.dev/cluster-id": name}},
        spec={
            "clusterNetwork": {
                "pods": {"cidrBlocks": [pod_cidr(spec)]},
                "services": {"cidrBlocks": [service_cidr(spec)]},
                "serviceDomain": "cluster.local",
            },
            "controlPlaneRef": _ref(CONTROL_PLANES[bootstrap_of(spec)], f"{name}-cp"),
            "infrastructureRef": _ref(kinds.OPENSTACK_CLUSTER, name),
        },
    )


def _infrastructure(namespace: str, name: str, labels: dict[str, str], spec: ClusterSpec) -> Object:
    cloud = spec.cloud
    body: Object = {
        "identityRef": {
            "type": "Secret",
            "name": cloud.secret if cloud else "openstack-cloud-config",
            "cloudName": cloud.name if cloud else "openstack",
        },
        "managedSubnets": [{"cidr": "10.6.0.0/24", "dnsNameservers": ["9.9.9.9"]}],
        "managedSecurityGroups": {"allowAllInClusterTraffic": True},
    }
    if spec.external_network:
        body["externalNetwork"] = {"id": spec.external_network}
    if spec.public_ip:
        body["apiServerFloatingIP"] = spec.public_ip
    if spec.control_plane_count == 1:
        # Without Octavia the provider gives the API a floating IP and binds it to the only control-plane machine.
        body["apiServerLoadBalancer"] = {"enabled": False}
    else:
        body["apiServerLoadBalancer"] = {"enabled": True}
    return kinds.OPENSTACK_CLUSTER.new(name, namespace, metadata={"labels": labels}, spec=body)


def _machine_template(
    namespace: str, name: str, role: str, labels: dict[str, str], spec: ClusterSpec, flavor: str
) -> Object:
    image = spec.image or f"ubuntu-2204-kube-{version_of(spec).split('+')[0]}"
    machine: Object = {"flavor": flavor, "image": {"filter": {"name": image}}}
    if spec.ssh_key:
        machine["sshKeyName"] = spec.ssh_key
    body = {"template": {"spec": machine}}
    return kinds.OPENSTACK_MACHINE_TEMPLATE.new(
        f"{name}-{role}-{naming.digest(body)}", namespace, metadata={"labels": labels}, spec=body
    )


def _kubeadm_registration() -> Object:
    return {
        "nodeRegistration": {
            "name": "{{ local_hostname }}",
            "kubeletExtraArgs": [
                {"name": "cloud-provider", "value": "external"},
                {"name": "provider-id", "value": "openstack:///'{{ instance_id }}'"},
            ],
        }
    }


def _bootstrap_template(namespace: str, name: str, labels: dict[str, str], spec: ClusterSpec) -> Object:
    bootstrap = bootstrap_of(spec)
    config: Object
    if bootstrap == "kubeadm":
        config = {"joinConfiguration": _kubeadm_registration()}
    elif bootstrap == "k3s":
        config = {"agentConfig": {"kubeletArgs": ["provider-id=openstack:///{{ ds.meta_data.uuid }}"]}}
    else:
        config = {"clusterConfiguration": {"portCompatibilityRemap": True}}
    body = {"template": {"spec": config}}
    return BOOTSTRAPS[bootstrap].new(
        f"{name}-md-0-{naming.digest(body)}", namespace, metadata={"labels": labels}, spec=body
    )


def _control_plane(namespace: str, name: str, labels: dict[str, str], spec: ClusterSpec, template: Object) -> Object:
    bootstrap = bootstrap_of(spec)
    template_name = template["metadata"]["name"]
    body: Object = {"replicas": spec.control_plane_count, "version": version_of(spec)}
    if bootstrap == "kubeadm":
        body["machineTemplate"] = {
            "spec": {
                "infrastructureRef": _ref(kinds.OPENSTACK_MACHINE_TEMPLATE, template_name),
                "deletion": dict(DRAIN_TIMEOUTS),
            }
        }
        body["rollout"] = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
        body["kubeadmConfigSpec"] = {
            "clusterConfiguration": {
                "controllerManager": {"extraArgs": [{"name": "cloud-provider", "value": "external"}]}
            },
            "initConfiguration": _kubeadm_registration(),
            "joinConfiguration": _kubeadm_registration(),
        }
    elif bootstrap == "k3s":
        body["machineTemplate"] = {"infrastructureRef": _full_ref(kinds.OPENSTACK_MACHINE_TEMPLATE, template_name)}
        body["kthreesConfigSpec"] = {
            "serverConfig": {
                "clusterCidr": pod_cidr(spec),
                "serviceCidr": service_cidr(spec),
                "disableComponents": ["servicelb", "traefik"],
                "cloudProviderName": "external",
                "disableCloudController": True,
                **({"tlsSan": [spec.public_ip]} if spec.public_ip else {}),
            },
            "agentConfig": {"kubeletArgs": ["provider-id=openstack:///{{ ds.meta_data.uuid }}"]},
        }
    else:
        body["upgradeStrategy"] = "SmartUpgrade"
        body["machineTemplate"] = {"infrastructureTemplate": _full_ref(kinds.OPENSTACK_MACHINE_TEMPLATE, template_name)}
        body["controlPlaneConfig"] = {
            "clusterConfiguration": {"portCompatibilityRemap": True},
            "initConfiguration": {"addons": ["dns"], "joinTokenTTLInSecs": 900000},
        }
    return CONTROL_PLANES[bootstrap].new(f"{name}-cp", namespace, metadata={"labels": labels}, spec=body)


def _workers(
    namespace: str, name: str, labels: dict[str, str], spec: ClusterSpec, template: Object, bootstrap: Object
) -> Object:
    selector = {"cluster.x-k8s.io/cluster-name": name, "cluster.x-k8s.io/deployment-name": f"{name}-md-0"}
    machine: Object = {
        "clusterName": name,
        "version": version_of(spec),
        "bootstrap": {"configRef": _ref(BOOTSTRAPS[bootstrap_of(spec)], bootstrap["metadata"]["name"])},
        "infrastructureRef": _ref(kinds.OPENSTACK_MACHINE_TEMPLATE, template["metadata"]["name"]),
        "deletion": dict(DRAIN_TIMEOUTS),
    }
    if spec.failure_domain:
        machine["failureDomain"] = spec.failure_domain
    return kinds.MACHINE_DEPLOYMENT.new(
        f"{name}-md-0",
        namespace,
        metadata={"labels": {**labels, "cluster.x-k8s.io/cluster-name": name}},
        spec={
            "clusterName": name,
            "replicas": spec.worker_machine_count,
            "selector": {"matchLabels": selector},
            "rollout": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}},
            "template": {"metadata": {"labels": selector}, "spec": machine},
        },
    )
