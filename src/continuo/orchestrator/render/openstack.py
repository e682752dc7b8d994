"""OpenStack machines (Cluster API's provider `openstack`, its API v1beta1)."""

from __future__ import annotations

from continuo.orchestrator.render.infrastructure import Infrastructure, Wish
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import ClusterSpec


def _cluster_spec(spec: ClusterSpec) -> Object:
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
    # Without Octavia the provider gives the API a floating IP and binds it to the only control-plane machine.
    body["apiServerLoadBalancer"] = {"enabled": spec.control_plane_count > 1}
    return body


def _machine_spec(spec: ClusterSpec, flavor: str, version: str) -> Object:
    image = spec.image or f"ubuntu-2204-kube-{version.split('+')[0]}"
    machine: Object = {"flavor": flavor, "image": {"filter": {"name": image}}}
    if spec.ssh_key:
        machine["sshKeyName"] = spec.ssh_key
    return machine


def _wishes(spec: ClusterSpec, made: Object) -> tuple[Wish, ...]:
    return (
        ("public-ip", spec.public_ip, made.get("apiServerFloatingIP")),
        ("external-network", spec.external_network, (made.get("externalNetwork") or {}).get("id")),
    )


OPENSTACK = Infrastructure(
    name="openstack",
    cluster=kinds.OPENSTACK_CLUSTER,
    machine_template=kinds.OPENSTACK_MACHINE_TEMPLATE,
    cluster_spec=_cluster_spec,
    machine_spec=_machine_spec,
    node_registration={
        "name": "{{ local_hostname }}",
        "kubeletExtraArgs": [
            {"name": "cloud-provider", "value": "external"},
            {"name": "provider-id", "value": "openstack:///'{{ instance_id }}'"},
        ],
    },
    kubelet_args=("provider-id=openstack:///{{ ds.meta_data.uuid }}",),
    cloud_provider="external",
    fixed=("apiServerFloatingIP", "apiServerLoadBalancer", "externalNetwork", "managedSubnets"),
    wishes=_wishes,
)
