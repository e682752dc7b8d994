"""Real Crossplane on a real API server: core and its RBAC manager as plain processes, functions reached at their addresses.

Core is nobody's administrator: it has the rights that its chart gives, and those that roles with its label add to them.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import yaml

from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Kind, Object
from continuo.testbed.cluster import RealCluster
from continuo.testbed.credentials import write_private
from continuo.testbed.crossplane_functions import FUNCTION, install_function, put_package
from continuo.testbed.definitions import MANAGER, install_definitions
from continuo.testbed.errors import TestbedError
from continuo.testbed.pki import Authority, Subject
from continuo.testbed.ports import Ports
from continuo.testbed.running import follow
from continuo.testbed.waiting import until

PROGRAM = "crossplane"
METRICS_PORT = 8080
"""The RBAC manager listens there, and can be told no other."""
NAMESPACE = "crossplane-system"
READY_SECONDS = 120.0
CORE = Subject("crossplane")
AGGREGATE = "rbac.crossplane.io/aggregate-to-crossplane"
_ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
_BINDING = Kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
_WRITE = ("get", "list", "watch", "create", "update", "patch", "delete")
_RULES = (
    (("",), ("events",), ("create", "update", "patch", "delete")),
    (("apiextensions.k8s.io",), ("customresourcedefinitions", "customresourcedefinitions/status"), ("*",)),
    (("",), ("secrets",), _WRITE),
    (("",), ("serviceaccounts", "services"), ("*",)),
    (
        ("apiextensions.crossplane.io", "ops.crossplane.io", "pkg.crossplane.io", "protection.crossplane.io"),
        ("*",), ("*",),
    ),
    (("apps", "extensions"), ("deployments",), _WRITE),
    (("", "coordination.k8s.io"), ("configmaps", "leases"), _WRITE),
    (
        ("admissionregistration.k8s.io",),
        ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"), _WRITE,
    ),
)  # fmt: skip
"""What the chart grants: groups, resources, verbs."""
_SECRETS = {
    "TLS_CA_SECRET_NAME": "crossplane-root-ca",
    "TLS_SERVER_SECRET_NAME": "crossplane-tls-server",
    "TLS_CLIENT_SECRET_NAME": "crossplane-tls-client",
}


@dataclass(slots=True)
class Crossplane:
    """Running core and RBAC manager. Make them with `start`, end them with `stop`; their objects stay in the cluster."""

    cluster: RealCluster
    client: KubeCluster
    authority: Authority
    """Of core's own certificate, and of those that functions show."""

    @classmethod
    async def start(cls, cluster: RealCluster, *, poll: str = "1m") -> Crossplane:
        """Install Crossplane into this cluster and run it; returns when it has its kinds and answers.

        `poll`: how often an XR is looked at where nothing is watched.
        """
        cluster.tools.check((PROGRAM,))
        if reason := port_taken():
            raise TestbedError(reason)
        made = cls(cluster, cluster.client(), cluster.credentials.authority)
        try:
            await made._install()
            await made._run(poll)
        except BaseException:
            await made.stop()
            raise
        return made

    async def stop(self) -> None:
        """End the processes."""
        for name in ("crossplane-core", "crossplane-rbac"):
            await self.cluster.crew.end(f"{name} of {self.cluster.name}")
        await self.client.close()

    @property
    def folder(self) -> Path:
        """Where it keeps what it needs."""
        return self.cluster.folder / "crossplane"

    def certificates(self, name: str, *hosts: str) -> Path:
        """A folder with a function's certificate for these hosts, laid out as Crossplane mounts it."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        pair = self.authority.issue(Subject(name, hosts=hosts))
        for file, text in (
            ("tls.crt", pair.certificate),
            ("tls.key", pair.key),
            ("ca.crt", self.authority.certificate),
        ):
            write_private(folder / file, text)
        return folder

    async def install_function(self, meta: Object, address: str, certificates: Path) -> None:
        """Install a function: its package's metadata, where it answers (host:port), and its folder of certificates."""
        package = put_package(self._packages, meta)
        await install_function(self.client, package, meta["metadata"]["name"], address, certificates, NAMESPACE)

    @property
    def _packages(self) -> Path:
        return self.folder / "packages"

    async def _install(self) -> None:
        await self.client.apply(kinds.NAMESPACE.new(NAMESPACE), manager=MANAGER)
        await self._initialise()
        rules = [dict(zip(("apiGroups", "resources", "verbs"), map(list, rule), strict=True)) for rule in _RULES]
        label = {AGGREGATE: "true"}
        selectors = {"clusterRoleSelectors": [{"matchLabels": label}]}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": CORE.name}
        bound = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "crossplane"}
        for obj in (
            _ROLE.new("crossplane:system:aggregate-to-crossplane", metadata={"labels": label}, rules=rules),
            _ROLE.new("crossplane", aggregationRule=selectors),
            _BINDING.new("crossplane", roleRef=bound, subjects=[subject]),
        ):
            await self.client.apply(obj, manager=MANAGER)

    async def _initialise(self) -> None:
        """Its own first step: definitions, certificates, defaults. It ends by itself, so it is not kept running."""
        program = self.cluster.tools.need(PROGRAM)
        folder = program.parent.parent / "share" / "crds"
        # It applies them itself, but does not wait until they are served; so they are served beforehand.
        await install_definitions(self.client, [yaml.safe_load(file.read_text()) for file in sorted(folder.iterdir())])
        crds = {"CRDS_PATH": str(folder)}
        environment = {**self._environment(self.cluster.kubeconfig_file), **_SECRETS, **crds}
        await follow(
            [*self.cluster.setup.within, str(program), "core", "init"],
            timeout=READY_SECONDS, folder=self.cluster.folder, environment=environment,
        )  # fmt: skip

    async def _run(self, poll: str) -> None:
        ports = Ports(self.folder / "ports.json").take(("metrics", "health", "rbac"))
        program = str(self.cluster.tools.need(PROGRAM))
        own = self.cluster.credentials.kubeconfig_file("crossplane", CORE)
        client = self.certificates("core")
        core = [
            program, "core", "start", f"--poll-interval={poll}", "--package-runtime=External", "--enable-usages=false",
            f"--metrics-port={ports['metrics']}", f"--health-probe-port={ports['health']}",
            f"--tls-client-certs-dir={client}", f"--xpkg-cache-dir={self._packages}",
        ]  # fmt: skip
        self._packages.mkdir(parents=True, exist_ok=True)
        await self.cluster.run("crossplane-rbac", [program, "rbac", "start"],
                               environment=self._environment(self.cluster.kubeconfig_file))  # fmt: skip
        await self.cluster.run("crossplane-core", core, environment=self._environment(own), ready=self._serves)

    async def _serves(self) -> None:
        async def missing() -> str | None:
            try:
                await self.client.list(FUNCTION)
            except ApiError as error:
                return str(error)
            return None

        await until(missing, f"Crossplane of {self.cluster.name}", READY_SECONDS)

    def _environment(self, kubeconfig: Path) -> dict[str, str]:
        return {"KUBECONFIG": str(kubeconfig), "POD_NAMESPACE": NAMESPACE, "ENABLE_WEBHOOKS": "false"}


def port_taken() -> str | None:
    """Why the RBAC manager cannot run beside what runs already; None when it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", METRICS_PORT))
        except OSError:
            return (
                f"port {METRICS_PORT} is taken, and Crossplane's RBAC manager can use no other; "
                "end the other testbed, or whatever listens there"
            )
    return None
