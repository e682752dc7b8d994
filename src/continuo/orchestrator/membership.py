"""Which workload clusters are followed, for whom: one client and one set of watches, however many orchestrations use it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping

from continuo.orchestrator.caches import CLUSTER_NAME, workload_watches
from continuo.orchestrator.capacity import Tally
from continuo.orchestrator.observe import Caches, carried_out, secret_names
from continuo.orchestrator.states import initialized
from continuo.orchestrator.world import Register, declare, followed, kubeconfig_text, member_name, replace_items
from continuo.resources import kinds
from continuo.resources.errors import ApiError, Invalid
from continuo.resources.meta import Key, Kind, Object, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, LowLevelOrchestration, decode
from continuo.runtime.clusterset import ClusterSet, Connect, Member
from continuo.runtime.clusterset import Membership as MemberChange
from continuo.runtime.informer import Informer

log = logging.getLogger(__name__)


class Membership:
    """The followed clusters, and who uses which; it tells whom to look at again when that changes."""

    def __init__(
        self, connect: Connect, informers: Mapping[Kind, Informer], wake: Callable[[Iterable[Key]], None]
    ) -> None:
        self.fleet = ClusterSet(workload_watches(), connect)
        self.register = Register(wake)
        self._informers, self._wake = informers, wake
        self._users: dict[str, set[Key]] = {}
        """Followed workload cluster -> the orchestrations that use it."""
        self._uses: dict[Key, set[str]] = {}
        self._secrets: dict[Key, dict[str, str]] = {}
        """The kubeconfig Secrets of an orchestration's clusters."""
        self._secret_users: dict[Key, set[Key]] = {}
        self._secret_uses: dict[Key, set[Key]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tallies: dict[str, Tally] = {}
        self.fleet.on_membership(self._member_changed)

    def users(self, member: str) -> Iterable[Key]:
        """The orchestrations that use a followed cluster."""
        return self._users.get(member, ())

    def secret_users(self, secret: Key) -> Iterable[Key]:
        """The orchestrations that refer to a Secret."""
        return self._secret_users.get(secret, ())

    def member(self, key: Key, cluster: str) -> Member | None:
        """The followed cluster that an orchestration calls so."""
        secret = self._secrets.get(key, {}).get(cluster)
        return self.fleet.get(member_name(key[0], secret)) if secret is not None else None

    def tally(self, member: str) -> Tally:
        """The sums of a followed cluster's nodes and pods."""
        return self._tallies.setdefault(member, Tally())

    def _member_changed(self, name: str, what: MemberChange) -> None:
        if what == "removed":
            self._tallies.pop(name, None)

    def count(self, member: str, kind: Kind, old: Object | None, new: Object | None) -> bool:
        """Take a change of a node or pod into the sums; whether they are another picture since."""
        tally = self.tally(member)
        (tally.node if kind is kinds.NODE else tally.pod)(old, new)
        return tally.worth_telling()

    def register_all(self, management: Caches) -> None:
        """Know what every orchestration declares before the first one is acted on: others may rest on what it drops."""
        for obj in self._informers[LOW_LEVEL_ORCHESTRATION].cache:
            with contextlib.suppress(Invalid):  # said in its status when its turn comes
                declare(self.register, obj, carried_out(decode(obj), management), management)

    async def follow(self, key: Key, obj: Object, orchestration: LowLevelOrchestration, management: Caches) -> None:
        """Follow the workload clusters whose credentials are there, and remember who uses which."""
        namespace, _ = key
        secrets = self._secrets[key] = declare(self.register, obj, orchestration, management)
        await self._use(key, {member_name(namespace, secret) for secret in secrets.values()})
        wanted = {(namespace, s) for s in {*secrets.values(), *secret_names(orchestration)}}
        replace_items(self._secret_users, self._secret_uses, key, wanted)
        for secret in followed(secrets, orchestration, management).values():
            await self._follow_one(namespace, secret)

    async def _follow_one(self, namespace: str, secret: str) -> None:
        found = self._informers[kinds.SECRET].cache.get((namespace, secret))
        name = member_name(namespace, secret)
        text = kubeconfig_text(found) if found is not None else None
        cluster_name = labels_of(found).get(CLUSTER_NAME) if found is not None else None
        if cluster_name:
            cluster = self._informers[kinds.CLUSTER].cache.get((namespace, cluster_name))
            if cluster is not None and not initialized(cluster):
                return
        if text is None:
            if name in self.fleet:
                await self.fleet.remove(name)
            return
        try:
            known = self.fleet.get(name)
            member = await self.fleet.put(name, text)
        except ApiError as error:
            log.warning("Secret %s holds no usable kubeconfig: %s", name, error)
            return
        if member is not known:
            task = asyncio.create_task(self._await_synced(member), name=f"sync {name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _await_synced(self, member: Member) -> None:
        """A newly followed cluster counts from the moment all of it was read once."""
        await member.wait_synced()
        self._wake(self.users(member.name))

    async def _use(self, key: Key, members: set[str]) -> None:
        for name in replace_items(self._users, self._uses, key, members):
            if name in self._users:
                self._wake(self._users[name])  # one of them may want to delete the cluster
            else:
                await self.fleet.remove(name)

    async def forget(self, key: Key) -> None:
        """The orchestration is gone."""
        self.register.put(key)
        self._secrets.pop(key, None)
        replace_items(self._secret_users, self._secret_uses, key, set())
        await self._use(key, set())

    async def close(self) -> None:
        """Follow nothing any more."""
        for task in self._tasks:
            task.cancel()
        await self.fleet.close()
