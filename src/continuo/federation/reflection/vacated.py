"""Namespaces that reflections made in a remote cluster, removed when nothing is in them any more.

Only one that carries our label is, which it got when it was made; one in which somebody else has anything stays, and so does
one into which we cannot see.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum

from continuo.federation.reflection.twin import NAMESPACE, ORIGIN
from continuo.kube.discovery import Discovery
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError, Forbidden, NotFound
from continuo.resources.meta import Kind, Object, annotations_of, deleting, labels_of

log = logging.getLogger(__name__)

AT_ONCE = 8
_OF_EVERY_SPACE = (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"))
"""What Kubernetes puts into each namespace, and what nobody keeps."""
_FLEETING = ("Event", "PodMetrics")


class State(Enum):
    """What has become of a namespace."""

    GONE = "gone"
    USED = "used"
    """Copies of a reflection are in it."""
    OCCUPIED = "occupied"
    """Something else is."""


@dataclass(frozen=True, slots=True)
class Content:
    """Something in a namespace."""

    what: str
    copied: bool
    """Whether it is a copy of a reflection."""


class Vacated:
    """The namespaces of one remote cluster that were made for one home cluster."""

    def __init__(self, remote: Cluster, origin: str) -> None:
        self._remote, self._origin = remote, origin
        self._discovery = Discovery(remote)

    async def ours(self) -> dict[str, str]:
        """All of them, each with the name that it has at home."""
        try:
            found = (await self._remote.list(kinds.NAMESPACE, labels=f"{ORIGIN}={self._origin}")).items
        except Forbidden:
            return {}  # who may not see namespaces has made none
        names = {obj["metadata"]["name"]: obj for obj in found}
        return {name: annotations_of(obj).get(NAMESPACE, name) for name, obj in names.items()}

    async def clear(self, name: str) -> State:
        """Remove a namespace if it is ours and empty."""
        try:
            space = await self._remote.get(kinds.NAMESPACE, name)
        except NotFound:
            return State.GONE
        if labels_of(space).get(ORIGIN) != self._origin or deleting(space):
            return State.GONE
        if (found := await self.content(name)) is not None:
            level = logging.DEBUG if found.copied else logging.INFO
            log.log(level, "namespace %s of cluster %s stays: %s is in it", name, self._remote.name, found.what)
            return State.USED if found.copied else State.OCCUPIED
        try:
            await self._remote.delete(kinds.NAMESPACE, name, uid=space["metadata"]["uid"])
        except NotFound:
            return State.GONE
        except Forbidden as error:
            log.info("namespace %s of cluster %s is empty and stays: %s", name, self._remote.name, error)
            return State.USED
        log.info("namespace %s of cluster %s was empty and is removed", name, self._remote.name)
        return State.GONE

    async def clear_all(self) -> bool:
        """Each of them, where it is empty; False while something is in one that is no copy of a reflection."""
        states = [await self.clear(name) for name in sorted(await self.ours())]
        return State.OCCUPIED not in states

    async def content(self, name: str) -> Content | None:
        """Something that is in a namespace; None: nothing is. Pods first, which are there most often."""
        found = await self._first(kinds.POD, name)
        if found is not None:
            return found
        slots = asyncio.Semaphore(AT_ONCE)

        async def look(kind: Kind) -> Content | None:
            async with slots:
                return await self._first(kind, name)

        lasting = [kind for kind in await self._discovery.namespaced() if kind.kind not in _FLEETING]
        answers = await asyncio.gather(*(look(kind) for kind in lasting))
        return next((found for found in answers if found is not None), None)

    async def _first(self, kind: Kind, name: str) -> Content | None:
        try:
            found = (await self._remote.list(kind, name)).items
        except NotFound:
            return None  # its definition went meanwhile
        except ApiError as error:
            return Content(f"perhaps some of the {kind.plural}, which cannot be seen ({error})", copied=False)
        counted = (obj for obj in found if _counts(kind, obj))
        return next(
            (Content(f"{kind.kind} {obj['metadata']['name']}", ORIGIN in labels_of(obj)) for obj in counted), None
        )


def _counts(kind: Kind, obj: Object) -> bool:
    return (kind.kind, obj["metadata"]["name"]) not in _OF_EVERY_SPACE
