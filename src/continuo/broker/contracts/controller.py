"""The controller of Contract objects: what was bought is delivered, and taken away again when the contract is deleted.

How a contract is fulfilled is written down before anything is made, and a finalizer holds it until nothing is left. So the
process may be killed at any line: whoever comes next derives what there should be from the objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from prometheus_client.core import Metric

from continuo.broker.contracts import handover, terms
from continuo.broker.contracts import status as words
from continuo.broker.contracts.case import INDEXES, Case, read
from continuo.broker.contracts.links import Links
from continuo.broker.contracts.members import Members, Networks, Party, shut
from continuo.broker.contracts.peering import declare
from continuo.broker.contracts.status import Word, status_of
from continuo.broker.contracts.terms import FINALIZER, MANAGER
from continuo.federation.paths import ends
from continuo.federation.reflection.fleet import Fleet
from continuo.kube.port import Cluster
from continuo.resources.broker import CONSUMER, CONTRACT, PROVIDER, Mode
from continuo.resources.errors import ApiError, Conflict, Invalid, NotFound
from continuo.resources.meta import Object, deleting, is_true
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch
from continuo.telemetry.families import CONTRACTS
from continuo.telemetry.metrics import Tally

log = logging.getLogger(__name__)

SOON, AGAIN, RESYNC = 1.0, 15.0, 600.0
"""Seconds until something that is ending is looked at again, something that is away, and something that is well."""


class Contracted:
    """All contracts of one broker's cluster."""

    def __init__(
        self,
        broker: Cluster,
        fleet: Fleet,
        members: Members,
        *,
        networks: Networks | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._broker, self._members, self._networks = broker, members, networks
        self._now = now or (lambda: datetime.now(UTC))
        self._contracts = Informer(broker, Watch(CONTRACT, indexers=INDEXES))
        self._given: dict[str, tuple[Cluster, float]] = {}
        """By contract: through which client its namespace was seen to, and until when that is enough."""
        self._providers, self._consumers = Informer(broker, Watch(PROVIDER)), Informer(broker, Watch(CONSUMER))
        self.controller: Controller[str] = Controller("contracts", self._reconcile, workers=8)
        self._followers: list[Callable[[], None]] = []
        self._links = Links(fleet, members, self._contracts.cache, self.controller.add)
        self._contracts.on_change(self._contract_changed)
        self._providers.on_change(lambda old, new: self._declared("Provider", old, new))
        self._consumers.on_change(lambda old, new: self._declared("Consumer", old, new))
        members.on_change(self._member_changed)

    def figures(self) -> Iterator[Metric]:
        """Contracts by whether they are fulfilled, as metrics."""
        told = Tally((CONTRACTS,))
        for state in ("Ready", "NotReady"):
            told.add(CONTRACTS, ("broker", state), 0)
        for contract in self._contracts.cache:
            told.add(CONTRACTS, ("broker", "Ready" if is_true(contract, "Ready") else "NotReady"))
        return told.metrics()

    # --- running ------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Work from now on; returns when every contract is being looked at."""
        informers = (self._contracts, self._providers, self._consumers)
        for informer in informers:
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in informers))
        for contract in self._contracts.cache:  # all of them before anybody takes away what is not needed
            with contextlib.suppress(Invalid):  # said when it is looked at
                self._network(self._case(contract))
        self.controller.start()

    async def stop(self, grace: float = 10.0) -> None:
        """Work no more. What was delivered stays, and so do the fleet's peers."""
        await self.controller.stop(grace)
        await asyncio.gather(*(each.stop() for each in (self._contracts, self._providers, self._consumers)))

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self.start()
            await asyncio.Event().wait()
        finally:
            await self.stop()

    # --- what others have to know -------------------------------------------------------------------------------------
    def follow(self, callback: Callable[[], None]) -> None:
        """Call back whenever a contract is gone. Must be quick."""
        self._followers.append(callback)

    def claims(self, party: Party, name: str) -> bool:
        """Whether a contract has something in the cluster of a party, so that it is needed for cleaning up."""
        if not self._contracts.synced.is_set():
            return True
        return any(terms.has_begun(each) for each in self._contracts.cache.by_index(party, name))

    # --- what is to be looked at --------------------------------------------------------------------------------------
    def _contract_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None:
            self.controller.add(obj["metadata"]["name"])
            if new is None:
                self._member_changed("Consumer", obj["spec"]["consumer"])  # a node's name may be free now
                for follower in self._followers:
                    follower()

    def _declared(self, party: Party, old: Object | None, new: Object | None) -> None:
        """Only what is declared matters: statuses are written all the time."""
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return
        obj = new if new is not None else old
        if obj is not None:
            self._member_changed(party, obj["metadata"]["name"])

    def _member_changed(self, party: Party, name: str) -> None:
        for contract in self._contracts.cache.by_index(party, name):
            self.controller.add(contract["metadata"]["name"])

    # --- one contract -------------------------------------------------------------------------------------------------
    async def _reconcile(self, name: str) -> Result:
        contract = self._contracts.cache.get(("", name))
        if contract is None:
            await self._gone(name)
            return DONE
        try:
            case = self._case(contract)
        except Invalid as error:
            return await self._hopeless(contract, error)
        self._network(case)
        if deleting(contract):
            return await self._end(case)
        trouble = self._trouble(case)
        if trouble is not None:
            await self._say(case, trouble)
            return DONE
        begun = await self._begin(case)
        return await self._deliver(begun) if begun is not None else DONE

    def _case(self, contract: Object) -> Case:
        spec = contract["spec"]
        providers, consumers = self._providers.cache, self._consumers.cache
        return read(contract, providers.get(("", spec["provider"])), consumers.get(("", spec["consumer"])))

    def _network(self, case: Case) -> None:
        """The two clusters of a link reach each other as long as there is one."""
        if self._networks is not None:
            linked = case.mode is Mode.LINKED and case.provider is not None and case.consumer is not None
            self._networks.hold(case.name, ends(case.consumer_id, case.provider_id) if linked else None)

    async def _gone(self, name: str) -> None:
        self._given.pop(name, None)
        if self._networks is not None:
            self._networks.hold(name, None)
        await self._links.forget(name)

    async def _hopeless(self, contract: Object, error: Invalid) -> Result:
        log.warning("contract %s cannot be read: %s", contract["metadata"]["name"], error)
        said = Word(False, words.INVALID, str(error))
        await self._write(
            contract, {"conditions": status_of(contract, None, "", "", said, self._stamp())["conditions"]}
        )
        return DONE

    @staticmethod
    def _trouble(case: Case) -> Word | None:
        """What somebody has to do before anything can be delivered."""
        spec = case.spec
        if case.provider is None:
            return Word(False, words.NO_PROVIDER, declare("Provider", spec.provider))
        if case.consumer is None:
            return Word(False, words.NO_CONSUMER, declare("Consumer", spec.consumer))
        if case.provider.kubeconfig is None:
            return Word(False, words.NO_KUBECONFIG, enter(spec.provider))
        return None

    async def _begin(self, case: Case) -> Case | None:
        """Hold the contract, and write down how it is fulfilled, before anything is made; None: it went meanwhile."""
        finalizers = case.object["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            case = self._case(await self._hold(case.object, [*finalizers, FINALIZER]))
        if case.mode is None:
            reachable = case.consumer is not None and case.consumer.kubeconfig is not None
            mode = Mode.LINKED if reachable else Mode.HANDED_OVER
            case = self._case(await self._say(case, Word(False, words.LINKING, "it begins"), mode))
        held = FINALIZER in (case.object["metadata"].get("finalizers") or [])
        return case if held and case.mode is not None else None

    async def _deliver(self, case: Case) -> Result:
        try:
            said = await (self._links.link(case) if case.mode is Mode.LINKED else self._give(case))
        except ApiError as error:
            log.warning("contract %s: %s", case.name, error)
            said = Word(False, words.UNREACHABLE, str(error))
        await self._say(case, said)
        return Result(RESYNC if said.ready else AGAIN)

    async def _give(self, case: Case) -> Word:
        """Let there be the namespace. What was looked at is not looked at again soon, unless the provider is entered anew."""
        spec, provider = case.spec, self._members.client("Provider", case.spec.provider)
        if provider is None:
            return Word(False, words.UNREACHABLE, shut(self._members, "Provider", spec.provider))
        namespace, now = terms.namespace_of(case.name), asyncio.get_running_loop().time()
        through, until = self._given.pop(case.name, (None, 0.0))
        if through is provider and now < until:
            self._given[case.name] = provider, until
        elif await handover.give(provider, case.name, spec, case.consumer_id):
            self._given[case.name] = provider, now + 0.9 * RESYNC
        else:
            return Word(
                False,
                words.NAMESPACE_TAKEN,
                f"Provider {spec.provider} has a namespace {namespace} of somebody else: end this contract and buy anew",
            )
        return Word(
            True,
            words.HANDED_OVER,
            f"namespace {namespace} of Provider {spec.provider} waits for {spec.consumer}, with the contract's credentials",
        )

    # --- the end ------------------------------------------------------------------------------------------------------
    async def _end(self, case: Case) -> Result:
        finalizers = case.object["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return DONE
        try:
            left = await self._left(case)
        except ApiError as error:
            log.warning("contract %s ends and something stays for now: %s", case.name, error)
            await self._say(case, Word(False, words.ENDING, str(error)))
            return Result(AGAIN)
        if left:
            await self._say(case, Word(False, words.ENDING, left))
            return Result(SOON)
        await self._gone(case.name)
        await self._hold(case.object, [each for each in finalizers if each != FINALIZER])
        log.info("contract %s is over, and nothing of it is left", case.name)
        return DONE

    async def _left(self, case: Case) -> str:
        """Take away what there is; returns what is still to be waited for."""
        if case.mode is None:
            return ""  # nothing was made
        if case.mode is Mode.LINKED:
            return await self._links.unlink(case)
        provider = self._members.client("Provider", case.spec.provider)
        if provider is not None:
            gone = await handover.take(provider, case.name)
            return "" if gone else f"namespace {terms.namespace_of(case.name)} of {case.spec.provider} is being deleted"
        if case.provider is not None:
            return (
                f"the broker cannot enter the cluster of Provider {case.spec.provider} now; what is there stays so long"
            )
        log.warning("contract %s: Provider %s is gone; what is there stays", case.name, case.spec.provider)
        return ""

    # --- writing ------------------------------------------------------------------------------------------------------
    async def _hold(self, contract: Object, finalizers: list[str]) -> Object:
        meta = contract["metadata"]
        patch = {"metadata": {"finalizers": finalizers, "resourceVersion": meta["resourceVersion"]}}
        try:
            held = await self._broker.patch(CONTRACT, meta["name"], patch, manager=MANAGER)
        except NotFound:
            return contract
        if held["metadata"].get("finalizers") or not deleting(held):
            self._contracts.learn(held)
        return held

    async def _say(self, case: Case, said: Word, mode: Mode | None = None) -> Object:
        """Write the status where it is another one; returns the contract with it."""
        mode = mode or case.mode
        node = case.node if mode is Mode.LINKED else ""
        namespace = terms.namespace_of(case.name) if mode is Mode.HANDED_OVER else ""
        return await self._write(case.object, status_of(case.object, mode, node, namespace, said, self._stamp()))

    async def _write(self, contract: Object, status: Object) -> Object:
        if {**(contract.get("status") or {}), **status} == contract.get("status"):
            return contract
        meta = contract["metadata"]
        patch = {"metadata": {"uid": meta["uid"]}, "status": status}
        try:
            written = await self._broker.patch(CONTRACT, meta["name"], patch, subresource="status", manager=MANAGER)
        except (Conflict, NotFound):
            return contract  # gone, or another one of its name: either comes as a change of its own
        self._contracts.learn(written)
        return written

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


def enter(provider: str) -> str:
    """What is to be done where the broker has no way into a provider's cluster."""
    return (
        f"Provider {provider} has no spec.kubeconfig, so nothing can be delivered there: name the Secret that holds one, "
        "and buy again"
    )
