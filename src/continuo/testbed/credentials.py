"""Who is who in one real cluster: its authority, and a kubeconfig for each of its parts."""

from __future__ import annotations

import base64
import datetime
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from continuo.testbed.pki import Authority, Pair, Subject, signing_key

ADMIN = Subject("continuo-admin", ("system:masters",))
CONTROLLER_MANAGER = Subject("system:kube-controller-manager")
SCHEDULER = Subject("system:kube-scheduler")
PROXY = Subject("system:kube-proxy", ("system:node-proxier",))
KUBELET_CLIENT = Subject("kube-apiserver-kubelet-client", ("system:masters",))


def kubelet(node: str) -> Subject:
    """A node's own account."""
    return Subject(f"system:node:{node}", ("system:nodes",))


@dataclass(frozen=True, slots=True)
class Credentials:
    """A cluster's folder of keys, and the address at which its API server is reached."""

    name: str
    folder: Path
    server: str
    authority: Authority

    @classmethod
    def open(cls, name: str, folder: Path, server: str) -> Credentials:
        """Those that are in the folder; made where there are none yet."""
        now = datetime.datetime.now(datetime.UTC)
        return cls(name, folder, server, Authority(folder, f"continuo-{name}", now))

    def kubeconfig(self, subject: Subject) -> str:
        """A kubeconfig (text, self-contained) for a subject."""
        return kubeconfig_text(self.name, self.server, self.authority.certificate, self.authority.issue(subject))

    def kubeconfig_file(self, stem: str, subject: Subject) -> Path:
        """The same as a private file."""
        path = self.folder / f"{stem}.kubeconfig"
        write_private(path, self.kubeconfig(subject))
        return path

    def service_accounts(self) -> tuple[Path, Path]:
        """The key pair that signs service account tokens."""
        return signing_key(self.folder)


def kubeconfig_text(name: str, server: str, authority: str, pair: Pair) -> str:
    """A kubeconfig with one context of that name."""
    cluster = {"server": server, "certificate-authority-data": _base64(authority)}
    user = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, in one step."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
