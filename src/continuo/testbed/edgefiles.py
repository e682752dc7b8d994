"""What KubeEdge's programs read: the configuration of CloudCore, and of each EdgeCore. Pure.

Both begin from their own defaults; only what a testbed wants otherwise is said here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from continuo.testbed.images import PAUSE
from continuo.testbed.nodefiles import NodeFacts, kubelet_settings

HUB_PORT, JOIN_PORT, ROUTER_PORT = 10000, 10002, 9443
"""Of CloudCore, in its cluster's network namespace: for messages, for joining, for requests to applications at the edge."""
STREAM_PORT, TUNNEL_PORT = 10003, 10004
"""For what the API server asks of kubelets (logs, exec), and for the tunnels by which edge nodes answer."""
KUBELET_PORTS = "10351-10450"
"""What CloudCore says are the kubelets' ports of edge nodes: the next one whenever its own address is new."""
MQTT_PORT = 1883
"""Of the broker on each edge node, which is EdgeCore's own."""
EDGE_FOLDER = "/etc/kubeedge/"
"""Where an edge node keeps its certificates and the socket of its device mappers, in a file system of its own."""
ROLE = "node-role.kubernetes.io/edge"
"""Label of edge nodes, which EdgeCore gives itself, and their taint."""
EDGE_CONFIG = "edgecore.yaml"


@dataclass(frozen=True, slots=True)
class CloudFiles:
    """The files that CloudCore needs."""

    kubeconfig: Path
    authority: Path
    authority_key: Path
    certificate: Path
    key: Path
    callers: Path
    """The authority of those who may ask for logs: the API server's."""
    socket: Path


def cloudcore(address: str, files: CloudFiles) -> str:
    """CloudCore's configuration, for edge nodes that reach it at that address."""
    hub = {
        "advertiseAddress": [address],
        "tlsCAFile": str(files.authority),
        "tlsCAKeyFile": str(files.authority_key),
        "tlsCertFile": str(files.certificate),
        "tlsPrivateKeyFile": str(files.key),
        "unixsocket": {"enable": False, "address": f"unix://{files.socket}"},  # its folder is made all the same
        "websocket": {"enable": True, "address": address, "port": HUB_PORT},
        "https": {"enable": True, "address": address, "port": JOIN_PORT},
    }
    modules = {
        "cloudHub": hub,
        "cloudStream": {
            "enable": True,
            "streamPort": STREAM_PORT,
            "tunnelPort": TUNNEL_PORT,
            "tlsTunnelCAFile": str(files.authority),
            "tlsStreamCAFile": str(files.callers),
            "tlsTunnelCertFile": str(files.certificate),
            "tlsStreamCertFile": str(files.certificate),
            "tlsTunnelPrivateKeyFile": str(files.key),
            "tlsStreamPrivateKeyFile": str(files.key),
        },
        "router": {"enable": True, "address": address, "port": ROUTER_PORT},
        "iptablesManager": {"enable": False, "mode": "internal"},
    }
    return _document("cloudcore.config.kubeedge.io/v1alpha1", "CloudCore", {
        "kubeAPIConfig": {"kubeConfig": str(files.kubeconfig)},
        "modules": modules,
    })  # fmt: skip


def edgecore(node: NodeFacts, cloud: str, token: str) -> str:
    """EdgeCore's configuration, for a node that joins with that token what is at the address `cloud`."""
    edged = {
        "hostnameOverride": node.name,
        "nodeIP": node.address,
        "podSandboxImage": PAUSE.reference,
        "rootDirectory": "/var/lib/kubelet",
        "tailoredKubeletConfig": {
            **kubelet_settings(node),
            "registerWithTaints": [{"key": ROLE, "effect": "NoSchedule"}],
            "staticPodPath": f"{EDGE_FOLDER}manifests",
        },
    }
    hub = {
        "httpServer": f"https://{cloud}:{JOIN_PORT}",
        "websocket": {"enable": True, "server": f"{cloud}:{HUB_PORT}"},
        "token": token,
    }
    modules = {
        "edged": edged,
        "edgeHub": hub,
        "eventBus": {"enable": True, "mqttMode": 0, "mqttServerInternal": f"tcp://0.0.0.0:{MQTT_PORT}"},
        "edgeStream": {"enable": True, "server": f"{cloud}:{TUNNEL_PORT}"},
        "deviceTwin": {"enable": True, "dmiSockPath": EDGE_FOLDER},
    }
    return _document("edgecore.config.kubeedge.io/v1alpha2", "EdgeCore", {"modules": modules})


def redirection(addresses: Iterable[str], cloud: str) -> str:
    """Rules for nft: what goes to the kubelets at these addresses comes to CloudCore, which has a tunnel to each."""
    return (
        "table ip continuo-edge {\n chain out {\n  type nat hook output priority -100; policy accept;\n"
        f"  ip daddr {{ {', '.join(addresses)} }} tcp dport {KUBELET_PORTS} dnat to {cloud}:{STREAM_PORT}\n }}\n}}\n"
    )


def _document(version: str, kind: str, body: dict[str, object]) -> str:
    return yaml.safe_dump({"apiVersion": version, "kind": kind, **body}, sort_keys=False)
