"""A process that carries out what an operator decides: the same watches, the same pure code, no decisions of its own.

It writes what steps write and nothing else: no status, no finalizers, no adjustments, so any number of them may run.
"""

from __future__ import annotations

from dataclasses import replace

from continuo.federation.model import LinkSettings
from continuo.kube.port import Cluster
from continuo.orchestrator.act import Attempts
from continuo.orchestrator.backend.carrier import Carrier
from continuo.orchestrator.memo import Memory
from continuo.orchestrator.observe import carried_out, observe
from continuo.orchestrator.operator import Operator
from continuo.orchestrator.settings import Settings
from continuo.orchestrator.telling import Telling
from continuo.resources.errors import Invalid
from continuo.resources.meta import Key
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, decode
from continuo.runtime.clusterset import Connect
from continuo.runtime.controller import Result

UNBOUNDED = 1 << 30
"""How many clusters may be created at once is the operator's to decide."""


class Backend(Operator):
    """Follows everything that an operator follows, and looks at what it has commands about."""

    def __init__(
        self,
        management: Cluster,
        connect: Connect,
        carrier: Carrier,
        settings: Settings | None = None,
        *,
        link_settings: LinkSettings | None = None,
        telling: Telling | None = None,
        workers: int = 8,
    ) -> None:
        settings = replace(settings or Settings(), provisioning_limit=UNBOUNDED)
        super().__init__(
            management, connect, settings, link_settings=link_settings, workers=workers, instance=carrier.backend,
            executor=carrier, telling=telling,
        )  # fmt: skip
        self.carrier = carrier

    async def reconcile(self, key: Key) -> Result:
        """Follow what the orchestration follows, and carry out what was asked for."""
        obj = self.informers[LOW_LEVEL_ORCHESTRATION].cache.get(key)
        if obj is None:
            await self._forget(key)
            return Result(self.carrier.unseen(key))
        memory = self._memory.setdefault(key, Memory(Attempts()))
        management = self.world.management()
        try:
            orchestration = memory.decoded(obj, decode)
            wanted = carried_out(orchestration, management)
        except Invalid:
            return Result(self.carrier.unseen(key))  # the operator says so in its status
        await self._membership.follow(key, obj, wanted, management)
        if not self.carrier.wanted(key):
            return Result()
        snapshot = observe(obj, self.world, orchestration)
        plan = self._plan(snapshot, memory)[-1]
        await self.executor.run(self._round(snapshot, memory, plan))
        return Result(self.carrier.next_look(key))
