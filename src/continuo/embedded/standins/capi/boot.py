"""What a new workload cluster comes with: its API, and the system parts that its distribution brings."""

from __future__ import annotations

from continuo.embedded.port import Api, Write
from continuo.embedded.standins.capi.flavors import Distribution
from continuo.embedded.standins.capi.world import ENGINE_CLUSTER, World
from continuo.embedded.standins.kinds import DAEMON_SET
from continuo.embedded.standins.objects import short_hash, with_meta
from continuo.resources.kinds import CLUSTER, CONFIG_MAP, DEPLOYMENT, SERVICE
from continuo.resources.meta import Kind, Object, annotations_of, key_of

_WRITE = Write(manager="kubeadm")
_COREFILE = """.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
"""


def engine_name(world: World, cluster: Object) -> Object:
    """The Cluster with the name under which the engine serves it, chosen once and remembered on the object."""
    key, chosen = key_of(cluster), annotations_of(cluster).get(ENGINE_CLUSTER)
    if not chosen:
        chosen = _free_name(world, key)
        annotations = {**annotations_of(cluster), ENGINE_CLUSTER: chosen}
        cluster = world.save(with_meta(cluster, annotations=annotations), cluster)
    world.engine_names[chosen] = key
    return cluster


def _free_name(world: World, key: tuple[str, str]) -> str:
    taken = {api.name for api in world.engine.clusters()} | world.engine_names.keys()
    candidates = (key[1], f"{key[0]}-{key[1]}", f"{key[0]}-{key[1]}-{short_hash(list(key), 5)}")
    return next(name for name in candidates if name not in taken)


def new_workload_cluster(world: World, cluster: Object, version: str, distribution: Distribution) -> Api:
    """The API of a cluster whose first control plane node comes up."""
    current = world.api.get(CLUSTER, cluster["metadata"]["name"], cluster["metadata"]["namespace"])
    name = annotations_of(engine_name(world, current))[ENGINE_CLUSTER]
    api = world.engine.create_cluster(name, version=version)
    install_system(api, kube_proxy=distribution.name == "kubeadm", metrics=distribution.name == "k3s")
    return api


def install_system(api: Api, *, kube_proxy: bool = False, metrics: bool = False) -> None:
    """CoreDNS and its Service, the Service of the API; idempotent."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    dns = {"k8s-app": "kube-dns"}
    objects: list[tuple[Kind, Object]] = [
        (SERVICE, SERVICE.new("kubernetes", "default", metadata={"labels": {"component": "apiserver"}},
                              spec={"type": "ClusterIP", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]})),
        (CONFIG_MAP, CONFIG_MAP.new("coredns", "kube-system", data={"Corefile": _COREFILE})),
        (SERVICE, SERVICE.new("kube-dns", "kube-system", metadata={"labels": {**dns, "kubernetes.io/name": "CoreDNS"}},
                              spec={"selector": dns, "ports": ports})),
        (DEPLOYMENT, deployment("coredns", "kube-system", dns, "registry.k8s.io/coredns/coredns:v1.12.1", replicas=2,
                                system=True)),
    ]  # fmt: skip
    if kube_proxy:
        objects.append((DAEMON_SET, daemon_set("kube-proxy", "kube-system", "registry.k8s.io/kube-proxy")))
    if metrics:
        labels = {"k8s-app": "metrics-server"}
        objects.append(
            (
                DEPLOYMENT,
                deployment(
                    "metrics-server",
                    "kube-system",
                    labels,
                    "rancher/mirrored-metrics-server:v0.8.0",
                    system=True,
                ),
            )
        )
    for kind, obj in objects:
        if api.find(kind, obj["metadata"]["name"], obj["metadata"]["namespace"]) is None:
            api.create(obj, _WRITE)


def deployment(
    name: str, namespace: str, labels: dict[str, str], image: str, *, replicas: int = 1, system: bool = False,
    ports: dict[str, int] | None = None, more_labels: dict[str, str] | None = None,
) -> Object:  # fmt: skip
    """A plain Deployment of one container."""
    container: Object = {"name": name[:63], "image": image}
    if ports:
        container["ports"] = [{"name": key, "containerPort": value} for key, value in ports.items()]
    spec: Object = {"containers": [container]}
    if system:
        spec["tolerations"] = [
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
        ]
    return DEPLOYMENT.new(
        name, namespace, metadata={"labels": {**labels, **(more_labels or {})}},
        spec={
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    )  # fmt: skip


def daemon_set(name: str, namespace: str, image: str) -> Object:
    """A DaemonSet in the host's network that runs on every node."""
    labels = {"k8s-app": name}
    spec = {
        "hostNetwork": True,
        "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],  # so never a virtual node
        "containers": [{"name": name, "image": image}],
    }
    return DAEMON_SET.new(
        name, namespace, metadata={"labels": labels},
        spec={"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    )  # fmt: skip
