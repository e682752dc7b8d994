"""What a node with real containers reads: the configuration of its programs. Pure."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from continuo.testbed.images import PAUSE

DNS_ADDRESS = 10
"""The number of the DNS Service in the Service network."""
SOCKET = "/run/containerd/containerd.sock"
_BLOCK = 256
"""How many addresses a node has for its pods; it takes 250 of them."""
PROGRAMS = "/opt/continuo"
"""Where containers find the folder of programs that their node shares with them."""
SPEC = "spec.json"
"""What every container's specification begins with, where the node shares programs."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What differs from node to node."""

    name: str
    address: str
    pods: str
    """The addresses of its own pods."""
    cluster_pods: str
    dns: str
    cgroup: str
    folder: Path
    """Where these files are; the node's programs see it under the same name."""
    plugins: Path
    runc: Path
    programs: Path | None = None
    """A folder that every container sees read-only under PROGRAMS."""
    snapshotter: str = "overlayfs"
    private: tuple[str, ...] = ()
    """More directories that it has for itself."""


def node_files(node: NodeFacts) -> dict[str, str]:
    """All files of a cluster's node by name."""
    return {
        **host_files(node),
        "kubelet.yaml": yaml.safe_dump(_kubelet(node), sort_keys=False),
        "kube-proxy.yaml": yaml.safe_dump(_proxy(node), sort_keys=False),
        "Corefile": _dns(node),
    }


def host_files(node: NodeFacts) -> dict[str, str]:
    """Those of any host with containers."""
    return {
        "containerd.toml": _containerd(node),
        "net.d/10-pods.conflist": _network(node),
        "resolv.conf": f"nameserver {node.dns}\n",
        "node.sh": _BOOT,
    }


_BOOT = r"""# A node's first process: gives its programs directories of their own where every node's are the same, and then
# waits for the end. All of it is in a mount namespace and a process namespace, which go when this process goes.
set -e
scratch=$1 init=$2
shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$scratch/over"
for path in /run /var/lib /var/log "$@"; do
    mkdir -p "$scratch/over$path/upper" "$scratch/over$path/work"
    mount -t overlay -o "lowerdir=$path,upperdir=$scratch/over$path/upper,workdir=$scratch/over$path/work" overlay $path
done
mkdir -p /var/lib/containerd /var/lib/kubelet
mount --bind "$scratch/containerd" /var/lib/containerd
mount --bind "$scratch/kubelet" /var/lib/kubelet
# The kubelet tunes the kernel, which is the whole machine's: it gets plain files to write to.
for key in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
    kernel/keys/root_maxbytes; do
    if test -e /proc/sys/$key; then
        mkdir -p "$scratch/over/sys/$key"
        cat /proc/sys/$key > "$scratch/over/sys/$key/value"
        mount --bind "$scratch/over/sys/$key/value" /proc/sys/$key
    fi
done
mount --make-rshared /
touch "$scratch/booted"
exec "$init" init
"""


def _containerd(node: NodeFacts) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    base = f'base_runtime_spec = "{node.folder / SPEC}"' if node.programs else ""
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{SOCKET}"
[{cri}]
  sandbox_image = "{PAUSE.reference}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [{cri}.containerd]
    snapshotter = "{node.snapshotter}"
    default_runtime_name = "runc"
  [{cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    {base}
    [{cri}.containerd.runtimes.runc.options]
      BinaryName = "{node.runc}"
  [{cri}.cni]
    bin_dir = "{node.plugins}"
    conf_dir = "{node.folder}/net.d"
"""


def pod_range(pods: str, address: str) -> tuple[str, str]:
    """The first and the last address for pods of the node with that address; no other node of a bed gives them.

    Clusters of a bed use the same pod networks on purpose. But where Liqo joins two such clusters, a pod cannot reach
    the other cluster when it has the address of that cluster's gateway: rare among thousands of addresses, certain
    where every cluster hands them out from the first one on.
    """
    network = ipaddress.IPv4Network(pods)
    blocks = max(network.num_addresses // _BLOCK, 1)
    start = (int(ipaddress.IPv4Address(address)) % blocks) * _BLOCK
    end = min(start + _BLOCK, network.num_addresses) - 2
    return str(network[start + 2]), str(network[end])


def _network(node: NodeFacts) -> str:
    first, last = pod_range(node.pods, node.address)
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": node.pods, "rangeStart": first, "rangeEnd": last}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    # Point to point, not a bridge: what pods of one node say to each other passes the node's rules on any machine.
    pods = {"type": "ptp", "ipMasq": False, "ipam": addresses}
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [pods]}, indent=1)


def _kubelet(node: NodeFacts) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(node.folder / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "healthzPort": 0,
        "maxPods": 250,
        **kubelet_settings(node),
    }


def kubelet_settings(node: NodeFacts) -> dict[str, object]:
    """What the kubelet must know of a host of the testbed, in whatever program it is built into."""
    return {
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup,
        "clusterDNS": [node.dns],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "featureGates": {"KubeletInUserNamespace": True},
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "registryPullQPS": 0,
        "resolvConf": str(node.folder / "resolv.conf"),
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
    }


def _proxy(node: NodeFacts) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(node.folder / "kube-proxy.kubeconfig")},
        "clusterCIDR": node.cluster_pods,
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "hostnameOverride": node.name,
        "mode": "nftables",
    }


def _dns(node: NodeFacts) -> str:
    return f"""\
cluster.local in-addr.arpa ip6.arpa {{
    errors
    kubernetes {{
        kubeconfig {node.folder / "coredns.kubeconfig"}
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""
