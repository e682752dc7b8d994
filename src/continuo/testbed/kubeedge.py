"""KubeEdge's side of a real cluster: its definitions, and CloudCore, which edge nodes join.

CloudCore runs as a process in its cluster's network namespace, as the API server does, so its ports are the usual ones in
every bed. Edge nodes' certificates come from an authority of its own: the API server does not know it, as in any KubeEdge.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.testbed import edgefiles
from continuo.testbed.commands import run
from continuo.testbed.credentials import write_private
from continuo.testbed.definitions import install_definitions
from continuo.testbed.edgefiles import HUB_PORT, JOIN_PORT, CloudFiles
from continuo.testbed.errors import Missing
from continuo.testbed.pki import Authority, Subject
from continuo.testbed.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from continuo.testbed.cluster import RealCluster
    from continuo.testbed.tools import Tools

PROGRAMS = ("cloudcore", "edgecore")
NAMESPACE = "kubeedge"
READY_SECONDS = 120.0
_SUBJECT = Subject("kubeedge-cloudcore", ("system:masters",))
"""Its chart's role lacks kinds that its release needs; nobody is kept apart from anybody in a testbed."""


@dataclass(frozen=True, slots=True)
class CloudCore:
    """A cluster's CloudCore. Make it with `install`; it ends with its cluster."""

    cluster: RealCluster
    address: str

    @classmethod
    async def install(cls, cluster: RealCluster) -> CloudCore:
        """Put KubeEdge's definitions into a cluster, start CloudCore, and return when edge nodes can join."""
        cloud = cls(cluster, cluster.addresses.bind)
        client = cluster.client()
        try:
            await install_definitions(client, definitions(cluster.tools))
        finally:
            await client.close()
        config = cluster.folder / "cloudcore.yaml"
        write_private(config, edgefiles.cloudcore(cloud.address, cloud._files()))
        await cluster.run(
            "cloudcore", [str(cluster.tools.need("cloudcore")), f"--config={config}"],
            ready=lambda: until(cloud._listening, f"CloudCore of cluster {cluster.name}", READY_SECONDS),
        )  # fmt: skip
        return cloud

    async def token(self) -> str:
        """What an edge node says when it joins for the first time. CloudCore made it before it began to listen."""
        client = self.cluster.client()
        try:
            secret = await client.get(kinds.SECRET, "tokensecret", NAMESPACE)
        finally:
            await client.close()
        return base64.b64decode(secret["data"]["tokendata"]).decode()

    async def attract(self, addresses: Iterable[str]) -> None:
        """Let what the API server asks of the kubelets at these addresses come here."""
        rules = edgefiles.redirection(addresses, self.address)
        nft = str(self.cluster.tools.need("nft"))
        await run(*self.cluster.setup.within, nft, "-f", "-", stdin=rules.encode())

    def _files(self) -> CloudFiles:
        credentials = self.cluster.credentials
        now = datetime.datetime.now(datetime.UTC)
        authority = Authority(credentials.folder / "kubeedge", f"continuo-{self.cluster.name}-edge", now)
        certificate, key = authority.files("cloudcore", Subject("cloudcore", hosts=(self.address,)))
        return CloudFiles(
            credentials.kubeconfig_file("cloudcore", _SUBJECT), authority.certificate_file, authority.key_file,
            certificate, key, credentials.authority.certificate_file, self.cluster.folder / "cloudcore.sock",
        )  # fmt: skip

    async def _listening(self) -> str | None:
        for port in (JOIN_PORT, HUB_PORT):
            try:
                _, writer = await asyncio.open_connection(self.address, port)
            except OSError as error:
                return f"port {port}: {error.strerror or error}"
            writer.close()
        return None


def definitions(tools: Tools) -> list[Object]:
    """KubeEdge's kinds, as its release defines them."""
    folder = tools.need("cloudcore").resolve().parent.parent / "share" / "crds"
    files = sorted(folder.glob("*/*.yaml"))
    found = [obj for path in files for obj in yaml.safe_load_all(path.read_text(encoding="utf-8")) if obj]
    if not found:
        raise Missing(f"{folder} has no definitions of KubeEdge; get them with: continuo testbed build kubeedge")
    return found


def impossible(tools: Tools) -> str | None:
    """Why edge nodes cannot run on this machine, besides what containers need; None when they can."""
    lacking = tools.missing(PROGRAMS)
    if not lacking:
        return None
    verb = "is" if len(lacking) == 1 else "are"
    return f"{' and '.join(lacking)} {verb} missing on this machine; get them with: continuo testbed build kubeedge"
