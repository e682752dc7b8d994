"""The command lines of a real control plane's programs. Pure: what they are given, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
NODE_MASK = 20
"""How much of its cluster's pod network one node gets."""
_NOWHERE = "192.0.2.1"
"""An address that nobody has: an API server on loopback may not advertise itself, and without nodes need not."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A server's certificate and key, and the authority of those who may talk to it."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where one cluster's things are."""

    port: int
    bind: str = LOOPBACK
    pods: str = "10.200.0.0/16"
    services: str = "10.96.0.0/16"

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.bind}:{self.port}"

    @property
    def advertised(self) -> str | None:
        """What pods would be told; None where there are no pods that could reach it."""
        return None if self.bind == LOOPBACK else self.bind


def etcd(program: Path, data: Path, urls: Sequence[str], peer: str, tls: Tls) -> list[str]:
    """Etcd for all clusters of a bed. A testbed's data may be lost with the power, so it does not wait for the disk."""
    return [
        str(program),
        f"--data-dir={data}",
        f"--listen-client-urls={','.join(urls)}",
        f"--advertise-client-urls={urls[0]}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={tls.certificate}",
        f"--key-file={tls.key}",
        f"--trusted-ca-file={tls.authority}",
        "--client-cert-auth",
        f"--peer-cert-file={tls.certificate}",
        f"--peer-key-file={tls.key}",
        f"--peer-trusted-ca-file={tls.authority}",
        "--peer-client-cert-auth",
        "--unsafe-no-fsync",
        "--auto-compaction-retention=10m",
        "--quota-backend-bytes=4294967296",
        "--log-level=warn",
    ]


@dataclass(frozen=True, slots=True)
class Store:
    """A cluster's part of an etcd."""

    url: str
    prefix: str
    tls: Tls


def api_server(
    program: Path, at: Addresses, store: Store, tls: Tls, kubelet: Tls, signing: tuple[Path, Path]
) -> list[str]:
    """kube-apiserver. `signing` is the key pair of service accounts, `kubelet` how it talks to kubelets."""
    private, public = signing
    reconciler = "lease" if at.advertised else "none"
    return [
        str(program),
        f"--etcd-servers={store.url}",
        f"--etcd-prefix=/{store.prefix}",
        f"--etcd-cafile={store.tls.authority}",
        f"--etcd-certfile={store.tls.certificate}",
        f"--etcd-keyfile={store.tls.key}",
        f"--bind-address={at.bind}",
        f"--secure-port={at.port}",
        f"--advertise-address={at.advertised or _NOWHERE}",
        f"--endpoint-reconciler-type={reconciler}",
        f"--tls-cert-file={tls.certificate}",
        f"--tls-private-key-file={tls.key}",
        f"--client-ca-file={tls.authority}",
        f"--kubelet-client-certificate={kubelet.certificate}",
        f"--kubelet-client-key={kubelet.key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={private}",
        f"--service-cluster-ip-range={at.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        # Lists as watches need a newer etcd than ours; an API server that offers them refuses kwok's ordinary watches, too.
        "--feature-gates=WatchList=false",
        "--allow-privileged=true",
        "--profiling=false",
    ]


def controller_manager(
    program: Path, at: Addresses, kubeconfig: Path, authority: Tls, signing: tuple[Path, Path]
) -> list[str]:
    """kube-controller-manager; `authority` holds the CA's own certificate and key, which sign requests."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={signing[0]}",
        f"--root-ca-file={authority.authority}",
        f"--cluster-signing-cert-file={authority.certificate}",
        f"--cluster-signing-key-file={authority.key}",
        f"--cluster-cidr={at.pods}",
        f"--service-cluster-ip-range={at.services}",
        f"--node-cidr-mask-size={NODE_MASK}",
        "--allocate-node-cidrs=true",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]


def scheduler(program: Path, kubeconfig: Path) -> list[str]:
    """kube-scheduler."""
    return [str(program), f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", "--profiling=false"]


def kwok(program: Path, kubeconfig: Path, config: Path) -> list[str]:
    """kwok, which plays the kubelets of the nodes with its annotation."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--config={config}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
    ]
