"""The clusters of a LowLevelOrchestration."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.orchestration_places import Geolocation
from continuo.resources.orchestration_types import (
    CANONICAL_PACKAGE,
    DEFAULT_PACKAGES,
    Bootstrap,
    Cidr,
    ClusterName,
    Cni,
    Ipv4,
    KubernetesVersion,
    ObjectName,
    Package,
    Provider,
    Tier,
    Word,
    doc,
    many,
)
from continuo.resources.selectors import MAX_LABELS, LabelKey, LabelValue

Price = Annotated[float, Meta(ge=0, le=1e9)]


class CloudSpec(Struct, frozen=True, kw_only=True, rename="kebab"):
    """The OpenStack credentials that a cluster is created with."""

    secret: Annotated[ObjectName, doc("Secret whose key `clouds.yaml` holds the credentials.")] = (
        "openstack-cloud-config"
    )
    name: Annotated[Word, doc("The cloud's name inside `clouds.yaml`.")] = "openstack"


class ClusterCost(Struct, frozen=True, kw_only=True, rename="kebab"):
    """What running there costs per hour, in whatever unit all clusters and budgets share."""

    cpu: Annotated[Price, doc("Of one CPU.")] = 0.0
    memory: Annotated[Price, doc("Of one GiB of memory.")] = 0.0
    gpu: Annotated[Price, doc("Of one GPU.")] = 0.0
    carbon: Annotated[Price, doc("Grams of CO2 equivalent of one CPU.")] = 0.0


class ClusterSpec(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One workload cluster: created through Cluster API, or adopted with its kubeconfig."""

    name: Annotated[ClusterName, doc("The cluster's name; links and applications refer to it.")]
    uid: Annotated[Word | None, doc("An identifier of the caller's; kept, not interpreted.")] = None
    provider: Annotated[
        Provider,
        doc(
            "Where the cluster comes from: `openstack` (created), `existing` (adopted with `kubeconfig`), `dev` "
            "(created of simulated machines, by Cluster API's development provider), or `kubeadm`, `k3s`, "
            "`microk8s`: OpenStack with that bootstrap. Cannot change."
        ),
    ] = Provider.OPENSTACK
    kubernetes_type: Annotated[
        Bootstrap | None,
        doc("The bootstrap provider; `kubeadm` where nothing else is said. Cannot change."),
    ] = None
    kubernetes_version: Annotated[
        KubernetesVersion | None,
        doc(
            "The Kubernetes version, such as `v1.32.4`; raising it upgrades the cluster. "
            "Required unless `provider` is `existing`."
        ),
    ] = None
    control_plane_count: Annotated[
        int,
        Meta(ge=1, le=9),
        doc("Control-plane machines; odd, because etcd needs a majority.", format="int32"),
    ] = 1
    worker_machine_count: Annotated[int, Meta(ge=0, le=1000), doc("Worker machines.", format="int32")] = 0
    control_plane_flavor: Annotated[Word, doc("OpenStack flavor of control-plane machines; `dev` has none.")] = (
        "m1.medium"
    )
    worker_machine_flavor: Annotated[Word, doc("OpenStack flavor of worker machines; `dev` has none.")] = "m1.medium"
    image: Annotated[
        Word | None,
        doc(
            "OpenStack image of the machines; it changes together with `kubernetes-version`, because a "
            "kubeadm image carries one version."
        ),
    ] = None
    kubeconfig: Annotated[
        ObjectName | None,
        doc("Secret (key `value`) with the kubeconfig of an existing cluster; only with `provider: existing`."),
    ] = None
    datacenter: Annotated[Word | None, doc("The data centre that the cluster stands in.")] = None
    tier: Annotated[Tier | None, doc("Where in the continuum the cluster sits; `placement-hint` chooses by it.")] = None
    labels: Annotated[
        dict[LabelKey, LabelValue], many('What `placement` may ask for, such as `iso27001: "true"`.', MAX_LABELS)
    ] = {}
    location: Annotated[Geolocation | None, doc("Where on Earth it stands.")] = None
    cost: Annotated[ClusterCost | None, doc("What running there costs.")] = None
    packages: (
        Annotated[
            tuple[Package, ...],
            many(
                "Add-ons to install. `metallb` means `loadbalancer`, `nginx` means `ingress`. Where absent: "
                "`loadbalancer`, `ingress`, `liqo` and `prometheus`; none on `dev`, which runs no pods.",
                7,
                list_type="set",
            ),
        ]
        | None
    ) = None
    public_ip: Annotated[
        Ipv4 | None, doc("The one public IPv4 address that the cluster's services share, by port.")
    ] = None
    pod_cidr: Annotated[Cidr | None, doc("The pods' network.")] = None
    service_cidr: Annotated[Cidr | None, doc("The services' network.")] = None
    cloud: Annotated[
        CloudSpec | None,
        doc("The OpenStack credentials; cloud `openstack` of Secret `openstack-cloud-config` where absent."),
    ] = None
    external_network: Annotated[Word | None, doc("ID of the OpenStack network that floating IPs come from.")] = None
    ssh_key: Annotated[Word | None, doc("OpenStack key pair put on the machines.")] = None
    failure_domain: Annotated[Word | None, doc("OpenStack availability zone of the workers.")] = None
    cni: Annotated[
        Cni, doc("The network plugin of kubeadm clusters; k3s and microk8s bring their own, `dev` needs none.")
    ] = Cni.FLANNEL
    machine_startup: (
        Annotated[
            int,
            Meta(ge=0, le=3600),
            doc(
                "Seconds that a simulated machine takes to start; only with `provider: dev`. Changing it replaces "
                "the machines.",
                format="int32",
            ),
        ]
        | None
    ) = None

    @property
    def existing(self) -> bool:
        """Whether the cluster is adopted rather than created."""
        return self.provider is Provider.EXISTING

    @property
    def simulated(self) -> bool:
        """Whether the cluster has machines in name only: its API serves the life cycle, and nothing runs on it."""
        return self.provider is Provider.DEV

    @property
    def bootstrap(self) -> Bootstrap | None:
        """The bootstrap provider, whichever field said so; None for an adopted cluster."""
        if self.existing:
            return None
        if self.provider not in (Provider.OPENSTACK, Provider.DEV):
            return Bootstrap(self.provider.value)
        return self.kubernetes_type or Bootstrap.KUBEADM

    @property
    def package_set(self) -> frozenset[Package]:
        """The packages under their own names, each once; those of every cluster where none are named."""
        named = self.packages
        if named is None:
            named = () if self.simulated else DEFAULT_PACKAGES
        return frozenset(CANONICAL_PACKAGE.get(package, package) for package in named)
