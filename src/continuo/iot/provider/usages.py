"""ProviderConfigUsages: who uses which configuration, for people and tools to see. What decides is what the objects say."""

from __future__ import annotations

from continuo.iot.provider.connections import ConfigName
from continuo.kube.port import Cluster
from continuo.resources.boards import PROVIDER_CONFIG_USAGE
from continuo.resources.errors import AlreadyExists, Forbidden, NotFound
from continuo.resources.meta import Kind, Object
from continuo.runtime.informer import Informer, Watch

CONFIG_LABEL = "crossplane.io/provider-config"
KIND_LABEL = "crossplane.io/provider-config-kind"


class Usages:
    """One for each managed resource, named after its UID and owned by it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.informer = Informer(cluster, Watch(PROVIDER_CONFIG_USAGE))

    async def ensure(self, obj: Object, kind: Kind, config: ConfigName) -> None:
        """Let there be one."""
        metadata = obj["metadata"]
        wanted = _usage(obj, kind, config)
        known = self.informer.cache.get((metadata.get("namespace") or "", metadata["uid"]))
        if known is not None and known.get("providerConfigRef") == wanted["providerConfigRef"]:
            return
        try:
            if known is None:
                self.informer.learn(await self._cluster.create(wanted))
            else:
                change = {
                    "metadata": {"labels": wanted["metadata"]["labels"]},
                    "providerConfigRef": wanted["providerConfigRef"],
                }
                name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
                self.informer.learn(await self._cluster.patch(PROVIDER_CONFIG_USAGE, name, change, namespace))
        except (AlreadyExists, NotFound):
            return  # the cache is behind; the next look sees it
        except Forbidden:
            if await self._terminating(metadata.get("namespace") or ""):
                return  # nothing new is made there, and what is there already is about to go
            raise

    async def _terminating(self, namespace: str) -> bool:
        from continuo.resources.kinds import NAMESPACE

        try:
            found = await self._cluster.get(NAMESPACE, namespace)
        except NotFound:
            return True
        return "deletionTimestamp" in found["metadata"]


def _usage(obj: Object, kind: Kind, config: ConfigName) -> Object:
    metadata = obj["metadata"]
    owner = {
        "apiVersion": kind.api_version, "kind": kind.kind, "name": metadata["name"], "uid": metadata["uid"],
    }  # fmt: skip
    return PROVIDER_CONFIG_USAGE.new(
        metadata["uid"],
        metadata.get("namespace"),
        metadata={
            "labels": {CONFIG_LABEL: config.name[:63], KIND_LABEL: config.kind},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": False}],
        },
        providerConfigRef={"kind": config.kind, "name": config.name},
        resourceRef=owner,
    )
