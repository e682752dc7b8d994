"""The Router Manager: follows what was sold and what the relay says, and works until it is cancelled.

Everything is derived from objects and from the relay's own list, so it may be killed at any line. At the start all
allocations are noted before any Rule is looked at, and routes of the relay that nobody bought are taken away.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from continuo.edge.relay.model import RouteStatus, Source
from continuo.edge.router.allocations import Allocations
from continuo.edge.router.bought import rate_of, uid_of
from continuo.edge.router.delivery import NEVER, Earlier, delivery_of, earlier_of, ended, is_news, silent, summed
from continuo.edge.router.desk import MANAGER, Desk, Settings
from continuo.edge.router.egress import Resolve, resolve
from continuo.edge.router.ports import Heard, RelayPort
from continuo.edge.router.rules import connection_of, heartbeat_of
from continuo.edge.router.rules import source_of as source_of_rule
from continuo.edge.router.sources import Sources
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError, Conflict, NotFound
from continuo.resources.meta import Key, Object, key_of
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import DONE, Controller, Result

log = logging.getLogger(__name__)


class RouterManager:
    """Makes data paths of allocations. One for each cluster; the relay has one Router Manager."""

    def __init__(
        self,
        cluster: Cluster,
        relay: RelayPort,
        settings: Settings | None = None,
        *,
        resolve: Resolve = resolve,
        now: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.desk = Desk(cluster, relay, settings or Settings(), resolve=resolve, now=now)
        self._backoff, self._random = backoff or Backoff(base=0.5, cap=30.0), rng or random.Random()
        self.allocations: Controller[Key] = Controller(
            "allocations", self._allocation, workers=8, backoff=backoff, rng=rng
        )
        self.sources: Controller[Source] = Controller("rules", self._source, workers=8, backoff=backoff, rng=rng)
        self.commands: Controller[str] = Controller("commands", self._command, workers=1, backoff=backoff, rng=rng)
        self.reports: Controller[Key] = Controller("delivery", self._report, workers=2, backoff=backoff, rng=rng)
        self._paths = Allocations(self.desk, self.sources.add, self.commands.add)
        self._rules = Sources(self.desk, self.allocations.add)
        self._reported: dict[str, float] = {}
        self._earlier: dict[str, tuple[str, Earlier]] = {}
        """By route: the relay that counts, and what those before it had done."""
        self.ready = asyncio.Event()
        """Set when everything that was there is known and being looked at."""

    async def run(self) -> None:
        """Work until cancelled; paths stay as they are then."""
        desk = self.desk
        for informer in desk.informers:
            informer.start()
        controllers = (self.allocations, self.sources, self.commands, self.reports)
        listening: asyncio.Task[None] | None = None
        try:
            await desk.synced()
            self._begin()
            for controller in controllers:
                controller.start()
            listening = asyncio.create_task(self._listen(), name="relay")
            self.ready.set()
            await listening
        finally:
            self.ready.clear()
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            await asyncio.gather(*(controller.stop(2.0) for controller in controllers))
            await asyncio.gather(*(informer.stop() for informer in desk.informers))

    def _begin(self) -> None:
        desk = self.desk
        for allocation in desk.allocations.cache:
            self._paths.note(allocation)
        desk.allocations.on_change(self._on_allocation)
        desk.contracts.on_change(self._on_contract)
        desk.rules.on_change(self._on_rule)
        desk.endpoints.on_change(self._on_endpoint)
        desk.nodes.on_change(self._on_node)
        desk.flavors.on_change(self._on_flavor)
        self.commands.add(desk.settings.rule_namespace)

    # --- what is told -------------------------------------------------------------------------------------------------
    def _on_allocation(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None:
            self.allocations.add(key_of(obj))

    def _on_contract(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is None or (old is not None and new is not None and _asks(old) == _asks(new)):
            return
        for allocation in self.desk.allocations.cache.by_index("contract", key_of(obj)):
            self.allocations.add(key_of(allocation))

    def _on_rule(self, old: Object | None, new: Object | None) -> None:
        for rule in (old, new):
            source = source_of_rule(rule) if rule is not None else None
            if source is not None:
                self.sources.add(source)
            elif rule is not None and self.desk.is_ours(rule):
                self.commands.add(rule["metadata"]["namespace"])

    def _on_endpoint(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None:
            return
        if old is not None:
            self._rules.endpoint_gone(old["metadata"]["uid"])
        for source in self.desk.ledger.sources:
            self.sources.add(source)
        self.commands.add(self.desk.settings.rule_namespace)

    def _on_node(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is None or (old is not None and _heard_of(old) == _heard_of(new)):
            return
        name = obj["metadata"]["name"]
        left = map(source_of_rule, self.desk.rules.cache.by_index("node", name))  # a Rule may wait for it to go
        for source in {*self.desk.ledger.at(name), *filter(None, left)}:
            self.sources.add(source)

    def _on_flavor(self, old: Object | None, new: Object | None) -> None:
        for flavor in (old, new):
            for key in self.desk.ledger.of_sensor(uid_of(flavor)) if flavor is not None else ():
                self.allocations.add(key)

    # --- what follows -------------------------------------------------------------------------------------------------
    async def _allocation(self, key: Key) -> Result:
        return await self._paths.reconcile(key)

    async def _source(self, source: Source) -> Result:
        return await self._rules.reconcile(source)

    async def _command(self, namespace: str) -> Result:
        return await self._rules.commands(namespace)

    async def _report(self, key: Key) -> Result:
        """Write on a contract what was delivered, not more often than it is worth."""
        desk, name = self.desk, key[1]
        status, contract = desk.statuses.get(name), desk.contracts.cache.get(key)
        if status is None or contract is None:
            self._reported.pop(name, None)
            self._earlier.pop(name, None)
            return DONE
        relay, earlier = self._earlier.get(name, (desk.relay_instance, NEVER))
        delivery = delivery_of(status, relay, earlier)
        if (contract.get("status") or {}).get("delivery") == delivery:
            return DONE
        try:
            answer = await desk.cluster.patch(
                kinds.FLUIDOS_CONTRACT, name, {"status": {"delivery": delivery}}, key[0], subresource="status",
                manager=MANAGER,
            )  # fmt: skip
        except (NotFound, Conflict):
            return DONE
        desk.contracts.learn(answer)
        self._reported[name] = asyncio.get_running_loop().time()
        for allocation in desk.allocations.cache.by_index("contract", key):
            await self._paths.show(key_of(allocation))
        return DONE

    # --- the relay ----------------------------------------------------------------------------------------------------
    async def _listen(self) -> None:
        """Follow what the relay says, for ever; one that starts anew is told everything again."""
        failures = 0
        while True:
            try:
                async for heard in self.desk.relay.follow():
                    failures = 0
                    await self._heard(heard)
            except ApiError as error:
                log.warning("the relay cannot be followed: %s", error)
            failures += 1
            await asyncio.sleep(self._backoff.delay(failures, self._random))

    async def _heard(self, heard: Heard) -> None:
        desk = self.desk
        if heard.instance != desk.relay_instance:
            await self._clean()
            desk.relay_instance = heard.instance  # not before: who fails in between cleans again
            for key in [key_of(allocation) for allocation in desk.allocations.cache]:
                self.allocations.add(key)
            for source in desk.ledger.sources:
                self.sources.add(source)  # it may be reached elsewhere now
        for status in heard.routes:
            self._take(status)

    async def _clean(self) -> None:
        """Take away the routes that nobody bought: those of contracts that ended while nobody looked."""
        for name in await self.desk.relay.routes():
            if not self._is_sold(name):  # asked now: contracts come while the list is on its way
                log.info("route %s is nobody's any more", name)
                await self.desk.relay.delete_route(name)

    def _is_sold(self, route: str) -> bool:
        return bool(self.desk.allocations.cache.by_index("contract", (self.desk.settings.namespace, route)))

    def _take(self, status: RouteStatus) -> None:
        desk, key = self.desk, (self.desk.settings.namespace, status.name)
        if not self._is_sold(status.name):
            return  # the last words of a route that is gone
        before = desk.statuses.get(status.name)
        status = desk.statuses[status.name] = summed(status, self._before_this_relay(key))
        self._wake_silent(key, status)
        now = asyncio.get_running_loop().time()
        due = self._reported.get(status.name, -1e9) + desk.settings.report_every
        if is_news(before, status) or now >= due:
            self.reports.add(key)
        else:
            self.reports.queue.add_after(key, due - now)

    def _before_this_relay(self, key: Key) -> Earlier:
        """What relays that are no more did for a contract: as far as we heard it, else as the contract says."""
        desk, name = self.desk, key[1]
        known, last = self._earlier.get(name), desk.statuses.get(name)
        if known is None or known[0] != desk.relay_instance:
            heard = known is not None and last is not None
            earlier = ended(last) if heard and last else earlier_of(desk.contracts.cache.get(key), desk.relay_instance)
            known = self._earlier[name] = desk.relay_instance, earlier
        return known[1]

    def _wake_silent(self, key: Key, status: RouteStatus) -> None:
        """A node that lost its subscription without being seen to go away says nothing, for ever."""
        desk, contract = self.desk, self.desk.contracts.cache.get(key)
        if contract is None or not desk.rules.served:
            return
        rates = {flow.sensor: self._rate(flow.sensor) for flow in status.flows}
        quiet = set(silent(status, rates))
        for allocation in desk.allocations.cache.by_index("contract", key):
            entry = desk.ledger.entry(key_of(allocation))
            for source in entry.sources if entry is not None and entry.approved else ():
                self._judge(source, quiet)

    def _judge(self, source: Source, quiet: set[str]) -> None:
        uids = {uid for uid in quiet if self.desk.source_of(uid) == source}
        if not uids:
            self._rules.heard(source)
        elif self._rules.renew_silent(source, asyncio.get_running_loop().time()):
            self.sources.add(source)

    def _rate(self, uid: str) -> float:
        flavor = self.desk.flavor_of(uid)
        return rate_of(flavor) if flavor is not None else 0.0


def _heard_of(node: Object | None) -> tuple[str, str]:
    return connection_of(node), heartbeat_of(node)


def _asks(contract: Object) -> tuple[object, ...]:
    """All of a contract that decides about its path."""
    return contract["spec"], contract["metadata"].get("deletionTimestamp")
