"""The Secrets of applications: written for their owner only, never read out, removed with the application.

They stand in the orchestrations' namespace beside credentials of clusters and clouds. So a blueprint may neither overwrite
a Secret that is not its application's, nor refer to one that is not its owner's.
"""

from __future__ import annotations

from collections.abc import Iterable

from continuo.kube.port import Cluster
from continuo.resources.errors import AlreadyExists, NotFound
from continuo.resources.kinds import SECRET
from continuo.resources.meta import Object, annotations_of, labels_of
from continuo.server.problems import Problem, busy

OWNER = "continuo.dev/owner"
"""Annotation: whose Secret it is. On a Secret made by hand it lets that owner's blueprints refer to it."""
SHARED = "continuo.dev/shared"
"""Label `continuo.dev/shared: "true"`: every owner's blueprints may refer to the Secret."""
APPLICATION = "amf.continuo.dev/application"
ORCHESTRATION = "amf.continuo.dev/orchestration"


class AppSecrets:
    """The Secrets of all applications in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    async def check(self, names: Iterable[str], owner: str) -> None:
        """Raises the problem when a referenced Secret is missing or another's."""
        for name in sorted(names):
            found = await self._find(name)
            if found is None or not _usable(found, owner):
                detail = (
                    f"the Secret {name} that the blueprint refers to does not exist in {self._namespace}, or is not "
                    f"{owner}'s: create it with the annotation {OWNER}: {owner}"
                )
                raise Problem(422, "secret-not-usable", detail)

    async def put(self, secrets: Iterable[Object], orchestration: str, app: str, owner: str) -> None:
        """Create or update the Secrets of an application."""
        for secret in secrets:
            await self._put(self._labelled(secret, orchestration, app), owner)

    async def drop(self, orchestration: str, app: str, keep: Iterable[str] = ()) -> None:
        """Remove the application's Secrets, but those to keep."""
        kept = set(keep)
        selector = f"{APPLICATION}={app},{ORCHESTRATION}={orchestration}"
        for secret in (await self._cluster.list(SECRET, self._namespace, labels=selector)).items:
            name, uid = secret["metadata"]["name"], secret["metadata"].get("uid")
            if name not in kept:
                try:
                    await self._cluster.delete(SECRET, name, self._namespace, uid=uid)
                except NotFound:
                    continue  # another replica was quicker

    def _labelled(self, secret: Object, orchestration: str, app: str) -> Object:
        labels = {**labels_of(secret), APPLICATION: app, ORCHESTRATION: orchestration}
        metadata = {**secret["metadata"], "namespace": self._namespace, "labels": labels}
        return {**secret, "metadata": metadata}

    async def _put(self, secret: Object, owner: str) -> None:
        manager = f"continuo-amf/{labels_of(secret)[APPLICATION]}"
        name = secret["metadata"]["name"]
        try:
            await self._cluster.create(secret, manager=manager)
        except AlreadyExists:
            found = await self._find(name)
            if found is None:
                raise busy(f"the Secret {name} is just being removed") from None
            if not _of_application(found, secret, owner):
                detail = f"the application needs a Secret {name}, and that name is taken: rename the component"
                raise Problem(409, "secret-name-taken", detail) from None
            await self._overwrite(secret, found, manager)

    async def _overwrite(self, secret: Object, found: Object, manager: str) -> None:
        """The data becomes exactly the wanted, keys of earlier versions included."""
        if found.get("data") == secret.get("data") and found.get("type") == secret.get("type"):
            return
        version = {"uid": found["metadata"]["uid"], "resourceVersion": found["metadata"]["resourceVersion"]}
        await self._cluster.replace({**secret, "metadata": {**secret["metadata"], **version}}, manager=manager)

    async def _find(self, name: str) -> Object | None:
        try:
            return await self._cluster.get(SECRET, name, self._namespace)
        except NotFound:
            return None


def _usable(secret: Object, owner: str) -> bool:
    return annotations_of(secret).get(OWNER) == owner or labels_of(secret).get(SHARED) == "true"


def _of_application(found: Object, wanted: Object, owner: str) -> bool:
    mine = all(labels_of(found).get(key) == labels_of(wanted)[key] for key in (APPLICATION, ORCHESTRATION))
    return mine and annotations_of(found).get(OWNER) == owner
